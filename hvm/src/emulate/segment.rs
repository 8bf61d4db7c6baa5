//! Loading segment registers (SDM vol. 3A, 3.4 and chapter 5).

use super::address::segment_name;
use super::code::CodeMode;
use super::descriptor::{ACCESSED, Descriptor};
use super::memory::Mandate;
use super::{Bus, Execution, Flow, PROTECTION, Reason, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Attributes, Efer, Registers, Segment, SegmentName};
use crate::walk::AccessKind;
use guest_mem::Gva;
use iced_x86::Mnemonic;

/// Vectors of faults that tell a selector.
pub(super) const INVALID_TSS: u8 = 10;
pub(super) const NOT_PRESENT: u8 = 11;
pub(super) const STACK_FAULT: u8 = 12;
pub(super) const GENERAL: u8 = 13;

/// A fault that is a selector's.
pub(super) fn selector_fault(vector: u8, selector: u16) -> Stop {
    Stop::Fault(Exception::with_code(vector, u32::from(selector & 0xfffc)))
}

/// The null selectors.
pub(super) const fn is_null(selector: u16) -> bool {
    selector & 0xfffc == 0
}

/// A descriptor, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub descriptor: Descriptor,
    pub selector: u16,
    pub at: Gva,
}

impl Found {
    pub fn rpl(&self) -> u8 {
        (self.selector & 3) as u8
    }

    pub fn fault(&self, vector: u8) -> Stop {
        selector_fault(vector, self.selector)
    }
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    pub(super) fn is_long_mode(&self) -> bool {
        self.cpu.efer() & Efer::LMA.bits() != 0
    }

    /// Selectors are paragraphs: real and virtual-8086 mode.
    pub(super) fn has_paragraphs(&self) -> bool {
        self.is_real_mode() || self.is_virtual_8086()
    }

    /// Reads the descriptor that a selector names; a fault of `vector` if there is none.
    pub(super) fn descriptor(&mut self, selector: u16, vector: u8) -> Result<Found, Stop> {
        let (base, limit) = if selector & 4 == 0 {
            let table = self.cpu.gdtr();
            (table.base, Some(u32::from(table.limit)))
        } else {
            let table = self.cpu.segment(SegmentName::Ldtr);
            let is_there = !table.attributes.contains(Attributes::UNUSABLE)
                && table.attributes.contains(Attributes::P);
            (table.base, is_there.then_some(table.limit))
        };
        let is_inside = limit.is_some_and(|limit| u32::from(selector | 7) <= limit);
        if !is_inside {
            return Err(selector_fault(vector, selector));
        }
        let at = Gva(base).wrapping_add(u64::from(selector & 0xfff8));
        let low = self.read_system(at, Width::Qword)?;
        let descriptor = Descriptor { low, high: 0 };
        Ok(Found {
            descriptor,
            selector,
            at,
        })
    }

    /// Reads the upper half of a system descriptor that is 16 bytes long, as in long mode.
    pub(super) fn widen_descriptor(&mut self, found: &mut Found, vector: u8) -> Result<(), Stop> {
        if !self.is_long_mode() {
            return Ok(());
        }
        // The table's limit must hold it, too.
        let next = found.selector.wrapping_add(8);
        let last = self.descriptor(next, vector).map_err(|stop| match stop {
            Stop::Fault(fault) if fault.vector == vector => found.fault(vector),
            other => other,
        })?;
        found.descriptor.high = last.descriptor.low;
        if found.descriptor.upper_kind() != 0 {
            return Err(found.fault(vector));
        }
        Ok(())
    }

    /// Sets bits of a descriptor in memory, where they are clear.
    pub(super) fn mark_descriptor(&mut self, found: &Found, bits: u64) -> Result<(), Stop> {
        if found.descriptor.low & bits == bits {
            return Ok(());
        }
        // Type and rights are one byte.
        let at = found.at.wrapping_add(5);
        let gpa = self.translate_system(at, AccessKind::Write)?;
        let before = found.descriptor.low >> 40 & 0xff;
        if self
            .bus
            .exchange(gpa, Width::Byte, before, before | bits >> 40)
        {
            Ok(())
        } else {
            Err(Stop::Again)
        }
    }

