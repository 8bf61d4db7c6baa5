//! From the 8259A data sheet.

use super::Register::*;
use super::*;
use crate::testing::twins;
use proptest::prelude::*;

/// A pair as PC firmware initializes it, at vectors 20h and 28h, nothing masked.
fn pair_with(icw4: u8) -> Pair {
    let mut pair = Pair::new();
    for (command, data, base, wiring) in [
        (MasterCommand, MasterData, 0x20, 4),
        (SlaveCommand, SlaveData, 0x28, 2),
    ] {
        pair.write(command, 0x11);
        pair.write(data, base);
        pair.write(data, wiring);
        pair.write(data, icw4);
    }
    pair
}

fn pair() -> Pair {
    pair_with(1)
}

#[test]
fn nothing_passes_before_initialization() {
    let mut pair = Pair::new();
    for irq in 0..16 {
        pair.set_line(irq, true);
    }
    assert!(!pair.output());
}

#[test]
fn requests_nest_by_priority() {
    let mut pair = pair();
    pair.set_line(4, true);
    assert!(pair.output());
    assert_eq!(pair.acknowledge(), 0x24);
    pair.set_line(5, true);
    assert!(!pair.output(), "a lower priority waits");
    pair.set_line(1, true);
    assert_eq!(pair.acknowledge(), 0x21);
    pair.write(MasterCommand, 0x0b);
    assert_eq!(pair.read(MasterCommand), 0x12);
    pair.write(MasterCommand, 0x20);
    assert!(!pair.output());
    pair.write(MasterCommand, 0x20);
    assert_eq!(pair.acknowledge(), 0x25);
}

#[test]
fn an_edge_counts_once_and_only_while_high() {
    let mut pair = pair();
    pair.set_line(3, true);
    assert_eq!(pair.acknowledge(), 0x23);
    pair.write(MasterCommand, 0x20);
    assert!(!pair.output(), "still high, but no new edge");
    pair.set_line(3, false);
    pair.set_line(3, true);
    assert!(pair.output());
    pair.set_line(3, false);
    assert!(!pair.output());
    assert_eq!(pair.acknowledge(), 0x27, "spurious");
    pair.write(MasterCommand, 0x0b);
    assert_eq!(pair.read(MasterCommand), 0, "and not in service");
}

#[test]
fn a_level_asks_again_after_its_end() {
    let mut pair = pair();
    pair.write(SlaveElcr, 0xff);
    assert_eq!(pair.read(SlaveElcr), 0xde, "8 and 13 stay edges");
    pair.write(MasterElcr, 0xff);
    assert_eq!(pair.read(MasterElcr), 0xf8);
    pair.set_line(11, true);
    assert_eq!(pair.acknowledge(), 0x2b);
    pair.write(SlaveCommand, 0x20);
    pair.write(MasterCommand, 0x20);
    assert_eq!(pair.acknowledge(), 0x2b);
    pair.set_line(11, false);
    pair.write(SlaveCommand, 0x20);
    pair.write(MasterCommand, 0x20);
    assert!(!pair.output());
}

#[test]
fn the_slave_waits_for_the_masters_end_unless_specially_nested() {
    for (icw4, nests) in [(0x01, false), (0x11, true)] {
        let mut pair = pair_with(icw4);
        pair.set_line(12, true);
        assert_eq!(pair.acknowledge(), 0x2c);
        pair.set_line(8, true);
        assert_eq!(pair.output(), nests);
        if !nests {
            pair.write(MasterCommand, 0x20);
        }
        assert_eq!(pair.acknowledge(), 0x28);
    }
}

#[test]
fn a_slave_request_that_goes_away_is_spurious_15() {
    let mut pair = pair();
    pair.write(MasterElcr, 0);
    pair.set_line(9, true);
    pair.write(SlaveData, 0x02);
    assert!(!pair.output());
    pair.write(SlaveData, 0);
    assert!(pair.output());
    pair.set_line(9, false);
    assert!(!pair.output());
    assert_eq!(pair.acknowledge(), 0x27);
}

#[test]
fn specific_end_and_rotation() {
    let mut pair = pair();
    pair.set_line(2 + 1, true);
    pair.set_line(6, true);
    assert_eq!(pair.acknowledge(), 0x23);
    // Rotate on specific EOI: 3 becomes the lowest, 4 the highest.
    pair.write(MasterCommand, 0xe3);
    pair.set_line(3, false);
    pair.set_line(3, true);
    assert_eq!(pair.acknowledge(), 0x26, "6 is before 3 now");
    // Rotate on non-specific EOI: 6 becomes the lowest.
    pair.write(MasterCommand, 0xa0);
    pair.set_line(7, true);
    assert_eq!(pair.acknowledge(), 0x27);
    pair.write(MasterCommand, 0x67);
    // Set priority: 2 is the lowest, so 3 the highest.
    pair.write(MasterCommand, 0xc2);
    pair.set_line(1, true);
    assert_eq!(pair.acknowledge(), 0x23);
}

