//! Which of the host's CPUs a guest's vCPUs may run on: the key `cpus` of xl.cfg(5).
//!
//! The syntax is checked when the configuration is read, and the CPUs when the machine is known ([`Placement::resolve`]).

use super::error::{ConfigError, Place};
use super::setting::{Setting, Value};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

/// The largest CPU number that can be written.
const MAX_CPU: u32 = 4095;
/// A list longer than this repeats itself.
const MAX_TERMS: usize = 64;
const EXPECTED: &str =
    "expected \"all\" or CPUs as in \"0,2-3,^2\", or a list with one of these for each vCPU";

/// The key's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    sets: Sets,
    /// The value as written.
    shown: String,
    /// Where it is written.
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Sets {
    /// One for all vCPUs.
    Common(CpuSet),
    /// One a vCPU, in order; vCPUs beyond the last may run anywhere.
    Each(Vec<CpuSet>),
}

/// CPUs by number; what stands further right wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct CpuSet {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    cpus: Cpus,
    effect: Effect,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cpus {
    All,
    Range(RangeInclusive<u32>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Forbid,
}

/// A placement that this machine cannot give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementError {
    place: Place,
    shown: String,
    host_cpus: u32,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Absent(u32),
    Nowhere { vcpu: u32 },
}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `cpus = {}`: ", self.place, self.shown)?;
        match self.problem {
            Problem::Absent(cpu) => write!(f, "there is no CPU {cpu}")?,
            Problem::Nowhere { vcpu } => write!(f, "no CPU is left for vCPU {vcpu}")?,
        }
        match self.host_cpus {
            1 => f.write_str("; this machine has CPU 0 alone"),
            count => write!(f, "; this machine has the CPUs 0 to {}", count - 1),
        }
    }
}

impl core::error::Error for PlacementError {}

impl Placement {
    /// Reads the key; `None`: it leaves the choice to the hypervisor.
    pub(super) fn read(setting: &Setting) -> Result<Option<Self>, ConfigError> {
        let sets = match &setting.value {
            Value::List(items) => {
                let sets = items
                    .iter()
                    .map(CpuSet::read)
                    .collect::<Result<Vec<_>, _>>()?;
                if sets.is_empty() {
                    return Ok(None);
                }
                Sets::Each(sets)
            }
            Value::Text(text) if text.is_empty() => return Ok(None),
            _ => Sets::Common(CpuSet::read(setting)?),
        };
        Ok(Some(Self {
            sets,
            shown: setting.shown.clone(),
            place: setting.place,
        }))
    }

    /// The CPUs of each of `vcpus` vCPUs, in rising order and none of them empty, on a host with the CPUs 0 to `host_cpus - 1`.
    pub fn resolve(&self, vcpus: u32, host_cpus: u32) -> Result<Vec<Vec<u32>>, PlacementError> {
        let error = |problem| PlacementError {
            place: self.place,
            shown: self.shown.clone(),
            host_cpus,
            problem,
        };
        let named = match &self.sets {
            Sets::Common(set) => core::slice::from_ref(set),
            Sets::Each(sets) => sets,
        };
        if let Some(absent) = named.iter().find_map(|set| set.absent(host_cpus)) {
            return Err(error(Problem::Absent(absent)));
        }
        (0..vcpus)
            .map(|vcpu| {
                let set = match &self.sets {
                    Sets::Common(set) => Some(set),
                    Sets::Each(sets) => sets.get(vcpu as usize),
                };
                let cpus: Vec<_> = (0..host_cpus)
                    .filter(|&cpu| set.is_none_or(|set| set.has(cpu)))
                    .collect();
                if cpus.is_empty() {
                    Err(error(Problem::Nowhere { vcpu }))
                } else {
                    Ok(cpus)
                }
            })
            .collect()
    }
}

