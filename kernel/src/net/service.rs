//! The service: moves frames between the card, the host's stack and the guest's cables.

use super::card::{self, Card};
use super::consoles::{self, Consoles};
use super::interrupt::{self, Found, Interrupt, Trust};
use super::ports::{FIRST_GUEST, GuestPort, Ports, ROUTER, UPLINK, Uplink};
use super::{ERRANDS, PLUGS, Plug, WORK};
use crate::service::alarm::{self, Bell};
use crate::vm::Rdrand;
use crate::{info, log, time, warn};
use alloc::vec::Vec;
use appliance::config::Config;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use drivers::nic::watch::Watch;
use drivers::nic::{Admits, Filter, LinkNews};
use hvm::backend::{Entropy, Link, Wants};
use hvm::packet::Packet;
use net::Mac;
use net::cable::{Borrowing, Want};
use net::credit::Credit;
use net::host::address::Setup;
use net::host::mdns::Name;
use net::host::sntp::WallClock;
use net::host::{Host, Lease};
use net::nat::Router;
use net::stations::{Crowd, Stations};
use net::switch::{Port, PortSetup, Sources, Switch, Vlans, WhenFull};
use spin::Mutex;

/// Uplink, host, router, and cards of the guest.
const MAX_PORTS: usize = 11;
/// Frames that one port may send in a turn before the others have theirs.
const BURST: usize = 32;
/// How often a port that has no room is tried again, beside being told of it.
const RETRY_MS: u64 = 1;
/// How often the card is looked at while no interrupt has come from it yet, and while none is to be had.
const UNPROVEN_MS: u64 = 100;
const POLLED_MS: u64 = 1;

/// How often the card is asked how it is getting on; and after a reset that failed.
const WATCH_MS: u64 = 2000;
const RESET_AGAIN_MS: u64 = 60_000;

/// What there is, for whoever asks. Only tasks touch it, so it is never contended.
static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Milliseconds from 1970 to the host's start, as a server of the network told them; 0: none did.
pub(super) static BOOT_UNIX_MS: AtomicU64 = AtomicU64::new(0);
/// Lines of the log go to a server.
pub(super) static LOGS: AtomicBool = AtomicBool::new(false);

/// The service.
pub struct Service(());

pub(super) struct State {
    pub(super) ports: Ports,
    interrupt: Interrupt,
    pub(super) consoles: Consoles,
    pub(super) switch: Switch,
    /// The frame of each port that came in and waits for room where it is to go.
    waiting: Vec<Option<Packet>>,
    pub(super) link: Link,
    pub(super) lease: Option<Lease>,
    /// The host's name, as the log has it.
    pub(super) name: Option<Name>,
    /// Of the log, for a server.
    pub(super) lines: log::Reader,
    pub(super) clock: Option<WallClock>,
    /// Interrupts that earlier turns knew of.
    interrupts: u32,
    /// When there is something to do beside passing frames, if nothing happens.
    pub(super) errands_ms: u64,
    /// How the card is getting on, when it is looked at next, and how often it was reset.
    watch: Watch,
    next_watch_ms: u64,
    pub(super) resets: u32,
    /// Whose frames the card is to let in, and whose it does.
    wants: Wants,
    pub(super) admits: Admits,
}

/// What a turn leaves to be done.
enum Rest {
    /// More of the same, at once.
    Busy,
    /// Nothing before this time, in milliseconds, if nothing happens.
    Until(u64),
}

/// Whether a card runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restarted {
    Yes,
    No,
}

