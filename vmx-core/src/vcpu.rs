//! A virtual CPU on VT-x.

use crate::apic::Virtualization;
use crate::areas::{self, Areas};
use crate::bits::{
    activity, eptp, interruptibility, interruption, misc, pin, primary, qualification, reason,
    secondary,
};
use crate::controls::{Controls, Msrs};
use crate::enter::{self, Entered, Launch};
use crate::maps::{self, IO_BITMAPS_BYTES, MSR_BITMAP_BYTES};
use crate::registers::Own;
use crate::shadow::{self, Shadow as ShadowPaging};
use crate::unpaged::{self, Unpaged};
use crate::vmcs::{Current, Field, Fields};
use crate::vpid::{self, Extent, Flush};
use crate::{check, exit, host, inject, live, pml};
use core::arch::asm;
use core::ptr::NonNull;
use hvm::apic::RegisterPage;
use hvm::capability::{Features, NestedPaging, Options};
use hvm::event::{Event, Shadow, Window};
use hvm::exit::Exit;
use hvm::gprs::Gprs;
use hvm::regs::{Cr0, DR7_GD, Registers, Rflags, State};
use hvm::tsc::Scale;
use hvm::vcpu::{Hlt, ModificationLog, MsrAccess, PauseFilter, ShadowRoot, TscAccess, Vcpu};
use hvm::virtual_apic::{ApicMode, Delivery, Served};
use hvm::{Gpa, Hpa};

/// The pages that a vCPU is made of, beside its VMCS. All are zeroed, physically contiguous each, and owned by the vCPU alone.
#[derive(Clone, Copy, Debug)]
pub struct Pages {
    /// The MSR bitmap.
    pub msr_bitmap: (Hpa, NonNull<[u8; MSR_BITMAP_BYTES]>),
    /// Both I/O bitmaps.
    pub io_bitmaps: (Hpa, NonNull<[u8; IO_BITMAPS_BYTES]>),
    /// The virtual-APIC page, which the CPU reads and writes beside us.
    pub apic: (Hpa, &'static RegisterPage),
    /// The APIC-access page, of which the CPU uses no more than the address.
    pub apic_access: Hpa,
    /// The MSR areas.
    pub areas: (Hpa, NonNull<Areas>),
    /// A table of [`unpaged::fill`], which all vCPUs may share.
    pub identity: Hpa,
    /// The page-modification log.
    pub modified: (Hpa, NonNull<pml::Log>),
}

const DEBUG: u8 = 1;

/// The task-priority register in the virtual-APIC page.
const TPR: u16 = 0x80;

/// A virtual CPU.
pub struct Vmx<F = Current> {
    pub(crate) gprs: Gprs,
    pub(crate) fields: F,
    pub(crate) pages: Pages,
    pub(crate) msrs: Msrs,
    pub(crate) controls: Controls,
    pub(crate) apic: Virtualization,
    options: Options,
    pub(crate) own: Own,
    /// Without nested paging.
    pub(crate) shadow: Option<ShadowPaging>,
    /// With nested paging, where the CPU has to page even if the guest does not.
    pub(crate) unpaged: Option<Unpaged>,
    launch: Launch,
    pub(crate) flush: Flush,
    invvpid: Option<Extent>,
    invept: Option<Extent>,
    pub(crate) ept_pointer: Hpa,
    /// The guest's task priority (bits 7:4 of the TPR) where the CPU keeps none.
    pub(crate) priority: u8,
    deadline: Option<u64>,
    window: Option<Window>,
    /// A host NMI ended guest code, and its handler has not run yet.
    host_nmi: bool,
    /// CR2 and DR6 while the CPU is not this vCPU's.
    departed: (u64, u64),
}

// SAFETY: the pointers name pages that the vCPU owns alone. It runs on one CPU, where its VMCS is made current; who moves it to another
// must clear that, which nothing does.
unsafe impl<F: Send> Send for Vmx<F> {}

impl<F: Fields> Vmx<F> {
    /// A vCPU whose VMCS is `fields`, with everything set up but the nested root. `features` are those of this CPU that may be used.
    ///
    /// # Safety
    /// `pages` fulfils its contract for as long as the vCPU lives; `host` and `msrs` are of the CPU that will run it.
    pub unsafe fn new(
        fields: F,
        pages: Pages,
        (msrs, host): (Msrs, &host::State),
        features: &Features,
        hlt: Hlt,
    ) -> Self {
        let features = &shadow::usable(features);
        let nested = features.nested_paging;
        let controls = Controls::choose(&msrs, features, hlt);
        let own = Self::choose_own(features, &controls);
        let mut vcpu = Self {
            gprs: [0; 16],
            fields,
            pages,
            msrs,
            controls,
            apic: Virtualization::new(features, hlt),
            options: features.options,
            own,
            shadow: (nested == NestedPaging::Absent).then(ShadowPaging::default),
            unpaged: Unpaged::choose(features, own),
            launch: Launch::Clear,
            flush: Flush::Nested,
            invvpid: vpid::invvpid_extent(&msrs).filter(|_| features.tags > 0),
            invept: vpid::invept_extent(&msrs).filter(|_| nested != NestedPaging::Absent),
            ept_pointer: Hpa(0),
            priority: 0,
            deadline: None,
            window: None,
            host_nmi: false,
            departed: (0, 0),
        };
        // SAFETY: the pages are ours alone, by the caller's promise.
        unsafe {
            pages.msr_bitmap.1.as_ptr().write_bytes(0xff, 1);
            pages.io_bitmaps.1.as_ptr().write_bytes(0xff, 1);
        }
        host.store(&mut vcpu.fields);
        vcpu.areas_mut().fill(host.efer, host.pat);
        areas::point(&mut vcpu.fields, &vcpu.controls, pages.areas.0);
        vcpu.clear_control_block();
        State::reset().apply(&mut vcpu);
        vcpu
    }

