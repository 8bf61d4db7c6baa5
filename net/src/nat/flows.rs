//! Who talks with whom through the translation: mappings and flows, a fixed number of each.
//!
//! A **mapping** gives an end inside (address and port) a port of the host's address, the same whoever it talks with (RFC 4787, 4.1:
//! endpoint-independent). A **flow** is one conversation over a mapping. What comes from outside finds its flow, or, at a mapping that
//! has one with the same station, begins another (address-dependent filtering, RFC 4787, 5); forwards take what comes from anybody.

use super::index::{Index, Order};
use super::wire::Protocol;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

/// Flows that there may be at a time; one more ends the one that is missed least.
pub const MAX_FLOWS: usize = 4096;
/// Mappings: one for each flow, and forwards.
const MAX_MAPPINGS: usize = MAX_FLOWS + MAX_FORWARDS;
/// Ports that lead inside.
pub const MAX_FORWARDS: usize = 64;
/// Ports that are looked at when the guest's own is taken.
const TRIES: u16 = 256;
/// Ports below are those of services.
const FIRST_FREE_PORT: u16 = 1024;

/// What a flow waits for, which decides how long (RFC 4787, 4.3; RFC 5382, 5; RFC 5508, 3.2), and which one goes when there is no room.
/// The first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// TCP that only one side has spoken on.
    Opening,
    /// TCP that is over.
    Closing,
    Echo,
    Datagrams,
    /// TCP.
    Open,
}

const STAGES: [Stage; 5] = [
    Stage::Opening,
    Stage::Closing,
    Stage::Echo,
    Stage::Datagrams,
    Stage::Open,
];

impl Stage {
    const fn limit_ms(self) -> u64 {
        match self {
            Self::Opening | Self::Closing => 240_000,
            Self::Echo => 60_000,
            Self::Datagrams => 300_000,
            Self::Open => 7_440_000,
        }
    }
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Out,
    In,
}

/// TCP's flags that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub syn: bool,
    pub fin: bool,
    pub reset: bool,
}

impl Flags {
    /// From the flags' byte.
    pub fn of(byte: u8) -> Self {
        Self {
            syn: byte & 0x02 != 0,
            fin: byte & 0x01 != 0,
            reset: byte & 0x04 != 0,
        }
    }
}

/// One conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub protocol: Protocol,
    /// Who it is inside.
    pub inside: SocketAddrV4,
    /// Its port at the host's address.
    pub outside_port: u16,
    /// Who is outside.
    pub remote: SocketAddrV4,
    /// Whom the one inside takes that for.
    pub seen_as: SocketAddrV4,
    stage: Stage,
    used_ms: u64,
    mapping: usize,
    /// Bits of [`Direction`]: who has spoken, and who will say no more.
    spoken: u8,
    ended: u8,
    /// Packets out since the last one in.
    pub unanswered: u8,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    protocol: Protocol,
    inside: SocketAddrV4,
    outside_port: u16,
    kind: Kind,
    /// Flows that use it.
    users: u32,
}

/// Where a mapping comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The configuration: it stays, and takes what comes from anybody.
    Forward,
    /// What somebody inside sent: it goes with its last flow.
    Learned,
}

/// What there is of something in a fixed number of slots.
struct Slots<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T: Copy> Slots<T> {
    fn new(count: usize) -> Self {
        Self {
            slots: alloc::vec![None; count],
            free: (0..count as u32).rev().collect(),
        }
    }

    fn add(&mut self, item: T) -> Option<usize> {
        let slot = self.free.pop()? as usize;
        self.slots[slot] = Some(item);
        Some(slot)
    }

