//! KVM's paravirtual end of interrupt: a register by which a guest names a word of memory, in which it finds that an interrupt needs no
//! end (Linux, Documentation/virt/kvm/x86/msr.rst).

use crate::Gpa;
use crate::msr::GeneralProtection;

/// Where the word of this vCPU is, and bit 0: that it is.
pub const PV_EOI: u32 = 0x4b56_4d04;
/// The bit of CPUID leaf 1 of KVM's interface that belongs to it.
pub const FEATURE: u32 = 1 << 6;

/// Set by us: the interrupt in service needs no end. A handler that finds it set clears it, and writes no register.
pub const NO_END: u8 = 1;

const ENABLE: u64 = 1;
/// The word is aligned to 4 bytes.
const RESERVED: u64 = 1 << 1;

/// The word's address, if the register's new value names one.
pub fn place(value: u64) -> Result<Option<Gpa>, GeneralProtection> {
    match value & RESERVED {
        0 => Ok((value & ENABLE != 0).then_some(Gpa(value & !ENABLE))),
        _ => Err(GeneralProtection),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_register_names_an_aligned_word_or_none() {
        assert_eq!(place(0), Ok(None));
        assert_eq!(place(0x1000), Ok(None));
        assert_eq!(place(0x1005), Ok(Some(Gpa(0x1004))));
        assert_eq!(place(0x1003), Err(GeneralProtection));
    }
}
