//! From the 8254 data sheet's mode definitions. Ticks are turned into the first nanosecond that shows them.

use super::*;
use crate::testing::twins;
use proptest::prelude::*;

fn tick(ticks: u64) -> Instant {
    Crystal::PIT.instant(ticks)
}

/// Writes control word and a two-byte count to counter `index` at tick 0: counting starts at tick 1.
fn start(control: u8, count: u16) -> Pit {
    let mut pit = Pit::new();
    program(&mut pit, control, count, 0);
    pit
}

fn program(pit: &mut Pit, control: u8, count: u16, at: u64) {
    let counter = u16::from(control >> 6);
    let [low, high] = count.to_le_bytes();
    for (register, value) in [(3, control), (counter, low), (counter, high)] {
        pit.advance(tick(at));
        pit.write(register, value, tick(at));
    }
}

fn count(pit: &mut Pit, counter: u16, at: u64) -> u16 {
    pit.write(3, (counter as u8) << 6, tick(at));
    let low = pit.read(counter, tick(at));
    u16::from_le_bytes([low, pit.read(counter, tick(at))])
}

fn out(pit: &mut Pit, counter: u8, at: u64) -> bool {
    pit.write(3, 0xe0 | 2 << counter, tick(at));
    pit.read(u16::from(counter), tick(at)) & STATUS_OUT != 0
}

/// The wave of OUT 0 over the first ticks.
fn wave(control: u8, length: u16, ticks: u64) -> std::string::String {
    let mut pit = start(control, length);
    (0..ticks)
        .map(|at| if out(&mut pit, 0, at) { 'H' } else { 'L' })
        .collect()
}

#[test]
fn waves_of_the_modes() {
    assert_eq!(wave(0x30, 3, 8), "LLLLHHHH");
    assert_eq!(wave(0x34, 3, 10), "HHHLHHLHHL");
    assert_eq!(wave(0x36, 4, 10), "HHHLLHHLLH");
    assert_eq!(wave(0x36, 5, 12), "HHHHLLHHHLLH");
    assert_eq!(wave(0x38, 3, 8), "HHHHLHHH");
}

#[test]
fn counts_go_down_as_the_data_sheet_draws() {
    let counts = |control, length| {
        let mut pit = start(control, length);
        [1, 2, 3, 4, 5, 6].map(|at| count(&mut pit, 0, at))
    };
    assert_eq!(counts(0x30, 4), [4, 3, 2, 1, 0, 0xffff]);
    assert_eq!(counts(0x31, 4), [4, 3, 2, 1, 0, 0x9999]);
    assert_eq!(counts(0x34, 3), [3, 2, 1, 3, 2, 1]);
    assert_eq!(counts(0x36, 4), [4, 2, 4, 2, 4, 2]);
    assert_eq!(counts(0x36, 5), [4, 2, 0, 4, 2, 4]);
    assert_eq!(counts(0x35, 0x0100), [0x100, 0x99, 0x98, 0x97, 0x96, 0x95]);
}

#[test]
fn zero_is_the_longest_count() {
    let mut pit = start(0x34, 0);
    assert_eq!(pit.counters[0].next_rise(1), Some(1 + 0x1_0000));
    let mut bcd = start(0x35, 0);
    assert_eq!(bcd.counters[0].next_rise(1), Some(1 + 10_000));
    assert_eq!(count(&mut pit, 0, 2), 0xffff);
    assert_eq!(count(&mut bcd, 0, 2), 0x9999);
}

#[test]
fn a_new_period_waits_for_the_end_of_the_cycle() {
    let mut pit = start(0x34, 10);
    pit.advance(tick(4));
    pit.write(0, 4, tick(4));
    pit.write(0, 0, tick(4));
    // Loaded at 1, so this cycle ends at 11, the next ones at 15 and 19.
    for (at, rose) in [
        (10, false),
        (11, true),
        (14, false),
        (15, true),
        (18, false),
        (19, true),
    ] {
        assert_eq!(pit.advance(tick(at)).rose, rose, "tick {at}");
    }
}

