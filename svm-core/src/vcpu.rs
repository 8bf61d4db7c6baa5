//! A virtual CPU on AMD-V.

use crate::asid::{Asids, Tag};
use crate::bits::{clean, intercept1, intercept2, msr, tlb, vintr};
use crate::enter;
use crate::maps::{self, IOPM_BYTES, MSRPM_BYTES};
use crate::nmi::Nmi;
use crate::shadow::Shadow as ShadowPaging;
use crate::vmcb::Vmcb;
use crate::{exit, host, inject, live, pended};
use core::arch::asm;
use core::ptr::NonNull;
use hvm::Hpa;
use hvm::capability::{Features, NestedPaging, Options};
use hvm::event::{Event, Shadow, Window};
use hvm::exit::Exit;
use hvm::gprs::Gprs;
use hvm::regs::{DR7_GD, Registers, State};
use hvm::tsc::Scale;
use hvm::vcpu::{Hlt, MsrAccess, PauseFilter, ShadowRoot, TscAccess, Vcpu};
use x86::msr::wrmsr;

/// The pages that a vCPU is made of. All are zeroed, physically contiguous each, and owned by the vCPU alone.
#[derive(Clone, Copy, Debug)]
pub struct Pages {
    /// The guest's VMCB, as the CPU and as we see it.
    pub vmcb: (Hpa, NonNull<Vmcb>),
    /// The host's VMCB for VMLOAD and VMSAVE.
    pub host: Hpa,
    /// The MSR permission map.
    pub msrpm: (Hpa, NonNull<[u8; MSRPM_BYTES]>),
    /// The I/O permission map.
    pub iopm: (Hpa, NonNull<[u8; IOPM_BYTES]>),
}

const DEBUG: u8 = 1;
const CR8_WRITE: u16 = 1 << 8;

/// A virtual CPU.
pub struct Svm {
    pub(crate) gprs: Gprs,
    pub(crate) pages: Pages,
    options: Options,
    asids: Asids,
    /// VMCB fields changed since the last entry (clean bits to clear).
    pub(crate) changed: u32,
    /// The TLB must be empty of the guest at the next entry. Always set where there is no nested paging.
    pub(crate) flush: bool,
    /// Without nested paging.
    pub(crate) shadow: Option<ShadowPaging>,
    pub(crate) nested_root: Hpa,
    /// The clean bits that this CPU knows.
    clean_mask: u32,
    pub(crate) nmi: Nmi,
    /// All of RFLAGS but TF while that is borrowed to step.
    pub(crate) own_flags: u64,
    pub(crate) window: Option<Window>,
    pub(crate) hlt: Hlt,
    pub(crate) tsc: TscAccess,
    pub(crate) pause_filter: PauseFilter,
    /// The interrupt that was to enter as a virtual one.
    pub(crate) pended: Option<u8>,
}

// SAFETY: the pointers name pages that the vCPU owns alone; it may move to another CPU between entries.
unsafe impl Send for Svm {}

impl Svm {
    /// A vCPU that intercepts what it must: all ports, all MSRs but those passed through later, and the instructions
    /// that would reach the machine. CR accesses, INVLPG, RDTSC, XSETBV and page faults never exit, and PAUSE only in loops, if asked
    /// for.
    ///
    /// # Safety
    /// `pages` fulfils its contract for as long as the vCPU lives.
    pub unsafe fn new(pages: Pages, features: &Features, hlt: Hlt) -> Self {
        let mut vcpu = Self {
            gprs: [0; 16],
            pages,
            options: features.options,
            asids: Asids::new(features.tags),
            changed: clean::ALL,
            flush: true,
            shadow: (features.nested_paging == NestedPaging::Absent).then(ShadowPaging::default),
            nested_root: Hpa(0),
            clean_mask: if features.options.contains(Options::CLEAN_BITS) {
                clean::ALL
            } else {
                0
            },
            nmi: Nmi::Open,
            own_flags: u64::MAX,
            window: None,
            hlt,
            tsc: TscAccess::Native,
            pause_filter: PauseFilter::Off,
            pended: None,
        };
        // SAFETY: both maps are pages of ours alone, by the caller's promise.
        unsafe {
            pages.msrpm.1.as_ptr().write_bytes(0xff, 1);
            pages.iopm.1.as_ptr().write_bytes(0xff, 1);
        }
        vcpu.clear_control_block();
        State::reset().apply(&mut vcpu);
        vcpu
    }

