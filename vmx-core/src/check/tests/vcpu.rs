//! What a vCPU makes of its VMCS breaks no rule.

use super::*;
use crate::areas::Areas;
use crate::bits::activity;
use crate::controls::tests::{features, generous};
use crate::maps::{IO_BITMAPS_BYTES, MSR_BITMAP_BYTES};
use crate::vcpu::{Pages, Vmx};
use core::ptr::NonNull;
use hvm::apic::RegisterPage;
use hvm::capability::{ApicVirtualization, Features, NestedPaging, Options};
use hvm::event::{Event, Exception, Shadow, Window};
use hvm::exit::Exit;
use hvm::regs::{Efer, Registers, Segment, SegmentName};
use hvm::vcpu::{Hlt, ModificationLog, PauseFilter, Vcpu};
use hvm::virtual_apic::{ApicMode, Delivery, Served};
use hvm::{Gpa, Hpa};
use std::boxed::Box;

/// Bits 11:10 of an encoding tell the area (SDM vol. 3C, table 25-21).
const AREA: u32 = 3 << 10;
const HOST_AREA: u32 = 3 << 10;

/// A page of zeros for as long as the test runs.
fn page<T>(at: u64) -> (Hpa, NonNull<T>) {
    // SAFETY: the types are bytes and integers, for which zeros are values.
    let zeros = unsafe { Box::<T>::new_zeroed().assume_init() };
    (Hpa(at), NonNull::from(Box::leak(zeros)))
}

fn vcpu(features: Features, hlt: Hlt) -> Vmx<Plain> {
    let pages = Pages {
        msr_bitmap: page::<[u8; MSR_BITMAP_BYTES]>(0x10_0000),
        io_bitmaps: page::<[u8; IO_BITMAPS_BYTES]>(0x10_1000),
        apic: (Hpa(0x10_3000), Box::leak(Box::new(RegisterPage::new()))),
        apic_access: Hpa(0x10_5000),
        areas: page::<Areas>(0x10_4000),
        modified: page(0x10_6000),
        identity: Hpa(0x10_7000),
    };
    let host = crate::host::State::default();
    let msrs = generous();
    // SAFETY: the pages are never freed; nothing is entered.
    let mut vcpu = unsafe { Vmx::new(Plain::default(), pages, (msrs, &host), &features, hlt) };
    // A hosted program cannot capture its own state.
    let is_of_host = |field: Field| field as u32 & AREA == HOST_AREA;
    for &(field, value) in FRAME.iter().filter(|(field, _)| is_of_host(*field)) {
        vcpu.fields.write(field, value);
    }
    vcpu.set_nested_root(Hpa(0x20_0000));
    vcpu
}

/// One with nested paging of that kind, or without.
pub(crate) fn vcpu_with(nested_paging: NestedPaging) -> Vmx<Plain> {
    let features = Features {
        nested_paging,
        ..features(Options::all())
    };
    vcpu(features, Hlt::Intercepted)
}

/// One with nested paging and without unrestricted guest.
pub(crate) fn restricted() -> Vmx<Plain> {
    let options = Options::all() - Options::UNRESTRICTED_GUEST;
    vcpu(features(options), Hlt::Intercepted)
}

/// Puts it into flat protected mode without paging.
pub(crate) fn run_flat(vcpu: &mut Vmx<Plain>) {
    vcpu.set_cr0(0x11);
    for name in SegmentName::ALL {
        match name {
            SegmentName::Cs => vcpu.set_segment(name, Segment::new(8, 0xc09b, 0xffff_ffff, 0)),
            SegmentName::Tr | SegmentName::Ldtr => {}
            _ => vcpu.set_segment(name, Segment::new(16, 0xc093, 0xffff_ffff, 0)),
        }
    }
}

fn violation(vcpu: &Vmx<Plain>) -> &'static str {
    first_violation(&vcpu.fields, &vcpu.msrs)
}

/// The registers of Linux' 64-bit entry.
fn enter_linux(vcpu: &mut Vmx<Plain>) {
    vcpu.set_efer((Efer::LME | Efer::LMA).bits());
    vcpu.set_cr4(Cr4::PAE.bits());
    vcpu.set_cr3(0x3000);
    vcpu.set_cr0((Cr0::PE | Cr0::PG).bits());
    for name in SegmentName::ALL {
        let data = Segment::new(0x18, 0xc092, 0xffff_ffff, 0);
        match name {
            SegmentName::Cs => vcpu.set_segment(name, Segment::new(0x10, 0xa09a, 0xffff_ffff, 0)),
            SegmentName::Tr | SegmentName::Ldtr => {}
            _ => vcpu.set_segment(name, data),
        }
    }
    vcpu.set_rip(0x100_0200);
}

#[test]
fn after_reset() {
    let vcpu = vcpu(features(Options::all()), Hlt::Native);
    assert_eq!(
        violation(&vcpu),
        "no rule that this checker knows is broken"
    );
}

