//! Multiplication, division, and the widenings that go with them.

use super::alu::Outcome;
use super::operand::Part;
use super::{Bus, Execution, Flow, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Gpr, Registers, Rflags};

/// A number of this width as a signed one.
fn signed(width: Width, value: u64) -> i128 {
    let unused = 64 - width.bits();
    i128::from((value << unused) as i64 >> unused)
}

/// CF and OF: the product does not fit.
fn overflow(is_long: bool) -> Outcome {
    let flags = Rflags::CF | Rflags::OF;
    Outcome {
        value: 0,
        flags: if is_long { flags } else { Rflags::empty() },
        changed: flags,
    }
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// The two registers of a double-width number: AX alone for bytes.
    fn write_double(&mut self, width: Width, value: u128) {
        if width == Width::Byte {
            self.write_part(Part::low(Gpr::Rax, Width::Word), value as u64);
        } else {
            self.write_part(Part::low(Gpr::Rax, width), value as u64);
            self.write_part(Part::low(Gpr::Rdx, width), (value >> width.bits()) as u64);
        }
    }

    fn read_double(&self, width: Width) -> u128 {
        if width == Width::Byte {
            return u128::from(self.read_part(Part::low(Gpr::Rax, Width::Word)));
        }
        let low = self.read_part(Part::low(Gpr::Rax, width));
        let high = self.read_part(Part::low(Gpr::Rdx, width));
        u128::from(high) << width.bits() | u128::from(low)
    }

    /// MUL.
    pub(super) fn multiply(&mut self) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let factor = self.value(0, width)?;
        let accumulator = self.read_part(Part::low(Gpr::Rax, width));
        let product = u128::from(factor) * u128::from(accumulator);
        self.write_double(width, product);
        self.set_flags(&overflow(product >> width.bits() != 0));
        Ok(Flow::Next)
    }

    /// IMUL in its three forms.
    pub(super) fn multiply_signed(&mut self) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let (left, right) = match self.instruction.op_count() {
            1 => {
                let accumulator = self.read_part(Part::low(Gpr::Rax, width));
                (accumulator, self.value(0, width)?)
            }
            2 => (self.value(0, width)?, self.value(1, width)?),
            _ => (self.value(1, width)?, self.value(2, width)?),
        };
        let product = signed(width, left) * signed(width, right);
        if self.instruction.op_count() == 1 {
            self.write_double(width, product as u128);
        } else {
            let to = self.register(0)?;
            self.write_part(to, product as u64);
        }
        self.set_flags(&overflow(signed(width, product as u64) != product));
        Ok(Flow::Next)
    }

    /// DIV. #DE leaves everything as it was.
    pub(super) fn divide(&mut self) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let divisor = u128::from(self.value(0, width)?);
        let dividend = self.read_double(width);
        let quotient = dividend.checked_div(divisor).ok_or(Exception::DIVIDE)?;
        if quotient >> width.bits() != 0 {
            return Err(Exception::DIVIDE.into());
        }
        self.write_quotient(width, quotient, dividend % divisor);
        Ok(Flow::Next)
    }

    /// IDIV.
    pub(super) fn divide_signed(&mut self) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let divisor = signed(width, self.value(0, width)?);
        let unused = 128 - 2 * width.bits();
        let dividend = (self.read_double(width) << unused) as i128 >> unused;
        // The one quotient that no i128 holds is far too large for any register, too.
        let quotient = dividend.checked_div(divisor).ok_or(Exception::DIVIDE)?;
        if signed(width, quotient as u64) != quotient {
            return Err(Exception::DIVIDE.into());
        }
        self.write_quotient(width, quotient as u128, (dividend % divisor) as u128);
        Ok(Flow::Next)
    }

    fn write_quotient(&mut self, width: Width, quotient: u128, remainder: u128) {
        let mask = u128::from(width.mask());
        self.write_double(width, (remainder & mask) << width.bits() | quotient & mask);
    }

    /// CBW, CWDE, CDQE: the accumulator from half its width.
    pub(super) fn widen(&mut self, from: Width, to: Width) -> Result<Flow, Stop> {
        let value = self.read_part(Part::low(Gpr::Rax, from));
        self.write_part(Part::low(Gpr::Rax, to), signed(from, value) as u64);
        Ok(Flow::Next)
    }

    /// CWD, CDQ, CQO: the accumulator's sign into DX.
    pub(super) fn widen_into_data(&mut self, width: Width) -> Result<Flow, Stop> {
        let value = self.read_part(Part::low(Gpr::Rax, width));
        let sign = (signed(width, value) >> 64) as u64;
        self.write_part(Part::low(Gpr::Rdx, width), sign);
        Ok(Flow::Next)
    }

    /// MULX: no flags; where both targets are one register the high half wins.
    pub(super) fn multiply_flagless(&mut self) -> Result<Flow, Stop> {
        let (high, low) = (self.register(0)?, self.register(1)?);
        let width = high.width;
        let factor = self.value(2, width)?;
        let product = u128::from(factor) * u128::from(self.read_part(Part::low(Gpr::Rdx, width)));
        self.write_part(low, product as u64);
        self.write_part(high, (product >> width.bits()) as u64);
        Ok(Flow::Next)
    }
}
