//! Interrupt vectors, the BIOS data area and its extension.

use super::super::Bios;
use super::super::bda;
use super::super::call::{Call, Served};
use super::super::int13::drives::FIRST_DISK;
use super::super::int13::geometry::Geometry;
use crate::platform::EBDA;
use crate::{rom, sum};
use guest_mem::Gva;

/// Paragraphs.
const EBDA_SEGMENT: u16 = (EBDA.0 >> 4) as u16;
const EBDA_KIB: u8 = 1;

/// All 256 vectors.
pub fn vectors(call: &mut Call<'_>) -> Served {
    for number in 0..=255 {
        let (offset, segment) = rom::vector(number);
        call.store(Gva(4 * u64::from(number)), &[offset, segment])?;
    }
    Ok(())
}

/// The data area of a machine without history, and the EBDA, whose first byte is its size.
pub fn data_area(bios: &Bios, call: &mut Call<'_>) -> Served {
    const PRINTER_TIMEOUT: [u8; 4] = [0x14; 4];
    const SERIAL_TIMEOUT: [u8; 4] = [1; 4];
    const KEYBOARD_101: u8 = 0x10;
    call.write(bda::SERIAL_PORTS, &[0; 0x100])?;
    call.store(bda::EBDA_SEGMENT, &EBDA_SEGMENT)?;
    call.store(bda::MEMORY_KIB, &((EBDA.0 / 1024) as u16))?;
    call.store(bda::EQUIPMENT, &equipment(bios))?;
    let (start, end) = bda::KEY_BUFFER;
    for (place, value) in [
        (bda::KEY_HEAD, start),
        (bda::KEY_TAIL, start),
        (bda::KEY_BUFFER_START, start),
        (bda::KEY_BUFFER_END, end),
    ] {
        call.store(place, &value)?;
    }
    call.store(bda::PRINTER_TIMEOUTS, &PRINTER_TIMEOUT)?;
    call.store(bda::SERIAL_TIMEOUTS, &SERIAL_TIMEOUT)?;
    call.store(bda::KEYBOARD_MODE, &KEYBOARD_101)?;
    call.store(bda::DISKS, &bios.drives.disks)?;
    call.write(Gva(EBDA.0), &[0; 1024])?;
    call.store(Gva(EBDA.0), &EBDA_KIB)
}

/// The parameter tables of the first two disks, which vectors 41h and 46h point to (IBM PS/2 and PC BIOS Interface Technical Reference,
/// "Fixed disk parameter table"), in the EBDA.
pub fn disk_tables(bios: &Bios, call: &mut Call<'_>) -> Served {
    const VECTORS: [u64; 2] = [0x41, 0x46];
    const FIRST: u16 = 0x3d;
    for ((index, vector), offset) in (0..).zip(VECTORS).zip((FIRST..).step_by(TABLE_BYTES)) {
        let target = bios.find_drive(FIRST_DISK + index);
        let medium = target.as_ref().and_then(|target| {
            Some((
                target.geometry(call.machine)?.0,
                target.medium(call.machine)?.sectors,
            ))
        });
        let Some((geometry, sectors)) = medium else {
            continue;
        };
        call.write(
            Gva(EBDA.0 + u64::from(offset)),
            &disk_table(geometry, sectors),
        )?;
        call.store(Gva(4 * vector), &[offset, EBDA_SEGMENT])?;
    }
    Ok(())
}

const TABLE_BYTES: usize = 16;

/// A table. Where the drive itself would be addressed by another shape, it is the translated form, which has both.
fn disk_table(shown: Geometry, sectors: u64) -> [u8; TABLE_BYTES] {
    const NO_PRECOMPENSATION: [u8; 2] = [0xff; 2];
    /// Retries are off, and there are more than eight heads.
    const CONTROL: u8 = 0xc8;
    const TRANSLATED: u8 = 0xa0;
    let [low, high] = shown.cylinders.to_le_bytes();
    let heads = shown.heads as u8;
    let mut table = [0; TABLE_BYTES];
    table[..3].copy_from_slice(&[low, high, heads]);
    table[5..7].copy_from_slice(&NO_PRECOMPENSATION);
    table[8] = CONTROL;
    table[12..15].copy_from_slice(&[low, high, shown.sectors]);
    let own = Geometry::of_drive(sectors);
    if (own.heads, own.sectors) != (shown.heads, shown.sectors) {
        let [low, high] = own.cylinders.to_le_bytes();
        table[3..5].copy_from_slice(&[TRANSLATED, own.sectors]);
        table[9..12].copy_from_slice(&[low, high, own.heads as u8]);
        table[12..14].copy_from_slice(&[low, high]);
        sum::balance(&mut table, TABLE_BYTES - 1);
    }
    table
}

/// Diskette drives, co-processor, mouse, 80 columns in colour; serial ports are added when they are found.
fn equipment(bios: &Bios) -> u16 {
    const ANY_DISKETTE: u16 = 1;
    const COPROCESSOR: u16 = 2;
    const MOUSE: u16 = 4;
    const COLOUR_80: u16 = 0x20;
    let diskettes = match bios.drives.floppies {
        0 => 0,
        count => ANY_DISKETTE | u16::from(count - 1) << 6,
    };
    diskettes | COPROCESSOR | MOUSE | COLOUR_80
}
