//! What comparisons of two CPUs' counters say. Only arithmetic.

/// Of how many ticks two counters may part by one before they are said to run at different rates: a millionth.
const SAME_RATE: u64 = 1 << 20;

/// One look at another CPU's counter between two looks at the own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// The own counter before.
    pub before: u64,
    /// The other counter.
    pub other: u64,
    /// The own counter after.
    pub after: u64,
}

/// How far another counter is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// By so many ticks,
    pub ahead: i64,
    /// give or take so many: no less is certain.
    pub error: u64,
    /// The own counter when it was seen.
    pub at: u64,
}

/// Between what the distance lies, after some rounds: the other counter was read at some moment between the own two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    least: i64,
    most: i64,
    at: u64,
}

impl Bounds {
    /// What one round says.
    pub fn new(round: Round) -> Self {
        Self {
            least: round.other.wrapping_sub(round.after) as i64,
            most: round.other.wrapping_sub(round.before) as i64,
            at: round.after,
        }
    }

    /// With what another round says. Rounds that contradict each other come of counters that part: the narrower counts then.
    pub fn with(self, round: Round) -> Self {
        let new = Self::new(round);
        let both = Self {
            least: self.least.max(new.least),
            most: self.most.min(new.most),
            at: new.at,
        };
        if both.least <= both.most {
            both
        } else if new.width() < self.width() {
            new
        } else {
            self
        }
    }

    /// Ticks between the bounds.
    pub fn width(&self) -> u64 {
        self.most.wrapping_sub(self.least) as u64
    }

    /// The middle, give or take the rest.
    pub fn sighting(&self) -> Sighting {
        let half = self.width() / 2;
        Sighting {
            ahead: self.least.wrapping_add_unsigned(half),
            error: half + 1,
            at: self.at,
        }
    }
}

impl Sighting {
    /// True if the counters may be the same.
    fn may_be_none(&self) -> bool {
        self.ahead.unsigned_abs() <= self.error
    }

    /// By how many millionths the other counter is faster than the own, if a later sighting cannot be explained by what neither
    /// knows exactly.
    fn drift_ppm(&self, later: &Self) -> Option<i64> {
        let elapsed = later.at.wrapping_sub(self.at);
        let parted = later.ahead.wrapping_sub(self.ahead);
        let allowed = 2 * (self.error + later.error) + elapsed / SAME_RATE;
        (elapsed > 0 && parted.unsigned_abs() > allowed)
            .then(|| (i128::from(parted) * 1_000_000 / i128::from(elapsed)) as i64)
    }
}

/// What the machine's counters are good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All show the same, as far as can be seen.
    Synchronised {
        /// The widest uncertainty.
        error_ticks: u64,
    },
    /// All run at one rate, and some are ahead or behind.
    Skewed {
        /// The CPU that is the farthest off,
        cpu: usize,
        /// by so many ticks.
        ahead_ticks: i64,
        /// The widest uncertainty.
        error_ticks: u64,
    },
    /// They do not go by one rate, or nobody vouches for it.
    Unsteady(Unsteady),
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsteady {
    /// The CPUs do not promise that it always runs, at one rate.
    NoPromise,
    /// A CPU's differs from the boot CPU's.
    Drift {
        /// Which.
        cpu: usize,
        /// By so many millionths.
        ppm: i64,
    },
}

/// Whether CPUs or what is under us vouch for the counter's rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// CPUID says that it is invariant.
    Invariant,
    /// A hypervisor is under us, and its clock under the counter. It may promise nothing and keep it: what was compared counts.
    Hypervisor,
    /// Nobody does.
    None,
}

/// Judges two series of sightings of the other CPUs, by index from 1; `None` for one that did not answer and is not used.
pub fn judge(promise: Promise, first: &[Option<Sighting>], later: &[Option<Sighting>]) -> Verdict {
    if promise == Promise::None {
        return Verdict::Unsteady(Unsteady::NoPromise);
    }
    let pairs = || (1..).zip(first.iter().zip(later));
    for (cpu, (first, later)) in pairs() {
        if let (Some(first), Some(later)) = (first, later)
            && let Some(ppm) = first.drift_ppm(later)
        {
            return Verdict::Unsteady(Unsteady::Drift { cpu, ppm });
        }
    }
    let seen = || (1..).zip(later).filter_map(|(cpu, it)| Some((cpu, (*it)?)));
    let error_ticks = seen().map(|(_, it)| it.error).max().unwrap_or(0);
    let worst = seen()
        .filter(|(_, it)| !it.may_be_none())
        .max_by_key(|(_, it)| it.ahead.unsigned_abs());
    match worst {
        None => Verdict::Synchronised { error_ticks },
        Some((cpu, sighting)) => Verdict::Skewed {
            cpu,
            ahead_ticks: sighting.ahead,
            error_ticks,
        },
    }
}

