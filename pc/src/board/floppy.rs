//! Floppy drives on the board: media come and go, and the controller's interrupt line.

use super::Board;
use super::interrupts::{FLOPPY_IRQ, Source};
use crate::floppy::{Channel, Floppy, Place};
use alloc::boxed::Box;
use hvm::backend::Block;
use hvm::device::Context;

/// CMOS: types of both floppy drives, the first one's in the upper half.
const CMOS_DRIVES: u8 = 0x10;

impl Board {
    /// Puts a floppy drive there, without a medium.
    pub fn add_floppy_drive(&mut self, place: Place) {
        self.floppy.add_drive(place);
        self.tell_drive_types();
    }

    /// Puts a medium into the floppy drive there, and the drive, if there is none. Returns the one that was in it.
    pub fn insert_floppy(&mut self, place: Place, block: Box<dyn Block>) -> Option<Box<dyn Block>> {
        let before = self.floppy.insert(place, block);
        self.tell_drive_types();
        before
    }

    /// Takes the medium out of the floppy drive there.
    pub fn eject_floppy(&mut self, place: Place) -> Option<Box<dyn Block>> {
        self.floppy.eject(place)
    }

    /// CMOS says what the drives can read, for whoever does not ask them.
    fn tell_drive_types(&mut self) {
        let [first, second] = [Place::A, Place::B].map(|place| self.floppy.drive_type(place));
        self.rtc.set_ram(CMOS_DRIVES, first << 4 | second);
    }

    /// Works on the floppy controller.
    pub(super) fn with_floppy<R>(
        &mut self,
        context: &mut Context<'_>,
        work: impl FnOnce(&mut Floppy, &mut Channel<'_>) -> R,
    ) -> R {
        let mut channel = Channel {
            dma: &mut self.dma,
            memory: context.memory,
        };
        let result = work(&mut self.floppy, &mut channel);
        if self.floppy.take_fall() {
            self.interrupts
                .drive(FLOPPY_IRQ, Source::Isa, false, context.signals);
        }
        let level = self.floppy.interrupt();
        self.interrupts
            .drive(FLOPPY_IRQ, Source::Isa, level, context.signals);
        result
    }
}