    pub(crate) fn areas(&self) -> &Areas {
        // SAFETY: as in `areas_mut`.
        unsafe { self.pages.areas.1.as_ref() }
    }

    pub(crate) fn areas_mut(&mut self) -> &mut Areas {
        // SAFETY: the page is ours alone, and the CPU uses it only inside `enter`, which borrows self mutably.
        unsafe { self.pages.areas.1.as_mut() }
    }

    pub(crate) fn forget(&mut self, what: Flush) {
        self.flush = self.flush.max(what);
    }

    pub(crate) fn has(&self, option: Options) -> bool {
        self.options.contains(option)
    }

    /// Sets or clears primary controls.
    pub(crate) fn control(&mut self, bits: u32, wanted: bool) {
        let word = self.controls.primary;
        let new = if wanted { word | bits } else { word & !bits };
        if new != word {
            self.controls.primary = new;
            self.fields.write(Field::PrimaryControls, new.into());
        }
    }

    /// Drops what was asked to be forgotten. Without VPIDs, entries forget linear addresses by themselves.
    #[cold]
    fn flush_now(&mut self) {
        // SAFETY: VMX operation is on wherever a vCPU runs; the extents are what this CPU offers.
        unsafe {
            if self.flush == Flush::Nested
                && let Some(extent) = self.invept
            {
                vpid::invept(extent, self.ept_pointer);
            }
            if let Some(extent) = self.invvpid {
                vpid::invvpid(extent, vpid::GUEST);
            }
        }
        self.flush = Flush::None;
    }

    /// True if the guest is in real mode, and the CPU cannot run it so (SDM vol. 3C, 24.8).
    fn is_beyond(&self) -> bool {
        !self.has(Options::UNRESTRICTED_GUEST) && self.cr0() & Cr0::PE.bits() == 0
    }

    /// Tells the preemption timer how long it is to the deadline: it counts from each entry on, at a fraction of the TSC's rate
    /// (SDM vol. 3C, 26.5.1). A time too far for it ends in an exit too early, after which it is asked again.
    fn arm(&mut self, deadline: u64) {
        // SAFETY: reading the counter has no effect.
        let left = deadline.saturating_sub(unsafe { core::arch::x86_64::_rdtsc() });
        let ticks = left >> (self.msrs.misc & misc::PREEMPTION_TIMER_SHIFT);
        self.fields
            .write(Field::PreemptionTimerValue, ticks.min(u32::MAX.into()));
    }

    /// One entry and exit.
    #[inline]
    fn enter(&mut self) -> Entered {
        if self.flush != Flush::None {
            // A change of CR0 asks for a flush, so it is enough to look here.
            if self.is_beyond() || self.lacks_root() {
                return Entered::Failed;
            }
            self.flush_now();
        }
        if let Some(deadline) = self.deadline {
            self.arm(deadline);
        }
        // SAFETY: the kernel runs vCPUs with interrupts off, on the CPU whose host state the VMCS has; EPT maps guest RAM only.
        let entered = unsafe { enter::enter(&mut self.gprs, self.launch) };
        if entered == Entered::Exited {
            self.launch = Launch::Launched;
        }
        entered
    }