/// What a CPU's counter lacks to the boot CPU's. Nothing, if that may be: then the counters are most likely the same.
pub fn shift(sighting: Option<Sighting>) -> u64 {
    match sighting {
        Some(it) if !it.may_be_none() => 0_u64.wrapping_add_signed(it.ahead.wrapping_neg()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(ahead: i64, error: u64, at: u64) -> Option<Sighting> {
        Some(Sighting { ahead, error, at })
    }

    #[test]
    fn equal_counters_are_synchronised() {
        let first = [seen(-40, 50, 1_000), None];
        let later = [seen(30, 60, 90_000_000), None];
        assert_eq!(
            judge(Promise::Invariant, &first, &later),
            Verdict::Synchronised { error_ticks: 60 }
        );
        assert_eq!(shift(later[0]), 0);
        assert_eq!(
            judge(Promise::Hypervisor, &[], &[]),
            Verdict::Synchronised { error_ticks: 0 }
        );
        assert_eq!(
            judge(Promise::None, &first, &later),
            Verdict::Unsteady(Unsteady::NoPromise)
        );
    }

    #[test]
    fn a_constant_distance_is_skew() {
        let first = [seen(3, 50, 1_000), seen(-5_000_000, 40, 2_000)];
        let later = [seen(5, 50, 90_000_000), seen(-5_000_010, 40, 90_001_000)];
        assert_eq!(
            judge(Promise::Invariant, &first, &later),
            Verdict::Skewed {
                cpu: 2,
                ahead_ticks: -5_000_010,
                error_ticks: 50
            }
        );
        assert_eq!((shift(later[0]), shift(later[1])), (0, 5_000_010));
        assert_eq!(shift(seen(7, 2, 0)), 7_u64.wrapping_neg());
    }

    #[test]
    fn a_growing_distance_is_drift() {
        let first = [seen(0, 50, 0)];
        let later = [seen(20_000, 50, 100_000_000)];
        assert_eq!(
            judge(Promise::Invariant, &first, &later),
            Verdict::Unsteady(Unsteady::Drift { cpu: 1, ppm: 200 })
        );
    }

    proptest! {
        #[test]
        fn true_distances_are_within_the_error(
            before in 0_u64..1 << 60, width in 0_u64..1 << 30, at in 0_u64..1 << 30, ahead in -(1_i64 << 50)..1 << 50,
        ) {
            let moment = before + at.min(width);
            let round = Round { before, other: moment.wrapping_add_signed(ahead), after: before + width };
            let bounds = Bounds::new(round);
            prop_assert!(bounds.sighting().ahead.abs_diff(ahead) <= bounds.sighting().error);
            let quick = Round { before: moment, after: moment + 5, ..round };
            let better = bounds.with(quick).sighting();
            prop_assert!(better.error <= 4 && better.ahead.abs_diff(ahead) <= better.error);
        }

        #[test]
        fn counters_of_one_rate_are_never_said_to_drift(
            ahead in -(1_i64 << 50)..1 << 50, elapsed in 0_u64..1 << 50, errors in (0_u64..1 << 30, 0_u64..1 << 30),
            parts in (-1.0..1.0, -1.0..1.0),
        ) {
            let off = |error: u64, part: f64| ahead + (error as f64 * part) as i64;
            let first = seen(off(errors.0, parts.0), errors.0, 0);
            let later = seen(off(errors.1, parts.1), errors.1, elapsed);
            let verdict = judge(Promise::Invariant, &[first], &[later]);
            prop_assert!(!matches!(verdict, Verdict::Unsteady(_)), "{verdict:?}");
        }
    }
}
