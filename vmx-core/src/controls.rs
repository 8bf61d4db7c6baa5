//! Which controls a CPU allows, and which of them are used (SDM vol. 3C, 25.6 to 25.8; vol. 3D, appendix A).

use crate::bits::{basic, entry_controls, exit_controls, msr, pin, primary, secondary};
use hvm::capability::{Features, MsrSource, NestedPaging, Options};
use hvm::cpuid::{Source, physical_bits};
use hvm::vcpu::Hlt;

/// The CPU's VMX capability MSRs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msrs {
    /// IA32_VMX_BASIC.
    pub basic: u64,
    /// Pin-based controls, by the true MSR where there is one: the low half must be set, the high half may be.
    pub pin: u64,
    /// Primary processor-based controls, likewise.
    pub primary: u64,
    /// Secondary ones; 0 where there are none.
    pub secondary: u64,
    /// VM-exit controls, as the pin-based ones.
    pub exit: u64,
    /// VM-entry controls, likewise.
    pub entry: u64,
    /// IA32_VMX_MISC.
    pub misc: u64,
    /// IA32_VMX_CR0_FIXED0 (bits that must be set) and _FIXED1 (bits that may be).
    pub cr0_fixed: (u64, u64),
    /// The same for CR4.
    pub cr4_fixed: (u64, u64),
    /// IA32_VMX_EPT_VPID_CAP; 0 where there is neither EPT nor VPID.
    pub ept_vpid: u64,
    /// Width of physical addresses.
    pub physical_bits: u8,
}

impl Msrs {
    /// Reads those that this CPU has. It must offer VMX.
    pub fn read(cpuid: Source<'_>, rdmsr: MsrSource<'_>) -> Self {
        let basic = rdmsr(msr::IA32_VMX_BASIC);
        let control = |plain, exact| {
            rdmsr(if basic & basic::TRUE_CONTROLS != 0 {
                exact
            } else {
                plain
            })
        };
        let primary = control(
            msr::IA32_VMX_PROCBASED_CTLS,
            msr::IA32_VMX_TRUE_PROCBASED_CTLS,
        );
        let secondary = if allows(primary, primary::SECONDARY_CONTROLS) {
            rdmsr(msr::IA32_VMX_PROCBASED_CTLS2)
        } else {
            0
        };
        let has_ept_vpid = allows(secondary, secondary::EPT) || allows(secondary, secondary::VPID);
        Self {
            basic,
            pin: control(
                msr::IA32_VMX_PINBASED_CTLS,
                msr::IA32_VMX_TRUE_PINBASED_CTLS,
            ),
            primary,
            secondary,
            exit: control(msr::IA32_VMX_EXIT_CTLS, msr::IA32_VMX_TRUE_EXIT_CTLS),
            entry: control(msr::IA32_VMX_ENTRY_CTLS, msr::IA32_VMX_TRUE_ENTRY_CTLS),
            misc: rdmsr(msr::IA32_VMX_MISC),
            cr0_fixed: (
                rdmsr(msr::IA32_VMX_CR0_FIXED0),
                rdmsr(msr::IA32_VMX_CR0_FIXED1),
            ),
            cr4_fixed: (
                rdmsr(msr::IA32_VMX_CR4_FIXED0),
                rdmsr(msr::IA32_VMX_CR4_FIXED1),
            ),
            ept_vpid: if has_ept_vpid {
                rdmsr(msr::IA32_VMX_EPT_VPID_CAP)
            } else {
                0
            },
            physical_bits: physical_bits(cpuid),
        }
    }
}

/// Exit controls that switch EFER and PAT.
pub const EXIT_MSRS: u32 = exit_controls::SAVE_PAT
    | exit_controls::LOAD_PAT
    | exit_controls::SAVE_EFER
    | exit_controls::LOAD_EFER;
/// Entry controls that do.
pub const ENTRY_MSRS: u32 = entry_controls::LOAD_PAT | entry_controls::LOAD_EFER;

/// What shadow paging intercepts besides.
const SHADOW: u32 =
    primary::INVLPG_EXITING | primary::CR3_LOAD_EXITING | primary::CR3_STORE_EXITING;

/// True if a control's capability MSR lets it be set.
pub const fn allows(capability: u64, control: u32) -> bool {
    (capability >> 32) as u32 & control == control
}

/// The wanted controls that are allowed, and those that must be set.
const fn fit(wanted: u32, capability: u64) -> u32 {
    wanted & (capability >> 32) as u32 | capability as u32
}

/// The controls of a vCPU, in VMCS form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controls {
    /// Pin-based.
    pub pin: u32,
    /// Primary processor-based.
    pub primary: u32,
    /// Secondary processor-based.
    pub secondary: u32,
    /// VM-exit controls.
    pub exit: u32,
    /// VM-entry controls; those that depend on the guest's state are clear.
    pub entry: u32,
}