    /// An exit that carries more than its reason, or an entry that failed.
    #[cold]
    fn look_closer(&mut self, seen: Exit) -> Exit {
        match seen {
            Exit::HostNmi => {
                self.host_nmi = true;
                seen
            }
            Exit::Exception { vector: 1, .. } => {
                self.debug_exception();
                seen
            }
            Exit::Exception { .. } | Exit::PageFault { .. } => {
                let info = self.fields.read(Field::ExitInterruptionInformation);
                if info & interruption::NMI_UNBLOCKED_BY_IRET != 0 {
                    self.note_iret();
                }
                seen
            }
            Exit::Unexpected { code, .. } if code & reason::ENTRY_FAILURE != 0 => {
                if code & reason::BASIC == reason::MACHINE_CHECK {
                    const MACHINE_CHECK: u8 = 18;
                    return Exit::Exception {
                        vector: MACHINE_CHECK,
                        error_code: 0,
                    };
                }
                self.refused(code)
            }
            _ => seen,
        }
    }

    fn refused(&self, code: u64) -> Exit {
        let reason = check::first_violation(&self.fields, &self.msrs);
        Exit::EntryFailed { code, reason }
    }

    /// A debug exception's causes are in the qualification alone; DR6 is ours to set (28.2.1). INT1 is told apart because RIP
    /// is still at it, and it is a trap.
    fn debug_exception(&mut self) {
        let info = self.fields.read(Field::ExitInterruptionInformation);
        let kind = info >> interruption::TYPE_SHIFT & interruption::TYPE_MASK;
        if kind == interruption::TYPE_PRIVILEGED_SOFTWARE_EXCEPTION {
            let next = exit::next_rip(&self.fields);
            self.fields.write(Field::GuestRip, next);
            return;
        }
        let causes = self.fields.read(Field::ExitQualification) & qualification::DEBUG_DR6;
        live::set_dr6(live::dr6() & !0xf | causes);
    }

    /// An IRET that ended the blocking of NMIs faulted afterwards: it will run again, so they are still blocked (28.2.3).
    fn note_iret(&mut self) {
        let vectoring = self.fields.read(Field::IdtVectoringInformation);
        if vectoring & interruption::VALID == 0 {
            let old = self.fields.read(Field::GuestInterruptibility);
            self.fields
                .write(Field::GuestInterruptibility, old | interruptibility::NMI);
        }
    }
}

impl<F: Fields> Vcpu for Vmx<F> {
    fn hold_host_interrupts(&mut self) {
        // SAFETY: external-interrupt exiting is on, so what arrives in guest code ends it and stays pending.
        unsafe { asm!("cli", options(nomem, nostack)) };
    }

    fn admit_host_interrupts(&mut self) {
        if core::mem::take(&mut self.host_nmi) {
            // SAFETY: the host's NMI handler is in its IDT; its IRET ends the blocking of NMIs that the exit left (28.5.5).
            unsafe { asm!("int 2", options(nostack)) };
        }
        // SAFETY: handlers are in place; STI lets nothing in before the instruction behind the next has begun.
        unsafe { asm!("sti", "nop", options(nostack)) };
    }

    #[inline]
    fn run(&mut self) -> Exit {
        if self.enter() == Entered::Failed {
            if self.is_beyond() {
                return Exit::Emulate;
            }
            if self.lacks_root() {
                return Exit::PagingChanged;
            }
            return self.refused(self.fields.read(Field::InstructionError));
        }
        let seen = exit::decode(&self.fields, || self.apic.access_page());
        match seen {
            Exit::HostNmi
            | Exit::Exception { .. }
            | Exit::PageFault { .. }
            | Exit::Unexpected { .. } => self.look_closer(seen),
            Exit::NestedFault { .. } | Exit::ModificationLogFull => {
                let info = self.fields.read(Field::ExitQualification);
                if info & qualification::EPT_NMI_UNBLOCKED_BY_IRET != 0 {
                    self.note_iret();
                }
                seen
            }
            // Without virtual NMIs the next interrupt window stands in for theirs: a handler that has returned has interrupts on.
            Exit::InterruptWindow
                if !self.has(Options::VIRTUAL_NMI) && self.window.is_some_and(Window::has_nmi) =>
            {
                Exit::NmiWindow
            }
            _ => seen,
        }
    }

