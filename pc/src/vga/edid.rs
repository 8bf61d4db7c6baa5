//! What the monitor says of itself: a base EDID block (VESA E-EDID 1.4, section 3).

use hvm::display::Size;

/// Bytes of the block.
pub(super) const EDID_BYTES: usize = 128;

const HEADER: [u8; 8] = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
/// Three letters of five bits, A = 1: "MNV".
const MANUFACTURER: u16 = 13 << 10 | 14 << 5 | 22;
/// Pixels for each centimetre, 96 dpi or so.
const PIXELS_PER_CM: u32 = 38;
/// Blanking as CVT's reduced blanking has it for such sizes (VESA CVT 1.2, 3.4.2): pixels and lines, where sync starts in
/// them, and how long it is.
const HORIZONTAL: Blanking = Blanking {
    total: 160,
    front: 48,
    sync: 32,
};
const VERTICAL: Blanking = Blanking {
    total: 30,
    front: 3,
    sync: 6,
};
const FRAMES_PER_SECOND: u32 = 60;
/// Established timings I and II: 640×480, 800×600 and 1024×768 at 60 Hz.
const ESTABLISHED: [u8; 3] = [0x21, 0x08, 0x00];
/// Standard timings at 60 Hz, by width and shape.
const STANDARD: [(u32, Aspect); 6] = [
    (1280, Aspect::R16x10),
    (1280, Aspect::R5x4),
    (1440, Aspect::R16x10),
    (1600, Aspect::R4x3),
    (1680, Aspect::R16x10),
    (1920, Aspect::R16x9),
];

struct Blanking {
    total: u32,
    front: u32,
    sync: u32,
}

/// Bits 6 and 7 of a standard timing.
#[derive(Clone, Copy)]
enum Aspect {
    R16x10 = 0,
    R4x3 = 1,
    R5x4 = 2,
    R16x9 = 3,
}

/// The block of a monitor that prefers `size`: up to 4095 pixels and lines.
pub(super) fn edid(size: Size) -> [u8; EDID_BYTES] {
    let mut block = [0; EDID_BYTES];
    let centimetres = |pixels: u32| (pixels / PIXELS_PER_CM).min(255) as u8;
    block[..8].copy_from_slice(&HEADER);
    block[8..10].copy_from_slice(&MANUFACTURER.to_be_bytes());
    // Product 1, no serial number, made in week 1 of 2026; EDID 1.4.
    block[10] = 1;
    block[16..20].copy_from_slice(&[1, (2026 - 1990) as u8, 1, 4]);
    // Digital, eight bits a component, DisplayPort; size; gamma 2.2; sRGB, and the first detailed timing is the preferred.
    block[20] = 0xa5;
    block[21] = centimetres(size.width);
    block[22] = centimetres(size.height);
    block[23] = 120;
    block[24] = 0x06;
    // Chromaticities of sRGB.
    block[25..35].copy_from_slice(&[0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54]);
    block[35..38].copy_from_slice(&ESTABLISHED);
    let standard = block[38..54].chunks_exact_mut(2);
    for (index, timing) in standard.enumerate() {
        timing.copy_from_slice(&match STANDARD.get(index) {
            Some(&(width, aspect)) => [(width / 8 - 31) as u8, (aspect as u8) << 6],
            None => [1, 1],
        });
    }
    block[54..72].copy_from_slice(&detailed(size));
    block[72..90].copy_from_slice(&name(b"Monovisor"));
    // The other two descriptors say nothing (tag 10h).
    block[93] = 0x10;
    block[111] = 0x10;
    let sum = block.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    block[EDID_BYTES - 1] = sum.wrapping_neg();
    block
}

/// A detailed timing (3.10.2).
fn detailed(size: Size) -> [u8; 18] {
    let (width, height) = (size.width.min(0xfff), size.height.min(0xfff));
    let clock_hz = (width + HORIZONTAL.total) * (height + VERTICAL.total) * FRAMES_PER_SECOND;
    let clock = u16::try_from(clock_hz / 10_000)
        .unwrap_or(u16::MAX)
        .to_le_bytes();
    let low = |value: u32| value as u8;
    let high = |upper: u32, lower: u32| ((upper >> 8) << 4 | lower >> 8) as u8;
    let millimetres = |pixels: u32| pixels * 10 / PIXELS_PER_CM;
    let (across, down) = (millimetres(width), millimetres(height));
    [
        clock[0],
        clock[1],
        low(width),
        low(HORIZONTAL.total),
        high(width, HORIZONTAL.total),
        low(height),
        low(VERTICAL.total),
        high(height, VERTICAL.total),
        low(HORIZONTAL.front),
        low(HORIZONTAL.sync),
        (VERTICAL.front << 4 | VERTICAL.sync) as u8,
        0,
        low(across),
        low(down),
        high(across, down),
        0,
        0,
        // Not interlaced, separate digital sync: horizontal positive, vertical negative.
        0x1a,
    ]
}

/// A display product name (3.10.3.4).
fn name(text: &[u8]) -> [u8; 18] {
    let mut descriptor = [b' '; 18];
    descriptor[..5].copy_from_slice(&[0, 0, 0, 0xfc, 0]);
    for (into, from) in descriptor[5..].iter_mut().zip(text.iter().chain(b"\n")) {
        *into = *from;
    }
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_adds_up() {
        let block = edid(Size {
            width: 1280,
            height: 800,
        });
        assert_eq!(
            block.iter().map(|&byte| u32::from(byte)).sum::<u32>() % 256,
            0
        );
        // Preferred timing: 1280 by 800 at (1280 + 160) × (800 + 30) × 60 Hz = 71.71 MHz.
        assert_eq!(u16::from_le_bytes([block[54], block[55]]), 7171);
        assert_eq!((block[56], block[58] >> 4), (0x00, 5));
        assert_eq!((block[59], block[61] >> 4), (0x20, 3));
        // 1920×1080 as 16:9.
        assert_eq!(block[48..50], [209, 0xc0]);
        assert_eq!(&block[77..87], b"Monovisor\n");
    }
}
