//! PUSH and POP in all forms, ENTER and LEAVE.

use super::address::{is_segment, segment_name};
use super::code::CodeMode;
use super::memory::{Mandate, Span};
use super::operand::Part;
use super::{Bus, Execution, Flow, Hint, Reason, Stop};
use crate::Width;
use crate::regs::{Attributes, Gpr, Registers, Segment, SegmentName};
use crate::walk::AccessKind;
use iced_x86::{Code, OpKind};

/// The registers of PUSHA, in order.
const ALL: [Gpr; 8] = [
    Gpr::Rax,
    Gpr::Rcx,
    Gpr::Rdx,
    Gpr::Rbx,
    Gpr::Rsp,
    Gpr::Rbp,
    Gpr::Rsi,
    Gpr::Rdi,
];

/// A stack, while an instruction works on it: RSP itself changes when nothing can fault any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    pub segment: Segment,
    pub pointer: u64,
    /// How much of RSP counts, which the segment decides.
    pub width: Width,
    /// What a fault tells: 0, or the selector of a stack that is about to be loaded.
    pub error_code: u32,
}

impl Stack {
    /// The stack of this segment in code of this mode.
    pub fn new(segment: Segment, mode: CodeMode, rsp: u64) -> Self {
        let width = if mode == CodeMode::Bits64 {
            Width::Qword
        } else if segment.attributes.contains(Attributes::DB) {
            Width::Dword
        } else {
            Width::Word
        };
        Self {
            segment,
            pointer: width.cut(rsp),
            width,
            error_code: 0,
        }
    }

    /// Takes parameters off it.
    pub fn release(&mut self, bytes: u64) {
        self.pointer = self.width.cut(self.pointer.wrapping_add(bytes));
    }
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// The stack as it is.
    #[inline]
    pub(super) fn stack(&self) -> Stack {
        let segment = self.cpu.segment(SegmentName::Ss);
        Stack::new(segment, self.mode, self.cpu.gpr(Gpr::Rsp))
    }

    /// The end of an instruction that has used the stack.
    pub(super) fn set_stack_pointer(&mut self, stack: &Stack) {
        self.write_part(Part::low(Gpr::Rsp, stack.width), stack.pointer);
    }

    fn stack_span(&self, stack: &Stack, bytes: u64, kind: AccessKind) -> Result<Span, Stop> {
        let gva = self.linear_on_stack(stack, bytes, kind)?;
        self.span_at(gva, bytes, kind, Mandate::Explicit)
    }

    /// Makes room, and finds it in memory. Nothing is written yet.
    pub(super) fn push_span(&self, stack: &mut Stack, width: Width) -> Result<Span, Stop> {
        let bytes = width.bytes() as u64;
        stack.release(bytes.wrapping_neg());
        self.stack_span(stack, bytes, AccessKind::Write)
    }

    /// Takes one element off the stack.
    pub(super) fn pop(&mut self, stack: &mut Stack, width: Width) -> Result<u64, Stop> {
        let bytes = width.bytes() as u64;
        let span = self.stack_span(stack, bytes, AccessKind::Read)?;
        let value = self.load(&span, width);
        stack.release(bytes);
        Ok(value)
    }

    /// How much PUSH and POP move.
    pub(super) fn stack_width(&self) -> Result<Width, Stop> {
        use Code::*;
        let width = match self.instruction.op_kind(0) {
            OpKind::Register => match self.instruction.code() {
                Pushw_ES | Pushw_CS | Pushw_SS | Pushw_DS | Pushw_FS | Pushw_GS | Popw_ES
                | Popw_SS | Popw_DS | Popw_FS | Popw_GS => Some(Width::Word),
                Pushd_ES | Pushd_CS | Pushd_SS | Pushd_DS | Pushd_FS | Pushd_GS | Popd_ES
                | Popd_SS | Popd_DS | Popd_FS | Popd_GS => Some(Width::Dword),
                Pushq_FS | Pushq_GS | Popq_FS | Popq_GS => Some(Width::Qword),
                _ => Some(self.register(0)?.width),
            },
            OpKind::Memory => self.decoded.memory_width,
            // The immediate of a PUSH is as wide as what it pushes, or is extended to that.
            _ => match self.instruction.code() {
                Push_imm16 | Pushw_imm8 => Some(Width::Word),
                Pushd_imm32 | Pushd_imm8 => Some(Width::Dword),
                Pushq_imm32 | Pushq_imm8 => Some(Width::Qword),
                _ => None,
            },
        };
        width.ok_or(Stop::Unsupported(Reason::Instruction))
    }

    /// PUSH of a register, a segment register, memory or an immediate.
    pub(super) fn push_operand(&mut self) -> Result<Flow, Stop> {
        // The exit's hint may be about either of two operands.
        self.hint = Hint::None;
        let width = self.stack_width()?;
        let mut stack = self.stack();
        let place = match self.instruction.op_kind(0) {
            OpKind::Register if is_segment(self.instruction.op_register(0)) => None,
            OpKind::Register | OpKind::Memory => Some(self.place(0, width, AccessKind::Read)?),
            _ => None,
        };
        let span = self.push_span(&mut stack, width)?;
        let value = match (place, self.instruction.op_kind(0)) {
            (Some(place), _) => self.get(&place, width),
            // The upper part of a selector is zero, which is one of two ways that CPUs have.
            (None, OpKind::Register) => {
                let name = segment_name(self.instruction.op_register(0));
                u64::from(self.cpu.segment(name).selector)
            }
            (None, _) => self.value(0, width)?,
        };
        self.store(&span, width, value);
        self.set_stack_pointer(&stack);
        Ok(Flow::Next)
    }

