//! Descriptors as they are in memory (SDM vol. 3A, 3.4.5, 3.5, 5.8.3 and 6.11).

use crate::regs::{Attributes, Segment};

/// A code, data or system descriptor, or a gate. Bits 127:64 are there in the long ones alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub low: u64,
    pub high: u64,
}

/// The types of system descriptors and gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Tss16,
    Tss16Busy,
    Ldt,
    CallGate16,
    TaskGate,
    InterruptGate16,
    TrapGate16,
    /// A 64-bit one in long mode, and so all that follow.
    Tss32,
    Tss32Busy,
    CallGate32,
    InterruptGate32,
    TrapGate32,
    Reserved,
}

/// Type bits of code and data.
const CODE: u32 = 1 << 3;
const CONFORMING: u32 = 1 << 2;
const ACCESSIBLE: u32 = 1 << 1;
/// Type bit 0: the segment has been loaded.
pub(super) const ACCESSED: u64 = 1 << 40;
/// Type bit 1 of a TSS: a task runs in it.
pub(super) const BUSY: u64 = 1 << 41;

impl Descriptor {
    pub fn attributes(&self) -> Attributes {
        Attributes::from_bits_retain((self.low >> 40) as u32 & 0xf0ff)
    }

    fn kind(&self) -> u32 {
        self.attributes().bits() & 0xf
    }

    pub fn is_system(&self) -> bool {
        !self.attributes().contains(Attributes::S)
    }

    pub fn is_present(&self) -> bool {
        self.attributes().contains(Attributes::P)
    }

    pub fn dpl(&self) -> u8 {
        (self.low >> 45 & 3) as u8
    }

    /// Code, of either kind.
    pub fn is_code(&self) -> bool {
        !self.is_system() && self.kind() & CODE != 0
    }

    /// Code that keeps its caller's privilege level.
    pub fn is_conforming(&self) -> bool {
        self.is_code() && self.kind() & CONFORMING != 0
    }

    pub fn is_readable(&self) -> bool {
        !self.is_system() && (self.kind() & CODE == 0 || self.kind() & ACCESSIBLE != 0)
    }

    pub fn is_writable_data(&self) -> bool {
        !self.is_system() && self.kind() & (CODE | ACCESSIBLE) == ACCESSIBLE
    }

    /// Of a system descriptor.
    pub fn system(&self) -> System {
        match self.kind() {
            1 => System::Tss16,
            2 => System::Ldt,
            3 => System::Tss16Busy,
            4 => System::CallGate16,
            5 => System::TaskGate,
            6 => System::InterruptGate16,
            7 => System::TrapGate16,
            9 => System::Tss32,
            11 => System::Tss32Busy,
            12 => System::CallGate32,
            14 => System::InterruptGate32,
            15 => System::TrapGate32,
            _ => System::Reserved,
        }
    }

    /// The type field of the upper half, which must be zero in a long descriptor.
    pub fn upper_kind(&self) -> u64 {
        self.high >> 40 & 0x1f
    }

    pub fn limit(&self) -> u32 {
        let limit = (self.low & 0xffff | self.low >> 32 & 0xf_0000) as u32;
        if self.attributes().contains(Attributes::G) {
            limit << 12 | 0xfff
        } else {
            limit
        }
    }

    /// The base; the upper half counts in long descriptors and is zero in others.
    pub fn base(&self) -> u64 {
        self.low >> 16 & 0xff_ffff | self.low >> 32 & 0xff00_0000 | (self.high & 0xffff_ffff) << 32
    }

    /// A segment register with this descriptor loaded, which marks it accessed.
    pub fn segment(&self, selector: u16) -> Segment {
        let mut attributes = self.attributes();
        if !self.is_system() {
            attributes |= Attributes::from_bits_retain(1);
        }
        Segment {
            selector,
            attributes,
            limit: self.limit(),
            base: self.base(),
        }
    }

    /// Of a gate: where it leads.
    pub fn target(&self) -> u16 {
        (self.low >> 16) as u16
    }

    /// Of a gate: the offset there, as wide as the gate is.
    pub fn offset(&self) -> u64 {
        let low = self.low & 0xffff;
        match self.system() {
            System::CallGate16 | System::InterruptGate16 | System::TrapGate16 => low,
            _ => low | self.low >> 32 & 0xffff_0000 | (self.high & 0xffff_ffff) << 32,
        }
    }

    /// Of a call gate: how many parameters it copies.
    pub fn parameters(&self) -> usize {
        (self.low >> 32 & 31) as usize
    }

    /// Of a gate in long mode: which stack of the interrupt stack table it switches to, or none.
    pub fn stack_table_index(&self) -> Option<u64> {
        match self.low >> 32 & 7 {
            0 => None,
            index => Some(index),
        }
    }
}
