//! Exits from loops of PAUSE (APM vol. 2, 15.14.4).
//!
//! The CPU counts down at each PAUSE, from the count that VMRUN loads, and exits at its end. With a threshold it starts over when the
//! last PAUSE is longer ago than that; without one all that a guest executes between two entries count.

use crate::bits::{clean, intercept1};
use crate::vcpu::Svm;
use hvm::capability::Options;
use hvm::vcpu::{PauseFilter, SPIN_CYCLES, SPIN_GAP_CYCLES};

/// What PAUSE and the rest of its loop take, about.
const CYCLES_PER_TURN: u32 = 64;
const TURNS: u16 = (SPIN_CYCLES / CYCLES_PER_TURN) as u16;

impl Svm {
    /// Turns the filter on or off; false if the CPU has none.
    pub(crate) fn filter_pauses(&mut self, state: PauseFilter) -> bool {
        if !self.has(Options::PAUSE_FILTER) {
            return false;
        }
        self.pause_filter = state;
        let threshold = if self.has(Options::PAUSE_THRESHOLD) {
            SPIN_GAP_CYCLES
        } else {
            0
        };
        // The clean bit of the intercepts is the count's, too (15.15.3).
        let control = &mut self.touch(clean::INTERCEPTS).control;
        control.pause_filter_count = TURNS;
        control.pause_filter_threshold = threshold;
        self.intercept(intercept1::PAUSE, state == PauseFilter::On);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcpu::tests::vcpu;
    use hvm::event::Window;
    use hvm::vcpu::Vcpu;

    fn exits(cpu: &Svm) -> bool {
        cpu.vmcb().control.intercept1 & intercept1::PAUSE != 0
    }

    #[test]
    fn a_cpu_without_the_filter_lets_every_pause_be() {
        let mut cpu = vcpu(15, Options::PAUSE_THRESHOLD);
        assert!(!cpu.set_pause_filter(PauseFilter::On));
        cpu.reset();
        assert!(!exits(&cpu));
    }

    #[test]
    fn it_counts_outlasts_a_reset_and_goes_away() {
        let mut cpu = vcpu(15, Options::PAUSE_FILTER | Options::PAUSE_THRESHOLD);
        assert!(!exits(&cpu));
        cpu.changed = 0;
        assert!(cpu.set_pause_filter(PauseFilter::On));
        assert_eq!(cpu.changed, clean::INTERCEPTS);
        cpu.reset();
        cpu.set_window(Some(Window::Interrupt));
        cpu.set_window(None);
        assert!(exits(&cpu));
        let control = &cpu.vmcb().control;
        let filter = (control.pause_filter_count, control.pause_filter_threshold);
        assert_eq!(filter, (512, 256));
        assert!(cpu.set_pause_filter(PauseFilter::Off));
        cpu.reset();
        assert!(!exits(&cpu));
    }

    #[test]
    fn without_a_threshold_its_field_stays_zero() {
        let mut cpu = vcpu(15, Options::PAUSE_FILTER);
        assert!(cpu.set_pause_filter(PauseFilter::On));
        let control = &cpu.vmcb().control;
        let filter = (control.pause_filter_count, control.pause_filter_threshold);
        assert_eq!((exits(&cpu), filter), (true, (512, 0)));
    }
}