    fn remove(&mut self, slot: usize) -> Option<T> {
        let item = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot as u32);
        Some(item)
    }

    fn get(&self, slot: usize) -> Option<&T> {
        self.slots.get(slot)?.as_ref()
    }

    fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.slots.get_mut(slot)?.as_mut()
    }

    fn used(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

/// All of them.
pub struct Flows {
    flows: Slots<Flow>,
    orders: [Order; STAGES.len()],
    by_inside: Index,
    by_outside: Index,
    by_station: Index,
    mappings: Slots<Mapping>,
    mapped_inside: Index,
    mapped_port: Index,
    /// Ports of the host's own.
    reserved: Vec<(Protocol, u16)>,
    seed: u64,
    dice: u64,
}

/// Why a forward cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken;

impl Flows {
    /// None yet. `reserved` are ports that are never given out; `seed` is what nobody can guess.
    pub fn new(reserved: Vec<(Protocol, u16)>, seed: u64) -> Self {
        Self {
            flows: Slots::new(MAX_FLOWS),
            orders: STAGES.map(|_| Order::new(MAX_FLOWS)),
            by_inside: Index::new(MAX_FLOWS),
            by_outside: Index::new(MAX_FLOWS),
            by_station: Index::new(MAX_FLOWS),
            mappings: Slots::new(MAX_MAPPINGS),
            mapped_inside: Index::new(MAX_MAPPINGS),
            mapped_port: Index::new(MAX_MAPPINGS),
            reserved,
            seed,
            dice: seed | 1,
        }
    }

    /// How many flows there are.
    pub fn count(&self) -> usize {
        self.flows.used()
    }

    /// Leads what comes at a port of the host's to an end inside.
    pub fn forward(
        &mut self,
        protocol: Protocol,
        port: u16,
        inside: SocketAddrV4,
    ) -> Result<(), Taken> {
        if self.at_port(protocol, port).is_some() || self.reserved.contains(&(protocol, port)) {
            return Err(Taken);
        }
        let mapping = Mapping {
            protocol,
            inside,
            outside_port: port,
            kind: Kind::Forward,
            users: 0,
        };
        self.add_mapping(mapping).map(drop).ok_or(Taken)
    }

    /// Ends all flows: the host has another address.
    pub fn clear(&mut self) {
        for slot in 0..MAX_FLOWS {
            self.remove(slot);
        }
    }

    /// Ends those that nobody has used for long enough.
    pub fn expire(&mut self, now_ms: u64) {
        for stage in STAGES {
            while let Some(slot) = self.orders[stage as usize].oldest() {
                let used_ms = self.flows.get(slot).map_or(0, |flow| flow.used_ms);
                if now_ms.saturating_sub(used_ms) < stage.limit_ms() {
                    break;
                }
                self.remove(slot);
            }
        }
    }

    /// The flow of a packet on its way out: as the one inside sees both ends. `remote` says whom it really is for, if it is the first.
    pub fn leaving(
        &mut self,
        protocol: Protocol,
        inside: SocketAddrV4,
        seen_as: SocketAddrV4,
        remote: impl FnOnce() -> SocketAddrV4,
        now_ms: u64,
    ) -> Option<usize> {
        if let Some(slot) = self.of_inside(protocol, inside, seen_as) {
            return Some(slot);
        }
        let remote = remote();
        self.make_room();
        let mapping = match self.of_mapped(protocol, inside) {
            Some(mapping) => mapping,
            None => {
                let outside_port = self.choose_port(protocol, inside.port())?;
                self.add_mapping(Mapping {
                    protocol,
                    inside,
                    outside_port,
                    kind: Kind::Learned,
                    users: 0,
                })?
            }
        };
        self.add(mapping, remote, seen_as, now_ms)
    }

    /// The flow of a packet that came from `remote` at a port of the host's; `None` if it is not for anybody inside.
    pub fn arriving(
        &mut self,
        protocol: Protocol,
        port: u16,
        remote: SocketAddrV4,
        flags: Flags,
        now_ms: u64,
    ) -> Option<usize> {
        if let Some(slot) = self.of_outside(protocol, port, remote) {
            return Some(slot);
        }
        let mapping = self.at_port(protocol, port)?;
        let is_forward = self.mappings.get(mapping)?.kind == Kind::Forward;
        let begins = match protocol {
            Protocol::Tcp => flags.syn,
            Protocol::Udp => true,
            Protocol::Echo => false,
        };
        if !begins || !is_forward && !self.knows_station(protocol, port, *remote.ip()) {
            return None;
        }
        self.make_room();
        // Making room may have ended the last flow of a mapping that is no forward.
        let mapping = self.at_port(protocol, port)?;
        self.add(mapping, remote, remote, now_ms)
    }

    /// A flow as it stands outside, without making one.
    pub fn of_outside(&self, protocol: Protocol, port: u16, remote: SocketAddrV4) -> Option<usize> {
        self.by_outside
            .find(self.hash_outside(protocol, port, remote), |slot| {
                self.flows.get(slot).is_some_and(|flow| {
                    (flow.protocol, flow.outside_port, flow.remote) == (protocol, port, remote)
                })
            })
    }

    /// A flow as it stands inside, without making one.
    pub fn of_inside(
        &self,
        protocol: Protocol,
        inside: SocketAddrV4,
        seen_as: SocketAddrV4,
    ) -> Option<usize> {
        self.by_inside
            .find(self.hash_inside(protocol, inside, seen_as), |slot| {
                self.flows.get(slot).is_some_and(|flow| {
                    (flow.protocol, flow.inside, flow.seen_as) == (protocol, inside, seen_as)
                })
            })
    }

    /// Whether something inside has this port.
    pub fn has_port(&self, protocol: Protocol, port: u16) -> bool {
        self.at_port(protocol, port).is_some()
    }

    /// The flow in a slot.
    pub fn get(&self, slot: usize) -> Option<Flow> {
        self.flows.get(slot).copied()
    }

    /// A packet passes.
    pub fn touch(&mut self, slot: usize, direction: Direction, flags: Flags, now_ms: u64) {
        let Some(flow) = self.flows.get_mut(slot) else {
            return;
        };
        let before = flow.stage;
        flow.used_ms = now_ms;
        flow.unanswered = match direction {
            Direction::Out => flow.unanswered.saturating_add(1),
            Direction::In => 0,
        };
        if flow.protocol == Protocol::Tcp {
            flow.follow(direction, flags);
        }
        let after = flow.stage;
        self.orders[before as usize].remove(slot);
        self.orders[after as usize].push(slot);
    }

    /// Ends a flow, if there is one in this slot.
    pub fn remove(&mut self, slot: usize) {
        let Some(flow) = self.flows.remove(slot) else {
            return;
        };
        self.orders[flow.stage as usize].remove(slot);
        let inside = self.hash_inside(flow.protocol, flow.inside, flow.seen_as);
        self.by_inside.remove(inside, slot);
        let outside = self.hash_outside(flow.protocol, flow.outside_port, flow.remote);
        self.by_outside.remove(outside, slot);
        let station = self.hash_station(flow.protocol, flow.outside_port, *flow.remote.ip());
        self.by_station.remove(station, slot);
        let Some(mapping) = self.mappings.get_mut(flow.mapping) else {
            return;
        };
        mapping.users -= 1;
        if mapping.users == 0 && mapping.kind == Kind::Learned {
            self.remove_mapping(flow.mapping);
        }
    }

    fn make_room(&mut self) {
        if self.flows.used() < MAX_FLOWS {
            return;
        }
        let victim = STAGES
            .iter()
            .find_map(|stage| self.orders[*stage as usize].oldest());
        if let Some(slot) = victim {
            self.remove(slot);
        }
    }

    fn add(
        &mut self,
        mapping: usize,
        remote: SocketAddrV4,
        seen_as: SocketAddrV4,
        now_ms: u64,
    ) -> Option<usize> {
        let Mapping {
            protocol,
            inside,
            outside_port,
            ..
        } = *self.mappings.get(mapping)?;
        // Two that differ only in whom the one inside takes the other for would be one outside: the newer counts.
        if let Some(older) = self.of_outside(protocol, outside_port, remote) {
            self.mappings.get_mut(mapping)?.users += 1;
            self.remove(older);
            self.mappings.get_mut(mapping)?.users -= 1;
        }
        let stage = match protocol {
            Protocol::Tcp => Stage::Opening,
            Protocol::Udp => Stage::Datagrams,
            Protocol::Echo => Stage::Echo,
        };
        let slot = self.flows.add(Flow {
            protocol,
            inside,
            outside_port,
            remote,
            seen_as,
            stage,
            used_ms: now_ms,
            mapping,
            spoken: 0,
            ended: 0,
            unanswered: 0,
        })?;
        self.mappings.get_mut(mapping)?.users += 1;
        self.orders[stage as usize].push(slot);
        let hash = self.hash_inside(protocol, inside, seen_as);
        self.by_inside.insert(hash, slot);
        let hash = self.hash_outside(protocol, outside_port, remote);
        self.by_outside.insert(hash, slot);
        let hash = self.hash_station(protocol, outside_port, *remote.ip());
        self.by_station.insert(hash, slot);
        Some(slot)
    }

    fn add_mapping(&mut self, mapping: Mapping) -> Option<usize> {
        let slot = self.mappings.add(mapping)?;
        let inside = self.hash_inside(mapping.protocol, mapping.inside, mapping.inside);
        self.mapped_inside.insert(inside, slot);
        let port = self.hash_port(mapping.protocol, mapping.outside_port);
        self.mapped_port.insert(port, slot);
        Some(slot)
    }

    fn remove_mapping(&mut self, slot: usize) {
        if let Some(mapping) = self.mappings.remove(slot) {
            let inside = self.hash_inside(mapping.protocol, mapping.inside, mapping.inside);
            self.mapped_inside.remove(inside, slot);
            let port = self.hash_port(mapping.protocol, mapping.outside_port);
            self.mapped_port.remove(port, slot);
        }
    }

    fn of_mapped(&self, protocol: Protocol, inside: SocketAddrV4) -> Option<usize> {
        self.mapped_inside
            .find(self.hash_inside(protocol, inside, inside), |slot| {
                self.mappings
                    .get(slot)
                    .is_some_and(|mapping| (mapping.protocol, mapping.inside) == (protocol, inside))
            })
    }

    fn at_port(&self, protocol: Protocol, port: u16) -> Option<usize> {
        self.mapped_port
            .find(self.hash_port(protocol, port), |slot| {
                self.mappings.get(slot).is_some_and(|mapping| {
                    (mapping.protocol, mapping.outside_port) == (protocol, port)
                })
            })
    }

    fn knows_station(&self, protocol: Protocol, port: u16, station: Ipv4Addr) -> bool {
        let found = self
            .by_station
            .find(self.hash_station(protocol, port, station), |slot| {
                self.flows.get(slot).is_some_and(|flow| {
                    (flow.protocol, flow.outside_port, *flow.remote.ip())
                        == (protocol, port, station)
                })
            });
        found.is_some()
    }

    /// A free port, the end's own if it is (RFC 4787, 4.2), else one of the same parity that nobody foresees (RFC 6056).
    fn choose_port(&mut self, protocol: Protocol, own: u16) -> Option<u16> {
        let is_free = |flows: &Self, port: u16| {
            !flows.has_port(protocol, port) && !flows.reserved.contains(&(protocol, port))
        };
        if own != 0 && is_free(self, own) {
            return Some(own);
        }
        (0..TRIES).find_map(|_| {
            let span = (u16::MAX - FIRST_FREE_PORT) / 2;
            let port = FIRST_FREE_PORT + self.roll() as u16 % span * 2 + own % 2;
            is_free(self, port).then_some(port)
        })
    }

    fn roll(&mut self) -> u64 {
        // xorshift64: what it starts from is not told to anybody.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice >> 11
    }

    fn hash(&self, words: [u64; 2]) -> u64 {
        words.into_iter().fold(self.seed, |hash, word| {
            // The finalizer of MurmurHash3, behind a secret.
            let hash = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
            let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
            hash ^ hash >> 33
        })
    }

    fn hash_inside(&self, protocol: Protocol, inside: SocketAddrV4, seen_as: SocketAddrV4) -> u64 {
        self.hash([end(inside) | (protocol as u64) << 48, end(seen_as)])
    }

    fn hash_outside(&self, protocol: Protocol, port: u16, remote: SocketAddrV4) -> u64 {
        self.hash([u64::from(port) | (protocol as u64) << 48, end(remote)])
    }

    fn hash_station(&self, protocol: Protocol, port: u16, station: Ipv4Addr) -> u64 {
        self.hash_outside(protocol, port, SocketAddrV4::new(station, 0))
    }

    fn hash_port(&self, protocol: Protocol, port: u16) -> u64 {
        self.hash([u64::from(port), protocol as u64])
    }
}

impl Flow {
    fn follow(&mut self, direction: Direction, flags: Flags) {
        let bit = 1 << direction as u8;
        if flags.syn && self.stage == Stage::Closing {
            // The same ports anew.
            (self.spoken, self.ended, self.stage) = (0, 0, Stage::Opening);
        }
        self.spoken |= bit;
        if flags.fin {
            self.ended |= bit;
        }
        if flags.reset || self.ended == 0b11 {
            self.stage = Stage::Closing;
        } else if self.spoken == 0b11 && self.stage == Stage::Opening {
            self.stage = Stage::Open;
        }
    }
}

fn end(end: SocketAddrV4) -> u64 {
    u64::from(end.ip().to_bits()) << 16 | u64::from(end.port())
}
