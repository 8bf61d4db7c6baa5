//! The floppy controller: an 82077AA in AT mode (Intel 82077AA data sheet, order 290166; the NEC µPD765A's commands are a part
//! of its own).
//!
//! [`Floppy`] guarantees: heads move and sectors pass at once, so a command is done when its last byte is written or when a back
//! end has answered; a command works on at most two tracks, so no call is long; whatever a guest does, the worst is an error in
//! the result bytes. SCAN commands and single-density media are **not** offered.

mod bits;
mod command;
mod drive;
#[cfg(test)]
mod tests;
mod transfer;

use crate::dma::Dma;
use crate::saved;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bits::*;
use command::{COMMAND_BYTES, Command};
use drive::{Drive, LAST_TRACK, Medium};
use guest_mem::GuestMemory;
use hvm::backend::Block;
use hvm::device::{Lifecycle, RestoreError};
use serde::{Deserialize, Serialize};
use transfer::{Execution, SECTOR};

pub use drive::Geometry;

/// Version of the saved state.
const SAVED_VERSION: u16 = 1;
/// Drives that the controller can tell apart. A board has two.
const DRIVES: usize = 4;
/// The longest result: DUMPREG's.
const RESULT_BYTES: usize = 10;

/// A drive's place on the cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first, A: to DOS.
    A,
    /// The second.
    B,
}

/// What the controller moves data through.
pub struct Channel<'a> {
    /// The DMA controllers; channel 2 is the floppy's.
    pub dma: &'a mut Dma,
    /// Guest RAM.
    pub memory: &'a GuestMemory,
}

/// What the controller is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Taking a command's bytes.
    Command(heapless::Vec<u8, COMMAND_BYTES>),
    /// Moving sectors.
    Execution(Execution),
    /// Giving results.
    Result(heapless::Deque<u8, RESULT_BYTES>),
}

/// The chip's registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Chip {
    output: u8,
    tape: u8,
    rate: u8,
    timings: [u8; 2],
    options: u8,
    precompensation: u8,
    perpendicular: u8,
    locked: bool,
    phase: Phase,
    /// The sector that is being moved, or its address mark.
    buffer: heapless::Vec<u8, SECTOR>,
    /// Level of INT.
    interrupt: bool,
    /// For each drive, the status 0 that SENSE INTERRUPT has to tell.
    told_by_sense: [Option<u8>; DRIVES],
    last_sector: u8,
}

/// The controller and its drives.
pub struct Floppy {
    chip: Chip,
    drives: [Option<Drive>; DRIVES],
    /// The request that a back end has not answered yet.
    asked: Option<u64>,
    next_token: u64,
    /// INT went down since the last look, even if it is up again.
    fell: bool,
    paused: bool,
}

impl Default for Floppy {
    fn default() -> Self {
        Self::new()
    }
}

fn idle() -> Phase {
    Phase::Command(heapless::Vec::new())
}

impl Chip {
    fn new() -> Self {
        Self {
            output: DOR_RUN | DOR_GATE,
            tape: 0,
            rate: 0,
            timings: [0; 2],
            options: FIFO_OFF,
            precompensation: 0,
            perpendicular: 0,
            locked: false,
            phase: idle(),
            buffer: heapless::Vec::new(),
            interrupt: false,
            told_by_sense: [None; DRIVES],
            last_sector: 0,
        }
    }

    fn result(&mut self, bytes: &[u8]) {
        let mut result = heapless::Deque::new();
        for &byte in bytes {
            // As many places as the longest result has bytes.
            let _ = result.push_back(byte);
        }
        self.phase = Phase::Result(result);
    }

    /// Which drives record perpendicularly is only said where it may be overwritten (data sheet, "Perpendicular mode").
    fn set_perpendicular(&mut self, mode: u8) {
        let drives = if mode & PERPENDICULAR_OVERWRITE != 0 {
            mode
        } else {
            self.perpendicular
        };
        self.perpendicular =
            drives & PERPENDICULAR_DRIVES | mode & (PERPENDICULAR_GAP | PERPENDICULAR_WRITE);
    }

