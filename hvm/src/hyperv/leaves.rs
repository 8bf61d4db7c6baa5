//! The CPUID leaves (TLFS, 2.4).

use super::Enlightenments;
use crate::cpuid::Leaf;
use alloc::vec;
use alloc::vec::Vec;

/// Leaf 0: the signature by which guests know Hyper-V.
pub(crate) const SIGNATURE: [u8; 12] = *b"Microsoft Hv";
/// Leaf 1: the interface is that of this specification.
const INTERFACE: u32 = u32::from_le_bytes(*b"Hv#1");
/// Leaf 2: build 14393, version 10.0, of which guests know what it has.
const VERSION: Leaf = [14393, 10 << 16, 0, 0];
/// The most virtual processors (leaf 5).
const MAX_PROCESSORS: u32 = 64;
/// Leaf 4 EBX: a spin lock is never reported.
const NEVER_NOTIFY: u32 = u32::MAX;

/// Leaf 3 EAX: what of it each part lets the guest use.
const PRIVILEGES: [(Enlightenments, u32); 6] = [
    // Hypercall registers, and the index of the virtual processor.
    (Enlightenments::BASE, 1 << 5 | 1 << 6),
    (Enlightenments::TIME_REF_COUNT, 1 << 1),
    (Enlightenments::APIC, 1 << 4),
    (Enlightenments::REFERENCE_TSC, 1 << 9),
    (Enlightenments::FREQUENCIES, 1 << 11),
    (Enlightenments::INVARIANT_TSC, 1 << 15),
];
/// Leaf 3 EDX: the registers of rates exist.
const FREQUENCY_REGISTERS: u32 = 1 << 8;
/// Leaf 4 EAX: time limits of guests on themselves had better be lax.
const RELAXED_TIMING: u32 = 1 << 5;
/// Leaf 6 EAX: in use are bitmaps of MSRs, and two levels of address translation.
const HARDWARE: u32 = 1 << 1 | 1 << 3;

/// The leaves from 1 on.
pub(crate) fn leaves(offered: Enlightenments) -> Vec<Leaf> {
    let privileges = PRIVILEGES
        .iter()
        .filter(|(part, _)| offered.contains(*part))
        .fold(0, |sum, (_, bits)| sum | bits);
    let features = if offered.contains(Enlightenments::FREQUENCIES) {
        FREQUENCY_REGISTERS
    } else {
        0
    };
    vec![
        [INTERFACE, 0, 0, 0],
        VERSION,
        [privileges, 0, 0, features],
        [RELAXED_TIMING, NEVER_NOTIFY, 0, 0],
        [MAX_PROCESSORS, MAX_PROCESSORS, 0, 0],
        [HARDWARE, 0, 0, 0],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_privileges() {
        let privileges = |offered| leaves(offered)[2];
        assert_eq!(privileges(Enlightenments::BASE), [0x60, 0, 0, 0]);
        assert_eq!(
            privileges(Enlightenments::all()),
            [0x8a72, 0, 0, FREQUENCY_REGISTERS]
        );
        assert_eq!(leaves(Enlightenments::BASE)[0][0], 0x3123_7648);
        assert_eq!(leaves(Enlightenments::BASE).len(), 6);
    }
}
