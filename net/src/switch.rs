//! An L2 switch that learns (IEEE 802.1Q, clause 8): which ports a frame goes to.
//!
//! VLAN tags pass unchanged; a station is learned for its VLAN (independent learning), untagged being one more VLAN. Frames for the
//! addresses that bridges keep to themselves (802.1Q, table 8-1) and frames that no station can have sent are dropped.

mod frame;
mod table;

use crate::Mac;
use alloc::vec::Vec;
use frame::{Header, Tagged};
use hvm::packet::Packet;
use hvm::vlan;
use table::{Learned, Station, Table};

/// A port's number: its place in the order of [`Switch::new`].
pub type Port = usize;

/// Whose addresses a port's frames may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Any but those that are fixed to other ports.
    Any,
    /// This one alone: nobody there can pass for somebody else.
    Only(Mac),
}

/// What becomes of a frame that finds no room where it is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits a while, and those behind it: for senders that can be made to wait.
    Wait,
    /// It is lost: nobody who does not fetch his frames holds up others'.
    Lose,
}

/// Which VLANs a port carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vlans {
    /// All, with their tags.
    All,
    /// This one, whose tag is put on frames that come in and taken off those that go out; tagged frames are not taken. 0: frames without
    /// a VLAN.
    Access(u16),
    /// None of them: a network of its own, of those ports that say so. Tagged frames are not taken.
    Private,
}

/// What the private network's frames have for a VLAN here: a number that no tag can hold.
const PRIVATE: u16 = 0x1000;

/// How a port is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSetup {
    /// The one station there, if it is known; nobody else's frames teach the switch otherwise.
    pub station: Option<Mac>,
    /// Whom its frames may come from.
    pub sources: Sources,
    /// What becomes of its frames where there is no room for them.
    pub when_full: WhenFull,
    /// Which VLANs it carries.
    pub vlans: Vlans,
}

/// Why a frame was not taken.
#[derive(Debug)]
pub enum Refusal {
    /// There is no room for it now.
    Later(Packet),
    /// It cannot go there at all.
    Never,
}

/// Where a port leads.
pub trait Outlet {
    /// Takes a frame.
    fn send(&mut self, packet: Packet) -> Result<(), Refusal>;
}

/// Where all ports lead.
pub trait Outlets {
    /// Hands a frame to a port. One that leads nowhere takes none, ever.
    fn send(&mut self, to: Port, packet: Packet) -> Result<(), Refusal>;
}

impl<O: Outlet + ?Sized, const PORTS: usize> Outlets for [&mut O; PORTS] {
    fn send(&mut self, to: Port, packet: Packet) -> Result<(), Refusal> {
        match self.get_mut(to) {
            Some(outlet) => outlet.send(packet),
            None => Err(Refusal::Never),
        }
    }
}

/// How long a frame waits for room at the one port where it is to go. A port that has had none for longer is taken to be dead: what goes
/// there is lost at once, until it takes a frame again, so that nobody waits for it twice.
pub const PATIENCE_MS: u64 = 20;

/// What has passed a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that came in, and their bytes.
    pub received: u64,
    /// See `received`.
    pub received_bytes: u64,
    /// Frames that went out, and their bytes.
    pub sent: u64,
    /// See `sent`.
    pub sent_bytes: u64,
    /// Frames that came in and go nowhere: malformed, kept from passing, or from an address that may not be here.
    pub refused: u64,
    /// Frames that should have gone out and found no room, or no buffer for a copy.
    pub lost: u64,
}

struct PortState {
    setup: PortSetup,
    counters: Counters,
    /// It takes nothing since then.
    full_since_ms: Option<u64>,
    /// What was decided for the last frame from there.
    last: Option<Decision>,
}

/// A way that was found. It holds for frames with the same header, until the second is over, which stations are heard of anew in and age
/// by, or anything changes that it was found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decision {
    /// What the way was found by: see [`frame::key`].
    key: [u64; 2],
    now_s: u64,
    generation: u64,
    vlan: u16,
    way: Way,
}

/// The switch.
pub struct Switch {
    ports: Vec<PortState>,
    table: Table,
    /// Counts changes of where stations are, and of ports.
    generation: u64,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    One(Port),
    AllOthers,
    Nowhere,
    Refused,
}

impl Switch {
    /// A switch with ports.
    pub fn new(ports: impl IntoIterator<Item = PortSetup>) -> Self {
        let mut switch = Self {
            ports: Vec::new(),
            table: Table::new(),
            generation: 0,
        };
        for setup in ports {
            switch.add(setup);
        }
        switch
    }

