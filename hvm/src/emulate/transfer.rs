//! Far jumps, calls and returns (SDM vol. 2, JMP, CALL, RET; vol. 3A, 5.8).

use super::code::CodeMode;
use super::descriptor::{ACCESSED, System};
use super::memory::Span;
use super::segment::{Found, GENERAL, NOT_PRESENT, is_null, selector_fault};
use super::stack::Stack;
use super::switch::Cause;
use super::{Bus, Execution, Flow, Hint, PROTECTION, Stop};
use crate::Width;
use crate::regs::{Attributes, Gpr, Registers, Segment, SegmentName};
use iced_x86::{Code, OpKind};

/// How code is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By its own selector: only at the same level, or conforming.
    Direct,
    /// By a jump through a gate: the selector's RPL does not count.
    GateJump,
    /// By a call or interrupt through a gate: to the same level, or a more privileged one.
    GateCall,
    /// By a return: the selector's RPL is the level to come.
    Return,
}

/// More is never pushed at a time: 31 parameters of a call gate, and four words.
const PUSHES: usize = 36;

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// Pushes words, the first first: all, or nothing and a fault.
    pub(super) fn push_words(
        &mut self,
        stack: &mut Stack,
        width: Width,
        words: &[u64],
    ) -> Result<(), Stop> {
        let mut spans: [Option<Span>; PUSHES] = [None; PUSHES];
        for (span, _) in spans.iter_mut().zip(words) {
            *span = Some(self.push_span(stack, width)?);
        }
        for (span, word) in spans.into_iter().flatten().zip(words) {
            self.store(&span, width, width.cut(*word));
        }
        Ok(())
    }

    /// Finds a code segment that may be reached this way. Its register's RPL is the caller's business.
    pub(super) fn code_segment(&mut self, selector: u16, way: Way) -> Result<Found, Stop> {
        if is_null(selector) {
            return Err(PROTECTION);
        }
        let found = self.descriptor(selector, GENERAL)?;
        let descriptor = found.descriptor;
        let (dpl, cpl, rpl) = (descriptor.dpl(), self.cpl, found.rpl());
        let is_allowed = match (way, descriptor.is_conforming()) {
            (Way::Return, true) => dpl <= rpl,
            (Way::Return, false) => dpl == rpl,
            (Way::GateCall, _) | (_, true) => dpl <= cpl,
            (Way::Direct, false) => rpl <= cpl && dpl == cpl,
            (Way::GateJump, false) => dpl == cpl,
        };
        let both = Attributes::L | Attributes::DB;
        let is_reserved = self.is_long_mode() && descriptor.attributes().contains(both);
        if !descriptor.is_code() || !is_allowed || is_reserved {
            return Err(found.fault(GENERAL));
        }
        if !descriptor.is_present() {
            return Err(found.fault(NOT_PRESENT));
        }
        Ok(found)
    }

    /// The mode of code in that segment.
    pub(super) fn mode_of(&self, segment: &Segment) -> CodeMode {
        if self.is_long_mode() && segment.attributes.contains(Attributes::L) {
            CodeMode::Bits64
        } else if segment.attributes.contains(Attributes::DB) {
            CodeMode::Bits32
        } else {
            CodeMode::Bits16
        }
    }

    /// #GP(0) unless the segment holds the offset.
    pub(super) fn check_target(&self, segment: &Segment, offset: u64) -> Result<(), Stop> {
        let is_there = match self.mode_of(segment) {
            CodeMode::Bits64 => self.paging().is_canonical(offset),
            _ => offset <= u64::from(segment.limit),
        };
        if is_there { Ok(()) } else { Err(PROTECTION) }
    }

    /// Goes on there. Nothing may fault any more.
    pub(super) fn enter_code(&mut self, segment: Segment, offset: u64) {
        self.cpu.set_segment(SegmentName::Cs, segment);
        self.next = offset;
    }

    /// The operand: selector, offset, and the operand size.
    fn far_operand(&mut self) -> Result<(u16, u64, Width), Stop> {
        self.hint = Hint::None;
        let instruction = self.instruction;
        let width = match instruction.code() {
            Code::Jmp_m1616 | Code::Call_m1616 => Width::Word,
            Code::Jmp_m1632 | Code::Call_m1632 => Width::Dword,
            Code::Jmp_m1664 | Code::Call_m1664 => Width::Qword,
            _ => {
                let selector = instruction.far_branch_selector();
                return Ok(match instruction.op_kind(0) {
                    OpKind::FarBranch16 => {
                        (selector, u64::from(instruction.far_branch16()), Width::Word)
                    }
                    _ => (
                        selector,
                        u64::from(instruction.far_branch32()),
                        Width::Dword,
                    ),
                });
            }
        };
        let (selector, offset) = self.far_pointer_in_memory(width)?;
        Ok((selector, offset, width))
    }

    /// What a selector of a far jump or call names.
    fn far_target(&mut self, selector: u16) -> Result<Found, Stop> {
        if is_null(selector) {
            return Err(PROTECTION);
        }
        self.descriptor(selector, GENERAL)
    }

    /// The call gate that `found` is, if this code may use it.
    fn call_gate(&mut self, mut found: Found) -> Result<Found, Stop> {
        let kind = found.descriptor.system();
        let is_gate = match kind {
            System::CallGate32 => true,
            System::CallGate16 => !self.is_long_mode(),
            _ => false,
        };
        if !is_gate {
            return Err(found.fault(GENERAL));
        }
        let dpl = found.descriptor.dpl();
        if dpl < self.cpl || found.rpl() > dpl {
            return Err(found.fault(GENERAL));
        }
        if !found.descriptor.is_present() {
            return Err(found.fault(NOT_PRESENT));
        }
        self.widen_descriptor(&mut found, GENERAL)?;
        Ok(found)
    }

    /// The code that a gate leads to; in long mode that is 64-bit code.
    pub(super) fn gate_target(&mut self, gate: &Found, way: Way) -> Result<Found, Stop> {
        let selector = gate.descriptor.target();
        let target = self.code_segment(selector, way)?;
        if self.is_long_mode() && !target.descriptor.attributes().contains(Attributes::L) {
            return Err(selector_fault(GENERAL, selector));
        }
        Ok(target)
    }

    /// JMP.
    pub(super) fn jump_far(&mut self) -> Result<Flow, Stop> {
        let (selector, offset, _) = self.far_operand()?;
        if self.has_paragraphs() {
            let segment = self.paragraph(SegmentName::Cs, selector);
            self.check_target(&segment, offset)?;
            self.enter_code(segment, offset);
            return Ok(Flow::Next);
        }
        let mut target = self.far_target(selector)?;
        let mut offset = offset;
        if target.descriptor.is_system() {
            if let Some(task) = self.task_behind(&target)? {
                return self.switch_task(&task, Cause::Jump, self.cpu.rflags());
            }
            let gate = self.call_gate(target)?;
            offset = gate.descriptor.offset();
            target = self.gate_target(&gate, Way::GateJump)?;
        } else {
            target = self.code_segment(selector, Way::Direct)?;
        }
        let segment = self.at_level(&target, self.cpl);
        self.check_target(&segment, offset)?;
        self.mark_descriptor(&target, ACCESSED)?;
        self.enter_code(segment, offset);
        Ok(Flow::Next)
    }

    /// The code segment with a privilege level in its selector.
    pub(super) fn at_level(&self, found: &Found, cpl: u8) -> Segment {
        let selector = found.selector & 0xfffc | u16::from(cpl);
        found.descriptor.segment(selector)
    }

    /// CALL.
    pub(super) fn call_far(&mut self) -> Result<Flow, Stop> {
        let (selector, offset, width) = self.far_operand()?;
        let from = u64::from(self.cpu.segment(SegmentName::Cs).selector);
        let words = [from, self.next];
        let mut stack = self.stack();
        if self.has_paragraphs() {
            let segment = self.paragraph(SegmentName::Cs, selector);
            self.check_target(&segment, offset)?;
            self.push_words(&mut stack, width, &words)?;
            self.set_stack_pointer(&stack);
            self.enter_code(segment, offset);
            return Ok(Flow::Next);
        }
        let target = self.far_target(selector)?;
        if target.descriptor.is_system() {
            return match self.task_behind(&target)? {
                Some(task) => self.switch_task(&task, Cause::Call, self.cpu.rflags()),
                None => self.call_gate_far(target),
            };
        }
        let target = self.code_segment(selector, Way::Direct)?;
        let segment = self.at_level(&target, self.cpl);
        self.check_target(&segment, offset)?;
        self.mark_descriptor(&target, ACCESSED)?;
        self.push_words(&mut stack, width, &words)?;
        self.set_stack_pointer(&stack);
        self.enter_code(segment, offset);
        Ok(Flow::Next)
    }

    /// CALL through a gate, perhaps to a more privileged level and its stack.
    fn call_gate_far(&mut self, gate: Found) -> Result<Flow, Stop> {
        let gate = self.call_gate(gate)?;
        let target = self.gate_target(&gate, Way::GateCall)?;
        let width = match gate.descriptor.system() {
            System::CallGate16 => Width::Word,
            _ if self.is_long_mode() => Width::Qword,
            _ => Width::Dword,
        };
        let offset = gate.descriptor.offset();
        let from = u64::from(self.cpu.segment(SegmentName::Cs).selector);
        let outer = self.stack();
        let descriptor = target.descriptor;
        let inner_level = descriptor.dpl();
        if descriptor.is_conforming() || inner_level == self.cpl {
            let segment = self.at_level(&target, self.cpl);
            self.check_target(&segment, offset)?;
            self.mark_descriptor(&target, ACCESSED)?;
            let mut stack = outer;
            if self.is_long_mode() {
                stack.width = Width::Qword;
            }
            self.push_words(&mut stack, width, &[from, self.next])?;
            self.set_stack_pointer(&stack);
            self.enter_code(segment, offset);
            return Ok(Flow::Next);
        }
        let mut stack = self.inner_stack(inner_level)?;
        let segment = self.at_level(&target, inner_level);
        self.check_target(&segment, offset)?;
        let mut words = [0; PUSHES];
        words[0] = u64::from(self.cpu.segment(SegmentName::Ss).selector);
        words[1] = self.cpu.gpr(Gpr::Rsp);
        let mut count = 2;
        if !self.is_long_mode() {
            // The last parameter is at the top, and is pushed last.
            let parameters = gate.descriptor.parameters();
            let mut from = outer;
            for index in (0..parameters).rev() {
                words[2 + index] = self.pop(&mut from, width)?;
            }
            count += parameters;
        }
        words[count] = from;
        words[count + 1] = self.next;
        self.mark_descriptor(&target, ACCESSED)?;
        self.cpl = inner_level;
        self.push_words(&mut stack, width, &words[..count + 2])?;
        self.switch_stack(&stack);
        self.enter_code(segment, offset);
        Ok(Flow::Next)
    }

    /// Loads SS and RSP with a stack of another privilege level.
    pub(super) fn switch_stack(&mut self, stack: &Stack) {
        self.cpu.set_segment(SegmentName::Ss, stack.segment);
        let rsp = match stack.width {
            // A 16-bit stack leaves the upper half of ESP alone.
            Width::Word => self.cpu.gpr(Gpr::Rsp) & !0xffff | stack.pointer,
            _ => stack.pointer,
        };
        self.cpu.set_gpr(Gpr::Rsp, rsp);
    }

    /// RET to another segment.
    pub(super) fn return_far(&mut self) -> Result<Flow, Stop> {
        let width = match self.instruction.code() {
            Code::Retfw | Code::Retfw_imm16 => Width::Word,
            Code::Retfd | Code::Retfd_imm16 => Width::Dword,
            _ => Width::Qword,
        };
        let released = self.released_bytes();
        let mut stack = self.stack();
        let offset = self.pop(&mut stack, width)?;
        let selector = self.pop(&mut stack, width)? as u16;
        if self.has_paragraphs() {
            let segment = self.paragraph(SegmentName::Cs, selector);
            self.check_target(&segment, offset)?;
            stack.release(released);
            self.set_stack_pointer(&stack);
            self.enter_code(segment, offset);
            return Ok(Flow::Next);
        }
        let rpl = (selector & 3) as u8;
        if rpl < self.cpl && !is_null(selector) {
            return Err(selector_fault(GENERAL, selector));
        }
        let target = self.code_segment(selector, Way::Return)?;
        let segment = self.at_level(&target, rpl);
        stack.release(released);
        if rpl == self.cpl {
            self.check_target(&segment, offset)?;
            self.mark_descriptor(&target, ACCESSED)?;
            self.set_stack_pointer(&stack);
            self.enter_code(segment, offset);
            return Ok(Flow::Next);
        }
        let pointer = self.pop(&mut stack, width)?;
        let stack_selector = self.pop(&mut stack, width)? as u16;
        let outer = self.outer_stack(stack_selector, rpl, &segment)?;
        self.check_target(&segment, offset)?;
        self.mark_descriptor(&target, ACCESSED)?;
        self.leave_level(&segment, outer, pointer.wrapping_add(released), width);
        self.enter_code(segment, offset);
        Ok(Flow::Next)
    }

    /// SS of the level that a return leads to; 64-bit code below level 3 needs none.
    pub(super) fn outer_stack(
        &mut self,
        selector: u16,
        cpl: u8,
        code: &Segment,
    ) -> Result<Segment, Stop> {
        let may_be_null = self.mode_of(code) == CodeMode::Bits64 && cpl < 3;
        if is_null(selector) && may_be_null && (selector & 3) as u8 == cpl {
            return Ok(Self::no_stack_segment(selector, cpl));
        }
        self.stack_segment(selector, cpl, GENERAL)
    }

    /// Gives the less privileged level its stack, and takes away data segments that are not for it. `width` is the operand size.
    pub(super) fn leave_level(
        &mut self,
        code: &Segment,
        segment: Segment,
        pointer: u64,
        width: Width,
    ) {
        let cpl = (code.selector & 3) as u8;
        let stack = Stack::new(segment, self.mode_of(code), width.cut(pointer));
        self.switch_stack(&stack);
        self.drop_privileged_segments(cpl);
    }
}
