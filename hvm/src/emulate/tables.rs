//! The descriptor-table registers: LGDT, LIDT, LLDT, LTR, and reading them back.

use super::code::CodeMode;
use super::descriptor::{BUSY, System};
use super::memory::Mandate;
use super::segment::{GENERAL, NOT_PRESENT, is_null, selector_fault};
use super::{Bus, Execution, Flow, PROTECTION, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Attributes, Cr4, Registers, Segment, SegmentName, TableRegister};
use crate::walk::AccessKind;
use iced_x86::Code;

/// GDTR or IDTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Global,
    Interrupt,
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// #GP(0) where user code may not look at system registers.
    pub(super) fn check_user_mode_instruction_prevention(&self) -> Result<(), Stop> {
        if self.cpl != 0 && self.cpu.cr4() & Cr4::UMIP.bits() != 0 {
            return Err(PROTECTION);
        }
        Ok(())
    }

    /// The width of the base that is moved.
    fn base_width(&self) -> Width {
        match self.mode {
            CodeMode::Bits64 => Width::Qword,
            _ => Width::Dword,
        }
    }

    /// LGDT and LIDT. An operand size of 16 bits means a base of 24.
    pub(super) fn load_table(&mut self, table: Table) -> Result<Flow, Stop> {
        self.privileged()?;
        let width = self.base_width();
        let at = self.effective_address();
        let limit = self.span(at, 2, AccessKind::Read, Mandate::Explicit)?;
        let bytes = width.bytes() as u64;
        let base = self.span(at.moved(2), bytes, AccessKind::Read, Mandate::Explicit)?;
        let limit = self.load(&limit, Width::Word) as u16;
        let mut base = self.load(&base, width);
        if matches!(
            self.instruction.code(),
            Code::Lgdt_m1632_16 | Code::Lidt_m1632_16
        ) {
            base &= 0xff_ffff;
        }
        if !self.paging().is_canonical(base) {
            return Err(PROTECTION);
        }
        let value = TableRegister { base, limit };
        match table {
            Table::Global => self.cpu.set_gdtr(value),
            Table::Interrupt => self.cpu.set_idtr(value),
        }
        Ok(Flow::Next)
    }

    /// SGDT and SIDT: all 32 bits of the base, whatever the operand size, as CPUs since the 386 do.
    pub(super) fn store_table(&mut self, table: Table) -> Result<Flow, Stop> {
        self.check_user_mode_instruction_prevention()?;
        let value = match table {
            Table::Global => self.cpu.gdtr(),
            Table::Interrupt => self.cpu.idtr(),
        };
        let width = self.base_width();
        let at = self.effective_address();
        let limit = self.span(at, 2, AccessKind::Write, Mandate::Explicit)?;
        let bytes = width.bytes() as u64;
        let base = self.span(at.moved(2), bytes, AccessKind::Write, Mandate::Explicit)?;
        self.store(&limit, Width::Word, u64::from(value.limit));
        self.store(&base, width, width.cut(value.base));
        Ok(Flow::Next)
    }

    /// #UD in the modes that know no selectors.
    pub(super) fn check_protected(&self) -> Result<(), Stop> {
        if self.has_paragraphs() {
            return Err(Exception::INVALID_OPCODE.into());
        }
        Ok(())
    }

    /// SLDT and STR.
    pub(super) fn store_selector(&mut self, name: SegmentName) -> Result<Flow, Stop> {
        self.check_protected()?;
        self.check_user_mode_instruction_prevention()?;
        let width = self.width(0)?;
        let place = self.place(0, width, AccessKind::Write)?;
        let selector = self.cpu.segment(name).selector;
        self.set(&place, width, u64::from(selector));
        Ok(Flow::Next)
    }

    /// LLDT.
    pub(super) fn load_local_table(&mut self) -> Result<Flow, Stop> {
        self.check_protected()?;
        self.privileged()?;
        let selector = self.value(0, Width::Word)? as u16;
        if is_null(selector) {
            let null = Segment::new(selector, Attributes::UNUSABLE.bits() | 2, 0, 0);
            self.cpu.set_segment(SegmentName::Ldtr, null);
            return Ok(Flow::Next);
        }
        if selector & 4 != 0 {
            return Err(selector_fault(GENERAL, selector));
        }
        let mut found = self.descriptor(selector, GENERAL)?;
        if !found.descriptor.is_system() || found.descriptor.system() != System::Ldt {
            return Err(found.fault(GENERAL));
        }
        if !found.descriptor.is_present() {
            return Err(found.fault(NOT_PRESENT));
        }
        self.widen_descriptor(&mut found, GENERAL)?;
        if !self.paging().is_canonical(found.descriptor.base()) {
            return Err(found.fault(GENERAL));
        }
        let segment = found.descriptor.segment(selector);
        self.cpu.set_segment(SegmentName::Ldtr, segment);
        Ok(Flow::Next)
    }

    /// LTR, which marks the TSS busy.
    pub(super) fn load_task(&mut self) -> Result<Flow, Stop> {
        self.check_protected()?;
        self.privileged()?;
        let selector = self.value(0, Width::Word)? as u16;
        if is_null(selector) {
            return Err(PROTECTION);
        }
        if selector & 4 != 0 {
            return Err(selector_fault(GENERAL, selector));
        }
        let mut found = self.descriptor(selector, GENERAL)?;
        let is_free = found.descriptor.is_system()
            && match found.descriptor.system() {
                System::Tss32 => true,
                System::Tss16 => !self.is_long_mode(),
                _ => false,
            };
        if !is_free {
            return Err(found.fault(GENERAL));
        }
        if !found.descriptor.is_present() {
            return Err(found.fault(NOT_PRESENT));
        }
        self.widen_descriptor(&mut found, GENERAL)?;
        if !self.paging().is_canonical(found.descriptor.base()) {
            return Err(found.fault(GENERAL));
        }
        self.mark_descriptor(&found, BUSY)?;
        let mut segment = found.descriptor.segment(selector);
        segment.attributes |= Attributes::from_bits_retain((BUSY >> 40) as u32);
        self.cpu.set_segment(SegmentName::Tr, segment);
        Ok(Flow::Next)
    }
}
