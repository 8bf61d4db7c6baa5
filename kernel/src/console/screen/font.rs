//! The 8 by 16 glyphs of printable ASCII: Frederic Cambus' Spleen, cut out of the crate's PSF1 file when the kernel is compiled.

use spleen_font::FONT_8X16;

/// Pixels from left to right in a cell.
pub const WIDTH: usize = 8;
/// Lines in a cell.
pub const HEIGHT: usize = 16;

/// One glyph: a byte a line, the leftmost pixel in the highest bit.
pub type Glyph = [u8; HEIGHT];

const FIRST: u8 = b' ';
const COUNT: usize = (b'~' - b' ' + 1) as usize;
/// Glyphs follow a header of four bytes: magic 36h 04h, mode (3: 512 glyphs and a table of characters), lines a glyph. Glyph
/// `n` of this file is character `n` for all of ASCII.
const PSF1_HEADER_BYTES: usize = 4;
#[cfg(test)]
const FILE_GLYPHS: usize = 512;

static GLYPHS: [Glyph; COUNT] = {
    let mut glyphs = [[0; HEIGHT]; COUNT];
    let mut index = 0;
    while index < COUNT {
        let mut line = 0;
        while line < HEIGHT {
            let code = FIRST as usize + index;
            glyphs[index][line] = FONT_8X16[PSF1_HEADER_BYTES + code * HEIGHT + line];
            line += 1;
        }
        index += 1;
    }
    glyphs
};

/// The glyph of a character; a question mark's if there is none.
pub fn glyph(character: u8) -> &'static Glyph {
    let index = character.wrapping_sub(FIRST);
    GLYPHS
        .get(usize::from(index))
        .unwrap_or(&GLYPHS[usize::from(b'?' - FIRST)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Glyph numbers by character, from the file's own table: for each glyph 16-bit characters up to FFFFh.
    #[test]
    fn the_file_numbers_ascii_as_we_do() {
        let table = &FONT_8X16[PSF1_HEADER_BYTES + FILE_GLYPHS * HEIGHT..];
        let mut number = 0;
        let mut seen = [false; COUNT];
        for character in table
            .chunks_exact(2)
            .map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
        {
            match character {
                0xffff => number += 1,
                0x20..=0x7e => {
                    assert_eq!(number, character, "glyph {number} is not {character:#x}");
                    seen[usize::from(character - 0x20)] = true;
                }
                _ => {}
            }
        }
        assert_eq!((number as usize, seen), (FILE_GLYPHS, [true; COUNT]));
        assert_eq!(
            FONT_8X16[..PSF1_HEADER_BYTES],
            [0x36, 0x04, 0x03, HEIGHT as u8]
        );
    }

    #[test]
    fn a_bar_is_upright() {
        let lit = glyph(b'|')
            .iter()
            .filter(|line| **line != 0)
            .collect::<std::vec::Vec<_>>();
        assert!(
            lit.len() > 10
                && lit
                    .iter()
                    .all(|line| *line == lit[0] && line.count_ones() <= 2)
        );
        assert_eq!(glyph(b' '), &[0; HEIGHT]);
    }

    #[test]
    fn other_characters_show_as_a_question_mark() {
        assert_eq!(glyph(0), glyph(b'?'));
        assert_eq!(glyph(0xff), glyph(b'?'));
    }
}
