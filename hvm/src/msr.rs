//! Model-specific registers: which belong to the guest outright, and what the others answer.
//!
//! Passed-through registers are swapped by the world switch or used by nobody but the guest. Emulated ones hold what
//! firmware would have set up. All others raise #GP(0), as registers that a CPU does not have do.

use crate::regs::PAT_RESET;
use serde::{Deserialize, Serialize};

/// An access that the CPU answers with #GP(0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneralProtection;

/// Time-stamp counter.
pub const IA32_TSC: u32 = 0x10;
/// Local APIC base and mode.
pub const IA32_APIC_BASE: u32 = 0x1b;
/// What software has added to the time-stamp counter.
pub const IA32_TSC_ADJUST: u32 = 0x3b;
/// Deadline of the local APIC's timer.
pub const IA32_TSC_DEADLINE: u32 = 0x6e0;
/// First register of the local APIC in x2APIC mode.
pub const X2APIC_FIRST: u32 = 0x800;
/// Last one.
pub const X2APIC_LAST: u32 = 0x8ff;
/// Extended feature enable.
pub const EFER: u32 = 0xc000_0080;

/// The page-attribute table: the guest's under nested paging, where the control block holds it. Shadow tables go by the host's.
pub const PAT: u32 = 0x277;
/// Always the guest's: SYSENTER, SYSCALL, FS/GS bases.
pub const PASS_THROUGH: &[u32] = &[
    0x174,
    0x175,
    0x176,
    0xc000_0081,
    0xc000_0082,
    0xc000_0083,
    0xc000_0084,
    0xc000_0100,
    0xc000_0101,
    0xc000_0102,
];
/// The guest's where CPUID offers RDTSCP.
pub const TSC_AUX: u32 = 0xc000_0103;
/// The guest's where CPUID offers speculation control: SPEC_CTRL, PRED_CMD.
pub const SPECULATION: &[u32] = &[SPEC_CTRL, 0x49];
/// SPEC_CTRL, which keeps its value.
pub const SPEC_CTRL: u32 = 0x48;

const MTRR_CAP: u32 = 0xfe;
const MTRR_VARIABLE: core::ops::RangeInclusive<u32> = 0x200..=0x20f;
const MTRR_DEFAULT: u32 = 0x2ff;
/// Eight variable ranges, fixed ranges, write-combining (SDM vol. 3A, 12.11.1).
const MTRR_CAP_VALUE: u64 = 0x508;
/// Registers that read zero and take writes without effect: machine-check with no bank, platform id, microcode loading,
/// AMD's performance counters (announced nowhere), northbridge, OS-visible workarounds, MMIO configuration.
const INERT: &[core::ops::RangeInclusive<u32>] = &[
    0x17..=0x17,
    0x79..=0x79,
    0x179..=0x17a,
    0x1d9..=0x1d9,
    0xc001_0000..=0xc001_0007,
    0xc001_001f..=0xc001_0020,
    0xc001_0055..=0xc001_0058,
    0xc001_0061..=0xc001_0068,
    0xc001_1020..=0xc001_1028,
];
const MICROCODE_LEVEL: u32 = 0x8b;
const MISC_ENABLE: u32 = 0x1a0;
const SYSCFG: u32 = 0xc001_0010;
const HWCR: u32 = 0xc001_0015;
const DE_CFG: u32 = 0xc001_1029;

/// The emulated registers of one vCPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bank {
    microcode_level: u64,
    misc_enable: u64,
    syscfg: u64,
    hwcr: u64,
    de_cfg: u64,
    pat: u64,
    mtrr_default: u64,
    mtrr_variable: [u64; 16],
    mtrr_fixed: [u64; 11],
}

impl Bank {
    /// As firmware leaves them: RAM write-back, VGA memory uncached, everything from `pci_hole` to 4 GiB uncached.
    /// `microcode_level` is what the host's register 8Bh says; `address_bits` the physical address width.
    pub fn new(microcode_level: u64, pci_hole: u64, address_bits: u32) -> Self {
        const WRITE_BACK: u64 = 0x0606_0606_0606_0606;
        const VALID: u64 = 1 << 11;
        let mut mtrr_fixed = [WRITE_BACK; 11];
        mtrr_fixed[2] = 0;
        let mut mtrr_variable = [0; 16];
        mtrr_variable[0] = pci_hole;
        mtrr_variable[1] =
            ((1_u64 << address_bits.min(52)) - 1) & !((1 << 32) - pci_hole - 1) & !0xfff | VALID;
        Self {
            microcode_level,
            // Fast strings.
            misc_enable: 1,
            syscfg: 0,
            // TSC counts at the P0 frequency.
            hwcr: 1 << 24,
            // LFENCE serializes.
            de_cfg: 2,
            pat: PAT_RESET,
            // Enabled, fixed ranges enabled, default write-back.
            mtrr_default: 0xc06,
            mtrr_variable,
            mtrr_fixed,
        }
    }

