//! The guest's one time line, and each vCPU's clock on it.
//!
//! Guest time and the guest's time-stamp counters advance together, at the host's rate, and stand still together while the guest is
//! paused. All vCPUs read one counter, but for what the guest itself adds to one of them.

use crate::time;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use hvm::Instant;
use hvm::pvclock::{Stability, Time};
use hvm::tsc::{Period, Scale};
use pc::lapic::TscClock;
use spin::Mutex;

/// What the clocks of all vCPUs have in common.
#[derive(Debug)]
pub struct Timeline {
    /// Host tick at [`Instant::ZERO`], moved on by every pause.
    origin: AtomicU64,
    /// What every vCPU's counter has beyond the scaled host ticks.
    offset: AtomicU64,
    scale: Scale,
    /// Seconds from 1970 to [`Instant::ZERO`].
    epoch_seconds: AtomicU64,
    /// What the guest added to each vCPU's counter beyond that.
    moved: Mutex<Moved>,
    /// Counts the changes of `moved`.
    generation: AtomicU32,
}

/// Counters that the guest has written.
#[derive(Debug, Default)]
struct Moved {
    /// The vCPU that was written last, and what that added.
    last: Option<(u32, u64)>,
    /// What was added to each vCPU's counter; vCPUs that are not listed have theirs as it was.
    own: alloc::vec::Vec<u64>,
}

impl Timeline {
    /// A time line that starts now. But for its rate the guest reads the host's time-stamp counter as it is: nothing is gained by
    /// hiding how long the host has been up.
    pub fn start(scale: Scale, epoch_seconds: u64, vcpus: u32) -> Self {
        Self {
            origin: AtomicU64::new(time::tsc()),
            offset: AtomicU64::new(0),
            scale,
            epoch_seconds: AtomicU64::new(epoch_seconds),
            moved: Mutex::new(Moved {
                last: None,
                own: alloc::vec![0; vcpus as usize],
            }),
            generation: AtomicU32::new(0),
        }
    }

    /// No vCPU ran from host tick `since` to `until`: the guest's time goes on where it was. Only while none runs.
    pub fn skip(&self, since: u64, until: u64) {
        let ticks = self
            .scale
            .apply(until)
            .wrapping_sub(self.scale.apply(since));
        self.origin
            .fetch_add(until.wrapping_sub(since), Ordering::Relaxed);
        self.offset.fetch_sub(ticks, Ordering::Relaxed);
    }

    /// The wall clock when the guest's time began, in seconds since 1970.
    pub fn epoch_seconds(&self) -> u64 {
        self.epoch_seconds.load(Ordering::Relaxed)
    }

    /// The wall clock became known better.
    pub fn set_epoch_seconds(&self, seconds: u64) {
        self.epoch_seconds.store(seconds, Ordering::Relaxed);
    }

    /// The ratio of the guest's counter to the host's.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// How long a tick of the guest's counter takes.
    pub fn period(&self) -> Period {
        /// By how much [`Scale`] has more bits behind its point than the host's period.
        const SHIFT: u32 = 16;
        let (ns, ticks) = time::tsc_period().fraction();
        debug_assert_eq!(ticks, 1 << 32);
        Period::new(ns << SHIFT, self.scale.bits())
    }

    /// Whether the guest's counters agree.
    pub fn stability(&self) -> Stability {
        let moved = self.moved.lock();
        if moved.own.windows(2).all(|pair| pair[0] == pair[1]) {
            Stability::Common
        } else {
            Stability::Apart
        }
    }

    /// Changes whenever [`Timeline::stability`] may have.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// `vcpu`'s counter is to have `own` beyond the others; the result is what it gets. Systems that set their CPUs' counters one after
    /// the other to one value mean to set them alike, and would be led astray by what an exit costs: a value that continues, within a
    /// second, what another vCPU's counter was set to, continues it exactly.
    fn set_by_value(&self, vcpu: u32, own: u64, second_ticks: u64) -> u64 {
        let mut moved = self.moved.lock();
        let own = match moved.last {
            Some((other, alike))
                if other != vcpu
                    && (own.wrapping_sub(alike) as i64).unsigned_abs() < second_ticks =>
            {
                alike
            }
            _ => own,
        };
        moved.last = Some((vcpu, own));
        self.note(&mut moved, vcpu, own);
        own
    }

    /// `vcpu`'s counter has exactly `own` beyond the others.
    fn set_exactly(&self, vcpu: u32, own: u64) {
        self.note(&mut self.moved.lock(), vcpu, own);
    }

    fn note(&self, moved: &mut Moved, vcpu: u32, own: u64) {
        if let Some(entry) = moved.own.get_mut(vcpu as usize) {
            *entry = own;
        }
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// What a vCPU's clock shows at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// How time follows from the counter.
    pub time: Time,
    /// The guest's counter.
    pub tsc: u64,
    /// Guest time.
    pub now: Instant,
}

/// The clock of one vCPU.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    line: &'static Timeline,
    vcpu: u32,
    /// What the guest has added to this counter beyond the others.
    own: u64,
    /// IA32_TSC_ADJUST.
    adjust: u64,
    tsc: TscClock,
}

impl Clock {
    /// The clock of vCPU `vcpu`, whose counter shows what the others' do.
    pub fn new(line: &'static Timeline, vcpu: u32) -> Self {
        let mut clock = Self {
            line,
            vcpu,
            own: 0,
            adjust: 0,
            tsc: TscClock::new(1, 0),
        };
        clock.renew();
        clock
    }

    /// The vCPU was reset: its counter shows what the others' do. It is not set to 0, so that time goes on across a reset.
    pub fn reset(&mut self) {
        self.adjust = 0;
        self.own = 0;
        self.line.set_exactly(self.vcpu, 0);
        self.renew();
    }