    #[inline]
    pub(crate) fn has(&self, option: Options) -> bool {
        self.options.contains(option)
    }

    #[inline]
    pub(crate) fn vmcb(&self) -> &Vmcb {
        // SAFETY: the page is ours alone and the CPU only writes to it inside `enter`, which borrows self mutably.
        unsafe { self.pages.vmcb.1.as_ref() }
    }

    #[inline]
    pub(crate) fn vmcb_mut(&mut self) -> &mut Vmcb {
        // SAFETY: as in `vmcb`.
        unsafe { self.pages.vmcb.1.as_mut() }
    }

    #[inline]
    pub(crate) fn touch(&mut self, fields: u32) -> &mut Vmcb {
        self.changed |= fields;
        self.vmcb_mut()
    }

    /// Sets or clears bits of the first intercept word.
    pub(crate) fn intercept(&mut self, bits: u32, wanted: bool) {
        let word = self.vmcb().control.intercept1;
        let new = if wanted { word | bits } else { word & !bits };
        if new != word {
            self.touch(clean::INTERCEPTS).control.intercept1 = new;
        }
    }

    /// Asks for exits at RDTSC and RDTSCP, or for none.
    pub(crate) fn intercept_tsc(&mut self) {
        let wanted = self.tsc == TscAccess::Intercepted;
        self.intercept(intercept1::RDTSC, wanted);
        let control = &mut self.touch(clean::INTERCEPTS).control;
        if wanted {
            control.intercept2 |= intercept2::RDTSCP;
        } else {
            control.intercept2 &= !intercept2::RDTSCP;
        }
    }

    /// One entry and exit.
    #[inline]
    pub(crate) fn enter(&mut self) {
        let clean = self.clean_mask & !self.changed;
        self.vmcb_mut().control.clean = clean;
        self.changed = 0;
        let pages = self.pages;
        // SAFETY: the kernel runs vCPUs with SVM on and GIF clear; the VMCB's nested tables map guest RAM only.
        unsafe { enter::enter(&mut self.gprs, pages.vmcb.0.0, pages.host.0) };
        let control = &mut self.vmcb_mut().control;
        control.tlb_control = tlb::NOTHING;
        control.event_injection = 0;
        if self.pended.is_some() {
            self.settle_pended();
        }
    }

    /// Has the next entry start with an empty TLB: by command where the CPU can flush one ASID, else by a fresh ASID.
    #[cold]
    pub(crate) fn flush_now(&mut self) {
        self.flush = self.shadow.is_some();
        let asid = self.vmcb().control.asid;
        let tag = if self.has(Options::FLUSH_BY_TAG) && asid != 0 {
            Tag {
                asid,
                tlb_control: tlb::FLUSH_ASID,
            }
        } else {
            self.asids.fresh()
        };
        let control = &mut self.touch(clean::ASID).control;
        control.asid = tag.asid;
        control.tlb_control = tag.tlb_control;
    }
}

impl Vcpu for Svm {
    fn hold_host_interrupts(&mut self) {
        // SAFETY: SVM is on wherever a vCPU runs. IF is set behind the closed gate, so that the guest can be
        // interrupted: V_INTR_MASKING lets the host's IF decide (APM vol. 2, 15.21.1).
        unsafe {
            host::clear_gif();
            asm!("sti", options(nomem, nostack));
        }
    }

    fn admit_host_interrupts(&mut self) {
        // SAFETY: `enter` has loaded the host's TR and GS base again.
        unsafe { host::set_gif() };
    }

    #[inline]
    fn run(&mut self) -> Exit {
        loop {
            if self.flush {
                if self.shadow.is_some() {
                    return self.run_on_shadow();
                }
                self.flush_now();
            }
            self.enter();
            let seen = exit::decode(self.vmcb());
            match seen {
                Exit::Unexpected { .. } | Exit::Exception { .. } => {
                    if let Some(exit) = self.nmi_exit(seen) {
                        return exit;
                    }
                }
                _ => return seen,
            }
        }
    }

