//! `viridian`: which parts of Hyper-V's interface the guest is offered, by xl.cfg(5)'s groups.

use super::error::ConfigError;
use super::setting::Setting;

/// A group that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Identity, hypercall page, numbers of virtual processors. Any other group brings it along.
    Base,
    /// Rates.
    Frequencies,
    /// The counter of reference time.
    TimeRefCount,
    /// The page that tells it.
    ReferenceTsc,
    /// The local APIC's registers, and assist pages.
    ApicAssist,
}

const OFFERED: [(&str, Group); 5] = [
    ("base", Group::Base),
    ("freq", Group::Frequencies),
    ("time_ref_count", Group::TimeRefCount),
    ("reference_tsc", Group::ReferenceTsc),
    ("apic_assist", Group::ApicAssist),
];
/// Groups of xl.cfg(5) that are not.
const NOT_OFFERED: [&str; 8] = [
    "hcall_remote_tlb_flush",
    "crash_ctl",
    "synic",
    "stimer",
    "hcall_ipi",
    "ex_processor_masks",
    "no_vp_limit",
    "cpu_hotplug",
];
/// Words for all that are. xl's defaults leave the page out; here they do not.
const EVERY: [&str; 2] = ["all", "defaults"];

/// A set of groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Viridian(u8);

impl Viridian {
    /// No part of the interface.
    pub const NONE: Self = Self(0);
    /// Every group that can be had.
    pub const ALL: Self = Self((1 << OFFERED.len()) - 1);

    /// Whether the guest gets this group.
    pub const fn has(self, group: Group) -> bool {
        self.0 & 1 << group as u8 != 0
    }

    /// The sum of `words`, of which `!` takes a group away again. Calls `missing` with each known group that cannot be had.
    pub(super) fn read(
        words: &[Setting],
        mut missing: impl FnMut(&Setting, &str),
    ) -> Result<Self, ConfigError> {
        let mut groups = Self::NONE;
        for word in words {
            let text = word.text()?;
            let (name, adds) = match text.strip_prefix('!') {
                Some(name) => (name, false),
                None => (text, true),
            };
            let these = if EVERY.contains(&name) {
                Self::ALL
            } else if let Some(&(_, group)) = OFFERED.iter().find(|(known, _)| *known == name) {
                Self(1 << group as u8)
            } else if NOT_OFFERED.contains(&name) {
                if adds {
                    missing(word, name);
                }
                Self::NONE
            } else {
                return Err(word.error("xl.cfg(5) has no group of this name"));
            };
            groups.0 = if adds {
                groups.0 | these.0
            } else {
                groups.0 & !these.0
            };
        }
        if groups != Self::NONE {
            groups.0 |= 1 << Group::Base as u8;
        }
        Ok(groups)
    }
}
