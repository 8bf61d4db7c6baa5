//! Those x87 instructions that compute nothing: kernels look for the FPU with them, still in real mode.

use super::{Bus, Execution, Flow, Reason, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Cr0, Registers};
use crate::walk::AccessKind;
use iced_x86::Mnemonic;

const NOT_AVAILABLE: Exception = Exception::plain(7);
const FLOATING_POINT: Exception = Exception::plain(16);

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// WAIT, FNINIT, FNCLEX, FLDCW, FNSTCW, FNSTSW.
    pub(super) fn control_fpu(&mut self) -> Result<Flow, Stop> {
        let cr0 = Cr0::from_bits_retain(self.cpu.cr0());
        let mnemonic = self.instruction.mnemonic();
        let is_absent = match mnemonic {
            Mnemonic::Wait => cr0.contains(Cr0::MP | Cr0::TS),
            _ => cr0.intersects(Cr0::EM | Cr0::TS),
        };
        if is_absent {
            return Err(NOT_AVAILABLE.into());
        }
        let image = self.bus.xsave_image();
        let image = image.ok_or(Stop::Unsupported(Reason::Vectors))?;
        let (control, status) = (image.control(), image.status());
        let waits = matches!(mnemonic, Mnemonic::Wait | Mnemonic::Fldcw);
        if waits && image.has_pending_exception() && cr0.contains(Cr0::NE) {
            return Err(FLOATING_POINT.into());
        }
        match mnemonic {
            Mnemonic::Fnstcw => self.store_word(control)?,
            Mnemonic::Fnstsw => self.store_word(status)?,
            Mnemonic::Fldcw => {
                let value = self.value(0, Width::Word)? as u16;
                if let Some(mut image) = self.bus.xsave_image() {
                    image.set_control(value);
                }
            }
            Mnemonic::Fninit | Mnemonic::Fnclex => {
                if let Some(mut image) = self.bus.xsave_image() {
                    match mnemonic {
                        Mnemonic::Fninit => image.initialize_x87(),
                        _ => image.clear_exceptions(),
                    }
                }
            }
            _ => {}
        }
        Ok(Flow::Next)
    }

    fn store_word(&mut self, value: u16) -> Result<(), Stop> {
        let place = self.place(0, Width::Word, AccessKind::Write)?;
        self.set(&place, Width::Word, u64::from(value));
        Ok(())
    }
}
