//! IRET (SDM vol. 2A, IRET).

use super::code::CodeMode;
use super::descriptor::ACCESSED;
use super::segment::{GENERAL, is_null, selector_fault};
use super::stack::Stack;
use super::switch::Cause;
use super::transfer::Way;
use super::{Bus, Execution, Flow, PROTECTION, Stop, alu};
use crate::Width;
use crate::regs::{Cr4, Registers, Rflags, Segment, SegmentName};
use iced_x86::Code;

/// Flags that an image of 16 bits has, and any code may change.
const LOW: Rflags = alu::STATUS
    .union(Rflags::TF)
    .union(Rflags::DF)
    .union(Rflags::NT);
/// The same above bit 15.
const HIGH: Rflags = Rflags::RF.union(Rflags::AC).union(Rflags::ID);

/// The three words that every frame has.
#[derive(Clone, Copy, Debug)]
struct Frame {
    offset: u64,
    selector: u16,
    flags: Rflags,
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// IRET, IRETD, IRETQ.
    pub(super) fn return_from_interrupt(&mut self) -> Result<Flow, Stop> {
        let width = match self.instruction.code() {
            Code::Iretw => Width::Word,
            Code::Iretd => Width::Dword,
            _ => Width::Qword,
        };
        if self.is_virtual_8086() && self.iopl() < 3 && !self.has_virtual_interrupts(width) {
            return Err(PROTECTION);
        }
        let is_protected = !self.has_paragraphs();
        if is_protected && self.cpu.rflags() & Rflags::NT.bits() != 0 {
            if self.is_long_mode() {
                return Err(PROTECTION);
            }
            let task = self.calling_task()?;
            return self.switch_task(&task, Cause::Return, self.cpu.rflags());
        }
        let mut stack = self.stack();
        let frame = Frame {
            offset: self.pop(&mut stack, width)?,
            selector: self.pop(&mut stack, width)? as u16,
            flags: Rflags::from_bits_retain(self.pop(&mut stack, width)?),
        };
        if !is_protected {
            self.return_to_paragraph(frame, stack, width)
        } else if frame.flags.contains(Rflags::VM)
            && width == Width::Dword
            && self.cpl == 0
            && !self.is_long_mode()
        {
            self.return_to_virtual_8086(frame, stack)
        } else {
            self.return_protected(frame, stack, width)
        }
    }

    fn has_virtual_interrupts(&self, width: Width) -> bool {
        self.cpu.cr4() & Cr4::VME.bits() != 0 && width == Width::Word
    }

    /// Real mode, and virtual-8086 code on its way to itself.
    fn return_to_paragraph(
        &mut self,
        frame: Frame,
        stack: Stack,
        width: Width,
    ) -> Result<Flow, Stop> {
        let segment = self.paragraph(SegmentName::Cs, frame.selector);
        self.check_target(&segment, frame.offset)?;
        let mut changed = LOW;
        if width != Width::Word {
            changed |= HIGH;
        }
        let mut flags = frame.flags;
        if !self.is_virtual_8086() {
            changed |= Rflags::IF | Rflags::IOPL;
        } else if self.iopl() == 3 {
            changed |= Rflags::IF;
        } else {
            let is_pending = self.cpu.rflags() & Rflags::VIP.bits() != 0;
            if flags.contains(Rflags::TF) || flags.contains(Rflags::IF) && is_pending {
                return Err(PROTECTION);
            }
            flags.set(Rflags::VIF, flags.contains(Rflags::IF));
            changed |= Rflags::VIF;
        }
        self.set_stack_pointer(&stack);
        self.set_flag(changed, flags)?;
        self.enter_code(segment, frame.offset);
        Ok(Flow::Returned)
    }

    fn return_to_virtual_8086(&mut self, frame: Frame, mut stack: Stack) -> Result<Flow, Stop> {
        if frame.offset > 0xffff {
            return Err(PROTECTION);
        }
        let pointer = self.pop(&mut stack, Width::Dword)?;
        let mut selectors = [0; 5];
        for selector in &mut selectors {
            *selector = self.pop(&mut stack, Width::Dword)? as u16;
        }
        let paragraph =
            |selector: u16| Segment::new(selector, 0xf3, 0xffff, u64::from(selector) << 4);
        let changed =
            LOW | HIGH | Rflags::IF | Rflags::IOPL | Rflags::VM | Rflags::VIF | Rflags::VIP;
        self.set_flag(changed, frame.flags)?;
        for (name, selector) in [
            SegmentName::Ss,
            SegmentName::Es,
            SegmentName::Ds,
            SegmentName::Fs,
            SegmentName::Gs,
        ]
        .into_iter()
        .zip(selectors)
        {
            self.cpu.set_segment(name, paragraph(selector));
        }
        self.cpu.set_gpr(crate::regs::Gpr::Rsp, pointer);
        self.enter_code(paragraph(frame.selector), frame.offset);
        Ok(Flow::Returned)
    }

    fn return_protected(
        &mut self,
        frame: Frame,
        mut stack: Stack,
        width: Width,
    ) -> Result<Flow, Stop> {
        let rpl = (frame.selector & 3) as u8;
        if rpl < self.cpl && !is_null(frame.selector) {
            return Err(selector_fault(GENERAL, frame.selector));
        }
        let target = self.code_segment(frame.selector, Way::Return)?;
        let segment = self.at_level(&target, rpl);
        // 64-bit code always has a stack in its frame.
        let outer = if rpl > self.cpl || self.mode == CodeMode::Bits64 {
            let pointer = self.pop(&mut stack, width)?;
            let selector = self.pop(&mut stack, width)? as u16;
            Some((self.outer_stack(selector, rpl, &segment)?, pointer))
        } else {
            None
        };
        self.check_target(&segment, frame.offset)?;
        self.mark_descriptor(&target, ACCESSED)?;
        let mut changed = LOW;
        if width != Width::Word {
            changed |= HIGH;
        }
        if self.cpl <= self.iopl() {
            changed |= Rflags::IF;
        }
        if self.cpl == 0 {
            changed |= Rflags::IOPL;
            if width != Width::Word {
                changed |= Rflags::VIF | Rflags::VIP;
            }
        }
        self.set_flag(changed, frame.flags)?;
        match outer {
            Some((outer, pointer)) => self.leave_level(&segment, outer, pointer, width),
            None => self.set_stack_pointer(&stack),
        }
        self.enter_code(segment, frame.offset);
        Ok(Flow::Returned)
    }
}
