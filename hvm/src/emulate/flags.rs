//! RFLAGS as a whole: PUSHF, POPF, LAHF, SAHF, and the instructions for one flag.

use super::alu::{self, Outcome};
use super::operand::Part;
use super::{Bus, Execution, Flow, PROTECTION, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Cr4, Gpr, Registers, Rflags};
use iced_x86::Code;

/// What POPF may change at any privilege level.
const ORDINARY: Rflags = alu::STATUS
    .union(Rflags::TF)
    .union(Rflags::DF)
    .union(Rflags::NT)
    .union(Rflags::AC)
    .union(Rflags::ID);
/// The flags of LAHF and SAHF.
const LOW: Rflags = alu::STATUS.difference(Rflags::OF);

/// Who decides whether interrupts come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interrupts {
    /// IF, which this code may change.
    Own,
    /// VIF, which stands for it (SDM vol. 3B, 22.3.3.1 and 22.4).
    Virtual,
    /// IF, which it may not.
    Others,
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    pub(super) fn set_flag(&mut self, changed: Rflags, flags: Rflags) -> Result<Flow, Stop> {
        self.set_flags(&Outcome {
            value: 0,
            flags,
            changed,
        });
        Ok(Flow::Next)
    }

    /// IOPL.
    pub(super) fn iopl(&self) -> u8 {
        (self.cpu.rflags() >> 12 & 3) as u8
    }

    /// CMC.
    pub(super) fn complement_carry(&mut self) -> Result<Flow, Stop> {
        let carry = Rflags::from_bits_retain(alu::carry_in(self.cpu.rflags()));
        self.set_flag(Rflags::CF, Rflags::CF - carry)
    }

    fn interrupts(&self) -> Interrupts {
        let cr4 = Cr4::from_bits_retain(self.cpu.cr4());
        if self.is_real_mode() || self.cpl <= self.iopl() {
            Interrupts::Own
        } else if self.is_virtual_8086() && cr4.contains(Cr4::VME)
            || !self.is_virtual_8086() && cr4.contains(Cr4::PVI) && self.cpl == 3
        {
            Interrupts::Virtual
        } else {
            Interrupts::Others
        }
    }

    /// CLI, STI. The interrupt shadow comes only from an STI that changes the flag.
    pub(super) fn set_interrupt_flag(&mut self, wanted: Rflags) -> Result<Flow, Stop> {
        let rflags = Rflags::from_bits_retain(self.cpu.rflags());
        match self.interrupts() {
            Interrupts::Own => {}
            Interrupts::Virtual if wanted.is_empty() => {
                return self.set_flag(Rflags::VIF, Rflags::empty());
            }
            Interrupts::Virtual if !rflags.contains(Rflags::VIP) => {
                return self.set_flag(Rflags::VIF, Rflags::VIF);
            }
            _ => return Err(PROTECTION),
        }
        self.set_flag(Rflags::IF, wanted)?;
        Ok(if wanted == Rflags::IF && !rflags.contains(Rflags::IF) {
            Flow::Shadowed
        } else {
            Flow::Next
        })
    }

    fn flags_width(&self) -> Width {
        match self.instruction.code() {
            Code::Pushfw | Code::Popfw => Width::Word,
            Code::Pushfd | Code::Popfd => Width::Dword,
            _ => Width::Qword,
        }
    }

    /// Whether VIF stands for IF in what PUSHF and POPF move; #GP(0) where they may not be used at all.
    fn flags_are_virtual(&self, width: Width) -> Result<bool, Stop> {
        if !self.is_virtual_8086() || self.iopl() == 3 {
            return Ok(false);
        }
        if self.interrupts() == Interrupts::Virtual && width == Width::Word {
            Ok(true)
        } else {
            Err(PROTECTION)
        }
    }

    /// PUSHF, whose image has RF and VM clear.
    pub(super) fn push_flags(&mut self) -> Result<Flow, Stop> {
        let width = self.flags_width();
        let mut image = self.cpu.rflags() & !(Rflags::RF | Rflags::VM).bits();
        if self.flags_are_virtual(width)? {
            image = self.virtual_image();
        }
        let mut stack = self.stack();
        let span = self.push_span(&mut stack, width)?;
        self.store(&span, width, image);
        self.set_stack_pointer(&stack);
        Ok(Flow::Next)
    }

    /// The flags as virtual-8086 code sees them that has VIF for an IF: IOPL is 3.
    pub(super) fn virtual_image(&self) -> u64 {
        let rflags = Rflags::from_bits_retain(self.cpu.rflags());
        let mut image = rflags | Rflags::IOPL;
        image.set(Rflags::IF, rflags.contains(Rflags::VIF));
        image.bits()
    }

    /// POPF (SDM vol. 2B, table 4-16).
    pub(super) fn pop_flags(&mut self) -> Result<Flow, Stop> {
        let width = self.flags_width();
        let is_virtual = self.flags_are_virtual(width)?;
        let mut stack = self.stack();
        let mut image = Rflags::from_bits_retain(self.pop(&mut stack, width)?);
        let old = Rflags::from_bits_retain(self.cpu.rflags());
        let mut changed = ORDINARY;
        if is_virtual {
            if image.contains(Rflags::TF) || image.contains(Rflags::IF) && old.contains(Rflags::VIP)
            {
                return Err(PROTECTION);
            }
            image.set(Rflags::VIF, image.contains(Rflags::IF));
            changed |= Rflags::VIF;
        } else {
            if self.is_real_mode() || self.cpl <= self.iopl() {
                changed |= Rflags::IF;
            }
            if self.cpl == 0 {
                changed |= Rflags::IOPL;
            }
            if width == Width::Word {
                changed = changed.intersection(Rflags::from_bits_retain(0xffff));
            } else if !self.is_virtual_8086() {
                changed |= Rflags::VIF | Rflags::VIP;
                image -= Rflags::VIF | Rflags::VIP;
            }
        }
        self.set_stack_pointer(&stack);
        self.set_flag(changed, image)
    }

    /// LAHF.
    pub(super) fn load_flags(&mut self) -> Result<Flow, Stop> {
        let low = self.cpu.rflags() & LOW.bits() | Rflags::FIXED.bits();
        let accumulator = Part::low(Gpr::Rax, Width::Word);
        let kept = self.read_part(accumulator) & 0xff;
        self.write_part(accumulator, kept | low << 8);
        Ok(Flow::Next)
    }

    /// SAHF.
    pub(super) fn store_flags(&mut self) -> Result<Flow, Stop> {
        let high = self.read_part(Part::low(Gpr::Rax, Width::Word)) >> 8;
        self.set_flag(LOW, Rflags::from_bits_retain(high))
    }

    /// CLAC and STAC.
    pub(super) fn set_access_flag(&mut self, wanted: Rflags) -> Result<Flow, Stop> {
        if self.cpl != 0 {
            return Err(Exception::INVALID_OPCODE.into());
        }
        self.set_flag(Rflags::AC, wanted)
    }
}