impl Service {
    /// For a card that runs.
    pub fn new(card: Card, setup: Setup) -> Self {
        let mac = Mac(card.nic.address());
        let host = Host::new(mac, setup, card.pool, seed(), now_ms());
        let switch = Switch::new([
            PortSetup {
                station: None,
                sources: Sources::Any,
                when_full: WhenFull::Lose,
                vlans: Vlans::All,
            },
            PortSetup {
                station: Some(mac),
                sources: Sources::Only(mac),
                when_full: WhenFull::Wait,
                // Whatever VLANs guests are in, the host is in none.
                vlans: Vlans::Access(0),
            },
            PortSetup {
                station: None,
                sources: Sources::Any,
                when_full: WhenFull::Wait,
                vlans: Vlans::Private,
            },
        ]);
        *STATE.lock() = Some(State {
            ports: Ports {
                uplink: Uplink {
                    sizes: card.nic.sizes(),
                    nic: card.nic,
                    pool: card.pool,
                },
                host,
                router: None,
                guests: Vec::new(),
                stations: Stations::default(),
            },
            interrupt: card.interrupt,
            lease: None,
            name: None,
            lines: log::Reader::from_oldest(),
            clock: None,
            consoles: Consoles::default(),
            switch,
            waiting: (0..FIRST_GUEST).map(|_| None).collect(),
            link: Link::Down,
            interrupts: 0,
            errands_ms: 0,
            watch: Watch::default(),
            next_watch_ms: 0,
            resets: 0,
            wants: Wants::Own,
            admits: Admits::Everybody,
        });
        Self(())
    }

    /// Serves for ever.
    pub async fn run(self) {
        if let Some(state) = STATE.lock().as_mut() {
            state.look_at_link();
        }
        loop {
            let rest = match STATE.lock().as_mut() {
                Some(state) => state.turn(),
                None => return,
            };
            match rest {
                // Raised by ourselves, so that the other tasks have their turn first.
                Rest::Busy => WORK.raise(),
                Rest::Until(ms) => alarm::set(Bell::Network, time::ns_to_tsc(ms * 1_000_000)),
            }
            WORK.wait().await;
        }
    }
}

impl State {
    /// Moves frames, and sees to the rest where there is something to see to.
    fn turn(&mut self) -> Rest {
        let interrupts = interrupt::count();
        let interrupted = core::mem::replace(&mut self.interrupts, interrupts) != interrupts;
        if ERRANDS.load(Ordering::Relaxed) && ERRANDS.swap(false, Ordering::AcqRel) {
            self.errands_ms = 0;
            self.plug_in();
        }
        // Without an interrupt the look behind the send-off does.
        let looks = interrupted || self.interrupt.trust() != Trust::Full;
        if !looks {
            self.ports.uplink.nic.silence();
        } else if self.ports.uplink.nic.acknowledge() == LinkNews::Changed {
            self.look_at_link();
        }
        let now_ms = now_ms();
        self.watch_card(now_ms);
        self.narrow();
        let came = if looks {
            self.switch_from(UPLINK, now_ms)
        } else {
            0
        };
        let mut most = came;
        for guest in FIRST_GUEST..FIRST_GUEST + self.ports.guests.len() {
            most = most.max(self.switch_from(guest, now_ms));
        }
        if self.has_errands(now_ms) {
            most = most.max(self.run_errands(now_ms));
        }
        let answered = self.send_off(now_ms);
        most = most.max(answered);
        let mut crowded = self.waiting.iter().any(Option::is_some);
        for guest in &mut self.ports.guests {
            crowded |= guest.end.settle() == Want::Room;
        }
        if interrupted {
            self.interrupt.settle(match most {
                0 => Found::Nothing,
                _ => Found::Something,
            });
        } else if came > 0 {
            self.interrupt.missed();
        }
        // What the answers brought has not been heard yet.
        if most == BURST || answered > 0 && self.has_errands(now_ms) {
            return Rest::Busy;
        }
        let look_ms = match self.interrupt.trust() {
            Trust::Full => u64::MAX,
            Trust::Unproven => UNPROVEN_MS,
            Trust::None => POLLED_MS,
        };
        let retry_ms = if crowded { RETRY_MS } else { u64::MAX };
        let credit_ms = self.ports.credit_ms(now_ms).unwrap_or(u64::MAX);
        let wait_ms = look_ms.min(retry_ms).min(credit_ms);
        let next_ms = self.errands_ms.min(self.next_watch_ms);
        Rest::Until(next_ms.min(now_ms.saturating_add(wait_ms)))
    }

