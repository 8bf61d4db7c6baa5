//! From an operand to a linear address: effective addresses and segmentation.

use super::code::CodeMode;
use super::operand::general;
use super::stack::Stack;
use super::{Bus, Execution, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Attributes, Cr0, Gpr, Registers, Rflags, Segment, SegmentName};
use crate::walk::AccessKind;
use guest_mem::Gva;
use iced_x86::{CodeSize, Instruction, Register};

/// Type bit 3: code.
const CODE: u32 = 1 << 3;
/// Type bit 2 of data: the limit is the lower end.
const EXPAND_DOWN: u32 = 1 << 2;
/// Type bit 1: writable data, readable code.
const ACCESSIBLE: u32 = 1 << 1;

/// A segment and an offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Logical {
    pub segment: SegmentName,
    pub offset: u64,
    /// The address size, at which the offset wraps.
    pub width: Width,
}

impl Logical {
    /// The address `bytes` further on, or back where that is the two's complement.
    pub(super) const fn moved(self, bytes: u64) -> Self {
        Self {
            offset: self.width.cut(self.offset.wrapping_add(bytes)),
            ..self
        }
    }
}

/// What an effective address starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    None,
    Rip,
    Register(Gpr),
}

/// How the effective address of an instruction is computed; resolved once, when it is decoded. The sum is cut to the
/// address size at the end, so its parts need not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    displacement: u64,
    base: Base,
    index: Option<Gpr>,
    /// The index counts 1 << `scale` times.
    scale: u8,
    segment: SegmentName,
    width: Width,
}

impl Form {
    /// Of an instruction, if it has a memory operand; otherwise it is of no use.
    pub(super) fn of(instruction: &Instruction) -> Self {
        let mut width = match instruction.memory_displ_size() {
            2 => Width::Word,
            4 => Width::Dword,
            _ => Width::Qword,
        };
        let base = match (
            instruction.memory_base(),
            general(instruction.memory_base()),
        ) {
            (Register::RIP, _) => {
                width = Width::Qword;
                Base::Rip
            }
            (Register::EIP, _) => {
                width = Width::Dword;
                Base::Rip
            }
            (_, Some(part)) => {
                width = part.width;
                Base::Register(part.register)
            }
            _ => Base::None,
        };
        let index = general(instruction.memory_index());
        if let Some(part) = index {
            width = part.width;
        }
        Self {
            displacement: instruction.memory_displacement64(),
            base,
            index: index.map(|part| part.register),
            scale: instruction.memory_index_scale().trailing_zeros() as u8,
            segment: segment_of(instruction),
            width,
        }
    }
}

/// Whether the decoder names a segment register.
pub(super) fn is_segment(register: Register) -> bool {
    (Register::ES as usize..=Register::GS as usize).contains(&(register as usize))
}

/// The segment of the memory operand. In 64-bit mode only FS and GS override it: others decide nothing, not even whether a bad address
/// is #SS (SDM vol. 1, 3.4.2.1).
pub(super) fn segment_of(instruction: &Instruction) -> SegmentName {
    let named = segment_name(instruction.memory_segment());
    if instruction.code_size() != CodeSize::Code64
        || matches!(named, SegmentName::Fs | SegmentName::Gs)
    {
        return named;
    }
    match instruction.memory_base() {
        Register::RSP | Register::ESP | Register::RBP | Register::EBP => SegmentName::Ss,
        _ => SegmentName::Ds,
    }
}