#[test]
fn the_modification_log_follows_dirty_bits_and_outlasts_a_reset() {
    let logs = |vcpu: &Vmx<Plain>| {
        vcpu.fields.read(Field::SecondaryControls) as u32 & secondary::PAGE_MODIFICATION_LOG != 0
    };
    for missing in [Options::PAGE_MODIFICATION_LOG, Options::NESTED_DIRTY_BITS] {
        let mut vcpu = vcpu(features(Options::all() - missing), Hlt::Native);
        assert!(!vcpu.set_modification_log(ModificationLog::On));
        assert!(!logs(&vcpu));
    }
    let mut vcpu = vcpu(features(Options::all()), Hlt::Native);
    assert!(vcpu.set_modification_log(ModificationLog::On));
    // Two entries are used.
    vcpu.fields.write(Field::PmlIndex, 509);
    vcpu.reset();
    assert!(logs(&vcpu));
    assert_eq!(vcpu.fields.read(Field::PmlAddress), 0x10_6000);
    let mut drained = 0;
    vcpu.drain_modified(&mut |_| drained += 1);
    assert_eq!((drained, vcpu.fields.read(Field::PmlIndex)), (2, 511));
    assert!(vcpu.set_modification_log(ModificationLog::Off));
    assert!(!logs(&vcpu));
}

#[test]
fn the_pause_filter_outlasts_a_reset_and_goes_away() {
    let exits = |vcpu: &Vmx<Plain>| {
        vcpu.fields.read(Field::SecondaryControls) as u32 & secondary::PAUSE_LOOP_EXITING != 0
    };
    let mut poor = vcpu(
        features(Options::all() - Options::PAUSE_FILTER),
        Hlt::Native,
    );
    assert!(!poor.set_pause_filter(PauseFilter::On));
    assert!(!exits(&poor));
    let mut vcpu = vcpu(features(Options::all()), Hlt::Native);
    assert!(!exits(&vcpu));
    assert!(vcpu.set_pause_filter(PauseFilter::On));
    vcpu.reset();
    assert!(exits(&vcpu));
    let limits = [Field::PleGap, Field::PleWindow].map(|field| vcpu.fields.read(field));
    assert_eq!(limits, [256, 32_768]);
    assert_eq!(
        violation(&vcpu),
        "no rule that this checker knows is broken"
    );
    assert!(vcpu.set_pause_filter(PauseFilter::Off));
    vcpu.reset();
    assert!(!exits(&vcpu));
}

#[test]
fn an_unpaged_guest_is_not_entered_on_a_cpu_that_cannot() {
    let mut vcpu = vcpu(features(Options::empty()), Hlt::Native);
    assert!(!vcpu.executes());
    assert_eq!(vcpu.run(), Exit::Emulate);
}

fn events() -> impl Strategy<Value = Option<Event>> {
    prop_oneof![
        Just(None),
        (32_u8..).prop_map(|vector| Some(Event::Interrupt { vector })),
        Just(Some(Event::Nmi)),
        Just(Some(Event::Exception(Exception::INVALID_OPCODE))),
        Just(Some(Event::Exception(Exception::GENERAL_PROTECTION))),
        any::<u8>().prop_map(|vector| Some(Event::SoftwareInterrupt { vector, length: 2 })),
    ]
}

fn apic() -> impl Strategy<Value = (ApicMode, Delivery)> {
    let mode = prop::sample::select(std::vec![
        ApicMode::Software,
        ApicMode::Memory(Gpa(0xfee0_0000)),
        ApicMode::Msrs,
    ]);
    let delivery = (any::<u8>(), any::<u8>(), any::<[u64; 4]>()).prop_map(
        |(requested, in_service, eoi_exits)| Delivery {
            requested,
            in_service,
            eoi_exits,
        },
    );
    (mode, delivery)
}

proptest! {
    #[test]
    fn whatever_is_asked_of_it(
        options in any::<u32>().prop_map(Options::from_bits_truncate),
        native_hlt: bool,
        linux: bool,
        event in events(),
        window in prop::sample::select(std::vec![
            None, Some(Window::Interrupt), Some(Window::Nmi), Some(Window::Priority(7)),
        ]),
        shadow: bool,
        steps: bool,
        open: bool,
        halts: bool,
        deadline in any::<Option<u64>>(),
        logs: bool,
        apic_virtualization in prop::sample::select(std::vec![
            ApicVirtualization::Absent, ApicVirtualization::Present,
        ]),
        apics in prop::collection::vec(apic(), 0..4),
    ) {
        let hlt = if native_hlt { Hlt::Native } else { Hlt::Intercepted };
        let features = Features { apic_virtualization, ..features(options) };
        let mut vcpu = vcpu(features, hlt);
        // Without an unrestricted guest, a vCPU runs protected mode.
        if linux {
            enter_linux(&mut vcpu);
        } else if !options.contains(Options::UNRESTRICTED_GUEST) {
            run_flat(&mut vcpu);
        }
        let step = if steps { Rflags::TF.bits() } else { 0 };
        // Interrupts are injected only where the guest takes them.
        let open = open || matches!(event, Some(Event::Interrupt { .. }));
        vcpu.set_rflags(if open { Rflags::IF.bits() } else { 0 } | step);
        // A halted guest is in the middle of nothing.
        let halts = halts && !steps && !matches!(event, Some(Event::SoftwareInterrupt { .. }));
        if halts {
            vcpu.fields.write(Field::GuestActivityState, activity::HLT);
        }
        for (mode, delivery) in apics {
            vcpu.set_apic_mode(mode);
            if matches!(vcpu.served_apic(), Served::All(_)) {
                vcpu.set_delivery(delivery);
            }
        }
        match event {
            Some(event) => vcpu.inject(event),
            None if shadow && !halts => vcpu.set_shadow(Shadow::Active),
            None => {}
        }
        vcpu.set_window(window);
        vcpu.set_deadline(deadline);
        if logs {
            vcpu.set_modification_log(ModificationLog::On);
        }
        prop_assert_eq!(violation(&vcpu), "no rule that this checker knows is broken");
    }
}
