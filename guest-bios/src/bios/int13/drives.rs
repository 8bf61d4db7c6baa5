//! The drives by their BIOS numbers: diskettes from 00h, disks from 80h, CDs from E0h, and before them what El Torito
//! emulates.

use super::super::machine::{ChangeLine, Drive, DriveKind, Machine, Medium, Protection};
use super::eltorito::{Image, Media};
use super::geometry::Geometry;
use super::status::Status;
use hvm::backend::BlockError;
use serde::{Deserialize, Serialize};

/// Bit 7 of a drive number: not a diskette.
pub const FIRST_DISK: u8 = 0x80;
/// CDs are numbered from here on, out of the way of the disks.
pub const FIRST_CDROM: u8 = 0xe0;

/// How many drives of each kind the machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drives {
    /// Diskette drives, at most two.
    pub floppies: u8,
    /// Hard disks.
    pub disks: u8,
    /// CD-ROM drives.
    pub cdroms: u8,
}

/// A drive that is a part of a CD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulation {
    /// Which CD-ROM drive.
    pub cdrom: u8,
    /// The number that the image has now: 00h, 80h, or the CD's own without emulation.
    pub number: u8,
    /// The catalog's byte for the media type.
    pub media_byte: u8,
    /// The catalog's sector, of 2048 bytes.
    pub catalog: u32,
    /// Where the image starts, in sectors of 2048 bytes.
    pub start: u32,
    /// Segment that it was loaded to.
    pub segment: u16,
    /// Sectors that were loaded.
    pub count: u16,
    /// Sectors of 512 bytes of the emulated drive; 0 without emulation.
    pub sectors: u64,
}

impl Emulation {
    /// What booting `image` from a CD-ROM drive emulates.
    pub fn of(image: &Image, cdrom: u8, medium_sectors: u64) -> Self {
        let rest = medium_sectors.saturating_sub(u64::from(image.start) * 4);
        let (number, sectors) = match image.media {
            Media::NoEmulation => (FIRST_CDROM + cdrom, 0),
            Media::Diskette { sectors } => (0, sectors.into()),
            Media::Disk => (FIRST_DISK, rest),
        };
        Self {
            cdrom,
            number,
            media_byte: image.media_byte,
            catalog: image.catalog,
            start: image.start,
            segment: image.segment,
            count: image.count,
            sectors,
        }
    }

    /// Whether a machine with these drives can have made it.
    pub fn is_plausible(&self, drives: Drives) -> bool {
        let numbers = [0, FIRST_DISK, FIRST_CDROM.wrapping_add(self.cdrom)];
        self.cdrom < drives.cdroms && numbers.contains(&self.number)
    }

    fn emulates(&self, number: u8) -> bool {
        self.sectors != 0 && self.number == number
    }
}

/// A drive number resolved: where its sectors of 512 bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub drive: Drive,
    /// The first of its sectors.
    pub base: u64,
    /// Its size, if it is a part of a CD.
    emulated_sectors: Option<u64>,
    /// As the caller sees it.
    pub kind: DriveKind,
}

impl Target {
    /// Bytes of a sector as EDD's functions count.
    pub fn sector_bytes(&self) -> u16 {
        match self.kind {
            DriveKind::Cdrom => 2048,
            _ => 512,
        }
    }

    /// What lies in it.
    pub fn medium(&self, machine: &mut dyn Machine) -> Option<Medium> {
        let medium = machine.medium(self.drive)?;
        Some(match self.emulated_sectors {
            Some(sectors) => Medium {
                sectors,
                protection: Protection::ReadOnly,
            },
            None => medium,
        })
    }

    /// Fails once after its medium was changed: what the caller knows of it holds no longer. A part of a CD changes with the CD.
    pub fn notice_change(&self, machine: &mut dyn Machine) -> Result<(), Status> {
        match machine.take_change(self.drive) {
            ChangeLine::Quiet => Ok(()),
            ChangeLine::Active => Err(Status::Changed),
        }
    }

    /// Its shape, and for a diskette its type (0 for a disk).
    pub fn geometry(&self, machine: &mut dyn Machine) -> Option<(Geometry, u8)> {
        let medium = self.medium(machine)?;
        if self.kind == DriveKind::Floppy {
            return Some(Geometry::of_diskette(medium.sectors));
        }
        let mut boot_sector = [0; 512];
        // A disk that cannot be read has the shape of an empty one.
        let _ = read_sector(machine, self, 0, &mut boot_sector);
        Some((Geometry::of_disk(medium.sectors, &boot_sector), 0))
    }
}

impl Drives {
    /// Which drive a number means, if there is such a drive.
    pub fn find(&self, number: u8, emulation: Option<&Emulation>) -> Option<Target> {
        if let Some(emulation) = emulation.filter(|emulation| emulation.emulates(number)) {
            return Some(Target {
                drive: Drive {
                    kind: DriveKind::Cdrom,
                    index: emulation.cdrom,
                },
                base: u64::from(emulation.start) * 4,
                emulated_sectors: Some(emulation.sectors),
                kind: if number < FIRST_DISK {
                    DriveKind::Floppy
                } else {
                    DriveKind::Disk
                },
            });
        }
        // Real drives move one up behind an emulated one.
        let shift = |first: u8| {
            let emulated = emulation.is_some_and(|emulation| emulation.emulates(first));
            first + u8::from(emulated)
        };
        let (kind, index, count) = match number {
            0..FIRST_DISK => (
                DriveKind::Floppy,
                number.checked_sub(shift(0))?,
                self.floppies,
            ),
            FIRST_DISK..FIRST_CDROM => {
                let index = number.checked_sub(shift(FIRST_DISK))?;
                (DriveKind::Disk, index, self.disks)
            }
            _ => (DriveKind::Cdrom, number - FIRST_CDROM, self.cdroms),
        };
        (index < count).then_some(Target {
            drive: Drive { kind, index },
            base: 0,
            emulated_sectors: None,
            kind,
        })
    }

    /// How many drives function 08h tells of, of the kind of `number`.
    pub fn count(&self, number: u8, emulation: Option<&Emulation>) -> u8 {
        let (first, count) = if number < FIRST_DISK {
            (0, self.floppies)
        } else {
            (FIRST_DISK, self.disks)
        };
        count + u8::from(emulation.is_some_and(|emulation| emulation.emulates(first)))
    }
}

/// Reads whole sectors of 512 bytes into the hypervisor.
pub fn read_sector(
    machine: &mut dyn Machine,
    target: &Target,
    sector: u64,
    into: &mut [u8],
) -> Result<(), BlockError> {
    let first = target
        .base
        .checked_add(sector)
        .ok_or(BlockError::OutOfRange)?;
    machine.read_sectors(target.drive, first, into)
}