    #[inline]
    fn next_rip(&self) -> Option<u64> {
        self.has(Options::NEXT_RIP)
            .then(|| self.vmcb().control.next_rip)
            .filter(|&rip| rip != 0)
    }

    #[inline]
    fn fetched_bytes(&self) -> Option<&[u8; 15]> {
        if !self.has(Options::DECODE_ASSISTS) {
            return None;
        }
        // Fewer than 15 were fetched where the next page could not be read (APM vol. 2, 15.8.4).
        let control = &self.vmcb().control;
        (control.fetched == 15).then_some(&control.instruction_bytes)
    }

    #[inline]
    fn interrupted_event(&mut self) -> Option<Event> {
        inject::decode(self.vmcb().control.exit_int_info)
    }

    #[inline]
    fn shadow(&self) -> Shadow {
        if self.vmcb().control.interrupt_shadow & 1 != 0 {
            Shadow::Active
        } else {
            Shadow::None
        }
    }

    #[inline]
    fn set_shadow(&mut self, shadow: Shadow) {
        self.vmcb_mut().control.interrupt_shadow = u64::from(shadow == Shadow::Active);
    }

    fn inject(&mut self, event: Event) {
        if event == Event::Nmi {
            self.nmi_injected();
        }
        if let Event::Exception(exception) = event {
            if let Some(cr2) = exception.cr2 {
                self.set_cr2(cr2);
            }
            if exception.vector == DEBUG {
                self.touch(clean::DRX).save.dr7 &= !DR7_GD;
            }
        }
        match event {
            Event::Interrupt { vector } if self.has(Options::VIRTUAL_INTERRUPT) => {
                self.pend(vector);
            }
            _ => self.vmcb_mut().control.event_injection = inject::encode(event),
        }
    }

    fn set_window(&mut self, window: Option<Window>) {
        let old = self.vmcb().control.vintr;
        let idle = old & (vintr::V_INTR_MASKING | vintr::V_TPR);
        let for_interrupt = match window {
            Some(Window::Interrupt | Window::NmiOrInterrupt) => true,
            Some(Window::Nmi) => self.nmis_open(),
            Some(Window::Priority(_)) | None => false,
        };
        let wanted = if for_interrupt {
            self.inject_pended();
            idle | vintr::V_IRQ | vintr::V_IGN_TPR
        } else {
            idle | self.pended.map_or(0, pended::request)
        };
        // Writes of CR8 exit instead of a virtual interrupt with a priority, which QEMU 7.2 takes where priorities are equal. QEMU
        // also aborts at such a write while any virtual interrupt waits.
        let control = &self.vmcb().control;
        let others = control.cr_writes & !CR8_WRITE;
        let writes = if for_interrupt || matches!(window, Some(Window::Priority(_))) {
            others | CR8_WRITE
        } else {
            others
        };
        if wanted != old || writes != control.cr_writes {
            let intercepts = control.intercept1 & !intercept1::VINTR;
            let control = &mut self.touch(clean::TPR | clean::INTERCEPTS).control;
            control.vintr = wanted;
            control.cr_writes = writes;
            control.intercept1 = if for_interrupt {
                intercepts | intercept1::VINTR
            } else {
                intercepts
            };
        }
        self.window = window;
        if self.nmi != Nmi::Open || window.is_some_and(Window::has_nmi) || self.watches_iret() {
            self.watch_iret(window);
        }
    }

    fn nmis_open(&self) -> bool {
        self.nmi_handler_returned()
    }

    #[inline]
    fn cr8(&self) -> u8 {
        (self.vmcb().control.vintr & vintr::V_TPR) as u8
    }

    fn set_cr8(&mut self, priority: u8) {
        let word = self.vmcb().control.vintr & !vintr::V_TPR | u64::from(priority & 15);
        self.touch(clean::TPR).control.vintr = word;
    }

    fn dr7(&self) -> u64 {
        self.vmcb().save.dr7
    }

