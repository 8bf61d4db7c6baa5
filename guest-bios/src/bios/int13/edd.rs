//! The extensions (EDD-3, chapter 5): addresses of 64 bits, in packets.

use super::super::call::{Call, Served};
use super::super::machine::{DriveKind, Protection};
use super::Answer;
use super::drives::Target;
use super::status::Status;
use super::transfer;
use guest_mem::Gva;
use hvm::backend::Transfer;
use hvm::regs::SegmentName;
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Function 41h: version 3.0; extended access and EDD functions.
const VERSION: u8 = 0x30;
const EXTENDED_ACCESS: u16 = 1;
const LOCKING: u16 = 2;
const DRIVE_PARAMETERS: u16 = 4;

/// The disk address packet (table 1).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C, packed)]
struct Packet {
    bytes: u8,
    reserved: u8,
    count: U16,
    offset: U16,
    segment: U16,
    sector: U64,
}

/// The part of the result buffer that all versions have (table 3).
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C, packed)]
struct Parameters {
    bytes: U16,
    flags: U16,
    cylinders: U32,
    heads: U32,
    sectors_per_track: U32,
    sectors: U64,
    sector_bytes: U16,
}

/// Serves functions 41h to 49h and 4Eh.
pub fn serve(call: &mut Call<'_>, target: &Target, function: u8) -> Served<Answer> {
    if target.kind == DriveKind::Floppy {
        return Ok(Err(Status::Invalid));
    }
    match function {
        0x41 => Ok(check(call, target)),
        0x42 => access(call, target, Some(Transfer::Read)),
        0x43 => access(call, target, Some(Transfer::Write)),
        0x44 | 0x47 => access(call, target, None),
        0x45 => {
            // Nobody can take the medium away, locked or not.
            call.set_al(0);
            Ok(Ok(()))
        }
        0x46 => Ok(Err(Status::NotLocked)),
        0x48 => parameters(call, target),
        0x49 => Ok(target.notice_change(call.machine)),
        // PIO and DMA modes are the drive's own business.
        _ => Ok(Ok(())),
    }
}

/// Function 41h: BX 55AAh asks, AA55h answers; AH the version, CX what there is.
fn check(call: &mut Call<'_>, target: &Target) -> Answer {
    if call.bx() != 0x55aa {
        return Err(Status::Invalid);
    }
    let locking = if target.kind == DriveKind::Cdrom {
        LOCKING
    } else {
        0
    };
    call.set_bx(0xaa55);
    call.set_ah(VERSION);
    call.set_cx(EXTENDED_ACCESS | DRIVE_PARAMETERS | locking);
    Ok(())
}

/// Functions 42h to 44h and 47h: the packet at DS:SI. After an error it says how many sectors were moved: none.
fn access(call: &mut Call<'_>, target: &Target, direction: Option<Transfer>) -> Served<Answer> {
    const LEAST_BYTES: u8 = 16;
    const WITH_FLAT_ADDRESS: u8 = 24;
    const COUNT: u64 = 2;
    const FLAT_ADDRESS: u64 = 16;
    let at = call.linear(SegmentName::Ds, call.si().into());
    let packet: Packet = call.load(at)?;
    if packet.bytes < LEAST_BYTES {
        return Ok(Err(Status::Invalid));
    }
    let (segment, offset) = (packet.segment.get(), packet.offset.get());
    let buffer = if packet.bytes >= WITH_FLAT_ADDRESS && (segment, offset) == (0xffff, 0xffff) {
        let address: u64 = call.load(at.wrapping_add(FLAT_ADDRESS))?;
        Gva(address)
    } else {
        Gva(u64::from(segment) * 16 + u64::from(offset))
    };
    let answer = checked_access(call, target, direction, &packet, buffer)?;
    if answer.is_err() {
        call.store(at.wrapping_add(COUNT), &0_u16)?;
    }
    Ok(answer)
}

fn checked_access(
    call: &mut Call<'_>,
    target: &Target,
    direction: Option<Transfer>,
    packet: &Packet,
    buffer: Gva,
) -> Served<Answer> {
    let Some(medium) = target.medium(call.machine) else {
        return Ok(Err(Status::NoMedium));
    };
    let sector_bytes = u64::from(target.sector_bytes());
    let scale = sector_bytes / 512;
    let count = u64::from(packet.count.get());
    let first = packet.sector.get().checked_mul(scale);
    let Some(first) = first.filter(|first| {
        let end = first.checked_add(count * scale);
        end.is_some_and(|end| end <= medium.sectors)
    }) else {
        return Ok(Err(Status::NotFound));
    };
    match direction {
        None => Ok(Ok(())),
        Some(Transfer::Write) if medium.protection == Protection::ReadOnly => {
            Ok(Err(Status::WriteProtected))
        }
        Some(direction) => {
            transfer::transfer(call, target, direction, first, buffer, count * sector_bytes)
        }
    }
}

/// Function 48h: what is known of the drive, to the buffer at DS:SI, as much as it has room for.
fn parameters(call: &mut Call<'_>, target: &Target) -> Served<Answer> {
    const GEOMETRY_VALID: u16 = 2;
    const REMOVABLE: u16 = 4;
    const WITH_CONFIGURATION: u16 = 30;
    const NO_CONFIGURATION: u32 = 0xffff_ffff;
    let at = call.linear(SegmentName::Ds, call.si().into());
    let room: u16 = call.load(at)?;
    if usize::from(room) < size_of::<Parameters>() {
        return Ok(Err(Status::Invalid));
    }
    let Some(medium) = target.medium(call.machine) else {
        return Ok(Err(Status::NoMedium));
    };
    let sector_bytes = target.sector_bytes();
    let mut parameters = Parameters {
        bytes: (size_of::<Parameters>() as u16).into(),
        flags: REMOVABLE.into(),
        cylinders: u32::MAX.into(),
        heads: u32::MAX.into(),
        sectors_per_track: u32::MAX.into(),
        sectors: (medium.sectors * 512 / u64::from(sector_bytes)).into(),
        sector_bytes: sector_bytes.into(),
    };
    if target.kind == DriveKind::Disk {
        // The physical shape, which is a convention for disks of this size (ATA-5, C.2).
        const HEADS: u64 = 16;
        const SECTORS: u64 = 63;
        const MAX_CYLINDERS: u64 = 16383;
        let cylinders = (medium.sectors / (HEADS * SECTORS)).min(MAX_CYLINDERS);
        parameters.flags = GEOMETRY_VALID.into();
        parameters.cylinders = (cylinders as u32).into();
        parameters.heads = (HEADS as u32).into();
        parameters.sectors_per_track = (SECTORS as u32).into();
    }
    if room >= WITH_CONFIGURATION {
        parameters.bytes = WITH_CONFIGURATION.into();
        let behind = at.wrapping_add(size_of::<Parameters>() as u64);
        call.store(behind, &NO_CONFIGURATION)?;
    }
    call.store(at, &parameters)?;
    Ok(Ok(()))
}
