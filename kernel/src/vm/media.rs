//! Drives whose media the owner changes while the guest lives: `eject` and `insert` at the prompt. All vCPUs stand still meanwhile.

use super::devices::copied;
use super::disk::Shared;
use super::processor::Processor;
use crate::service::control::{Manner, MediumChange};
use crate::{info, warn};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use appliance::{Bundle, entry_name};
use guest_bios::bios::{Drive, DriveKind};
use hvm::backend::Block;
use hvm::vcpu::Vcpu;
use pc::board::Board;
use pc::floppy::Place;
use pc::ide::{ChannelName, Lock, Position};
use virtio_pv::ram::Access;

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
        let access = match kind {
            DriveKind::Floppy => Access::ReadWrite,
            DriveKind::Disk | DriveKind::Cdrom => Access::ReadOnly,
        };
        let medium = copied(image, access).map_err(|error| format!("`{name}`: {error}"))?;
        self.shelf.push(OnShelf {
            name: entry,
            kind,
            medium: medium.clone(),
        });
        Ok(medium)
    }
}

impl<V: Vcpu> Processor<V> {
    /// Someone presses the power button.
    pub fn press_power_button(&mut self) {
        self.local
            .with_board(|board, context| board.power_button(context));
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
