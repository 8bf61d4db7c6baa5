//! Lines of cards, power events and ports that are split.

use super::*;

#[test]
fn cards_share_a_level() {
    let mut machine = Machine::new();
    // Slot 3 is on PIRQ C, slot 4 on PIRQ D: both IRQ 11.
    machine.place_card(3, 0xc000);
    machine.place_card(4, 0xc100);
    machine.init_pics(0xfb, 0xf7);
    machine.unmask_pin(11, 1 << 15);
    machine.outb(0xc000, 1);
    machine.outb(0xc100, 1);
    assert_eq!(machine.sent.take_vectors(), [0x4b]);
    assert_eq!(machine.board.pic_acknowledge(), 0x2b);
    machine.outb(0xc000, 0);
    machine.with(|board, context| board.end_of_interrupt(0x4b, context));
    assert_eq!(
        machine.sent.take_vectors(),
        [0x4b],
        "the other card still asserts"
    );
    machine.outb(0xc100, 0);
    machine.with(|board, context| board.end_of_interrupt(0x4b, context));
    assert!(machine.sent.take_vectors().is_empty());
}

#[test]
fn rerouting_moves_an_asserted_line() {
    let mut machine = Machine::new();
    machine.place_card(3, 0xc000);
    machine.init_pics(0, 0);
    machine.outb(0x4d0, 0x20);
    machine.outb(0xc000, 1);
    assert_eq!(machine.board.pic_acknowledge(), 0x2b);
    machine.outb(0xa0, 0x20);
    machine.outb(0x20, 0x20);
    machine.outl(0xcf8, 0x8000_0860);
    machine.outb(0xcfe, 5);
    assert_eq!(machine.board.pic_acknowledge(), 0x25);
    machine.outb(0xcfe, 0x85);
    machine.outb(0x20, 0x20);
    assert!(!machine.board.pic_interrupt());
}

#[test]
fn power_and_reset_ports() {
    let mut machine = Machine::new();
    machine.outb(0x64, 0xff);
    machine.outb(0x92, 2);
    machine.outb(0xcf9, 2);
    assert!(machine.sent.power.is_empty());
    machine.outb(0x64, 0xfe);
    machine.outb(0x92, 3);
    machine.outb(0xcf9, 6);
    assert_eq!(machine.sent.power, [PowerEvent::Reset; 3]);
    assert_eq!(
        (machine.inb(0x92), machine.inb(0xcf9), machine.inb(0x64)),
        (3, 6, 0x1c)
    );
    machine.sent.power.clear();
    machine.with(|board, context| board.port_write(0x604, Width::Word, 0x2000, context));
    assert_eq!(machine.sent.power, [PowerEvent::PowerOff]);
}

#[test]
fn the_power_button_raises_sci() {
    let mut machine = Machine::new();
    machine.unmask_pin(9, 1 << 15);
    machine.with(|board, context| board.port_write(0x602, Width::Word, 0x100, context));
    machine.with(Board::power_button);
    assert_eq!(machine.sent.take_vectors(), [0x49]);
    machine.with(|board, context| board.port_write(0x600, Width::Word, 0x100, context));
    machine.with(|board, context| board.end_of_interrupt(0x49, context));
    assert!(machine.sent.take_vectors().is_empty());
}

#[test]
fn wide_accesses_to_byte_chips_are_split() {
    let mut machine = Machine::new();
    machine.with(|board, context| board.port_write(0x4d0, Width::Word, 0x0ca0, context));
    assert_eq!(
        machine.with(|board, context| board.port_read(0x4d0, Width::Word, context)),
        0x0ca0
    );
    assert_eq!(machine.inl(0x1234), u32::MAX);
    assert_eq!(
        machine.with(|board, context| board.port_read(0xffff, Width::Word, context)),
        0xffff
    );
}