    fn set_dr7(&mut self, value: u64) {
        self.touch(clean::DRX).save.dr7 = value & 0xffff_ffff;
    }

    fn dr6(&self) -> u64 {
        self.vmcb().save.dr6
    }

    fn set_dr6(&mut self, value: u64) {
        self.touch(clean::DRX).save.dr6 = value & 0xffff_ffff;
    }

    fn set_tsc_scale(&mut self, scale: Scale) -> bool {
        if !self.has(Options::TSC_SCALING) {
            return scale == Scale::ONE;
        }
        // SAFETY: CPUID offers the register, which guests alone feel. It has 32 bits behind the point (APM vol. 2, 15.30.5).
        unsafe { wrmsr(msr::TSC_RATIO, scale.bits() >> 16) };
        true
    }

    fn set_tsc_access(&mut self, access: TscAccess) {
        self.tsc = access;
        self.intercept_tsc();
    }

    fn set_tsc_offset(&mut self, ticks: u64) {
        self.touch(clean::INTERCEPTS).control.tsc_offset = ticks;
    }

    fn set_nested_root(&mut self, root: Hpa) {
        self.nested_root = root;
        self.touch(clean::NP).control.nested_cr3 = root.0;
        self.flush_tlb();
    }

    fn set_shadow_root(&mut self, root: ShadowRoot) {
        self.take_root(root);
    }

    fn needs_shadow_root(&self) -> bool {
        self.lacks_root()
    }

    fn flush_tlb(&mut self) {
        self.want_flush();
    }

    /// All that VMRUN and VMLOAD load is in the VMCB, where #VMEXIT and VMSAVE have put it.
    fn depart(&mut self) {}

    /// Another vCPU may have had the ASID, and the CPU may remember another VMCB's fields (APM vol. 2, 15.15.1).
    fn arrive(&mut self) {
        self.changed = clean::ALL;
        self.asids.restart();
        self.flush_tlb();
        live::set_cr2(self.cr2());
    }

    fn set_pause_filter(&mut self, state: PauseFilter) -> bool {
        self.filter_pauses(state)
    }

    fn set_msr_access(&mut self, msr: u32, access: MsrAccess) -> bool {
        self.changed |= clean::IOPM;
        // SAFETY: the map is ours alone; the CPU reads it only inside `enter`.
        maps::set_msr(unsafe { self.pages.msrpm.1.as_mut() }, msr, access)
    }