    /// Has the card send what was queued, and looks once more for frames: near stations have answered by then, and what came in
    /// meanwhile need not interrupt. Not before an interrupt has shown that they do come. How many there were.
    fn send_off(&mut self, now_ms: u64) -> usize {
        self.ports.uplink.nic.start();
        let mut came = 0;
        if self.interrupt.trust() == Trust::Full && self.ports.uplink.nic.has_news() {
            if self.ports.uplink.nic.acknowledge() == LinkNews::Changed {
                self.look_at_link();
            }
            came = self.switch_from(UPLINK, now_ms);
        }
        self.ports.uplink.nic.settle();
        came
    }

    /// Adds ports for new cables.
    fn plug_in(&mut self) {
        if let Some(mut plugs) = PLUGS.try_lock() {
            for Plug {
                setup,
                rate,
                mac,
                mut end,
            } in plugs.drain(..)
            {
                if self.ports.guests.len() + FIRST_GUEST == MAX_PORTS {
                    warn!("network: the switch has no port for another card of the guest");
                    end.set_link(Link::Down);
                    end.settle();
                    continue;
                }
                end.set_link(self.link);
                end.set_borrowing(match setup.vlans {
                    Vlans::All if self.ports.uplink.nic.gathers() => Borrowing::Allowed,
                    _ => Borrowing::Forbidden,
                });
                self.ports.stations.add(mac);
                self.switch.add(setup);
                self.waiting.push(None);
                let now_us = now_ms() * 1000;
                let credit = rate.map(|rate| Credit::new(rate, now_us));
                self.ports.guests.push(GuestPort { end, credit });
            }
        }
    }

    /// Looks whether the card still moves, from time to time, and resets one that does not.
    fn watch_card(&mut self, now_ms: u64) {
        if now_ms < self.next_watch_ms {
            return;
        }
        self.next_watch_ms = now_ms + WATCH_MS;
        self.look_at_link();
        let progress = self.ports.uplink.nic.progress();
        let Some(hang) = self.watch.look(progress, self.link, now_ms) else {
            return;
        };
        warn!("network: the card hangs: {hang}; it is reset");
        match self.restart_card() {
            Restarted::Yes => info!("network: the card runs again; what was on its way is lost"),
            Restarted::No => self.next_watch_ms = now_ms + RESET_AGAIN_MS,
        }
        self.look_at_link();
    }

    fn restart_card(&mut self) -> Restarted {
        self.resets += 1;
        match self.ports.uplink.nic.restart(&mut card::pause) {
            Ok(()) => Restarted::Yes,
            Err(failure) => {
                warn!(
                    "network: the reset failed: {failure}; the next is in {} s",
                    RESET_AGAIN_MS / 1000
                );
                Restarted::No
            }
        }
    }

    /// Tells the card whose frames to let in, where that has changed.
    fn narrow(&mut self) {
        let listens = |guest: &GuestPort| guest.end.wants() == Wants::Everybody;
        let wants = match self.ports.guests.iter().any(listens) {
            true => Wants::Everybody,
            false => Wants::Own,
        };
        if core::mem::replace(&mut self.wants, wants) != wants {
            self.ports.stations.tell_again();
        }
        let Some(crowd) = self.ports.stations.news() else {
            return;
        };
        let filter = match crowd {
            Crowd::Few(stations) if wants == Wants::Own => {
                Filter::Only(stations.iter().map(|mac| mac.0).collect())
            }
            _ => Filter::Everybody,
        };
        self.admits = self.ports.uplink.nic.set_filter(&filter);
    }

