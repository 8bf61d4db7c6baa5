//! From the MC146818A data sheet.

use super::*;
use crate::testing::twins;
use proptest::prelude::*;

/// 2026-11-22 17:30:00 UTC, a Sunday.
const EPOCH: u64 = 1_795_368_600;

fn seconds(seconds: f64) -> Instant {
    Instant::from_ns((seconds * 1e9) as u64)
}

fn get(rtc: &mut Rtc, index: usize, now: Instant) -> u8 {
    rtc.select(index as u8);
    rtc.read(now)
}

fn put(rtc: &mut Rtc, index: usize, value: u8, now: Instant) {
    rtc.select(index as u8);
    rtc.write(value, now);
}

fn fields(rtc: &mut Rtc, now: Instant) -> [u8; 7] {
    [YEAR, MONTH, DAY, WEEKDAY, HOURS, MINUTES, SECONDS].map(|index| get(rtc, index, now))
}

#[test]
fn starts_at_the_hosts_time_and_goes_on() {
    let mut rtc = Rtc::new(EPOCH);
    assert_eq!(
        fields(&mut rtc, Instant::ZERO),
        [0x26, 0x11, 0x22, 1, 0x17, 0x30, 0]
    );
    assert_eq!(get(&mut rtc, CENTURY, Instant::ZERO), 0x20);
    let later = seconds(0.5 + 6.0 * 3600.0 + 30.0 * 60.0);
    assert_eq!(fields(&mut rtc, later), [0x26, 0x11, 0x23, 2, 0, 0, 1]);
}

#[test]
fn a_correction_is_followed_unless_the_guest_has_set_the_clock() {
    const RIGHT: u64 = EPOCH + 100 * 366 * 86_400 / 4;
    let mut rtc = Rtc::new(EPOCH);
    let now = seconds(10.0);
    let other = RIGHT + 1000;
    rtc.correct(EPOCH + 12, other, now);
    assert_eq!(
        rtc.moment(),
        Moment::from_epoch(EPOCH + 10).1,
        "another time was given"
    );
    rtc.correct(EPOCH + 10, RIGHT, now);
    assert_eq!(rtc.moment(), Moment::from_epoch(RIGHT).1);
    put(&mut rtc, HOURS, 0x03, now);
    let set = rtc.moment();
    rtc.correct(RIGHT, other, now);
    assert_eq!(rtc.moment(), set);
}

#[test]
fn all_four_formats_show_the_same_time() {
    let mut rtc = Rtc::new(EPOCH);
    let now = Instant::ZERO;
    for (b, hour, minute) in [
        (B_24H, 0x17, 0x30),
        (B_24H | B_BINARY, 17, 30),
        (0, 0x85, 0x30),
        (B_BINARY, 0x85, 30),
    ] {
        // Software sets the format, then writes the time in it.
        put(&mut rtc, B, b | B_SET, now);
        put(&mut rtc, HOURS, hour, now);
        put(&mut rtc, MINUTES, minute, now);
        put(&mut rtc, SECONDS, 0, now);
        put(&mut rtc, B, b, now);
        assert_eq!(rtc.moment().time, 17 * 3600 + 30 * 60);
    }
}

#[test]
fn set_stops_the_clock() {
    let mut rtc = Rtc::new(EPOCH);
    put(&mut rtc, B, B_24H | B_SET | B_UIE, seconds(1.0));
    assert_eq!(get(&mut rtc, B, seconds(1.0)) & B_UIE, 0, "SET clears UIE");
    assert_eq!(get(&mut rtc, SECONDS, seconds(100.0)), 1);
    put(&mut rtc, SECONDS, 0x45, seconds(100.0));
    put(&mut rtc, B, B_24H, seconds(100.0));
    assert_eq!(get(&mut rtc, SECONDS, seconds(100.4)), 0x45);
    assert_eq!(get(&mut rtc, SECONDS, seconds(100.6)), 0x46);
}