    fn executes(&self) -> bool {
        self.has(Options::UNRESTRICTED_GUEST)
            || !self.is_beyond() && check::segments_fit(&self.fields, &self.msrs)
    }

    #[inline]
    fn next_rip(&self) -> Option<u64> {
        Some(exit::next_rip(&self.fields))
    }

    #[inline]
    fn fetched_bytes(&self) -> Option<&[u8; 15]> {
        None
    }

    #[inline]
    fn interrupted_event(&mut self) -> Option<Event> {
        let word = self.fields.read(Field::IdtVectoringInformation);
        if word & interruption::VALID == 0 {
            return None;
        }
        let fields = &self.fields;
        let event = hvm::interruption::decode(word as u32, || {
            fields.read(Field::IdtVectoringErrorCode) as u32
        });
        if event == Some(Event::Nmi) {
            // Its delivery, which blocked NMIs, did not happen, and VM entry refuses to inject one while they are blocked.
            let old = self.fields.read(Field::GuestInterruptibility);
            self.fields
                .write(Field::GuestInterruptibility, old & !interruptibility::NMI);
        }
        event
    }

    #[inline]
    fn shadow(&self) -> Shadow {
        const SHADOWS: u64 = interruptibility::STI | interruptibility::MOV_SS;
        if self.fields.read(Field::GuestInterruptibility) & SHADOWS != 0 {
            Shadow::Active
        } else {
            Shadow::None
        }
    }

    #[inline]
    fn set_shadow(&mut self, shadow: Shadow) {
        const SHADOWS: u64 = interruptibility::STI | interruptibility::MOV_SS;
        let old = self.fields.read(Field::GuestInterruptibility);
        let new = match shadow {
            Shadow::None => old & !SHADOWS,
            // STI leaves a shadow only with interrupts on (27.3.1.5); the other instructions that do block debug exceptions as well.
            Shadow::Active if self.rflags() & Rflags::IF.bits() != 0 => {
                old & !SHADOWS | interruptibility::STI
            }
            Shadow::Active => old & !SHADOWS | interruptibility::MOV_SS,
        };
        if new != old {
            self.fields.write(Field::GuestInterruptibility, new);
            self.pend_single_step(shadow);
        }
    }

    fn inject(&mut self, event: Event) {
        if let Event::Exception(exception) = event {
            if let Some(cr2) = exception.cr2 {
                live::set_cr2(cr2);
            }
            if exception.vector == DEBUG {
                let dr7 = self.fields.read(Field::GuestDr7);
                self.fields.write(Field::GuestDr7, dr7 & !DR7_GD);
            }
            // A CPU in HLT takes only what ends it (27.2.1.3).
            self.fields
                .write(Field::GuestActivityState, activity::ACTIVE);
        }
        let cr0 = self.fields.read(Field::GuestCr0);
        let injection = inject::encode(event, cr0);
        self.fields.write(
            Field::EntryInterruptionInformation,
            injection.information.into(),
        );
        self.fields
            .write(Field::EntryExceptionErrorCode, injection.error_code.into());
        self.fields
            .write(Field::EntryInstructionLength, injection.length.into());
    }

    /// Without virtual NMIs the CPU does not tell. A handler runs with interrupts off and does not halt, so neither is one.
    fn nmis_open(&self) -> bool {
        if self.has(Options::VIRTUAL_NMI) {
            return self.fields.read(Field::GuestInterruptibility) & interruptibility::NMI == 0;
        }
        let enabled = self.rflags() & Rflags::IF.bits() != 0 && self.shadow() == Shadow::None;
        enabled || self.fields.read(Field::ExitReason) == reason::HLT
    }

    fn block_nmis(&mut self) {
        if self.has(Options::VIRTUAL_NMI) {
            let old = self.fields.read(Field::GuestInterruptibility);
            self.fields
                .write(Field::GuestInterruptibility, old | interruptibility::NMI);
        }
    }

    fn open_nmis(&mut self) {
        if self.has(Options::VIRTUAL_NMI) {
            let old = self.fields.read(Field::GuestInterruptibility);
            self.fields
                .write(Field::GuestInterruptibility, old & !interruptibility::NMI);
        }
    }

