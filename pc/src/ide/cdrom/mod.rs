//! A CD-ROM drive: an ATA packet device (ATA/ATAPI-6, 8.24 and 9.8) that follows SFF-8020i and MMC-3, over any
//! [`Block`] back end with an image of 2048-byte blocks. An image too large for a CD is shown as a DVD.
//!
//! It guarantees to the host that it hears of every change of the medium before it reads from the new one. Not offered:
//! audio, writing, more than one session, overlapped commands.

mod address;
mod bay;
mod bits;
mod command;
mod configuration;
mod disc;
mod dvd;
mod frame;
mod inquiry;
mod mode;
mod packet;
mod sense;
mod toc;
mod transfer;

use super::bits::{command as ata, feature, reason};
use super::disk::{POWER_ACTIVE, is_power_change};
use super::interface::{DmaOutcome, DmaRequest, Interface, Phase};
use super::modes::Modes;
use super::taskfile::Signature;
use super::unit::{Completion, ResetKind, Unit};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
pub use bay::Lock;
use bay::{Bay, Event, Tray};
use bits::{BLOCK_BYTES, FEATURES_DMA, FEATURES_OVERLAPPED, PACKET_BYTES};
use guest_mem::GuestMemory;
use hvm::backend::{Block, BlockError, Segment, Transfer};
use hvm::device::RestoreError;
use mode::Pages;
use sense::Sense;
use serde::{Deserialize, Serialize};
use transfer::{Carrier, Work};

/// Bytes of the buffer: the largest data block, in whole blocks.
pub(super) const BUFFER_BYTES: usize = 1 << 16;
/// The largest data block that a byte count can express (ATA/ATAPI-6, 8.24.4).
const MOST_BYTE_COUNT: u16 = 0xfffe;

/// A CD-ROM drive.
pub(super) struct Cdrom {
    bay: Bay,
    serial: String,
    /// Why the last command failed.
    sense: Sense,
    /// A unit attention is due: reset occurred.
    was_reset: bool,
    pages: Pages,
    modes: Modes,
    work: Work,
    carrier: Carrier,
}

/// The saved state.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    /// Sectors of the medium, if there is one.
    sectors: Option<u64>,
    bay: bay::State,
    sense: Sense,
    was_reset: bool,
    pages: Pages,
    modes: Modes,
    work: Work,
    carrier: Carrier,
}

impl Cdrom {
    pub(super) fn new(medium: Option<Box<dyn Block>>, serial: &str) -> Self {
        Self {
            bay: Bay::new(medium),
            serial: serial.into(),
            sense: Sense::NONE,
            was_reset: true,
            pages: Pages::DEFAULT,
            modes: Modes::POWER_ON,
            work: Work::None,
            carrier: Carrier::Dma,
        }
    }

    /// Puts another medium in, or takes it out; returns the one before.
    pub(super) fn change(
        &mut self,
        medium: Option<Box<dyn Block>>,
        interface: &mut Interface,
    ) -> Option<Box<dyn Block>> {
        let before = self.bay.replace(medium);
        interface.flight.forget();
        self.lose_medium(interface);
        before
    }

    /// Whether the host lets go of the medium. An open tray is not locked.
    pub(super) fn lock(&self) -> Lock {
        match self.bay.tray() {
            Tray::Open => Lock::Allowed,
            Tray::Closed => self.bay.lock(),
        }
    }

    /// The button on the drive's front: the tray moves, or the host is asked to let it.
    pub(super) fn press_eject(&mut self, interface: &mut Interface) {
        match (self.bay.tray(), self.bay.lock()) {
            (Tray::Open, _) => self.bay.close(),
            (Tray::Closed, Lock::Prevented) => self.bay.set_event(Event::EjectRequest),
            (Tray::Closed, Lock::Allowed) => {
                self.bay.open();
                self.lose_medium(interface);
            }
        }
    }

    /// Fails a command that reads from a medium that is gone.
    fn lose_medium(&mut self, interface: &mut Interface) {
        if !matches!(self.work, Work::Read { .. }) {
            return;
        }
        interface.flight.give_up();
        let sense = match self.bay.loaded() {
            Ok(_) => Sense::MEDIUM_CHANGED,
            Err(sense) => sense,
        };
        match interface.phase {
            Phase::In => self.work = Work::Failing(sense),
            _ => self.check_condition(interface, sense),
        }
    }

    pub(super) fn save(&self) -> Saved {
        Saved {
            sectors: self.bay.sectors(),
            bay: self.bay.save(),
            sense: self.sense,
            was_reset: self.was_reset,
            pages: self.pages,
            modes: self.modes,
            work: self.work,
            carrier: self.carrier,
        }
    }

    /// Refuses a state that was saved with another medium.
    pub(super) fn check(&self, saved: &Saved) -> Result<(), RestoreError> {
        let sectors = self.bay.sectors();
        if saved.sectors == sectors {
            return Ok(());
        }
        let name = |sectors: Option<u64>| match sectors {
            Some(sectors) => format!("a medium of {sectors} sectors"),
            None => "no medium".into(),
        };
        Err(RestoreError(format!(
            "ide: the CD-ROM's state was saved with {}, here is {}; insert the same one",
            name(saved.sectors),
            name(sectors)
        )))
    }