    /// What has passed a port so far.
    pub fn counters(&self, port: Port) -> Counters {
        self.ports
            .get(port)
            .map_or_else(Counters::default, |port| port.counters)
    }

    /// One more port.
    pub fn add(&mut self, setup: PortSetup) -> Port {
        self.ports.push(PortState {
            setup,
            counters: Counters::default(),
            full_since_ms: None,
            last: None,
        });
        self.generation += 1;
        self.ports.len() - 1
    }

    /// The station of a port has another address now, or is known no more.
    pub fn set_station(&mut self, port: Port, station: Option<Mac>) {
        if let Some(port) = self.ports.get_mut(port) {
            port.setup.station = station;
        }
        self.generation += 1;
    }

    /// Passes a frame that came in at `from` on to `outlets`, one for each port, at `now_ms` of a clock that never goes back. Gives it
    /// back where it has to wait: then it is to be passed again before others from there.
    #[must_use]
    pub fn pass(
        &mut self,
        from: Port,
        packet: Packet,
        now_ms: u64,
        outlets: &mut impl Outlets,
    ) -> Option<Packet> {
        let bytes = packet.whole_len() as u64;
        let setup = self.ports.get(from)?.setup;
        let now_s = now_ms / 1000;
        let (way, vlan, admitted) = match self.known_way(from, &packet, now_s) {
            Some((way, vlan)) => (way, vlan, Some(packet)),
            None => self.find_way(from, setup.vlans, packet, now_s),
        };
        let back = match (way, admitted) {
            (Way::Refused | Way::Nowhere, _) | (_, None) => None,
            (Way::One(to), Some(packet)) => match self.hand_over(to, packet, now_ms, outlets) {
                Some(_) if setup.when_full == WhenFull::Lose => {
                    self.ports[to].counters.lost += 1;
                    None
                }
                back => back,
            },
            (Way::AllOthers, Some(packet)) => {
                self.flood(from, vlan, packet, now_ms, outlets);
                None
            }
        };
        if let (None, Some(port)) = (&back, self.ports.get_mut(from)) {
            port.counters.received += 1;
            port.counters.received_bytes += bytes;
            port.counters.refused += u64::from(way == Way::Refused);
        }
        back.map(|mut packet| {
            if let Vlans::Access(1..) = setup.vlans {
                vlan::remove(&mut packet);
            }
            packet
        })
    }

    /// Hands a frame to all ports but one; it waits for none of them.
    fn flood(
        &mut self,
        from: Port,
        vlan: u16,
        packet: Packet,
        now_ms: u64,
        outlets: &mut impl Outlets,
    ) {
        let count = self.ports.len();
        let takes = |switch: &Self, port: Port| port != from && switch.carries(port, vlan);
        let Some(last) = (0..count).rev().find(|port| takes(self, *port)) else {
            return;
        };
        for to in 0..last {
            if !takes(self, to) {
                continue;
            }
            match packet.duplicate() {
                Some(copy) => self.hand_over_or_lose(to, copy, now_ms, outlets),
                None => self.ports[to].counters.lost += 1,
            }
        }
        self.hand_over_or_lose(last, packet, now_ms, outlets);
    }

    fn carries(&self, port: Port, vlan: u16) -> bool {
        match self.ports.get(port).map(|port| port.setup.vlans) {
            Some(Vlans::All) => vlan != PRIVATE,
            Some(Vlans::Access(own)) => own == vlan,
            Some(Vlans::Private) => vlan == PRIVATE,
            None => false,
        }
    }

    #[inline(never)]
    fn hand_over_or_lose(
        &mut self,
        to: Port,
        packet: Packet,
        now_ms: u64,
        outlets: &mut impl Outlets,
    ) {
        if self.hand_over(to, packet, now_ms, outlets).is_some() {
            self.ports[to].counters.lost += 1;
        }
    }

