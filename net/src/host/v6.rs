//! The host's side of IPv6: addresses by what routers advertise, and only those that are nobody else's.

use super::device::Device;
use super::duplicate::{Detection, Meaning};
use super::mld;
use super::ndisc::{self, Neighbour};
use super::slaac::{self, Slaac};
use super::{Conflict, Outcome};
use crate::Mac;
use core::net::Ipv6Addr;
use heapless::Vec as Few;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::raw;
use smoltcp::wire::{IpCidr, IpProtocol, IpVersion, Ipv6Cidr};

/// Packets of ICMPv6 that wait to be looked at, and their bytes.
const ICMP_PACKETS: usize = 4;
const ICMP_BYTES: usize = 2048;
/// What neighbours say that waits to be looked at.
const WORDS: usize = 8;

/// Addresses and the way out.
pub struct V6 {
    mac: Mac,
    slaac: Slaac,
    /// Those that are used, or may be.
    detections: Few<Detection, { slaac::ADDRESSES }>,
    heard: Few<Neighbour, WORDS>,
    /// Hears routers.
    icmp: SocketHandle,
    dice: u64,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Addresses or routers are others than before.
    pub is_news: bool,
    /// Somebody else has an address of the host's.
    pub conflict: Option<Conflict>,
}

impl V6 {
    /// For a card with this address. `dice` is what nobody can guess.
    pub fn new(mac: Mac, sockets: &mut SocketSet<'static>, dice: u64) -> Self {
        let buffer = |packets, bytes| {
            let metadata = alloc::vec![raw::PacketMetadata::EMPTY; packets];
            raw::PacketBuffer::new(metadata, alloc::vec![0; bytes])
        };
        // It only hears.
        let socket = raw::Socket::new(
            Some(IpVersion::Ipv6),
            Some(IpProtocol::Icmpv6),
            buffer(ICMP_PACKETS, ICMP_BYTES),
            buffer(0, 0),
        );
        Self {
            mac,
            slaac: Slaac::new(),
            detections: Few::new(),
            heard: Few::new(),
            icmp: sockets.add(socket),
            dice,
        }
    }

    /// The link may be another: routers are asked again, and everybody whether the addresses are theirs.
    pub fn restart(&mut self, now_ms: u64) {
        self.slaac.restart(now_ms);
        self.detections.clear();
    }

    /// Notes what a frame says of an address of the host's.
    pub fn note(&mut self, frame: &[u8]) {
        if let Some(neighbour) = Neighbour::read(frame)
            && self
                .detections
                .iter()
                .any(|it| it.address() == neighbour.address)
        {
            // Who says more than that between two turns says it again.
            let _ = self.heard.push(neighbour);
        }
    }

    /// When there is work without anything having come.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let detections = self.detections.iter();
        let next = detections.filter_map(|detection| detection.next_ms(now_ms));
        let is_new = self.slaac.networks().count() != self.detections.len();
        let news = is_new.then_some(0);
        next.chain(self.slaac.next_ms(now_ms)).chain(news).min()
    }

    /// Hears neighbours and routers, and asks them.
    pub fn attend(
        &mut self,
        device: &mut Device,
        sockets: &mut SocketSet<'static>,
        now_ms: u64,
    ) -> Turn {
        let mut turn = Turn {
            is_news: self.slaac.expire(now_ms),
            conflict: None,
        };
        let socket = sockets.get_mut::<raw::Socket<'_>>(self.icmp);
        while let Ok(packet) = socket.recv() {
            turn.is_news |= self.slaac.hear(packet, now_ms);
        }
        turn.is_news |= self.follow(now_ms);
        for neighbour in core::mem::take(&mut self.heard) {
            let conflict = self.hear(&neighbour, device, now_ms);
            turn.is_news |= conflict.is_some();
            turn.conflict = conflict.or(turn.conflict);
        }
        for detection in &mut self.detections {
            let before = detection.is_ours();
            let (own, address) = (self.mac, detection.address());
            if detection.asks(now_ms) {
                // Who answers is to be heard (RFC 4862, 5.4.2).
                device.post(|packet| mld::join(packet, own, ndisc::group(address)));
                device.post(|packet| ndisc::ask(packet, own, address));
            }
            turn.is_news |= detection.is_ours() != before;
        }
        if self.slaac.asks(now_ms) {
            let own = self.mac;
            let mut detections = self.detections.iter();
            let from = detections
                .find(|it| it.network() == slaac::LINK && it.is_ours())
                .map(Detection::address);
            device.post(|packet| ndisc::solicit(packet, own, from));
        }
        turn
    }

    /// An address of a new network is looked for, one of a network that is gone no longer used; true if there was one of those.
    fn follow(&mut self, now_ms: u64) -> bool {
        let before = self.detections.len();
        let (slaac, detections) = (&self.slaac, &mut self.detections);
        detections.retain(|detection| slaac.networks().any(|it| it == detection.network()));
        let is_less = detections.len() != before;
        for network in slaac.networks() {
            if detections.iter().all(|it| it.network() != network) {
                // There is room for all that there are.
                let _ = detections.push(Detection::new(network, self.mac, self.dice, now_ms));
            }
        }
        is_less
    }

    fn hear(
        &mut self,
        neighbour: &Neighbour,
        device: &mut Device,
        now_ms: u64,
    ) -> Option<Conflict> {
        let (own, address) = (self.mac, neighbour.address);
        let mut detections = self.detections.iter_mut();
        let detection = detections.find(|it| it.address() == address)?;
        match detection.hear(own, neighbour, now_ms) {
            Meaning::Nothing => None,
            Meaning::Asked => {
                device.post(|packet| ndisc::answer(packet, own, address));
                None
            }
            Meaning::Taken => Some(Conflict {
                address: address.into(),
                station: neighbour.station,
                outcome: match detection.try_another(self.dice, now_ms) {
                    true => Outcome::Replaced,
                    false => Outcome::Left,
                },
            }),
        }
    }

    /// Addresses that may be used.
    fn addresses(&self) -> impl Iterator<Item = Ipv6Addr> {
        let ours = self.detections.iter().filter(|it| it.is_ours());
        ours.map(Detection::address)
    }

    /// Tells the stack.
    pub fn settle(&self, interface: &mut Interface) {
        interface.update_ip_addrs(|addresses| {
            addresses.retain(|address| matches!(address, IpCidr::Ipv4(_)));
            for address in self.addresses() {
                let cidr = Ipv6Cidr::new(address, slaac::PREFIX_BITS);
                // There is room for all that are kept.
                let _ = addresses.push(IpCidr::Ipv6(cidr));
            }
        });
        let routes = interface.routes_mut();
        routes.remove_default_ipv6_route();
        if let Some(router) = self.slaac.router() {
            // As above.
            let _ = routes.add_default_ipv6_route(router);
        }
    }
}
