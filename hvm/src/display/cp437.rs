//! Code page 437, the character set of the PC's built-in fonts: IBM's graphic characters below 20h and at 7Fh, and above
//! 7Fh the assignments of Unicode's mapping table for the page (`CP437.TXT`).

/// The character for each code.
const CHARACTERS: [char; 256] = {
    const ABOVE: [char; 128] = [
        'Ç', 'ü', 'é', 'â', 'ä', 'à', 'å', 'ç', 'ê', 'ë', 'è', 'ï', 'î', 'ì', 'Ä', 'Å', //
        'É', 'æ', 'Æ', 'ô', 'ö', 'ò', 'û', 'ù', 'ÿ', 'Ö', 'Ü', '¢', '£', '¥', '₧', 'ƒ', //
        'á', 'í', 'ó', 'ú', 'ñ', 'Ñ', 'ª', 'º', '¿', '⌐', '¬', '½', '¼', '¡', '«', '»', //
        '░', '▒', '▓', '│', '┤', '╡', '╢', '╖', '╕', '╣', '║', '╗', '╝', '╜', '╛', '┐', //
        '└', '┴', '┬', '├', '─', '┼', '╞', '╟', '╚', '╔', '╩', '╦', '╠', '═', '╬', '╧', //
        '╨', '╤', '╥', '╙', '╘', '╒', '╓', '╫', '╪', '┘', '┌', '█', '▄', '▌', '▐', '▀', //
        'α', 'ß', 'Γ', 'π', 'Σ', 'σ', 'µ', 'τ', 'Φ', 'Θ', 'Ω', 'δ', '∞', 'φ', 'ε', '∩', //
        '≡', '±', '≥', '≤', '⌠', '⌡', '÷', '≈', '°', '∙', '·', '√', 'ⁿ', '²', '■', '\u{a0}',
    ];
    const BELOW: [char; 32] = [
        ' ', '☺', '☻', '♥', '♦', '♣', '♠', '•', '◘', '○', '◙', '♂', '♀', '♪', '♫', '☼', //
        '►', '◄', '↕', '‼', '¶', '§', '▬', '↨', '↑', '↓', '→', '←', '∟', '↔', '▲', '▼',
    ];
    let mut characters = ['⌂'; 256];
    let mut code = 0;
    while code < 256 {
        if code < 0x20 {
            characters[code] = BELOW[code];
        } else if code < 0x7f {
            characters[code] = code as u8 as char;
        } else if code > 0x7f {
            characters[code] = ABOVE[code - 0x80];
        }
        code += 1;
    }
    characters
};

/// The character that the PC's font shows for `code`; a space for 0.
pub const fn character(code: u8) -> char {
    CHARACTERS[code as usize]
}

/// The code that shows as `character`. A space is 20h.
pub fn code(character: char) -> Option<u8> {
    match character {
        ' '..='~' => Some(character as u8),
        _ => CHARACTERS
            .iter()
            .position(|&known| known == character)
            .and_then(|index| u8::try_from(index).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_characters_are_each_others_inverse() {
        for each in 1..=255 {
            assert_eq!(code(character(each)), Some(each), "{each:#x}");
        }
        assert_eq!(code(character(0)), Some(b' '));
        assert_eq!(code('€'), None);
    }

    #[test]
    fn known_places() {
        let row: alloc::string::String = (0xc8..=0xcd).map(character).collect();
        assert_eq!(row, "╚╔╩╦╠═");
        assert_eq!(
            [0x01, 0x7e, 0x7f, 0x80, 0xe1, 0xfe].map(character),
            ['☺', '~', '⌂', 'Ç', 'ß', '■']
        );
    }
}
