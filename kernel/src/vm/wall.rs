//! The host's wall clock, read once from its CMOS clock (MC146818).

use crate::time;
use x86::io::{inb, outb};

const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;
/// NMI stays enabled: bit 7 of the index clear.
const SECONDS: u8 = 0;
const MINUTES: u8 = 2;
const HOURS: u8 = 4;
const DAY: u8 = 7;
const MONTH: u8 = 8;
const YEAR: u8 = 9;
const STATUS_A: u8 = 0xa;
const STATUS_B: u8 = 0xb;
const UPDATING: u8 = 1 << 7;
const BINARY: u8 = 1 << 2;
const HOURS_24: u8 = 1 << 1;
/// An update takes 2 ms at most (MC146818, "Update cycle").
const UPDATE_NS: u64 = 3_000_000;

/// Seconds since 1970, UTC as far as the host's clock keeps it.
pub fn seconds() -> u64 {
    time::poll_for(UPDATE_NS, || read(STATUS_A) & UPDATING == 0);
    let fields = [SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR].map(read);
    decode(fields, read(STATUS_B))
}

fn read(register: u8) -> u8 {
    // SAFETY: the CMOS ports exist on every PC; selecting a register and reading it has no side effect that matters.
    unsafe {
        outb(INDEX, register);
        inb(DATA)
    }
}

/// Seconds since 1970 of the clock's fields, in whatever format `status_b` says. Years are 2000 to 2099.
fn decode(fields: [u8; 6], status_b: u8) -> u64 {
    let number = |raw: u8| {
        u64::from(if status_b & BINARY != 0 {
            raw
        } else {
            (raw >> 4).wrapping_mul(10).wrapping_add(raw & 15)
        })
    };
    let [seconds, minutes, hours, day, month, year] = fields;
    let afternoon = hours & 0x80 != 0 && status_b & HOURS_24 == 0;
    let mut hour = number(hours & if status_b & HOURS_24 == 0 { 0x7f } else { 0xff });
    if status_b & HOURS_24 == 0 {
        hour = hour % 12 + if afternoon { 12 } else { 0 };
    }
    let days = days_since_1970(
        2000 + number(year) % 100,
        number(month).clamp(1, 12),
        number(day).max(1),
    );
    ((days * 24 + hour) * 60 + number(minutes)) * 60 + number(seconds)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, counted in years that start in March.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    const TO_1970: u64 = 719_468;
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_give_the_same_second() {
        // 2026-01-01 00:00:00 UTC.
        assert_eq!(decode([0, 0, 0, 1, 1, 0x26], HOURS_24), 1_767_225_600);
        assert_eq!(
            decode([0, 0, 0, 1, 1, 26], HOURS_24 | BINARY),
            1_767_225_600
        );
        assert_eq!(decode([0, 0, 0x12, 1, 1, 0x26], 0), 1_767_225_600);
        assert_eq!(decode([0, 0, 0x92, 1, 1, 0x26], 0), 1_767_225_600 + 43_200);
    }

    #[test]
    fn leap_days_count() {
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(
            days_since_1970(2024, 3, 1) - days_since_1970(2024, 2, 28),
            2
        );
        assert_eq!(
            days_since_1970(2100, 3, 1) - days_since_1970(2100, 2, 28),
            1
        );
    }
}