    /// Hands a frame to a port, or gives it back if it may wait for it.
    #[inline(always)]
    fn hand_over(
        &mut self,
        to: Port,
        mut packet: Packet,
        now_ms: u64,
        outlets: &mut impl Outlets,
    ) -> Option<Packet> {
        let port = self.ports.get_mut(to)?;
        let tag = match port.setup.vlans {
            Vlans::Access(1..) => vlan::remove(&mut packet),
            Vlans::Access(0) | Vlans::All | Vlans::Private => None,
        };
        let bytes = packet.whole_len() as u64;
        match outlets.send(to, packet) {
            Ok(()) => {
                port.full_since_ms = None;
                port.counters.sent += 1;
                port.counters.sent_bytes += bytes;
                None
            }
            Err(Refusal::Later(mut packet)) => {
                if let Some(control) = tag {
                    // Its room is there: it was just taken off.
                    vlan::insert(&mut packet, control);
                }
                let since_ms = *port.full_since_ms.get_or_insert(now_ms);
                if now_ms.saturating_sub(since_ms) < PATIENCE_MS {
                    return Some(packet);
                }
                port.counters.lost += 1;
                None
            }
            Err(Refusal::Never) => {
                port.counters.lost += 1;
                None
            }
        }
    }

    /// Whether a frame from `from` will go to `to` alone, unchanged, because the one before it did that had the same header.
    #[inline]
    pub fn knows_way(&self, from: Port, packet: &Packet, to: Port, now_ms: u64) -> bool {
        let known = self.known_way(from, packet, now_ms / 1000);
        known.is_some_and(|(way, _)| way == Way::One(to))
    }

    /// Where the frame before it went that had the same header. Frames come in trains, so most often there is one.
    #[inline]
    fn known_way(&self, from: Port, packet: &Packet, now_s: u64) -> Option<(Way, u16)> {
        let last = self.ports.get(from)?.last.as_ref()?;
        let holds = last.now_s == now_s
            && last.generation == self.generation
            && last.key == frame::key(packet.frame())?;
        holds.then_some((last.way, last.vlan))
    }

    /// Takes a frame into its port's VLAN and decides. Decisions for ports whose frames are not changed on the way are remembered.
    #[inline(never)]
    fn find_way(
        &mut self,
        from: Port,
        vlans: Vlans,
        packet: Packet,
        now_s: u64,
    ) -> (Way, u16, Option<Packet>) {
        let key = frame::key(packet.frame()).filter(|_| vlans == Vlans::All);
        let Some((packet, header)) = admit(vlans, packet) else {
            return (Way::Refused, 0, None);
        };
        let way = self.decide(from, &header, now_s);
        let generation = self.generation;
        if let (Some(key), Some(port)) = (key, self.ports.get_mut(from)) {
            port.last = Some(Decision {
                key,
                now_s,
                generation,
                vlan: header.vlan,
                way,
            });
        }
        (way, header.vlan, Some(packet))
    }

    /// Decides, and learns.
    fn decide(&mut self, from: Port, header: &Header, now_s: u64) -> Way {
        if !header.source.is_station() || header.is_reserved() || !self.may_send(from, header) {
            return Way::Refused;
        }
        if self.fixed(header.source).is_none() {
            let station = Station {
                mac: header.source,
                vlan: header.vlan,
            };
            if self.table.learn(station, from, now_s) == Learned::New {
                self.generation += 1;
            }
        }
        if header.destination.is_group() {
            return Way::AllOthers;
        }
        let known = self.fixed(header.destination).or_else(|| {
            let station = Station {
                mac: header.destination,
                vlan: header.vlan,
            };
            self.table.find(station, now_s)
        });
        match known {
            Some(to) if to == from => Way::Nowhere,
            Some(to) if self.carries(to, header.vlan) => Way::One(to),
            _ => Way::AllOthers,
        }
    }

    /// The port that an address is fixed to.
    fn fixed(&self, mac: Mac) -> Option<Port> {
        self.ports
            .iter()
            .position(|port| port.setup.station == Some(mac))
    }

    fn may_send(&self, from: Port, header: &Header) -> bool {
        let allowed = match self.ports.get(from).map(|port| port.setup.sources) {
            Some(Sources::Any) => true,
            Some(Sources::Only(mac)) => header.source == mac,
            None => false,
        };
        allowed && self.fixed(header.source).is_none_or(|port| port == from)
    }
}

/// Takes a frame into its port's VLAN; `None` if it may not be there, or is no frame.
fn admit(vlans: Vlans, mut packet: Packet) -> Option<(Packet, Header)> {
    let header = Header::read(packet.frame())?;
    let own = match vlans {
        Vlans::All => return Some((packet, header)),
        Vlans::Access(own) => own,
        Vlans::Private => PRIVATE,
    };
    let is_marked = !matches!(own, 0 | PRIVATE);
    if header.tagged == Tagged::Yes || is_marked && !vlan::insert(&mut packet, own) {
        return None;
    }
    let header = Header {
        vlan: own,
        ..header
    };
    Some((packet, header))
}

#[cfg(test)]
mod tests;