#[test]
fn a_new_square_waits_for_the_end_of_the_half() {
    let mut pit = start(0x36, 8);
    pit.advance(tick(2));
    pit.write(0, 4, tick(2));
    pit.write(0, 0, tick(2));
    // High from 1 to 5; then the low half of the new period, to 7.
    for (at, level) in [
        (4, true),
        (5, false),
        (6, false),
        (7, true),
        (8, true),
        (9, false),
    ] {
        assert_eq!(pit.advance(tick(at)).level, level, "tick {at}");
    }
}

#[test]
fn the_gate_holds_and_triggers() {
    let mut pit = Pit::new();
    // Mode 0 on counter 2 with the gate low: nothing counts.
    program(&mut pit, 0xb0, 5, 0);
    assert_eq!(count(&mut pit, 2, 100), 5);
    pit.write_control(1, tick(100));
    assert_eq!(count(&mut pit, 2, 103), 2);
    pit.write_control(0, tick(103));
    assert_eq!(count(&mut pit, 2, 200), 2);
    assert!(!out(&mut pit, 2, 200));
    pit.write_control(1, tick(200));
    assert!(out(&mut pit, 2, 202));
    assert_eq!(pit.read_control(tick(202)) & NMI_SC_OUT2, NMI_SC_OUT2);
    // Mode 1: each rise of the gate starts over.
    pit.write_control(0, tick(203));
    program(&mut pit, 0xb2, 3, 203);
    assert!(out(&mut pit, 2, 210));
    pit.write_control(1, tick(210));
    assert!(!out(&mut pit, 2, 211) && !out(&mut pit, 2, 213) && out(&mut pit, 2, 214));
    // Mode 3: a low gate holds OUT high.
    program(&mut pit, 0xb6, 4, 220);
    assert!(!out(&mut pit, 2, 223));
    pit.write_control(0, tick(223));
    assert!(out(&mut pit, 2, 224) && out(&mut pit, 2, 300));
}

#[test]
fn latches_hold_until_read_and_status_comes_first() {
    let mut pit = start(0x30, 100);
    pit.write(3, 0xc2, tick(11));
    pit.write(3, 0xc2, tick(51));
    assert_eq!(pit.read(0, tick(60)), 0x30, "status: not null, OUT low");
    assert_eq!(pit.read(0, tick(60)), 90);
    assert_eq!(pit.read(0, tick(60)), 0);
    assert_eq!(pit.read(0, tick(61)), 40);
    // Half a two-byte read stays half.
    assert_eq!(pit.read(0, tick(61)), 0);
    pit.write(3, 0x30, tick(70));
    pit.write(3, 0xe2, tick(70));
    assert_eq!(pit.read(0, tick(70)) & STATUS_NULL, STATUS_NULL);
}

#[test]
fn one_byte_accesses() {
    let mut pit = Pit::new();
    pit.write(3, 0x10, tick(0));
    pit.write(0, 7, tick(0));
    assert_eq!(pit.read(0, tick(3)), 5);
    assert_eq!(pit.read(0, tick(4)), 4);
    pit.write(3, 0x20, tick(5));
    pit.write(0, 2, tick(5));
    assert_eq!(pit.read(0, tick(6)), 2);
    assert_eq!(pit.read(3, tick(6)), 0xff);
}

#[test]
fn the_first_of_two_bytes_stops_mode_0() {
    let mut pit = start(0x30, 2);
    assert!(out(&mut pit, 0, 5));
    pit.write(0, 9, tick(5));
    assert!(!out(&mut pit, 0, 5) && !out(&mut pit, 0, 50));
    pit.write(0, 0, tick(50));
    assert!(!out(&mut pit, 0, 59) && out(&mut pit, 0, 60));
}

#[test]
fn missed_rises_become_one_and_idle_counters_ask_for_nothing() {
    let mut pit = Pit::new();
    assert_eq!(pit.deadline(), None);
    program(&mut pit, 0x34, 1193, 0);
    assert_eq!(pit.deadline(), Some(tick(1194)));
    assert!(pit.advance(tick(1_000_000)).rose);
    assert!(!pit.advance(tick(1_000_000)).rose);
    let next = pit.deadline().unwrap();
    assert!(next > tick(1_000_000) && next <= tick(1_001_193));
    program(&mut pit, 0x30, 10, 1_000_000);
    assert!(pit.advance(tick(1_000_011)).rose);
    assert_eq!(pit.deadline(), None);
}

