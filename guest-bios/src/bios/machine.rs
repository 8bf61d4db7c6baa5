//! What the services need of the machine they serve.

use core::fmt;
use guest_mem::{Gpa, GuestMemory};
use hvm::backend::{BlockError, Segment, Transfer};
use hvm::{Instant, Width};

/// The kinds of drives that the BIOS numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveKind {
    /// Numbers from 00h on.
    Floppy,
    /// Numbers from 80h on.
    Disk,
    /// Numbers from E0h on.
    Cdrom,
}

/// A drive of the machine: the `index`th of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drive {
    /// Which kind.
    pub kind: DriveKind,
    /// Which of them, from 0.
    pub index: u8,
}

/// What lies in a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Medium {
    /// Capacity in sectors of 512 bytes.
    pub sectors: u64,
    /// Whether writes are refused.
    pub protection: Protection,
}

/// Whether a medium can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It can.
    Writable,
    /// It cannot.
    ReadOnly,
}

/// A drive's change line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeLine {
    /// The medium is the one that it was.
    Quiet,
    /// Another medium was put in, or the one that was in was taken out.
    Active,
}

/// The machine beside the calling CPU's registers. Ports and memory that nobody answers read as all ones, and writes
/// there are lost.
pub trait Machine {
    /// Guest RAM.
    fn memory(&self) -> &GuestMemory;
    /// MAXPHYADDR as the guest's CPUID tells it.
    fn physical_bits(&self) -> u8;
    /// Now.
    fn now(&self) -> Instant;
    /// Reads device memory: what [`Machine::memory`] does not have.
    fn read_device(&mut self, gpa: Gpa, into: &mut [u8]);
    /// Writes device memory.
    fn write_device(&mut self, gpa: Gpa, from: &[u8]);
    /// IN.
    fn port_in(&mut self, port: u16, width: Width) -> u32;
    /// OUT.
    fn port_out(&mut self, port: u16, width: Width, value: u32);
    /// The medium in a drive; `None` if there is no such drive, or nothing in it.
    fn medium(&mut self, drive: Drive) -> Option<Medium>;
    /// Whether the medium was changed since this was last asked.
    fn take_change(&mut self, drive: Drive) -> ChangeLine;
    /// Moves whole sectors between a drive and guest RAM, as [`hvm::backend::Block::transfer`] does, and waits for them.
    fn transfer(
        &mut self,
        drive: Drive,
        direction: Transfer,
        sector: u64,
        segments: &[Segment],
    ) -> Result<(), BlockError>;
    /// Copies whole sectors into a buffer of the hypervisor's own, and waits for them.
    fn read_sectors(
        &mut self,
        drive: Drive,
        sector: u64,
        into: &mut [u8],
    ) -> Result<(), BlockError>;
    /// Copies whole sectors out of such a buffer.
    fn write_sectors(&mut self, drive: Drive, sector: u64, from: &[u8]) -> Result<(), BlockError>;
    /// A line for the hypervisor's log.
    fn log(&mut self, line: fmt::Arguments<'_>);
}
