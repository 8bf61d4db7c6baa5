//! BOUND, XLAT, BSWAP, LEA: instructions that are like no other.

use super::memory::Mandate;
use super::operand::{Part, general};
use super::{Bus, Execution, Flow, Reason, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Gpr, Registers, Rflags};
use crate::walk::AccessKind;

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// LEA.
    pub(super) fn load_address(&mut self) -> Result<Flow, Stop> {
        let to = self.register(0)?;
        let at = self.effective_address();
        self.write_part(to, at.offset);
        Ok(Flow::Next)
    }

    /// BSWAP; of 16 bits it is undefined, and zero here as on most CPUs.
    pub(super) fn swap_bytes(&mut self) -> Result<Flow, Stop> {
        let part = self.register(0)?;
        let value = match part.width {
            Width::Word => 0,
            width => self.read_part(part).swap_bytes() >> (64 - width.bits()),
        };
        self.write_part(part, value);
        Ok(Flow::Next)
    }

    /// XLAT: AL by the table at BX.
    pub(super) fn translate_byte(&mut self) -> Result<Flow, Stop> {
        let index = self.read_part(Part::low(Gpr::Rax, Width::Byte));
        // The decoder names AL as the index, whose upper bits do not count.
        let mut at = self.effective_address();
        let base = self.instruction.memory_base();
        let base = general(base).ok_or(Stop::Unsupported(Reason::Instruction))?;
        at.width = base.width;
        at.offset = base.width.cut(self.read_part(base).wrapping_add(index));
        let span = self.span(at, 1, AccessKind::Read, Mandate::Hinted)?;
        let value = self.load(&span, Width::Byte);
        self.write_part(Part::low(Gpr::Rax, Width::Byte), value);
        Ok(Flow::Next)
    }

    /// BOUND.
    pub(super) fn check_bounds(&mut self) -> Result<Flow, Stop> {
        const BOUND_RANGE: Exception = Exception::plain(5);
        let part = self.register(0)?;
        let bytes = part.width.bytes() as u64;
        let at = self.effective_address();
        let lower = self.span(at, bytes, AccessKind::Read, Mandate::Explicit)?;
        let upper = self.span(at.moved(bytes), bytes, AccessKind::Read, Mandate::Explicit)?;
        let unused = 64 - part.width.bits();
        let signed = |value: u64| (value << unused) as i64 >> unused;
        let (lower, upper) = (self.load(&lower, part.width), self.load(&upper, part.width));
        let index = signed(self.read_part(part));
        if index < signed(lower) || index > signed(upper) {
            return Err(BOUND_RANGE.into());
        }
        Ok(Flow::Next)
    }

    /// SALC: AL from CF.
    pub(super) fn spread_carry(&mut self) -> Result<Flow, Stop> {
        let carry = self.cpu.rflags() & Rflags::CF.bits();
        self.write_part(Part::low(Gpr::Rax, Width::Byte), carry.wrapping_neg());
        Ok(Flow::Next)
    }
}