    fn look_at_link(&mut self) {
        let link = self.ports.uplink.nic.link();
        if link == self.link {
            return;
        }
        self.link = link;
        info!(
            "network: the link is {}",
            match link {
                Link::Up => "up",
                Link::Down => "down",
            }
        );
        for guest in &mut self.ports.guests {
            guest.end.set_link(link);
        }
        if link == Link::Down && self.ports.uplink.nic.lent() > 0 {
            // It would fetch them whenever the link comes back, and their memory is the guest's.
            self.restart_card();
        }
        if link == Link::Up {
            self.ports.host.link_came_up(now_ms());
        }
    }

    /// Switches frames that came in at a port, the one that waits first; how many.
    pub(super) fn switch_from(&mut self, from: Port, now_ms: u64) -> usize {
        let Self {
            ports,
            switch,
            waiting,
            ..
        } = self;
        let Some(waiting) = waiting.get_mut(from) else {
            return 0;
        };
        for passed in 0..BURST {
            let Some(packet) = waiting.take().or_else(|| ports.fetch(from, now_ms)) else {
                return passed;
            };
            let goes_out = |packet: &Packet| switch.knows_way(from, packet, UPLINK, now_ms);
            let packet = match ports.fit(from, packet, goes_out) {
                Ok(Some(packet)) => packet,
                Ok(None) => continue,
                Err(packet) => {
                    *waiting = Some(packet);
                    return passed;
                }
            };
            *waiting = switch.pass(from, packet, now_ms, ports);
            if waiting.is_some() {
                return passed;
            }
        }
        BURST
    }
}

/// Serves the consoles that are asked for, and uses the servers that are named, from now on. On the service CPU, before the guest has
/// its memory, which theirs has to be taken before.
pub fn serve(config: &Config) {
    let mut state = STATE.lock();
    let Some(state) = state.as_mut() else {
        return consoles::refuse(&config.consoles);
    };
    let host = &mut state.ports.host;
    host.introduce(&config.name);
    if let Some(server) = config.servers.time {
        host.ask_time_of(server);
    }
    if let Some(server) = config.servers.log {
        host.log_to(server);
        LOGS.store(true, Ordering::Release);
    }
    state.consoles = Consoles::open(&config.consoles, &config.name, host);
    if let Some(setup) = config.translation() {
        let uplink = &state.ports.uplink;
        let router = Router::new(setup, Mac(uplink.nic.address()), uplink.pool, seed());
        info!(
            "network: guests behind the host's address have {} for a router",
            router.address()
        );
        state.switch.set_station(ROUTER, Some(router.mac()));
        state.ports.router = Some(router);
        state.guide_router();
    }
    if let Some(lease) = state.lease {
        state.consoles.announce(lease);
    }
    super::ask();
}

/// There are new lines in the log.
pub fn new_lines() {
    if LOGS.load(Ordering::Relaxed) {
        super::ask();
    }
}

/// Seconds since 1970, if a server of the network told the time.
pub fn wall_seconds() -> Option<u64> {
    match BOOT_UNIX_MS.load(Ordering::Relaxed) {
        0 => None,
        boot_ms => Some((boot_ms + now_ms()) / 1000),
    }
}

/// Writes what there is of a network, a line a thing.
pub fn write_status(out: &mut (impl Write + ?Sized)) -> fmt::Result {
    match STATE.try_lock().as_deref_mut() {
        Some(Some(state)) => state.write(out),
        _ => writeln!(out, "network: none"),
    }
}

/// Bytes that are not easily guessed. Without an entropy source of the CPU's they come of the time alone.
pub fn unforeseen<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    if let Some(mut source) = Rdrand::find() {
        source.fill(&mut bytes);
    }
    for (place, time) in bytes.iter_mut().zip(time::tsc().to_le_bytes()) {
        *place ^= time;
    }
    bytes
}

fn seed() -> u64 {
    u64::from_ne_bytes(unforeseen())
}

fn now_ms() -> u64 {
    time::now_ns() / 1_000_000
}
