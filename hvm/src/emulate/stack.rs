//! PUSH and POP.

use super::address::Logical;
use super::code::CodeMode;
use super::memory::Mandate;
use super::operand::{Part, Place};
use super::{Bus, Execution, Flow, Hint, Reason, Stop};
use crate::Width;
use crate::regs::{Attributes, Gpr, Registers, SegmentName};
use crate::walk::AccessKind;
use iced_x86::OpKind;

impl<C: Registers, B: Bus> Execution<'_, C, B> {
    /// The stack pointer, as wide as the stack segment makes it.
    fn stack_pointer(&self) -> Part {
        let width = if self.mode == CodeMode::Bits64 {
            Width::Qword
        } else if self
            .cpu
            .segment(SegmentName::Ss)
            .attributes
            .contains(Attributes::DB)
        {
            Width::Dword
        } else {
            Width::Word
        };
        Part::low(Gpr::Rsp, width)
    }

    fn stack(&self, pointer: Part) -> Logical {
        Logical {
            segment: SegmentName::Ss,
            offset: self.read_part(pointer),
            width: pointer.width,
        }
    }

    /// How much PUSH and POP move.
    fn stack_width(&self) -> Result<Width, Stop> {
        let width = match self.instruction.op_kind(0) {
            OpKind::Register => Some(self.register(0)?.width),
            OpKind::Memory => self.decoded.memory_width,
            OpKind::Immediate16 | OpKind::Immediate8to16 => Some(Width::Word),
            OpKind::Immediate32 | OpKind::Immediate8to32 => Some(Width::Dword),
            OpKind::Immediate8to64 | OpKind::Immediate32to64 => Some(Width::Qword),
            _ => None,
        };
        width.ok_or(Stop::Unsupported(Reason::Instruction))
    }

    /// PUSH of a register, memory or an immediate.
    pub(super) fn push_operand(&mut self) -> Result<Flow, Stop> {
        // The exit's hint may be about either of two operands.
        self.hint = Hint::None;
        let width = self.stack_width()?;
        let bytes = width.bytes() as u64;
        let pointer = self.stack_pointer();
        let top = self.stack(pointer).moved(bytes.wrapping_neg());
        let place = match self.instruction.op_kind(0) {
            OpKind::Register | OpKind::Memory => Some(self.place(0, width, AccessKind::Read)?),
            _ => None,
        };
        let span = self.span(top, bytes, AccessKind::Write, Mandate::Explicit)?;
        let value = match place {
            Some(place) => self.get(&place, width),
            None => self.value(0, width)?,
        };
        self.store(&span, width, value);
        self.write_part(pointer, top.offset);
        Ok(Flow::Next)
    }

    /// POP into a register or memory, whose address is computed with the new stack pointer.
    pub(super) fn pop_operand(&mut self) -> Result<Flow, Stop> {
        self.hint = Hint::None;
        let width = self.stack_width()?;
        let bytes = width.bytes() as u64;
        let pointer = self.stack_pointer();
        let top = self.stack(pointer);
        let span = self.span(top, bytes, AccessKind::Read, Mandate::Explicit)?;
        let before = self.cpu.gpr(Gpr::Rsp);
        self.write_part(pointer, top.moved(bytes).offset);
        let place = match self.place(0, width, AccessKind::Write) {
            Ok(place) => place,
            Err(stop) => {
                self.cpu.set_gpr(Gpr::Rsp, before);
                return Err(stop);
            }
        };
        let value = self.load(&span, width);
        match place {
            // POP SP and its kin end with the value popped.
            Place::Register(register) => self.write_part(register, value),
            Place::Memory(_) => self.set(&place, width, value),
        }
        Ok(Flow::Next)
    }
}
