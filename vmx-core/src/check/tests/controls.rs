use super::super::controls::RULES;
use super::*;
use crate::bits::basic;

const WIDE: u64 = 1 << 46;

const EXECUTION: &[Case] = &[
    (long_mode, "PINBASED_CTLS", |s| {
        s.remove(Field::PinBasedControls, 2)
    }),
    (long_mode, "PINBASED_CTLS", |s| {
        s.add(Field::PinBasedControls, 1 << 8)
    }),
    (long_mode, ")PROCBASED_CTLS", |s| {
        s.add(Field::PrimaryControls, 1)
    }),
    (long_mode, "PROCBASED_CTLS2", |s| {
        s.add(Field::SecondaryControls, 1 << 31)
    }),
    (long_mode, "CR3-target count", |s| {
        s.set(Field::Cr3TargetCount, 5)
    }),
    (long_mode, "I/O bitmap A", |s| s.add(Field::IoBitmapA, 8)),
    (long_mode, "I/O bitmap B", |s| s.set(Field::IoBitmapB, WIDE)),
    (long_mode, "MSR-bitmap address", |s| {
        s.add(Field::MsrBitmaps, 0x800)
    }),
    (posted, "virtual-APIC address", |s| {
        s.add(Field::VirtualApicAddress, 1)
    }),
    (long_mode, "TPR threshold", |s| {
        s.control(Field::PrimaryControls, primary::TPR_SHADOW);
        s.set(Field::TprThreshold, 0x10);
    }),
    (posted, "need the TPR shadow", |s| {
        s.without(Field::PrimaryControls, primary::TPR_SHADOW);
    }),
    (long_mode, "virtual NMIs need", |s| {
        s.without(Field::PinBasedControls, pin::NMI_EXITING);
    }),
    (long_mode, "NMI-window exiting needs", |s| {
        s.without(Field::PinBasedControls, pin::VIRTUAL_NMIS);
        s.control(Field::PrimaryControls, primary::NMI_WINDOW_EXITING);
    }),
    (posted, "APIC-access address", |s| {
        s.set(Field::ApicAccessAddress, WIDE)
    }),
    (posted, "exclude each other", |s| {
        s.control(Field::SecondaryControls, secondary::VIRTUALIZE_X2APIC);
    }),
    (posted, "needs external-interrupt exiting", |s| {
        s.without(Field::PinBasedControls, pin::EXTERNAL_INTERRUPT_EXITING);
    }),
    (posted, "posted interrupts need virtual", |s| {
        s.without(
            Field::SecondaryControls,
            secondary::VIRTUAL_INTERRUPT_DELIVERY,
        );
    }),
    (posted, "posted interrupts need \"ack", |s| {
        s.without(Field::ExitControls, exit_controls::ACKNOWLEDGE_INTERRUPT);
    }),
    (posted, "notification vector", |s| {
        s.set(Field::PostedInterruptNotificationVector, 0x1f2);
    }),
    (posted, "posted-interrupt descriptor", |s| {
        s.add(Field::PostedInterruptDescriptorAddress, 0x20);
    }),
    (long_mode, "VPID: ", |s| s.set(Field::Vpid, 0)),
    (long_mode, "memory type (bits 2:0)", |s| {
        s.remove(Field::EptPointer, 6)
    }),
    (long_mode, "memory type (bits 2:0)", |s| {
        s.add(Field::EptPointer, 1)
    }),
    (long_mode, "walk length", |s| {
        s.set(Field::EptPointer, eptp::WRITE_BACK | eptp::FIVE_LEVELS);
    }),
    (long_mode, "accessed and dirty flags", |s| {
        s.msrs.ept_vpid &= !ept_vpid::DIRTY_BITS;
    }),
    (long_mode, "EPT pointer: reserved", |s| {
        s.add(Field::EptPointer, eptp::SHADOW_STACKS);
    }),
    (long_mode, "EPT pointer: reserved", |s| {
        s.msrs.ept_vpid |= ept_vpid::SHADOW_STACKS;
        s.add(Field::EptPointer, eptp::SHADOW_STACKS | WIDE);
    }),
    (long_mode, "page-modification log needs", |s| {
        s.without(Field::SecondaryControls, secondary::EPT);
        s.control(Field::SecondaryControls, secondary::PAGE_MODIFICATION_LOG);
    }),
    (long_mode, "PML address", |s| {
        s.control(Field::SecondaryControls, secondary::PAGE_MODIFICATION_LOG);
        s.set(Field::PmlAddress, 0x10_6010);
    }),
    (real_mode, "an unrestricted guest needs", |s| {
        s.without(Field::SecondaryControls, secondary::EPT);
    }),
    (long_mode, "mode-based execute", |s| {
        s.without(Field::SecondaryControls, secondary::EPT);
        s.control(Field::SecondaryControls, secondary::MODE_BASED_EXECUTE);
    }),
    (long_mode, "sub-page write", |s| {
        s.without(Field::SecondaryControls, secondary::EPT);
        s.control(
            Field::SecondaryControls,
            secondary::SUB_PAGE_WRITE_PERMISSIONS,
        );
    }),
    (long_mode, "TSC multiplier", |s| {
        s.control(Field::SecondaryControls, secondary::TSC_SCALING);
    }),
];

