//! Hardware task switches (SDM vol. 3A, 8.3; APM vol. 2, 12.2).
//!
//! All that the switch reads and writes of both tasks is found first, so that until then its faults are the old task's. What faults later is
//! the new task's: RIP and the registers are already there, and whoever raises the fault does so in its name.

use super::descriptor::{ACCESSED, BUSY, System};
use super::memory::Span;
use super::run::ATTEMPTS;
use super::segment::{Found, GENERAL, INVALID_TSS, NOT_PRESENT, is_null, selector_fault};
use super::stack::Stack;
use super::task::WIDE_TSS;
use super::{Bus, Execution, Flow, Invalidation, Reason, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Attributes, Cr0, Gpr, Registers, Rflags, Segment, SegmentName};
use crate::walk::AccessKind;
use guest_mem::Gva;

/// What asks for another task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// JMP.
    Jump,
    /// CALL.
    Call,
    /// IRET from a nested task.
    Return,
    /// An interrupt or an exception, with what that pushes.
    Event(Option<u32>),
}

impl Cause {
    /// The old task waits for the new one to return.
    const fn nests(self) -> bool {
        matches!(self, Self::Call | Self::Event(_))
    }
}

/// Where a task-state segment keeps things. The registers and selectors stand side by side in the order of their numbers.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Limits must not be below this.
    last: u32,
    /// So many bytes are saved in.
    saved: u32,
    /// Of EIP, EFLAGS and general registers.
    word: Width,
    cr3: Option<u64>,
    rip: u64,
    flags: u64,
    gprs: u64,
    selectors: u64,
    selector_step: u64,
    selectors_kept: usize,
    ldtr: u64,
    trap: Option<u64>,
}

const WIDE: Layout = Layout {
    last: 0x67,
    saved: 0x60,
    word: Width::Dword,
    cr3: Some(0x1c),
    rip: 0x20,
    flags: 0x24,
    gprs: 0x28,
    selectors: 0x48,
    selector_step: 4,
    selectors_kept: 6,
    ldtr: 0x60,
    trap: Some(0x64),
};

const NARROW: Layout = Layout {
    last: 0x2b,
    saved: 0x2a,
    word: Width::Word,
    cr3: None,
    rip: 0x0e,
    flags: 0x10,
    gprs: 0x12,
    selectors: 0x22,
    selector_step: 2,
    selectors_kept: 4,
    ldtr: 0x2a,
    trap: None,
};

impl Layout {
    const fn of(is_wide: bool) -> &'static Self {
        if is_wide { &WIDE } else { &NARROW }
    }

    fn gpr(&self, index: usize) -> u64 {
        self.gprs + (index * self.word.bytes()) as u64
    }

    fn selector(&self, index: usize) -> u64 {
        self.selectors + index as u64 * self.selector_step
    }
}

/// In the order of a TSS.
const SEGMENTS: [SegmentName; 6] = [
    SegmentName::Es,
    SegmentName::Cs,
    SegmentName::Ss,
    SegmentName::Ds,
    SegmentName::Fs,
    SegmentName::Gs,
];
const GPRS: usize = 8;

/// What a task starts with.
struct Image {
    cr3: Option<u64>,
    rip: u64,
    flags: u64,
    gprs: [u64; GPRS],
    selectors: [u16; 6],
    ldtr: u16,
    traps: bool,
}

/// Both ends of a switch, translated.
struct Ends {
    old: Span,
    new: Span,
    /// The new task's link to the old one, if it is written.
    link: Option<Span>,
    /// The descriptors' bytes with the busy bit, of those that change.
    freed: Option<Span>,
    taken: Option<Span>,
}