    fn set_window(&mut self, window: Option<Window>) {
        self.window = window;
        let both = window == Some(Window::NmiOrInterrupt);
        let nmi = window.is_some_and(Window::has_nmi);
        // CPUs differ in whether the shadow of STI keeps the window for NMIs shut; behind it interrupts are on (27.7.6).
        let shadow = self.fields.read(Field::GuestInterruptibility) & interruptibility::STI != 0;
        let by_interrupt = nmi && (shadow || !self.has(Options::VIRTUAL_NMI));
        self.control(
            primary::INTERRUPT_WINDOW_EXITING,
            window == Some(Window::Interrupt) || both || by_interrupt,
        );
        self.control(primary::NMI_WINDOW_EXITING, nmi && !by_interrupt);
        // Without the shadow every write of CR8 exits, and needs no threshold.
        if self.has(Options::TPR_SHADOW) {
            let threshold = match window {
                Some(Window::Priority(class)) => class,
                _ => 0,
            };
            self.fields.write(Field::TprThreshold, threshold.into());
        }
    }

    #[inline]
    fn cr8(&self) -> u8 {
        if self.has(Options::TPR_SHADOW) {
            (self.pages.apic.1.read(TPR) >> 4) as u8 & 15
        } else {
            self.priority
        }
    }

    fn set_cr8(&mut self, priority: u8) {
        self.priority = priority & 15;
        self.pages.apic.1.write(TPR, u32::from(priority & 15) << 4);
    }

    #[inline]
    fn set_apic_mode(&mut self, mode: ApicMode) -> bool {
        self.switch_apic(mode)
    }

    fn apic_access_page(&self) -> Option<(Gpa, Hpa)> {
        self.apic
            .serves_memory()
            .then_some((self.apic.access_page(), self.pages.apic_access))
    }

    #[inline]
    fn served_apic(&self) -> Served {
        self.apic.served(self.pages.apic.1)
    }

    fn set_delivery(&mut self, delivery: Delivery) {
        self.offer(delivery);
    }

    fn dr7(&self) -> u64 {
        self.fields.read(Field::GuestDr7)
    }

    fn set_dr7(&mut self, value: u64) {
        self.fields.write(Field::GuestDr7, value & 0xffff_ffff);
    }

    fn dr6(&self) -> u64 {
        live::dr6()
    }

    fn set_dr6(&mut self, value: u64) {
        live::set_dr6(value);
    }

    fn set_deadline(&mut self, host_tsc: Option<u64>) -> bool {
        // The timer goes by the counter: where that is nothing for the guest to read, it is none to stop it by.
        let intercepted = self.controls.primary & primary::RDTSC_EXITING != 0;
        if !self.has(Options::PREEMPTION_TIMER) || intercepted {
            return false;
        }
        if self.deadline.is_some() != host_tsc.is_some() {
            self.controls.pin ^= pin::PREEMPTION_TIMER;
            self.fields
                .write(Field::PinBasedControls, self.controls.pin.into());
        }
        self.deadline = host_tsc;
        true
    }

    fn set_pdptes(&mut self, entries: [u64; 4]) {
        let fields = [
            Field::GuestPdpte0,
            Field::GuestPdpte1,
            Field::GuestPdpte2,
            Field::GuestPdpte3,
        ];
        for (field, entry) in fields.into_iter().zip(entries) {
            self.fields
                .write(field, pdpte(entry, self.msrs.physical_bits));
        }
    }

    fn set_tsc_scale(&mut self, scale: Scale) -> bool {
        if !self.has(Options::TSC_SCALING) {
            return scale == Scale::ONE;
        }
        self.controls.secondary |= secondary::TSC_SCALING;
        self.fields
            .write(Field::SecondaryControls, self.controls.secondary.into());
        self.fields.write(Field::TscMultiplier, scale.bits());
        true
    }

    fn set_tsc_access(&mut self, access: TscAccess) {
        self.control(primary::RDTSC_EXITING, access == TscAccess::Intercepted);
    }

    fn set_tsc_offset(&mut self, ticks: u64) {
        self.fields.write(Field::TscOffset, ticks);
    }

    fn identity_page(&self) -> Option<(Gpa, Hpa)> {
        self.unpaged.map(|_| (unpaged::TABLE, self.pages.identity))
    }

