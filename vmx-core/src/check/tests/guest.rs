use super::super::guest::RULES;
use super::super::host::CR4_CET;
use super::*;
use hvm::regs::Efer;

const CASES: &[Case] = &[
    (long_mode, "guest CR0: bits", |s| {
        s.remove(Field::GuestCr0, Cr0::NE.bits())
    }),
    // Only an unrestricted guest may be without paging.
    (pae, "guest CR0: bits", |s| {
        s.remove(Field::GuestCr0, Cr0::PG.bits())
    }),
    (real_mode, "guest CR0: PG needs PE", |s| {
        s.add(Field::GuestCr0, Cr0::PG.bits())
    }),
    (long_mode, "guest CR4: bits", |s| {
        s.remove(Field::GuestCr4, Cr4::VMXE.bits())
    }),
    (long_mode, "guest CR4: CET", |s| {
        s.msrs.cr4_fixed.1 |= CR4_CET;
        s.add(Field::GuestCr4, CR4_CET);
    }),
    (long_mode, "guest IA32_DEBUGCTL", |s| {
        s.set(Field::GuestDebugctl, 1 << 4)
    }),
    (long_mode, "guest CR0: PG must", |s| {
        s.control(Field::SecondaryControls, secondary::UNRESTRICTED_GUEST);
        s.remove(Field::GuestCr0, Cr0::PG.bits());
    }),
    (long_mode, "guest CR4: PAE", |s| {
        s.remove(Field::GuestCr4, Cr4::PAE.bits())
    }),
    (pae, "guest CR4: PCIDE", |s| {
        s.add(Field::GuestCr4, Cr4::PCIDE.bits())
    }),
    (long_mode, "guest CR3", |s| s.set(Field::GuestCr3, 1 << 63)),
    (long_mode, "guest DR7", |s| s.set(Field::GuestDr7, 1 << 32)),
    (long_mode, "guest IA32_SYSENTER_ESP", |s| {
        s.set(Field::GuestSysenterEsp, NOT_CANONICAL)
    }),
    (long_mode, "guest IA32_SYSENTER_EIP", |s| {
        s.set(Field::GuestSysenterEip, NOT_CANONICAL)
    }),
    (long_mode, "guest IA32_PAT", |s| {
        s.set(Field::GuestPat, 0x0200_0000_0000_0000)
    }),
    (long_mode, "guest IA32_EFER: reserved", |s| {
        s.add(Field::GuestEfer, Efer::FFXSR.bits())
    }),
    (long_mode, "guest IA32_EFER: LMA must", |s| {
        s.remove(Field::GuestEfer, Efer::LMA.bits())
    }),
    (real_mode, "guest IA32_EFER: LMA must", |s| {
        s.add(Field::GuestEfer, (Efer::LMA | Efer::LME).bits());
    }),
    (long_mode, "guest IA32_EFER: LMA and LME", |s| {
        s.remove(Field::GuestEfer, Efer::LME.bits())
    }),
    (long_mode, "guest IA32_BNDCFGS: reserved", |s| {
        s.control(Field::EntryControls, entry_controls::LOAD_BNDCFGS);
        s.set(Field::GuestBndcfgs, 0x1004);
    }),
    (long_mode, "guest IA32_BNDCFGS: the address", |s| {
        s.control(Field::EntryControls, entry_controls::LOAD_BNDCFGS);
        s.set(Field::GuestBndcfgs, NOT_CANONICAL);
    }),
];

#[test]
fn each_rule_names_what_breaks_it() {
    covers(RULES, CASES);
}

#[test]
fn long_mode_may_be_prepared_without_paging() {
    let mut subject = real_mode();
    subject.add(Field::GuestEfer, Efer::LME.bits());
    assert!(subject.violation().starts_with("no rule"));
}
