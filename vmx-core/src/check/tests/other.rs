use super::super::other::RULES;
use super::*;
use crate::bits::{activity, debugctl, interruptibility, pending_debug};

const IF: u64 = Rflags::IF.bits();
const TF: u64 = Rflags::TF.bits();

const REGISTERS: &[Case] = &[
    (long_mode, "guest GDTR base", |s| {
        s.set(Field::GuestGdtrBase, NOT_CANONICAL)
    }),
    (long_mode, "guest IDTR base", |s| {
        s.set(Field::GuestIdtrBase, NOT_CANONICAL)
    }),
    (long_mode, "guest GDTR limit", |s| {
        s.set(Field::GuestGdtrLimit, 0x1_0000)
    }),
    (long_mode, "guest IDTR limit", |s| {
        s.set(Field::GuestIdtrLimit, 0x1_0000)
    }),
    (pae, "guest RIP: bits 63:32", |s| {
        s.set(Field::GuestRip, 1 << 32)
    }),
    // Compatibility mode.
    (long_mode, "guest RIP: bits 63:32", |s| {
        s.set(Field::GuestCsAccessRights, 0xc09b);
        s.set(Field::GuestRip, 1 << 32);
    }),
    (long_mode, "guest RIP: bits beyond", |s| {
        s.set(Field::GuestRip, 1 << 48)
    }),
    (long_mode, "guest RFLAGS: reserved", |s| {
        s.add(Field::GuestRflags, 1 << 15)
    }),
    (long_mode, "guest RFLAGS: bit 1", |s| {
        s.set(Field::GuestRflags, 0)
    }),
    (vm86, "guest RFLAGS: VM", |s| {
        s.control(Field::SecondaryControls, secondary::UNRESTRICTED_GUEST);
        s.remove(Field::GuestCr0, (Cr0::PE | Cr0::PG).bits());
    }),
    (long_mode, "guest RFLAGS: IF", |s| s.inject(0, 0x30)),
];

const ACTIVITY: &[Case] = &[
    (long_mode, "guest activity state: must be 0 to 3", |s| {
        s.set(Field::GuestActivityState, 4)
    }),
    (halted, "guest activity state: must be 0 to 3", |s| {
        s.msrs.misc &= !misc::ACTIVITY_HLT;
    }),
    (pae, "guest activity state: HLT", |s| {
        s.set(Field::GuestActivityState, activity::HLT)
    }),
    (halted, "must be active while STI", |s| {
        s.set(Field::GuestInterruptibility, interruptibility::STI)
    }),
    (halted, "can be delivered", |s| s.inject(3, 14 | 1 << 11)),
    (halted, "can be delivered", |s| s.inject(4, 0x80)),
    (long_mode, "can be delivered", |s| {
        s.set(Field::GuestActivityState, activity::SHUTDOWN);
        s.inject(3, 1);
    }),
    (long_mode, "can be delivered", |s| {
        s.set(Field::GuestActivityState, activity::WAIT_FOR_SIPI);
        s.inject(2, 2);
    }),
];

const INTERRUPTIBILITY: &[Case] = &[
    (long_mode, "guest interruptibility state: reserved", |s| {
        s.set(Field::GuestInterruptibility, 1 << 5)
    }),
    (long_mode, "STI and MOV SS cannot both", |s| {
        s.add(Field::GuestRflags, IF);
        s.set(Field::GuestInterruptibility, 3);
    }),
    (long_mode, "with RFLAGS.IF 0", |s| {
        s.set(Field::GuestInterruptibility, interruptibility::STI)
    }),
    (long_mode, "neither STI nor MOV SS", |s| {
        s.add(Field::GuestRflags, IF);
        s.set(Field::GuestInterruptibility, interruptibility::STI);
        s.inject(0, 0x30);
    }),
    (long_mode, "MOV SS may not block when an NMI", |s| {
        s.set(Field::GuestInterruptibility, interruptibility::MOV_SS);
        s.inject(2, 2);
    }),
    (long_mode, "SMIs cannot be blocked", |s| {
        s.set(Field::GuestInterruptibility, interruptibility::SMI)
    }),
    (long_mode, "on some CPUs STI", |s| {
        s.add(Field::GuestRflags, IF);
        s.set(Field::GuestInterruptibility, interruptibility::STI);
        s.inject(2, 2);
    }),
    (long_mode, "as a virtual NMI", |s| {
        s.set(Field::GuestInterruptibility, interruptibility::NMI);
        s.inject(2, 2);
    }),
    (long_mode, "after an enclave", |s| {
        s.set(
            Field::GuestInterruptibility,
            interruptibility::ENCLAVE | interruptibility::MOV_SS,
        );
    }),
];

