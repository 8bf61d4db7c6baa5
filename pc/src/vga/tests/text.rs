//! Text modes: glyphs, attributes, cursor, and the screen as text.

use super::Machine;
use super::modes::{TEXT, gray};
use alloc::string::ToString;
use hvm::display::Picture;

/// A glyph of the upper case A, and a line that reaches the right edge.
const GLYPH: [u8; 4] = [0x18, 0x24, 0x7e, 0x42];
const BAR: [u8; 4] = [0xff; 4];

impl Machine {
    /// Loads glyphs into map 2 as firmware does, through A0000h.
    fn load_glyph(&mut self, font: u32, code: u8, glyph: &[u8]) {
        for (index, value) in [(2, 4), (4, 7)] {
            self.outw(0x3c4, index, value);
        }
        for (index, value) in [(4, 2), (5, 0), (6, 4)] {
            self.outw(0x3ce, index, value);
        }
        self.poke(0xa_0000 + font + 32 * u32::from(code), glyph);
        for (index, value) in [(2, 3), (4, 2)] {
            self.outw(0x3c4, index, value);
        }
        for (index, value) in [(4, 0), (5, 0x10), (6, 0x0e)] {
            self.outw(0x3ce, index, value);
        }
    }

    fn with_text(text: &[u8], attribute: u8) -> Self {
        let mut machine = Self::in_mode(&TEXT);
        machine.load_glyph(0, b'A', &GLYPH);
        machine.load_glyph(0, 0xcd, &BAR);
        for (cell, code) in (0..).zip(text) {
            machine.poke(0xb_8000 + 2 * cell, &[*code, attribute]);
        }
        // Out of the way.
        machine.outw(0x3d4, 0x0e, 7);
        machine
    }
}

#[test]
fn glyphs_become_pixels() {
    let mut machine = Machine::with_text(b" A", 0x1e);
    let size = machine.adapter.vga().size();
    assert_eq!((size.width, size.height), (720, 400));
    let (foreground, background) = (gray(0x3e), gray(0x01));
    for (y, bits) in (0..).zip(GLYPH.into_iter().chain([0; 12])) {
        let row = machine.row(y);
        let wanted: alloc::vec::Vec<u32> = (0..9)
            .map(|dot| {
                let lit = dot < 8 && bits >> (7 - dot) & 1 != 0;
                if lit { foreground } else { background }
            })
            .collect();
        assert_eq!(row[9..18], wanted, "line {y}");
        assert_eq!(row[..9], [background; 9]);
        assert_eq!(row[18..27], [0; 9], "the next cell has attribute 0");
    }
}

#[test]
fn the_ninth_dot_of_line_graphics_repeats_the_eighth() {
    let mut machine = Machine::with_text(&[0xcd], 7);
    assert_eq!(machine.row(0)[..9], [gray(7); 9]);
    machine.set_attribute(0x30, 8);
    assert_eq!(machine.row(0)[8], 0);
}

#[test]
fn bit_7_is_brightness_or_blinks() {
    let mut machine = Machine::with_text(b"A", 0x97);
    assert_eq!(machine.pixel(0, 0), gray(1));
    assert_eq!(machine.pixel(3, 0), gray(7));
    // 16 frames at 70 Hz later.
    machine.now_ns = 240_000_000;
    let (stamp, _) = machine.update(hvm::display::Stamp::NEVER);
    assert_eq!(machine.pixel(3, 0), gray(1), "hidden");
    machine.now_ns = 480_000_000;
    let (_, changed) = machine.update(stamp);
    assert_eq!(machine.pixel(3, 0), gray(7));
    assert!(changed.iter().any(|rect| rect.x == 0 && rect.y == 0));
    machine.set_attribute(0x30, 4);
    assert_eq!(machine.pixel(0, 0), gray(0x39));
}

#[test]
fn two_fonts_make_512_characters() {
    let mut machine = Machine::with_text(b"AA", 0x0f);
    machine.load_glyph(0x2000, b'A', &[0x81]);
    // Characters with bit 3 from the font at 2000h, number 4; the others from 0.
    machine.outw(0x3c4, 3, 0x20);
    machine.poke(0xb_8001, &[0x07]);
    let row = machine.row(0);
    assert_eq!(row[3..5], [gray(7); 2]);
    assert_eq!((row[9], row[12], row[16]), (gray(0x3f), 0, gray(0x3f)));
}

