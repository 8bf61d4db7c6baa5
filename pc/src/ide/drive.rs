//! A drive: its interface to the cable and the unit behind it.
//!
//! [`Drive`] guarantees to the channel that a command ends, needs the host, the bus master or the back end, or was
//! refused: nothing that it does runs on by itself.

use super::bits::command;
use super::cdrom::{self, Cdrom};
use super::disk::{self, Disk};
use super::interface::{self, DmaOutcome, DmaRequest, Interface, Phase};
use super::taskfile::{Depth, Register};
use super::unit::{ResetKind, Unit};
use alloc::boxed::Box;
use alloc::string::ToString;
use guest_mem::GuestMemory;
use hvm::backend::{Block, Segment};
use hvm::device::RestoreError;
use serde::{Deserialize, Serialize};

/// A drive of either kind.
pub struct Drive {
    interface: Interface,
    kind: Kind,
}

enum Kind {
    Disk(Disk),
    Cdrom(Cdrom),
}

impl Kind {
    #[inline]
    fn unit(&mut self) -> &mut dyn Unit {
        match self {
            Self::Disk(disk) => disk,
            Self::Cdrom(cdrom) => cdrom,
        }
    }
}

/// The saved state.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    interface: interface::Saved,
    kind: SavedKind,
}

#[derive(Serialize, Deserialize)]
enum SavedKind {
    Disk(disk::Saved),
    Cdrom(cdrom::Saved),
}

impl Drive {
    /// A hard disk. `serial` is the serial number that it reports: its first 20 printable characters.
    pub fn disk(medium: Box<dyn Block>, serial: &str) -> Self {
        Self::new(Kind::Disk(Disk::new(medium, serial)), disk::BUFFER_BYTES)
    }

    /// A CD-ROM drive with its tray closed, around a medium or empty. Whole blocks of 2048 bytes of the medium are seen.
    pub fn cdrom(medium: Option<Box<dyn Block>>, serial: &str) -> Self {
        Self::new(Kind::Cdrom(Cdrom::new(medium, serial)), cdrom::BUFFER_BYTES)
    }

    fn new(mut kind: Kind, buffer_bytes: usize) -> Self {
        let signature = kind.unit().signature();
        Self {
            interface: Interface::new(buffer_bytes, signature),
            kind,
        }
    }

    /// The CD-ROM in it, with the interface through which a command may be running.
    pub(super) fn as_cdrom(&mut self) -> Option<(&mut Cdrom, &mut Interface)> {
        match &mut self.kind {
            Kind::Cdrom(cdrom) => Some((cdrom, &mut self.interface)),
            Kind::Disk(_) => None,
        }
    }

    pub(super) fn reset(&mut self, kind: ResetKind) {
        let unit = self.kind.unit();
        unit.reset(kind);
        self.interface.reset(unit.signature());
    }

    /// INTRQ, before nIEN and selection.
    #[inline]
    pub(super) fn interrupt(&self) -> bool {
        self.interface.interrupt
    }

    /// Reads a register other than data. Reading the status register ends the interrupt (7.15.4).
    pub(super) fn read(&mut self, register: Register, depth: Depth) -> u8 {
        let value = self.interface.read(register, depth);
        if register == Register::Status {
            self.interface.interrupt = false;
        }
        value
    }

    pub(super) fn is_engaged(&self) -> bool {
        self.interface.is_engaged()
    }

    /// Writes a register other than data, command and control.
    pub(super) fn write(&mut self, register: Register, value: u8) {
        self.interface.task.write(register, value);
    }

    /// Takes a command. While one is under way, only a packet device takes one, and only DEVICE RESET (8.8).
    pub(super) fn command(&mut self, opcode: u8) {
        let packet_device = matches!(self.kind, Kind::Cdrom(_));
        if opcode == command::DEVICE_RESET && packet_device {
            return self.reset(ResetKind::Software);
        }
        if self.interface.is_engaged() {
            return;
        }
        self.interface.begin();
        self.kind.unit().command(&mut self.interface, opcode);
    }

