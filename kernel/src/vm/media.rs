//! Drives whose media the owner changes while the guest lives: `eject` and `insert` at the prompt. All vCPUs stand still meanwhile.

use super::disk::Shared;
use super::processor::Processor;
use crate::mem::{PAGE_BYTES, frames, phys_to_virt};
use crate::service::control::{Manner, MediumChange};
use crate::{info, warn};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use appliance::{Bundle, entry_name};
use guest_bios::bios::{Drive, DriveKind};
use guest_mem::Hpa;
use hvm::Instant;
use hvm::backend::{Block, SECTOR_BYTES};
use hvm::vcpu::Vcpu;
use pc::board::Board;
use pc::floppy::Place;
use pc::ide::{ChannelName, Lock, Position};
use virtio_pv::overlay::Overlay;
use virtio_pv::ram::{Access, RamDisk};

/// Bytes of the largest diskette, one of extra density: 80 tracks, 2 sides, 36 sectors.
const LARGEST_DISKETTE_BYTES: usize = 80 * 2 * 36 * SECTOR_BYTES as usize;

/// Where a drive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bay {
    /// A CD-ROM drive on IDE.
    Cdrom(ChannelName, Position),
    /// A floppy drive.
    Floppy(Place),
}

impl Bay {
    /// The CD-ROM drive at one of IDE's four places.
    pub fn cdrom(index: u8) -> Self {
        let channel = match index / 2 {
            0 => ChannelName::Primary,
            _ => ChannelName::Secondary,
        };
        let position = match index % 2 {
            0 => Position::First,
            _ => Position::Second,
        };
        Self::Cdrom(channel, position)
    }

    /// In xl's words.
    fn name(self) -> String {
        let (bus, index) = match self {
            Self::Cdrom(channel, position) => ("hd", 2 * channel as u8 + position as u8),
            Self::Floppy(place) => ("fd", place as u8),
        };
        format!("{bus}{}", char::from(b'a' + index))
    }

    fn kind(self) -> DriveKind {
        match self {
            Self::Cdrom(..) => DriveKind::Cdrom,
            Self::Floppy(_) => DriveKind::Floppy,
        }
    }

    /// Whether a locked drive's guest has to be asked first. No floppy drive has a lock.
    fn lock(self, board: &mut Board) -> Lock {
        match self {
            Self::Cdrom(channel, position) => board
                .ide_mut()
                .and_then(|ide| ide.lock(channel, position))
                .unwrap_or(Lock::Allowed),
            Self::Floppy(_) => Lock::Allowed,
        }
    }

    fn put(self, medium: Option<Box<dyn Block>>, board: &mut Board) {
        match (self, medium) {
            (Self::Cdrom(channel, position), medium) => {
                if let Some(ide) = board.ide_mut() {
                    ide.change_medium(channel, position, medium);
                }
            }
            (Self::Floppy(place), Some(medium)) => {
                board.insert_floppy(place, medium);
            }
            (Self::Floppy(place), None) => {
                board.eject_floppy(place);
            }
        }
    }
}

/// A file of the bundle as a medium. Diskettes keep what was written to them while they lie on the shelf.
pub struct OnShelf {
    /// The file's name.
    pub name: String,
    /// What it is a medium for.
    pub kind: DriveKind,
    /// The medium.
    pub medium: Shared,
}

/// The drives, and the media that there are for them.
pub struct Removable {
    bays: Vec<(Bay, Drive)>,
    shelf: Vec<OnShelf>,
    bundle: Bundle<'static>,
}

impl Removable {
    /// The drives with their numbers for the BIOS, and the media that were made already.
    pub fn new(bays: Vec<(Bay, Drive)>, shelf: Vec<OnShelf>, bundle: Bundle<'static>) -> Self {
        Self {
            bays,
            shelf,
            bundle,
        }
    }

    /// Changes a medium, or says why not.
    pub fn change<V: Vcpu>(&mut self, change: &MediumChange, processor: &mut Processor<V>) {
        match self.try_change(change, processor) {
            Ok(()) => match &change.medium {
                Some(name) => info!("{}: `{name}` is in", change.drive),
                None => info!("{}: the medium is out", change.drive),
            },
            Err(reason) => warn!("{}: {reason}", change.drive),
        }
    }

    fn try_change<V: Vcpu>(
        &mut self,
        change: &MediumChange,
        processor: &mut Processor<V>,
    ) -> Result<(), String> {
        let (bay, drive) = self.find(&change.drive)?;
        let medium = match &change.medium {
            Some(name) => Some(self.take(name, bay.kind())?),
            None => None,
        };
        let lock = processor.with_board(|board| bay.lock(board));
        if (lock, change.manner) == (Lock::Prevented, Manner::Ask) {
            if let Bay::Cdrom(channel, position) = bay {
                processor.with_board(|board| {
                    if let Some(ide) = board.ide_mut() {
                        ide.press_eject(channel, position);
                    }
                });
            }
            return Err(
                "the guest has locked it, and is asked to let go: try again, or with `force`"
                    .into(),
            );
        }
        if let Some(firmware) = &mut *processor.machine().firmware.lock() {
            firmware.change_medium(drive, medium.clone());
        }
        let boxed = medium.map(|medium| -> Box<dyn Block> { Box::new(medium) });
        processor.with_board(|board| bay.put(boxed, board));
        Ok(())
    }