    /// Takes back what [`Cdrom::check`] let pass.
    pub(super) fn restore(&mut self, saved: &Saved) {
        self.bay.restore(saved.bay);
        self.sense = saved.sense;
        self.was_reset = saved.was_reset;
        self.pages = saved.pages;
        self.modes = saved.modes;
        self.work = saved.work;
        self.carrier = saved.carrier;
    }

    /// PACKET: the packet comes in a data block of its own, without an interrupt before.
    fn start_packet(&mut self, interface: &mut Interface) {
        let features = interface.task.features.current;
        if features & FEATURES_OVERLAPPED != 0 {
            return interface.abort();
        }
        self.carrier = if features & FEATURES_DMA != 0 {
            Carrier::Dma
        } else {
            let limit = interface.task.byte_count().min(MOST_BYTE_COUNT) & !1;
            Carrier::Pio { limit }
        };
        self.work = Work::Packet;
        interface.task.count.current = reason::CD;
        interface.request(PACKET_BYTES);
    }

    fn set_features(&mut self, interface: &mut Interface) {
        let task = &interface.task;
        match task.features.current {
            feature::TRANSFER_MODE => match self.modes.select(task.count.current) {
                Some(modes) => self.modes = modes,
                None => return interface.abort(),
            },
            harmless if feature::HARMLESS.contains(&harmless) => {}
            _ => return interface.abort(),
        }
        interface.complete();
    }
}

impl Unit for Cdrom {
    fn signature(&self) -> Signature {
        Signature::Packet
    }

    fn reset(&mut self, kind: ResetKind) {
        self.work = Work::None;
        if kind == ResetKind::Hardware {
            self.bay.reset();
            self.sense = Sense::NONE;
            self.was_reset = true;
            self.pages = Pages::DEFAULT;
            self.modes = Modes::POWER_ON;
        }
    }

    fn command(&mut self, interface: &mut Interface, opcode: u8) {
        self.work = Work::None;
        match opcode {
            ata::PACKET => self.start_packet(interface),
            ata::IDENTIFY_PACKET_DEVICE => {
                let identity = inquiry::identify(&self.serial, self.modes);
                interface.buffer.load_from(&identity);
                interface.offer(usize::MAX);
            }
            ata::SET_FEATURES => self.set_features(interface),
            // Software that asks for a disk finds the packet device's signature (8.15.6, 8.27.6).
            ata::IDENTIFY_DEVICE | ata::READ_SECTORS | ata::READ_SECTORS_NO_RETRY => {
                interface.task.sign(Signature::Packet);
                interface.abort();
            }
            _ if ata::CHECK_POWER_MODE.contains(&opcode) => {
                interface.task.count.current = POWER_ACTIVE;
                interface.complete();
            }
            _ if is_power_change(opcode) => interface.complete(),
            _ => interface.abort(),
        }
    }

    fn drained(&mut self, interface: &mut Interface) {
        match self.work {
            // The identity of the device: there is no more to come, and no interrupt.
            Work::None => interface.phase = Phase::Idle,
            _ => self.go_on(interface),
        }
    }

    fn filled(&mut self, interface: &mut Interface) {
        match self.work {
            Work::Packet => self.begin(interface),
            _ => self.take_parameters(interface),
        }
    }

    fn work(&mut self, interface: &mut Interface) {
        match self.work {
            Work::Read { span, .. } => self.read_chunk(interface, span),
            _ => self.finish(interface),
        }
    }

    fn dma_request(&self, interface: &Interface) -> DmaRequest {
        let rest = interface.buffer.rest().len() as u64;
        let request = |direction, bytes, granule| DmaRequest {
            direction,
            bytes,
            granule,
        };
        match self.work {
            Work::Parameters(_) => request(Transfer::Write, rest, 1),
            Work::Read { span, .. } if self.moves_blocks(interface) => {
                let block = BLOCK_BYTES as u64;
                request(Transfer::Read, u64::from(span.left) * block, block)
            }
            _ => request(Transfer::Read, rest, 1),
        }
    }

    fn dma(
        &mut self,
        interface: &mut Interface,
        segments: &[Segment],
        bytes: u64,
        memory: &GuestMemory,
    ) -> DmaOutcome {
        if self.moves_blocks(interface) {
            return self.move_blocks(interface, segments, bytes, memory);
        }
        let takes = matches!(self.work, Work::Parameters(_));
        let mut moved = 0;
        for segment in segments {
            let bytes = (segment.bytes as usize).min(interface.buffer.rest().len());
            let result = if takes {
                memory.read(segment.gpa, interface.buffer.rest_mut(bytes))
            } else {
                memory.write(segment.gpa, &interface.buffer.rest()[..bytes])
            };
            if result.is_err() {
                return DmaOutcome::Fault;
            }
            interface.buffer.skip(bytes);
            moved += bytes as u64;
        }
        if takes {
            self.take_parameters(interface);
        } else {
            self.go_on(interface);
        }
        DmaOutcome::Moved(moved)
    }

    fn completed(&mut self) -> Option<Completion> {
        self.bay.medium()?.completed()
    }

    /// Data for the buffer comes with the same call again, which [`Unit::work`] makes next.
    fn landed(
        &mut self,
        interface: &mut Interface,
        result: Result<(), BlockError>,
    ) -> Option<DmaOutcome> {
        if interface.phase == Phase::Dma {
            return Some(self.moved(interface, result));
        }
        if result.is_err() {
            self.check_condition(interface, Sense::UNRECOVERED_READ);
        }
        None
    }
}
