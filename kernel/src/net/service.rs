//! The service: moves frames between the card, the host's stack and the guest's cables.

use super::card::{self, Card};
use super::consoles::{self, Cause, Consoles};
use super::interrupt::{self, Found, Interrupt, Trust};
use super::{PLUGS, Plug, WORK};
use crate::service::alarm::{self, Bell};
use crate::vm::Rdrand;
use crate::{info, log, time, warn};
use alloc::boxed::Box;
use alloc::vec::Vec;
use appliance::config::Config;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use drivers::nic::watch::Watch;
use drivers::nic::{Admits, Filter, LinkNews, Nic, Sizes};
use heapless::{Deque, Vec as Few};
use hvm::backend::{Entropy, Link, Wants};
use hvm::packet::{Packet, Pool};
use hvm::segment::{Cutter, Pieces};
use net::Mac;
use net::cable::{SwitchEnd, Want};
use net::credit::Credit;
use net::host::address::Setup;
use net::host::mdns::Name;
use net::host::sntp::WallClock;
use net::host::{Host, Lease, News, syslog};
use net::nat::{Face, Outside, Router};
use net::stations::{Crowd, Stations};
use net::switch::{Counters, Outlet, Port, PortSetup, Refusal, Sources, Switch, Vlans, WhenFull};
use spin::Mutex;

const UPLINK: Port = 0;
const HOST: Port = 1;
/// Of the network behind the host's address.
const ROUTER: Port = 2;
const FIRST_GUEST: Port = 3;
/// Uplink, host, router, and cards of the guest.
const MAX_PORTS: usize = 11;
/// Frames that one port may send in a turn before the others have theirs.
const BURST: usize = 32;
/// Most pieces that a long frame is cut into: an IP packet of 64 KiB in frames of the shortest that everybody takes (RFC 9293, 3.7.1).
const MOST_PIECES: usize = 0x1_0000 / 536;
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
static BOOT_UNIX_MS: AtomicU64 = AtomicU64::new(0);
/// Lines of the log go to a server.
static LOGS: AtomicBool = AtomicBool::new(false);
/// Lines that go to it in one turn.
const TURN_LINES: usize = 8;

/// The service.
pub struct Service(());

struct State {
    uplink: Uplink,
    interrupt: Interrupt,
    host: Host,
    consoles: Consoles,
    /// For cards that are behind the host's address.
    router: Option<Router>,
    guests: Vec<SwitchEnd>,
    switch: Switch,
    /// Frames of each port that came in, and wait for room where they are to go.
    waiting: Vec<Deque<Packet, BURST>>,
    /// What guests may still send, where that is limited.
    credits: Vec<Option<Credit>>,
    link: Link,
    lease: Option<Lease>,
    /// The host's name, as the log has it.
    name: Option<Name>,
    /// Of the log, for a server.
    lines: log::Reader,
    clock: Option<WallClock>,
    /// Interrupts that earlier turns knew of.
    interrupts: u32,
    /// How the card is getting on, when it is looked at next, and how often it was reset.
    watch: Watch,
    next_watch_ms: u64,
    resets: u32,
    /// Whose frames the card is to let in, and whose it does.
    stations: Stations,
    wants: Wants,
    admits: Admits,
}

/// A port with nobody there.
struct Nobody;

impl Outlet for Nobody {
    fn send(&mut self, _: Packet) -> Result<(), Refusal> {
        Err(Refusal::Never)
    }
}

/// The card as a port.
struct Uplink {
    nic: Box<dyn Nic>,
    /// Where pieces of long frames come from, if the card does not cut.
    pool: &'static Pool,
    sizes: Sizes,
}

impl Outlet for Uplink {
    fn send(&mut self, mut packet: Packet) -> Result<(), Refusal> {
        if packet.offload().segmentation.is_some() && !self.nic.can_cut(&packet) {
            return self.send_cut(packet);
        }
        if packet.offload().segmentation.is_none() && packet.len() > self.sizes.frame_bytes() {
            return Err(Refusal::Never);
        }
        if !self.nic.can_sum(&packet) && !packet.finish_checksum() {
            return Err(Refusal::Never);
        }
        self.nic.send(packet).map_err(Refusal::Later)
    }
}

