//! Near jumps, calls and returns.

use super::code::CodeMode;
use super::operand::Part;
use super::{Bus, Execution, Flow, Hint, PROTECTION, Reason, Stop};
use crate::Width;
use crate::regs::{Gpr, Registers, Rflags, SegmentName};
use iced_x86::{Code, Mnemonic, OpKind};

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// Has the next instruction be at `target`, if the code segment holds it.
    pub(super) fn jump(&mut self, target: u64) -> Result<(), Stop> {
        let is_there = match self.mode {
            CodeMode::Bits64 => self.paging().is_canonical(target),
            _ => target <= u64::from(self.cpu.segment(SegmentName::Cs).limit),
        };
        if !is_there {
            return Err(PROTECTION);
        }
        self.next = target;
        Ok(())
    }

    /// The operand size of a near branch, and where it leads.
    fn near_target(&mut self) -> Result<(Width, u64), Stop> {
        let width = match self.instruction.op_kind(0) {
            OpKind::NearBranch16 => Width::Word,
            OpKind::NearBranch32 => Width::Dword,
            OpKind::NearBranch64 => Width::Qword,
            _ => {
                let width = self.width(0)?;
                return Ok((width, self.value(0, width)?));
            }
        };
        // Decoded at address 0.
        let target = self
            .cpu
            .rip()
            .wrapping_add(self.instruction.near_branch_target());
        Ok((width, width.cut(target)))
    }

    fn branch_if(&mut self, holds: bool) -> Result<Flow, Stop> {
        if holds {
            let (_, target) = self.near_target()?;
            self.jump(target)?;
        }
        Ok(Flow::Next)
    }

    /// JMP.
    pub(super) fn jump_near(&mut self) -> Result<Flow, Stop> {
        self.branch_if(true)
    }

    /// Jcc.
    pub(super) fn jump_if(&mut self, condition: u8) -> Result<Flow, Stop> {
        let holds = self.holds(condition);
        self.branch_if(holds)
    }

    /// CALL.
    pub(super) fn call_near(&mut self) -> Result<Flow, Stop> {
        // The exit's hint may be about the operand or the stack.
        self.hint = Hint::None;
        let (width, target) = self.near_target()?;
        let back = self.next;
        self.jump(target)?;
        let mut stack = self.stack();
        let span = self.push_span(&mut stack, width)?;
        self.store(&span, width, width.cut(back));
        self.set_stack_pointer(&stack);
        Ok(Flow::Next)
    }

    /// RET, which may take parameters with it.
    pub(super) fn return_near(&mut self) -> Result<Flow, Stop> {
        let width = match self.instruction.code() {
            Code::Retnw | Code::Retnw_imm16 => Width::Word,
            Code::Retnd | Code::Retnd_imm16 => Width::Dword,
            _ => Width::Qword,
        };
        let mut stack = self.stack();
        let target = self.pop(&mut stack, width)?;
        self.jump(target)?;
        stack.release(self.released_bytes());
        self.set_stack_pointer(&stack);
        Ok(Flow::Next)
    }

    /// How many bytes of parameters a return takes off the stack.
    pub(super) fn released_bytes(&self) -> u64 {
        match self.instruction.op_count() {
            0 => 0,
            _ => u64::from(self.instruction.immediate16()),
        }
    }

    /// LOOP, LOOPE, LOOPNE, JCXZ and its wider kin.
    pub(super) fn loop_near(&mut self) -> Result<Flow, Stop> {
        use Code::*;
        let width = match self.instruction.code() {
            Loopne_rel8_16_CX | Loopne_rel8_32_CX | Loope_rel8_16_CX | Loope_rel8_32_CX
            | Loop_rel8_16_CX | Loop_rel8_32_CX | Jcxz_rel8_16 | Jcxz_rel8_32 => Width::Word,
            Loopne_rel8_16_ECX | Loopne_rel8_32_ECX | Loopne_rel8_64_ECX | Loope_rel8_16_ECX
            | Loope_rel8_32_ECX | Loope_rel8_64_ECX | Loop_rel8_16_ECX | Loop_rel8_32_ECX
            | Loop_rel8_64_ECX | Jecxz_rel8_16 | Jecxz_rel8_32 | Jecxz_rel8_64 => Width::Dword,
            _ => Width::Qword,
        };
        let counter = Part::low(Gpr::Rcx, width);
        let count = self.read_part(counter);
        let left = width.cut(count.wrapping_sub(1));
        let is_zero = self.cpu.rflags() & Rflags::ZF.bits() != 0;
        let holds = match self.instruction.mnemonic() {
            Mnemonic::Loop => left != 0,
            Mnemonic::Loope => left != 0 && is_zero,
            Mnemonic::Loopne => left != 0 && !is_zero,
            Mnemonic::Jcxz | Mnemonic::Jecxz | Mnemonic::Jrcxz => {
                return self.branch_if(count == 0);
            }
            _ => return Err(Stop::Unsupported(Reason::Instruction)),
        };
        let flow = self.branch_if(holds)?;
        self.write_part(counter, left);
        Ok(flow)
    }
}
