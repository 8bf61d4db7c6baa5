//! Time of day and date by arithmetic, and the forms in which the registers hold them.

use super::bits::{B_24H, B_BINARY, HOUR_PM};

/// Seconds in a day.
pub(super) const DAY_SECONDS: u64 = 86_400;

/// How register B tells the chip to write numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    binary: bool,
    hours_24: bool,
}

impl Format {
    pub(super) fn from_b(b: u8) -> Self {
        Self {
            binary: b & B_BINARY != 0,
            hours_24: b & B_24H != 0,
        }
    }

    pub(super) fn decode(self, byte: u8) -> u8 {
        if self.binary {
            byte
        } else {
            (byte >> 4).wrapping_mul(10).wrapping_add(byte & 0xf)
        }
    }

    pub(super) fn encode(self, value: u8) -> u8 {
        if self.binary {
            value
        } else {
            ((value / 10 % 10) << 4) | (value % 10)
        }
    }

    /// 0…23 from either clock face.
    pub(super) fn decode_hour(self, byte: u8) -> u8 {
        if self.hours_24 {
            return self.decode(byte);
        }
        let noon = if byte & HOUR_PM != 0 { 12 } else { 0 };
        self.decode(byte & !HOUR_PM) % 12 + noon
    }

    pub(super) fn encode_hour(self, hour: u8) -> u8 {
        if self.hours_24 {
            return self.encode(hour);
        }
        let face = match hour % 12 {
            0 => 12,
            hour => hour,
        };
        self.encode(face) | if hour >= 12 { HOUR_PM } else { 0 }
    }
}

/// A moment within a century, as the chip counts: years 0…99, leap years by four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Years 0…99.
    pub(super) year: u8,
    /// 1…12.
    pub(super) month: u8,
    /// 1…31.
    pub(super) day: u8,
    /// 1 (Sunday) …7.
    pub(super) weekday: u8,
    /// Seconds since midnight.
    pub(super) time: u64,
}

const MONTH_DAYS: [u16; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// Days in four years, and in the chip's century.
const FOUR_YEARS: u32 = 4 * 365 + 1;
const CENTURY_DAYS: u32 = 25 * FOUR_YEARS;

fn month_days(year: u8, month: u8) -> u16 {
    let leap = u16::from(year.is_multiple_of(4) && month == 2);
    MONTH_DAYS[usize::from(month.clamp(1, 12)) - 1] + leap
}

impl Moment {
    /// From seconds since 1970-01-01, and the century (19, 20, …) that the registers have no room for. The chip has every
    /// fourth year leap, so the answer is exact from 1901 to 2099.
    pub(super) fn from_epoch(seconds: u64) -> (u8, Self) {
        // 1970-01-01 was a Thursday, 70 years into the century; day numbers run from 1900, which the chip holds leap.
        const DAYS_1900_TO_1970: u64 = 70 * 365 + 18;
        let days = seconds / DAY_SECONDS + DAYS_1900_TO_1970;
        let century = 19 + days / u64::from(CENTURY_DAYS);
        let mut moment = Self {
            year: 0,
            month: 1,
            day: 1,
            weekday: ((seconds / DAY_SECONDS + 4) % 7) as u8 + 1,
            time: seconds % DAY_SECONDS,
        };
        moment.set_day_number((days % u64::from(CENTURY_DAYS)) as u32);
        (century.min(99) as u8, moment)
    }

    /// Seconds since the century began.
    pub(super) fn seconds(&self) -> u64 {
        u64::from(self.day_number()) * DAY_SECONDS + self.time
    }

    /// Days since the century began. Impossible dates are taken as the nearest that arithmetic gives.
    fn day_number(&self) -> u32 {
        let year = self.year % 100;
        let before = u32::from(year) * 365 + u32::from(year).div_ceil(4);
        let months = (1..self.month.clamp(1, 12)).map(|month| u32::from(month_days(year, month)));
        before + months.sum::<u32>() + u32::from(self.day.max(1)) - 1
    }

    fn set_day_number(&mut self, days: u32) {
        let cycle = days / FOUR_YEARS;
        let day = days % FOUR_YEARS;
        // The first year of four is the leap one.
        let of_four = if day < 366 { 0 } else { (day - 1) / 365 };
        let mut rest = (day - of_four * 365 - of_four.min(1)) as u16;
        self.year = (cycle * 4 + of_four) as u8 % 100;
        self.month = 1;
        while self.month < 12 && rest >= month_days(self.year, self.month) {
            rest -= month_days(self.year, self.month);
            self.month += 1;
        }
        self.day = rest as u8 + 1;
    }

    /// `seconds` later.
    pub(super) fn advance(&mut self, seconds: u64) {
        let time = self.time.saturating_add(seconds);
        let days = time / DAY_SECONDS;
        self.time = time % DAY_SECONDS;
        if days != 0 {
            let number = (u64::from(self.day_number()) + days) % u64::from(CENTURY_DAYS);
            self.set_day_number(number as u32);
            self.weekday = ((u64::from(self.weekday.max(1)) - 1 + days) % 7) as u8 + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days() {
        let date = |seconds| {
            let (century, moment) = Moment::from_epoch(seconds);
            (
                century,
                moment.year,
                moment.month,
                moment.day,
                moment.weekday,
            )
        };
        assert_eq!(date(0), (19, 70, 1, 1, 5));
        assert_eq!(date(951_782_400), (20, 0, 2, 29, 3));
        assert_eq!(date(951_868_800), (20, 0, 3, 1, 4));
        assert_eq!(date(946_684_799), (19, 99, 12, 31, 6));
        assert_eq!(date(1_795_392_000), (20, 26, 11, 23, 2));
        assert_eq!(date(4_102_358_400), (20, 99, 12, 31, 5));
    }

    #[test]
    fn both_clock_faces() {
        let twelve = Format::from_b(0);
        let cases = [
            (0, 0x12),
            (1, 0x01),
            (11, 0x11),
            (12, 0x92),
            (13, 0x81),
            (23, 0x91),
        ];
        for (hour, byte) in cases {
            assert_eq!(twelve.encode_hour(hour), byte);
            assert_eq!(twelve.decode_hour(byte), hour);
        }
        assert_eq!(Format::from_b(B_24H | B_BINARY).encode_hour(23), 23);
        assert_eq!(Format::from_b(B_24H).encode_hour(23), 0x23);
    }

    proptest! {
        #[test]
        fn advancing_is_the_same_as_starting_later(start in 0_u64..4_000_000_000, more in 0_u64..3_000_000_000) {
            let (_, mut moment) = Moment::from_epoch(start);
            moment.advance(more);
            prop_assert_eq!(moment, Moment::from_epoch(start + more).1);
        }
    }
}