impl Uplink {
    /// Sends a frame in pieces, all of them or none.
    fn send_cut(&mut self, packet: Packet) -> Result<(), Refusal> {
        let Some(cutter) = Cutter::of(&packet) else {
            return Err(Refusal::Never);
        };
        let longest = cutter.header_bytes() + cutter.piece_bytes(0).unwrap_or(0);
        if longest > self.sizes.frame_bytes() || cutter.pieces() > MOST_PIECES {
            return Err(Refusal::Never);
        }
        if cutter.pieces() > self.nic.room().min(self.pool.available()) {
            return Err(Refusal::Later(packet));
        }
        for mut piece in Pieces::new(&packet, &cutter, self.pool) {
            if !self.nic.can_sum(&piece) {
                piece.finish_checksum();
            }
            // There is room: it was asked for.
            if self.nic.send(piece).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// What a turn leaves to be done.
enum Rest {
    /// More of the same, at once.
    Busy,
    /// Nothing for so many milliseconds, if nothing happens.
    Idle(Option<u64>),
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
            uplink: Uplink {
                sizes: card.nic.sizes(),
                nic: card.nic,
                pool: card.pool,
            },
            interrupt: card.interrupt,
            lease: None,
            name: None,
            lines: log::Reader::from_oldest(),
            clock: None,
            host,
            consoles: Consoles::default(),
            router: None,
            guests: Vec::new(),
            switch,
            credits: Vec::new(),
            waiting: (0..FIRST_GUEST).map(|_| Deque::new()).collect(),
            link: Link::Down,
            interrupts: 0,
            watch: Watch::default(),
            next_watch_ms: 0,
            resets: 0,
            stations: Stations::default(),
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
                Rest::Idle(Some(ms)) => {
                    alarm::set(Bell::Network, time::tsc() + time::ns_to_tsc(ms * 1_000_000));
                }
                Rest::Idle(None) => {}
            }
            WORK.wait().await;
        }
    }
}

impl State {
    fn turn(&mut self) -> Rest {
        let interrupts = interrupt::count();
        let interrupted = core::mem::replace(&mut self.interrupts, interrupts) != interrupts;
        self.plug_in();
        if self.uplink.nic.acknowledge() == LinkNews::Changed {
            self.look_at_link();
        }
        let now_ms = now_ms();
        self.watch_card(now_ms);
        self.narrow();
        let came = self.switch_from(UPLINK, now_ms);
        let mut most = came;
        for guest in FIRST_GUEST..FIRST_GUEST + self.guests.len() {
            most = most.max(self.switch_from(guest, now_ms));
        }
        if let Some(router) = &mut self.router {
            router.work(&mut self.host, now_ms);
            most = most.max(self.switch_from(ROUTER, now_ms));
        }
        let cause = match self.host.poll(now_ms) {
            News::Nothing => Cause::Turn,
            News::Connections => Cause::Connections,
        };
        if self.consoles.poll(cause, &mut self.host, now_ms) {
            self.host.poll(now_ms);
        }
        if self.send_lines(now_ms) > 0 {
            self.host.poll(now_ms);
        }
        most = most.max(self.switch_from(HOST, now_ms));
        self.uplink.nic.settle();
        let wants = self.guests.iter_mut().map(SwitchEnd::settle);
        let wanted = wants.filter(|want| *want == Want::Room).count() > 0;
        let crowded = wanted || self.waiting.iter().any(|frames| !frames.is_empty());
        self.look_at_lease();
        self.look_at_name();
        self.look_at_clock(now_ms);
        if interrupted {
            self.interrupt.settle(match most {
                0 => Found::Nothing,
                _ => Found::Something,
            });
        } else if came > 0 {
            self.interrupt.missed();
        }
        if most == BURST {
            return Rest::Busy;
        }
        let look_ms = match self.interrupt.trust() {
            Trust::Full => None,
            Trust::Unproven => Some(UNPROVEN_MS),
            Trust::None => Some(POLLED_MS),
        };
        let host_ms = self.host.next_ms(now_ms).map(|ms| ms.max(1));
        let consoles_ms = self.consoles.next_ms(now_ms).map(|ms| ms.max(1));
        let retry_ms = crowded.then_some(RETRY_MS);
        let credit_ms = self.credit_ms(now_ms);
        let watch_ms = Some(self.next_watch_ms.saturating_sub(now_ms).max(1));
        let waits = look_ms.into_iter().chain(host_ms).chain(consoles_ms);
        let waits = waits.chain(watch_ms);
        Rest::Idle(waits.chain(retry_ms).chain(credit_ms).min())
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
                if self.guests.len() + FIRST_GUEST == MAX_PORTS {
                    warn!("network: the switch has no port for another card of the guest");
                    end.set_link(Link::Down);
                    end.settle();
                    continue;
                }
                end.set_link(self.link);
                self.stations.add(mac);
                self.switch.add(setup);
                self.waiting.push(Deque::new());
                let now_us = now_ms() * 1000;
                self.credits
                    .push(rate.map(|rate| Credit::new(rate, now_us)));
                self.guests.push(end);
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
        let progress = self.uplink.nic.progress();
        let Some(hang) = self.watch.look(progress, self.link, now_ms) else {
            return;
        };
        self.resets += 1;
        warn!("network: the card hangs: {hang}; it is reset");
        match self.uplink.nic.restart(&mut card::pause) {
            Ok(()) => info!("network: the card runs again; what was on its way is lost"),
            Err(failure) => {
                self.next_watch_ms = now_ms + RESET_AGAIN_MS;
                warn!(
                    "network: the reset failed: {failure}; the next is in {} s",
                    RESET_AGAIN_MS / 1000
                );
            }
        }
        self.look_at_link();
    }

