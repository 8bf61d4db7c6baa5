//! System instructions, task switches, real and virtual-8086 mode: programs by the emulator alone, and on the machine; both must say the same.
//!
//! Where an engine does something else, the manual decides. Those cases are listed here, with the rule that the engine breaks.

use super::session::{BOOT, Lab};
use super::{Case, Machines, Scope, Tier};
use crate::bundle::Guest;
use crate::engine::{Emulator, Virtualization};
use crate::program::{Form, build};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::collections::BTreeMap;
use std::fs;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "vectors",
        tier: Tier::Always,
        scope: Scope::Everything,
        machines: Machines::Any,
        body: |lab| compare_runs(lab, &VECTORS),
    },
    Case {
        name: "vectors-shadow",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::VmxEpt,
        body: |lab| {
            let settings = "paging = \"shadow\"\n";
            compare_runs(
                lab,
                &Program {
                    settings,
                    ..VECTORS
                },
            )
        },
    },
    Case {
        name: "task-switches",
        tier: Tier::Always,
        scope: Scope::Everything,
        machines: Machines::TaskSwitches,
        body: |lab| compare_runs(lab, &TASKS),
    },
];

/// A write of CR0, which shadow paging intercepts and has the emulator do.
const CR0: &str = "long cr0 above 32 bits";
/// What QEMU 7.2 does otherwise, and where the manuals say how it should be.
const QEMU: &[(&str, &str)] = &[
    (
        "return to 16 bits",
        "RET checks the limit: SDM vol. 2B, RET",
    ),
    (
        "dr7: fixed bits",
        "DR7 bits 15, 14 and 12 are zero: SDM vol. 3B, 18.2.4",
    ),
    ("int1", "INT1 is #DB: SDM vol. 2A, INT1"),
    ("string across the limit", "limits: SDM vol. 3A, 5.3"),
    ("expand-down", "limits: SDM vol. 3A, 5.3"),
    ("read-only", "types: SDM vol. 3A, 5.4.1"),
    ("execute-only", "types: SDM vol. 3A, 5.4.1"),
    ("null segment", "null selectors: SDM vol. 3A, 5.4.1"),
    ("vm86 limit", "limits: SDM vol. 3B, 22.2.1"),
    ("vm86 stack limit", "limits: SDM vol. 3B, 22.2.1"),
    ("vm86 32-bit address", "limits: SDM vol. 3B, 22.2.1"),
    ("real limit", "limits: SDM vol. 3B, 21.1.1"),
    (
        "real limit of 32-bit addresses",
        "limits: SDM vol. 3B, 21.1.1",
    ),
    ("real code limit", "limits: SDM vol. 3B, 21.1.1"),
    ("real words across the end", "limits: SDM vol. 3B, 21.1.1"),
    ("real with a large segment", "limits: SDM vol. 3B, 21.1.1"),
    (
        "real lock",
        "LOCK with a register is #UD: SDM vol. 2A, LOCK",
    ),
    ("long non-canonical stack", "#SS(0): SDM vol. 1, 3.3.7.1"),
    (
        "long non-canonical jump",
        "the jump itself faults: SDM vol. 2A, JMP",
    ),
    (
        "long iret to a non-canonical address",
        "IRET itself faults: SDM vol. 2A, IRET",
    ),
    (
        "long stack of user's rpl",
        "RPL must be CPL: SDM vol. 2B, MOV",
    ),
    (
        "long lar of gates",
        "the upper type must be zero: SDM vol. 3A, 5.8.3.1",
    ),
    (
        "long base that is not canonical",
        "#GP(0): SDM vol. 2B, WRMSR",
    ),
    (CR0, "#GP(0): SDM vol. 2B, MOV to control registers"),
    ("long cr8", "#GP(0): SDM vol. 2B, MOV to control registers"),
];
/// The same of task switches.
const QEMU_TASKS: &[(&str, &str)] = &[
    (
        "task: trap bit",
        "a task's T bit is #DB: SDM vol. 3A, 8.2.1",
    ),
    (
        "task: bad data",
        "the fault is the new task's, and tells its EIP: SDM vol. 3A, 8.3",
    ),
];
/// What Bochs 2.7 does otherwise.
const BOCHS: &[(&str, &str)] = &[(
    "single step of a string",
    "RF is set between iterations: SDM vol. 3B, 18.3.1.1",
)];
/// The same of task switches on AMD-V where deliveries exit: in EXITINTINFO it has the last exception or injected event instead of an INT n
/// that was cut short. The cases before decide which that is.
const SHADOWED_BOCHS_TASKS: &[(&str, &str)] = &[
    ("task: event", EXITINTINFO),
    ("task: event and return", EXITINTINFO),
    ("task: with its own tables", EXITINTINFO),
];
const EXITINTINFO: &str = "EXITINTINFO tells which event: APM vol. 2, 15.7.2";
/// QEMU pushes RFLAGS without RF for a fault (SDM vol. 3B, 18.3.1.1), so it cannot be compared there.
const RF: u64 = 1 << 16;
/// Which number of a line is RFLAGS.
const RFLAGS: usize = 4;

