//! Checks on VMX controls (SDM vol. 3C, 27.2.1).

use super::{Rule, State};
use crate::bits::{
    basic, entry_controls, ept_vpid, eptp, exit_controls, interruption, misc, pin, primary,
    secondary,
};
use crate::vmcs::Field;
use hvm::regs::Cr0;

const PAGE_BITS: u32 = 12;
/// MSR areas are tables of 16 bytes an entry.
const MSR_ENTRY_BITS: u32 = 4;
const POSTED_DESCRIPTOR_BITS: u32 = 6;

pub(super) const RULES: &[Rule] = &[
    (
        |s| misses(s.read(Field::PinBasedControls), s.msrs.pin),
        "pin-based controls: reserved bits must be as IA32_VMX_(TRUE_)PINBASED_CTLS has them (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| misses(s.read(Field::PrimaryControls), s.msrs.primary),
        "primary processor-based controls: reserved bits must be as IA32_VMX_(TRUE_)PROCBASED_CTLS has them (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| {
            s.primary(primary::SECONDARY_CONTROLS)
                && misses(s.read(Field::SecondaryControls), s.msrs.secondary)
        },
        "secondary processor-based controls: reserved bits must be as IA32_VMX_PROCBASED_CTLS2 has them (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| {
            let most = s.msrs.misc >> misc::CR3_TARGETS_SHIFT & misc::CR3_TARGETS_MASK;
            s.read(Field::Cr3TargetCount) > most
        },
        "CR3-target count: must not exceed IA32_VMX_MISC[24:16] (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.primary(primary::IO_BITMAPS) && s.bad_physical(Field::IoBitmapA, PAGE_BITS),
        "address of I/O bitmap A: must be page-aligned and within the physical-address width (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.primary(primary::IO_BITMAPS) && s.bad_physical(Field::IoBitmapB, PAGE_BITS),
        "address of I/O bitmap B: must be page-aligned and within the physical-address width (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.primary(primary::MSR_BITMAPS) && s.bad_physical(Field::MsrBitmaps, PAGE_BITS),
        "MSR-bitmap address: must be page-aligned and within the physical-address width (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.primary(primary::TPR_SHADOW) && s.bad_physical(Field::VirtualApicAddress, PAGE_BITS),
        "virtual-APIC address: must be page-aligned and within the physical-address width (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| {
            s.primary(primary::TPR_SHADOW)
                && !s.secondary(secondary::VIRTUAL_INTERRUPT_DELIVERY)
                && s.has(Field::TprThreshold, !0xf)
        },
        "TPR threshold: bits 31:4 must be 0 without virtual-interrupt delivery (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| {
            const NEEDING_SHADOW: u32 = secondary::VIRTUALIZE_X2APIC
                | secondary::APIC_REGISTER_VIRTUALIZATION
                | secondary::VIRTUAL_INTERRUPT_DELIVERY;
            !s.primary(primary::TPR_SHADOW) && s.secondary(NEEDING_SHADOW)
        },
        "secondary processor-based controls: x2APIC mode, APIC-register virtualization and virtual-interrupt delivery need the TPR shadow (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.pin(pin::VIRTUAL_NMIS) && !s.pin(pin::NMI_EXITING),
        "pin-based controls: virtual NMIs need NMI exiting (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.primary(primary::NMI_WINDOW_EXITING) && !s.pin(pin::VIRTUAL_NMIS),
        "primary processor-based controls: NMI-window exiting needs virtual NMIs (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| {
            s.secondary(secondary::VIRTUALIZE_APIC_ACCESSES)
                && s.bad_physical(Field::ApicAccessAddress, PAGE_BITS)
        },
        "APIC-access address: must be page-aligned and within the physical-address width (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| {
            s.secondary(secondary::VIRTUALIZE_X2APIC)
                && s.secondary(secondary::VIRTUALIZE_APIC_ACCESSES)
        },
        "secondary processor-based controls: x2APIC mode and virtualized APIC accesses exclude each other (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| {
            s.secondary(secondary::VIRTUAL_INTERRUPT_DELIVERY)
                && !s.pin(pin::EXTERNAL_INTERRUPT_EXITING)
        },
        "secondary processor-based controls: virtual-interrupt delivery needs external-interrupt exiting (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.pin(pin::POSTED_INTERRUPTS) && !s.secondary(secondary::VIRTUAL_INTERRUPT_DELIVERY),
        "pin-based controls: posted interrupts need virtual-interrupt delivery (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.pin(pin::POSTED_INTERRUPTS) && !s.exit(exit_controls::ACKNOWLEDGE_INTERRUPT),
        "pin-based controls: posted interrupts need \"acknowledge interrupt on exit\" (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.pin(pin::POSTED_INTERRUPTS) && s.has(Field::PostedInterruptNotificationVector, !0xff),
        "posted-interrupt notification vector: must be at most 255 (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| {
            let descriptor = Field::PostedInterruptDescriptorAddress;
            s.pin(pin::POSTED_INTERRUPTS) && s.bad_physical(descriptor, POSTED_DESCRIPTOR_BITS)
        },
        "posted-interrupt descriptor address: must be aligned to 64 bytes and within the physical-address width (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.secondary(secondary::VPID) && s.read(Field::Vpid) == 0,
        "VPID: must not be 0 (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.secondary(secondary::EPT) && !memory_type_allowed(s),
        "EPT pointer: the memory type (bits 2:0) must be one that IA32_VMX_EPT_VPID_CAP allows (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.secondary(secondary::EPT) && !walk_length_allowed(s),
        "EPT pointer: the walk length (bits 5:3) must be one that IA32_VMX_EPT_VPID_CAP allows (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| {
            s.secondary(secondary::EPT)
                && s.has(Field::EptPointer, eptp::DIRTY_BITS)
                && s.msrs.ept_vpid & ept_vpid::DIRTY_BITS == 0
        },
        "EPT pointer: accessed and dirty flags (bit 6) must be off on a CPU without them (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.secondary(secondary::EPT) && reserved_in_ept_pointer(s),
        "EPT pointer: reserved bits 11:7 and those beyond the physical-address width must be 0 (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.secondary(secondary::PAGE_MODIFICATION_LOG) && !s.secondary(secondary::EPT),
        "secondary processor-based controls: the page-modification log needs EPT (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| {
            s.secondary(secondary::PAGE_MODIFICATION_LOG)
                && s.bad_physical(Field::PmlAddress, PAGE_BITS)
        },
        "PML address: must be page-aligned and within the physical-address width (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.unrestricted() && !s.secondary(secondary::EPT),
        "secondary processor-based controls: an unrestricted guest needs EPT (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.secondary(secondary::MODE_BASED_EXECUTE) && !s.secondary(secondary::EPT),
        "secondary processor-based controls: mode-based execute control needs EPT (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.secondary(secondary::SUB_PAGE_WRITE_PERMISSIONS) && !s.secondary(secondary::EPT),
        "secondary processor-based controls: sub-page write permissions need EPT (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| s.secondary(secondary::TSC_SCALING) && s.read(Field::TscMultiplier) == 0,
        "TSC multiplier: must not be 0 (SDM 3C, 27.2.1.1)",
    ),
    (
        |s| misses(s.read(Field::ExitControls), s.msrs.exit),
        "VM-exit controls: reserved bits must be as IA32_VMX_(TRUE_)EXIT_CTLS has them (SDM 3C, 27.2.1.2)",
    ),
    (
        |s| s.exit(exit_controls::SAVE_PREEMPTION_TIMER) && !s.pin(pin::PREEMPTION_TIMER),
        "VM-exit controls: the preemption timer can be saved only if it is activated (SDM 3C, 27.2.1.2)",
    ),
    (
        |s| bad_msr_area(s, Field::ExitMsrStoreCount, Field::ExitMsrStoreAddress),
        "VM-exit MSR-store address: the area must be aligned to 16 bytes and within the physical-address width (SDM 3C, 27.2.1.2)",
    ),
    (
        |s| bad_msr_area(s, Field::ExitMsrLoadCount, Field::ExitMsrLoadAddress),
        "VM-exit MSR-load address: the area must be aligned to 16 bytes and within the physical-address width (SDM 3C, 27.2.1.2)",
    ),
    (
        |s| misses(s.read(Field::EntryControls), s.msrs.entry),
        "VM-entry controls: reserved bits must be as IA32_VMX_(TRUE_)ENTRY_CTLS has them (SDM 3C, 27.2.1.3)",
    ),
    (
        reserved_event_type,
        "VM-entry interruption information: type 1 is reserved, and type 7 on a CPU without monitor trap flag (SDM 3C, 27.2.1.3)",
    ),
    (
        vector_beside_type,
        "VM-entry interruption information: the vector must be 2 for an NMI, at most 31 for an exception, 0 for type 7 (SDM 3C, 27.2.1.3)",
    ),
    (
        error_code_missing,
        "VM-entry interruption information: an error code (bit 11) must go with this exception (SDM 3C, 27.2.1.3)",
    ),
    (
        error_code_too_much,
        "VM-entry interruption information: no error code (bit 11) may go with this event (SDM 3C, 27.2.1.3)",
    ),
    (
        |s| {
            s.event().is_some()
                && s.has(Field::EntryInterruptionInformation, interruption::RESERVED)
        },
        "VM-entry interruption information: reserved bits 30:12 must be 0 (SDM 3C, 27.2.1.3)",
    ),
    (
        |s| {
            s.event().is_some_and(|event| event.has_error_code)
                && s.has(Field::EntryExceptionErrorCode, !0xffff)
        },
        "VM-entry exception error code: bits 31:16 must be 0 (SDM 3C, 27.2.1.3)",
    ),
    (
        bad_instruction_length,
        "VM-entry instruction length: must be 1 to 15 for a software event, or 0 where IA32_VMX_MISC[30] allows it (SDM 3C, 27.2.1.3)",
    ),
    (
        |s| bad_msr_area(s, Field::EntryMsrLoadCount, Field::EntryMsrLoadAddress),
        "VM-entry MSR-load address: the area must be aligned to 16 bytes and within the physical-address width (SDM 3C, 27.2.1.3)",
    ),
    (
        |s| s.entry(entry_controls::ENTRY_TO_SMM),
        "VM-entry controls: \"entry to SMM\" must be 0 outside SMM (SDM 3C, 27.2.1.3)",
    ),
    (
        |s| s.entry(entry_controls::DEACTIVATE_DUAL_MONITOR),
        "VM-entry controls: \"deactivate dual-monitor treatment\" must be 0 outside SMM (SDM 3C, 27.2.1.3)",
    ),
];