#[test]
fn the_first_update_is_half_a_second_after_the_divider_starts() {
    let mut rtc = Rtc::new(EPOCH);
    put(&mut rtc, A, 0x70, seconds(1.0));
    put(&mut rtc, SECONDS, 0, seconds(5.0));
    put(&mut rtc, A, 0x26, seconds(7.25));
    assert_eq!(get(&mut rtc, SECONDS, seconds(7.74)), 0);
    assert_eq!(get(&mut rtc, SECONDS, seconds(7.76)), 1);
    assert_eq!(get(&mut rtc, SECONDS, seconds(8.76)), 2);
}

#[test]
fn uip_warns_before_each_update() {
    let mut rtc = Rtc::new(EPOCH);
    assert_eq!(get(&mut rtc, A, seconds(0.4)) & A_UIP, 0);
    assert_eq!(get(&mut rtc, A, seconds(0.4977)) & A_UIP, 0);
    assert_eq!(get(&mut rtc, A, seconds(0.498)) & A_UIP, A_UIP);
    assert_eq!(get(&mut rtc, SECONDS, seconds(0.4999)), 0);
    assert_eq!(get(&mut rtc, A, seconds(0.5)) & A_UIP, 0);
    assert_eq!(get(&mut rtc, SECONDS, seconds(0.5)), 1);
}

#[test]
fn update_interrupts() {
    let mut rtc = Rtc::new(EPOCH);
    assert_eq!(rtc.deadline(), None);
    put(&mut rtc, B, B_24H | B_UIE, seconds(0.1));
    assert_eq!(rtc.deadline(), Some(seconds(0.5)));
    rtc.advance(seconds(0.5));
    assert!(rtc.interrupt());
    assert_eq!(rtc.deadline(), None, "nothing more until C is read");
    assert_eq!(get(&mut rtc, C, seconds(0.6)) & !C_PF, C_IRQF | C_UF);
    assert!(!rtc.interrupt());
    assert_eq!(get(&mut rtc, C, seconds(0.6)), 0);
    assert_eq!(rtc.deadline(), Some(seconds(1.5)));
}

#[test]
fn alarms() {
    let mut rtc = Rtc::new(EPOCH);
    put(&mut rtc, HOURS_ALARM, 0xff, seconds(0.0));
    put(&mut rtc, MINUTES_ALARM, 0x31, seconds(0.0));
    put(&mut rtc, SECONDS_ALARM, 0x05, seconds(0.0));
    put(&mut rtc, B, B_24H | B_AIE, seconds(0.0));
    assert_eq!(rtc.deadline(), Some(seconds(64.5)));
    rtc.advance(seconds(64.4));
    assert!(!rtc.interrupt());
    rtc.advance(seconds(64.5));
    assert!(rtc.interrupt());
    assert_eq!(
        get(&mut rtc, C, seconds(64.5)) & (C_IRQF | C_AF),
        C_IRQF | C_AF
    );
    // Seen late, and with the interrupt off, the flag is there all the same.
    put(&mut rtc, B, B_24H, seconds(65.0));
    assert_eq!(get(&mut rtc, C, seconds(10_000.0)) & (C_IRQF | C_AF), C_AF);
    put(&mut rtc, MINUTES_ALARM, 0x77, seconds(10_000.0));
    put(&mut rtc, B, B_24H | B_AIE, seconds(10_000.0));
    assert_eq!(rtc.deadline(), None, "minute 77 never comes");
}

