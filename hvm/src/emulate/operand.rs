//! Operands: registers and their parts, immediates, and memory by its place.

use super::memory::Span;
use super::{Bus, Execution, Reason, Stop};
use crate::Width;
use crate::regs::{Gpr, Registers};
use crate::walk::AccessKind;
use iced_x86::{MemorySize, OpKind, Register};

/// A general register as an instruction names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub register: Gpr,
    pub width: Width,
    /// 8 for AH, CH, DH and BH.
    shift: u8,
}

impl Part {
    /// The low end of a register.
    pub(super) const fn low(register: Gpr, width: Width) -> Self {
        Self {
            register,
            width,
            shift: 0,
        }
    }
}

/// The part that the decoder names, if it is one of a general register.
#[inline]
pub(super) fn general(register: Register) -> Option<Part> {
    const AL: usize = Register::AL as usize;
    const AH: usize = Register::AH as usize;
    const SPL: usize = Register::SPL as usize;
    const AX: usize = Register::AX as usize;
    const EAX: usize = Register::EAX as usize;
    const RAX: usize = Register::RAX as usize;
    const R15: usize = Register::R15 as usize;
    let index = register as usize;
    let (encoding, width, shift) = match index {
        AL..AH => (index - AL, Width::Byte, 0),
        AH..SPL => (index - AH, Width::Byte, 8),
        SPL..AX => (index - SPL + 4, Width::Byte, 0),
        AX..EAX => (index - AX, Width::Word, 0),
        EAX..RAX => (index - EAX, Width::Dword, 0),
        RAX..=R15 => (index - RAX, Width::Qword, 0),
        _ => return None,
    };
    Some(Part {
        register: Gpr::from_encoding(encoding as u8),
        width,
        shift,
    })
}

/// The width of an integer memory operand.
#[inline]
pub(super) fn width_of(size: MemorySize) -> Option<Width> {
    match size {
        MemorySize::UInt8 | MemorySize::Int8 => Some(Width::Byte),
        MemorySize::UInt16 | MemorySize::Int16 | MemorySize::WordOffset => Some(Width::Word),
        MemorySize::UInt32 | MemorySize::Int32 | MemorySize::DwordOffset => Some(Width::Dword),
        MemorySize::UInt64 | MemorySize::Int64 | MemorySize::QwordOffset => Some(Width::Qword),
        _ => None,
    }
}

/// Where an operand that can be written is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Register(Part),
    Memory(Span),
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    #[inline]
    pub(super) fn read_part(&self, part: Part) -> u64 {
        part.width.cut(self.cpu.gpr(part.register) >> part.shift)
    }

    /// 32-bit writes clear the upper half, narrower ones keep the rest (SDM vol. 1, 3.4.1.1).
    #[inline]
    pub(super) fn write_part(&mut self, part: Part, value: u64) {
        let value = part.width.cut(value);
        let written = match part.width {
            Width::Dword | Width::Qword => value,
            _ => {
                let mask = part.width.mask() << part.shift;
                self.cpu.gpr(part.register) & !mask | value << part.shift
            }
        };
        self.cpu.set_gpr(part.register, written);
    }

    /// The part that an operand names, which the decoder guarantees to be a general register.
    #[inline]
    pub(super) fn register(&self, operand: u32) -> Result<Part, Stop> {
        let part = self.decoded.parts.get(operand as usize);
        part.copied()
            .flatten()
            .ok_or(Stop::Unsupported(Reason::Instruction))
    }

    /// The width of a register or memory operand.
    #[inline]
    pub(super) fn width(&self, operand: u32) -> Result<Width, Stop> {
        match self.register(operand) {
            Ok(part) => Ok(part.width),
            Err(stop) => self.decoded.memory_width.ok_or(stop),
        }
    }

    /// Finds a register or memory operand; memory is checked for `kind`.
    #[inline(always)]
    pub(super) fn place(
        &mut self,
        operand: u32,
        width: Width,
        kind: AccessKind,
    ) -> Result<Place, Stop> {
        match self.instruction.op_kind(operand) {
            OpKind::Register => Ok(Place::Register(self.register(operand)?)),
            OpKind::Memory => {
                let at = self.effective_address();
                let span = self.only_span(at, width.bytes() as u64, kind)?;
                Ok(Place::Memory(span))
            }
            _ => Err(Stop::Unsupported(Reason::Instruction)),
        }
    }

    /// Reads a place.
    #[inline(always)]
    pub(super) fn get(&mut self, place: &Place, width: Width) -> u64 {
        match place {
            Place::Register(part) => self.read_part(*part),
            Place::Memory(span) => self.load(span, width),
        }
    }

    /// Writes a place.
    #[inline(always)]
    pub(super) fn set(&mut self, place: &Place, width: Width, value: u64) {
        match place {
            Place::Register(part) => self.write_part(*part, value),
            Place::Memory(span) => self.store(span, width, value),
        }
    }

    /// Reads any operand: register, memory, or immediate extended as the encoding says.
    #[inline(always)]
    pub(super) fn value(&mut self, operand: u32, width: Width) -> Result<u64, Stop> {
        match self.instruction.op_kind(operand) {
            OpKind::Register | OpKind::Memory => {
                let place = self.place(operand, width, AccessKind::Read)?;
                Ok(self.get(&place, width))
            }
            _ => self
                .instruction
                .try_immediate(operand)
                .map(|value| width.cut(value))
                .map_err(|_| Stop::Unsupported(Reason::Instruction)),
        }
    }
}