/// The busy bit in its byte of a descriptor.
const BUSY_BYTE: u64 = BUSY >> 40;
/// Defined bits of EFLAGS.
const FLAGS: u64 = 0x3f_7fd7;
/// What a TSS of 16 bits leaves of general registers; so do all CPUs that are known.
const UPPER_HALF: u64 = 0xffff_0000;
/// Breakpoints of one task: L0 to L3 and LE of DR7.
const LOCAL_BREAKPOINTS: u64 = 0x155;
/// DR6.BT: a task switch trapped.
const TASK_TRAP: u64 = 1 << 15;

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// The task that a system descriptor leads to, of a far jump or call that may use it; `None` if it is something else.
    pub(super) fn task_behind(&mut self, found: &Found) -> Result<Option<Found>, Stop> {
        let kind = found.descriptor.system();
        let is_gate = kind == System::TaskGate;
        if self.is_long_mode() || !is_gate && !matches!(kind, System::Tss16 | System::Tss32) {
            return Ok(None);
        }
        let dpl = found.descriptor.dpl();
        if dpl < self.cpl || found.rpl() > dpl {
            return Err(found.fault(GENERAL));
        }
        if !found.descriptor.is_present() {
            return Err(found.fault(NOT_PRESENT));
        }
        match is_gate {
            true => self.gated_task(found).map(Some),
            false => Ok(Some(*found)),
        }
    }

    /// The task of a task gate.
    pub(super) fn gated_task(&mut self, gate: &Found) -> Result<Found, Stop> {
        let selector = gate.descriptor.target();
        self.task(selector, GENERAL, [System::Tss16, System::Tss32])
    }

    /// The task that called this one, for IRET.
    pub(super) fn calling_task(&mut self) -> Result<Found, Stop> {
        let base = self.cpu.segment(SegmentName::Tr).base;
        let link = self.read_system(Gva(base), Width::Word)? as u16;
        self.task(link, INVALID_TSS, [System::Tss16Busy, System::Tss32Busy])
    }

    fn task(&mut self, selector: u16, vector: u8, kinds: [System; 2]) -> Result<Found, Stop> {
        if selector & 4 != 0 || is_null(selector) {
            return Err(selector_fault(vector, selector));
        }
        let found = self.descriptor(selector, vector)?;
        if !found.descriptor.is_system() || !kinds.contains(&found.descriptor.system()) {
            return Err(found.fault(vector));
        }
        if !found.descriptor.is_present() {
            return Err(found.fault(NOT_PRESENT));
        }
        Ok(found)
    }

    /// Switches to `task`, which is present and of the right type; `flags` are saved for the old one, whose next instruction is at
    /// `self.next`.
    pub(super) fn switch_task(
        &mut self,
        task: &Found,
        cause: Cause,
        flags: u64,
    ) -> Result<Flow, Stop> {
        let old = self.cpu.segment(SegmentName::Tr);
        let layout = Layout::of(is_wide(task.descriptor.attributes()));
        if task.descriptor.limit() < layout.last {
            return Err(task.fault(INVALID_TSS));
        }
        let ends = self.find_ends(&old, task, cause, layout)?;
        self.save_task(&ends, &old, cause, flags);
        let image = self.read_task_image(&ends.new, layout);
        self.load_task_image(task, &image, cause);
        self.load_task_segments(&image)?;
        let code = self.cpu.segment(SegmentName::Cs);
        if let Cause::Event(Some(error_code)) = cause {
            let segment = self.cpu.segment(SegmentName::Ss);
            let mut stack = Stack::new(segment, self.mode_of(&code), self.cpu.gpr(Gpr::Rsp));
            self.push_words(&mut stack, layout.word, &[u64::from(error_code)])?;
            self.set_stack_pointer(&stack);
        }
        self.check_target(&code, image.rip)?;
        if image.traps {
            let status = self.bus.read_debug(6);
            self.bus.write_debug(6, status | TASK_TRAP);
            return Err(Exception::plain(1).into());
        }
        Ok(match cause {
            Cause::Return => Flow::SwitchedBack,
            _ => Flow::Switched,
        })
    }

    /// Finds all that is written and read, in the old task's name.
    fn find_ends(
        &mut self,
        old: &Segment,
        task: &Found,
        cause: Cause,
        layout: &Layout,
    ) -> Result<Ends, Stop> {
        let old_layout = Layout::of(is_wide(old.attributes));
        if old.limit < old_layout.saved - 1 {
            return Err(selector_fault(INVALID_TSS, old.selector));
        }
        let base = Gva(task.descriptor.base());
        let nests = cause.nests();
        let link = nests.then(|| self.system_span(base, 2, AccessKind::Write));
        let freed = (!nests).then(|| {
            let table = Gva(self.cpu.gdtr().base);
            let at = table.wrapping_add(u64::from(old.selector & 0xfff8) + 5);
            self.system_span(at, 1, AccessKind::Write)
        });
        let taken = (cause != Cause::Return)
            .then(|| self.system_span(task.at.wrapping_add(5), 1, AccessKind::Write));
        let saved = u64::from(old_layout.saved);
        Ok(Ends {
            old: self.system_span(Gva(old.base), saved, AccessKind::Write)?,
            new: self.system_span(base, u64::from(layout.last) + 1, AccessKind::Read)?,
            link: link.transpose()?,
            freed: freed.transpose()?,
            taken: taken.transpose()?,
        })
    }

    fn store_part(&mut self, span: &Span, at: u64, width: Width, value: u64) {
        let part = span.part(at, width.bytes() as u64);
        self.store(&part, width, value);
    }

    fn load_part(&mut self, span: &Span, at: u64, width: Width) -> u64 {
        let part = span.part(at, width.bytes() as u64);
        self.load(&part, width)
    }

    /// Puts the registers away, and says which tasks are busy.
    fn save_task(&mut self, ends: &Ends, old: &Segment, cause: Cause, flags: u64) {
        let layout = Layout::of(is_wide(old.attributes));
        let ended = match cause {
            Cause::Return => Rflags::NT.bits(),
            _ => 0,
        };
        let (next, span) = (self.next, &ends.old);
        self.store_part(span, layout.rip, layout.word, next);
        self.store_part(span, layout.flags, layout.word, flags & !ended);
        for (index, gpr) in Gpr::ALL.into_iter().take(GPRS).enumerate() {
            let value = self.cpu.gpr(gpr);
            self.store_part(span, layout.gpr(index), layout.word, value);
        }
        for (index, name) in SEGMENTS.into_iter().take(layout.selectors_kept).enumerate() {
            let selector = self.cpu.segment(name).selector;
            let at = layout.selector(index);
            self.store_part(span, at, Width::Word, u64::from(selector));
        }
        if let Some(span) = &ends.link {
            self.store(span, Width::Word, u64::from(old.selector));
        }
        if let Some(span) = &ends.freed {
            let byte = self.load(span, Width::Byte);
            self.store(span, Width::Byte, byte & !BUSY_BYTE);
        }
        if let Some(span) = &ends.taken {
            let byte = self.load(span, Width::Byte);
            self.store(span, Width::Byte, byte | BUSY_BYTE);
        }
    }

    fn read_task_image(&mut self, span: &Span, layout: &Layout) -> Image {
        let upper = match layout.word {
            Width::Word => UPPER_HALF,
            _ => 0,
        };
        let mut gprs = [0; GPRS];
        for (index, gpr) in gprs.iter_mut().enumerate() {
            *gpr = upper | self.load_part(span, layout.gpr(index), layout.word);
        }
        let mut selectors = [0; SEGMENTS.len()];
        for (index, selector) in selectors.iter_mut().take(layout.selectors_kept).enumerate() {
            *selector = self.load_part(span, layout.selector(index), Width::Word) as u16;
        }
        Image {
            cr3: layout.cr3.map(|at| self.load_part(span, at, Width::Dword)),
            rip: self.load_part(span, layout.rip, layout.word),
            flags: self.load_part(span, layout.flags, layout.word),
            gprs,
            selectors,
            ldtr: self.load_part(span, layout.ldtr, Width::Word) as u16,
            traps: layout
                .trap
                .is_some_and(|at| self.load_part(span, at, Width::Byte) & 1 != 0),
        }
    }

    /// All but the hidden parts of the segment registers, which have to be found first.
    fn load_task_image(&mut self, task: &Found, image: &Image, cause: Cause) {
        let mut register = task.descriptor.segment(task.selector);
        register.attributes |= Attributes::from_bits_retain(BUSY_BYTE as u32);
        self.cpu.set_segment(SegmentName::Tr, register);
        let cr0 = self.cpu.cr0();
        self.cpu.set_cr0(cr0 | Cr0::TS.bits());
        if let Some(cr3) = image.cr3.filter(|_| cr0 & Cr0::PG.bits() != 0) {
            self.cpu.set_cr3(cr3);
            self.bus.invalidate(Invalidation::AddressSpace);
        }
        let control = self.bus.read_debug(7);
        self.bus.write_debug(7, control & !LOCAL_BREAKPOINTS);
        let nested = match cause.nests() {
            true => Rflags::NT.bits(),
            false => 0,
        };
        let flags = image.flags & FLAGS | nested | Rflags::FIXED.bits();
        self.cpu.set_rflags(flags);
        for (gpr, value) in Gpr::ALL.into_iter().zip(image.gprs) {
            self.cpu.set_gpr(gpr, value);
        }
        self.next = image.rip;
        self.cpu.set_rip(image.rip);
        let is_virtual = flags & Rflags::VM.bits() != 0;
        self.cpl = match is_virtual {
            true => 3,
            false => (image.selectors[SegmentName::Cs as usize] & 3) as u8,
        };
        let empty = Attributes::UNUSABLE.bits() | u32::from(self.cpl) << 5;
        for (name, selector) in SEGMENTS.into_iter().zip(image.selectors) {
            let segment = if is_virtual {
                Segment::new(selector, 0xf3, 0xffff, u64::from(selector) << 4)
            } else if name == SegmentName::Cs {
                let before = self.cpu.segment(name);
                Segment { selector, ..before }
            } else {
                Segment::new(selector, empty, 0, 0)
            };
            self.cpu.set_segment(name, segment);
        }
        let table = Segment::new(image.ldtr, Attributes::UNUSABLE.bits() | 2, 0, 0);
        self.cpu.set_segment(SegmentName::Ldtr, table);
    }

    fn load_task_segments(&mut self, image: &Image) -> Result<(), Stop> {
        if !is_null(image.ldtr) {
            let table = self.task_table(image.ldtr)?;
            self.cpu.set_segment(SegmentName::Ldtr, table);
        }
        if self.is_virtual_8086() {
            return Ok(());
        }
        // CS decides on the level, and SS has to agree.
        for name in [
            SegmentName::Cs,
            SegmentName::Ss,
            SegmentName::Es,
            SegmentName::Ds,
            SegmentName::Fs,
            SegmentName::Gs,
        ] {
            let selector = image.selectors[name as usize];
            let segment = self.task_segment(name, selector)?;
            self.cpu.set_segment(name, segment);
        }
        Ok(())
    }

    fn task_table(&mut self, selector: u16) -> Result<Segment, Stop> {
        if selector & 4 != 0 {
            return Err(selector_fault(INVALID_TSS, selector));
        }
        let found = self.descriptor(selector, INVALID_TSS)?;
        let descriptor = found.descriptor;
        let is_table = descriptor.is_system() && descriptor.system() == System::Ldt;
        if !is_table || !descriptor.is_present() {
            return Err(found.fault(INVALID_TSS));
        }
        Ok(descriptor.segment(selector))
    }

    /// A segment of the new task. There is no way back to try again, so who contends for the accessed bit is outwaited.
    fn task_segment(&mut self, name: SegmentName, selector: u16) -> Result<Segment, Stop> {
        for _ in 0..ATTEMPTS {
            let tried = match name {
                SegmentName::Cs => self.task_code(selector),
                SegmentName::Ss => self.stack_segment(selector, self.cpl, INVALID_TSS),
                _ => self.task_data(selector),
            };
            if tried != Err(Stop::Again) {
                return tried;
            }
        }
        Err(Stop::Unsupported(Reason::Instruction))
    }

    fn task_code(&mut self, selector: u16) -> Result<Segment, Stop> {
        if is_null(selector) {
            return Err(selector_fault(INVALID_TSS, selector));
        }
        let found = self.descriptor(selector, INVALID_TSS)?;
        let descriptor = found.descriptor;
        let fits = match descriptor.is_conforming() {
            true => descriptor.dpl() <= self.cpl,
            false => descriptor.dpl() == self.cpl,
        };
        if !descriptor.is_code() || !fits {
            return Err(found.fault(INVALID_TSS));
        }
        self.use_task_segment(&found)
    }

    fn task_data(&mut self, selector: u16) -> Result<Segment, Stop> {
        if is_null(selector) {
            return Ok(Segment::new(selector, Attributes::UNUSABLE.bits(), 0, 0));
        }
        let found = self.descriptor(selector, INVALID_TSS)?;
        let descriptor = found.descriptor;
        let fits = descriptor.is_conforming()
            || found.rpl() <= descriptor.dpl() && self.cpl <= descriptor.dpl();
        if !descriptor.is_readable() || !fits {
            return Err(found.fault(INVALID_TSS));
        }
        self.use_task_segment(&found)
    }

    fn use_task_segment(&mut self, found: &Found) -> Result<Segment, Stop> {
        if !found.descriptor.is_present() {
            return Err(found.fault(NOT_PRESENT));
        }
        self.mark_descriptor(found, ACCESSED)?;
        Ok(found.descriptor.segment(found.selector))
    }
}

fn is_wide(attributes: Attributes) -> bool {
    attributes.bits() & WIDE_TSS != 0
}
