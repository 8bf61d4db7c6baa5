//! Interrupt vectors, the BIOS data area and its extension.

use super::super::Bios;
use super::super::bda;
use super::super::call::{Call, Served};
use crate::platform::EBDA;
use crate::rom;
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
