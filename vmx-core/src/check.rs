//! The checks of VM entry (SDM vol. 3C, chapter 27), so that a refused entry is reported by field and rule and not by number.
//!
//! The rules stand in tables, one file for each group of sections, in the manual's order. They are those for a hypervisor in 64-bit
//! mode outside SMM. Not looked at: what lies in memory (the virtual-APIC page, MSR areas, the region behind the VMCS link
//! pointer, PDPTEs without EPT); which performance counters exist; and fields of features that Monovisor never turns on (VM functions,
//! VMCS shadowing, #VE, processor trace, CET, protection keys for supervisor pages, tertiary controls).
//!
//! Addresses are canonical by the widest linear address that the CPU has.

mod controls;
mod guest;
mod host;
mod other;
mod segments;
#[cfg(test)]
pub(crate) mod tests;

use crate::bits::{entry_controls, interruption, primary, secondary};
use crate::controls::Msrs;
use crate::vmcs::{Field, Fields};
use hvm::regs::{Cr0, Cr4, Rflags};

/// A function that says whether the state breaks the rule, and the rule: field, what must be, section.
type Rule = (fn(&State<'_>) -> bool, &'static str);

/// All rules in the manual's order.
const GROUPS: [&[Rule]; 5] = [
    controls::RULES,
    host::RULES,
    guest::RULES,
    segments::RULES,
    other::RULES,
];

/// The first rule that a VMCS breaks on a CPU with these capabilities.
pub fn first_violation(fields: &impl Fields, msrs: &Msrs) -> &'static str {
    let state = State { fields, msrs };
    GROUPS
        .into_iter()
        .flatten()
        .find(|(broken, _)| broken(&state))
        .map_or("no rule that this checker knows is broken", |rule| rule.1)
}

/// Whether the segment registers are such that VM entry takes them.
pub fn segments_fit(fields: &impl Fields, msrs: &Msrs) -> bool {
    let state = State { fields, msrs };
    !segments::RULES.iter().any(|(broken, _)| broken(&state))
}

/// What the rules look at.
struct State<'a> {
    fields: &'a dyn Fields,
    msrs: &'a Msrs,
}

/// An event that the entry is to inject.
struct Event {
    kind: u64,
    vector: u64,
    has_error_code: bool,
}

impl State<'_> {
    fn read(&self, field: Field) -> u64 {
        self.fields.read(field)
    }

    /// Whether any of the bits is set.
    fn has(&self, field: Field, bits: u64) -> bool {
        self.read(field) & bits != 0
    }

    fn pin(&self, control: u32) -> bool {
        self.has(Field::PinBasedControls, control.into())
    }

    fn primary(&self, control: u32) -> bool {
        self.has(Field::PrimaryControls, control.into())
    }

    /// Without their activation all secondary controls count as 0.
    fn secondary(&self, control: u32) -> bool {
        self.primary(primary::SECONDARY_CONTROLS)
            && self.has(Field::SecondaryControls, control.into())
    }

    fn exit(&self, control: u32) -> bool {
        self.has(Field::ExitControls, control.into())
    }

    fn entry(&self, control: u32) -> bool {
        self.has(Field::EntryControls, control.into())
    }

    fn unrestricted(&self) -> bool {
        self.secondary(secondary::UNRESTRICTED_GUEST)
    }

    /// The guest will be in IA-32e mode.
    fn ia32e(&self) -> bool {
        self.entry(entry_controls::IA32E_GUEST)
    }

    fn guest_cr0(&self, bit: Cr0) -> bool {
        self.has(Field::GuestCr0, bit.bits())
    }

    fn guest_cr4(&self, bit: Cr4) -> bool {
        self.has(Field::GuestCr4, bit.bits())
    }

    fn rflags(&self, bit: Rflags) -> bool {
        self.has(Field::GuestRflags, bit.bits())
    }

    fn event(&self) -> Option<Event> {
        let word = self.read(Field::EntryInterruptionInformation);
        (word & interruption::VALID != 0).then_some(Event {
            kind: word >> interruption::TYPE_SHIFT & interruption::TYPE_MASK,
            vector: word & interruption::VECTOR,
            has_error_code: word & interruption::ERROR_VALID != 0,
        })
    }

    /// The kind of event that is injected.
    fn injects(&self, kind: u64) -> bool {
        self.event().is_some_and(|event| event.kind == kind)
    }

    /// Whether a physical address needs more bits than the CPU has.
    fn too_wide(&self, address: u64) -> bool {
        address
            .checked_shr(self.msrs.physical_bits.into())
            .is_some_and(|rest| rest != 0)
    }

    /// A physical address with bits set below `align_bits` or beyond the CPU's width.
    fn bad_physical(&self, field: Field, align_bits: u32) -> bool {
        let address = self.read(field);
        address & ((1 << align_bits) - 1) != 0 || self.too_wide(address)
    }

    /// Bits of linear addresses: 57 where the CPU can have five levels of page tables.
    fn linear_bits(&self) -> u32 {
        if self.msrs.cr4_fixed.1 & Cr4::LA57.bits() != 0 {
            57
        } else {
            48
        }
    }

    fn canonical(&self, address: u64) -> bool {
        matches!(address.cast_signed() >> (self.linear_bits() - 1), 0 | -1)
    }

    /// Less than canonical: the highest bit inside the width may differ from those beyond.
    fn upper_bits_identical(&self, address: u64) -> bool {
        matches!(address.cast_signed() >> self.linear_bits(), 0 | -1)
    }

    fn bad_linear(&self, field: Field) -> bool {
        !self.canonical(self.read(field))
    }
}

/// Whether some byte of a PAT is no memory type: 0, 1, 4, 5, 6 and 7 are.
fn bad_pat(pat: u64) -> bool {
    pat.to_le_bytes()
        .into_iter()
        .any(|entry| !matches!(entry, 0 | 1 | 4..=7))
}

/// A register with fixed bits: those of `.0` must be set, those outside `.1` must not. Bits in `free` are not checked.
fn breaks_fixed(value: u64, fixed: (u64, u64), free: u64) -> bool {
    (fixed.0 & !value | value & !fixed.1) & !free != 0
}