    fn find(&self, name: &str) -> Result<(Bay, Drive), String> {
        let found = self.bays.iter().find(|(bay, _)| bay.name() == name);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = self.bays.iter().map(|(bay, _)| bay.name()).collect();
            if names.is_empty() {
                "the guest has no drive whose medium can be changed".into()
            } else {
                format!(
                    "no drive whose medium can be changed; there is {}",
                    names.join(", ")
                )
            }
        })
    }

    /// A file of the bundle as a medium: always the same one.
    fn take(&mut self, name: &str, kind: DriveKind) -> Result<Shared, String> {
        let entry = entry_name(name);
        let same = |other: &&OnShelf| other.name == entry && other.kind == kind;
        if let Some(found) = self.shelf.iter().find(same) {
            return Ok(found.medium.clone());
        }
        let image = self.bundle.file(name).ok_or_else(|| {
            format!("the bundle has no file `{name}`; list what may be inserted in `media`")
        })?;
        let medium = match kind {
            DriveKind::Floppy => copied(image).map_err(|error| format!("`{name}`: {error}"))?,
            DriveKind::Disk | DriveKind::Cdrom => Shared::new(Box::new(Overlay::read_only(image))),
        };
        self.shelf.push(OnShelf {
            name: entry,
            kind,
            medium: medium.clone(),
        });
        Ok(medium)
    }
}

/// A diskette in RAM that holds a copy of `image`: nothing was set aside for what is written to it. The copy is for good, or what was written
/// would be lost when it comes out; so it has to be a diskette's size.
fn copied(image: &[u8]) -> Result<Shared, String> {
    if image.len() > LARGEST_DISKETTE_BYTES {
        return Err(format!(
            "it has {} KiB, and the largest diskette {}",
            image.len().div_ceil(1024),
            LARGEST_DISKETTE_BYTES / 1024
        ));
    }
    let bytes = (image.len() as u64).next_multiple_of(SECTOR_BYTES);
    let storage = storage(image, bytes).ok_or_else(|| {
        format!(
            "no room for its {} KiB in host memory beside the guest",
            bytes / 1024
        )
    })?;
    let disk = RamDisk::new(storage, Access::ReadWrite);
    Ok(Shared::new(Box::new(disk)))
}

/// Host memory that holds a copy of `image`, padded with zeros to `bytes`.
fn storage(image: &[u8], bytes: u64) -> Option<&'static mut [u8]> {
    if bytes == 0 {
        return Some(&mut []);
    }
    let range = frames::alloc_contiguous(bytes, PAGE_BYTES)?;
    // SAFETY: the range was just taken from the frame allocator for good, is mapped writable, and nothing else refers to
    // it; bytes of any value are valid `u8`s.
    let storage =
        unsafe { core::slice::from_raw_parts_mut(phys_to_virt(Hpa(range.base)), bytes as usize) };
    let (copy, padding) = storage.split_at_mut(image.len());
    copy.copy_from_slice(image);
    padding.fill(0);
    Some(storage)
}

impl<V: Vcpu> Processor<V> {
    /// Someone presses the power button.
    pub fn press_power_button(&mut self) {
        self.local
            .with_board(|board, context| board.power_button(context));
    }

    /// It is `seconds` since 1970. The guest's clock chip follows, unless the guest has set it to another time than it was given.
    pub fn set_wall_clock(&mut self, seconds: u64) {
        let timeline = &self.machine().timeline;
        let passed = self.now().since_ns(Instant::ZERO) / 1_000_000_000;
        let given = timeline.epoch_seconds() + passed;
        timeline.set_epoch_seconds(seconds.saturating_sub(passed));
        self.local
            .with_board(|board, context| board.correct_clock(given, seconds, context.now));
    }

    /// Works on the board from outside the guest, and has it look at what came of it.
    fn with_board<R>(&mut self, work: impl FnOnce(&mut Board) -> R) -> R {
        self.local.with_board(|board, context| {
            let result = work(board);
            board.poll(context);
            result
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drives_have_xls_names() {
        let names: Vec<_> = (0..4).map(|index| Bay::cdrom(index).name()).collect();
        assert_eq!(names, ["hda", "hdb", "hdc", "hdd"]);
        assert_eq!(Bay::Floppy(Place::B).name(), "fdb");
    }
}
