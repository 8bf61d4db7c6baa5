//! Memory operands: translated whole before any byte moves, so that an access cannot fault half-way.

use super::address::Logical;
use super::{Bus, Execution, Hint, PROTECTION, Stop};
use crate::Width;
use crate::regs::Registers;
use crate::walk::{self, Access, AccessKind, Privilege};
use guest_mem::{Gpa, Gva, PAGE_BYTES};

/// An operand in guest-physical memory, in one page or across two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    first: Gpa,
    /// Where the part in the second page lies.
    rest: Gpa,
    /// How many bytes precede that part; 0 if there is none.
    before: u64,
}

impl Span {
    #[inline]
    const fn in_page(first: Gpa) -> Self {
        Self {
            first,
            rest: Gpa(0),
            before: 0,
        }
    }

    /// The address of the byte `index` bytes into the operand.
    fn at(&self, index: u64) -> Gpa {
        if self.before != 0 && index >= self.before {
            self.rest.wrapping_add(index - self.before)
        } else {
            self.first.wrapping_add(index)
        }
    }

    /// The operand `bytes` further on in the same page, of one that lies in one page.
    pub(super) fn moved(&self, bytes: u64) -> Self {
        Self {
            first: self.first.wrapping_add(bytes),
            ..*self
        }
    }

    /// The address, of an operand that lies in one page.
    #[inline]
    pub(super) fn whole(&self) -> Option<Gpa> {
        (self.before == 0).then_some(self.first)
    }

    /// So many bytes from `index` on.
    pub(super) fn part(&self, index: u64, bytes: u64) -> Self {
        Self {
            first: self.at(index),
            rest: self.rest,
            before: match self.before.checked_sub(index) {
                Some(before) if before < bytes => before,
                _ => 0,
            },
        }
    }
}

/// Whether the operand of a vector register must be aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alignment {
    /// #GP(0) if it is not.
    Needed,
    /// Anywhere.
    Free,
}

