//! IPv6 addresses by what routers advertise (RFC 4861, RFC 4862). Whether they are somebody else's is [`super::duplicate`]'s part.
//!
//! smoltcp has this too, but as of 0.14 its answer to "when next" is wrong beside it: never, or always at once, where no router answers.

use super::ndisc::HOP_LIMIT;
use crate::Mac;
use core::net::Ipv6Addr;
use heapless::Vec as Few;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, NdiscPrefixInfoFlags, NdiscPrefixInformation,
    NdiscRepr,
};

/// Questions for a router, and how far apart (RFC 4861, 10).
const SOLICITATIONS: u8 = 3;
const SOLICITATION_MS: u64 = 4000;
/// Networks that are kept.
const PREFIXES: usize = 4;
/// Most addresses: one in each, and the link's.
pub const ADDRESSES: usize = PREFIXES + 1;
/// Bits of a network in which a card has an address (RFC 4291, appendix A).
pub const PREFIX_BITS: u8 = 64;
/// An address does not die sooner than that of what strangers say (RFC 4862, 5.5.3 e).
const GRACE_MS: u64 = 2 * 3600 * 1000;

/// The address in a network by the card's (RFC 4291, appendix A).
pub fn address(network: Ipv6Addr, mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let mut octets = network.octets();
    octets[8..].copy_from_slice(&[a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    octets.into()
}

/// Another address in a network, by `dice`, where `tries` before it were somebody else's. It is not made of the card's own address: one who has that
/// address, too, would come to the same (RFC 7217 has a secret for it; RFC 8981, 3.3.1, chance).
pub fn other_address(network: Ipv6Addr, dice: u64, tries: u8) -> Ipv6Addr {
    let mut octets = network.octets();
    let high = (network.to_bits() >> 64) as u64;
    // Steele, Lea and Flood's generator (SplitMix64).
    let seed = (dice ^ high).wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(tries.into()));
    let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    octets[8..].copy_from_slice(&(mixed ^ mixed >> 31).to_be_bytes());
    // Nobody gave it out for all the world (RFC 4291, 2.5.1), as those are that RFC 5453 reserves for routers.
    octets[8] &= !2;
    octets.into()
}

/// The network of the link alone.
pub const LINK: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// What routers said.
pub struct Slaac {
    questions: u8,
    ask_at_ms: u64,
    /// Networks and how long they hold.
    networks: Few<(Ipv6Addr, u64), PREFIXES>,
    router: Option<(Ipv6Addr, u64)>,
}

impl Slaac {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            questions: SOLICITATIONS,
            ask_at_ms: 0,
            networks: Few::new(),
            router: None,
        }
    }

    /// Routers are asked again: the link may be another.
    pub fn restart(&mut self, now_ms: u64) {
        self.questions = SOLICITATIONS;
        self.ask_at_ms = now_ms;
    }

    /// Networks in which the card may have an address, the link first.
    pub fn networks(&self) -> impl Iterator<Item = Ipv6Addr> {
        let networks = self.networks.iter().map(|(network, _)| *network);
        core::iter::once(LINK).chain(networks)
    }

    /// The way to everywhere else.
    pub fn router(&self) -> Option<Ipv6Addr> {
        self.router.map(|(router, _)| router)
    }

    /// When time brings something.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let question = (self.questions > 0).then_some(self.ask_at_ms);
        let networks = self.networks.iter().map(|(_, until_ms)| *until_ms);
        let router = self.router.map(|(_, until_ms)| until_ms);
        let all = networks.chain(question).chain(router);
        all.min().map(|at_ms| at_ms.saturating_sub(now_ms))
    }

    /// Lets go of what holds no longer; true if there was something.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let before = self.networks.len();
        self.networks.retain(|(_, until_ms)| *until_ms > now_ms);
        let lost = self.router.take_if(|(_, until_ms)| *until_ms <= now_ms);
        lost.is_some() || self.networks.len() != before
    }

    /// Whether routers are to be asked now.
    pub fn asks(&mut self, now_ms: u64) -> bool {
        let is_due = self.questions > 0 && now_ms >= self.ask_at_ms;
        if is_due {
            self.questions -= 1;
            self.ask_at_ms = now_ms + SOLICITATION_MS;
        }
        is_due
    }

    /// Takes a packet of ICMPv6; true if it was an advertisement that changed something.
    pub fn hear(&mut self, packet: &[u8], now_ms: u64) -> bool {
        let Some((from, lifetime_ms, prefix)) = advertisement(packet) else {
            return false;
        };
        self.questions = 0;
        let before = self.known();
        if lifetime_ms > 0 {
            self.router = Some((from, now_ms.saturating_add(lifetime_ms)));
        } else if self.router() == Some(from) {
            self.router = None;
        }
        if let Some(prefix) = prefix {
            self.learn(prefix, now_ms);
        }
        before != self.known()
    }

    /// What is known, but for how long: an advertisement that only says it again changes nothing, and who heeded it would forget all neighbours.
    fn known(&self) -> (Option<Ipv6Addr>, Few<Ipv6Addr, PREFIXES>) {
        let networks = self.networks.iter().map(|(network, _)| *network);
        (self.router(), networks.collect())
    }

    /// RFC 4862, 5.5.3.
    fn learn(&mut self, prefix: NdiscPrefixInformation, now_ms: u64) {
        let NdiscPrefixInformation {
            prefix_len,
            flags,
            valid_lifetime,
            preferred_lifetime,
            prefix,
        } = prefix;
        let is_good = flags.contains(NdiscPrefixInfoFlags::ADDRCONF)
            && prefix_len == PREFIX_BITS
            && preferred_lifetime <= valid_lifetime
            && !prefix.is_multicast()
            && !prefix.is_unspecified()
            && !prefix.is_unicast_link_local();
        if !is_good {
            return;
        }
        let until_ms = now_ms.saturating_add(valid_lifetime.total_millis());
        let known = self.networks.iter_mut().find(|(network, _)| {
            network.octets()[..usize::from(PREFIX_BITS / 8)]
                == prefix.octets()[..usize::from(PREFIX_BITS / 8)]
        });
        match known {
            Some((_, old_ms)) => {
                let grace_ms = now_ms.saturating_add(GRACE_MS);
                *old_ms = until_ms.max(grace_ms.min(*old_ms));
            }
            None if until_ms > now_ms => {
                // More networks than that are not used.
                let _ = self.networks.push((prefix, until_ms));
            }
            None => {}
        }
    }
}