    /// Reset by either register. It interrupts, because polling finds that all four drives have become ready.
    fn reset(&mut self) {
        *self = Self {
            output: self.output,
            tape: self.tape,
            rate: self.rate,
            timings: self.timings,
            // LOCK saves what CONFIGURE says of the FIFO (data sheet, "Lock").
            options: if self.locked {
                self.options & (FIFO_OFF | FIFO_THRESHOLD)
            } else {
                FIFO_OFF
            },
            precompensation: if self.locked { self.precompensation } else { 0 },
            // A reset by software leaves the drives' bits (data sheet, "Perpendicular mode").
            perpendicular: self.perpendicular & PERPENDICULAR_DRIVES,
            locked: self.locked,
            interrupt: true,
            told_by_sense: [0, 1, 2, 3].map(|drive| Some(ST0_POLLED | drive)),
            ..Self::new()
        };
    }
}

impl Floppy {
    /// A controller without drives, as firmware leaves it: running, its interrupt and DMA request let through.
    pub fn new() -> Self {
        Self {
            chip: Chip::new(),
            drives: [const { None }; DRIVES],
            asked: None,
            next_token: 0,
            fell: false,
            paused: false,
        }
    }

    /// Puts an empty drive there, if there is none.
    pub fn add_drive(&mut self, place: Place) {
        self.drives[place as usize].get_or_insert_with(Drive::new);
    }

    /// Puts a medium into the drive there (and the drive, if there is none). Returns the one that was in it.
    pub fn insert(&mut self, place: Place, block: Box<dyn Block>) -> Option<Box<dyn Block>> {
        let drive = self.drives[place as usize].get_or_insert_with(Drive::new);
        let geometry = Geometry::of(block.sectors());
        drive.changed = true;
        // What was asked of the old medium is asked anew.
        self.asked = None;
        let before = drive.medium.replace(Medium { block, geometry });
        before.map(|medium| medium.block)
    }

    /// Takes the medium out of the drive there.
    pub fn eject(&mut self, place: Place) -> Option<Box<dyn Block>> {
        let drive = self.drives[place as usize].as_mut()?;
        drive.changed = true;
        self.asked = None;
        drive.medium.take().map(|medium| medium.block)
    }

    /// The type of the drive there as CMOS byte 10h numbers it: 0 without one, 4 (1.44 MB) for an empty one.
    pub fn drive_type(&self, place: Place) -> u8 {
        match &self.drives[place as usize] {
            None => 0,
            Some(drive) => drive
                .medium
                .as_ref()
                .map_or(4, |medium| medium.geometry.drive_type()),
        }
    }

    /// The level of IRQ 6.
    pub fn interrupt(&self) -> bool {
        self.chip.interrupt && self.runs() && self.chip.output & DOR_GATE != 0
    }

    /// True once for each time that the line went down. It may be up again: that is an edge.
    pub fn take_fall(&mut self) -> bool {
        core::mem::take(&mut self.fell)
    }

    fn lower_interrupt(&mut self) {
        self.fell |= self.chip.interrupt;
        self.chip.interrupt = false;
    }

    fn runs(&self) -> bool {
        self.chip.output & DOR_RUN != 0
    }

    /// Reads port 3F0h + `register`; `None` where the chip does not answer in AT mode.
    pub fn read(&mut self, register: u16, channel: &mut Channel<'_>) -> Option<u8> {
        Some(match register {
            DIGITAL_OUTPUT => self.chip.output,
            TAPE_DRIVE => self.chip.tape,
            STATUS => self.status(),
            FIFO => self.read_fifo(channel),
            DIGITAL_INPUT => {
                let selected = usize::from(self.chip.output & DOR_DRIVE);
                match self.drives.get(selected) {
                    Some(Some(drive)) if drive.changed => DIR_CHANGED,
                    _ => 0,
                }
            }
            _ => return None,
        })
    }