/// The words behind a case's name, as numbers: some lines have registers of 64 bits.
fn outcomes(text: &str) -> BTreeMap<String, Vec<u64>> {
    let mut outcomes = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<_> = line.trim_end().split(' ').collect();
        let is_number =
            |word: &&str| matches!(word.len(), 8 | 16) && u64::from_str_radix(word, 16).is_ok();
        let count = words
            .iter()
            .rev()
            .take_while(|word| is_number(word))
            .count();
        let (name, numbers) = words.split_at(words.len() - count);
        if count > RFLAGS {
            let numbers = numbers
                .iter()
                .filter_map(|word| u64::from_str_radix(word, 16).ok());
            outcomes.insert(name.join(" "), numbers.collect());
        }
    }
    outcomes
}

/// A program of cases, and what engines do otherwise.
struct Program {
    name: &'static str,
    /// Lines of `monovisor.toml`.
    settings: &'static str,
    qemu: &'static [(&'static str, &'static str)],
    bochs: &'static [(&'static str, &'static str)],
    /// On AMD-V with shadow paging besides.
    shadowed_bochs: &'static [(&'static str, &'static str)],
}

const VECTORS: Program = Program {
    name: "vectors",
    settings: "",
    qemu: QEMU,
    bochs: BOCHS,
    shadowed_bochs: &[],
};
const TASKS: Program = Program {
    name: "tasks",
    settings: "",
    qemu: QEMU_TASKS,
    bochs: &[],
    shadowed_bochs: SHADOWED_BOCHS_TASKS,
};

fn compare_runs(lab: &mut Lab, wanted: &Program) -> Result<()> {
    let program = build(wanted.name, Form::Kernel)?;
    let expected = lab.step("the emulator alone", |_| {
        let image = fs::read(&program)?;
        let text = differential::pc::run(&image).map_err(|reason| anyhow!(reason))?;
        ensure!(text.contains("VECTORS end"), "it stopped after {text}");
        Ok(outcomes(&text))
    })?;
    lab.step("the machine", |lab| {
        let mut guest = Guest::new(program);
        guest.settings.push_str(wanted.settings);
        let mut session = lab.start(&lab.machine(), &guest)?;
        session.console.expect("VECTORS begin", BOOT)?;
        let text = session.console.expect("VECTORS end", BOOT)?;
        let is_shadowed =
            lab.has_shadow_paging() && lab.virtualization() == Virtualization::SvmShadow;
        let (known, besides, ignored) = match lab.emulator() {
            Emulator::Qemu(_) => (wanted.qemu, &[][..], RF),
            Emulator::Bochs(_) if is_shadowed => (wanted.bochs, wanted.shadowed_bochs, 0),
            Emulator::Bochs(_) => (wanted.bochs, &[][..], 0),
        };
        let is_emulated = |name| name == CR0 && lab.has_shadow_paging();
        let known: Vec<_> = known
            .iter()
            .chain(besides)
            .map(|&(name, _)| name)
            .filter(|name| !is_emulated(*name))
            .collect();
        compare(&expected, &outcomes(&text), &known, ignored)
    })
}

/// Fails with all cases that differ and are not known to, and with those that are said to and do not.
fn compare(
    expected: &BTreeMap<String, Vec<u64>>,
    found: &BTreeMap<String, Vec<u64>>,
    known: &[&str],
    ignored: u64,
) -> Result<()> {
    let mut wrong = Vec::new();
    for (name, expected) in expected {
        let found = found
            .get(name)
            .with_context(|| format!("the machine does not come to `{name}`"))?;
        let without = |numbers: &Vec<u64>| {
            let mut numbers = numbers.clone();
            numbers[RFLAGS] &= !ignored;
            numbers
        };
        let is_same = without(expected) == without(found);
        let is_known = known.contains(&name.as_str());
        if is_same == is_known {
            wrong.push(format!(
                "{name}: emulator {expected:x?}, machine {found:x?}"
            ));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "{} cases are not as said:\n{}",
        wrong.len(),
        wrong.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_numbers() {
        let found = outcomes(
            "noise\r\nlong page 00000001 0000000000000002 00000003 00000004 00010005 \r\n",
        );
        assert_eq!(found["long page"], [1, 2, 3, 4, 0x1_0005]);
        assert_eq!(found.len(), 1);
        assert!(compare(&found, &found, &[], 0).is_ok());
        assert!(compare(&found, &found, &["long page"], 0).is_err());
        let other = outcomes("long page 00000001 0000000000000002 00000003 00000004 00000005 \r\n");
        assert!(compare(&found, &other, &[], RF).is_ok());
        assert!(compare(&found, &other, &[], 0).is_err());
        assert!(compare(&found, &BTreeMap::new(), &[], 0).is_err());
    }
}