#[test]
fn the_cursor_has_a_shape_a_place_and_a_pulse() {
    let mut machine = Machine::with_text(b"", 7);
    for cell in 0..2000 {
        machine.poke(0xb_8000 + 2 * cell, &[b' ', 7]);
    }
    for (index, value) in [(0x0a, 13), (0x0b, 14), (0x0e, 0), (0x0f, 81)] {
        machine.outw(0x3d4, index, value);
    }
    let lit = |machine: &mut Machine| [28, 29, 30, 31].map(|y| machine.pixel(9, y) == gray(7));
    assert_eq!(lit(&mut machine), [false, true, true, false]);
    assert_eq!(machine.pixel(17, 29), gray(7), "all nine dots");
    assert_eq!((machine.pixel(8, 29), machine.pixel(18, 29)), (0, 0));
    let (stamp, _) = machine.update(hvm::display::Stamp::NEVER);
    machine.now_ns = 120_000_000;
    let (stamp, changed) = machine.update(stamp);
    assert_eq!(lit(&mut machine), [false; 4]);
    assert!(
        changed
            .iter()
            .any(|rect| rect.y <= 16 && rect.y + rect.height >= 32)
    );
    machine.outw(0x3d4, 0x0f, 82);
    assert_eq!(machine.adapter.vga().text().unwrap().cursor, Some((2, 1)));
    let (_, changed) = machine.update(stamp);
    assert_eq!(changed.len(), 1, "{changed:?}");
    machine.outw(0x3d4, 0x0a, 0x2d);
    assert_eq!(machine.adapter.vga().text().unwrap().cursor, None);
}

#[test]
fn screens_are_text() {
    let mut machine = Machine::with_text(b"Hello, \xcd world", 0x17);
    machine.poke(0xb_8000 + 2 * 80 * 24, b"e\x07n\x07d\x07");
    let screen = machine.adapter.vga().text().unwrap();
    assert_eq!((screen.columns, screen.rows), (80, 25));
    assert_eq!(screen.line(0), "Hello, ═ world");
    assert_eq!(screen.line(24).trim_end_matches('\0'), "end");
    assert_eq!(screen.cells[0].attribute, 0x17);
    assert_eq!(screen.to_string().lines().count(), 25);
}

#[test]
fn fifty_lines_and_forty_columns() {
    let mut machine = Machine::with_text(b"", 7);
    machine.outw(0x3d4, 9, 0x47);
    let rows = |machine: &mut Machine| {
        let screen = machine.adapter.vga().text().unwrap();
        (screen.columns, screen.rows)
    };
    assert_eq!(rows(&mut machine), (80, 50));
    machine.outw(0x3d4, 9, 0x4f);
    machine.outw(0x3c4, 1, 8);
    machine.outw(0x3d4, 0x11, 0);
    machine.outw(0x3d4, 1, 39);
    machine.outw(0x3d4, 0x13, 20);
    machine.poke(0xb_8000 + 80, b"x\x07");
    assert_eq!(rows(&mut machine), (40, 25));
    assert_eq!(machine.adapter.vga().size().width, 720);
    assert_eq!(machine.adapter.vga().text().unwrap().line(1), "x");
}

#[test]
fn start_address_and_line_compare_move_rows() {
    let mut machine = Machine::with_text(b"top", 7);
    machine.poke(0xb_8000 + 2 * 80 * 5, b"f\x07i\x07v\x07e\x07");
    // Start with row 5; from scan line 160 on, row 0.
    for (index, value) in [(0x0c, 1), (0x0d, 0x90), (7, 0x0f), (9, 0x0f), (0x18, 159)] {
        machine.outw(0x3d4, 0x11, 0);
        machine.outw(0x3d4, index, value);
    }
    let screen = machine.adapter.vga().text().unwrap();
    assert_eq!(
        (screen.line(0), screen.line(10)),
        ("five".into(), "top".into())
    );
}

#[test]
fn panning_moves_dots() {
    let mut machine = Machine::with_text(b"A\xcd", 7);
    let still = machine.row(0);
    // Nine dots: 2 means three.
    machine.set_attribute(0x33, 2);
    assert_eq!(machine.row(0)[..700], still[3..703]);
}

#[test]
fn monochrome_underlines() {
    let mut machine = Machine::with_text(b" ", 1);
    machine.set_attribute(0x30, 0x0e);
    machine.outw(0x3d4, 0x14, 12);
    assert_eq!((machine.pixel(0, 11), machine.pixel(0, 12)), (0, gray(1)));
}
