//! The half of a drive that the cable sees, alike for disks and CD-ROMs: task file, status, data buffer, INTRQ.

use super::bits::{error, status};
use super::buffer::{self, Buffer};
use super::flight::Flight;
use super::taskfile::{Depth, Register, Signature, TaskFile};
use hvm::backend::Transfer;
use hvm::device::RestoreError;
use serde::{Deserialize, Serialize};

/// Whose turn it is. BSY and DRQ follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// The host may give a command.
    Idle,
    /// The host is to read the open part of the buffer.
    In,
    /// The host is to fill the open part of the buffer.
    Out,
    /// The drive is to use its medium, or does.
    Medium,
    /// The bus master is to move data.
    Dma,
}

/// What a drive in [`Phase::Dma`] asks of the bus master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DmaRequest {
    pub(super) direction: Transfer,
    /// How much is left to move.
    pub(super) bytes: u64,
    /// Only multiples of this are moved.
    pub(super) granule: u64,
}

/// What became of a DMA transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DmaOutcome {
    /// So many bytes moved; 0 if the drive failed the command.
    Moved(u64),
    /// The back end will say.
    Pending,
    /// The guest named memory that is not there.
    Fault,
}

/// Registers, buffer and interrupt of a drive.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) task: TaskFile,
    pub(super) phase: Phase,
    /// DRDY; a packet device lacks it from reset to the first command (9.12).
    ready: bool,
    error: u8,
    /// ERR and DF as the last command left them.
    trouble: u8,
    /// INTRQ is pending.
    pub(super) interrupt: bool,
    pub(super) buffer: Buffer,
    pub(super) flight: Flight,
}

impl Interface {
    /// As after power-on.
    pub(super) fn new(buffer_bytes: usize, signature: Signature) -> Self {
        let mut interface = Self {
            task: TaskFile::default(),
            phase: Phase::Idle,
            ready: false,
            error: 0,
            trouble: 0,
            interrupt: false,
            buffer: Buffer::new(buffer_bytes),
            flight: Flight::default(),
        };
        interface.reset(signature);
        interface
    }

    /// Any reset: the command under way is dropped, the signature shown (9.12).
    pub(super) fn reset(&mut self, signature: Signature) {
        self.task.sign(signature);
        self.phase = Phase::Idle;
        self.ready = signature == Signature::Ata;
        self.error = error::PASSED;
        self.trouble = 0;
        self.interrupt = false;
        self.buffer.clear();
        self.flight.give_up();
    }

    /// The status register.
    #[inline]
    pub(super) fn status(&self) -> u8 {
        let ready = if self.ready {
            status::DRDY | status::DSC
        } else {
            0
        };
        let turn = match self.phase {
            _ if self.flight.is_given_up() => status::BSY,
            Phase::Idle => 0,
            Phase::Dma if !self.flight.is_under_way() => status::DRQ,
            Phase::In | Phase::Out => status::DRQ,
            Phase::Medium | Phase::Dma => status::BSY,
        };
        ready | self.trouble | turn
    }

    /// True while the task file takes no writes (7.1).
    pub(super) fn is_engaged(&self) -> bool {
        self.status() & (status::BSY | status::DRQ) != 0
    }

    /// Reads any register but data.
    pub(super) fn read(&self, register: Register, depth: Depth) -> u8 {
        match register {
            Register::Error => self.error,
            Register::Status | Register::Control => self.status(),
            _ => self.task.read(register, depth),
        }
    }

    /// A command begins.
    pub(super) fn begin(&mut self) {
        self.ready = true;
        self.error = 0;
        self.trouble = 0;
        self.interrupt = false;
        self.buffer.clear();
    }

    /// The command is done.
    pub(super) fn complete(&mut self) {
        self.phase = Phase::Idle;
        self.interrupt = true;
    }

    /// The command failed with these bits in the error register.
    pub(super) fn fail(&mut self, error: u8) {
        self.error = error;
        self.trouble = status::ERR;
        self.complete();
    }

    /// The drive itself failed.
    pub(super) fn fail_as_broken(&mut self) {
        self.fail(error::ABRT);
        self.trouble |= status::DF;
    }

    /// The command is none of this device's, or its parameters are wrong.
    pub(super) fn abort(&mut self) {
        self.fail(error::ABRT);
    }

    /// Opens up to `limit` bytes of the buffer for the host to read, and tells it so.
    pub(super) fn offer(&mut self, limit: usize) -> usize {
        self.phase = Phase::In;
        self.interrupt = true;
        self.buffer.open(limit)
    }

    /// Lets the host fill `bytes` of the buffer, without telling it. What an earlier command left there is gone.
    pub(super) fn request(&mut self, bytes: usize) {
        self.phase = Phase::Out;
        self.buffer.load(bytes).fill(0);
        self.buffer.open(bytes);
    }

    pub(super) fn save(&self) -> Saved {
        Saved {
            task: self.task,
            phase: self.phase,
            ready: self.ready,
            error: self.error,
            trouble: self.trouble,
            interrupt: self.interrupt,
            buffer: self.buffer.save(),
        }
    }

    /// Refuses what does not fit.
    pub(super) fn check(&self, saved: &Saved) -> Result<(), RestoreError> {
        self.buffer.check(&saved.buffer)
    }

    /// Takes back what [`Interface::check`] let pass. A request that was under way is to be made again.
    pub(super) fn restore(&mut self, saved: &Saved) {
        self.task = saved.task;
        self.phase = saved.phase;
        self.ready = saved.ready;
        self.error = saved.error;
        self.trouble = saved.trouble & (status::ERR | status::DF);
        self.interrupt = saved.interrupt;
        self.buffer.restore(&saved.buffer);
        self.flight.give_up();
    }
}

/// The saved state.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    task: TaskFile,
    phase: Phase,
    ready: bool,
    error: u8,
    trouble: u8,
    interrupt: bool,
    buffer: buffer::Saved,
}