#[test]
fn the_shortest_period_wakes_the_host_no_more_than_allowed() {
    let mut pit = start(0x34, 2);
    let mut now = Instant::ZERO;
    for _ in 0..100 {
        let next = pit.deadline().unwrap();
        assert!(next.since_ns(now) + 1000 >= MIN_PERIOD_NS);
        assert!(pit.advance(next).rose);
        now = next;
    }
}

#[test]
fn refresh_toggles_with_time() {
    let mut pit = Pit::new();
    let bits: Vec<u8> = (0..100)
        .map(|step| pit.read_control(Instant::from_ns(step * 5000)) & NMI_SC_REFRESH)
        .collect();
    assert!(bits.contains(&0) && bits.contains(&NMI_SC_REFRESH));
}

#[derive(Clone, Debug)]
enum Operation {
    Read(u16, u64),
    Write(u16, u8, u64),
    ReadControl(u64),
    WriteControl(u8, u64),
    Advance(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    let wait = prop_oneof![0_u64..5_000, 0_u64..100_000_000];
    prop_oneof![
        (0_u16..4, wait.clone()).prop_map(|(register, wait)| Operation::Read(register, wait)),
        (0_u16..4, any::<u8>(), wait.clone())
            .prop_map(|(register, value, wait)| Operation::Write(register, value, wait)),
        wait.clone().prop_map(Operation::ReadControl),
        (any::<u8>(), wait.clone()).prop_map(|(value, wait)| Operation::WriteControl(value, wait)),
        wait.prop_map(Operation::Advance),
    ]
}

/// Operations with waits become operations at times.
fn timed(operations: Vec<Operation>) -> Vec<(Instant, Operation)> {
    let mut now = Instant::ZERO;
    operations
        .into_iter()
        .map(|operation| {
            let (Operation::Read(_, wait)
            | Operation::Write(_, _, wait)
            | Operation::ReadControl(wait)
            | Operation::WriteControl(_, wait)
            | Operation::Advance(wait)) = operation;
            now = now + wait;
            (now, operation)
        })
        .collect()
}

fn step(pit: &mut Pit, (now, operation): &(Instant, Operation)) -> (u8, Output, Option<Instant>) {
    let value = match *operation {
        Operation::Read(register, _) => pit.read(register, *now),
        Operation::Write(register, value, _) => {
            pit.advance(*now);
            pit.write(register, value, *now);
            0
        }
        Operation::ReadControl(_) => pit.read_control(*now),
        Operation::WriteControl(value, _) => {
            pit.write_control(value, *now);
            0
        }
        Operation::Advance(_) => 0,
    };
    (value, pit.advance(*now), pit.deadline())
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec(operation(), 0..100),
        cut in 0_usize..100,
    ) {
        twins(Pit::new, &timed(operations), cut, step);
    }

    #[test]
    fn waking_at_the_deadline_always_finds_a_rise(
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let mut pit = Pit::new();
        for timed in timed(operations) {
            step(&mut pit, &timed);
        }
        if let Some(deadline) = pit.deadline() {
            prop_assert!(!pit.advance(deadline - 20_000).rose || deadline.ns < 20_000);
            prop_assert!(pit.deadline().is_none_or(|next| pit.advance(next.max(deadline)).rose));
        }
    }

    #[test]
    fn looking_often_and_looking_late_agree(control in 0_u8..6, count in 2_u16..60, late in 1_u64..300) {
        let control = 0x30 | control << 1;
        let (mut often, mut rarely) = (start(control, count), start(control, count));
        let rises = (0..=late).filter(|&at| often.advance(tick(at)).rose).count();
        let output = rarely.advance(tick(late));
        prop_assert_eq!(output.rose, rises > 0);
        prop_assert_eq!(output.level, often.advance(tick(late)).level);
    }
}