#[test]
fn periodic_interrupts_at_the_table_s_rates() {
    for (rate, hertz) in [(1, 256), (2, 128), (3, 8192), (6, 1024), (15, 2)] {
        let mut rtc = Rtc::new(EPOCH);
        put(&mut rtc, A, A_DIVIDER_32K | rate, Instant::ZERO);
        put(&mut rtc, B, B_24H | B_PIE, Instant::ZERO);
        let mut count = 0;
        while let Some(deadline) = rtc.deadline().filter(|&at| at <= seconds(1.0)) {
            rtc.advance(deadline - 1);
            assert!(!rtc.interrupt());
            assert_ne!(get(&mut rtc, C, deadline) & C_PF, 0);
            count += 1;
        }
        assert_eq!(count, hertz, "rate {rate}");
    }
    let mut rtc = Rtc::new(EPOCH);
    put(&mut rtc, A, A_DIVIDER_32K, Instant::ZERO);
    put(&mut rtc, B, B_24H | B_PIE, Instant::ZERO);
    assert_eq!(rtc.deadline(), None);
}

#[test]
fn registers_c_and_d_are_read_only_and_ram_is_ram() {
    let mut rtc = Rtc::new(EPOCH);
    let now = Instant::ZERO;
    put(&mut rtc, C, 0xff, now);
    put(&mut rtc, D, 0, now);
    assert_eq!(get(&mut rtc, C, now), 0);
    assert_eq!(get(&mut rtc, D, now), D_VRT);
    put(&mut rtc, 0x7f, 0x5a, now);
    assert_eq!(get(&mut rtc, 0x7f, now), 0x5a);
    rtc.set_ram(0x34, 9);
    rtc.set_ram(B as u8, 0xff);
    rtc.set_ram(200, 1);
    assert_eq!(get(&mut rtc, 0x34, now), 9);
    assert_eq!(get(&mut rtc, B, now), B_24H);
    rtc.select(0x80 | 0x34);
    assert!(rtc.nmi_masked());
    assert_eq!(rtc.read(now), 9);
}

#[test]
fn reset_spares_time_and_ram() {
    let mut rtc = Rtc::new(EPOCH);
    put(&mut rtc, B, B_24H | B_PIE | B_UIE | B_AIE, seconds(0.0));
    put(&mut rtc, 0x40, 7, seconds(3.0));
    assert!(rtc.interrupt());
    rtc.reset();
    assert!(!rtc.interrupt());
    assert_eq!(get(&mut rtc, B, seconds(3.0)), B_24H);
    assert_eq!(get(&mut rtc, 0x40, seconds(3.0)), 7);
    assert_eq!(get(&mut rtc, SECONDS, seconds(3.0)), 3);
}

type Operation = (bool, u8, u8, u64);

fn timed(operations: Vec<Operation>) -> Vec<(Instant, Operation)> {
    let mut now = Instant::ZERO;
    let at = |operation: Operation| {
        now = now + operation.3;
        (now, operation)
    };
    operations.into_iter().map(at).collect()
}

fn step(rtc: &mut Rtc, (now, operation): &(Instant, Operation)) -> (u8, bool, Option<Instant>) {
    let (write, index, value, _) = *operation;
    rtc.select(index);
    let value = if write {
        rtc.write(value, *now);
        0
    } else {
        rtc.read(*now)
    };
    (value, rtc.interrupt(), rtc.deadline())
}

fn operation() -> impl Strategy<Value = Operation> {
    let wait = prop_oneof![0_u64..3_000_000, 0_u64..3_000_000_000, 0_u64..1 << 60];
    let index = prop_oneof![0_u8..14, any::<u8>()];
    (any::<bool>(), index, any::<u8>(), wait)
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec(operation(), 0..100),
        cut in 0_usize..100,
    ) {
        twins(|| Rtc::new(EPOCH), &timed(operations), cut, step);
    }

    #[test]
    fn the_deadline_is_when_the_interrupt_rises(
        operations in prop::collection::vec((any::<bool>(), 0_u8..14, any::<u8>(), 0_u64..2_000_000_000), 1..60),
    ) {
        let mut rtc = Rtc::new(EPOCH);
        for timed in timed(operations) {
            step(&mut rtc, &timed);
        }
        if let Some(deadline) = rtc.deadline() {
            rtc.advance(deadline - 1);
            prop_assert!(!rtc.interrupt());
            rtc.advance(deadline);
            prop_assert!(rtc.interrupt());
        }
    }
}