impl CpuSet {
    fn read(setting: &Setting) -> Result<Self, ConfigError> {
        let text = match &setting.value {
            Value::Text(text) => text.clone(),
            Value::Number(Some(number)) => number.to_string(),
            _ => return Err(setting.error(EXPECTED)),
        };
        let words: Vec<_> = text.split(',').map(str::trim).collect();
        if words.len() > MAX_TERMS {
            return Err(setting.error(format!("expected at most {MAX_TERMS} numbers and ranges")));
        }
        let terms = words
            .iter()
            .map(|word| Term::parse(word).map_err(|reason| setting.error(reason)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { terms })
    }

    fn has(&self, cpu: u32) -> bool {
        let last = self.terms.iter().rev().find(|term| term.cpus.have(cpu));
        last.is_some_and(|term| term.effect == Effect::Allow)
    }

    /// A CPU that is allowed by name and not there. To forbid one that is not there changes nothing.
    fn absent(&self, host_cpus: u32) -> Option<u32> {
        let allowed = self
            .terms
            .iter()
            .filter(|term| term.effect == Effect::Allow);
        let ranges = allowed.filter_map(|term| match &term.cpus {
            Cpus::All => None,
            Cpus::Range(range) => Some(range),
        });
        ranges
            .flat_map(|range| (*range.start()).max(host_cpus)..=*range.end())
            .find(|&cpu| self.has(cpu))
    }
}

impl Term {
    fn parse(word: &str) -> Result<Self, String> {
        let (effect, cpus) = match word.strip_prefix('^') {
            Some(rest) => (Effect::Forbid, rest),
            None => (Effect::Allow, word),
        };
        if cpus.starts_with("node") {
            return Err(format!(
                "`{word}`: NUMA nodes are not told apart; name their CPUs"
            ));
        }
        let wrong = || format!("`{word}`: {EXPECTED}");
        let number = |text: &str| {
            let number = text.parse().ok().filter(|&cpu| cpu <= MAX_CPU);
            number.ok_or_else(wrong)
        };
        let cpus = match cpus.split_once('-') {
            _ if cpus == "all" => Cpus::All,
            Some((first, last)) => Cpus::Range(number(first)?..=number(last)?),
            None => Cpus::Range(number(cpus)?..=number(cpus)?),
        };
        match cpus {
            Cpus::Range(range) if range.is_empty() => {
                Err(format!("`{word}`: expected the smaller number first"))
            }
            cpus => Ok(Self { cpus, effect }),
        }
    }
}

impl Cpus {
    fn have(&self, cpu: u32) -> bool {
        match self {
            Self::All => true,
            Self::Range(range) => range.contains(&cpu),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn placement(value: &str) -> Option<Placement> {
        let text = format!("cpus = {value}");
        Config::load(&text, "").unwrap().config.cpus
    }

    fn resolved(value: &str, vcpus: u32, host_cpus: u32) -> Result<Vec<Vec<u32>>, String> {
        let placement = placement(value).unwrap();
        placement
            .resolve(vcpus, host_cpus)
            .map_err(|error| error.to_string())
    }

    fn refused(value: &str) -> String {
        let text = format!("\ncpus = {value}");
        Config::load(&text, "").unwrap_err().to_string()
    }

    #[test]
    fn one_set_is_every_vcpus() {
        assert_eq!(resolved("'2-3'", 2, 4).unwrap(), [[2, 3], [2, 3]]);
        assert_eq!(resolved("'0, 2-3, ^2'", 1, 4).unwrap(), [[0, 3]]);
        assert_eq!(resolved("'all,^0'", 1, 3).unwrap(), [[1, 2]]);
        assert_eq!(
            resolved("'^0,all'", 1, 2).unwrap(),
            [[0, 1]],
            "the last word wins"
        );
        assert_eq!(resolved("1", 1, 2).unwrap(), [[1]]);
    }

    #[test]
    fn a_list_has_one_set_for_each_vcpu() {
        let each = resolved("['2', '1-3,^2', 0]", 4, 4).unwrap();
        assert_eq!(each, [vec![2], vec![1, 3], vec![0], vec![0, 1, 2, 3]]);
        assert_eq!(resolved("['0', '1']", 1, 2).unwrap(), [[0]]);
    }

    #[test]
    fn nothing_named_leaves_the_choice() {
        assert_eq!(placement("''"), None);
        assert_eq!(placement("[]"), None);
        assert_eq!(Config::load("", "").unwrap().config.cpus, None);
    }

    #[test]
    fn cpus_that_are_not_there_are_refused_with_those_that_are() {
        assert_eq!(
            resolved("'1,6-7'", 1, 2).unwrap_err(),
            "line 1: `cpus = '1,6-7'`: there is no CPU 6; this machine has the CPUs 0 to 1"
        );
        assert_eq!(
            resolved("['0','0-4000']", 1, 1).unwrap_err(),
            "line 1: `cpus = ['0','0-4000']`: there is no CPU 1; this machine has CPU 0 alone"
        );
        assert_eq!(
            resolved("'0,^0'", 2, 2).unwrap_err(),
            "line 1: `cpus = '0,^0'`: no CPU is left for vCPU 0; this machine has the CPUs 0 to 1"
        );
        assert_eq!(resolved("'0-7,^2-7,^100'", 1, 2).unwrap(), [[0, 1]]);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        assert!(refused("'0-x'").starts_with("line 2: `cpus = '0-x'`: `0-x`: expected \"all\""));
        assert!(refused("'3-1'").contains("the smaller number first"));
        assert!(refused("'node:0'").contains("name their CPUs"));
        for value in [
            "-1",
            "'0,,1'",
            "'^'",
            "true",
            "['all', []]",
            "'4096'",
            "{ a = 1 }",
        ] {
            assert!(refused(value).contains("expected"), "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_placement_names_only_cpus_that_are_there(
            value in "'\\^?([0-9]|[0-9]-[0-9]|all)(,\\^?([0-9]|[0-9]-[0-9]|all)){0,4}'",
            vcpus in 1_u32..5,
            host_cpus in 1_u32..8,
        ) {
            if let Ok(loaded) = Config::load(&format!("cpus = {value}"), "")
                && let Ok(sets) = loaded.config.cpus.unwrap().resolve(vcpus, host_cpus)
            {
                prop_assert_eq!(sets.len(), vcpus as usize);
                prop_assert!(sets.iter().all(|set| !set.is_empty() && set.iter().all(|&cpu| cpu < host_cpus)));
            }
        }
    }
}
