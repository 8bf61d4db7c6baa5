//! Checks on the host-state area (SDM vol. 3C, 27.2.2 to 27.2.4).

use super::{Rule, State, bad_pat, breaks_fixed};
use crate::bits::exit_controls;
use crate::vmcs::Field;
use hvm::regs::{Cr0, Cr4, Efer};

/// RPL and TI of a selector.
const RPL_TI: u64 = 7;

pub(super) const RULES: &[Rule] = &[
    (
        // VM exits leave NW and CD alone, so they are not looked at.
        |s| {
            let free = (Cr0::NW | Cr0::CD).bits();
            breaks_fixed(s.read(Field::HostCr0), s.msrs.cr0_fixed, free)
        },
        "host CR0: bits that VMX operation fixes must be as IA32_VMX_CR0_FIXED0 and FIXED1 have them (SDM 3C, 27.2.2)",
    ),
    (
        |s| breaks_fixed(s.read(Field::HostCr4), s.msrs.cr4_fixed, 0),
        "host CR4: bits that VMX operation fixes must be as IA32_VMX_CR4_FIXED0 and FIXED1 have them (SDM 3C, 27.2.2)",
    ),
    (
        |s| s.has(Field::HostCr4, CR4_CET) && !s.has(Field::HostCr0, Cr0::WP.bits()),
        "host CR4: CET (bit 23) needs CR0.WP (SDM 3C, 27.2.2)",
    ),
    (
        |s| s.too_wide(s.read(Field::HostCr3)),
        "host CR3: bits beyond the physical-address width must be 0 (SDM 3C, 27.2.2)",
    ),
    (
        |s| s.bad_linear(Field::HostSysenterEsp),
        "host IA32_SYSENTER_ESP: must be canonical (SDM 3C, 27.2.2)",
    ),
    (
        |s| s.bad_linear(Field::HostSysenterEip),
        "host IA32_SYSENTER_EIP: must be canonical (SDM 3C, 27.2.2)",
    ),
    (
        |s| s.exit(exit_controls::LOAD_PAT) && bad_pat(s.read(Field::HostPat)),
        "host IA32_PAT: each byte must be 0, 1, 4, 5, 6 or 7 (SDM 3C, 27.2.2)",
    ),
    (
        |s| s.exit(exit_controls::LOAD_EFER) && s.has(Field::HostEfer, EFER_RESERVED),
        "host IA32_EFER: reserved bits must be 0 (SDM 3C, 27.2.2)",
    ),
    (
        |s| s.exit(exit_controls::LOAD_EFER) && !efer_fits_address_space(s),
        "host IA32_EFER: LMA and LME must each be as \"host address-space size\" (SDM 3C, 27.2.2)",
    ),
    (
        |s| {
            const SELECTORS: [Field; 7] = [
                Field::HostEsSelector,
                Field::HostCsSelector,
                Field::HostSsSelector,
                Field::HostDsSelector,
                Field::HostFsSelector,
                Field::HostGsSelector,
                Field::HostTrSelector,
            ];
            SELECTORS
                .into_iter()
                .any(|selector| s.has(selector, RPL_TI))
        },
        "host selectors of ES, CS, SS, DS, FS, GS and TR: RPL and TI (bits 2:0) must be 0 (SDM 3C, 27.2.3)",
    ),
    (
        |s| s.read(Field::HostCsSelector) == 0,
        "host CS selector: must not be 0 (SDM 3C, 27.2.3)",
    ),
    (
        |s| s.read(Field::HostTrSelector) == 0,
        "host TR selector: must not be 0 (SDM 3C, 27.2.3)",
    ),
    (
        |s| s.bad_linear(Field::HostFsBase),
        "host FS base: must be canonical (SDM 3C, 27.2.3)",
    ),
    (
        |s| s.bad_linear(Field::HostGsBase),
        "host GS base: must be canonical (SDM 3C, 27.2.3)",
    ),
    (
        |s| s.bad_linear(Field::HostGdtrBase),
        "host GDTR base: must be canonical (SDM 3C, 27.2.3)",
    ),
    (
        |s| s.bad_linear(Field::HostIdtrBase),
        "host IDTR base: must be canonical (SDM 3C, 27.2.3)",
    ),
    (
        |s| s.bad_linear(Field::HostTrBase),
        "host TR base: must be canonical (SDM 3C, 27.2.3)",
    ),
    (
        |s| !s.exit(exit_controls::HOST_64_BIT),
        "VM-exit controls: \"host address-space size\" must be 1 for a hypervisor in IA-32e mode (SDM 3C, 27.2.4)",
    ),
    (
        |s| !s.has(Field::HostCr4, Cr4::PAE.bits()),
        "host CR4: PAE must be 1 (SDM 3C, 27.2.4)",
    ),
    (
        |s| s.bad_linear(Field::HostRip),
        "host RIP: must be canonical (SDM 3C, 27.2.4)",
    ),
];

/// Control-flow enforcement, for which hvm has no name as no guest is offered it.
pub(super) const CR4_CET: u64 = 1 << 23;

/// Intel's register has SCE, LME, LMA and NXE.
pub(super) const EFER_RESERVED: u64 = !(1 | Efer::LME.bits() | Efer::LMA.bits() | Efer::NXE.bits());

fn efer_fits_address_space(s: &State<'_>) -> bool {
    let long = (Efer::LME | Efer::LMA).bits();
    let wanted = if s.exit(exit_controls::HOST_64_BIT) {
        long
    } else {
        0
    };
    s.read(Field::HostEfer) & long == wanted
}
