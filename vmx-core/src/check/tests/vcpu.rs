//! What a vCPU makes of its VMCS breaks no rule.

use super::*;
use crate::areas::Areas;
use crate::bits::activity;
use crate::controls::tests::{features, generous};
use crate::maps::{IO_BITMAPS_BYTES, MSR_BITMAP_BYTES};
use crate::vcpu::{Pages, Vmx};
use core::ptr::NonNull;
use hvm::Hpa;
use hvm::apic::RegisterPage;
use hvm::capability::Options;
use hvm::event::{Event, Exception, Shadow, Window};
use hvm::exit::Exit;
use hvm::regs::{Efer, Registers, Segment, SegmentName};
use hvm::vcpu::{Hlt, Vcpu};
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

fn vcpu(options: Options, hlt: Hlt) -> Vmx<Plain> {
    let pages = Pages {
        msr_bitmap: page::<[u8; MSR_BITMAP_BYTES]>(0x10_0000),
        io_bitmaps: page::<[u8; IO_BITMAPS_BYTES]>(0x10_1000),
        apic: (Hpa(0x10_3000), Box::leak(Box::new(RegisterPage::new()))),
        areas: page::<Areas>(0x10_4000),
    };
    let host = crate::host::State::default();
    let msrs = generous();
    // SAFETY: the pages are never freed; nothing is entered.
    let mut vcpu = unsafe {
        let features = features(options);
        Vmx::new(Plain::default(), pages, (msrs, &host), &features, hlt)
    };
    // A hosted program cannot capture its own state.
    let is_of_host = |field: Field| field as u32 & AREA == HOST_AREA;
    for &(field, value) in FRAME.iter().filter(|(field, _)| is_of_host(*field)) {
        vcpu.fields.write(field, value);
    }
    vcpu.set_nested_root(Hpa(0x20_0000));
    vcpu
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
    let vcpu = vcpu(Options::all(), Hlt::Native);
    assert_eq!(
        violation(&vcpu),
        "no rule that this checker knows is broken"
    );
}

#[test]
fn an_unpaged_guest_is_not_entered_on_a_cpu_that_cannot() {
    let mut vcpu = vcpu(Options::empty(), Hlt::Native);
    let Exit::EntryFailed { reason, .. } = vcpu.run() else {
        panic!()
    };
    assert!(reason.contains("unrestricted guest"), "{reason}");
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
    ) {
        let hlt = if native_hlt { Hlt::Native } else { Hlt::Intercepted };
        let mut vcpu = vcpu(options, hlt);
        // Without an unrestricted guest, a vCPU runs what has paging.
        if linux || !options.contains(Options::UNRESTRICTED_GUEST) {
            enter_linux(&mut vcpu);
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
        match event {
            Some(event) => vcpu.inject(event),
            None if shadow && !halts => vcpu.set_shadow(Shadow::Active),
            None => {}
        }
        vcpu.set_window(window);
        vcpu.set_deadline(deadline);
        prop_assert_eq!(violation(&vcpu), "no rule that this checker knows is broken");
    }
}
