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
        self.load_of_descriptor(is_known_to_lar, |found| found.descriptor.low >> 32 & RIGHTS)
    }

    /// LSL.
    pub(super) fn load_limit(&mut self) -> Result<Flow, Stop> {
        self.load_of_descriptor(is_known_to_lsl, |found| found.descriptor.limit().into())
    }

    /// Loads a part of a descriptor, if it is of a segment or of a `known` kind in this mode.
    fn load_of_descriptor(
        &mut self,
        known: fn(System, Mode) -> bool,
        part: fn(&Found) -> u64,
    ) -> Result<Flow, Stop> {
        self.check_protected()?;
        let to = self.register(0)?;
        let selector = self.value(1, Width::Word)? as u16;
        let mode = if self.is_long_mode() {
            Mode::Long
        } else {
            Mode::Legacy
        };
        let found = self.probed(selector)?.filter(|found| {
            !found.descriptor.is_system() || known(found.descriptor.system(), mode)
        });
        if let Some(found) = &found {
            self.write_part(to, part(found));
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

/// Which system descriptors there are depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Legacy,
    Long,
}

fn is_known_to_lar(system: System, mode: Mode) -> bool {
    match system {
        System::CallGate32 => true,
        System::CallGate16 | System::TaskGate => mode == Mode::Legacy,
        _ => is_known_to_lsl(system, mode),
    }
}

fn is_known_to_lsl(system: System, mode: Mode) -> bool {
    match system {
        System::Ldt | System::Tss32 | System::Tss32Busy => true,
        System::Tss16 | System::Tss16Busy => mode == Mode::Legacy,
        _ => false,
    }
}