/// In whose name an operand is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mandate {
    /// The instruction's own.
    Explicit,
    /// The instruction's only one, which the exit's hint is about.
    Hinted,
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// Checks and translates an operand.
    #[inline]
    pub(super) fn span(
        &self,
        at: Logical,
        bytes: u64,
        kind: AccessKind,
        mandate: Mandate,
    ) -> Result<Span, Stop> {
        let gva = self.linear(at, bytes, kind)?;
        self.span_at(gva, bytes, kind, mandate)
    }

    /// The same for an instruction's only operand, quick where the exit's hint tells the rest.
    #[inline(always)]
    pub(super) fn only_span(
        &self,
        at: Logical,
        bytes: u64,
        kind: AccessKind,
    ) -> Result<Span, Stop> {
        let gva = self.linear(at, bytes, kind)?;
        if bytes <= PAGE_BYTES - gva.page_offset()
            && let Some(gpa) = self.hinted(gva, kind)
        {
            self.check_alignment(gva, bytes)?;
            return Ok(Span::in_page(gpa));
        }
        self.span_at(gva, bytes, kind, Mandate::Explicit)
    }

    /// The same from the linear address on.
    #[inline(never)]
    pub(super) fn span_at(
        &self,
        gva: Gva,
        bytes: u64,
        kind: AccessKind,
        mandate: Mandate,
    ) -> Result<Span, Stop> {
        self.check_alignment(gva, bytes)?;
        let in_page = PAGE_BYTES - gva.page_offset();
        if bytes <= in_page {
            let hinted = match mandate {
                Mandate::Hinted => self.hinted(gva, kind),
                Mandate::Explicit => None,
            };
            let first = match hinted {
                Some(gpa) => gpa,
                None => self.translate(gva, kind)?,
            };
            return Ok(Span::in_page(first));
        }
        let first = self.translate(gva, kind)?;
        let rest = self.translate(self.paging().wrap(gva.wrapping_add(in_page)), kind)?;
        Ok(Span {
            first,
            rest,
            before: in_page,
        })
    }

    /// The CPU has translated this very access already, and found it allowed, if the hint is for the same place in a
    /// page and for no lesser right.
    #[inline]
    fn hinted(&self, gva: Gva, kind: AccessKind) -> Option<Gpa> {
        let gpa = match (self.hint, kind) {
            (Hint::Write(gpa), AccessKind::Read | AccessKind::Write) => gpa,
            (Hint::Read(gpa), AccessKind::Read) => gpa,
            _ => return None,
        };
        (gpa.page_offset() == gva.page_offset()).then_some(gpa)
    }

    /// Translates an access of the instruction itself.
    #[inline]
    pub(super) fn translate(&self, gva: Gva, kind: AccessKind) -> Result<Gpa, Stop> {
        let access = Access {
            kind,
            privilege: Privilege::of_cpl(self.cpl),
        };
        match walk::translate(&self.paging(), self.bus.memory(), gva, access) {
            Ok(found) => Ok(found.gpa),
            Err(fault) => Err(Stop::Fault(fault.into())),
        }
    }

    /// Reads a system structure in the CPU's own name.
    pub(super) fn read_system(&mut self, gva: Gva, width: Width) -> Result<u64, Stop> {
        let mut value = 0;
        for index in 0..width.bytes() as u64 {
            let gpa = self.translate_system(gva.wrapping_add(index), AccessKind::Read)?;
            value |= self.bus.read(gpa, Width::Byte) << (8 * index);
        }
        Ok(value)
    }

    /// Translates an address of a system structure.
    pub(super) fn translate_system(&self, gva: Gva, kind: AccessKind) -> Result<Gpa, Stop> {
        let paging = self.paging();
        let gva = paging.wrap(gva);
        let access = Access {
            kind,
            privilege: Privilege::Implicit,
        };
        if !paging.is_canonical(gva.0) {
            return Err(PROTECTION);
        }
        walk::translate(&paging, self.bus.memory(), gva, access)
            .map(|found| found.gpa)
            .map_err(|fault| Stop::Fault(fault.into()))
    }

    /// Translates a system structure of at most a page.
    pub(super) fn system_span(&self, gva: Gva, bytes: u64, kind: AccessKind) -> Result<Span, Stop> {
        let gva = self.paging().wrap(gva);
        let first = self.translate_system(gva, kind)?;
        let in_page = PAGE_BYTES - gva.page_offset();
        if bytes <= in_page {
            return Ok(Span::in_page(first));
        }
        Ok(Span {
            first,
            rest: self.translate_system(gva.wrapping_add(in_page), kind)?,
            before: in_page,
        })
    }

    /// Reads an operand of up to eight bytes.
    #[inline]
    pub(super) fn load(&mut self, span: &Span, width: Width) -> u64 {
        match span.whole() {
            Some(gpa) => width.cut(self.bus.read(gpa, width)),
            None => self.load_split(span, width),
        }
    }

    /// Writes an operand of up to eight bytes.
    #[inline]
    pub(super) fn store(&mut self, span: &Span, width: Width, value: u64) {
        match span.whole() {
            Some(gpa) => self.bus.write(gpa, width, width.cut(value)),
            None => self.store_split(span, width, value),
        }
    }

    #[cold]
    fn load_split(&mut self, span: &Span, width: Width) -> u64 {
        (0..width.bytes() as u64).fold(0, |value, index| {
            let byte = self.bus.read(span.at(index), Width::Byte) & 0xff;
            value | byte << (8 * index)
        })
    }

    #[cold]
    fn store_split(&mut self, span: &Span, width: Width, value: u64) {
        for index in 0..width.bytes() as u64 {
            let byte = value >> (8 * index) & 0xff;
            self.bus.write(span.at(index), Width::Byte, byte);
        }
    }

    /// Checks and translates the memory operand of a vector register.
    pub(super) fn wide_span(
        &self,
        bytes: u64,
        kind: AccessKind,
        alignment: Alignment,
    ) -> Result<Span, Stop> {
        let at = self.effective_address();
        let gva = self.linear(at, bytes, kind)?;
        if alignment == Alignment::Needed && gva.0 % bytes != 0 {
            return Err(PROTECTION);
        }
        self.span(at, bytes, kind, Mandate::Hinted)
    }

    /// Reads such an operand, as accesses of eight bytes.
    pub(super) fn load_wide(&mut self, span: &Span, into: &mut [u64]) {
        for (index, part) in (0..).step_by(8).zip(into) {
            *part = self.load(&span.part(index, 8), Width::Qword);
        }
    }

    /// Writes it.
    pub(super) fn store_wide(&mut self, span: &Span, from: &[u64]) {
        for (index, part) in (0..).step_by(8).zip(from) {
            self.store(&span.part(index, 8), Width::Qword, *part);
        }
    }
}
