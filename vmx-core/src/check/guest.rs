//! Checks on guest control registers, debug registers and MSRs (SDM vol. 3C, 27.3.1.1).

use super::host::{CR4_CET, EFER_RESERVED};
use super::{Rule, State, bad_pat, breaks_fixed};
use crate::bits::{debugctl, entry_controls};
use crate::vmcs::Field;
use hvm::regs::{Cr0, Cr4, Efer};

pub(super) const RULES: &[Rule] = &[
    (
        breaks_fixed_cr0,
        "guest CR0: bits that VMX operation fixes must be as IA32_VMX_CR0_FIXED0 and FIXED1 have them, but for PE and PG of an unrestricted guest (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.guest_cr0(Cr0::PG) && !s.guest_cr0(Cr0::PE),
        "guest CR0: PG needs PE (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| breaks_fixed(s.read(Field::GuestCr4), s.msrs.cr4_fixed, 0),
        "guest CR4: bits that VMX operation fixes must be as IA32_VMX_CR4_FIXED0 and FIXED1 have them (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.has(Field::GuestCr4, CR4_CET) && !s.guest_cr0(Cr0::WP),
        "guest CR4: CET (bit 23) needs CR0.WP (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.entry(entry_controls::LOAD_DEBUG) && s.has(Field::GuestDebugctl, debugctl::RESERVED),
        "guest IA32_DEBUGCTL: reserved bits must be 0 (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.ia32e() && !s.guest_cr0(Cr0::PG),
        "guest CR0: PG must be 1 in IA-32e mode (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.ia32e() && !s.guest_cr4(Cr4::PAE),
        "guest CR4: PAE must be 1 in IA-32e mode (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| !s.ia32e() && s.guest_cr4(Cr4::PCIDE),
        "guest CR4: PCIDE must be 0 outside IA-32e mode (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.too_wide(s.read(Field::GuestCr3)),
        "guest CR3: bits beyond the physical-address width must be 0 (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.entry(entry_controls::LOAD_DEBUG) && s.has(Field::GuestDr7, !0xffff_ffff),
        "guest DR7: bits 63:32 must be 0 (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.bad_linear(Field::GuestSysenterEsp),
        "guest IA32_SYSENTER_ESP: must be canonical (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.bad_linear(Field::GuestSysenterEip),
        "guest IA32_SYSENTER_EIP: must be canonical (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.entry(entry_controls::LOAD_PAT) && bad_pat(s.read(Field::GuestPat)),
        "guest IA32_PAT: each byte must be 0, 1, 4, 5, 6 or 7 (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.entry(entry_controls::LOAD_EFER) && s.has(Field::GuestEfer, EFER_RESERVED),
        "guest IA32_EFER: reserved bits must be 0 (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.entry(entry_controls::LOAD_EFER) && efer(s, Efer::LMA) != s.ia32e(),
        "guest IA32_EFER: LMA must be as the VM-entry control \"IA-32e mode guest\" (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| {
            s.entry(entry_controls::LOAD_EFER)
                && s.guest_cr0(Cr0::PG)
                && efer(s, Efer::LMA) != efer(s, Efer::LME)
        },
        "guest IA32_EFER: LMA and LME must be the same if CR0.PG is 1 (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| s.entry(entry_controls::LOAD_BNDCFGS) && s.has(Field::GuestBndcfgs, 0xffc),
        "guest IA32_BNDCFGS: reserved bits 11:2 must be 0 (SDM 3C, 27.3.1.1)",
    ),
    (
        |s| {
            s.entry(entry_controls::LOAD_BNDCFGS)
                && !s.canonical(s.read(Field::GuestBndcfgs) & !0xfff)
        },
        "guest IA32_BNDCFGS: the address in bits 63:12 must be canonical (SDM 3C, 27.3.1.1)",
    ),
];

/// VM entries leave NW and CD alone, so they are not looked at.
fn breaks_fixed_cr0(s: &State<'_>) -> bool {
    let mut free = Cr0::NW | Cr0::CD;
    if s.unrestricted() {
        free |= Cr0::PE | Cr0::PG;
    }
    breaks_fixed(s.read(Field::GuestCr0), s.msrs.cr0_fixed, free.bits())
}

fn efer(s: &State<'_>, bit: Efer) -> bool {
    s.has(Field::GuestEfer, bit.bits())
}
