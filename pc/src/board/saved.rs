//! The life of the whole board: reset, pause, resume, save, restore.

use super::firmware::Part;
use super::{Board, Interrupts};
use crate::a20::A20;
use crate::pci::Pirqs;
use crate::saved;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hvm::Instant;
use hvm::device::{Lifecycle, RestoreError};
use serde::{Deserialize, Serialize};

/// Version of the board's own record.
const SAVED_VERSION: u16 = 2;
/// Its kind.
const KIND: &str = "board";

/// The saved state of one part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPart {
    /// The part's kind.
    pub kind: String,
    /// Its state, in its own format.
    pub state: Vec<u8>,
}

/// What belongs to no chip: the levels on the wires.
#[derive(Serialize, Deserialize)]
struct Wires {
    sources: [u8; super::interrupts::LINES as usize],
    driven: Pirqs,
    next_event: Option<Instant>,
    config_address: u32,
    a20: A20,
}

impl Board {
    /// The board's reset line: every chip is reset and set up again as firmware does. Slots and back ends stay.
    pub fn reset(&mut self) {
        self.parts_mut().for_each(Lifecycle::reset);
        self.interrupts.reset();
        self.bus.set_address(0);
        self.bus.rebuild();
        self.driven = Pirqs::default();
        self.a20 = A20::Open;
        // Whatever the timers have to say then comes with the next poll or access.
        self.next_event = Some(Instant::ZERO);
        self.deadline_is_stale = true;
    }

    /// Stops new work in every part.
    pub fn pause(&mut self) {
        self.parts_mut().for_each(Lifecycle::pause);
    }

    /// Goes on.
    pub fn resume(&mut self) {
        self.parts_mut().for_each(Lifecycle::resume);
    }

    /// All parts, always in the same order for the same board. Only while paused.
    pub fn save(&self) -> Vec<SavedPart> {
        let wires = Wires {
            sources: self.interrupts.sources(),
            driven: self.driven,
            next_event: self.next_event,
            config_address: self.bus.address(),
            a20: self.a20,
        };
        let own = SavedPart {
            kind: KIND.to_string(),
            state: saved::write(SAVED_VERSION, &wires),
        };
        let parts = self.parts().map(|part| SavedPart {
            kind: part.kind().to_string(),
            state: part.save(),
        });
        core::iter::once(own).chain(parts).collect()
    }

    /// Takes them back, all or none. Only while paused.
    pub fn restore(&mut self, saved: &[SavedPart]) -> Result<(), RestoreError> {
        let before = self.save();
        self.restore_parts(saved).inspect_err(|_| {
            // Its own state always fits, so this cannot fail in turn.
            let _ = self.restore_parts(&before);
        })
    }

    fn restore_parts(&mut self, saved: &[SavedPart]) -> Result<(), RestoreError> {
        let wanted = self.parts().count() + 1;
        if saved.len() != wanted {
            return Err(RestoreError(format!(
                "the saved state has {} parts, this board {wanted}",
                saved.len()
            )));
        }
        let Some((own, parts)) = saved.split_first() else {
            return Err(RestoreError("the saved state is empty".to_string()));
        };
        check_kind(KIND, own)?;
        let wires: Wires = saved::read(KIND, SAVED_VERSION, &own.state)?;
        for (part, saved) in self.parts_mut().zip(parts) {
            check_kind(part.kind(), saved)?;
            part.restore(&saved.state)?;
        }
        self.interrupts.set_sources(wires.sources);
        self.driven = wires.driven;
        self.next_event = wires.next_event;
        self.deadline_is_stale = true;
        self.bus.set_address(wires.config_address);
        self.a20 = wires.a20;
        self.bus.rebuild();
        Ok(())
    }

    fn parts(&self) -> impl Iterator<Item = &dyn Lifecycle> {
        let Interrupts { pic, ioapic, .. } = &self.interrupts;
        let chips: [&dyn Lifecycle; 11] = [
            pic,
            ioapic,
            &self.pit,
            &self.rtc,
            &self.power,
            &self.reset,
            &self.hpet,
            &self.dma,
            &self.floppy,
            &self.kbc,
            &self.vmmouse,
        ];
        let serial = [&self.com1, &self.com2]
            .into_iter()
            .flatten()
            .map(|serial| {
                let uart: &dyn Lifecycle = &serial.uart;
                uart
            });
        let fw_cfg = self.fw_cfg.iter().map(|device| {
            let device: &dyn Lifecycle = device;
            device
        });
        chips
            .into_iter()
            .chain(serial)
            .chain(fw_cfg)
            .chain(self.flash.iter().map(Part::as_lifecycle))
            .chain(self.bus.functions())
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut dyn Lifecycle> {
        let Interrupts { pic, ioapic, .. } = &mut self.interrupts;
        let chips: [&mut dyn Lifecycle; 11] = [
            pic,
            ioapic,
            &mut self.pit,
            &mut self.rtc,
            &mut self.power,
            &mut self.reset,
            &mut self.hpet,
            &mut self.dma,
            &mut self.floppy,
            &mut self.kbc,
            &mut self.vmmouse,
        ];
        let serial = [&mut self.com1, &mut self.com2]
            .into_iter()
            .flatten()
            .map(|serial| {
                let uart: &mut dyn Lifecycle = &mut serial.uart;
                uart
            });
        let fw_cfg = self.fw_cfg.iter_mut().map(|device| {
            let device: &mut dyn Lifecycle = device;
            device
        });
        chips
            .into_iter()
            .chain(serial)
            .chain(fw_cfg)
            .chain(self.flash.iter_mut().map(Part::as_lifecycle_mut))
            .chain(self.bus.functions_mut())
    }
}

fn check_kind(wanted: &str, saved: &SavedPart) -> Result<(), RestoreError> {
    if saved.kind == wanted {
        return Ok(());
    }
    Err(RestoreError(format!(
        "found the saved state of {:?} where this board has {wanted:?}",
        saved.kind
    )))
}
