//! The guest's BIOS on this machine: its ROM's traps reach the services, and the services reach the board and the disks.

use super::disk::Shared;
use super::local::Local;
use super::machine::Machine as GuestMachine;
use super::processor::{Next, Processor};
use crate::info;
use alloc::vec::Vec;
use appliance::config::BootDevice;
use core::fmt;
use guest_bios::bios::{
    self, Bios, ChangeLine, Drive, DriveKind, Drives, Machine, Medium, Protection,
};
use guest_bios::mp::Signature;
use guest_bios::platform::Platform;
use guest_mem::{Gpa, GuestMemory, Unmapped};
use hvm::backend::{Block, BlockError, Segment, Submitted, Transfer};
use hvm::event::Exception;
use hvm::regs::Registers;
use hvm::vcpu::Vcpu;
use hvm::{Instant, Width};

/// The drives that the BIOS knows, each with the way to its disk; `None` is an empty drive.
pub type Media = Vec<(Drive, Option<Shared>)>;

/// A drive as the BIOS has it.
struct Fitted {
    drive: Drive,
    disk: Option<Shared>,
    change: ChangeLine,
}

/// The BIOS and its drives.
pub struct Firmware {
    bios: Bios,
    media: Vec<Fitted>,
}

/// What the MP table tells of the processors.
pub fn signature() -> Signature {
    let [version, _, _, features] = super::host::cpuid(1, 0);
    Signature { version, features }
}

impl Firmware {
    /// A BIOS that has not run yet, and that waits `menu_s` seconds for a key that asks for its boot menu.
    pub fn new(media: Media, order: &[BootDevice], menu_s: u64, platform: Platform) -> Self {
        let count = |kind| media.iter().filter(|(drive, _)| drive.kind == kind).count() as u8;
        let order = order.iter().map(|device| match device {
            BootDevice::Floppy => bios::BootDevice::Floppy,
            BootDevice::Disk => bios::BootDevice::Disk,
            BootDevice::Cdrom => bios::BootDevice::Cdrom,
            BootDevice::Network => bios::BootDevice::Network,
        });
        Self {
            bios: Bios::new(bios::Setup {
                drives: Drives {
                    floppies: count(DriveKind::Floppy),
                    disks: count(DriveKind::Disk),
                    cdroms: count(DriveKind::Cdrom),
                },
                order: order.collect(),
                menu_wait_ns: menu_s * 1_000_000_000,
                platform,
                processor: signature(),
            }),
            media: media.into_iter().map(fitted).collect(),
        }
    }

    /// Another medium lies in a drive, or none.
    pub fn change_medium(&mut self, drive: Drive, medium: Option<Shared>) {
        if let Some(fitted) = self.media.iter_mut().find(|other| other.drive == drive) {
            fitted.disk = medium;
            fitted.change = ChangeLine::Active;
        }
    }

    /// Puts the ROMs into guest memory.
    pub fn install(&mut self, memory: &GuestMemory) -> Result<(), Unmapped> {
        self.bios.install(memory)
    }

    /// Serves a trap; see [`Bios::trapped`].
    fn trapped(
        &mut self,
        cpu: &mut dyn Registers,
        local: &mut Local,
    ) -> Option<Result<(), Exception>> {
        let media = &mut self.media;
        self.bios.trapped(cpu, &mut View { local, media })
    }
}

fn fitted((drive, disk): (Drive, Option<Shared>)) -> Fitted {
    Fitted {
        drive,
        disk,
        change: ChangeLine::Quiet,
    }
}

/// The machine as the services see it.
struct View<'a> {
    local: &'a mut Local,
    media: &'a mut [Fitted],
}

/// The disks of this version answer within the call; one that does not is out of order for the BIOS.
fn answer(submitted: Submitted) -> Result<(), BlockError> {
    match submitted {
        Submitted::Done(result) => result,
        Submitted::Pending => Err(BlockError::Medium),
    }
}

/// No device of the BIOS's waits for a token.
const TOKEN: u64 = 0;

