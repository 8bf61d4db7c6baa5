//! From ACPI 6.4, 4.8.3.

use super::*;
use crate::testing::{Sent, twins};
use proptest::prelude::*;

/// Half a turn of the timer, rounded up to a nanosecond.
fn half_turn(turns: u64) -> Instant {
    Crystal::PM_TIMER.instant(turns << 23)
}

fn write(power: &mut Power, register: u16, value: u16) -> Sent {
    let mut sent = Sent::default();
    power.write(
        register,
        Width::Word,
        u32::from(value),
        Instant::ZERO,
        &mut sent,
    );
    sent
}

#[test]
fn the_timer_runs_at_3_579545_mhz_in_24_bits() {
    let mut power = Power::new();
    let second = Instant::from_ns(1_000_000_000);
    assert_eq!(power.read(TIMER, Width::Dword, second), 3_579_545);
    let later = Instant::from_ns(5_000_000_000);
    assert_eq!(
        power.read(TIMER, Width::Dword, later),
        17_897_727 & 0xff_ffff
    );
    assert_eq!(power.read(TIMER + 3, Width::Byte, later), 0);
}

#[test]
fn each_change_of_the_top_bit_is_an_event() {
    let mut power = Power::new();
    assert_eq!(power.deadline(), None);
    write(&mut power, ENABLE, TIMER_EVENT);
    assert_eq!(power.deadline(), Some(half_turn(1)));
    power.advance(half_turn(1) - 1);
    assert!(!power.interrupt());
    power.advance(half_turn(1));
    assert!(power.interrupt());
    assert_eq!(power.deadline(), None);
    write(&mut power, STATUS, TIMER_EVENT);
    assert!(!power.interrupt());
    assert_eq!(power.deadline(), Some(half_turn(2)));
    // Missed ones are one.
    power.advance(half_turn(9));
    write(&mut power, STATUS, TIMER_EVENT);
    assert!(!power.interrupt());
    assert_eq!(power.deadline(), Some(half_turn(10)));
}

#[test]
fn the_power_button_is_a_fixed_event() {
    let mut power = Power::new();
    power.press_button();
    assert!(!power.interrupt());
    write(&mut power, ENABLE, POWER_BUTTON);
    assert!(power.interrupt());
    assert_eq!(
        power.read(STATUS, Width::Word, Instant::ZERO),
        u32::from(POWER_BUTTON)
    );
    power.write(
        STATUS + 1,
        Width::Byte,
        1,
        Instant::ZERO,
        &mut Sent::default(),
    );
    assert!(!power.interrupt());
}

#[test]
fn sleep_types() {
    let mut power = Power::new();
    assert_eq!(
        power.read(CONTROL, Width::Word, Instant::ZERO),
        1,
        "always ACPI mode"
    );
    assert!(write(&mut power, CONTROL, 3 << 10).power.is_empty());
    assert_eq!(power.read(CONTROL, Width::Word, Instant::ZERO), 0xc01);
    assert_eq!(
        write(&mut power, CONTROL, SLEEP_ENABLE).power,
        [PowerEvent::PowerOff]
    );
    assert_eq!(power.read(STATUS, Width::Word, Instant::ZERO), 0);
    let sent = write(&mut power, CONTROL, SLEEP_ENABLE | 1 << 10);
    assert_eq!(sent.power, [PowerEvent::Sleep(1)]);
    assert_eq!(
        power.read(CONTROL, Width::Word, Instant::ZERO),
        0x401,
        "SLP_EN reads 0"
    );
    assert_eq!(
        power.read(STATUS, Width::Word, Instant::ZERO),
        u32::from(WAKE)
    );
    // Two byte writes mean the same: the type is in the upper byte with the command.
    let mut sent = Sent::default();
    power.write(CONTROL + 1, Width::Byte, 0x20, Instant::ZERO, &mut sent);
    assert_eq!(sent.power, [PowerEvent::PowerOff]);
}

#[test]
fn wide_accesses_cover_both_registers() {
    let mut power = Power::new();
    let mut sent = Sent::default();
    let both = u32::from(POWER_BUTTON) << 16 | 0xffff;
    power.press_button();
    power.write(STATUS, Width::Dword, both, Instant::ZERO, &mut sent);
    assert_eq!(
        power.read(STATUS, Width::Dword, Instant::ZERO),
        u32::from(POWER_BUTTON) << 16
    );
    write(&mut power, ENABLE, 0xffff);
    assert_eq!(
        power.read(ENABLE, Width::Word, Instant::ZERO),
        u32::from(EVENTS)
    );
    assert_eq!(power.read(0x3f, Width::Dword, Instant::ZERO), 0);
}

#[test]
fn gpe0_is_inert() {
    let mut power = Power::new();
    power.write_gpe(0, Width::Dword, 0x1234_ffff);
    assert_eq!(power.read_gpe(0, Width::Dword), 0x1234_0000);
    assert_eq!(power.read_gpe(3, Width::Byte), 0x12);
    power.write_gpe(2, Width::Byte, 0x56);
    assert_eq!(power.read_gpe(2, Width::Word), 0x1256);
    assert!(!power.interrupt());
}

type Operation = (u8, u16, usize, u32, u64);

fn step(power: &mut Power, &(action, offset, width, value, now): &Operation) -> (u32, bool, Sent) {
    let width = [Width::Byte, Width::Word, Width::Dword][width];
    let (now, mut sent, mut read) = (Instant::from_ns(now), Sent::default(), 0);
    match action {
        0 => read = power.read(offset, width, now),
        1 => power.write(offset, width, value, now, &mut sent),
        2 => read = power.read_gpe(offset & 3, width),
        3 => power.write_gpe(offset & 3, width, value),
        _ => power.press_button(),
    }
    (read, power.interrupt(), sent)
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec((0_u8..5, 0_u16..64, 0_usize..3, any::<u32>(), any::<u64>()), 0..100),
        cut in 0_usize..100,
    ) {
        twins(Power::new, &operations, cut, step);
    }
}