    /// What a selector loads into a data segment register, with all checks.
    fn data_segment(&mut self, selector: u16) -> Result<Segment, Stop> {
        if is_null(selector) {
            return Ok(Segment::new(selector, Attributes::UNUSABLE.bits(), 0, 0));
        }
        let found = self.descriptor(selector, GENERAL)?;
        let descriptor = found.descriptor;
        let guards = descriptor.is_conforming()
            || found.rpl() <= descriptor.dpl() && self.cpl <= descriptor.dpl();
        if !descriptor.is_readable() || !guards {
            return Err(found.fault(GENERAL));
        }
        if !descriptor.is_present() {
            return Err(found.fault(NOT_PRESENT));
        }
        self.mark_descriptor(&found, ACCESSED)?;
        Ok(descriptor.segment(selector))
    }

    /// What a selector loads into SS for code at `cpl`. `vector` is that of a bad one.
    pub(super) fn stack_segment(
        &mut self,
        selector: u16,
        cpl: u8,
        vector: u8,
    ) -> Result<Segment, Stop> {
        if is_null(selector) {
            return Err(selector_fault(vector, 0));
        }
        let found = self.descriptor(selector, vector)?;
        let descriptor = found.descriptor;
        if found.rpl() != cpl || !descriptor.is_writable_data() || descriptor.dpl() != cpl {
            return Err(found.fault(vector));
        }
        if !descriptor.is_present() {
            return Err(found.fault(STACK_FAULT));
        }
        self.mark_descriptor(&found, ACCESSED)?;
        Ok(descriptor.segment(selector))
    }

    /// The SS of 64-bit code below CPL 3 that has none.
    pub(super) fn no_stack_segment(selector: u16, cpl: u8) -> Segment {
        let attributes = Attributes::UNUSABLE.bits() | u32::from(cpl) << 5;
        Segment::new(selector, attributes, 0, 0)
    }

    /// What a selector loads in real and virtual-8086 mode: in the one the hidden part stays but for the base, in the other it is fixed
    /// (SDM vol. 3B, 21.1.1 and 22.2.1).
    pub(super) fn paragraph(&self, name: SegmentName, selector: u16) -> Segment {
        let base = u64::from(selector) << 4;
        if self.is_virtual_8086() {
            return Segment::new(selector, 0xf3, 0xffff, base);
        }
        let before = self.cpu.segment(name);
        // A null selector that was loaded in protected mode leaves nothing to keep.
        if before.attributes.contains(Attributes::UNUSABLE) {
            return Segment::new(selector, 0x93, 0xffff, base);
        }
        Segment {
            selector,
            base,
            ..before
        }
    }

    /// What a selector loads into a register other than CS.
    pub(super) fn loaded(&mut self, name: SegmentName, selector: u16) -> Result<Segment, Stop> {
        if self.has_paragraphs() {
            return Ok(self.paragraph(name, selector));
        }
        if name != SegmentName::Ss {
            return self.data_segment(selector);
        }
        let may_be_null = self.mode == CodeMode::Bits64 && self.cpl < 3;
        if is_null(selector) && may_be_null && (selector & 3) as u8 == self.cpl {
            return Ok(Self::no_stack_segment(selector, self.cpl));
        }
        self.stack_segment(selector, self.cpl, GENERAL)
    }

    /// MOV from a segment register.
    pub(super) fn mov_from_segment(&mut self) -> Result<Flow, Stop> {
        let name = segment_name(self.instruction.op_register(1));
        let width = self.width(0)?;
        let place = self.place(0, width, AccessKind::Write)?;
        let selector = self.cpu.segment(name).selector;
        self.set(&place, width, u64::from(selector));
        Ok(Flow::Next)
    }

    /// MOV to a segment register.
    pub(super) fn mov_to_segment(&mut self) -> Result<Flow, Stop> {
        let name = segment_name(self.instruction.op_register(0));
        if name == SegmentName::Cs {
            return Err(Exception::INVALID_OPCODE.into());
        }
        let selector = self.value(1, Width::Word)? as u16;
        let segment = self.loaded(name, selector)?;
        self.cpu.set_segment(name, segment);
        Ok(shadow_of(name))
    }

