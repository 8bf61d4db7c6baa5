//! The 8 by 16 glyphs of printable ASCII: Frederic Cambus' Spleen, cut out of the crate's PSF2 file when the kernel is compiled.

use spleen_font::FONT_8X16;

/// Pixels from left to right in a cell.
pub const WIDTH: usize = 8;
/// Lines in a cell.
pub const HEIGHT: usize = 16;

/// One glyph: a byte a line, the leftmost pixel in the highest bit.
pub type Glyph = [u8; HEIGHT];

const FIRST: u8 = b' ';
const COUNT: usize = (b'~' - b' ' + 1) as usize;
/// Glyphs follow a header of 32 bytes; glyph `n` of this file is character `n` for all of ASCII.
const PSF2_HEADER_BYTES: usize = 32;

static GLYPHS: [Glyph; COUNT] = {
    let mut glyphs = [[0; HEIGHT]; COUNT];
    let mut index = 0;
    while index < COUNT {
        let mut line = 0;
        while line < HEIGHT {
            let code = FIRST as usize + index;
            glyphs[index][line] = FONT_8X16[PSF2_HEADER_BYTES + code * HEIGHT + line];
            line += 1;
        }
        index += 1;
    }
    glyphs
};

/// The glyph of a character; a question mark's if there is none.
pub fn glyph(character: u8) -> &'static Glyph {
    let index = character.wrapping_sub(FIRST);
    GLYPHS.get(usize::from(index)).unwrap_or(&GLYPHS[usize::from(b'?' - FIRST)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use spleen_font::PSF2Font;

    #[test]
    fn glyphs_are_those_that_the_font_names() {
        let mut font = PSF2Font::new(FONT_8X16).unwrap();
        for code in FIRST..=b'~' {
            let named = font.glyph_for_utf8(&[code]).unwrap();
            for (line, row) in named.enumerate() {
                for (column, lit) in row.enumerate() {
                    let ours = glyph(code)[line] & 0x80 >> column != 0;
                    assert_eq!(ours, lit, "character {:?}, line {line}, column {column}", code as char);
                }
            }
        }
    }

    #[test]
    fn other_characters_show_as_a_question_mark() {
        assert_eq!(glyph(0), glyph(b'?'));
        assert_eq!(glyph(0xff), glyph(b'?'));
    }
}