const EXIT: &[Case] = &[
    (long_mode, "EXIT_CTLS", |s| {
        s.remove(Field::ExitControls, 1);
    }),
    (long_mode, "preemption timer can be saved", |s| {
        s.control(Field::ExitControls, exit_controls::SAVE_PREEMPTION_TIMER);
    }),
    (long_mode, "MSR-store address", |s| {
        s.set(Field::ExitMsrStoreCount, 1);
        s.set(Field::ExitMsrStoreAddress, 0x10_7008);
    }),
    (long_mode, "VM-exit MSR-load address", |s| {
        // Only the second entry lies beyond the width.
        s.set(Field::ExitMsrLoadCount, 2);
        s.set(Field::ExitMsrLoadAddress, WIDE - 16);
    }),
];

const ENTRY: &[Case] = &[
    (long_mode, "ENTRY_CTLS", |s| {
        s.add(Field::EntryControls, 1 << 30);
    }),
    (long_mode, "type 1 is reserved", |s| s.inject(1, 0)),
    (long_mode, "type 1 is reserved", |s| {
        s.msrs.primary &= !(u64::from(primary::MONITOR_TRAP) << 32);
        s.inject(interruption::TYPE_OTHER, 0);
    }),
    (long_mode, "the vector must be 2 for", |s| {
        s.inject(interruption::TYPE_NMI, 3)
    }),
    (long_mode, "the vector must be 2 for", |s| {
        s.inject(interruption::TYPE_HARDWARE_EXCEPTION, 32)
    }),
    (long_mode, "the vector must be 2 for", |s| {
        s.inject(interruption::TYPE_OTHER, 1)
    }),
    (long_mode, "an error code (bit 11) must", |s| {
        s.inject(interruption::TYPE_HARDWARE_EXCEPTION, 14)
    }),
    (long_mode, "no error code (bit 11)", |s| {
        s.inject(
            interruption::TYPE_HARDWARE_EXCEPTION,
            6 | interruption::ERROR_VALID,
        );
    }),
    (long_mode, "no error code (bit 11)", |s| {
        s.msrs.basic |= basic::ANY_ERROR_CODE;
        s.inject(
            interruption::TYPE_SOFTWARE_INTERRUPT,
            6 | interruption::ERROR_VALID,
        );
    }),
    (real_mode, "no error code (bit 11)", |s| {
        s.inject(
            interruption::TYPE_HARDWARE_EXCEPTION,
            13 | interruption::ERROR_VALID,
        );
    }),
    (long_mode, "reserved bits 30:12", |s| {
        s.inject(interruption::TYPE_HARDWARE_EXCEPTION, 6 | 1 << 12);
    }),
    (long_mode, "exception error code: ", |s| {
        s.inject(
            interruption::TYPE_HARDWARE_EXCEPTION,
            13 | interruption::ERROR_VALID,
        );
        s.set(Field::EntryExceptionErrorCode, 0x1_0000);
    }),
    (long_mode, "instruction length", |s| {
        s.inject(interruption::TYPE_SOFTWARE_EXCEPTION, 3);
        s.set(Field::EntryInstructionLength, 0);
    }),
    (long_mode, "instruction length", |s| {
        s.msrs.misc |= misc::ZERO_LENGTH_INJECTION;
        s.inject(interruption::TYPE_SOFTWARE_INTERRUPT, 0x80);
        s.set(Field::EntryInstructionLength, 16);
    }),
    (long_mode, "VM-entry MSR-load address", |s| {
        s.set(Field::EntryMsrLoadCount, 0xffff_ffff);
        s.set(Field::EntryMsrLoadAddress, !0xf);
    }),
    (long_mode, "\"entry to SMM\"", |s| {
        s.control(Field::EntryControls, entry_controls::ENTRY_TO_SMM);
    }),
    (long_mode, "dual-monitor", |s| {
        s.control(
            Field::EntryControls,
            entry_controls::DEACTIVATE_DUAL_MONITOR,
        );
    }),
];

#[test]
fn each_rule_names_what_breaks_it() {
    covers(RULES, &[EXECUTION, EXIT, ENTRY].concat());
}

#[test]
fn controls_that_are_off_excuse_their_fields() {
    let mut subject = long_mode();
    for (field, control) in [
        (Field::PrimaryControls, primary::IO_BITMAPS),
        (Field::PrimaryControls, primary::MSR_BITMAPS),
        (Field::PrimaryControls, primary::SECONDARY_CONTROLS),
    ] {
        subject.without(field, control);
    }
    subject.set_all(&[
        (Field::IoBitmapA, 1),
        (Field::IoBitmapB, 1),
        (Field::MsrBitmaps, 1),
        (Field::Vpid, 0),
        (Field::EptPointer, 0),
        (Field::SecondaryControls, u64::from(u32::MAX)),
        (Field::ExitMsrLoadAddress, 1),
    ]);
    assert!(subject.violation().starts_with("no rule"));
}
