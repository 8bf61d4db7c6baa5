//! What the service does beside passing frames: the host's own stack and its consoles, the router, lines of the log for a server, and what the
//! log is to say of all that. It has its part of a turn only when there is something to do.

use super::consoles::{self, Cause};
use super::ports::{HOST, ROUTER};
use super::service::{BOOT_UNIX_MS, LOGS, State};
use crate::service::control::{CONTROL, Request};
use crate::{info, log, time, warn};
use core::sync::atomic::Ordering;
use net::host::{News, Outcome, syslog};
use net::nat::{Outside, Router};

/// Lines that go to a server in one turn.
const TURN_LINES: usize = 8;

impl State {
    /// Whether there is something to do beside passing frames between the card and the guest.
    #[inline]
    pub(super) fn has_errands(&self, now_ms: u64) -> bool {
        now_ms >= self.errands_ms
            || self.ports.host.is_due(now_ms)
            || consoles::have_news()
            || self.ports.router.is_some()
    }

    /// The host's own stack and what it serves; the router; what the log is to say. The most frames that came from one of them.
    pub(super) fn run_errands(&mut self, now_ms: u64) -> usize {
        let mut most = 0;
        if let Some(router) = &mut self.ports.router {
            router.work(&mut self.ports.host, now_ms);
            most = self.switch_from(ROUTER, now_ms);
        }
        let cause = match self.ports.host.poll(now_ms) {
            News::Nothing => Cause::Turn,
            News::Connections => Cause::Connections,
        };
        if self.consoles.poll(cause, &mut self.ports.host, now_ms) {
            self.ports.host.poll(now_ms);
        }
        if self.send_lines(now_ms) > 0 {
            self.ports.host.poll(now_ms);
        }
        most = most.max(self.switch_from(HOST, now_ms));
        self.look_at_conflict();
        self.look_at_lease();
        self.look_at_name();
        self.look_at_clock(now_ms);
        let host_ms = self.ports.host.next_ms(now_ms);
        let consoles_ms = self.consoles.next_ms(now_ms);
        let waits = host_ms.into_iter().chain(consoles_ms);
        self.errands_ms = waits
            .min()
            .map_or(u64::MAX, |wait_ms| now_ms + wait_ms.max(1));
        most
    }

    /// Lines of the log for their server; how many.
    fn send_lines(&mut self, now_ms: u64) -> usize {
        if !LOGS.load(Ordering::Relaxed) {
            return 0;
        }
        let mut sent = 0;
        while sent < TURN_LINES
            && self.ports.host.takes_lines()
            && let Some(line) = self.lines.next_line()
        {
            let severity = match line.severity {
                log::Severity::Info => syslog::Severity::Info,
                log::Severity::Warning => syslog::Severity::Warning,
                log::Severity::Error => syslog::Severity::Error,
            };
            let written_ms = time::tsc_to_ns(line.tsc) / 1_000_000;
            let age_ms = now_ms.saturating_sub(written_ms);
            self.ports.host.log(severity, line.text(), age_ms, now_ms);
            sent += 1;
        }
        // The rest has its turn, without an alarm of its own.
        if sent == TURN_LINES {
            super::ask();
        }
        sent
    }

    fn look_at_clock(&mut self, now_ms: u64) {
        let clock = self.ports.host.clock();
        if self.clock == clock {
            return;
        }
        let Some(told) = clock else {
            return;
        };
        let unix_ms = told.unix_ms(now_ms);
        if self.clock.is_none() {
            info!(
                "network: a server told the time: {}",
                syslog::Time { unix_ms }
            );
        }
        BOOT_UNIX_MS.store(unix_ms.saturating_sub(now_ms), Ordering::Relaxed);
        self.clock = clock;
        CONTROL.request(Request::FollowClock);
    }

    /// Says so where somebody else has the name that the host was to have.
    fn look_at_name(&mut self) {
        let name = self.ports.host.name();
        if self.name.as_ref() == name {
            return;
        }
        if let (Some(before), Some(now)) = (&self.name, name) {
            warn!(
                "network: somebody else is {}.local; the host tries {}.local",
                before.as_str(),
                now.as_str()
            );
        }
        self.name = name.cloned();
    }

    /// Says so where somebody else has the host's address.
    fn look_at_conflict(&mut self) {
        let Some(conflict) = self.ports.host.take_conflict() else {
            return;
        };
        let (address, station) = (conflict.address, conflict.station);
        match conflict.outcome {
            Outcome::Kept => warn!("network: {station} uses {address}, too; the host keeps it"),
            Outcome::GivenUp => warn!(
                "network: {address} is the address of {station}; the host does without, and tries again in 10 s"
            ),
            Outcome::Replaced => {
                warn!("network: {address} is the address of {station}; the host looks for another")
            }
            Outcome::Left => warn!(
                "network: {address} is the address of {station}; the host does without until its cable is plugged in anew"
            ),
        }
    }

    fn look_at_lease(&mut self) {
        let lease = self.ports.host.lease();
        let told = self.ports.host.surroundings();
        let is_followed = |router: &Router| {
            let known = router.outside().map(|it| (it.lease, &it.told));
            known == lease.map(|lease| (lease, told))
        };
        let follows = self.ports.router.as_ref().is_none_or(is_followed);
        if lease == self.lease && follows {
            return;
        }
        let before = core::mem::replace(&mut self.lease, lease);
        self.guide_router();
        if lease == before {
            return;
        }
        match lease {
            Some(lease) => {
                info!("network: the host's address is {lease}");
                self.consoles.announce(lease);
            }
            None => warn!("network: the host has lost its address"),
        }
    }

    /// Tells the router of the host's address.
    pub(super) fn guide_router(&mut self) {
        let Some(router) = &mut self.ports.router else {
            return;
        };
        router.set_outside(self.lease.map(|lease| Outside {
            lease,
            told: self.ports.host.surroundings().clone(),
        }));
        let near = self
            .lease
            .filter(|lease| lease.has(router.address()) || router.is_inside(lease.address));
        if let Some(lease) = near {
            warn!(
                "network: the host's network ({lease}) has the addresses of the one behind it ({}/24); give the guest's card another by `ip`",
                router.address()
            );
        }
    }
}