    /// EXECUTE DEVICE DIAGNOSTIC, which both drives carry out (8.11).
    pub(super) fn diagnose(&mut self) {
        self.reset(ResetKind::Software);
        self.interface.interrupt = true;
    }

    /// Copies from the open data block; returns how many bytes.
    #[inline]
    pub(super) fn data_in(&mut self, into: &mut [u8]) -> usize {
        if self.interface.phase != Phase::In || self.interface.flight.is_given_up() {
            return 0;
        }
        let bytes = self.interface.buffer.take(into);
        if self.interface.buffer.is_closed() {
            self.kind.unit().drained(&mut self.interface);
        }
        bytes
    }

    /// Copies into the open data block; returns how many bytes.
    #[inline]
    pub(super) fn data_out(&mut self, from: &[u8]) -> usize {
        if self.interface.phase != Phase::Out || self.interface.flight.is_given_up() {
            return 0;
        }
        let bytes = self.interface.buffer.put(from);
        if self.interface.buffer.is_closed() {
            self.kind.unit().filled(&mut self.interface);
        }
        bytes
    }

    /// Does what the drive can do by itself now.
    #[inline]
    pub(super) fn work(&mut self) {
        // At most the data's request and the flush after it.
        while self.interface.phase == Phase::Medium && self.is_free() {
            self.kind.unit().work(&mut self.interface);
        }
    }

    /// True if the back end is not at work for this drive.
    fn is_free(&self) -> bool {
        !self.interface.flight.is_under_way() && !self.interface.flight.is_given_up()
    }

    /// What the bus master is to move now.
    #[inline]
    pub(super) fn dma_request(&mut self) -> Option<DmaRequest> {
        (self.interface.phase == Phase::Dma && self.is_free())
            .then(|| self.kind.unit().dma_request(&self.interface))
    }

    pub(super) fn dma(
        &mut self,
        segments: &[Segment],
        bytes: u64,
        memory: &GuestMemory,
    ) -> DmaOutcome {
        let unit = self.kind.unit();
        unit.dma(&mut self.interface, segments, bytes, memory)
    }

    /// Takes finished requests from the back end. Returns what became of a DMA transfer, if one finished.
    pub(super) fn land(&mut self) -> Option<DmaOutcome> {
        let mut outcome = None;
        while let Some((token, result)) = self.kind.unit().completed() {
            if self.interface.flight.land(token) {
                outcome = self.kind.unit().landed(&mut self.interface, result);
            }
        }
        outcome
    }

    /// The drive as device 0 shows itself in place of an absent device 1 (9.16.1): its registers, but a status of 0.
    pub(super) fn read_for_absent(&self, register: Register, depth: Depth) -> u8 {
        match register {
            Register::Status | Register::Control => 0,
            _ => self.interface.read(register, depth),
        }
    }

    pub(super) fn save(&self) -> Saved {
        Saved {
            interface: self.interface.save(),
            kind: match &self.kind {
                Kind::Disk(disk) => SavedKind::Disk(disk.save()),
                Kind::Cdrom(cdrom) => SavedKind::Cdrom(cdrom.save()),
            },
        }
    }

    /// Refuses the state of another drive.
    pub(super) fn check(&self, saved: &Saved) -> Result<(), RestoreError> {
        self.interface.check(&saved.interface)?;
        match (&self.kind, &saved.kind) {
            (Kind::Disk(disk), SavedKind::Disk(saved)) => disk.check(saved),
            (Kind::Cdrom(cdrom), SavedKind::Cdrom(saved)) => cdrom.check(saved),
            _ => Err(RestoreError(
                "ide: the state of a disk was given to a CD-ROM drive, or the other way round"
                    .to_string(),
            )),
        }
    }

    /// Takes back what [`Drive::check`] let pass.
    pub(super) fn restore(&mut self, saved: &Saved) {
        match (&mut self.kind, &saved.kind) {
            (Kind::Disk(disk), SavedKind::Disk(saved)) => disk.restore(saved),
            (Kind::Cdrom(cdrom), SavedKind::Cdrom(saved)) => cdrom.restore(saved),
            _ => return,
        }
        self.interface.restore(&saved.interface);
    }
}