    fn reset(&mut self) {
        // Not only what a reset changes: after a shutdown nothing in the control block can be relied on
        // (APM vol. 2, 15.14.3).
        self.clear_control_block();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::bits::EFER_SVME;
    use hvm::capability::ApicVirtualization;
    use hvm::regs::Gpr;
    use std::boxed::Box;

    /// A VMCB of zeros.
    pub(crate) fn blank() -> Box<Vmcb> {
        // SAFETY: a VMCB is plain integers, for which zero is a value.
        unsafe { Box::new(core::mem::zeroed()) }
    }

    pub(crate) fn vcpu(tags: u32, options: Options) -> Svm {
        vcpu_with(tags, options, NestedPaging::Huge)
    }

    pub(crate) fn vcpu_with(tags: u32, options: Options, nested_paging: NestedPaging) -> Svm {
        let features = Features {
            nested_paging,
            tags,
            apic_virtualization: ApicVirtualization::Absent,
            options,
        };
        let leak =
            |bytes: usize| NonNull::from(std::vec![[0_u64; 512]; bytes / 4096].leak()).cast::<u8>();
        let vmcb = NonNull::from(Box::leak(blank()));
        let pages = Pages {
            vmcb: (Hpa(0x1000), vmcb),
            host: Hpa(0x2000),
            msrpm: (Hpa(0x4000), leak(MSRPM_BYTES).cast()),
            iopm: (Hpa(0x8000), leak(IOPM_BYTES).cast()),
        };
        // SAFETY: the pages were just leaked for this vCPU; it is never entered.
        unsafe { Svm::new(pages, &features, Hlt::Intercepted) }
    }

    #[test]
    fn the_state_round_trips_through_the_control_block() {
        let mut cpu = vcpu(15, Options::empty());
        let mut state = State::reset();
        state.gprs = core::array::from_fn(|at| at as u64 * 0x0101);
        state.rip = 0x1234;
        state.cr3 = 0x5000;
        state.efer = 0x500;
        state.apply(&mut cpu);
        assert_eq!(State::capture(&cpu), state);
        assert_eq!(cpu.vmcb().save.efer, 0x500 | EFER_SVME);
        cpu.flush_now();
        assert!(crate::check::first_violation(cpu.vmcb()).starts_with("no rule"));
    }

    #[test]
    fn many_flushes_before_an_entry_are_one_and_none_is_lost() {
        let mut cpu = vcpu(2, Options::empty());
        for wanted in [(1, tlb::FLUSH_ALL), (2, tlb::NOTHING), (1, tlb::FLUSH_ALL)] {
            cpu.flush_tlb();
            cpu.flush_tlb();
            cpu.flush_now();
            let control = &cpu.vmcb().control;
            assert_eq!((control.asid, control.tlb_control), wanted);
        }
    }

    #[test]
    fn only_changed_fields_are_marked() {
        let mut cpu = vcpu(7, Options::CLEAN_BITS | Options::FLUSH_BY_TAG);
        cpu.changed = 0;
        cpu.set_gpr(Gpr::Rax, 1);
        cpu.set_rip(2);
        assert_eq!(cpu.changed, 0);
        cpu.set_cr2(3);
        cpu.set_cr8(4);
        assert_eq!(cpu.changed, clean::CR2 | clean::TPR);
        assert_eq!(cpu.cr8(), 4);
    }

    #[test]
    fn windows_ask_for_a_virtual_interrupt_and_go_away() {
        let mut cpu = vcpu(15, Options::empty());
        cpu.set_cr8(5);
        cpu.set_window(Some(Window::Interrupt));
        assert_ne!(cpu.vmcb().control.intercept1 & intercept1::VINTR, 0);
        assert_ne!(cpu.vmcb().control.vintr & vintr::V_IRQ, 0);
        assert_eq!(cpu.vmcb().control.cr_writes, CR8_WRITE);
        cpu.set_window(Some(Window::Priority(6)));
        assert_eq!(cpu.vmcb().control.vintr & vintr::V_IRQ, 0);
        assert_eq!(cpu.vmcb().control.cr_writes, CR8_WRITE);
        cpu.set_window(None);
        assert_eq!(cpu.vmcb().control.cr_writes, 0);
        assert_eq!(cpu.vmcb().control.intercept1 & intercept1::VINTR, 0);
        assert_eq!(cpu.vmcb().control.vintr, vintr::V_INTR_MASKING | 5);
    }

    #[test]
    fn a_debug_exception_ends_the_guard_of_the_debug_registers() {
        let mut cpu = vcpu(15, Options::empty());
        cpu.vmcb_mut().save.dr7 = 0x2400;
        cpu.inject(Event::Exception(hvm::event::Exception::plain(DEBUG)));
        assert_eq!(cpu.vmcb().save.dr7, 0x400);
    }

    #[test]
    fn reads_of_the_tsc_exit_if_they_are_to_and_go_on_so_after_a_reset() {
        let mut cpu = vcpu(15, Options::empty());
        let exits = |cpu: &Svm| {
            let control = &cpu.vmcb().control;
            let both = (
                control.intercept1 & intercept1::RDTSC != 0,
                control.intercept2 & intercept2::RDTSCP != 0,
            );
            assert_eq!(both.0, both.1);
            both.0
        };
        assert!(!exits(&cpu));
        cpu.set_tsc_access(TscAccess::Intercepted);
        assert!(exits(&cpu));
        cpu.reset();
        assert!(exits(&cpu));
        cpu.set_tsc_access(TscAccess::Native);
        assert!(!exits(&cpu));
    }

    #[test]
    fn passed_through_msrs_leave_the_rest_alone() {
        let mut cpu = vcpu(15, Options::empty());
        assert!(cpu.set_msr_access(0xc000_0100, MsrAccess::PassThrough));
        assert!(!cpu.set_msr_access(0x4000_0000, MsrAccess::PassThrough));
    }
}