const PENDING: &[Case] = &[
    (long_mode, "debug exceptions: reserved", |s| {
        s.set(Field::GuestPendingDebugExceptions, 1 << 13)
    }),
    (halted, "debug exceptions: BS must be 1", |s| {
        s.add(Field::GuestRflags, TF)
    }),
    (long_mode, "debug exceptions: BS must be 0", |s| {
        s.set(Field::GuestInterruptibility, interruptibility::MOV_SS);
        s.set(
            Field::GuestPendingDebugExceptions,
            pending_debug::SINGLE_STEP,
        );
    }),
    (halted, "debug exceptions: BS must be 0", |s| {
        s.add(Field::GuestRflags, TF);
        s.set(Field::GuestDebugctl, debugctl::BRANCH_STEP);
        s.set(
            Field::GuestPendingDebugExceptions,
            pending_debug::SINGLE_STEP,
        );
    }),
    (long_mode, "must come with bit 12", |s| {
        s.set(Field::GuestPendingDebugExceptions, pending_debug::RTM)
    }),
    (long_mode, "must be 0 behind MOV SS", |s| {
        s.set(Field::GuestInterruptibility, interruptibility::MOV_SS);
        s.set(
            Field::GuestPendingDebugExceptions,
            pending_debug::RTM | pending_debug::ENABLED_BREAKPOINT,
        );
    }),
    (long_mode, "VMCS link pointer", |s| {
        s.set(Field::VmcsLinkPointer, 0x800)
    }),
    (pae, "guest PDPTEs", |s| s.add(Field::GuestPdpte1, 1)),
    (pae, "guest PDPTEs", |s| s.add(Field::GuestPdpte3, 1 << 46)),
];

#[test]
fn each_rule_names_what_breaks_it() {
    covers(
        RULES,
        &[REGISTERS, ACTIVITY, INTERRUPTIBILITY, PENDING].concat(),
    );
}

/// A good state, and a change that leaves it good.
type Allowed = (Good, fn(&mut Subject));

#[test]
fn what_is_unusual_but_allowed() {
    let allowed: &[Allowed] = &[
        // The highest bit of the width may differ.
        (long_mode, |s| s.set(Field::GuestRip, 1 << 47)),
        (long_mode, |s| s.set(Field::VmcsLinkPointer, 0x1000)),
        (long_mode, |s| {
            s.set(Field::GuestActivityState, activity::SHUTDOWN);
            s.inject(3, 18);
        }),
        // A guest in its NMI handler, and one that steps over a MOV SS.
        (long_mode, |s| {
            s.set(Field::GuestInterruptibility, interruptibility::NMI)
        }),
        (long_mode, |s| {
            s.set(Field::GuestInterruptibility, interruptibility::MOV_SS);
            s.add(Field::GuestRflags, TF);
            s.set(
                Field::GuestPendingDebugExceptions,
                pending_debug::SINGLE_STEP,
            );
        }),
        // Without EPT the fields do not count.
        (pae, |s| {
            s.without(Field::SecondaryControls, secondary::EPT);
            s.set(Field::GuestPdpte0, u64::MAX);
        }),
    ];
    for (good, change) in allowed {
        let mut subject = good();
        change(&mut subject);
        assert!(
            subject.violation().starts_with("no rule"),
            "{}",
            subject.violation()
        );
    }
}
