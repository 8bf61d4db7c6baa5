//! Commands: from bytes to meaning (Intel 82077AA data sheet, "Command set/descriptions").

use super::bits::*;
use serde::{Deserialize, Serialize};

/// The most bytes that a command has.
pub(super) const COMMAND_BYTES: usize = 9;

/// A sector's address mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Id {
    pub(super) track: u8,
    pub(super) head: u8,
    pub(super) sector: u8,
    /// Bytes are 128 shifted left by it.
    pub(super) size: u8,
}

/// What is done with sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Action {
    Read,
    /// Sectors with a deleted mark. There are none, so those that come are the others.
    ReadDeleted,
    Write,
    Verify,
    Format,
}

/// A command that moves sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Transfer {
    pub(super) action: Action,
    pub(super) drive: u8,
    /// The head that is selected.
    pub(super) head: u8,
    pub(super) multi_track: bool,
    pub(super) skip: bool,
    pub(super) mfm: bool,
    /// The first sector, then the one under way.
    pub(super) id: Id,
    /// The last sector of a track.
    pub(super) last_sector: u8,
    /// Sectors to go, where they are counted and not ended by terminal count.
    pub(super) counted: Option<u8>,
    /// What FORMAT fills sectors with.
    pub(super) filler: u8,
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Transfer(Transfer),
    ReadId { drive: u8, head: u8, mfm: bool },
    Recalibrate { drive: u8 },
    Seek { drive: u8, head: u8, track: u8 },
    SeekInwards { drive: u8, head: u8, tracks: u8 },
    SeekOutwards { drive: u8, head: u8, tracks: u8 },
    SenseInterrupt,
    SenseDrive { drive: u8, head: u8 },
    Specify { timings: [u8; 2] },
    Configure { options: u8, precompensation: u8 },
    Perpendicular { mode: u8 },
    Lock,
    Unlock,
    DumpRegisters,
    Version,
    Invalid,
}

/// How many bytes a command has, its first one included.
pub(super) fn length(first: u8) -> usize {
    match (first & CODE, first) {
        (READ | READ_DELETED | WRITE | WRITE_DELETED | READ_TRACK | VERIFY, _) => 9,
        (FORMAT, _) => 6,
        (_, CONFIGURE) => 4,
        (_, SPECIFY) | (SEEK, _) => 3,
        (_, SENSE_DRIVE | RECALIBRATE | PERPENDICULAR) | (READ_ID, _) => 2,
        _ => 1,
    }
}

/// The meaning of a whole command.
pub(super) fn parse(bytes: &[u8; COMMAND_BYTES]) -> Command {
    let [first, second, third, fourth, ..] = *bytes;
    let drive = second & DOR_DRIVE;
    let head = u8::from(second & HEAD != 0);
    match (first & CODE, first) {
        (READ | READ_DELETED | WRITE | WRITE_DELETED | READ_TRACK | VERIFY, _) => {
            Command::Transfer(parse_transfer(bytes))
        }
        (FORMAT, _) => Command::Transfer(parse_format(bytes)),
        (READ_ID, _) => Command::ReadId {
            drive,
            head,
            mfm: first & MFM != 0,
        },
        (SEEK, _) if first & RELATIVE == 0 => Command::Seek {
            drive,
            head,
            track: third,
        },
        (SEEK, _) if first & INWARDS != 0 => Command::SeekInwards {
            drive,
            head,
            tracks: third,
        },
        (SEEK, _) => Command::SeekOutwards {
            drive,
            head,
            tracks: third,
        },
        (LOCK, _) if first & LOCK_ON != 0 => Command::Lock,
        (LOCK, _) => Command::Unlock,
        (_, RECALIBRATE) => Command::Recalibrate { drive },
        (_, SENSE_INTERRUPT) => Command::SenseInterrupt,
        (_, SENSE_DRIVE) => Command::SenseDrive { drive, head },
        (_, SPECIFY) => Command::Specify {
            timings: [second, third],
        },
        (_, CONFIGURE) => Command::Configure {
            options: third,
            precompensation: fourth,
        },
        (_, PERPENDICULAR) => Command::Perpendicular { mode: second },
        (_, DUMP_REGISTERS) => Command::DumpRegisters,
        (_, VERSION) => Command::Version,
        _ => Command::Invalid,
    }
}

fn parse_transfer(bytes: &[u8; COMMAND_BYTES]) -> Transfer {
    let [
        first,
        second,
        track,
        head,
        sector,
        size,
        last_sector,
        _gap,
        count,
    ] = *bytes;
    let code = first & CODE;
    let action = match code {
        READ | READ_TRACK => Action::Read,
        READ_DELETED => Action::ReadDeleted,
        VERIFY => Action::Verify,
        // A deleted mark has no place in an image: the sector is written as any other.
        _ => Action::Write,
    };
    Transfer {
        action,
        drive: second & DOR_DRIVE,
        head: u8::from(second & HEAD != 0),
        multi_track: first & MULTI_TRACK != 0 && code != READ_TRACK,
        skip: first & SKIP != 0,
        mfm: first & MFM != 0,
        id: Id {
            track,
            head,
            // READ TRACK starts behind the index hole, whatever it was told.
            sector: if code == READ_TRACK { 1 } else { sector },
            size,
        },
        last_sector,
        counted: (code == VERIFY && second & ENABLE_COUNT != 0).then_some(count),
        filler: 0,
    }
}

fn parse_format(bytes: &[u8; COMMAND_BYTES]) -> Transfer {
    let [first, second, size, sectors, _gap, filler, ..] = *bytes;
    Transfer {
        action: Action::Format,
        drive: second & DOR_DRIVE,
        head: u8::from(second & HEAD != 0),
        multi_track: false,
        skip: false,
        mfm: first & MFM != 0,
        id: Id {
            track: 0,
            head: 0,
            sector: 0,
            size,
        },
        last_sector: 0,
        counted: Some(sectors),
        filler,
    }
}