/// A router's address, how long it is one, and a network, of a packet that is an advertisement as it should be (RFC 4861, 6.1.2).
fn advertisement(packet: &[u8]) -> Option<(Ipv6Addr, u64, Option<NdiscPrefixInformation>)> {
    let packet = Ipv6Packet::new_checked(packet).ok()?;
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    if packet.hop_limit() != HOP_LIMIT
        || packet.next_header() != IpProtocol::Icmpv6
        || !from.is_unicast_link_local()
    {
        return None;
    }
    let message = Icmpv6Packet::new_checked(packet.payload()).ok()?;
    let checksums = ChecksumCapabilities::default();
    match Icmpv6Repr::parse(&from, &to, &message, &checksums).ok()? {
        Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert {
            router_lifetime,
            prefix_info,
            ..
        }) => Some((from, router_lifetime.total_millis(), prefix_info)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use smoltcp::time::Duration;

    fn prefix(valid_s: u64) -> NdiscPrefixInformation {
        NdiscPrefixInformation {
            prefix_len: 64,
            flags: NdiscPrefixInfoFlags::ADDRCONF,
            valid_lifetime: Duration::from_secs(valid_s),
            preferred_lifetime: Duration::ZERO,
            prefix: "fd00::".parse().unwrap(),
        }
    }

    #[test]
    fn routers_are_asked_three_times() {
        let mut slaac = Slaac::new();
        let mut now_ms = 0;
        for _ in 0..SOLICITATIONS {
            assert!(slaac.asks(now_ms));
            assert!(!slaac.asks(now_ms));
            now_ms += SOLICITATION_MS;
        }
        assert!(!slaac.asks(now_ms));
        assert_eq!(slaac.next_ms(now_ms), None);
        slaac.restart(now_ms);
        assert!(slaac.asks(now_ms));
    }

    #[test]
    fn networks_end_and_are_not_ended_by_strangers() {
        let mut slaac = Slaac::new();
        slaac.learn(prefix(10 * 3600), 0);
        assert_eq!(slaac.networks().count(), 2);
        slaac.learn(prefix(1), 1000);
        assert!(!slaac.expire(GRACE_MS));
        assert!(slaac.expire(GRACE_MS + 1000));
        assert_eq!(slaac.networks().count(), 1);
        slaac.learn(prefix(60), 0);
        slaac.learn(prefix(1), 1000);
        assert!(!slaac.expire(59_999), "what was left stays");
        for bad in [
            NdiscPrefixInformation {
                prefix_len: 48,
                ..prefix(60)
            },
            NdiscPrefixInformation {
                prefix: LINK,
                ..prefix(60)
            },
            NdiscPrefixInformation {
                flags: NdiscPrefixInfoFlags::ON_LINK,
                ..prefix(60)
            },
        ] {
            let mut slaac = Slaac::new();
            slaac.learn(bad, 0);
            assert_eq!(slaac.networks().count(), 1, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_packet_is_taken(mut bytes in prop::collection::vec(any::<u8>(), 0..120), now_ms: u64) {
            let mut slaac = Slaac::new();
            slaac.hear(&bytes, now_ms);
            if bytes.len() > 57 {
                // As an advertisement would begin.
                bytes[0] = 0x60;
                bytes[4] = 0;
                bytes[5] = (bytes.len() - 40) as u8;
                bytes[6..8].copy_from_slice(&[58, 255]);
                bytes[8..10].copy_from_slice(&[0xfe, 0x80]);
                bytes[40] = 134;
                slaac.hear(&bytes, now_ms);
            }
            slaac.expire(now_ms);
            prop_assert!(slaac.networks.len() <= PREFIXES);
        }
    }
}
