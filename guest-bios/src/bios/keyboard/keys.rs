//! What keys mean: codes of set 1 to the words of the keyboard buffer (IBM PS/2 and PC BIOS Interface Technical
//! Reference, "Keyboard": scan code in the high byte, character in the low one).

/// The shift state that a key meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    None,
    Upper,
    Control,
    Alt,
}

/// Which rules of the locks a key follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    None,
    /// Caps Lock is Shift for it.
    Caps,
    /// Num Lock is Shift for it.
    Num,
}

/// No word for this combination.
const NOTHING: u16 = 0;

/// Without shift, with Shift, with Ctrl, with Alt.
type Row = [u16; 4];

/// A letter of the row that starts at a scan code.
const fn letter(scan: u8, character: u8) -> Row {
    let high = (scan as u16) << 8;
    [
        high | character as u16,
        high | (character - 0x20) as u16,
        high | (character & 0x1f) as u16,
        high,
    ]
}

/// Rows for 01h to 0Fh.
const TOP: [Row; 15] = [
    [0x011b, 0x011b, 0x011b, 0x0100],
    [0x0231, 0x0221, NOTHING, 0x7800],
    [0x0332, 0x0340, 0x0300, 0x7900],
    [0x0433, 0x0423, NOTHING, 0x7a00],
    [0x0534, 0x0524, NOTHING, 0x7b00],
    [0x0635, 0x0625, NOTHING, 0x7c00],
    [0x0736, 0x075e, 0x071e, 0x7d00],
    [0x0837, 0x0826, NOTHING, 0x7e00],
    [0x0938, 0x092a, NOTHING, 0x7f00],
    [0x0a39, 0x0a28, NOTHING, 0x8000],
    [0x0b30, 0x0b29, NOTHING, 0x8100],
    [0x0c2d, 0x0c5f, 0x0c1f, 0x8200],
    [0x0d3d, 0x0d2b, NOTHING, 0x8300],
    [0x0e08, 0x0e08, 0x0e7f, 0x0e00],
    [0x0f09, 0x0f00, 0x9400, 0xa500],
];

/// Rows for the keypad and its neighbours, 47h to 53h.
const KEYPAD: [Row; 13] = [
    [0x4700, 0x4737, 0x7700, NOTHING],
    [0x4800, 0x4838, 0x8d00, NOTHING],
    [0x4900, 0x4939, 0x8400, NOTHING],
    [0x4a2d, 0x4a2d, 0x8e00, 0x4a00],
    [0x4b00, 0x4b34, 0x7300, NOTHING],
    [0x4c00, 0x4c35, 0x8f00, NOTHING],
    [0x4d00, 0x4d36, 0x7400, NOTHING],
    [0x4e2b, 0x4e2b, 0x9000, 0x4e00],
    [0x4f00, 0x4f31, 0x7500, NOTHING],
    [0x5000, 0x5032, 0x9100, NOTHING],
    [0x5100, 0x5133, 0x7600, NOTHING],
    [0x5200, 0x5230, 0x9200, NOTHING],
    [0x5300, 0x532e, 0x9300, NOTHING],
];

fn row(scan: u8) -> Row {
    const ROW_Q: &[u8] = b"qwertyuiop";
    const ROW_A: &[u8] = b"asdfghjkl";
    const ROW_Z: &[u8] = b"zxcvbnm";
    let letter_of = |letters: &[u8], first: u8| {
        let character = letters.get(usize::from(scan - first));
        character.map_or([NOTHING; 4], |&character| letter(scan, character))
    };
    match scan {
        0x01..=0x0f => TOP[usize::from(scan - 1)],
        0x10..=0x19 => letter_of(ROW_Q, 0x10),
        0x1a => [0x1a5b, 0x1a7b, 0x1a1b, 0x1a00],
        0x1b => [0x1b5d, 0x1b7d, 0x1b1d, 0x1b00],
        0x1c => [0x1c0d, 0x1c0d, 0x1c0a, 0x1c00],
        0x1e..=0x26 => letter_of(ROW_A, 0x1e),
        0x27 => [0x273b, 0x273a, NOTHING, 0x2700],
        0x28 => [0x2827, 0x2822, NOTHING, 0x2800],
        0x29 => [0x2960, 0x297e, NOTHING, 0x2900],
        0x2b => [0x2b5c, 0x2b7c, 0x2b1c, 0x2b00],
        0x2c..=0x32 => letter_of(ROW_Z, 0x2c),
        0x33 => [0x332c, 0x333c, NOTHING, 0x3300],
        0x34 => [0x342e, 0x343e, NOTHING, 0x3400],
        0x35 => [0x352f, 0x353f, NOTHING, 0x3500],
        0x37 => [0x372a, 0x372a, 0x9600, 0x3700],
        0x39 => [0x3920; 4],
        0x3b..=0x44 => function_key(scan - 0x3b, [0x3b, 0x54, 0x5e, 0x68]),
        0x47..=0x53 => KEYPAD[usize::from(scan - 0x47)],
        0x56 => [0x565c, 0x567c, NOTHING, NOTHING],
        0x57 | 0x58 => function_key(scan - 0x57, [0x85, 0x87, 0x89, 0x8b]),
        _ => [NOTHING; 4],
    }
}

fn function_key(index: u8, bases: [u8; 4]) -> Row {
    bases.map(|base| u16::from(base + index) << 8)
}

/// Which lock concerns a key.
pub fn lock(scan: u8) -> Lock {
    match scan {
        0x10..=0x19 | 0x1e..=0x26 | 0x2c..=0x32 => Lock::Caps,
        0x47..=0x49 | 0x4b..=0x4d | 0x4f..=0x53 => Lock::Num,
        _ => Lock::None,
    }
}

/// The word of a key, if the combination has one.
pub fn word(scan: u8, shift: Shift) -> Option<u16> {
    let word = row(scan)[shift as usize];
    (word != NOTHING).then_some(word)
}

/// The word of a key whose code is prefixed with E0h: the grey keys of a keyboard with 101 keys.
pub fn grey_word(scan: u8, shift: Shift) -> Option<u16> {
    match (scan, shift) {
        (0x1c, Shift::Alt) => Some(0xa600),
        (0x1c, Shift::Control) => Some(0xe00a),
        (0x1c, _) => Some(0xe00d),
        (0x35, Shift::Alt) => Some(0xa400),
        (0x35, Shift::Control) => Some(0x9500),
        (0x35, _) => Some(0xe02f),
        (0x47..=0x53, Shift::Alt) => Some(u16::from(scan + 0x50) << 8),
        (0x47..=0x53, Shift::Control) => word(scan, Shift::Control).map(|word| word | 0xe0),
        (0x47..=0x53, _) => Some(u16::from(scan) << 8 | 0xe0),
        _ => None,
    }
}