/// Whether controls have a bit clear that must be set, or one set that must be clear.
fn misses(controls: u64, capability: u64) -> bool {
    capability & 0xffff_ffff & !controls != 0 || controls & !(capability >> 32) != 0
}

fn memory_type_allowed(s: &State<'_>) -> bool {
    let capability = match s.read(Field::EptPointer) & eptp::MEMORY_TYPE {
        eptp::UNCACHEABLE => ept_vpid::UNCACHEABLE,
        eptp::WRITE_BACK => ept_vpid::WRITE_BACK,
        _ => return false,
    };
    s.msrs.ept_vpid & capability != 0
}

fn walk_length_allowed(s: &State<'_>) -> bool {
    let capability = match s.read(Field::EptPointer) & eptp::LEVELS {
        eptp::FOUR_LEVELS => ept_vpid::FOUR_LEVELS,
        eptp::FIVE_LEVELS => ept_vpid::FIVE_LEVELS,
        _ => return false,
    };
    s.msrs.ept_vpid & capability != 0
}

/// Bit 7 is reserved on CPUs without shadow stacks.
fn reserved_in_ept_pointer(s: &State<'_>) -> bool {
    let pointer = s.read(Field::EptPointer);
    let reserved = if s.msrs.ept_vpid & ept_vpid::SHADOW_STACKS == 0 {
        eptp::RESERVED | eptp::SHADOW_STACKS
    } else {
        eptp::RESERVED
    };
    pointer & reserved != 0 || s.too_wide(pointer)
}

