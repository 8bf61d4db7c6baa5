//! Moves and integer arithmetic.

use super::alu::{self, Outcome, Shift};
use super::memory::{Alignment, Mandate};
use super::operand::{Part, Place};
use super::{Bus, Execution, Flow, Stop};
use crate::Width;
use crate::regs::{Gpr, Registers, Rflags};
use crate::walk::AccessKind;
use iced_x86::{Code, OpKind};

/// How often a locked instruction tries before the guest's interrupts are looked at.
const LOCK_ATTEMPTS: usize = 16;

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// MOV in all its meanings.
    #[inline]
    pub(super) fn mov(&mut self) -> Result<Flow, Stop> {
        match self.instruction.code() {
            Code::Mov_rm16_Sreg | Code::Mov_r32m16_Sreg | Code::Mov_r64m16_Sreg => {
                self.mov_from_segment()
            }
            Code::Mov_Sreg_rm16 | Code::Mov_Sreg_r32m16 | Code::Mov_Sreg_r64m16 => {
                self.mov_to_segment()
            }
            Code::Mov_r32_cr | Code::Mov_r64_cr => self.mov_from_control(),
            Code::Mov_cr_r32 | Code::Mov_cr_r64 => self.mov_to_control(),
            Code::Mov_r32_dr | Code::Mov_r64_dr => self.mov_from_debug(),
            Code::Mov_dr_r32 | Code::Mov_dr_r64 => self.mov_to_debug(),
            _ => self.mov_plain(),
        }
    }

    /// Between general registers, memory and immediates.
    #[inline]
    pub(super) fn mov_plain(&mut self) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let value = self.value(1, width)?;
        let place = self.place(0, width, AccessKind::Write)?;
        self.set(&place, width, value);
        Ok(Flow::Next)
    }

    pub(super) fn mov_zero_extended(&mut self) -> Result<Flow, Stop> {
        let width = self.width(1)?;
        let value = self.value(1, width)?;
        let to = self.register(0)?;
        self.write_part(to, value);
        Ok(Flow::Next)
    }

    pub(super) fn mov_sign_extended(&mut self) -> Result<Flow, Stop> {
        let width = self.width(1)?;
        let value = self.value(1, width)?;
        let to = self.register(0)?;
        let unused = 64 - width.bits();
        self.write_part(to, ((value << unused) as i64 >> unused) as u64);
        Ok(Flow::Next)
    }

    /// MOVBE.
    pub(super) fn mov_swapped(&mut self) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let value = self.value(1, width)?;
        let place = self.place(0, width, AccessKind::Write)?;
        let swapped = value.swap_bytes() >> (64 - width.bits());
        self.set(&place, width, swapped);
        Ok(Flow::Next)
    }

    /// CMOVcc. The source is read, and a 32-bit target's upper half cleared, whether or not the condition holds.
    pub(super) fn mov_if(&mut self, condition: u8) -> Result<Flow, Stop> {
        let to = self.register(0)?;
        let value = self.value(1, to.width)?;
        let kept = self.read_part(to);
        let holds = self.holds(condition);
        self.write_part(to, if holds { value } else { kept });
        Ok(Flow::Next)
    }

    /// SETcc.
    pub(super) fn set_byte(&mut self, condition: u8) -> Result<Flow, Stop> {
        let place = self.place(0, Width::Byte, AccessKind::Write)?;
        let holds = self.holds(condition);
        self.set(&place, Width::Byte, u64::from(holds));
        Ok(Flow::Next)
    }

    /// A condition by its encoding (SDM vol. 1, appendix B).
    pub(super) fn holds(&self, condition: u8) -> bool {
        let flags = Rflags::from_bits_retain(self.cpu.rflags());
        let less = flags.contains(Rflags::SF) != flags.contains(Rflags::OF);
        let holds = match condition >> 1 {
            0 => flags.contains(Rflags::OF),
            1 => flags.contains(Rflags::CF),
            2 => flags.contains(Rflags::ZF),
            3 => flags.intersects(Rflags::CF | Rflags::ZF),
            4 => flags.contains(Rflags::SF),
            5 => flags.contains(Rflags::PF),
            6 => less,
            _ => less || flags.contains(Rflags::ZF),
        };
        holds != (condition & 1 != 0)
    }

    /// Puts an outcome's flags into RFLAGS.
    #[inline]
    pub(super) fn set_flags(&mut self, outcome: &Outcome) {
        if !outcome.changed.is_empty() {
            let kept = self.cpu.rflags() & !outcome.changed.bits();
            let new = (outcome.flags & outcome.changed).bits();
            self.cpu.set_rflags(kept | new);
        }
    }

    /// Reads, changes and writes a place; under a lock prefix atomically against the guest's other CPUs. Returns what
    /// was there.
    fn modify(
        &mut self,
        place: &Place,
        width: Width,
        operation: &dyn Fn(u64) -> Outcome,
    ) -> Result<u64, Stop> {
        if self.instruction.has_lock_prefix() {
            return self.modify_locked(place, width, operation);
        }
        let before = self.get(place, width);
        let outcome = operation(before);
        self.set(place, width, outcome.value);
        self.set_flags(&outcome);
        Ok(before)
    }

    #[inline(never)]
    fn modify_locked(
        &mut self,
        place: &Place,
        width: Width,
        operation: &dyn Fn(u64) -> Outcome,
    ) -> Result<u64, Stop> {
        for _ in 0..LOCK_ATTEMPTS {
            let before = self.get(place, width);
            let outcome = operation(before);
            let whole = match place {
                Place::Memory(span) => span.whole(),
                Place::Register(_) => None,
            };
            let stored = match whole {
                Some(gpa) => {
                    let new = width.cut(outcome.value);
                    self.bus.exchange(gpa, width, before, new)
                }
                // A lock across two pages is atomic on hardware and not here.
                None => {
                    self.set(place, width, outcome.value);
                    true
                }
            };
            if stored {
                self.set_flags(&outcome);
                return Ok(before);
            }
        }
        Err(Stop::Again)
    }

    /// Destination, source, carry.
    pub(super) fn binary(
        &mut self,
        operation: fn(Width, u64, u64, u64) -> Outcome,
    ) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let source = self.value(1, width)?;
        let place = self.place(0, width, AccessKind::Write)?;
        let carry = alu::carry_in(self.cpu.rflags());
        self.modify(&place, width, &|value| {
            operation(width, value, source, carry)
        })?;
        Ok(Flow::Next)
    }

    /// For the flags alone.
    pub(super) fn compare(
        &mut self,
        operation: fn(Width, u64, u64) -> Outcome,
    ) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let a = self.value(0, width)?;
        let b = self.value(1, width)?;
        self.set_flags(&operation(width, a, b));
        Ok(Flow::Next)
    }

    pub(super) fn unary(&mut self, operation: fn(Width, u64) -> Outcome) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let place = self.place(0, width, AccessKind::Write)?;
        self.modify(&place, width, &|value| operation(width, value))?;
        Ok(Flow::Next)
    }

    pub(super) fn shift(&mut self, shift: Shift) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let count = self.value(1, Width::Byte)?;
        let place = self.place(0, width, AccessKind::Write)?;
        let rflags = self.cpu.rflags();
        self.modify(&place, width, &|value| {
            alu::shift(shift, width, value, count, rflags)
        })?;
        Ok(Flow::Next)
    }

    /// SHLD, SHRD.
    pub(super) fn double_shift(&mut self, shift: Shift) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let filler = self.value(1, width)?;
        let count = self.value(2, Width::Byte)?;
        let place = self.place(0, width, AccessKind::Write)?;
        self.modify(&place, width, &|value| {
            alu::double_shift(shift, width, value, filler, count)
        })?;
        Ok(Flow::Next)
    }

    /// The place and the bit of BT and its kin: a register offset reaches beyond a memory operand, in both directions
    /// (SDM vol. 1, 3.1.1.9, "Bit").
    fn bit_place(&mut self, width: Width, kind: AccessKind) -> Result<(Place, u64), Stop> {
        let offset = self.value(1, width)?;
        let mask = 1 << (offset & u64::from(width.bits() - 1));
        let is_far = self.instruction.op_kind(0) == OpKind::Memory
            && self.instruction.op_kind(1) == OpKind::Register;
        if !is_far {
            return Ok((self.place(0, width, kind)?, mask));
        }
        let unused = 64 - width.bits();
        let signed = (offset << unused) as i64 >> unused;
        let bytes = width.bytes() as i64;
        let moved = signed.div_euclid(bytes * 8).wrapping_mul(bytes);
        let at = self.effective_address().moved(moved as u64);
        let span = self.span(at, bytes as u64, kind, Mandate::Hinted)?;
        Ok((Place::Memory(span), mask))
    }

    /// BT.
    pub(super) fn bit_test(&mut self) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let (place, mask) = self.bit_place(width, AccessKind::Read)?;
        let value = self.get(&place, width);
        self.set_flags(&alu::bit(value, value & mask != 0));
        Ok(Flow::Next)
    }

    /// BTS, BTR, BTC.
    pub(super) fn bit_change(&mut self, change: fn(u64, u64) -> u64) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let (place, mask) = self.bit_place(width, AccessKind::Write)?;
        self.modify(&place, width, &|value| {
            alu::bit(change(value, mask), value & mask != 0)
        })?;
        Ok(Flow::Next)
    }

    /// XCHG, locked with memory even without the prefix.
    pub(super) fn exchange(&mut self) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let (register, other) = match self.instruction.op_kind(1) {
            OpKind::Memory => (self.register(0)?, 1),
            _ => (self.register(1)?, 0),
        };
        let place = self.place(other, width, AccessKind::Write)?;
        let value = self.read_part(register);
        let before = self.modify_locked(&place, width, &|_| alu::plain(value))?;
        self.write_part(register, before);
        Ok(Flow::Next)
    }

    /// XADD.
    pub(super) fn exchange_add(&mut self) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let register = self.register(1)?;
        let place = self.place(0, width, AccessKind::Write)?;
        let addend = self.read_part(register);
        if let Place::Register(target) = place {
            // The sum wins where both operands are one register.
            let before = self.read_part(target);
            let outcome = alu::add(width, before, addend, 0);
            self.write_part(register, before);
            self.write_part(target, outcome.value);
            self.set_flags(&outcome);
            return Ok(Flow::Next);
        }
        let before = self.modify(&place, width, &|value| alu::add(width, value, addend, 0))?;
        self.write_part(register, before);
        Ok(Flow::Next)
    }

    /// CMPXCHG. Memory is written even where it is not equal, with what it held; a register is not.
    pub(super) fn compare_exchange(&mut self) -> Result<Flow, Stop> {
        let width = self.width(0)?;
        let source = self.value(1, width)?;
        let accumulator = Part::low(Gpr::Rax, width);
        let expected = self.read_part(accumulator);
        let place = self.place(0, width, AccessKind::Write)?;
        if let Place::Register(target) = place {
            let before = self.read_part(target);
            let (to, value) = if before == expected {
                (target, source)
            } else {
                (accumulator, before)
            };
            self.write_part(to, value);
            self.set_flags(&alu::sub(width, expected, before, 0));
            return Ok(Flow::Next);
        }
        let before = self.modify(&place, width, &|value| Outcome {
            value: if value == expected { source } else { value },
            ..alu::sub(width, expected, value, 0)
        })?;
        if before != expected {
            self.write_part(accumulator, before);
        }
        Ok(Flow::Next)
    }

    /// CMPXCHG8B: EDX:EAX with ECX:EBX.
    pub(super) fn compare_exchange_8(&mut self) -> Result<Flow, Stop> {
        let pair = |high: Gpr, low: Gpr, this: &Self| {
            this.cpu.gpr(high) << 32 | this.cpu.gpr(low) & 0xffff_ffff
        };
        let expected = pair(Gpr::Rdx, Gpr::Rax, self);
        let source = pair(Gpr::Rcx, Gpr::Rbx, self);
        let place = self.place(0, Width::Qword, AccessKind::Write)?;
        let before = self.modify(&place, Width::Qword, &|value| {
            equality(
                if value == expected { source } else { value },
                value == expected,
            )
        })?;
        if before != expected {
            self.write_part(Part::low(Gpr::Rax, Width::Dword), before);
            self.write_part(Part::low(Gpr::Rdx, Width::Dword), before >> 32);
        }
        Ok(Flow::Next)
    }

    /// CMPXCHG16B: RDX:RAX with RCX:RBX, not atomic against the guest's other CPUs.
    pub(super) fn compare_exchange_16(&mut self) -> Result<Flow, Stop> {
        let expected = [self.cpu.gpr(Gpr::Rax), self.cpu.gpr(Gpr::Rdx)];
        let source = [self.cpu.gpr(Gpr::Rbx), self.cpu.gpr(Gpr::Rcx)];
        let span = self.wide_span(16, AccessKind::Write, Alignment::Needed)?;
        let mut before = [0; 2];
        self.load_wide(&span, &mut before);
        let is_equal = before == expected;
        self.store_wide(&span, if is_equal { &source } else { &before });
        if !is_equal {
            let [low, high] = before;
            self.cpu.set_gpr(Gpr::Rax, low);
            self.cpu.set_gpr(Gpr::Rdx, high);
        }
        self.set_flags(&equality(0, is_equal));
        Ok(Flow::Next)
    }
}

/// ZF alone.
fn equality(value: u64, is_equal: bool) -> Outcome {
    Outcome {
        value,
        flags: if is_equal {
            Rflags::ZF
        } else {
            Rflags::empty()
        },
        changed: Rflags::ZF,
    }
}