    /// Writes there; false where the chip has no register.
    pub fn write(&mut self, register: u16, value: u8, channel: &mut Channel<'_>) -> bool {
        match register {
            DIGITAL_OUTPUT => {
                let stopped = !self.runs();
                self.chip.output = value;
                match (stopped, self.runs()) {
                    (true, true) => self.reset_chip(),
                    // Held in reset, nothing goes on.
                    (false, false) => {
                        self.reset_chip();
                        self.lower_interrupt();
                    }
                    _ => {}
                }
            }
            TAPE_DRIVE => self.chip.tape = value & 3,
            STATUS => {
                self.chip.rate = value & RATE;
                if value & DSR_RESET != 0 {
                    self.reset_chip();
                }
            }
            FIFO => self.write_fifo(value, channel),
            DIGITAL_INPUT => self.chip.rate = value & RATE,
            _ => return false,
        }
        true
    }

    fn reset_chip(&mut self) {
        self.asked = None;
        self.lower_interrupt();
        self.chip.reset();
    }

    /// The main status register.
    fn status(&self) -> u8 {
        if !self.runs() {
            return 0;
        }
        match &self.chip.phase {
            Phase::Command(bytes) if bytes.is_empty() => MSR_READY,
            Phase::Command(_) => MSR_READY | MSR_BUSY,
            Phase::Result(_) => MSR_READY | MSR_TO_SYSTEM | MSR_BUSY,
            Phase::Execution(execution) => MSR_BUSY | self.execution_status(execution),
        }
    }

    fn read_fifo(&mut self, channel: &mut Channel<'_>) -> u8 {
        match &mut self.chip.phase {
            Phase::Result(bytes) => {
                let byte = bytes.pop_front().unwrap_or(0xff);
                if bytes.is_empty() {
                    self.chip.phase = idle();
                }
                self.lower_interrupt();
                byte
            }
            Phase::Execution(_) => self.read_data(channel),
            _ => 0xff,
        }
    }

    fn write_fifo(&mut self, value: u8, channel: &mut Channel<'_>) {
        if !self.runs() {
            return;
        }
        let bytes = match &mut self.chip.phase {
            Phase::Command(bytes) => bytes,
            Phase::Execution(_) => return self.write_data(value, channel),
            Phase::Result(_) => return,
        };
        // Never full: a command starts when its last byte is here.
        let _ = bytes.push(value);
        let first = bytes.first().copied().unwrap_or(value);
        if bytes.len() < command::length(first) {
            return;
        }
        let mut whole = [0; COMMAND_BYTES];
        for (into, &byte) in whole.iter_mut().zip(bytes.iter()) {
            *into = byte;
        }
        self.chip.phase = idle();
        self.execute(command::parse(&whole), channel);
    }

    fn execute(&mut self, command: Command, channel: &mut Channel<'_>) {
        match command {
            Command::Transfer(transfer) => self.start(transfer, channel),
            Command::ReadId { drive, head, mfm } => self.read_id(drive, head, mfm),
            Command::Recalibrate { drive } => {
                let found = self.drive(drive).is_some_and(Drive::recalibrate);
                let failed = ST0_ABNORMAL | ST0_EQUIPMENT_CHECK;
                self.end_seek(drive, if found { 0 } else { failed });
            }
            Command::Seek { drive, head, track } => self.seek(drive, head, |_| track),
            Command::SeekInwards {
                drive,
                head,
                tracks,
            } => self.seek(drive, head, |from| from.saturating_add(tracks)),
            Command::SeekOutwards {
                drive,
                head,
                tracks,
            } => self.seek(drive, head, |from| from.saturating_sub(tracks)),
            Command::SenseInterrupt => self.sense_interrupt(),
            Command::SenseDrive { drive, head } => self.sense_drive(drive, head),
            Command::Specify { timings } => self.chip.timings = timings,
            Command::Configure {
                options,
                precompensation,
            } => {
                self.chip.options = options & CONFIGURE_OPTIONS;
                self.chip.precompensation = precompensation;
            }
            Command::Perpendicular { mode } => self.chip.set_perpendicular(mode),
            Command::Lock => {
                self.chip.locked = true;
                self.chip.result(&[1 << 4]);
            }
            Command::Unlock => {
                self.chip.locked = false;
                self.chip.result(&[0]);
            }
            Command::DumpRegisters => self.dump_registers(),
            Command::Version => self.chip.result(&[ENHANCED]),
            Command::Invalid => self.chip.result(&[ST0_INVALID]),
        }
    }

