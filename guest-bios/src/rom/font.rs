//! The character generator: 256 characters of code page 437 in three heights.
//!
//! The glyphs are Frederic Cambus' Spleen, 8 by 16, from the crate's PSF1 file: a header of four bytes, 512 glyphs of 16
//! bytes, then for each glyph its characters as 16-bit values up to FFFFh. The lower fonts are made of the high one:
//! 14 lines leave out the outermost two, which only line drawing uses; 8 lines join pairs of lines.

use alloc::boxed::Box;
use hvm::display::cp437;
use spleen_font::FONT_8X16;

const HEADER_BYTES: usize = 4;
const FILE_GLYPHS: usize = 512;
const HEIGHT: usize = 16;
const END_OF_GLYPH: u16 = 0xffff;

/// The three fonts.
pub struct Fonts {
    /// 16 lines.
    pub lines16: [[u8; 16]; 256],
    /// 14 lines.
    pub lines14: [[u8; 14]; 256],
    /// 8 lines.
    pub lines8: [[u8; 8]; 256],
}

impl Fonts {
    /// Cuts them out of the font file.
    pub fn new() -> Box<Self> {
        let mut fonts = Box::new(Self {
            lines16: [[0; 16]; 256],
            lines14: [[0; 14]; 256],
            lines8: [[0; 8]; 256],
        });
        for code in 0..=255 {
            let glyph = glyph(cp437::character(code));
            let code = usize::from(code);
            fonts.lines16[code] = glyph;
            fonts.lines14[code].copy_from_slice(&glyph[1..15]);
            for line in 0..8 {
                fonts.lines8[code][line] = glyph[2 * line] | glyph[2 * line + 1];
            }
        }
        fonts
    }

    /// A character's lines in the font of that height; 16 for heights that there are not.
    pub fn glyph(&self, height: u8, code: u8) -> &[u8] {
        let code = usize::from(code);
        match height {
            8 => &self.lines8[code],
            14 => &self.lines14[code],
            _ => &self.lines16[code],
        }
    }
}

/// The file's glyph of a character; blank if it has none.
fn glyph(character: char) -> [u8; HEIGHT] {
    let mut number = 0;
    let table = FONT_8X16.get(HEADER_BYTES + FILE_GLYPHS * HEIGHT..);
    for bytes in table.unwrap_or_default().chunks_exact(2) {
        let value = u16::from_le_bytes([bytes[0], bytes[1]]);
        if value == END_OF_GLYPH {
            number += 1;
        } else if u32::from(value) == u32::from(character) {
            let at = HEADER_BYTES + number * HEIGHT;
            return FONT_8X16
                .get(at..)
                .and_then(|rest| rest.first_chunk())
                .copied()
                .unwrap_or_default();
        }
    }
    [0; HEIGHT]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_characters_have_glyphs() {
        let fonts = Fonts::new();
        let blank = (0..256)
            .filter(|&code| fonts.lines16[code] == [0; 16])
            .collect::<alloc::vec::Vec<_>>();
        assert!(blank.len() < 40, "{blank:x?}");
        for code in [b'A', b'0', 0xb3, 0xc4, 0xda, 0xdb, 0xb0] {
            assert_ne!(fonts.lines16[usize::from(code)], [0; 16], "{code:#x}");
        }
    }

    #[test]
    fn lines_join_from_cell_to_cell_in_every_height() {
        let fonts = Fonts::new();
        for height in [8, 14, 16] {
            let bar = fonts.glyph(height, 0xb3);
            assert_eq!(bar.len(), usize::from(height));
            assert!(bar.iter().all(|&line| line != 0 && line == bar[0]));
            assert!(fonts.glyph(height, 0xc4).contains(&0xff));
        }
    }
}
