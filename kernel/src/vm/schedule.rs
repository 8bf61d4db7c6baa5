//! Which of the vCPUs on one CPU runs next: the one that has run least.
//!
//! A vCPU that was idle starts beside the others, a slice ahead at most: what it saved up while it slept is forgotten, so that it is
//! served at once when it wakes, and starves nobody. Each that could run does so at the latest after the others' slices.

use alloc::vec::Vec;

/// How long a vCPU runs while others could.
pub const SLICE_NS: u64 = 3_000_000;
/// By how much another must be behind before the one that runs is cut short.
const GRAIN_NS: u64 = 500_000;

/// Who ran for how long.
#[derive(Debug)]
pub struct Schedule {
    /// Nanoseconds, and whether it could run when last asked.
    entries: Vec<(u64, bool)>,
    /// What those that could run had run at least, whenever last there were any. It never falls, so whoever wakes starts from there.
    floor_ns: u64,
}

impl Schedule {
    /// For that many vCPUs, which have not run.
    pub fn new(vcpus: usize) -> Self {
        Self {
            entries: alloc::vec![(0, false); vcpus],
            floor_ns: 0,
        }
    }

    /// vCPU `index` ran.
    pub fn charge(&mut self, index: usize, ns: u64) {
        self.entries[index].0 += ns;
        let able = self.entries.iter().filter(|entry| entry.1);
        if let Some(least_ns) = able.map(|entry| entry.0).min() {
            self.floor_ns = self.floor_ns.max(least_ns);
        }
    }

    /// vCPU `index` has nothing to do with its time until others have run: it goes behind those that can.
    pub fn pass(&mut self, index: usize) {
        let others = self.entries.iter().filter(|entry| entry.1);
        if let Some(most) = others.map(|entry| entry.0).max() {
            let behind = most + GRAIN_NS;
            self.entries[index].0 = self.entries[index].0.max(behind);
        }
    }

    /// Who runs next, of those that can; `current` ran last.
    pub fn choose(&mut self, current: usize, can_run: impl Fn(usize) -> bool) -> Option<usize> {
        let floor_ns = self.floor_ns;
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let (could, can) = (entry.1, can_run(index));
            if !could && can {
                entry.0 = entry.0.max(floor_ns.saturating_sub(SLICE_NS));
            }
            entry.1 = can;
        }
        let next = (0..self.entries.len())
            .filter(|&index| self.entries[index].1)
            .min_by_key(|&index| self.entries[index].0)?;
        self.floor_ns = floor_ns.max(self.entries[next].0);
        let (ran, stays) = self.entries[current];
        if stays && ran < self.entries[next].0 + GRAIN_NS {
            return Some(current);
        }
        Some(next)
    }

    /// Whether another than `current` could run as well, when last asked.
    pub fn contended(&self, current: usize) -> bool {
        let others = self.entries.iter().enumerate();
        others
            .filter(|(index, _)| *index != current)
            .any(|(_, entry)| entry.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs for slices and tells each one's share.
    fn shares(vcpus: usize, slices: usize, can_run: impl Fn(usize, usize) -> bool) -> Vec<u64> {
        let mut schedule = Schedule::new(vcpus);
        let mut shares = alloc::vec![0; vcpus];
        let mut current = 0;
        for slice in 0..slices {
            if let Some(next) = schedule.choose(current, |index| can_run(slice, index)) {
                schedule.charge(next, SLICE_NS);
                shares[next] += 1;
                current = next;
            }
        }
        shares
    }

    #[test]
    fn spinning_vcpus_share_alike() {
        let shares = shares(4, 400, |_, _| true);
        assert!(
            shares.iter().all(|&share| (99..=101).contains(&share)),
            "{shares:?}"
        );
    }

    #[test]
    fn one_that_wakes_is_next_and_has_saved_up_no_more_than_a_slice() {
        let mut schedule = Schedule::new(2);
        for _ in 0..100 {
            assert_eq!(schedule.choose(0, |index| index == 0), Some(0));
            schedule.charge(0, SLICE_NS);
        }
        assert_eq!(schedule.choose(0, |_| true), Some(1));
        assert!(schedule.contended(1));
        schedule.charge(1, 2 * SLICE_NS);
        assert_eq!(schedule.choose(1, |_| true), Some(0));
    }

    #[test]
    fn one_that_ran_for_long_does_not_wait_for_one_that_wakes_while_it_sleeps() {
        let mut schedule = Schedule::new(2);
        for _ in 0..100 {
            schedule.choose(0, |index| index == 0);
            schedule.charge(0, SLICE_NS);
        }
        assert_eq!(schedule.choose(0, |index| index == 1), Some(1));
        schedule.charge(1, 2 * SLICE_NS);
        assert_eq!(schedule.choose(1, |_| true), Some(0));
    }

    #[test]
    fn two_that_wake_each_other_leave_the_third_its_share() {
        let shares = shares(3, 300, |slice, index| index == 2 || slice % 2 == index);
        assert!(shares[2] >= 90, "{shares:?}");
    }

    #[test]
    fn one_that_spins_lets_the_other_run() {
        let mut schedule = Schedule::new(2);
        assert_eq!(schedule.choose(0, |_| true), Some(0));
        schedule.pass(0);
        assert_eq!(schedule.choose(0, |_| true), Some(1));
        assert_eq!(schedule.choose(1, |index| index == 0), Some(0));
    }

    #[test]
    fn nobody_runs_where_nobody_can() {
        assert_eq!(Schedule::new(3).choose(0, |_| false), None);
    }

    #[test]
    fn a_small_debt_does_not_cut_short() {
        let mut schedule = Schedule::new(2);
        schedule.choose(0, |_| true);
        schedule.charge(0, GRAIN_NS - 1);
        assert_eq!(schedule.choose(0, |_| true), Some(0));
        schedule.charge(0, 2);
        assert_eq!(schedule.choose(0, |_| true), Some(1));
    }
}
