use super::super::host::{CR4_CET, RULES};
use super::*;
use hvm::regs::Efer;

const CASES: &[Case] = &[
    (long_mode, "host CR0", |s| {
        s.remove(Field::HostCr0, Cr0::NE.bits())
    }),
    (long_mode, "host CR0", |s| s.add(Field::HostCr0, 1 << 32)),
    (long_mode, "host CR4: bits", |s| {
        s.remove(Field::HostCr4, Cr4::VMXE.bits())
    }),
    (long_mode, "host CR4: bits", |s| {
        s.add(Field::HostCr4, Cr4::PKE.bits())
    }),
    (long_mode, "host CR4: CET", |s| {
        s.msrs.cr4_fixed.1 |= CR4_CET;
        s.add(Field::HostCr4, CR4_CET);
        s.remove(Field::HostCr0, Cr0::WP.bits());
    }),
    (long_mode, "host CR3", |s| s.add(Field::HostCr3, 1 << 46)),
    (long_mode, "host IA32_SYSENTER_ESP", |s| {
        s.set(Field::HostSysenterEsp, NOT_CANONICAL)
    }),
    (long_mode, "host IA32_SYSENTER_EIP", |s| {
        s.set(Field::HostSysenterEip, NOT_CANONICAL)
    }),
    (long_mode, "host IA32_PAT", |s| s.add(Field::HostPat, 0x8)),
    (long_mode, "host IA32_EFER: reserved", |s| {
        s.add(Field::HostEfer, Efer::SVME.bits())
    }),
    (long_mode, "host IA32_EFER: LMA", |s| {
        s.remove(Field::HostEfer, Efer::LME.bits())
    }),
    (long_mode, "host selectors", |s| {
        s.set(Field::HostDsSelector, 3)
    }),
    (long_mode, "host CS selector", |s| {
        s.set(Field::HostCsSelector, 0)
    }),
    (long_mode, "host TR selector", |s| {
        s.set(Field::HostTrSelector, 0)
    }),
    (long_mode, "host FS base", |s| {
        s.set(Field::HostFsBase, NOT_CANONICAL)
    }),
    (long_mode, "host GS base", |s| {
        s.set(Field::HostGsBase, NOT_CANONICAL)
    }),
    (long_mode, "host GDTR base", |s| {
        s.set(Field::HostGdtrBase, NOT_CANONICAL)
    }),
    (long_mode, "host IDTR base", |s| {
        s.set(Field::HostIdtrBase, NOT_CANONICAL)
    }),
    (long_mode, "host TR base", |s| {
        s.set(Field::HostTrBase, NOT_CANONICAL)
    }),
    (long_mode, "\"host address-space size\" must be 1", |s| {
        s.without(Field::ExitControls, exit_controls::HOST_64_BIT);
        s.remove(Field::HostEfer, (Efer::LME | Efer::LMA).bits());
    }),
    (long_mode, "host CR4: PAE", |s| {
        s.remove(Field::HostCr4, Cr4::PAE.bits())
    }),
    (long_mode, "host RIP", |s| {
        s.set(Field::HostRip, NOT_CANONICAL)
    }),
];

#[test]
fn each_rule_names_what_breaks_it() {
    covers(RULES, CASES);
}

#[test]
fn five_levels_widen_what_is_canonical() {
    let mut subject = long_mode();
    subject.msrs.cr4_fixed.1 |= Cr4::LA57.bits();
    subject.set(Field::HostGsBase, 0xff12_3456_789a_bcde);
    assert!(subject.violation().starts_with("no rule"));
    subject.set(Field::HostGsBase, 1 << 56);
    assert!(subject.violation().starts_with("host GS base"));
}
