//! Transmit rate limits as xl-network-configuration(5) writes them: `10Mb/s`, `1MB/s@20ms`.

use core::str::FromStr;

/// A credit-based limit: `bytes_per_second`, refilled every `interval_us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Long-term limit.
    pub bytes_per_second: u64,
    /// How often the credit is refilled, in microseconds; 50,000 unless given.
    pub interval_us: u64,
}

/// The text is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRate;

const DEFAULT_INTERVAL_US: u64 = 50_000;

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let (amount, interval) = text.split_once("/s").ok_or(BadRate)?;
        let interval_us = match interval.strip_prefix('@') {
            Some(interval) => scaled(interval, &[("ms", 1000), ("us", 1), ("s", 1_000_000)])?,
            None if interval.is_empty() => DEFAULT_INTERVAL_US,
            None => return Err(BadRate),
        };
        let bits = scaled(
            amount,
            &[
                ("GB", 8_000_000_000),
                ("MB", 8_000_000),
                ("KB", 8000),
                ("B", 8),
                ("Gb", 1_000_000_000),
                ("Mb", 1_000_000),
                ("Kb", 1000),
                ("b", 1),
            ],
        )?;
        match (bits / 8, interval_us) {
            (0, _) | (_, 0) => Err(BadRate),
            (bytes_per_second, interval_us) => Ok(Self {
                bytes_per_second,
                interval_us,
            }),
        }
    }
}

/// A decimal number with one of the suffixes, times what the first matching suffix stands for.
fn scaled(text: &str, suffixes: &[(&str, u64)]) -> Result<u64, BadRate> {
    let (number, scale) = suffixes
        .iter()
        .find_map(|&(suffix, scale)| Some((text.strip_suffix(suffix)?, scale)))
        .ok_or(BadRate)?;
    if !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(BadRate);
    }
    let number: u64 = number.parse().map_err(|_| BadRate)?;
    number.checked_mul(scale).ok_or(BadRate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(bytes_per_second: u64, interval_us: u64) -> Result<Rate, BadRate> {
        Ok(Rate {
            bytes_per_second,
            interval_us,
        })
    }

    #[test]
    fn the_manual_pages_examples_mean_what_it_says() {
        assert_eq!("10Mb/s".parse(), rate(1_250_000, 50_000));
        assert_eq!("250KB/s".parse(), rate(250_000, 50_000));
        assert_eq!("1MB/s@20ms".parse(), rate(1_000_000, 20_000));
        assert_eq!("8b/s@1s".parse(), rate(1, 1_000_000));
    }

    #[test]
    fn other_text_is_refused() {
        for bad in [
            "",
            "10Mb",
            "/s",
            "0B/s",
            "1MB/s@",
            "1MB/s@0ms",
            "1MB/s20ms",
            "+1MB/s",
            "99999999999GB/s",
        ] {
            assert_eq!(bad.parse::<Rate>(), Err(BadRate), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text: std::string::String) {
            let _ = text.parse::<Rate>();
        }
    }
}
