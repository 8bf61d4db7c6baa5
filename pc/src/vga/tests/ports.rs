//! Registers: indices, protection, flip-flop, DAC, retrace.

use super::Machine;
use super::modes::{MODE_12, TEXT, gray};
use super::{MINIMUM_BYTES, Picture};
use hvm::Instant;

#[test]
fn registers_keep_the_bits_that_exist() {
    let mut machine = Machine::new(MINIMUM_BYTES);
    machine.outb(0x3c2, 1);
    for (port, index, exists) in [
        (0x3c4, 1, 0x3d),
        (0x3c4, 4, 0x0e),
        (0x3ce, 5, 0x7b),
        (0x3ce, 8, 0xff),
        (0x3d4, 0x18, 0xff),
    ] {
        machine.outw(port, index, 0xff);
        assert_eq!(machine.inb(port), index);
        assert_eq!(machine.inb(port + 1), exists, "{port:#x} {index}");
    }
    machine.outw(0x3c4, 9, 0xff);
    assert_eq!(machine.inb(0x3c5), 0);
    assert_eq!(machine.inb(0x3cc), 1);
}

#[test]
fn the_attribute_controller_takes_turns() {
    let mut machine = Machine::in_mode(&TEXT);
    machine.inb(0x3da);
    machine.outb(0x3c0, 0x13);
    machine.outb(0x3c0, 5);
    assert_eq!((machine.inb(0x3c0), machine.inb(0x3c1)), (0x13, 5));
    machine.outb(0x3c0, 0x10);
    // The flip-flop expects data now, but a read of input status 1 takes that back.
    machine.inb(0x3da);
    machine.outb(0x3c0, 0x33);
    assert_eq!(machine.inb(0x3c1), 5);
}

#[test]
fn the_crtc_moves_with_the_emulation_and_protects_its_timing() {
    let mut machine = Machine::in_mode(&TEXT);
    machine.outw(0x3d4, 0, 0x12);
    assert_eq!(machine.inb(0x3d5), 0x5f, "protected");
    machine.outw(0x3d4, 7, 0xff);
    assert_eq!(machine.inb(0x3d5), 0x1f);
    machine.outw(0x3d4, 7, 0);
    assert_eq!(machine.inb(0x3d5), 0x0f, "only line compare is open");
    assert_eq!(machine.inb(0x3b5), 0xff);
    machine.outb(0x3c2, 0x66);
    assert_eq!((machine.inb(0x3b5), machine.inb(0x3d5)), (0x0f, 0xff));
}

#[test]
fn the_dac_counts_on_after_three_components() {
    let mut machine = Machine::in_mode(&TEXT);
    machine.outb(0x3c8, 0xff);
    for value in [0x3f, 0, 0x7f, 1, 2, 3] {
        machine.outb(0x3c9, value);
    }
    assert_eq!((machine.inb(0x3c7), machine.inb(0x3c8)), (0, 1));
    machine.outb(0x3c7, 0xff);
    assert_eq!(machine.inb(0x3c7), 3);
    let read: alloc::vec::Vec<u8> = (0..6).map(|_| machine.inb(0x3c9)).collect();
    assert_eq!(read, [0x3f, 0, 0x3f, 1, 2, 3]);
    assert_eq!(machine.pixel(0, 0), 0x04_080c, "six bits become eight");
    // An unfinished colour changes nothing.
    machine.outb(0x3c8, 0);
    machine.outb(0x3c9, 0x3f);
    machine.outb(0x3c8, 0);
    assert_eq!(machine.pixel(0, 0), 0x04_080c);
    machine.outb(0x3c6, 0);
    machine.set_attribute(0x20, 5);
    assert_eq!(
        (machine.pixel(0, 0), machine.inb(0x3c6)),
        (0x04_080c, 0),
        "masked to 0"
    );
    machine.outb(0x3c6, 0xff);
    assert_eq!(machine.pixel(0, 0), gray(5));
}

/// How often a bit of input status 1 goes up within a time, and for how long on average.
fn pulses(machine: &mut Machine, bit: u8, ns: u64) -> (u64, u64) {
    const STEP_NS: u64 = 2_000;
    let (mut pulses, mut up_ns, mut before) = (0, 0, true);
    for _ in 0..ns / STEP_NS {
        machine.now_ns += STEP_NS;
        let now = Instant::from_ns(machine.now_ns);
        let up = machine.adapter.vga().port_read(0x3da, now) & bit != 0;
        pulses += u64::from(up && !before);
        up_ns += if up { STEP_NS } else { 0 };
        before = up;
    }
    (pulses, up_ns / pulses.max(1))
}

#[test]
fn retrace_comes_70_or_60_times_a_second() {
    let mut machine = Machine::in_mode(&TEXT);
    let (frames, ns) = pulses(&mut machine, 8, 100_000_000);
    assert_eq!(frames, 7);
    // Two lines of 31.8 µs.
    assert!((60_000..68_000).contains(&ns), "{ns}");
    machine.set_mode(&MODE_12);
    assert_eq!(pulses(&mut machine, 8, 100_000_000).0, 6);
    // 525 lines, of which 480 have a picture between blanked ends.
    let (blanks, _) = pulses(&mut machine, 1, 16_683_000);
    assert!((479..=481).contains(&blanks), "{blanks}");
}

#[test]
fn retrace_comes_whatever_the_registers_hold() {
    let mut machine = Machine::new(MINIMUM_BYTES);
    machine.outb(0x3c2, 1);
    for value in [0, 0xff, 0x55] {
        for index in 0..0x19 {
            machine.outw(0x3d4, 0x11, 0);
            machine.outw(0x3d4, index, value);
        }
        assert_ne!(pulses(&mut machine, 8, 50_000_000).0, 0, "{value:#x}");
    }
}

#[test]
fn a_chip_in_reset_shows_nothing() {
    let mut machine = Machine::new(MINIMUM_BYTES);
    let mut pixels = [1; 9];
    let whole = machine.adapter.vga().size().whole();
    machine.adapter.vga().render(whole, &mut pixels);
    assert_eq!(pixels, [0; 9]);
    assert_eq!(machine.peek(0xa_0000), 0xff);
}