impl View<'_> {
    fn disk(&mut self, drive: Drive) -> Option<&mut Shared> {
        let fitted = self.media.iter_mut().find(|other| other.drive == drive)?;
        fitted.disk.as_mut()
    }
}

impl Machine for View<'_> {
    fn memory(&self) -> &GuestMemory {
        &self.local.machine.memory
    }

    fn physical_bits(&self) -> u8 {
        self.local.physical_bits
    }

    fn now(&self) -> Instant {
        self.local.clock.now()
    }

    fn read_device(&mut self, gpa: Gpa, into: &mut [u8]) {
        if self
            .local
            .with_board(|board, _| board.mmio_read_bytes(gpa, into))
        {
            return;
        }
        for (offset, byte) in (0..).zip(into) {
            *byte = self.local.mmio_read(gpa.wrapping_add(offset), Width::Byte) as u8;
        }
    }

    fn write_device(&mut self, gpa: Gpa, from: &[u8]) {
        if self
            .local
            .with_board(|board, _| board.mmio_write_bytes(gpa, from))
        {
            return;
        }
        for (offset, &byte) in (0..).zip(from) {
            let at = gpa.wrapping_add(offset);
            self.local.mmio_write(at, Width::Byte, byte.into());
        }
    }

    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        self.local.port_read(port, width)
    }

    fn port_out(&mut self, port: u16, width: Width, value: u32) {
        self.local.port_write(port, width, value);
    }

    fn medium(&mut self, drive: Drive) -> Option<Medium> {
        let disk = self.disk(drive)?;
        let protection = if disk.read_only() {
            Protection::ReadOnly
        } else {
            Protection::Writable
        };
        Some(Medium {
            sectors: disk.sectors(),
            protection,
        })
    }

    fn take_change(&mut self, drive: Drive) -> ChangeLine {
        let fitted = self.media.iter_mut().find(|other| other.drive == drive);
        fitted.map_or(ChangeLine::Quiet, |fitted| {
            core::mem::replace(&mut fitted.change, ChangeLine::Quiet)
        })
    }

    fn transfer(
        &mut self,
        drive: Drive,
        direction: Transfer,
        sector: u64,
        segments: &[Segment],
    ) -> Result<(), BlockError> {
        let memory = &self.local.machine.memory;
        let disk = self.disk(drive).ok_or(BlockError::Medium)?;
        answer(disk.transfer(direction, sector, segments, memory, TOKEN))
    }

    fn read_sectors(
        &mut self,
        drive: Drive,
        sector: u64,
        into: &mut [u8],
    ) -> Result<(), BlockError> {
        let disk = self.disk(drive).ok_or(BlockError::Medium)?;
        answer(disk.read(sector, into, TOKEN))
    }

    fn write_sectors(&mut self, drive: Drive, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        let disk = self.disk(drive).ok_or(BlockError::Medium)?;
        answer(disk.write(sector, from, TOKEN))
    }

    fn log(&mut self, line: fmt::Arguments<'_>) {
        info!("{line}");
    }
}

impl GuestMachine {
    /// Puts the BIOS's ROMs into guest memory, if there is a BIOS.
    pub fn install_firmware(&self) -> Result<(), Unmapped> {
        match &mut *self.firmware.lock() {
            Some(firmware) => firmware.install(&self.memory),
            None => Ok(()),
        }
    }
}

impl<V: Vcpu> Processor<V> {
    /// A write to the port that the ROM's stubs trap with. `None` if it was not one of them, or there is no BIOS.
    #[cold]
    pub(super) fn firmware_trap(&mut self, next_rip: u64) -> Option<Next> {
        let mut firmware = self.machine().firmware.lock();
        let firmware = firmware.as_mut()?;
        let before = self.cpu.rip();
        self.cpu.set_rip(next_rip);
        match firmware.trapped(&mut self.cpu, &mut self.local) {
            Some(Ok(())) => {
                self.local.attention = true;
                Some(self.complete(self.cpu.rip()))
            }
            Some(Err(exception)) => Some(self.raise(exception)),
            None => {
                self.cpu.set_rip(before);
                None
            }
        }
    }
}