#[test]
fn automatic_end_with_rotation() {
    let mut pair = pair_with(0x03);
    pair.write(MasterCommand, 0x80);
    pair.set_line(0, true);
    pair.set_line(1, true);
    assert_eq!(pair.acknowledge(), 0x20);
    pair.write(MasterCommand, 0x0b);
    assert_eq!(pair.read(MasterCommand), 0);
    pair.set_line(0, false);
    pair.set_line(0, true);
    assert_eq!(pair.acknowledge(), 0x21, "0 went to the end of the row");
    assert_eq!(pair.acknowledge(), 0x20);
}

#[test]
fn special_mask_mode_lets_lower_ones_through() {
    let mut pair = pair();
    pair.set_line(1, true);
    assert_eq!(pair.acknowledge(), 0x21);
    pair.set_line(6, true);
    assert!(!pair.output());
    pair.write(MasterData, 0x02);
    assert!(!pair.output());
    pair.write(MasterCommand, 0x68);
    assert_eq!(pair.acknowledge(), 0x26);
    pair.write(MasterCommand, 0x20);
    pair.write(MasterCommand, 0x0b);
    assert_eq!(pair.read(MasterCommand), 2, "the masked one is passed over");
    pair.write(MasterCommand, 0x48);
    pair.write(MasterCommand, 0x20);
    assert_eq!(pair.read(MasterCommand), 0);
}

#[test]
fn a_poll_acknowledges() {
    let mut pair = pair();
    pair.write(MasterCommand, 0x0c);
    assert_eq!(pair.read(MasterCommand), 0);
    pair.set_line(5, true);
    pair.write(MasterCommand, 0x0c);
    assert_eq!(pair.read(MasterCommand), 0x85);
    assert!(!pair.output());
    pair.write(MasterCommand, 0x0b);
    assert_eq!(pair.read(MasterCommand), 0x20);
}

#[test]
fn the_request_register_shows_masked_requests() {
    let mut pair = pair();
    pair.write(MasterData, 0xff);
    assert_eq!(pair.read(MasterData), 0xff);
    pair.set_line(0, true);
    assert!(!pair.output() && !pair.passes(0));
    pair.write(MasterCommand, 0x0a);
    assert_eq!(pair.read(MasterCommand), 1);
    pair.write(MasterData, 0xfe);
    assert!(pair.output() && pair.passes(0) && !pair.passes(8));
}

#[test]
fn initialization_without_icw3_and_icw4() {
    let mut pair = Pair::new();
    pair.write(MasterCommand, 0x12);
    pair.write(MasterData, 0x47);
    pair.write(MasterData, 0xfd);
    assert_eq!(pair.read(MasterData), 0xfd);
    pair.set_line(1, true);
    assert_eq!(pair.acknowledge(), 0x41);
}

#[derive(Clone, Debug)]
enum Operation {
    Line(u8, bool),
    Write(Register, u8),
    Read(Register),
    Acknowledge,
}

fn operation() -> impl Strategy<Value = Operation> {
    let register = prop::sample::select(
        [
            MasterCommand,
            MasterData,
            SlaveCommand,
            SlaveData,
            MasterElcr,
            SlaveElcr,
        ]
        .as_slice(),
    );
    prop_oneof![
        (0_u8..18, any::<bool>()).prop_map(|(irq, high)| Operation::Line(irq, high)),
        (register.clone(), any::<u8>())
            .prop_map(|(register, value)| Operation::Write(register, value)),
        register.prop_map(Operation::Read),
        Just(Operation::Acknowledge),
    ]
}

fn step(pair: &mut Pair, operation: &Operation) -> (u8, bool) {
    let value = match *operation {
        Operation::Line(irq, high) => {
            pair.set_line(irq, high);
            0
        }
        Operation::Write(register, value) => {
            pair.write(register, value);
            0
        }
        Operation::Read(register) => pair.read(register),
        Operation::Acknowledge => pair.acknowledge(),
    };
    (value, pair.output())
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec(operation(), 0..200),
        cut in 0_usize..200,
    ) {
        twins(pair, &operations, cut, step);
    }
}