impl Controls {
    /// What this CPU can do of what we want. Of the options, those in `features` are used; `features` must come from the same CPU,
    /// and may have been cut.
    ///
    /// Exits are asked for where an instruction would reach the machine. CR3, INVLPG, RDTSC and page faults never exit
    /// where the CPU lets that be, and PAUSE only in loops, if asked for later.
    pub fn choose(msrs: &Msrs, features: &Features, hlt: Hlt) -> Self {
        let option = |option, control| {
            if features.options.contains(option) {
                control
            } else {
                0
            }
        };
        let nested = features.nested_paging != NestedPaging::Absent;
        let when = |condition, control| if condition { control } else { 0 };
        let pin = pin::EXTERNAL_INTERRUPT_EXITING
            | pin::NMI_EXITING
            | option(Options::VIRTUAL_NMI, pin::VIRTUAL_NMIS);
        let primary = primary::TSC_OFFSETTING
            | primary::MWAIT_EXITING
            | primary::RDPMC_EXITING
            | primary::IO_BITMAPS
            | primary::MSR_BITMAPS
            | primary::MONITOR_EXITING
            | primary::SECONDARY_CONTROLS
            | when(hlt == Hlt::Intercepted, primary::HLT_EXITING)
            | when(!nested, SHADOW)
            | if features.options.contains(Options::TPR_SHADOW) {
                primary::TPR_SHADOW
            } else {
                primary::CR8_LOAD_EXITING | primary::CR8_STORE_EXITING
            };
        let secondary = secondary::RDTSCP
            | when(nested, secondary::INVPCID | secondary::EPT)
            | when(features.tags > 0, secondary::VPID)
            | when(
                nested,
                option(Options::UNRESTRICTED_GUEST, secondary::UNRESTRICTED_GUEST),
            );
        let exit = exit_controls::SAVE_DEBUG
            | exit_controls::HOST_64_BIT
            | option(Options::MSR_CONTROLS, EXIT_MSRS);
        let entry = entry_controls::LOAD_DEBUG | option(Options::MSR_CONTROLS, ENTRY_MSRS);
        Self {
            pin: fit(pin, msrs.pin),
            primary: fit(primary, msrs.primary),
            secondary: fit(secondary, msrs.secondary),
            exit: fit(exit, msrs.exit),
            entry: fit(entry, msrs.entry),
        }
    }

    /// True if EFER and PAT are switched by these; otherwise by the MSR areas.
    pub const fn switch_msrs(&self) -> bool {
        self.entry & ENTRY_MSRS == ENTRY_MSRS && self.exit & EXIT_MSRS == EXIT_MSRS
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hvm::capability::ApicVirtualization;

    /// A CPU that allows everything and insists on the default-1 bits that the true MSRs leave.
    pub(crate) fn generous() -> Msrs {
        const ANY: u64 = 0xffff_ffff << 32;
        Msrs {
            basic: 0x00da_0400_0000_0012,
            pin: ANY | 0x16,
            primary: ANY | 0x0400_6172,
            secondary: ANY,
            exit: ANY | 0x0003_6dfb,
            entry: ANY | 0x11fb,
            misc: 0x1e5,
            cr0_fixed: (0x8000_0021, 0xffff_ffff),
            cr4_fixed: (0x2000, 0x0037_67ff),
            ept_vpid: 0x0f01_0633_4141,
            physical_bits: 39,
        }
    }

    pub(crate) fn features(options: Options) -> Features {
        Features {
            nested_paging: NestedPaging::Huge,
            tags: 0xffff,
            apic_virtualization: ApicVirtualization::Absent,
            options,
        }
    }

    #[test]
    fn options_that_were_cut_are_not_used() {
        let all = Controls::choose(&generous(), &features(Options::all()), Hlt::Native);
        assert_ne!(all.secondary & secondary::UNRESTRICTED_GUEST, 0);
        assert_ne!(all.primary & primary::TPR_SHADOW, 0);
        assert_eq!(all.primary & primary::CR8_LOAD_EXITING, 0);
        assert_eq!(
            all.primary & (primary::HLT_EXITING | primary::CR3_LOAD_EXITING),
            0
        );
        assert!(all.switch_msrs());

        let none = Controls::choose(&generous(), &features(Options::empty()), Hlt::Intercepted);
        assert_eq!(none.secondary & secondary::UNRESTRICTED_GUEST, 0);
        assert_eq!(none.pin & pin::VIRTUAL_NMIS, 0);
        assert_ne!(none.primary & primary::CR8_LOAD_EXITING, 0);
        assert_ne!(none.primary & primary::HLT_EXITING, 0);
    }

    #[test]
    fn what_the_cpu_lacks_is_left_and_what_it_insists_on_is_set() {
        let poor = Msrs {
            entry: (0x13ff << 32) | 0x11ff,
            exit: (0x3_7fff << 32) | 0x3_6dff,
            primary: generous().primary | u64::from(primary::CR3_LOAD_EXITING),
            ..generous()
        };
        let chosen = Controls::choose(&poor, &features(Options::all()), Hlt::Native);
        assert!(!chosen.switch_msrs());
        assert_ne!(chosen.primary & primary::CR3_LOAD_EXITING, 0);
        assert_ne!(chosen.exit & exit_controls::HOST_64_BIT, 0);
    }

    #[test]
    fn msrs_that_are_not_there_are_not_read() {
        let old = |register| match register {
            msr::IA32_VMX_BASIC => 0,
            msr::IA32_VMX_PROCBASED_CTLS => 0x7fff_ffff << 32,
            msr::IA32_VMX_PROCBASED_CTLS2
            | msr::IA32_VMX_EPT_VPID_CAP
            | msr::IA32_VMX_TRUE_PINBASED_CTLS..=msr::IA32_VMX_TRUE_ENTRY_CTLS => {
                panic!("MSR {register:#x} may not exist")
            }
            _ => 0,
        };
        let found = Msrs::read(&|_, _| [0; 4], &old);
        assert_eq!((found.secondary, found.ept_vpid), (0, 0));
    }
}
