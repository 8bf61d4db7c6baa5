//! The alarm: when does it match next (MC146818A data sheet, "Time, calendar and alarm locations").

use super::bits::ALARM_ANY;
use super::calendar::{DAY_SECONDS, Format};

/// The three alarm bytes, decoded. `None` matches everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alarm {
    hour: Option<u8>,
    minute: Option<u8>,
    second: Option<u8>,
}

impl Alarm {
    pub(super) fn new(format: Format, hour: u8, minute: u8, second: u8) -> Self {
        let named = |byte: u8| byte & ALARM_ANY != ALARM_ANY;
        Self {
            hour: named(hour).then(|| format.decode_hour(hour)),
            minute: named(minute).then(|| format.decode(minute)),
            second: named(second).then(|| format.decode(second)),
        }
    }

    /// Seconds (1…86400) from `time` of day until the next match; `None` if it never comes.
    pub(super) fn seconds_until(&self, time: u64) -> Option<u64> {
        let possible = self.hour.is_none_or(|hour| hour < 24)
            && self.minute.is_none_or(|minute| minute < 60)
            && self.second.is_none_or(|second| second < 60);
        if !possible {
            return None;
        }
        let first = time + 1;
        let mut at = first;
        // Skips whole hours, then minutes, then seconds: at most 25 + 120 + 120 steps, and never past a day.
        while at < first + DAY_SECONDS {
            let (hour, minute, second) = (at / 3600 % 24, at / 60 % 60, at % 60);
            if self.hour.is_some_and(|want| u64::from(want) != hour) {
                at += 3600 - at % 3600;
            } else if self.minute.is_some_and(|want| u64::from(want) != minute) {
                at += 60 - at % 60;
            } else if self.second.is_some_and(|want| u64::from(want) != second) {
                at += 1;
            } else {
                return Some(at - time);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_trying_every_second(
            time in 0..DAY_SECONDS,
            hour in prop::option::of(0_u8..25),
            minute in prop::option::of(0_u8..61),
            second in prop::option::of(0_u8..61),
        ) {
            let alarm = Alarm { hour, minute, second };
            let matches = |at: u64| {
                hour.is_none_or(|hour| u64::from(hour) == at / 3600 % 24)
                    && minute.is_none_or(|minute| u64::from(minute) == at / 60 % 60)
                    && second.is_none_or(|second| u64::from(second) == at % 60)
            };
            let slow = (1..=DAY_SECONDS).find(|wait| matches(time + wait));
            prop_assert_eq!(alarm.seconds_until(time), slow);
        }
    }
}