    /// POP into a register or memory, whose address is computed with the new stack pointer.
    pub(super) fn pop_operand(&mut self) -> Result<Flow, Stop> {
        self.hint = Hint::None;
        if is_segment(self.instruction.op_register(0)) {
            return self.pop_segment();
        }
        let width = self.stack_width()?;
        let mut stack = self.stack();
        let value = self.pop(&mut stack, width)?;
        let before = self.cpu.gpr(Gpr::Rsp);
        self.set_stack_pointer(&stack);
        let place = match self.place(0, width, AccessKind::Write) {
            Ok(place) => place,
            Err(stop) => {
                self.cpu.set_gpr(Gpr::Rsp, before);
                return Err(stop);
            }
        };
        // POP SP and its kin end with the value popped.
        self.set(&place, width, value);
        Ok(Flow::Next)
    }

    /// PUSHA.
    pub(super) fn push_all(&mut self) -> Result<Flow, Stop> {
        let width = match self.instruction.code() {
            Code::Pushaw => Width::Word,
            _ => Width::Dword,
        };
        let mut stack = self.stack();
        let mut spans = [None; 8];
        for span in &mut spans {
            *span = Some(self.push_span(&mut stack, width)?);
        }
        for (span, register) in spans.into_iter().flatten().zip(ALL) {
            let value = self.cpu.gpr(register);
            self.store(&span, width, width.cut(value));
        }
        self.set_stack_pointer(&stack);
        Ok(Flow::Next)
    }

    /// POPA, which leaves the stack pointer's own image alone.
    pub(super) fn pop_all(&mut self) -> Result<Flow, Stop> {
        let width = match self.instruction.code() {
            Code::Popaw => Width::Word,
            _ => Width::Dword,
        };
        let mut stack = self.stack();
        let mut values = [0; 8];
        for value in values.iter_mut().rev() {
            *value = self.pop(&mut stack, width)?;
        }
        for (register, value) in ALL.into_iter().zip(values) {
            if register != Gpr::Rsp {
                self.write_part(Part::low(register, width), value);
            }
        }
        self.set_stack_pointer(&stack);
        Ok(Flow::Next)
    }

    /// ENTER, with up to 31 pointers of outer frames.
    pub(super) fn enter_frame(&mut self) -> Result<Flow, Stop> {
        let width = match self.instruction.code() {
            Code::Enterw_imm16_imm8 => Width::Word,
            Code::Enterd_imm16_imm8 => Width::Dword,
            _ => Width::Qword,
        };
        let bytes = width.bytes() as u64;
        let room = u64::from(self.instruction.immediate16());
        let level = usize::from(self.instruction.immediate8_2nd() & 31);
        let frame_pointer = self.cpu.gpr(Gpr::Rbp);
        let mut stack = self.stack();
        let mut outer = Stack {
            pointer: stack.width.cut(frame_pointer),
            ..stack
        };
        let first = self.push_span(&mut stack, width)?;
        let frame = stack.pointer;
        let mut copies = [None; 32];
        for copy in copies.iter_mut().take(level).skip(1) {
            outer.release(bytes.wrapping_neg());
            let from = self.stack_span(&outer, bytes, AccessKind::Read)?;
            *copy = Some((from, self.push_span(&mut stack, width)?));
        }
        let last = match level {
            0 => None,
            _ => Some(self.push_span(&mut stack, width)?),
        };
        stack.release(room.wrapping_neg());
        // The new top must be one that can be written.
        self.stack_span(&stack, bytes, AccessKind::Write)?;
        self.store(&first, width, width.cut(frame_pointer));
        // In turn: the outer frames may lie where the new one is being written.
        for (from, to) in copies.into_iter().flatten() {
            let value = self.load(&from, width);
            self.store(&to, width, value);
        }
        if let Some(last) = last {
            self.store(&last, width, width.cut(frame));
        }
        self.write_part(Part::low(Gpr::Rbp, stack.width), frame);
        self.set_stack_pointer(&stack);
        Ok(Flow::Next)
    }

    /// LEAVE.
    pub(super) fn leave_frame(&mut self) -> Result<Flow, Stop> {
        let width = match self.instruction.code() {
            Code::Leavew => Width::Word,
            Code::Leaved => Width::Dword,
            _ => Width::Qword,
        };
        let mut stack = self.stack();
        stack.pointer = stack.width.cut(self.cpu.gpr(Gpr::Rbp));
        let value = self.pop(&mut stack, width)?;
        self.write_part(Part::low(Gpr::Rbp, width), value);
        self.set_stack_pointer(&stack);
        Ok(Flow::Next)
    }
}
