//! KVM's paravirtual clock: registers by which a guest names memory for it, and what it finds there
//! (Linux, Documentation/virt/kvm/x86/msr.rst; the layouts are those of `pvclock_vcpu_time_info` and `pvclock_wall_clock`).
//!
//! Both structures start with a version that is odd while the rest changes.

use crate::tsc::Period;

/// Where the wall clock at the start of the guest's time is to be written.
pub const WALL_CLOCK: u32 = 0x4b56_4d00;
/// Where this vCPU's time is to be written, and bit 0: that it is.
pub const SYSTEM_TIME: u32 = 0x4b56_4d01;
/// The same registers at the numbers that they had first.
pub const OLD_WALL_CLOCK: u32 = 0x11;
/// See [`OLD_WALL_CLOCK`].
pub const OLD_SYSTEM_TIME: u32 = 0x12;

/// The bits of CPUID leaf 1 of KVM's interface that belong to it: both sets of registers.
pub const FEATURES: u32 = 1 | 1 << 3;
/// The bit that says that [`Stability::Common`] is told.
pub const STABLE_FEATURE: u32 = 1 << 24;

/// Bit 0 of [`SYSTEM_TIME`].
pub const ENABLE: u64 = 1;

/// Bytes of the time of one vCPU.
pub const TIME_BYTES: usize = 32;
/// Bytes of the wall clock.
pub const WALL_BYTES: usize = 12;

/// Whether the times of different vCPUs may be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// All counters show one time line: what one vCPU's structure says holds for all.
    Common,
    /// A guest moved one of its counters.
    Apart,
}

/// The time of one vCPU: it was [`crate::Instant::ZERO`] when its counter showed `tsc_at_zero`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// The counter at the start of the guest's time, modulo 2⁶⁴.
    pub tsc_at_zero: u64,
    /// How long a tick takes.
    pub period: Period,
    /// Whether other vCPUs' counters agree.
    pub stability: Stability,
}

impl Time {
    /// The structure, with that version. Nothing in it has to change while the guest runs: its counter and its time go on together,
    /// and stand still together.
    pub fn bytes(&self, version: u32) -> [u8; TIME_BYTES] {
        let (multiplier, shift) = multiplier(self.period);
        let mut bytes = [0; TIME_BYTES];
        bytes[0..4].copy_from_slice(&version.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.tsc_at_zero.to_le_bytes());
        // Bytes 16 to 23: nanoseconds at that count, 0.
        bytes[24..28].copy_from_slice(&multiplier.to_le_bytes());
        bytes[28] = shift.to_le_bytes()[0];
        bytes[29] = u8::from(self.stability == Stability::Common);
        bytes
    }
}

/// The wall clock, `seconds` after 1970 at the start of the guest's time.
pub fn wall_clock(seconds: u64, version: u32) -> [u8; WALL_BYTES] {
    let mut bytes = [0; WALL_BYTES];
    bytes[0..4].copy_from_slice(&version.to_le_bytes());
    // The field has 32 bits, and lasts until 2106.
    bytes[4..8].copy_from_slice(&(seconds as u32).to_le_bytes());
    bytes
}

/// Nanoseconds of a tick as `multiplier · 2^(shift − 32)`, the multiplier's top bit set.
fn multiplier(period: Period) -> (u32, i8) {
    let (ns, ticks) = period.fraction();
    let mut shift = 0_i8;
    // The quotient has 32 bits behind the point; it is brought to 32 bits in all. 64 turns do for every fraction of 64-bit numbers.
    loop {
        let (above, below) = match shift {
            0.. => (0, u32::from(shift.unsigned_abs())),
            _ => (u32::from(shift.unsigned_abs()), 0),
        };
        let scaled = (u128::from(ns) << 32 << above.min(32)) / (u128::from(ticks) << below.min(63));
        if scaled > u128::from(u32::MAX) && shift < 63 {
            shift += 1;
        } else if scaled < 1 << 31 && shift > -32 {
            shift -= 1;
        } else {
            return (u32::try_from(scaled).unwrap_or(u32::MAX), shift);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a guest computes, by the description.
    fn guest_ns(bytes: &[u8; TIME_BYTES], tsc: u64) -> u64 {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let delta = tsc.wrapping_sub(word(8));
        let shift = bytes[28] as i8;
        let shifted = if shift < 0 {
            delta >> shift.unsigned_abs()
        } else {
            delta << shift
        };
        let multiplier = word(24) & 0xffff_ffff;
        word(16) + ((u128::from(shifted) * u128::from(multiplier)) >> 32) as u64
    }

    /// A clock of that rate.
    pub(crate) fn time(hz: u64, tsc_at_zero: u64) -> Time {
        Time {
            tsc_at_zero,
            period: Period::of_hz(hz),
            stability: Stability::Common,
        }
    }

    #[test]
    fn the_layout() {
        let bytes = time(1_000_000_000, 0x1122).bytes(6);
        assert_eq!(bytes[0..8], [6, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[8..10], [0x22, 0x11]);
        assert_eq!(bytes[24..30], [0, 0, 0, 0x80, 1, 1]);
        let apart = Time {
            stability: Stability::Apart,
            ..time(1, 0)
        };
        assert_eq!(apart.bytes(0)[29], 0);
        assert_eq!(
            wall_clock(0x6789_abcd, 2),
            [2, 0, 0, 0, 0xcd, 0xab, 0x89, 0x67, 0, 0, 0, 0]
        );
    }

    proptest! {
        #[test]
        fn a_guest_reads_its_time(hz in 1_000_000_u64..20_000_000_000, at_zero: u64, seconds in 0_u64..10_000_000) {
            let ticks = seconds * hz / 1000;
            let exact = Period::of_hz(hz).ns(ticks);
            let got = guest_ns(&time(hz, at_zero).bytes(0), at_zero.wrapping_add(ticks));
            // One part in 2³¹ of the rate, and a nanosecond or a coarse tick of rounding.
            let allowed = (exact >> 31) + 2 + 2_000_000_000 / hz;
            prop_assert!(exact.abs_diff(got) <= allowed, "{exact} {got}");
        }

        #[test]
        fn any_fraction_has_a_multiplier(ns: u64, ticks: u64) {
            let _ = multiplier(Period::new(ns, ticks));
        }
    }
}
