//! Function 4Bh: what was booted from a CD (El Torito 1.0, 4.3 to 4.8).

use super::super::Bios;
use super::super::call::{Call, Served};
use super::Answer;
use super::status::Status;
use hvm::regs::SegmentName;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

/// The specification packet (table 6).
#[derive(Clone, Copy, IntoBytes, Immutable)]
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

/// Subfunction 00h ends the emulation, 01h only tells of it; the packet goes to DS:SI.
pub fn serve(bios: &mut Bios, call: &mut Call<'_>) -> Served<Answer> {
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