    /// Tells the card whose frames to let in, where that has changed.
    fn narrow(&mut self) {
        let listens = |guest: &SwitchEnd| guest.wants() == Wants::Everybody;
        let wants = match self.guests.iter().any(listens) {
            true => Wants::Everybody,
            false => Wants::Own,
        };
        if core::mem::replace(&mut self.wants, wants) != wants {
            self.stations.tell_again();
        }
        let Some(crowd) = self.stations.news() else {
            return;
        };
        let filter = match crowd {
            Crowd::Few(stations) if wants == Wants::Own => {
                Filter::Only(stations.iter().map(|mac| mac.0).collect())
            }
            _ => Filter::Everybody,
        };
        self.admits = self.uplink.nic.set_filter(&filter);
    }

    fn look_at_link(&mut self) {
        let link = self.uplink.nic.link();
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
        for guest in &mut self.guests {
            guest.set_link(link);
        }
        if link == Link::Up {
            self.host.link_came_up(now_ms());
        }
    }

    /// Lines of the log for their server; how many.
    fn send_lines(&mut self, now_ms: u64) -> usize {
        if !LOGS.load(Ordering::Relaxed) {
            return 0;
        }
        let mut sent = 0;
        while sent < TURN_LINES
            && self.host.takes_lines()
            && let Some(line) = self.lines.next_line()
        {
            let severity = match line.severity {
                log::Severity::Info => syslog::Severity::Info,
                log::Severity::Warning => syslog::Severity::Warning,
                log::Severity::Error => syslog::Severity::Error,
            };
            let written_ms = time::tsc_to_ns(line.tsc) / 1_000_000;
            let age_ms = now_ms.saturating_sub(written_ms);
            self.host.log(severity, line.text(), age_ms, now_ms);
            sent += 1;
        }
        // The rest has its turn, without an alarm of its own.
        if sent == TURN_LINES {
            WORK.raise();
        }
        sent
    }

    fn look_at_clock(&mut self, now_ms: u64) {
        let clock = self.host.clock();
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
    }

