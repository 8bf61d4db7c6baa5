//! What tests do to the time-stamp counters, whose emulators' CPUs share one. Words of the command line, without which nothing of this
//! has an effect:
//!
//! - `test_tsc_skew=1:+5000000` or `1:+5000000,2:-3000000` has these CPUs' counters seem to be ahead by so many ticks;
//!   `1:+200ppm` has one seem to run too fast by so many millionths;
//! - `test_tsc_write=1:+5000000` really moves them, by a write to IA32_TSC when the CPU starts (where the CPU takes such writes);
//! - `test_tsc_compensation=0` leaves the counters as they are then found.

use super::counter;
use alloc::vec::Vec;
use boot::BootInfo;
use spin::Once;

/// A change of one CPU's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    cpu: usize,
    ticks: i64,
    ppm: i64,
}

#[derive(Debug)]
struct Knobs {
    skew: Vec<Change>,
    write: Vec<Change>,
    compensate: bool,
}

static KNOBS: Once<Knobs> = Once::new();

/// Reads the words. Before other CPUs are started.
pub(crate) fn read(boot: &BootInfo) {
    let changes = |key| {
        boot.command_line.value(key).map_or_else(Vec::new, |value| {
            value.split(',').filter_map(parse).collect()
        })
    };
    KNOBS.call_once(|| Knobs {
        skew: changes("test_tsc_skew"),
        write: changes("test_tsc_write"),
        compensate: boot.command_line.value("test_tsc_compensation") != Some("0"),
    });
}

/// True unless counters are to be left as they are.
pub(super) fn compensate() -> bool {
    KNOBS.get().is_none_or(|knobs| knobs.compensate)
}

/// What `counter` is taken for on that CPU.
pub(super) fn spoil(cpu: usize, counter: u64) -> u64 {
    let Some(knobs) = KNOBS.get() else {
        return counter;
    };
    let skew = knobs.skew.iter().filter(|change| change.cpu == cpu);
    skew.fold(counter, |counter, change| change.apply(counter))
}

/// The constant part of what [`spoil`] adds.
pub(super) fn added_ticks(cpu: usize) -> u64 {
    let skew = KNOBS.get().map_or(&[][..], |knobs| &knobs.skew);
    skew.iter()
        .filter(|change| change.cpu == cpu)
        .fold(0, |sum, change| sum.wrapping_add_signed(change.ticks))
}

/// Moves this CPU's counter, if it is to be moved. When it starts.
pub(crate) fn move_counter(cpu: usize) {
    const IA32_TSC: u32 = 0x10;
    let Some(knobs) = KNOBS.get() else { return };
    for change in knobs.write.iter().filter(|change| change.cpu == cpu) {
        // SAFETY: every CPU has the register, and no clock goes by this CPU's counter yet.
        unsafe { x86::msr::wrmsr(IA32_TSC, change.apply(counter::raw())) };
    }
}

impl Change {
    fn apply(self, counter: u64) -> u64 {
        let drift = i128::from(counter) * i128::from(self.ppm) / 1_000_000;
        counter
            .wrapping_add_signed(self.ticks)
            .wrapping_add(drift as u64)
    }
}

/// `cpu:ticks` or `cpu:millionths ppm`, with or without sign.
fn parse(word: &str) -> Option<Change> {
    let (cpu, amount) = word.split_once(':')?;
    let (number, is_rate) = match amount.strip_suffix("ppm") {
        Some(number) => (number, true),
        None => (amount, false),
    };
    let number = number.parse().ok()?;
    Some(Change {
        cpu: cpu.parse().ok()?,
        ticks: if is_rate { 0 } else { number },
        ppm: if is_rate { number } else { 0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read() {
        let change = |cpu, ticks, ppm| Some(Change { cpu, ticks, ppm });
        assert_eq!(parse("1:+5000000"), change(1, 5_000_000, 0));
        assert_eq!(parse("2:-3"), change(2, -3, 0));
        assert_eq!(parse("3:+200ppm"), change(3, 0, 200));
        assert_eq!(parse("3"), None);
        assert_eq!(parse("x:1"), None);
        assert_eq!(parse("1:fast"), None);
    }

    #[test]
    fn counters_are_spoilt() {
        let counter = 4_000_000;
        assert_eq!(parse("1:-5").unwrap().apply(counter), 3_999_995);
        assert_eq!(parse("1:+250ppm").unwrap().apply(counter), 4_001_000);
    }
}
