//! The default colours of the DAC, six bits a component (IBM VGA, as its BIOS loads them).

use super::modes::Dac;

const LOW: u8 = 0x15;
const HIGH: u8 = 0x2a;

/// Red, green, blue.
pub type Colour = [u8; 3];

/// Colour `index` of a set; black behind the last.
pub fn colour(set: Dac, index: u8) -> Colour {
    match set {
        Dac::Vga => vga(index),
        _ if index >= 64 => [0; 3],
        Dac::Mono => match index & 0x1f {
            0..=7 => [0; 3],
            8..=0x17 => [HIGH; 3],
            _ => [LOW + HIGH; 3],
        },
        Dac::Cga => cga(index & 7, index & 0x10 != 0),
        Dac::Ega => ega(index),
    }
}

/// Bits 5 to 3 are the low, bits 2 to 0 the high parts of red, green and blue.
fn ega(index: u8) -> Colour {
    let part =
        |high: u8, low: u8| u8::from(index & high != 0) * HIGH + u8::from(index & low != 0) * LOW;
    [part(4, 0x20), part(2, 0x10), part(1, 8)]
}

/// The eight colours of the CGA, whose dark yellow is brown, and the same bright.
fn cga(index: u8, bright: bool) -> Colour {
    let base = if bright { LOW } else { 0 };
    let part = |bit: u8| base + u8::from(index & bit != 0) * HIGH;
    match (index, bright) {
        (6, false) => [HIGH, LOW, 0],
        _ => [part(4), part(2), part(1)],
    }
}

/// 16 CGA colours, 16 greys, then nine rounds of 24 hues: three brightnesses in three saturations.
fn vga(index: u8) -> Colour {
    const GREYS: [u8; 16] = [
        0x00, 0x05, 0x08, 0x0b, 0x0e, 0x11, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2d, 0x32, 0x38,
        0x3f,
    ];
    /// The steps from a round's least to its greatest component.
    const STEPS: [[u8; 5]; 9] = [
        [0x00, 0x10, 0x1f, 0x2f, 0x3f],
        [0x1f, 0x27, 0x2f, 0x37, 0x3f],
        [0x2d, 0x31, 0x36, 0x3a, 0x3f],
        [0x00, 0x07, 0x0e, 0x15, 0x1c],
        [0x0e, 0x11, 0x15, 0x18, 0x1c],
        [0x14, 0x16, 0x18, 0x1a, 0x1c],
        [0x00, 0x04, 0x08, 0x0c, 0x10],
        [0x08, 0x0a, 0x0c, 0x0e, 0x10],
        [0x0b, 0x0c, 0x0d, 0x0f, 0x10],
    ];
    match index {
        0..=15 => cga(index & 7, index & 8 != 0),
        16..=31 => [GREYS[usize::from(index - 16)]; 3],
        32..=247 => {
            let steps = &STEPS[usize::from((index - 32) / 24)];
            hue((index - 32) % 24).map(|level| steps[usize::from(level)])
        }
        _ => [0; 3],
    }
}

/// One of 24 hues from blue through red and green back to blue, in levels from 0 to 4.
fn hue(index: u8) -> Colour {
    let rising = index % 4;
    let falling = 4 - rising;
    match index / 4 {
        0 => [rising, 0, 4],
        1 => [4, 0, falling],
        2 => [4, rising, 0],
        3 => [falling, 4, 0],
        4 => [0, 4, rising],
        _ => [0, falling, 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_16_colours_are_the_same_in_all_colour_sets() {
        use crate::bios::int10::modes::find;
        let shown = |mode: u8, attribute: u8| {
            let mode = find(mode).unwrap();
            colour(mode.dac, mode.attribute[usize::from(attribute)])
        };
        for attribute in 0..16 {
            assert_eq!(shown(3, attribute), shown(0x0d, attribute), "{attribute}");
            assert_eq!(shown(3, attribute), shown(0x13, attribute), "{attribute}");
        }
        assert_eq!(shown(3, 6), [0x2a, 0x15, 0], "brown");
        assert_eq!(shown(3, 15), [0x3f; 3]);
    }

    #[test]
    fn the_rounds_of_mode_13h_start_blue_and_stay_in_six_bits() {
        assert_eq!(colour(Dac::Vga, 32), [0, 0, 0x3f]);
        assert_eq!(colour(Dac::Vga, 40), [0x3f, 0, 0]);
        assert_eq!(colour(Dac::Vga, 48), [0, 0x3f, 0]);
        assert_eq!(colour(Dac::Vga, 248), [0; 3]);
        for index in 0..=255 {
            assert!(colour(Dac::Vga, index).iter().all(|&part| part < 64));
        }
    }
}
