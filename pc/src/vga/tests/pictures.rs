//! Graphics modes: from memory to pixels.

use super::Machine;
use super::modes::{MODE_4, MODE_6, MODE_12, MODE_13, gray};
use alloc::vec::Vec;
use hvm::display::{Picture, Rect};

fn size(machine: &mut Machine) -> (u32, u32) {
    let size = machine.adapter.vga().size();
    (size.width, size.height)
}

#[test]
fn mode_13h_has_a_byte_for_each_pixel() {
    let mut machine = Machine::in_mode(&MODE_13);
    assert_eq!(size(&mut machine), (640, 400));
    for y in 0..200 {
        for x in [0, 1, 2, 3, 150, 319] {
            machine.poke(0xa_0000 + 320 * y + x, &[(x + 7 * y) as u8]);
        }
    }
    for y in 0..200 {
        for x in [0, 1, 2, 3, 150, 319] {
            let wanted = gray((x + 7 * y) as u8);
            for (dot, line) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                assert_eq!(machine.pixel(2 * x + dot, 2 * y + line), wanted, "{x}, {y}");
            }
        }
    }
}

#[test]
fn unchained_maps_take_turns() {
    let mut machine = Machine::in_mode(&MODE_13);
    machine.unchain();
    for map in 0..4 {
        machine.outw(0x3c4, 2, 1 << map);
        machine.poke(0xa_0000 + 80 * 3 + 1, &[map + 20]);
    }
    let row = machine.row(6);
    let pixels: Vec<u32> = row[8..16].iter().copied().step_by(2).collect();
    assert_eq!(pixels, [20, 21, 22, 23].map(gray));
    // A page flip: start address 50h is one line on; two lines of dots each.
    machine.outw(0x3d4, 0x0d, 80);
    assert_eq!(machine.row(4), row);
    // Panning by a pixel is 2.
    machine.set_attribute(0x33, 2);
    assert_eq!(machine.row(4)[6], gray(20));
}

#[test]
fn mode_12h_has_four_maps() {
    let mut machine = Machine::in_mode(&MODE_12);
    assert_eq!(size(&mut machine), (640, 480));
    for (map, byte) in [(0, 0b1010_0000), (1, 0b0110_0000), (2, 0), (3, 0b0001_0000)] {
        machine.outw(0x3c4, 2, 1 << map);
        machine.poke(0xa_0000 + 80 * 479 + 79, &[byte]);
    }
    // Colours 1, 2, 3, 8, through the EGA's palette.
    assert_eq!(machine.row(479)[632..637], [1, 2, 3, 0x38, 0].map(gray));
    // A colour plane is switched off.
    machine.set_attribute(0x32, 0x0d);
    assert_eq!(machine.row(479)[632..637], [1, 0, 1, 0x38, 0].map(gray));
    // Colour select supplies bits 4 to 7; the tests' DAC repeats after 64, so bits 4 and 5 show.
    machine.set_attribute(0x30, 0x81);
    machine.set_attribute(0x34, 0x03);
    assert_eq!(machine.pixel(632, 479), gray(0x31));
}

#[test]
fn cga_modes_have_two_banks_of_lines() {
    let mut machine = Machine::in_mode(&MODE_4);
    assert_eq!(size(&mut machine), (640, 400));
    machine.poke(0xb_8000 + 80, &[0b00_01_10_11]);
    machine.poke(0xb_a000 + 81, &[0b11_00_00_00]);
    let colors = |machine: &mut Machine, y: u32| -> Vec<u32> {
        machine.row(y)[..16].iter().copied().step_by(2).collect()
    };
    let [black, one, two, three] = [0, 0x13, 0x15, 0x17].map(gray);
    assert_eq!(
        colors(&mut machine, 4),
        [black, one, two, three, 0, 0, 0, 0]
    );
    assert_eq!(colors(&mut machine, 6), [0, 0, 0, 0, three, 0, 0, 0]);
    let mut machine = Machine::in_mode(&MODE_6);
    machine.set_attribute(0x20, 0);
    machine.poke(0xb_a000 + 79, &[1]);
    assert_eq!(machine.row(2)[638..], [0, gray(0x17)]);
    assert_eq!(machine.row(1)[639], 0);
}

#[test]
fn the_screen_can_be_off() {
    let mut machine = Machine::in_mode(&MODE_13);
    machine.poke(0xa_0000, &[1]);
    machine.outw(0x3c4, 1, 0x21);
    assert_eq!((size(&mut machine), machine.pixel(0, 0)), ((640, 400), 0));
    machine.outw(0x3c4, 1, 1);
    assert_eq!(machine.pixel(0, 0), gray(1));
    machine.inb(0x3da);
    machine.outb(0x3c0, 0);
    assert_eq!(machine.pixel(0, 0), 0);
    assert_eq!(machine.adapter.vga().text(), None);
}

#[test]
fn pixels_outside_are_black_and_small_buffers_are_filled() {
    let mut machine = Machine::in_mode(&MODE_13);
    machine.poke(0xa_0000 + 320 * 199 + 319, &[1]);
    let mut pixels = [0xff; 7];
    let rect = Rect {
        x: 639,
        y: 399,
        width: 3,
        height: u32::MAX,
    };
    machine.adapter.vga().render(rect, &mut pixels);
    assert_eq!(pixels, [gray(1), 0, 0, 0, 0, 0, 0]);
    let far = Rect {
        x: u32::MAX,
        y: u32::MAX,
        width: u32::MAX,
        height: 1,
    };
    machine.adapter.vga().render(far, &mut pixels);
    assert_eq!(pixels, [0; 7]);
}
