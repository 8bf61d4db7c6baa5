//! Questions about selectors: LAR, LSL, VERR, VERW, ARPL.

use super::descriptor::System;
use super::segment::{Found, GENERAL, is_null};
use super::{Bus, Execution, Flow, Stop};
use crate::Width;
use crate::regs::{Registers, Rflags};
use crate::walk::AccessKind;

/// What LAR tells: type, S, DPL, P, and the flags of the limit's byte.
const RIGHTS: u64 = 0x00ff_ff00;

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// The descriptor, if the selector names one that is visible from here.
    fn probed(&mut self, selector: u16) -> Result<Option<Found>, Stop> {
        if is_null(selector) {
            return Ok(None);
        }
        let mut found = match self.descriptor(selector, GENERAL) {
            Ok(found) => found,
            Err(Stop::Fault(fault)) if fault.vector == GENERAL => return Ok(None),
            Err(stop) => return Err(stop),
        };
        let dpl = found.descriptor.dpl();
        let is_visible = found.descriptor.is_conforming() || self.cpl <= dpl && found.rpl() <= dpl;
        if is_visible && found.descriptor.is_system() {
            match self.widen_descriptor(&mut found, GENERAL) {
                Err(Stop::Fault(fault)) if fault.vector == GENERAL => return Ok(None),
                other => other?,
            }
        }
        Ok(is_visible.then_some(found))
    }

    fn answer(&mut self, is_good: bool) -> Result<Flow, Stop> {
        let flags = if is_good { Rflags::ZF } else { Rflags::empty() };
        self.set_flag(Rflags::ZF, flags)
    }

    /// LAR.
    pub(super) fn load_rights(&mut self) -> Result<Flow, Stop> {
        self.check_protected()?;
        let to = self.register(0)?;
        let selector = self.value(1, Width::Word)? as u16;
        let is_long = self.is_long_mode();
        let found = self.probed(selector)?.filter(|found| {
            !found.descriptor.is_system()
                || match found.descriptor.system() {
                    System::Ldt | System::Tss32 | System::Tss32Busy | System::CallGate32 => true,
                    System::Tss16 | System::Tss16Busy | System::CallGate16 | System::TaskGate => {
                        !is_long
                    }
                    _ => false,
                }
        });
        if let Some(found) = found {
            self.write_part(to, found.descriptor.low >> 32 & RIGHTS);
        }
        self.answer(found.is_some())
    }

    /// LSL.
    pub(super) fn load_limit(&mut self) -> Result<Flow, Stop> {
        self.check_protected()?;
        let to = self.register(0)?;
        let selector = self.value(1, Width::Word)? as u16;
        let is_long = self.is_long_mode();
        let found = self.probed(selector)?.filter(|found| {
            !found.descriptor.is_system()
                || match found.descriptor.system() {
                    System::Ldt | System::Tss32 | System::Tss32Busy => true,
                    System::Tss16 | System::Tss16Busy => !is_long,
                    _ => false,
                }
        });
        if let Some(found) = found {
            self.write_part(to, u64::from(found.descriptor.limit()));
        }
        self.answer(found.is_some())
    }

    /// VERR.
    pub(super) fn verify_read(&mut self) -> Result<Flow, Stop> {
        self.check_protected()?;
        let selector = self.value(0, Width::Word)? as u16;
        let found = self.probed(selector)?;
        self.answer(found.is_some_and(|found| found.descriptor.is_readable()))
    }

    /// VERW.
    pub(super) fn verify_write(&mut self) -> Result<Flow, Stop> {
        self.check_protected()?;
        let selector = self.value(0, Width::Word)? as u16;
        let found = self.probed(selector)?;
        self.answer(found.is_some_and(|found| found.descriptor.is_writable_data()))
    }

    /// ARPL.
    pub(super) fn adjust_privilege(&mut self) -> Result<Flow, Stop> {
        self.check_protected()?;
        let wanted = self.value(1, Width::Word)? & 3;
        let selector = self.value(0, Width::Word)?;
        let is_raised = selector & 3 < wanted;
        if is_raised {
            let place = self.place(0, Width::Word, AccessKind::Write)?;
            self.set(&place, Width::Word, selector & !3 | wanted);
        }
        self.answer(is_raised)
    }
}
