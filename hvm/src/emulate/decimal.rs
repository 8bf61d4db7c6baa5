//! Arithmetic on decimal digits (SDM vol. 2A, each instruction's operation).

use super::alu::{self, Outcome};
use super::operand::Part;
use super::{Bus, Execution, Flow, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Gpr, Registers, Rflags};

const AL: Part = Part::low(Gpr::Rax, Width::Byte);
const AX: Part = Part::low(Gpr::Rax, Width::Word);

/// Which way a digit is adjusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Addition,
    Subtraction,
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    fn has(&self, flag: Rflags) -> bool {
        self.cpu.rflags() & flag.bits() != 0
    }

    /// SF, ZF and PF of AL, with these values of AF and CF.
    fn set_decimal_flags(&mut self, value: u64, carries: Rflags) {
        let result = alu::logic(Width::Byte, value);
        self.set_flags(&Outcome {
            flags: result.flags | carries,
            changed: result.changed - Rflags::OF,
            ..result
        });
    }

    /// DAA and DAS.
    pub(super) fn adjust_packed(&mut self, after: After) -> Result<Flow, Stop> {
        let before = self.read_part(AL);
        let correct = |value: u64, by: u64| match after {
            After::Addition => value.wrapping_add(by) & 0xff,
            After::Subtraction => value.wrapping_sub(by) & 0xff,
        };
        let mut value = before;
        let mut carries = Rflags::empty();
        let had_carry = self.has(Rflags::CF);
        if before & 0xf > 9 || self.has(Rflags::AF) {
            value = correct(value, 6);
            carries |= Rflags::AF;
            // Only DAS keeps the borrow of this step; DAA's carry here comes with the next.
            if after == After::Subtraction && before < 6 {
                carries |= Rflags::CF;
            }
        }
        if before > 0x99 || had_carry {
            value = correct(value, 0x60);
            carries |= Rflags::CF;
        }
        self.write_part(AL, value);
        self.set_decimal_flags(value, carries);
        Ok(Flow::Next)
    }

    /// AAA and AAS.
    pub(super) fn adjust_digit(&mut self, after: After) -> Result<Flow, Stop> {
        let before = self.read_part(AX);
        let is_over = before & 0xf > 9 || self.has(Rflags::AF);
        let value = match (is_over, after) {
            (false, _) => before,
            (true, After::Addition) => before.wrapping_add(0x106),
            (true, After::Subtraction) => before.wrapping_sub(0x106),
        };
        let carries = Rflags::AF | Rflags::CF;
        self.write_part(AX, value & 0xff0f);
        self.set_flags(&Outcome {
            value: 0,
            flags: if is_over { carries } else { Rflags::empty() },
            changed: carries,
        });
        Ok(Flow::Next)
    }

    /// AAM: AL in a number system of its own.
    pub(super) fn split_digits(&mut self) -> Result<Flow, Stop> {
        let base = u64::from(self.instruction.immediate8());
        let value = self.read_part(AL);
        let high = value.checked_div(base).ok_or(Exception::DIVIDE)?;
        let low = value % base;
        self.write_part(AX, high << 8 | low);
        self.set_decimal_flags(low, Rflags::empty());
        Ok(Flow::Next)
    }

    /// AAD: and back.
    pub(super) fn join_digits(&mut self) -> Result<Flow, Stop> {
        let base = u64::from(self.instruction.immediate8());
        let digits = self.read_part(AX);
        let value = (digits & 0xff).wrapping_add((digits >> 8) * base) & 0xff;
        self.write_part(AX, value);
        self.set_decimal_flags(value, Rflags::empty());
        Ok(Flow::Next)
    }
}