/// The area's last byte counts, too.
fn bad_msr_area(s: &State<'_>, count: Field, address: Field) -> bool {
    let bytes = (s.read(count) & 0xffff_ffff) << MSR_ENTRY_BITS;
    let last = s.read(address).checked_add(bytes.saturating_sub(1));
    bytes != 0
        && (s.bad_physical(address, MSR_ENTRY_BITS) || last.is_none_or(|last| s.too_wide(last)))
}

fn reserved_event_type(s: &State<'_>) -> bool {
    let has_monitor_trap = s.msrs.primary >> 32 & u64::from(primary::MONITOR_TRAP) != 0;
    s.injects(1) || s.injects(interruption::TYPE_OTHER) && !has_monitor_trap
}

fn vector_beside_type(s: &State<'_>) -> bool {
    s.event().is_some_and(|event| match event.kind {
        interruption::TYPE_NMI => event.vector != 2,
        interruption::TYPE_HARDWARE_EXCEPTION => event.vector > 31,
        interruption::TYPE_OTHER => event.vector != 0,
        _ => false,
    })
}

fn error_code_missing(s: &State<'_>) -> bool {
    s.event().is_some_and(|event| {
        !event.has_error_code
            && event.kind == interruption::TYPE_HARDWARE_EXCEPTION
            && s.guest_cr0(Cr0::PE)
            && s.msrs.basic & basic::ANY_ERROR_CODE == 0
            && matches!(event.vector, 8 | 10..=14 | 17)
    })
}

fn error_code_too_much(s: &State<'_>) -> bool {
    s.event().is_some_and(|event| {
        let vector_without = matches!(event.vector, 0..=7 | 9 | 15 | 16 | 18..=31);
        event.has_error_code
            && (event.kind != interruption::TYPE_HARDWARE_EXCEPTION
                || !s.guest_cr0(Cr0::PE)
                || s.msrs.basic & basic::ANY_ERROR_CODE == 0 && vector_without)
    })
}

fn bad_instruction_length(s: &State<'_>) -> bool {
    let software = s.event().is_some_and(|event| {
        matches!(
            event.kind,
            interruption::TYPE_SOFTWARE_INTERRUPT
                | interruption::TYPE_PRIVILEGED_SOFTWARE_EXCEPTION
                | interruption::TYPE_SOFTWARE_EXCEPTION
        )
    });
    let allowed = match s.read(Field::EntryInstructionLength) {
        0 => s.msrs.misc & misc::ZERO_LENGTH_INJECTION != 0,
        bytes => bytes <= 15,
    };
    software && !allowed
}
