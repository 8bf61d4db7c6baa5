//! A vCPU's timers: which are due, and by what the guest is left when the next one is.

use super::local::earlier;
use super::processor::{Company, Processor};
use crate::cpu::events::Events as HostEvents;
use crate::service::alarm;
use crate::time;
use hvm::Instant;
use hvm::vcpu::Vcpu;

impl<V: Vcpu> Processor<V> {
    /// Timers that are due. A kick may be for another vCPU on this CPU, and is left for the seat to see.
    pub(super) fn attend(&mut self) {
        let fired = match self.company {
            Company::Alone => alarm::take_events().contains(HostEvents::TIMER),
            Company::Shared => alarm::take_timer(),
        };
        if fired {
            self.armed = None;
        }
        self.local.attention = true;
        let local = &mut *self.local;
        local.pv_clock.refresh(&local.clock, &local.machine.memory);
        let now = self.local.clock.now();
        if self
            .local
            .lapic
            .deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            self.local.lapic.expire(now);
        }
        self.local.second_look = self.local.second_look.filter(|&at| at > now);
        let due = self
            .local
            .board_deadline
            .is_some_and(|deadline| deadline <= now);
        if due {
            self.local.with_board(|board, context| board.poll(context));
        }
    }

    /// Has the guest left when its next timer is due: by the vCPU's own timer where there is one, else by the host's.
    #[inline(always)]
    pub(super) fn rearm(&mut self) {
        let wanted = self.next_deadline();
        if wanted != self.armed {
            self.arm(wanted);
        }
    }

    /// Apart from the question, which is asked at each entry.
    #[inline(never)]
    fn arm(&mut self, wanted: Option<Instant>) {
        let host_tsc = wanted.map(|deadline| self.local.clock.host_tsc(deadline));
        if !self.cpu.set_deadline(host_tsc.map(time::counter_at)) {
            alarm::arm_for_guest(host_tsc);
        }
        self.armed = wanted;
    }

    #[inline]
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let own = self.local.deadline();
        match self.limit {
            None => own,
            limit => earlier(own, limit),
        }
    }

    /// The same while the guest does not run, when only the host's timer counts.
    pub(super) fn rearm_host(&mut self) {
        if self.cpu.set_deadline(None) {
            let wanted = self.next_deadline();
            alarm::arm_for_guest(wanted.map(|deadline| self.local.clock.host_tsc(deadline)));
            // Before the next entry the vCPU's own timer has to be told again.
            self.armed = None;
        } else {
            self.rearm();
        }
    }

    /// No timer is to come any more.
    pub(super) fn disarm(&mut self) {
        alarm::arm_for_guest(None);
        self.cpu.set_deadline(None);
        self.armed = None;
    }

    /// The vCPU's own timer ended guest code.
    pub(super) fn deadline(&mut self) {
        self.cpu.set_deadline(None);
        self.armed = None;
        self.attend();
    }
}
