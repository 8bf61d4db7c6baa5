//! Functions 4Ah to 4Dh: what was booted from a CD, and emulating another image of it (El Torito 1.0, chapter 4).

use super::super::call::{Call, Served};
use super::super::{Bios, boot};
use super::drives::{Emulation, FIRST_CDROM};
use super::eltorito::{self, Image};
use super::status::Status;
use super::{Answer, transfer};
use guest_mem::Gva;
use hvm::backend::Transfer;
use hvm::regs::SegmentName;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The specification packet (table 6).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C, packed)]
struct Specification {
    bytes: u8,
    media: u8,
    drive: u8,
    controller: u8,
    start: U32,
    device: U16,
    buffer_segment: U16,
    load_segment: U16,
    count: U16,
    cylinders_low: u8,
    sectors_and_cylinders: u8,
    heads: u8,
}

/// What function 4Dh is asked (4.6).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C, packed)]
struct CatalogPacket {
    bytes: u8,
    count: u8,
    /// Offset, segment.
    buffer: [U16; 2],
    first: U16,
}

/// Sectors of 512 bytes in one of a CD.
const VIRTUAL: u64 = 4;

/// Serves functions 4Ah to 4Dh.
pub fn serve(bios: &mut Bios, call: &mut Call<'_>, function: u8) -> Served<Answer> {
    match function {
        0x4a => start(bios, call).map(|started| started.map(drop)),
        0x4c => boot(bios, call),
        0x4d => catalog(bios, call),
        _ => tell(bios, call),
    }
}

/// Function 4Ah: emulates what the packet at DS:SI describes, on the CD that was booted or else the first one.
fn start(bios: &mut Bios, call: &mut Call<'_>) -> Served<Result<(u8, Image), Status>> {
    let at = call.linear(SegmentName::Ds, call.si().into());
    let packet: Specification = call.load(at)?;
    let cdrom = bios.emulation.map_or(0, |emulation| emulation.cdrom);
    let number = FIRST_CDROM.wrapping_add(cdrom);
    let medium = bios
        .drives
        .find(number, None)
        .and_then(|target| target.medium(call.machine));
    let Some(medium) = medium else {
        return Ok(Err(Status::NoMedium));
    };
    let mut entry = [0; eltorito::ENTRY_BYTES];
    entry[1] = packet.media;
    entry[2..4].copy_from_slice(packet.load_segment.as_bytes());
    entry[6..8].copy_from_slice(packet.count.as_bytes());
    entry[8..12].copy_from_slice(packet.start.as_bytes());
    let catalog = bios.emulation.map_or(0, |emulation| emulation.catalog);
    let Ok(image) = eltorito::read_entry(&entry, catalog, medium.sectors) else {
        return Ok(Err(Status::Invalid));
    };
    bios.emulation = Some(Emulation::of(&image, cdrom, medium.sectors));
    Ok(Ok((cdrom, image)))
}

/// Function 4Ch: the same, and starts the image. It comes back only if that fails.
fn boot(bios: &mut Bios, call: &mut Call<'_>) -> Served<Answer> {
    let (cdrom, image) = match start(bios, call)? {
        Ok(started) => started,
        Err(status) => return Ok(Err(status)),
    };
    Ok(boot::start_image(bios, call, cdrom, &image).map_err(|_| Status::Controller))
}

/// Function 4Dh: sectors of the boot catalog of the CD that was booted, for the packet at DS:SI.
fn catalog(bios: &mut Bios, call: &mut Call<'_>) -> Served<Answer> {
    let at = call.linear(SegmentName::Ds, call.si().into());
    let packet: CatalogPacket = call.load(at)?;
    let emulation = bios.emulation;
    let target = emulation.and_then(|emulation| {
        bios.drives
            .find(FIRST_CDROM.wrapping_add(emulation.cdrom), None)
    });
    let (Some(emulation), Some(target)) = (emulation, target) else {
        return Ok(Err(Status::Invalid));
    };
    let Some(medium) = target.medium(call.machine) else {
        return Ok(Err(Status::NoMedium));
    };
    let first = u64::from(emulation.catalog) + u64::from(packet.first.get());
    let count = u64::from(packet.count);
    if (first + count) * VIRTUAL > medium.sectors {
        return Ok(Err(Status::NotFound));
    }
    let [offset, segment] = packet.buffer;
    let buffer = Gva(u64::from(segment.get()) * 16 + u64::from(offset.get()));
    let bytes = count * eltorito::CD_SECTOR_BYTES as u64;
    transfer::transfer(
        call,
        &target,
        Transfer::Read,
        first * VIRTUAL,
        buffer,
        bytes,
    )
}

/// Function 4Bh: subfunction 00h ends the emulation, 01h only tells of it; the packet goes to DS:SI.
fn tell(bios: &mut Bios, call: &mut Call<'_>) -> Served<Answer> {
    const TERMINATE: u8 = 0;
    const STATUS: u8 = 1;
    const ALL_DRIVES: u8 = 0x7f;
    let function = call.al();
    if function != TERMINATE && function != STATUS {
        bios.log_missing(call, 0x13);
        return Ok(Err(Status::Invalid));
    }
    let Some(emulation) = bios.emulation else {
        return Ok(Err(Status::Invalid));
    };
    let number = call.dl();
    if number != emulation.number && !(number == ALL_DRIVES && function == TERMINATE) {
        return Ok(Err(Status::Invalid));
    }
    let geometry = bios
        .find_drive(emulation.number)
        .filter(|_| emulation.sectors != 0)
        .and_then(|target| target.geometry(call.machine));
    let (cylinders_low, sectors_and_cylinders, heads) = match geometry {
        Some((shape, _)) => {
            let last = super::geometry::Chs {
                cylinder: shape.cylinders - 1,
                head: 0,
                sector: shape.sectors,
            };
            let [low, high] = last.cx().to_le_bytes();
            (high, low, (shape.heads - 1) as u8)
        }
        None => (0, 0, 0),
    };
    let packet = Specification {
        bytes: size_of::<Specification>() as u8,
        media: emulation.media_byte,
        drive: emulation.number,
        controller: emulation.cdrom / 2,
        start: emulation.start.into(),
        device: u16::from(emulation.cdrom % 2).into(),
        buffer_segment: 0.into(),
        load_segment: emulation.segment.into(),
        count: emulation.count.into(),
        cylinders_low,
        sectors_and_cylinders,
        heads,
    };
    call.store(call.linear(SegmentName::Ds, call.si().into()), &packet)?;
    if function == TERMINATE {
        bios.emulation = None;
    }
    Ok(Ok(()))
}
