//! Consoles over the network: which are served, and to whom.

use super::WORK;
use super::lines::{Own, Serial};
use super::viewers::Viewers;
use crate::service::alarm::{self, Bell};
use crate::service::console::LINE;
use crate::{info, time, warn};
use appliance::config::{Admission, Consoles as Wanted, Dialect, Endpoint, Terminal as Place};
use core::fmt::{self, Write};
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use net::host::{Host, Lease};
use net::server::door::{Counters, Door, Shape};
use net::server::login::Login;
use net::server::telnet::Telnet;
use net::server::terminal::Terminal;

/// There is something for those who are connected.
static NEWS: AtomicBool = AtomicBool::new(false);
/// When they were served last (host's TSC).
static SERVED: AtomicU64 = AtomicU64::new(0);
/// A guest writes byte by byte: what comes within this time goes out together.
const GATHER_NS: u64 = 5_000_000;

const LINE_SHAPE: Shape = Shape {
    places: 4,
    receive_bytes: 1024,
    send_bytes: 8192,
};

/// Has the consoles looked at: there is something for those who are connected. From a task.
pub fn wake() {
    if NEWS.swap(true, Ordering::AcqRel) {
        return;
    }
    let due = SERVED.load(Ordering::Relaxed) + time::ns_to_tsc(GATHER_NS);
    match due <= time::tsc() {
        true => WORK.raise(),
        false => alarm::advance(Bell::Network, due),
    }
}

/// Whether [`wake`] was called since they were served.
#[inline]
pub fn have_news() -> bool {
    NEWS.load(Ordering::Relaxed)
}

/// All of them.
#[derive(Default)]
pub struct Consoles {
    serial: Option<Served<Serial>>,
    prompt: Option<Served<Own>>,
    vnc: Option<Viewers>,
    /// When they have something to do by themselves.
    next_ms: Option<u64>,
}

struct Served<L> {
    place: Place,
    door: Door<Terminal<L>>,
}

/// Why consoles are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something came or went on a connection.
    Connections,
    /// Perhaps nothing.
    Turn,
}

impl Consoles {
    /// Opens their doors; `name` is the guest's.
    pub fn open(wanted: &Wanted, name: &str, host: &mut Host) -> Self {
        if wanted.serial.is_some() {
            LINE.prepare();
        }
        Self {
            serial: wanted.serial.as_ref().map(|it| Served::new(it, host)),
            prompt: wanted.prompt.as_ref().map(|it| Served::new(it, host)),
            vnc: wanted.vnc.as_ref().map(|it| Viewers::new(it, name, host)),
            next_ms: Some(0),
        }
    }

    /// Serves whom there is something for. True if the stack has something to send now.
    pub fn poll(&mut self, cause: Cause, host: &mut Host, now_ms: u64) -> bool {
        let due = self.next_ms.is_some_and(|next_ms| next_ms <= now_ms);
        let news = have_news() && NEWS.swap(false, Ordering::AcqRel);
        if !due && !news && cause == Cause::Turn {
            return false;
        }
        SERVED.store(time::tsc(), Ordering::Relaxed);
        let serial = self.serial.as_mut().and_then(|it| it.poll(host, now_ms));
        let prompt = self.prompt.as_mut().and_then(|it| it.poll(host, now_ms));
        let vnc = self.vnc.as_mut().and_then(|it| it.poll(host, now_ms));
        let waits = [serial, prompt, vnc].into_iter().flatten();
        self.next_ms = waits.min().map(|wait_ms| now_ms + wait_ms);
        true
    }

    /// When they want to be polled, in milliseconds from `now_ms`.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        self.next_ms.map(|next_ms| next_ms.saturating_sub(now_ms))
    }

    fn list(&self) -> impl Iterator<Item = (&'static str, Endpoint, &'static str, Counters)> {
        let serial = self.serial.as_ref().map(|it| it.describe("serial line"));
        let prompt = self.prompt.as_ref().map(|it| it.describe("prompt"));
        let vnc = self.vnc.as_ref().map(Viewers::describe);
        serial.into_iter().chain(prompt).chain(vnc)
    }

    /// Tells people where they are, now that the host has an address.
    pub fn announce(&self, lease: Lease) {
        for (name, endpoint, dialect, _) in self.list() {
            info!(
                "network: {name} at {}, {dialect}",
                Reached { endpoint, lease }
            );
        }
    }

    /// A line a console.
    pub fn write(&self, lease: Option<Lease>, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        for (name, endpoint, dialect, counters) in self.list() {
            write!(out, "         {name} at ")?;
            match lease {
                Some(lease) => write!(out, "{}", Reached { endpoint, lease })?,
                None => write!(out, "{endpoint}")?,
            }
            writeln!(
                out,
                ", {dialect}: {} connections so far, {} unfinished, {} sent away for others",
                counters.connections, counters.unfinished, counters.displaced
            )?;
        }
        self.vnc.as_ref().map_or(Ok(()), |it| it.write(out))
    }
}

/// An endpoint as somebody would type it.
struct Reached {
    endpoint: Endpoint,
    lease: Lease,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.endpoint.address {
            Some(_) => self.endpoint.fmt(f),
            None => SocketAddr::new(self.lease.address.into(), self.endpoint.port).fmt(f),
        }
    }
}

impl<L: net::server::terminal::Line + Default> Served<L> {
    fn new(place: &Place, host: &mut Host) -> Self {
        let Endpoint { address, port } = place.endpoint;
        Self {
            place: place.clone(),
            door: Door::new(host, address, port, LINE_SHAPE),
        }
    }

    fn poll(&mut self, host: &mut Host, now_ms: u64) -> Option<u64> {
        let place = &self.place;
        self.door.poll(host, now_ms, &mut (), |(), peer| {
            info!("network: {peer} is connected to {}", place.endpoint);
            let telnet = match place.dialect {
                Dialect::Raw => None,
                Dialect::Telnet => Some(Telnet::new()),
            };
            let login = match &place.admission {
                Admission::Anybody => None,
                Admission::Password(password) => Some(Login::new(password.as_bytes(), now_ms)),
            };
            Terminal::new(telnet, login, L::default())
        })
    }

    fn describe(&self, name: &'static str) -> (&'static str, Endpoint, &'static str, Counters) {
        let dialect = match self.place.dialect {
            Dialect::Raw => "raw",
            Dialect::Telnet => "telnet",
        };
        (name, self.place.endpoint, dialect, self.door.counters())
    }
}

/// Says that consoles were asked for in vain.
pub fn refuse(wanted: &Wanted) {
    if *wanted != Wanted::default() {
        warn!("network: consoles are asked for, but there is no network card that has a driver");
    }
}
