//! The host's memory type range registers: which memory type firmware gave each physical address (SDM vol. 3A, 12.11).
//!
//! The hypervisor maps RAM as write-back, which leaves the choice to the MTRRs (table 12-7), so their type is the type that its
//! own accesses have. Nested tables that the MTRRs do not reach must repeat it: see [`ept_npt::ept::Ept`].
//!
//! Registers for system-management memory (SMRR) are not looked at: they change what is seen of memory that the memory map keeps
//! from us. Neither is AMD's SYSCFG, whose bits turn memory above 4 GiB write-back (APM vol. 2, 7.9.5): there the types found
//! here are only used to keep pages from lying across them.

use alloc::vec::Vec;
use boot::PhysRange;
use ept_npt::MemoryType;
use hvm::capability::MsrSource;

/// CPUID leaf 1, EDX: the registers exist.
const CPUID_MTRR: u32 = 1 << 12;

const MTRR_CAP: u32 = 0xfe;
const CAP_VARIABLE_COUNT: u64 = 0xff;
const CAP_FIXED: u64 = 1 << 8;

const DEFAULT_TYPE: u32 = 0x2ff;
const DEFAULT_FIXED_ENABLE: u64 = 1 << 10;
const DEFAULT_ENABLE: u64 = 1 << 11;
const TYPE: u64 = 0xff;

/// The first base; masks and further bases follow in turn.
const PHYSICAL_BASE_0: u32 = 0x200;
const MASK_VALID: u64 = 1 << 11;
const PAGE_MASK: u64 = 0xfff;

/// The fixed-range registers in the order of what they cover (table 12-9), by the size of the eight pieces of each.
const FIXED: [(u32, u64); 11] = [
    (0x250, 64 << 10),
    (0x258, 16 << 10),
    (0x259, 16 << 10),
    (0x268, 4 << 10),
    (0x269, 4 << 10),
    (0x26a, 4 << 10),
    (0x26b, 4 << 10),
    (0x26c, 4 << 10),
    (0x26d, 4 << 10),
    (0x26e, 4 << 10),
    (0x26f, 4 << 10),
];
/// Where the fixed ranges end.
const FIXED_END: u64 = 1 << 20;

/// A register pair: addresses that agree with `base` in all bits of `mask` have the type. That need not be one stretch.
#[derive(Clone, Copy, Debug)]
struct Variable {
    base: u64,
    mask: u64,
    memory_type: MemoryType,
}

impl Variable {
    /// Whether an address belongs to it, and the last address up to which that stays so for certain.
    fn covers(&self, address: u64) -> (bool, u64) {
        // Addresses that share the bits above the lowest one compared belong together; where some compared bit differs, so do
        // all that share this bit and those above.
        let differing = (address ^ self.base) & self.mask;
        let shared = match differing.checked_ilog2() {
            None => self.mask.trailing_zeros(),
            Some(highest) => highest,
        };
        let below = 1_u64.checked_shl(shared).map_or(u64::MAX, |bit| bit - 1);
        (differing == 0, address | below)
    }
}

/// What the registers say. They are to be the same on all CPUs (SDM vol. 3A, 12.11.8).
#[derive(Clone, Debug)]
pub struct Mtrrs {
    default: MemoryType,
    /// Types of the fixed ranges, eight to a register of [`FIXED`], if they are enabled.
    fixed: Option<[u64; FIXED.len()]>,
    variable: Vec<Variable>,
}

impl Mtrrs {
    /// The registers of the CPU that runs this. Where CPUID denies them (a hypervisor below us may), page tables alone decide, and
    /// ours say write-back.
    pub fn of_this_cpu() -> Self {
        if core::arch::x86_64::__cpuid(1).edx & CPUID_MTRR == 0 {
            return Self::uniform(MemoryType::WriteBack);
        }
        // SAFETY: CPUID offers the registers; `read` reads those only that the capability register counts.
        Self::read(&|msr| unsafe { x86::msr::rdmsr(msr) })
    }