    /// Says so where somebody else has the name that the host was to have.
    fn look_at_name(&mut self) {
        let name = self.host.name();
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

    fn look_at_lease(&mut self) {
        let lease = self.host.lease();
        let told = self.host.surroundings();
        let is_followed = |router: &Router| {
            let known = router.outside().map(|it| (it.lease, &it.told));
            known == lease.map(|lease| (lease, told))
        };
        let follows = self.router.as_ref().is_none_or(is_followed);
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

    /// Switches frames that came in at a port, those that wait first; how many.
    fn switch_from(&mut self, from: Port, now_ms: u64) -> usize {
        let mut frames = core::mem::take(&mut self.waiting[from]);
        while !frames.is_full()
            && let Some(packet) = self.fetch(from, now_ms)
        {
            // It was not full.
            let _ = frames.push_back(packet);
        }
        let count = frames.len();
        if count == 0 {
            return 0;
        }
        let mut nobody = Nobody;
        let mut outlets: Few<&mut dyn Outlet, MAX_PORTS> = Few::new();
        // There is room for all: `plug_in` sees to it.
        let _ = outlets.push(&mut self.uplink);
        let (host, router): (&mut dyn Outlet, &mut dyn Outlet) = match &mut self.router {
            // It looks at what is for the host's address before the host does.
            Some(router) => {
                let (outside, inside) = router.ends();
                (outside, inside)
            }
            None => (&mut self.host, &mut nobody),
        };
        let _ = outlets.push(host);
        let _ = outlets.push(router);
        for guest in &mut self.guests {
            let _ = outlets.push(guest);
        }
        while let Some(packet) = frames.pop_front() {
            if let Some(packet) = self.switch.pass(from, packet, now_ms, &mut outlets) {
                // It comes from there.
                let _ = frames.push_front(packet);
                break;
            }
        }
        let passed = count - frames.len();
        self.waiting[from] = frames;
        passed
    }

    /// The next frame that a port brings.
    fn fetch(&mut self, from: Port, now_ms: u64) -> Option<Packet> {
        match from {
            UPLINK => self.uplink.nic.receive(),
            HOST => self.host.take().or_else(|| self.routed(Face::Outside)),
            ROUTER => self.routed(Face::Inside),
            guest => self.fetch_from_guest(guest - FIRST_GUEST, now_ms),
        }
    }

    /// The next frame that the router sends to a side.
    fn routed(&mut self, face: Face) -> Option<Packet> {
        self.router.as_mut()?.take(face)
    }

    /// Tells the router of the host's address.
    fn guide_router(&mut self) {
        let Some(router) = &mut self.router else {
            return;
        };
        router.set_outside(self.lease.map(|lease| Outside {
            lease,
            told: self.host.surroundings().clone(),
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

    /// One that has sent all that it may waits: its cable fills, and its driver sees that.
    fn fetch_from_guest(&mut self, guest: usize, now_ms: u64) -> Option<Packet> {
        let end = self.guests.get_mut(guest)?;
        let Some(credit) = self.credits.get_mut(guest)?.as_mut() else {
            let packet = end.receive()?;
            self.stations.note(packet.frame());
            return Some(packet);
        };
        if credit.wait_us(now_ms * 1000) > 0 {
            return None;
        }
        let packet = end.receive()?;
        self.stations.note(packet.frame());
        credit.spend(packet.len());
        Some(packet)
    }

    /// When the first guest that is out of credit has some again.
    fn credit_ms(&mut self, now_ms: u64) -> Option<u64> {
        let limits = self.credits.iter_mut().flatten();
        let waits = limits.map(|credit| credit.wait_us(now_ms * 1000));
        let waits = waits.filter(|wait_us| *wait_us > 0);
        waits.min().map(|wait_us| wait_us.div_ceil(1000))
    }

    fn write(&mut self, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        let nic = &mut self.uplink.nic;
        write!(
            out,
            "network: {}, {}, link ",
            nic.name(),
            Mac(nic.address())
        )?;
        out.write_str(match self.link {
            Link::Up => "up, host at ",
            Link::Down => "down, host at ",
        })?;
        match self.lease {
            Some(lease) => writeln!(out, "{lease}")?,
            None => writeln!(out, "no address")?,
        }
        if let Some(name) = self.host.name() {
            write!(out, "         {}.local", name.as_str())?;
            self.host
                .v6_addresses()
                .try_for_each(|address| write!(out, ", {address}"))?;
            writeln!(out)?;
        }
        self.consoles.write(self.lease, out)?;
        for port in 0..FIRST_GUEST + self.guests.len() {
            let counters = self.switch.counters(port);
            match port {
                UPLINK => write!(out, "         uplink: ")?,
                HOST => write!(out, "         host:   ")?,
                ROUTER => {
                    self.write_router(out)?;
                    continue;
                }
                guest => write!(out, "         vif {}:  ", guest - FIRST_GUEST)?,
            }
            write_counters(counters, out)?;
        }
        writeln!(
            out,
            "         {} interrupts, {} frames damaged or missed by the card, {} resets, {}, {} of {} buffers free",
            interrupt::count(),
            self.uplink.nic.faults(),
            self.resets,
            match self.admits {
                Admits::Everybody => "promiscuous",
                Admits::Named => "filtered",
            },
            self.uplink.pool.available(),
            self.uplink.pool.count()
        )
    }
}

impl State {
    fn write_router(&self, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        let Some(router) = &self.router else {
            return Ok(());
        };
        let (counters, flows) = router.counters();
        writeln!(
            out,
            "         nat:    {}/24, {flows} conversations, {counters}",
            router.address()
        )?;
        router
            .forwards()
            .try_for_each(|(forward, to)| writeln!(out, "         forward {forward} to {to}"))
    }
}

fn write_counters(counters: Counters, out: &mut (impl Write + ?Sized)) -> fmt::Result {
    let Counters {
        received,
        received_bytes,
        sent,
        sent_bytes,
        refused,
        lost,
    } = counters;
    writeln!(
        out,
        "{received} frames in ({received_bytes} bytes), {sent} out ({sent_bytes} bytes), {refused} refused, {lost} lost"
    )
}

/// Serves the consoles that are asked for, and uses the servers that are named, from now on. On the service CPU, before the guest has
/// its memory, which theirs has to be taken before.
pub fn serve(config: &Config) {
    let mut state = STATE.lock();
    let Some(state) = state.as_mut() else {
        return consoles::refuse(&config.consoles);
    };
    let host = &mut state.host;
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
        let uplink = &state.uplink;
        let router = Router::new(setup, Mac(uplink.nic.address()), uplink.pool, seed());
        info!(
            "network: guests behind the host's address have {} for a router",
            router.address()
        );
        state.switch.set_station(ROUTER, Some(router.mac()));
        state.router = Some(router);
        state.guide_router();
    }
    if let Some(lease) = state.lease {
        state.consoles.announce(lease);
    }
    WORK.raise();
}

/// There are new lines in the log.
pub fn new_lines() {
    if LOGS.load(Ordering::Relaxed) {
        WORK.raise();
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