    fn drive(&mut self, drive: u8) -> Option<&mut Drive> {
        self.drives.get_mut(usize::from(drive))?.as_mut()
    }

    fn seek(&mut self, drive: u8, head: u8, to: impl FnOnce(u8) -> u8) {
        if let Some(state) = self.drive(drive) {
            state.seek(to(state.track));
        }
        // A seek that goes nowhere is not noticed: there is no line that would tell.
        self.end_seek(drive, head << 2);
    }

    fn end_seek(&mut self, drive: u8, status: u8) {
        if let Some(told) = self.chip.told_by_sense.get_mut(usize::from(drive)) {
            *told = Some(status | ST0_SEEK_END | drive);
        }
        self.chip.interrupt = true;
    }

    fn sense_interrupt(&mut self) {
        let told = (0_u8..)
            .zip(self.chip.told_by_sense.iter_mut())
            .find_map(|(drive, told)| Some((drive, told.take()?)));
        let Some((drive, status)) = told else {
            self.chip.result(&[ST0_INVALID]);
            return;
        };
        let track = self.drive(drive).map_or(0, |drive| drive.track);
        self.lower_interrupt();
        self.chip.result(&[status, track]);
    }

    fn sense_drive(&mut self, drive: u8, head: u8) {
        let mut status = ST3_ALWAYS | head << 2 | drive;
        if let Some(state) = self.drive(drive) {
            if state.track == 0 {
                status |= ST3_TRACK_0;
            }
            if state
                .medium
                .as_ref()
                .is_some_and(|medium| medium.block.read_only())
            {
                status |= ST3_PROTECTED;
            }
        }
        self.chip.result(&[status]);
    }

    fn dump_registers(&mut self) {
        let tracks = [0, 1, 2, 3].map(|drive| self.drive(drive).map_or(0, |drive| drive.track));
        let chip = &mut self.chip;
        let locked = if chip.locked { 1 << 7 } else { 0 };
        let bytes = [
            tracks[0],
            tracks[1],
            tracks[2],
            tracks[3],
            chip.timings[0],
            chip.timings[1],
            chip.last_sector,
            locked | chip.perpendicular,
            chip.options,
            chip.precompensation,
        ];
        chip.result(&bytes);
    }
}

/// The saved state.
#[derive(Serialize, Deserialize)]
struct Saved {
    chip: Chip,
    /// Each drive's track, disk change line and passing sector.
    drives: [(u8, bool, u8); DRIVES],
}

impl Lifecycle for Floppy {
    fn kind(&self) -> &'static str {
        "floppy"
    }

    /// The reset pin. Heads stay where they are, and media in their drives.
    fn reset(&mut self) {
        self.asked = None;
        self.chip = Chip::new();
    }

    fn pause(&mut self) {
        self.paused = true;
    }

    fn resume(&mut self) {
        self.paused = false;
    }

    fn save(&self) -> Vec<u8> {
        let drives = self.drives.each_ref().map(|drive| {
            drive.as_ref().map_or((0, false, 0), |drive| {
                (drive.track, drive.changed, drive.passing)
            })
        });
        let state = Saved {
            chip: self.chip.clone(),
            drives,
        };
        saved::write(SAVED_VERSION, &state)
    }

    /// A request that was on its way to a back end is made again with the next poll.
    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let Saved { chip, drives } = saved::read(self.kind(), SAVED_VERSION, saved)?;
        self.chip = chip;
        self.asked = None;
        for (drive, (track, changed, passing)) in self.drives.iter_mut().zip(drives) {
            if let Some(drive) = drive {
                drive.track = track.min(LAST_TRACK);
                drive.changed = changed;
                drive.passing = passing;
            }
        }
        Ok(())
    }
}