    /// POP of a segment register.
    pub(super) fn pop_segment(&mut self) -> Result<Flow, Stop> {
        let name = segment_name(self.instruction.op_register(0));
        let width = self.stack_width()?;
        let mut stack = self.stack();
        let selector = self.pop(&mut stack, width)? as u16;
        let segment = self.loaded(name, selector)?;
        self.set_stack_pointer(&stack);
        self.cpu.set_segment(name, segment);
        Ok(shadow_of(name))
    }

    /// LDS, LES, LFS, LGS, LSS.
    pub(super) fn load_far_pointer(&mut self) -> Result<Flow, Stop> {
        let name = match self.instruction.mnemonic() {
            Mnemonic::Lds => SegmentName::Ds,
            Mnemonic::Les => SegmentName::Es,
            Mnemonic::Lfs => SegmentName::Fs,
            Mnemonic::Lgs => SegmentName::Gs,
            Mnemonic::Lss => SegmentName::Ss,
            _ => return Err(Stop::Unsupported(Reason::Instruction)),
        };
        let to = self.register(0)?;
        let (selector, offset) = self.far_pointer_in_memory(to.width)?;
        let segment = self.loaded(name, selector)?;
        self.cpu.set_segment(name, segment);
        self.write_part(to, offset);
        Ok(Flow::Next)
    }

    /// A selector and an offset of `width`, where the memory operand is.
    pub(super) fn far_pointer_in_memory(&mut self, width: Width) -> Result<(u16, u64), Stop> {
        let at = self.effective_address();
        let bytes = width.bytes() as u64;
        let offset = self.span(at, bytes, AccessKind::Read, Mandate::Explicit)?;
        let selector = self.span(at.moved(bytes), 2, AccessKind::Read, Mandate::Explicit)?;
        let offset = self.load(&offset, width);
        let selector = self.load(&selector, Width::Word);
        Ok((selector as u16, offset))
    }

    /// Data segments that more privileged code could use become null on the way out (SDM vol. 2B, RET, "RETURN-OUTER-PRIVILEGE-LEVEL").
    pub(super) fn drop_privileged_segments(&mut self, cpl: u8) {
        for name in [
            SegmentName::Es,
            SegmentName::Ds,
            SegmentName::Fs,
            SegmentName::Gs,
        ] {
            let segment = self.cpu.segment(name);
            let attributes = segment.attributes;
            let is_conforming = attributes.bits() & 0x1c == 0x1c;
            if !attributes.contains(Attributes::UNUSABLE) && !is_conforming && segment.dpl() < cpl {
                let null = Segment::new(0, Attributes::UNUSABLE.bits(), 0, 0);
                self.cpu.set_segment(name, null);
            }
        }
    }

    /// RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE.
    pub(super) fn move_base(&mut self) -> Result<Flow, Stop> {
        use crate::regs::Cr4;
        if self.mode != CodeMode::Bits64 || self.cpu.cr4() & Cr4::FSGSBASE.bits() == 0 {
            return Err(Exception::INVALID_OPCODE.into());
        }
        let part = self.register(0)?;
        let mnemonic = self.instruction.mnemonic();
        let name = match mnemonic {
            Mnemonic::Rdfsbase | Mnemonic::Wrfsbase => SegmentName::Fs,
            _ => SegmentName::Gs,
        };
        let mut segment = self.cpu.segment(name);
        if matches!(mnemonic, Mnemonic::Rdfsbase | Mnemonic::Rdgsbase) {
            self.write_part(part, segment.base);
            return Ok(Flow::Next);
        }
        let base = self.read_part(part);
        if !self.paging().is_canonical(base) {
            return Err(PROTECTION);
        }
        segment.base = base;
        self.cpu.set_segment(name, segment);
        Ok(Flow::Next)
    }
}

/// Behind MOV SS and POP SS nothing comes between.
fn shadow_of(name: SegmentName) -> Flow {
    if name == SegmentName::Ss {
        Flow::Shadowed
    } else {
        Flow::Next
    }
}
