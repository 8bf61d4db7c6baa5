//! A line of the log as a message for a syslog server (RFC 5424), over UDP (RFC 5426).

use core::fmt::{self, Write};

/// The server's port.
pub const PORT: u16 = 514;
/// The longest message: what every receiver should take (RFC 5426, 3.2) in a frame.
pub const MESSAGE_BYTES: usize = 1180;
/// Messages of a system's own.
const FACILITY_DAEMON: u8 = 3;

/// How bad it is (RFC 5424, 6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Severity {
    /// Something failed.
    Error = 3,
    /// Something is not as it should be.
    Warning = 4,
    /// Progress.
    Info = 6,
}

/// Writes a message of the host `name`; without a wall clock it has no time stamp.
pub fn write(
    out: &mut impl Write,
    severity: Severity,
    unix_ms: Option<u64>,
    name: &str,
    text: &str,
) -> fmt::Result {
    write!(out, "<{}>1 ", FACILITY_DAEMON << 3 | severity as u8)?;
    match unix_ms {
        Some(unix_ms) => write!(out, "{}", Time { unix_ms })?,
        None => out.write_char('-')?,
    }
    write!(out, " {name} monovisor - - - {text}")
}

/// A moment as RFC 3339 writes it, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.unix_ms / 1000, self.unix_ms % 1000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"
        )
    }
}

/// The Gregorian date of a day since 1970-01-01, counted in years that begin in March, whose leap day comes last.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const BEFORE_1970: u64 = 719_468;
    let days = days + BEFORE_1970;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    // Leap days so far: every fourth year, but not every hundredth; the last day of an era is one more.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months of 31, 30, 31, 30, 31 days, again and again.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = match month {
        0..10 => (month + 3, 0),
        _ => (month - 9, 1),
    };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn a_message_is_as_the_rfc_has_it() {
        let mut out = String::new();
        let time = Some(1_234_567_890_045);
        write(
            &mut out,
            Severity::Warning,
            time,
            "florizel",
            "the link is down",
        )
        .unwrap();
        assert_eq!(
            out,
            "<28>1 2009-02-13T23:31:30.045Z florizel monovisor - - - the link is down"
        );
        out.clear();
        write(&mut out, Severity::Info, None, "-", "x").unwrap();
        assert_eq!(out, "<30>1 - - monovisor - - - x");
    }

    #[test]
    fn every_day_of_eight_hundred_years_follows_the_one_before() {
        let is_leap = |year: u64| {
            year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
        };
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..2 * 146_097 {
            assert_eq!(date(days), (year, month, day));
            let length = match month {
                2 if is_leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
