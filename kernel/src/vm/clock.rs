//! The guest's one monotonic clock, on the host's TSC.

use crate::time;
use hvm::Instant;
use hvm::tsc::Scale;
use pc::lapic::TscClock;

/// Guest time and guest TSC. Both stand still while the guest is paused and survive its resets.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Host TSC at [`Instant::ZERO`], moved on by every pause.
    origin_tsc: u64,
    /// Guest ticks for host ticks.
    scale: Scale,
    /// Guest TSC less scaled host TSC.
    offset: u64,
    tsc: TscClock,
}

impl Clock {
    /// A clock that starts now. But for its rate the guest reads the host's TSC as it is: nothing is gained by hiding how long the host
    /// has been up, and an offset of zero is one thing less that can go wrong.
    pub fn start(scale: Scale) -> Self {
        let mut clock = Self {
            origin_tsc: time::tsc(),
            scale,
            offset: 0,
            tsc: TscClock::new(1, 0),
        };
        clock.renew();
        clock
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

    /// What the CPU adds to its TSC, scaled, for the guest's.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The guest's TSC now.
    pub fn guest_tsc(&self) -> u64 {
        self.scale.apply(time::tsc()).wrapping_add(self.offset)
    }

    /// WRMSR to IA32_TSC.
    pub fn set_guest_tsc(&mut self, value: u64) {
        self.offset = value.wrapping_sub(self.scale.apply(time::tsc()));
        self.renew();
    }

    /// The guest stood still from host TSC `since` until now: its time goes on where it was.
    pub fn skip_pause(&mut self, since: u64) {
        let now = time::tsc();
        let ticks = self.scale.apply(now).wrapping_sub(self.scale.apply(since));
        self.origin_tsc = self.origin_tsc.wrapping_add(now.wrapping_sub(since));
        self.offset = self.offset.wrapping_sub(ticks);
        self.renew();
    }

    fn renew(&mut self) {
        let at_zero = self.scale.apply(self.origin_tsc).wrapping_add(self.offset);
        self.tsc = TscClock::new(self.scale.apply(time::tsc_hz()), at_zero);
    }
}