    fn set_nested_root(&mut self, root: Hpa) {
        let dirty = if self.has(Options::NESTED_DIRTY_BITS) {
            eptp::DIRTY_BITS
        } else {
            0
        };
        self.ept_pointer = Hpa(root.0 | eptp::WRITE_BACK | eptp::FOUR_LEVELS | dirty);
        self.fields.write(Field::EptPointer, self.ept_pointer.0);
        self.forget(Flush::Nested);
    }

    fn set_shadow_root(&mut self, root: ShadowRoot) {
        self.take_root(root);
    }

    fn needs_shadow_root(&self) -> bool {
        self.lacks_root()
    }

    fn flush_tlb(&mut self) {
        self.forget(Flush::Nested);
    }

    fn depart(&mut self) {
        self.departed = (live::cr2(), live::dr6());
    }

    /// Another vCPU had the VPID, which all share.
    fn arrive(&mut self) {
        self.fields.make_current();
        live::set_cr2(self.departed.0);
        live::set_dr6(self.departed.1);
        self.flush_tlb();
    }

    /// The log follows dirty bits, so where those are not used there is none.
    fn set_modification_log(&mut self, state: ModificationLog) -> bool {
        if !self.has(Options::PAGE_MODIFICATION_LOG | Options::NESTED_DIRTY_BITS) {
            return false;
        }
        pml::point(&mut self.fields, self.pages.modified.0);
        match state {
            ModificationLog::On => self.controls.secondary |= secondary::PAGE_MODIFICATION_LOG,
            ModificationLog::Off => self.controls.secondary &= !secondary::PAGE_MODIFICATION_LOG,
        }
        self.fields
            .write(Field::SecondaryControls, self.controls.secondary.into());
        true
    }

    fn drain_modified(&mut self, to: &mut dyn FnMut(Gpa)) {
        if self.controls.secondary & secondary::PAGE_MODIFICATION_LOG != 0 {
            // SAFETY: the page is ours alone, and the CPU writes to it only inside `enter`, which borrows self mutably.
            let log = unsafe { self.pages.modified.1.as_ref() };
            pml::drain(&mut self.fields, log, to);
        }
    }

    fn set_pause_filter(&mut self, state: PauseFilter) -> bool {
        self.filter_pauses(state)
    }

    fn set_msr_access(&mut self, msr: u32, access: MsrAccess) -> bool {
        // SAFETY: the map is ours alone; the CPU reads it only inside `enter`.
        maps::set_msr(unsafe { self.pages.msr_bitmap.1.as_mut() }, msr, access)
    }

    fn reset(&mut self) {
        self.clear_control_block();
    }
}

/// A page-directory-pointer entry as VM entry takes it (27.3.1.6): the emulator has judged it, but another vCPU may have changed it since.
const fn pdpte(entry: u64, physical_bits: u8) -> u64 {
    /// Bits 2:1 and 8:6. Bit 5 is dropped: walks of some emulators set it.
    const RESERVED: u64 = 0x1c6;
    const ACCESSED: u64 = 1 << 5;
    if entry & 1 != 0 && (entry & RESERVED != 0 || entry >> (physical_bits & 63) != 0) {
        return 0;
    }
    entry & !ACCESSED
}

impl<F: Fields> Vmx<F> {
    /// Forgets what was asked of the vCPU since its last reset, but for the flush.
    pub(crate) fn forget_requests(&mut self) {
        self.deadline = None;
        self.controls.pin &= !pin::PREEMPTION_TIMER;
        self.window = None;
        self.controls.primary &= !(primary::INTERRUPT_WINDOW_EXITING | primary::NMI_WINDOW_EXITING);
        self.set_cr8(0);
    }

    /// A single step that comes due behind a shadow must be pending, and one that does not must not be (27.3.1.5).
    fn pend_single_step(&mut self, shadow: Shadow) {
        const SINGLE_STEP: u64 = 1 << 14;
        let steps = self.fields.read(Field::GuestRflags) & Rflags::TF.bits() != 0;
        let pending = if shadow == Shadow::Active && steps {
            SINGLE_STEP
        } else {
            0
        };
        let others = self.fields.read(Field::GuestPendingDebugExceptions) & !SINGLE_STEP;
        self.fields
            .write(Field::GuestPendingDebugExceptions, others | pending);
    }
}
