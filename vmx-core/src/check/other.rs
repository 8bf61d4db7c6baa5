//! Checks on guest descriptor tables, RIP, RFLAGS, non-register state and PDPTEs (SDM vol. 3C, 27.3.1.3 to 27.3.1.6).

use super::{Rule, State};
use crate::bits::{
    activity, debugctl, interruptibility, interruption, misc, pending_debug, pin, secondary,
};
use crate::vmcs::Field;
use hvm::regs::{Attributes, Cr0, Cr4, Rflags};

/// Bits 63:22, 15, 5 and 3.
const RFLAGS_RESERVED: u64 = !0x3f_7fd7;
/// Bits 2:1 and 8:5 of a present PDPTE; those beyond the physical-address width are reserved, too.
const PDPTE_RESERVED: u64 = 0x1e6;
const PDPTE_PRESENT: u64 = 1;
const DEBUG_EXCEPTION: u64 = 1;
const MACHINE_CHECK: u64 = 18;

pub(super) const RULES: &[Rule] = &[
    (
        |s| s.bad_linear(Field::GuestGdtrBase),
        "guest GDTR base: must be canonical (SDM 3C, 27.3.1.3)",
    ),
    (
        |s| s.bad_linear(Field::GuestIdtrBase),
        "guest IDTR base: must be canonical (SDM 3C, 27.3.1.3)",
    ),
    (
        |s| s.has(Field::GuestGdtrLimit, !0xffff),
        "guest GDTR limit: bits 31:16 must be 0 (SDM 3C, 27.3.1.3)",
    ),
    (
        |s| s.has(Field::GuestIdtrLimit, !0xffff),
        "guest IDTR limit: bits 31:16 must be 0 (SDM 3C, 27.3.1.3)",
    ),
    (
        |s| !in_64_bit_code(s) && s.has(Field::GuestRip, !0xffff_ffff),
        "guest RIP: bits 63:32 must be 0 outside 64-bit code (SDM 3C, 27.3.1.4)",
    ),
    (
        |s| in_64_bit_code(s) && !s.upper_bits_identical(s.read(Field::GuestRip)),
        "guest RIP: bits beyond the linear-address width must be identical (SDM 3C, 27.3.1.4)",
    ),
    (
        |s| s.has(Field::GuestRflags, RFLAGS_RESERVED),
        "guest RFLAGS: reserved bits 63:22, 15, 5 and 3 must be 0 (SDM 3C, 27.3.1.4)",
    ),
    (
        |s| !s.rflags(Rflags::FIXED),
        "guest RFLAGS: bit 1 must be 1 (SDM 3C, 27.3.1.4)",
    ),
    (
        |s| s.rflags(Rflags::VM) && (s.ia32e() || !s.guest_cr0(Cr0::PE)),
        "guest RFLAGS: VM must be 0 in IA-32e mode and with CR0.PE 0 (SDM 3C, 27.3.1.4)",
    ),
    (
        |s| s.injects(interruption::TYPE_EXTERNAL) && !s.rflags(Rflags::IF),
        "guest RFLAGS: IF must be 1 when an external interrupt is injected (SDM 3C, 27.3.1.4)",
    ),
    (
        unsupported_activity,
        "guest activity state: must be 0 to 3, and one that IA32_VMX_MISC[8:6] has (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| {
            active_as(s, activity::HLT)
                && s.has(Field::GuestSsAccessRights, Attributes::DPL.bits().into())
        },
        "guest activity state: HLT needs an SS with DPL 0 (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| {
            blocked(s, interruptibility::STI | interruptibility::MOV_SS)
                && !active_as(s, activity::ACTIVE)
        },
        "guest activity state: must be active while STI or MOV SS blocks events (SDM 3C, 27.3.1.5)",
    ),
    (
        event_does_not_wake,
        "guest activity state: must be one in which the injected event can be delivered (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| blocked(s, interruptibility::RESERVED),
        "guest interruptibility state: reserved bits 31:5 must be 0 (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| blocked(s, interruptibility::STI) && blocked(s, interruptibility::MOV_SS),
        "guest interruptibility state: STI and MOV SS cannot both block (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| blocked(s, interruptibility::STI) && !s.rflags(Rflags::IF),
        "guest interruptibility state: STI cannot block with RFLAGS.IF 0 (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| {
            s.injects(interruption::TYPE_EXTERNAL)
                && blocked(s, interruptibility::STI | interruptibility::MOV_SS)
        },
        "guest interruptibility state: neither STI nor MOV SS may block when an external interrupt is injected (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| s.injects(interruption::TYPE_NMI) && blocked(s, interruptibility::MOV_SS),
        "guest interruptibility state: MOV SS may not block when an NMI is injected (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| blocked(s, interruptibility::SMI),
        "guest interruptibility state: SMIs cannot be blocked outside SMM (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| s.injects(interruption::TYPE_NMI) && blocked(s, interruptibility::STI),
        "guest interruptibility state: on some CPUs STI may not block when an NMI is injected (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| {
            s.pin(pin::VIRTUAL_NMIS)
                && s.injects(interruption::TYPE_NMI)
                && blocked(s, interruptibility::NMI)
        },
        "guest interruptibility state: NMIs may not be blocked when one is injected as a virtual NMI (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| blocked(s, interruptibility::ENCLAVE) && blocked(s, interruptibility::MOV_SS),
        "guest interruptibility state: MOV SS cannot block after an enclave (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| s.has(Field::GuestPendingDebugExceptions, pending_debug::RESERVED),
        "guest pending debug exceptions: reserved bits must be 0 (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| step_is_held(s) && steps(s) && !pending(s, pending_debug::SINGLE_STEP),
        "guest pending debug exceptions: BS must be 1 in HLT or behind STI or MOV SS, with RFLAGS.TF 1 and IA32_DEBUGCTL.BTF 0 (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| step_is_held(s) && !steps(s) && pending(s, pending_debug::SINGLE_STEP),
        "guest pending debug exceptions: BS must be 0 in HLT or behind STI or MOV SS, with RFLAGS.TF 0 or IA32_DEBUGCTL.BTF 1 (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| {
            let alone = pending_debug::RTM | pending_debug::ENABLED_BREAKPOINT;
            pending(s, pending_debug::RTM) && s.read(Field::GuestPendingDebugExceptions) != alone
        },
        "guest pending debug exceptions: RTM (bit 16) must come with bit 12 and no other (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| pending(s, pending_debug::RTM) && blocked(s, interruptibility::MOV_SS),
        "guest pending debug exceptions: RTM (bit 16) must be 0 behind MOV SS (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| {
            s.read(Field::VmcsLinkPointer) != u64::MAX && s.bad_physical(Field::VmcsLinkPointer, 12)
        },
        "VMCS link pointer: must be all ones, or page-aligned and within the physical-address width (SDM 3C, 27.3.1.5)",
    ),
    (
        |s| {
            const PDPTES: [Field; 4] = [
                Field::GuestPdpte0,
                Field::GuestPdpte1,
                Field::GuestPdpte2,
                Field::GuestPdpte3,
            ];
            uses_pdptes(s) && PDPTES.into_iter().any(|field| bad_pdpte(s, field))
        },
        "guest PDPTEs: reserved bits 2:1, 8:5 and those beyond the physical-address width must be 0 if the entry is present (SDM 3C, 27.3.1.6)",
    ),
];