    /// RDMSR.
    pub fn read(&self, msr: u32) -> Result<u64, GeneralProtection> {
        Ok(match msr {
            MTRR_CAP => MTRR_CAP_VALUE,
            MICROCODE_LEVEL => self.microcode_level,
            MISC_ENABLE => self.misc_enable,
            SYSCFG => self.syscfg,
            HWCR => self.hwcr,
            DE_CFG => self.de_cfg,
            PAT => self.pat,
            MTRR_DEFAULT => self.mtrr_default,
            _ if MTRR_VARIABLE.contains(&msr) => {
                self.mtrr_variable[(msr - MTRR_VARIABLE.start()) as usize]
            }
            _ => match fixed_index(msr) {
                Some(index) => self.mtrr_fixed[index],
                None if INERT.iter().any(|range| range.contains(&msr)) => 0,
                None => return Err(GeneralProtection),
            },
        })
    }

    /// WRMSR.
    pub fn write(&mut self, msr: u32, value: u64) -> Result<(), GeneralProtection> {
        match msr {
            MTRR_CAP => return Err(GeneralProtection),
            MICROCODE_LEVEL => {}
            MISC_ENABLE => self.misc_enable = value,
            SYSCFG => self.syscfg = value,
            HWCR => self.hwcr = value,
            DE_CFG => self.de_cfg = value,
            PAT if !value.to_le_bytes().into_iter().all(valid_pat) => {
                return Err(GeneralProtection);
            }
            PAT => self.pat = value,
            MTRR_DEFAULT => {
                if value & !0xcff != 0 || !valid_type(value as u8) {
                    return Err(GeneralProtection);
                }
                self.mtrr_default = value;
            }
            _ if MTRR_VARIABLE.contains(&msr) => {
                let index = (msr - MTRR_VARIABLE.start()) as usize;
                if index.is_multiple_of(2) && (!valid_type(value as u8) || value & 0xf00 != 0) {
                    return Err(GeneralProtection);
                }
                self.mtrr_variable[index] = value;
            }
            _ => match fixed_index(msr) {
                Some(index)
                    if value
                        .to_le_bytes()
                        .into_iter()
                        .all(|byte| valid_type(byte & 7)) =>
                {
                    self.mtrr_fixed[index] = value;
                }
                None if INERT.iter().any(|range| range.contains(&msr)) => {}
                _ => return Err(GeneralProtection),
            },
        }
        Ok(())
    }
}

/// Memory types that exist: UC, WC, WT, WP, WB (SDM vol. 3A, table 12-8).
const fn valid_type(memory_type: u8) -> bool {
    matches!(memory_type, 0 | 1 | 4 | 5 | 6)
}

/// As above, and uncached unless an MTRR says otherwise (SDM vol. 3A, table 12-10).
const fn valid_pat(memory_type: u8) -> bool {
    valid_type(memory_type) || memory_type == 7
}

/// The place of a fixed-range MTRR in the bank: 64 KiB, 2 × 16 KiB, 8 × 4 KiB.
const fn fixed_index(msr: u32) -> Option<usize> {
    match msr {
        0x250 => Some(0),
        0x258 => Some(1),
        0x259 => Some(2),
        0x268..=0x26f => Some((msr - 0x268 + 3) as usize),
        _ => None,
    }
}

/// The bits of EFER that a guest may set: SCE, LME, LMA, NXE, FFXSR.
const EFER_ALLOWED: u64 = 1 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 14;

/// Checks a write to EFER: the value to store, with LMA as the CPU keeps it (APM vol. 2, 3.1.7; SDM vol. 3A, 4.1.1).
pub fn checked_efer(old: u64, new: u64, cr0: u64) -> Result<u64, GeneralProtection> {
    use crate::regs::{Cr0, Efer};
    let toggled_lme = (old ^ new) & Efer::LME.bits() != 0;
    if new & !EFER_ALLOWED != 0 || (toggled_lme && cr0 & Cr0::PG.bits() != 0) {
        return Err(GeneralProtection);
    }
    Ok(new & !Efer::LMA.bits() | old & Efer::LMA.bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bank() -> Bank {
        Bank::new(0, 0xc000_0000, 40)
    }

    #[test]
    fn the_hole_below_4_gib_is_uncached() {
        assert_eq!(bank().read(0x200), Ok(0xc000_0000));
        assert_eq!(bank().read(0x201), Ok(0xff_c000_0800));
        assert_eq!(bank().read(0x259), Ok(0));
        assert_eq!(bank().read(0x2ff), Ok(0xc06));
    }

    #[test]
    fn registers_that_no_cpu_has_fault() {
        assert_eq!(bank().read(0x1234), Err(GeneralProtection));
        assert_eq!(bank().write(0x4b56_4d00, 0), Err(GeneralProtection));
        assert_eq!(bank().write(0xfe, 0), Err(GeneralProtection));
        assert_eq!(bank().write(0x2ff, 2), Err(GeneralProtection));
    }

    #[test]
    fn efer_keeps_the_architecture() {
        assert_eq!(checked_efer(0x500, 0x901, 1 << 31), Ok(0xd01));
        assert_eq!(checked_efer(0x500, 0x001, 1 << 31), Err(GeneralProtection));
        assert_eq!(checked_efer(0, 0x1000, 0), Err(GeneralProtection));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_or_refused(msr: u32, value: u64) {
            let mut bank = bank();
            if bank.write(msr, value).is_ok() {
                prop_assert!(bank.read(msr).is_ok());
            }
        }
    }
}