    /// The registers by `rdmsr`, which must have them. Reads only those that their capability register announces.
    pub fn read(rdmsr: MsrSource<'_>) -> Self {
        let capability = rdmsr(MTRR_CAP);
        let default = rdmsr(DEFAULT_TYPE);
        if default & DEFAULT_ENABLE == 0 {
            return Self::uniform(MemoryType::Uncacheable);
        }
        let fixed = capability & CAP_FIXED != 0 && default & DEFAULT_FIXED_ENABLE != 0;
        let variable = (0..(capability & CAP_VARIABLE_COUNT) as u32).filter_map(|index| {
            let base = rdmsr(PHYSICAL_BASE_0 + 2 * index);
            let mask = rdmsr(PHYSICAL_BASE_0 + 2 * index + 1);
            (mask & MASK_VALID != 0).then_some(Variable {
                base: base & !PAGE_MASK,
                mask: mask & !PAGE_MASK,
                memory_type: decode(base & TYPE),
            })
        });
        Self {
            default: decode(default & TYPE),
            fixed: fixed.then(|| FIXED.map(|(msr, _)| rdmsr(msr))),
            variable: variable.collect(),
        }
    }

    fn uniform(memory_type: MemoryType) -> Self {
        Self {
            default: memory_type,
            fixed: None,
            variable: Vec::new(),
        }
    }

    /// A range of whole pages cut into the fewest pieces of one type each, in order.
    pub fn pieces(&self, range: PhysRange) -> impl Iterator<Item = (PhysRange, MemoryType)> {
        let end = range.base.saturating_add(range.bytes);
        let mut base = range.base;
        core::iter::from_fn(move || {
            let (memory_type, mut next) = self.stretch(base, end)?;
            while let Some((same, further)) = self.stretch(next, end)
                && same == memory_type
            {
                next = further;
            }
            let piece = PhysRange {
                base,
                bytes: next - base,
            };
            base = next;
            Some((piece, memory_type))
        })
    }

    /// The type at `base`, and an address up to which it stays, at most `end`. `None` at the end.
    fn stretch(&self, base: u64, end: u64) -> Option<(MemoryType, u64)> {
        if base >= end {
            return None;
        }
        let (memory_type, last) = match self.fixed {
            Some(registers) if base < FIXED_END => fixed(&registers, base),
            _ => self.variable(base),
        };
        Some((memory_type, last.saturating_add(1).min(end)))
    }

    /// The type by the variable ranges (12.11.4.1), and the last address that has it for certain.
    fn variable(&self, address: u64) -> (MemoryType, u64) {
        let (found, last) = self
            .variable
            .iter()
            .fold((None, u64::MAX), |(found, last), range| {
                let (covered, until) = range.covers(address);
                let found = if covered {
                    Some(found.map_or(range.memory_type, |other| overlap(other, range.memory_type)))
                } else {
                    found
                };
                (found, last.min(until))
            });
        (found.unwrap_or(self.default), last)
    }
}

/// The type by the fixed ranges, below 1 MiB, and the last address of the piece.
fn fixed(registers: &[u64; FIXED.len()], address: u64) -> (MemoryType, u64) {
    let mut base = 0;
    for (value, (_, piece)) in registers.iter().zip(FIXED) {
        if address < base + 8 * piece {
            let index = (address - base) / piece;
            return (
                decode(value >> (8 * index) & TYPE),
                base + (index + 1) * piece - 1,
            );
        }
        base += 8 * piece;
    }
    (MemoryType::Uncacheable, FIXED_END - 1)
}

/// Where ranges overlap (12.11.4.1). Pairs that the manual leaves undefined are uncacheable here, the type that is wrong nowhere.
fn overlap(one: MemoryType, other: MemoryType) -> MemoryType {
    use MemoryType::{Uncacheable, WriteBack, WriteThrough};
    match (one, other) {
        _ if one == other => one,
        (WriteThrough, WriteBack) | (WriteBack, WriteThrough) => WriteThrough,
        _ => Uncacheable,
    }
}

/// A type field; the reserved values cannot be written, and count as uncacheable.
fn decode(encoding: u64) -> MemoryType {
    MemoryType::from_encoding(encoding).unwrap_or(MemoryType::Uncacheable)
}

#[cfg(test)]
mod tests {
    use super::MemoryType::*;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::vec;

    const ENABLED: u64 = DEFAULT_ENABLE | DEFAULT_FIXED_ENABLE;
    const WIDTH: u64 = (1 << 39) - 1;

    /// MSRs in which reading what is not announced fails the test.
    fn read(values: &BTreeMap<u32, u64>) -> Mtrrs {
        Mtrrs::read(&|msr| {
            *values
                .get(&msr)
                .unwrap_or_else(|| panic!("MSR {msr:#x} may not exist"))
        })
    }

