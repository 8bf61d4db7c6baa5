//! The video ROM at C000h: fonts, and what software looks for there.

use super::font::Fonts;
use super::{TRAP_BYTES, TRAP_PORT, trap_bytes};
use crate::bios::{Service, VBE_MODES};
use alloc::boxed::Box;
use alloc::vec;

/// Its segment.
pub const SEGMENT: u16 = 0xc000;
/// Its size.
pub const BYTES: usize = 0x8000;

/// Names for VBE, each ended by a zero byte.
pub const OEM_STRING: u16 = 0x100;
/// See [`OEM_STRING`].
pub const PRODUCT: u16 = 0x120;
/// What the video BIOS can do (IBM VGA BIOS, function 1Bh, static functionality table): modes 0 to 7, 0Dh to 13h; text
/// of 200, 350 and 400 lines; two of eight fonts at a time; all functions but a light pen's.
pub const FUNCTIONALITY: u16 = 0x140;
const FUNCTIONALITY_TABLE: [u8; 16] = [
    0xff, 0xe0, 0x0f, 0, 0, 0, 0, 7, 2, 8, 0xff, 0x0e, 0, 0, 0x3f, 0,
];
/// VBE's protected-mode interface ([`protected_mode`]).
pub const PROTECTED_MODE: u16 = 0x160;
/// Its length.
pub const PROTECTED_MODE_BYTES: u16 = 8 + 6 + 3 * ENTRY_BYTES;
/// A trap and a RET.
const ENTRY_BYTES: u16 = TRAP_BYTES as u16 + 1;

/// VBE's list of mode numbers, ended by FFFFh.
pub const MODE_LIST: u16 = 0x200;
/// Modes that there is room for.
pub const MODE_LIST_ROOM: usize = 0x200;

const FONT_16: u16 = 0x1000;
const FONT_14: u16 = 0x2000;
const FONT_8: u16 = 0x3000;

/// Where the font of that height is.
pub const fn font_offset(height: u8) -> u16 {
    match height {
        8 => FONT_8,
        14 => FONT_14,
        _ => FONT_16,
    }
}

/// Four offsets: window, display start, palette, ports. The ports that the code uses, and no memory, each list ended by
/// FFFFh. Then the code (VBE 3.0, function 4F0Ah).
fn protected_mode() -> [u8; PROTECTED_MODE_BYTES as usize] {
    const RET: u8 = 0xc3;
    const PORTS: u16 = 8;
    const CODE: u16 = PORTS + 6;
    let mut bytes = [0; PROTECTED_MODE_BYTES as usize];
    let words = [
        CODE,
        CODE + ENTRY_BYTES,
        CODE + 2 * ENTRY_BYTES,
        PORTS,
        TRAP_PORT,
        0xffff,
        0xffff,
    ];
    for (place, word) in bytes.chunks_exact_mut(2).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let services = [Service::Window, Service::DisplayStart, Service::Palette];
    let code = bytes[usize::from(CODE)..].chunks_exact_mut(usize::from(ENTRY_BYTES));
    for (place, service) in code.zip(services) {
        place[..TRAP_BYTES].copy_from_slice(&trap_bytes(service as u8));
        place[TRAP_BYTES] = RET;
    }
    bytes
}

/// Its bytes: the signature of an option ROM whose entry returns at once, the word that tells a VGA, the fonts.
pub fn image(fonts: &Fonts) -> Box<[u8]> {
    const BLOCK_BYTES: usize = 512;
    const RETF: u8 = 0xcb;
    let mut rom = vec![0; BYTES].into_boxed_slice();
    rom[..4].copy_from_slice(&[0x55, 0xaa, (BYTES / BLOCK_BYTES) as u8, RETF]);
    rom[0x1e..0x21].copy_from_slice(b"IBM");
    for (offset, text) in [(OEM_STRING, "Monovisor VBE"), (PRODUCT, "Monovisor VGA")] {
        rom[usize::from(offset)..][..text.len()].copy_from_slice(text.as_bytes());
    }
    rom[usize::from(FUNCTIONALITY)..][..16].copy_from_slice(&FUNCTIONALITY_TABLE);
    let interface = protected_mode();
    rom[usize::from(PROTECTED_MODE)..][..interface.len()].copy_from_slice(&interface);
    let numbers = VBE_MODES.iter().map(|mode| mode.number).chain([0xffff]);
    for (place, number) in rom[usize::from(MODE_LIST)..]
        .chunks_exact_mut(2)
        .zip(numbers)
    {
        place.copy_from_slice(&number.to_le_bytes());
    }
    for code in 0..=255_u8 {
        for height in [8, 14, 16] {
            let at = usize::from(font_offset(height)) + usize::from(code) * usize::from(height);
            let glyph = fonts.glyph(height, code);
            rom[at..at + glyph.len()].copy_from_slice(glyph);
        }
    }
    let sum = rom.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    rom[BYTES - 1] = sum.wrapping_neg();
    rom
}
