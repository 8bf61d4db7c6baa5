//! Which instruction is executed by what.

use super::alu::{self, Shift};
use super::{Bus, Execution, Flow, Reason, Stop};
use crate::event::Exception;
use crate::regs::Registers;
use iced_x86::{Code, Mnemonic};

impl<C: Registers, B: Bus> Execution<'_, C, B> {
    /// Executes the instruction, all but moving RIP on.
    #[inline]
    pub(super) fn execute(&mut self) -> Result<Flow, Stop> {
        match self.instruction.mnemonic() {
            Mnemonic::Mov => self.mov(),
            Mnemonic::Movzx => self.mov_zero_extended(),
            Mnemonic::Movsx | Mnemonic::Movsxd => self.mov_sign_extended(),
            Mnemonic::Movnti => self.mov_plain(),
            Mnemonic::Movbe => self.mov_swapped(),
            Mnemonic::Add => self.binary(|width, a, b, _| alu::add(width, a, b, 0)),
            Mnemonic::Or => self.binary(|width, a, b, _| alu::logic(width, a | b)),
            Mnemonic::Adc => self.binary(alu::add),
            Mnemonic::Sbb => self.binary(alu::sub),
            Mnemonic::And => self.binary(|width, a, b, _| alu::logic(width, a & b)),
            Mnemonic::Sub => self.binary(|width, a, b, _| alu::sub(width, a, b, 0)),
            Mnemonic::Xor => self.binary(|width, a, b, _| alu::logic(width, a ^ b)),
            Mnemonic::Cmp => self.compare(|width, a, b| alu::sub(width, a, b, 0)),
            Mnemonic::Test => self.compare(|width, a, b| alu::logic(width, a & b)),
            Mnemonic::Inc => self.unary(alu::increment),
            Mnemonic::Dec => self.unary(alu::decrement),
            Mnemonic::Neg => self.unary(|width, a| alu::sub(width, 0, a, 0)),
            Mnemonic::Not => self.unary(|_, a| alu::plain(!a)),
            _ => self.execute_rarer(),
        }
    }

    fn execute_rarer(&mut self) -> Result<Flow, Stop> {
        match self.instruction.mnemonic() {
            Mnemonic::Shl | Mnemonic::Sal => self.shift(Shift::Shl),
            Mnemonic::Shr => self.shift(Shift::Shr),
            Mnemonic::Sar => self.shift(Shift::Sar),
            Mnemonic::Rol => self.shift(Shift::Rol),
            Mnemonic::Ror => self.shift(Shift::Ror),
            Mnemonic::Rcl => self.shift(Shift::Rcl),
            Mnemonic::Rcr => self.shift(Shift::Rcr),
            Mnemonic::Shld => self.double_shift(Shift::Shl),
            Mnemonic::Shrd => self.double_shift(Shift::Shr),
            Mnemonic::Bt => self.bit_test(),
            Mnemonic::Bts => self.bit_change(|value, mask| value | mask),
            Mnemonic::Btr => self.bit_change(|value, mask| value & !mask),
            Mnemonic::Btc => self.bit_change(|value, mask| value ^ mask),
            Mnemonic::Xchg => self.exchange(),
            Mnemonic::Xadd => self.exchange_add(),
            Mnemonic::Cmpxchg => self.compare_exchange(),
            Mnemonic::Cmpxchg8b => self.compare_exchange_8(),
            Mnemonic::Cmpxchg16b => self.compare_exchange_16(),
            Mnemonic::Push => self.push_operand(),
            Mnemonic::Pop => self.pop_operand(),
            Mnemonic::In => self.port_in(),
            Mnemonic::Out => self.port_out(),
            Mnemonic::Nop | Mnemonic::Pause => Ok(Flow::Next),
            Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2 => Err(Exception::INVALID_OPCODE.into()),
            _ => self.execute_by_code(),
        }
    }

    /// Where one mnemonic stands for several instructions, or many for one.
    fn execute_by_code(&mut self) -> Result<Flow, Stop> {
        let code = self.instruction.code();
        if let Some((operation, width)) = super::string::operation(code) {
            return self.string(operation, width);
        }
        if let Some(condition) = distance(code, Code::Seto_rm8, Code::Setg_rm8) {
            return self.set_byte(condition);
        }
        if let Some(step) = distance(code, Code::Cmovo_r16_rm16, Code::Cmovg_r64_rm64) {
            // 16, 32 and 64 bits for each condition.
            return self.mov_if(step / 3);
        }
        match self.system() {
            Err(Stop::Unsupported(Reason::Instruction)) => self.vector(),
            other => other,
        }
    }
}

/// How far `code` is from `first`, if it is not beyond `last`.
fn distance(code: Code, first: Code, last: Code) -> Option<u8> {
    let (code, first, last) = (code as usize, first as usize, last as usize);
    (first..=last).contains(&code).then(|| (code - first) as u8)
}