    fn msrs(default: u64, variable: &[(u64, u64)]) -> BTreeMap<u32, u64> {
        let mut values: BTreeMap<_, _> = FIXED
            .iter()
            .map(|(msr, _)| (*msr, 0x0606_0606_0606_0606))
            .collect();
        values.insert(MTRR_CAP, variable.len() as u64 | CAP_FIXED);
        values.insert(DEFAULT_TYPE, default);
        for (at, &(base, mask)) in (PHYSICAL_BASE_0..).step_by(2).zip(variable) {
            values.extend([(at, base), (at + 1, mask)]);
        }
        values
    }

    /// A contiguous range as firmware writes it.
    fn range(base: u64, bytes: u64, memory_type: MemoryType) -> (u64, u64) {
        (
            base | memory_type.encoding(),
            WIDTH & !(bytes - 1) | MASK_VALID,
        )
    }

    fn pieces(mtrrs: &Mtrrs, base: u64, end: u64) -> Vec<(u64, u64, MemoryType)> {
        let bytes = end - base;
        mtrrs
            .pieces(PhysRange { base, bytes })
            .map(|(piece, memory_type)| (piece.base, piece.base + piece.bytes, memory_type))
            .collect()
    }

    #[test]
    fn a_pc_with_a_hole_below_4_gib() {
        let mut values = msrs(ENABLED | 6, &[range(0xc000_0000, 1 << 30, Uncacheable)]);
        values.insert(0x259, 0);
        values.insert(0x26f, 0x0505_0505_0606_0606);
        assert_eq!(
            pieces(&read(&values), 0, 8 << 30),
            [
                (0, 0xa_0000, WriteBack),
                (0xa_0000, 0xc_0000, Uncacheable),
                (0xc_0000, 0xf_c000, WriteBack),
                (0xf_c000, 0x10_0000, WriteProtected),
                (0x10_0000, 3 << 30, WriteBack),
                (3 << 30, 4 << 30, Uncacheable),
                (4 << 30, 8 << 30, WriteBack),
            ]
        );
    }

    #[test]
    fn overlaps_follow_the_manual() {
        let mib = 1 << 20;
        let variable = [
            range(0, 16 * mib, WriteBack),
            range(4 * mib, 4 * mib, WriteThrough),
            range(6 * mib, mib, Uncacheable),
            range(8 * mib, mib, WriteCombining),
            range(32 * mib, 16 * mib, WriteCombining),
            // Not valid.
            (64 * mib | 6, WIDTH & !(mib - 1)),
        ];
        assert_eq!(
            pieces(&read(&msrs(DEFAULT_ENABLE, &variable)), 0, 128 * mib),
            [
                (0, 4 * mib, WriteBack),
                (4 * mib, 6 * mib, WriteThrough),
                (6 * mib, 7 * mib, Uncacheable),
                (7 * mib, 8 * mib, WriteThrough),
                (8 * mib, 9 * mib, Uncacheable),
                (9 * mib, 16 * mib, WriteBack),
                (16 * mib, 32 * mib, Uncacheable),
                (32 * mib, 48 * mib, WriteCombining),
                (48 * mib, 128 * mib, Uncacheable),
            ]
        );
    }

    #[test]
    fn a_range_may_be_of_several_stretches() {
        // Bit 30 and those from 32 on are compared; bit 31 is not.
        let split = (6, WIDTH & !0xffff_ffff | 1 << 30 | MASK_VALID);
        assert_eq!(
            pieces(&read(&msrs(DEFAULT_ENABLE, &[split])), 0, 8 << 30),
            [
                (0, 1 << 30, WriteBack),
                (1 << 30, 2 << 30, Uncacheable),
                (2 << 30, 3 << 30, WriteBack),
                (3 << 30, 8 << 30, Uncacheable),
            ]
        );
    }

    #[test]
    fn turned_off_everything_is_uncacheable() {
        let off = msrs(6 | DEFAULT_FIXED_ENABLE, &[range(0, 1 << 30, WriteBack)]);
        assert_eq!(pieces(&read(&off), 0, 1 << 40), [(0, 1 << 40, Uncacheable)]);
        let none = Mtrrs::uniform(WriteBack);
        assert_eq!(pieces(&none, 0x1000, 0x3000), [(0x1000, 0x3000, WriteBack)]);
        assert_eq!(pieces(&none, 0x1000, 0x1000), []);
        let top = !0xfff;
        assert_eq!(pieces(&none, top, u64::MAX), [(top, u64::MAX, WriteBack)]);
    }