fn in_64_bit_code(s: &State<'_>) -> bool {
    s.ia32e() && s.has(Field::GuestCsAccessRights, Attributes::L.bits().into())
}

fn active_as(s: &State<'_>, state: u64) -> bool {
    s.read(Field::GuestActivityState) == state
}

fn unsupported_activity(s: &State<'_>) -> bool {
    let needed = match s.read(Field::GuestActivityState) {
        activity::ACTIVE => return false,
        activity::HLT => misc::ACTIVITY_HLT,
        activity::SHUTDOWN => misc::ACTIVITY_SHUTDOWN,
        activity::WAIT_FOR_SIPI => misc::ACTIVITY_WAIT_FOR_SIPI,
        _ => return true,
    };
    s.msrs.misc & needed == 0
}

/// An inactive CPU takes only what would end its state: see the list in 27.3.1.5.
fn event_does_not_wake(s: &State<'_>) -> bool {
    let Some(event) = s.event() else { return false };
    let exception = |vectors: &[u64]| {
        event.kind == interruption::TYPE_HARDWARE_EXCEPTION && vectors.contains(&event.vector)
    };
    let allowed = match s.read(Field::GuestActivityState) {
        activity::ACTIVE => true,
        activity::HLT => {
            matches!(
                event.kind,
                interruption::TYPE_EXTERNAL | interruption::TYPE_NMI | interruption::TYPE_OTHER
            ) || exception(&[DEBUG_EXCEPTION, MACHINE_CHECK])
        }
        activity::SHUTDOWN => event.kind == interruption::TYPE_NMI || exception(&[MACHINE_CHECK]),
        _ => false,
    };
    !allowed
}

fn blocked(s: &State<'_>, by: u64) -> bool {
    s.has(Field::GuestInterruptibility, by)
}

fn pending(s: &State<'_>, exception: u64) -> bool {
    s.has(Field::GuestPendingDebugExceptions, exception)
}

/// A single-step trap of the last instruction would still be pending.
fn step_is_held(s: &State<'_>) -> bool {
    blocked(s, interruptibility::STI | interruptibility::MOV_SS) || active_as(s, activity::HLT)
}

fn steps(s: &State<'_>) -> bool {
    s.rflags(Rflags::TF) && !s.has(Field::GuestDebugctl, debugctl::BRANCH_STEP)
}

/// Without EPT the CPU reads them from memory.
fn uses_pdptes(s: &State<'_>) -> bool {
    s.secondary(secondary::EPT) && s.guest_cr0(Cr0::PG) && s.guest_cr4(Cr4::PAE) && !s.ia32e()
}

fn bad_pdpte(s: &State<'_>, field: Field) -> bool {
    let entry = s.read(field);
    entry & PDPTE_PRESENT != 0 && (entry & PDPTE_RESERVED != 0 || s.too_wide(entry))
}