/// The segment register that the decoder names.
pub(super) fn segment_name(register: Register) -> SegmentName {
    match register {
        Register::ES => SegmentName::Es,
        Register::CS => SegmentName::Cs,
        Register::SS => SegmentName::Ss,
        Register::FS => SegmentName::Fs,
        Register::GS => SegmentName::Gs,
        _ => SegmentName::Ds,
    }
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// The address of the operand with a ModRM byte or an absolute offset.
    #[inline]
    pub(super) fn effective_address(&self) -> Logical {
        let form = &self.decoded.address;
        let mut offset = form.displacement;
        match form.base {
            Base::None => {}
            // Decoded at address 0: the displacement counts from the instruction's first byte.
            Base::Rip => offset = offset.wrapping_add(self.cpu.rip()),
            Base::Register(base) => offset = offset.wrapping_add(self.cpu.gpr(base)),
        }
        if let Some(index) = form.index {
            offset = offset.wrapping_add(self.cpu.gpr(index) << form.scale);
        }
        Logical {
            segment: form.segment,
            offset: form.width.cut(offset),
            width: form.width,
        }
    }

    /// Checks `bytes` bytes at `at` against the segment and makes the address linear.
    #[inline(always)]
    pub(super) fn linear(&self, at: Logical, bytes: u64, kind: AccessKind) -> Result<Gva, Stop> {
        if self.mode == CodeMode::Bits64 {
            let base = match at.segment {
                SegmentName::Fs | SegmentName::Gs => self.cpu.segment(at.segment).base,
                _ => 0,
            };
            let first = base.wrapping_add(at.offset);
            let last = first.wrapping_add(bytes.saturating_sub(1));
            if !self.paging().is_canonical(first) || !self.paging().is_canonical(last) {
                return Err(segment_fault(at.segment, 0));
            }
            return Ok(Gva(first));
        }
        let segment = self.cpu.segment(at.segment);
        self.within(&segment, at.offset, bytes, kind)
            .ok_or_else(|| segment_fault(at.segment, 0))
    }

    /// The same for the top of a stack.
    pub(super) fn linear_on_stack(
        &self,
        stack: &Stack,
        bytes: u64,
        kind: AccessKind,
    ) -> Result<Gva, Stop> {
        let first = stack.pointer;
        let found = if stack.width == Width::Qword {
            let last = first.wrapping_add(bytes.saturating_sub(1));
            let is_canonical =
                self.paging().is_canonical(first) && self.paging().is_canonical(last);
            is_canonical.then_some(Gva(first))
        } else {
            self.within(&stack.segment, first, bytes, kind)
        };
        found.ok_or_else(|| segment_fault(SegmentName::Ss, stack.error_code))
    }

    /// The linear address outside 64-bit mode, if type and limit of the segment allow the access.
    #[inline(always)]
    fn within(&self, segment: &Segment, offset: u64, bytes: u64, kind: AccessKind) -> Option<Gva> {
        let last = offset.wrapping_add(bytes.saturating_sub(1));
        let typed = !self.is_real_mode() && !self.is_virtual_8086();
        if typed && !permits(segment, kind) || !holds(segment, offset, last) {
            return None;
        }
        Some(Gva(segment.base.wrapping_add(offset) & 0xffff_ffff))
    }

    /// #AC(0), where the guest asked for it. Of 32 bytes CPUs want no more than of 16 (found by `differential`).
    #[inline]
    pub(super) fn check_alignment(&self, gva: Gva, bytes: u64) -> Result<(), Stop> {
        const WIDEST: u64 = 16;
        if self.cpl == 3
            && gva.0 & bytes.min(WIDEST).wrapping_sub(1) != 0
            && self.cpu.cr0() & Cr0::AM.bits() != 0
            && self.cpu.rflags() & Rflags::AC.bits() != 0
        {
            return Err(Exception::with_code(17, 0).into());
        }
        Ok(())
    }
}

/// #SS for the stack segment, else #GP.
#[cold]
fn segment_fault(segment: SegmentName, error_code: u32) -> Stop {
    let vector = if segment == SegmentName::Ss { 12 } else { 13 };
    Stop::Fault(Exception::with_code(vector, error_code))
}

/// Whether the descriptor's type allows the access (SDM vol. 3A, 5.5).
fn permits(segment: &Segment, kind: AccessKind) -> bool {
    let attributes = segment.attributes;
    if attributes.contains(Attributes::UNUSABLE) || !attributes.contains(Attributes::S) {
        return false;
    }
    let is_code = attributes.bits() & CODE != 0;
    let is_accessible = attributes.bits() & ACCESSIBLE != 0;
    match kind {
        AccessKind::Read => !is_code || is_accessible,
        AccessKind::Write => !is_code && is_accessible,
        AccessKind::Execute => is_code,
    }
}

/// Whether the offsets from `first` to `last` lie within the limit (SDM vol. 3A, 5.3).
fn holds(segment: &Segment, first: u64, last: u64) -> bool {
    let limit = u64::from(segment.limit);
    if first > last {
        return false;
    }
    if segment.attributes.bits() & (CODE | EXPAND_DOWN) == EXPAND_DOWN {
        let top = if segment.attributes.contains(Attributes::DB) {
            0xffff_ffff
        } else {
            0xffff
        };
        first > limit && last <= top
    } else {
        last <= limit
    }
}