    #[test]
    fn fixed_ranges_that_do_not_exist_are_not_read() {
        let values = BTreeMap::from([(MTRR_CAP, 0), (DEFAULT_TYPE, ENABLED | 4)]);
        assert_eq!(
            pieces(&read(&values), 0, 1 << 20),
            [(0, 1 << 20, WriteThrough)]
        );
    }

    /// The rules for one byte, without a thought for ranges.
    fn type_of_byte(values: &BTreeMap<u32, u64>, address: u64) -> MemoryType {
        let default = values[&DEFAULT_TYPE];
        if default >> 11 & 1 == 0 {
            return Uncacheable;
        }
        if default >> 10 & 1 == 1 && address < 0x10_0000 {
            let (msr, piece) = match address {
                0..0x8_0000 => (0x250, address >> 16),
                0x8_0000..0xc_0000 => (0x258 + (address >> 17 & 1) as u32, address >> 14 & 7),
                _ => (0x268 + (address >> 15 & 7) as u32, address >> 12 & 7),
            };
            return decode(values[&msr] >> (8 * piece) & 0xff);
        }
        let mut matching = vec![];
        for pair in 0..(values[&MTRR_CAP] & 0xff) as u32 {
            let (base, mask) = (values[&(0x200 + 2 * pair)], values[&(0x201 + 2 * pair)]);
            let compared = mask >> 12;
            if mask >> 11 & 1 == 1 && address >> 12 & compared == base >> 12 & compared {
                matching.push(decode(base & 0xff));
            }
        }
        match matching.as_slice() {
            [] => decode(default & 0xff),
            [first, others @ ..] if others.iter().all(|other| other == first) => *first,
            all if all
                .iter()
                .all(|one| matches!(one, WriteThrough | WriteBack)) =>
            {
                WriteThrough
            }
            _ => Uncacheable,
        }
    }

    fn encoding() -> impl Strategy<Value = u64> {
        prop::sample::select(vec![0_u64, 1, 4, 5, 6])
    }

    /// Ranges of any shape in the lowest 4 MiB, seldom beyond.
    fn any_variable() -> impl Strategy<Value = (u64, u64)> {
        let pages = prop_oneof![
            9 => (0_u64..1024, 0_u64..11).prop_map(|(base, order)| (base, !0_u64 << order)),
            1 => (0_u64..4096, any::<u64>()),
        ];
        (pages, encoding(), prop::bool::weighted(0.9)).prop_map(
            |((base, mask), memory_type, valid)| {
                let valid = if valid { MASK_VALID } else { 0 };
                (base << 12 | memory_type, mask << 12 & WIDTH | valid)
            },
        )
    }

    fn any_msrs() -> impl Strategy<Value = BTreeMap<u32, u64>> {
        (
            encoding(),
            prop::sample::select(vec![ENABLED, ENABLED, DEFAULT_ENABLE, 0]),
            prop::collection::vec(any_variable(), 0..6),
            prop::collection::vec(prop::collection::vec(encoding(), 8), FIXED.len()),
        )
            .prop_map(|(default, enable, variable, fixed)| {
                let mut values = msrs(default | enable, &variable);
                for ((msr, _), types) in FIXED.iter().zip(fixed) {
                    let value = types.iter().rev().fold(0, |all, one| all << 8 | one);
                    values.insert(*msr, value);
                }
                values
            })
    }

    proptest! {
        #[test]
        fn every_byte_has_its_type(values in any_msrs(), base in 0_u64..1024, pages in 1_u64..512) {
            let mtrrs = read(&values);
            let mut at = base << 12;
            let mut before = None;
            for (piece, memory_type) in mtrrs.pieces(PhysRange { base: at, bytes: pages << 12 }) {
                prop_assert_eq!(piece.base, at);
                prop_assert!(piece.bytes > 0);
                prop_assert_ne!(before, Some(memory_type), "pieces that touch differ");
                // No rule looks at an address more closely than to its page.
                for page in (at..at + piece.bytes).step_by(4096) {
                    prop_assert_eq!(type_of_byte(&values, page), memory_type);
                    prop_assert_eq!(type_of_byte(&values, page | 0xfff), memory_type);
                }
                at += piece.bytes;
                before = Some(memory_type);
            }
            prop_assert_eq!(at, (base + pages) << 12);
        }
    }
}