    /// Guest time.
    #[inline]
    pub fn now(&self) -> Instant {
        let origin = self.line.origin.load(Ordering::Relaxed);
        Instant::from_ns(time::tsc_to_ns(time::tsc().wrapping_sub(origin)))
    }

    /// The host tick at that time.
    #[inline]
    pub fn host_tsc(&self, at: Instant) -> u64 {
        let origin = self.line.origin.load(Ordering::Relaxed);
        origin.saturating_add(time::ns_to_tsc(at.ns))
    }

    /// Guest TSC against guest time, for the local APIC's deadline timer.
    pub fn tsc(&self) -> &TscClock {
        &self.tsc
    }

    /// What the CPU adds to its TSC, scaled, for the guest's. To be told to it again whenever the vCPU comes to another CPU, and after
    /// a pause.
    pub fn offset(&self) -> u64 {
        // The CPU scales its own counter, and not the line that the guest is to see.
        let line = time::tsc();
        let counter = line.wrapping_sub(time::counter_shift());
        let shift = self
            .line
            .scale
            .apply(line)
            .wrapping_sub(self.line.scale.apply(counter));
        self.beyond_host().wrapping_add(shift)
    }

    /// The guest's TSC now.
    pub fn guest_tsc(&self) -> u64 {
        self.line
            .scale
            .apply(time::tsc())
            .wrapping_add(self.beyond_host())
    }

    /// WRMSR to IA32_TSC.
    pub fn set_guest_tsc(&mut self, value: u64) {
        let own = self.own.wrapping_add(value.wrapping_sub(self.guest_tsc()));
        let second_ticks = self.line.period().hz();
        let own = self.line.set_by_value(self.vcpu, own, second_ticks);
        // What is written to one register shows in the other (SDM vol. 3B, 18.17.3).
        self.adjust = self.adjust.wrapping_add(own.wrapping_sub(self.own));
        self.own = own;
        self.renew();
    }

    /// IA32_TSC_ADJUST.
    pub fn tsc_adjust(&self) -> u64 {
        self.adjust
    }

    /// WRMSR to IA32_TSC_ADJUST.
    pub fn set_tsc_adjust(&mut self, value: u64) {
        self.own = self.own.wrapping_add(value.wrapping_sub(self.adjust));
        self.adjust = value;
        self.line.set_exactly(self.vcpu, self.own);
        self.renew();
    }

    /// How time follows from this vCPU's counter.
    pub fn pv_time(&self) -> Time {
        // Counters that nobody vouches for are no one clock, wherever they stand.
        let stability = if time::keeps_its_rate() {
            self.line.stability()
        } else {
            Stability::Apart
        };
        Time {
            tsc_at_zero: self.tsc_at_zero(),
            period: self.line.period(),
            stability,
        }
    }

    /// All that it shows now.
    pub fn reading(&self) -> Reading {
        Reading {
            time: self.pv_time(),
            tsc: self.guest_tsc(),
            now: self.now(),
        }
    }

    /// The time line that it is on.
    pub fn line(&self) -> &'static Timeline {
        self.line
    }

    fn beyond_host(&self) -> u64 {
        let common = self.line.offset.load(Ordering::Relaxed);
        common.wrapping_add(self.own)
    }

    /// The counter at [`Instant::ZERO`]. A pause does not change it.
    fn tsc_at_zero(&self) -> u64 {
        let origin = self.line.origin.load(Ordering::Relaxed);
        self.line
            .scale
            .apply(origin)
            .wrapping_add(self.beyond_host())
    }

    fn renew(&mut self) {
        self.tsc = TscClock::with_period(self.line.period(), self.tsc_at_zero());
    }
}

/// For whoever may not need the time.
impl From<&Clock> for Instant {
    #[inline]
    fn from(clock: &Clock) -> Self {
        clock.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn line(vcpus: usize) -> Timeline {
        Timeline {
            origin: AtomicU64::new(5_000),
            offset: AtomicU64::new(0),
            scale: Scale::ONE,
            epoch_seconds: AtomicU64::new(0),
            moved: Mutex::new(Moved {
                last: None,
                own: alloc::vec![0; vcpus],
            }),
            generation: AtomicU32::new(0),
        }
    }

    #[test]
    fn counters_that_are_set_alike_one_after_the_other_are_alike() {
        let line = line(3);
        let reset = 0_u64.wrapping_sub(70 * SECOND);
        assert_eq!(line.set_by_value(0, reset, SECOND), reset);
        assert_eq!(line.stability(), Stability::Apart);
        // A while later, the same value: less has to be taken off.
        assert_eq!(line.set_by_value(1, reset - 900_000, SECOND), reset);
        assert_eq!(
            line.set_by_value(2, reset - 1_800_000 + 900_001, SECOND),
            reset
        );
        assert_eq!(line.stability(), Stability::Common);
    }

    #[test]
    fn a_counter_can_be_set_apart() {
        let line = line(2);
        assert_eq!(line.set_by_value(0, 7, SECOND), 7);
        assert_eq!(line.set_by_value(0, 9, SECOND), 9, "its own, twice");
        assert_eq!(line.set_by_value(1, 9 + SECOND, SECOND), 9 + SECOND);
        assert_eq!(line.stability(), Stability::Apart);
        let seen = line.generation();
        line.set_exactly(1, 9);
        assert_eq!(line.stability(), Stability::Common);
        assert_ne!(line.generation(), seen);
    }

    #[test]
    fn a_pause_moves_time_and_counter_together() {
        let line = line(1);
        line.skip(10_000, 13_000);
        assert_eq!(line.origin.load(Ordering::Relaxed), 8_000);
        assert_eq!(
            line.offset.load(Ordering::Relaxed),
            0_u64.wrapping_sub(3_000)
        );
    }
}
