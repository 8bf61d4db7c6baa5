//! The guest's one monotonic clock, on the host's TSC.

use crate::time;
use hvm::Instant;
use pc::lapic::TscClock;

/// Guest time and guest TSC. Both stand still while the guest is paused and survive its resets.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Host TSC at [`Instant::ZERO`], moved on by every pause.
    origin_tsc: u64,
    /// Guest TSC less host TSC.
    offset: u64,
    tsc: TscClock,
}

impl Clock {
    /// A clock that starts now. The guest reads the host's TSC as it is: nothing is gained by hiding how long the host
    /// has been up, and an offset of zero is one thing less that can go wrong.
    pub fn start() -> Self {
        let origin_tsc = time::tsc();
        Self {
            origin_tsc,
            offset: 0,
            tsc: TscClock::new(time::tsc_hz(), origin_tsc),
        }
    }

    /// Guest time.
    #[inline]
    pub fn now(&self) -> Instant {
        Instant::from_ns(time::tsc_to_ns(time::tsc().wrapping_sub(self.origin_tsc)))
    }

    /// The host TSC at that time.
    #[inline]
    pub fn host_tsc(&self, at: Instant) -> u64 {
        self.origin_tsc.saturating_add(time::ns_to_tsc(at.ns))
    }

    /// Guest TSC against guest time, for the local APIC's deadline timer.
    pub fn tsc(&self) -> &TscClock {
        &self.tsc
    }

    /// What the CPU adds to its TSC for the guest's.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The guest's TSC now.
    pub fn guest_tsc(&self) -> u64 {
        time::tsc().wrapping_add(self.offset)
    }

    /// WRMSR to IA32_TSC.
    pub fn set_guest_tsc(&mut self, value: u64) {
        self.offset = value.wrapping_sub(time::tsc());
        self.renew();
    }

    /// The guest stood still from host TSC `since` until now: its time goes on where it was.
    pub fn skip_pause(&mut self, since: u64) {
        let pause = time::tsc().wrapping_sub(since);
        self.origin_tsc = self.origin_tsc.wrapping_add(pause);
        self.offset = self.offset.wrapping_sub(pause);
        self.renew();
    }

    fn renew(&mut self) {
        self.tsc = TscClock::new(time::tsc_hz(), self.origin_tsc.wrapping_add(self.offset));
    }
}
