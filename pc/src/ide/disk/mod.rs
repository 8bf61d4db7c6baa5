//! A hard disk (ATA/ATAPI-6) on any [`Block`] back end.
//!
//! It guarantees to the back end that it sees only extents on the medium, and to the host that a command's registers tell
//! where it stopped. Not offered: SMART, security, host protected area, queued commands, power-up in standby.

mod geometry;
mod identify;
mod opcode;
mod settings;
mod span;
mod transfer;

use super::interface::{DmaOutcome, DmaRequest, Interface, Phase};
use super::taskfile::Signature;
use super::unit::{Completion, ResetKind, Unit};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use geometry::Geometry;
use guest_mem::GuestMemory;
use hvm::backend::{Block, BlockError, SECTOR_BYTES, Segment, Submitted, Transfer};
use hvm::device::RestoreError;
use opcode::Command;
pub(super) use opcode::is_power_change;
use serde::{Deserialize, Serialize};
use settings::Settings;
use transfer::{Work, bytes_of};

/// Most sectors in a data block of READ and WRITE MULTIPLE.
const MOST_MULTIPLE: u8 = 16;
/// Bytes of the sector buffer.
pub(super) const BUFFER_BYTES: usize = MOST_MULTIPLE as usize * SECTOR_BYTES as usize;
/// CHECK POWER MODE: active or idle (8.6).
pub(super) const POWER_ACTIVE: u8 = 0xff;

/// A hard disk.
pub(super) struct Disk {
    medium: Box<dyn Block>,
    serial: String,
    settings: Settings,
    work: Work,
}

/// The saved state. The medium's contents travel on their own.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    sectors: u64,
    settings: Settings,
    work: Work,
}

impl Disk {
    pub(super) fn new(medium: Box<dyn Block>, serial: &str) -> Self {
        Self {
            medium,
            serial: serial.into(),
            settings: Settings::POWER_ON,
            work: Work::None,
        }
    }

    pub(super) fn save(&self) -> Saved {
        Saved {
            sectors: self.medium.sectors(),
            settings: self.settings,
            work: self.work,
        }
    }

    /// Refuses the state of a disk of another size.
    pub(super) fn check(&self, saved: &Saved) -> Result<(), RestoreError> {
        let sectors = self.medium.sectors();
        if saved.sectors == sectors {
            return Ok(());
        }
        Err(RestoreError(format!(
            "ide: the state was saved with a disk of {} sectors, this one has {sectors}; give it the same image",
            saved.sectors
        )))
    }

    /// Takes back what [`Disk::check`] let pass.
    pub(super) fn restore(&mut self, saved: &Saved) {
        self.settings = saved.settings;
        self.work = saved.work;
    }
}

impl Unit for Disk {
    fn signature(&self) -> Signature {
        Signature::Ata
    }

    fn reset(&mut self, kind: ResetKind) {
        self.work = Work::None;
        if kind == ResetKind::Hardware {
            self.settings = Settings::POWER_ON;
        }
    }

    fn command(&mut self, interface: &mut Interface, opcode: u8) {
        self.work = Work::None;
        match Command::parse(opcode) {
            Command::Pio(direction, form, grouping) => {
                self.start_pio(interface, direction, form, grouping);
            }
            Command::Dma(direction, form) => self.start_dma(interface, direction, form),
            Command::Verify(form) => self.verify(interface, form),
            Command::NativeMax(form) => self.native_max(interface, form),
            Command::Flush => self.flush(interface),
            Command::Identify => {
                self.work = Work::Reply;
                interface.buffer.load_from(&identify::identify(self));
                interface.offer(usize::MAX);
            }
            Command::SetFeatures => self.set_features(interface),
            Command::SetMultiple => self.set_multiple(interface),
            Command::SetGeometry => self.set_geometry(interface),
            Command::CheckPower => {
                interface.task.count.current = POWER_ACTIVE;
                interface.complete();
            }
            Command::Nothing => interface.complete(),
            Command::Unknown => interface.abort(),
        }
    }

    /// After the last block there is no interrupt: the host has what it wanted (9.7).
    fn drained(&mut self, interface: &mut Interface) {
        let Work::Read(mut span) = self.work else {
            self.work = Work::None;
            interface.phase = Phase::Idle;
            return;
        };
        span.advance(span.block());
        if span.left == 0 {
            let pending = interface.interrupt;
            self.end(interface, span, Transfer::Read);
            interface.interrupt = pending;
        } else {
            self.work = Work::Read(span);
            interface.phase = Phase::Medium;
        }
    }

    fn filled(&mut self, interface: &mut Interface) {
        interface.phase = Phase::Medium;
    }

    fn work(&mut self, interface: &mut Interface) {
        let token = interface.flight.token();
        let submitted = match self.work {
            Work::Read(span) => {
                let into = interface.buffer.load(bytes_of(span.block()));
                self.medium.read(span.sector, into, token)
            }
            Work::Write(span) => {
                let from = interface.buffer.contents();
                self.medium.write(span.sector, from, token)
            }
            Work::Flush => self.medium.flush(token),
            Work::None | Work::Reply | Work::Dma { .. } => Submitted::Done(Ok(())),
        };
        match submitted {
            Submitted::Done(result) => self.result(interface, result),
            Submitted::Pending => interface.flight.depart(),
        }
    }

    fn dma_request(&self, _: &Interface) -> DmaRequest {
        let (direction, left) = match self.work {
            Work::Dma {
                direction, span, ..
            } => (direction, span.left),
            _ => (Transfer::Read, 0),
        };
        DmaRequest {
            direction,
            bytes: u64::from(left) * SECTOR_BYTES,
            granule: SECTOR_BYTES,
        }
    }

    fn dma(
        &mut self,
        interface: &mut Interface,
        segments: &[Segment],
        bytes: u64,
        memory: &GuestMemory,
    ) -> DmaOutcome {
        let Work::Dma {
            direction,
            span,
            moving,
        } = &mut self.work
        else {
            return DmaOutcome::Moved(0);
        };
        *moving = ((bytes / SECTOR_BYTES) as u32).min(span.left);
        let (direction, sector) = (*direction, span.sector);
        let token = interface.flight.token();
        match self
            .medium
            .transfer(direction, sector, segments, memory, token)
        {
            Submitted::Done(result) => self.dma_result(interface, result),
            Submitted::Pending => {
                interface.flight.depart();
                DmaOutcome::Pending
            }
        }
    }

    fn completed(&mut self) -> Option<Completion> {
        self.medium.completed()
    }

    /// Data of a read comes with the same call again, which [`Unit::work`] makes next.
    fn landed(
        &mut self,
        interface: &mut Interface,
        result: Result<(), BlockError>,
    ) -> Option<DmaOutcome> {
        match self.work {
            Work::Dma { .. } => return Some(self.dma_result(interface, result)),
            Work::Read(_) if result.is_ok() => {}
            _ => self.result(interface, result),
        }
        None
    }
}
