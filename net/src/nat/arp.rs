//! ARP (RFC 826) for IPv4 on Ethernet, and who has been heard of by it.

use super::wire::{ETHERNET_BYTES, TYPE_ARP, put_ethernet};
use crate::Mac;
use core::net::Ipv4Addr;
use heapless::Vec as Few;
use hvm::packet::Packet;

const ARP_BYTES: usize = 28;
/// The shortest frame (IEEE 802.3, 3.2.8), less its check sequence.
const FRAME_BYTES: usize = 60;
/// Ethernet, IPv4, and the lengths of their addresses.
const KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
const REQUEST: u8 = 1;
const REPLY: u8 = 2;

/// Stations that are remembered; one more puts out the one that was used longest ago.
const STATIONS: usize = 32;
/// Packets that wait for a station's answer. What else comes is lost.
const WAITING: usize = 4;
/// A station that has not been heard of for so long is asked again while it is used (RFC 1122, 2.3.2.1)…
const FRESH_MS: u64 = 60_000;
/// …and for so long, is taken to be gone.
const LIMIT_MS: u64 = 180_000;
/// From question to question.
const PATIENCE_MS: u64 = 1_000;
/// How long packets wait for an answer.
const WAIT_MS: u64 = 3_000;

/// What an ARP packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    pub is_request: bool,
    pub sender: (Mac, Ipv4Addr),
    pub target: Ipv4Addr,
}

impl Arp {
    /// Reads a frame of type [`TYPE_ARP`].
    pub fn read(frame: &[u8]) -> Option<Self> {
        let arp = frame.get(ETHERNET_BYTES..)?.first_chunk::<ARP_BYTES>()?;
        let [kind @ .., 0, operation @ (REQUEST | REPLY)] = *arp.first_chunk::<8>()? else {
            return None;
        };
        let address = |at: usize| Ipv4Addr::new(arp[at], arp[at + 1], arp[at + 2], arp[at + 3]);
        let mac = Mac(*arp[8..].first_chunk()?);
        (kind == KIND && mac.is_station()).then_some(Self {
            is_request: operation == REQUEST,
            sender: (mac, address(14)),
            target: address(24),
        })
    }

    /// Makes a question by `own` for who has an address, or with `to` an answer for them.
    pub fn write(packet: &mut Packet, own: (Mac, Ipv4Addr), to: Option<Mac>, address: Ipv4Addr) {
        packet.set_len(FRAME_BYTES);
        let frame = packet.frame_mut();
        if frame.len() < FRAME_BYTES {
            return;
        }
        frame.fill(0);
        put_ethernet(frame, to.unwrap_or(Mac([0xff; 6])), own.0, TYPE_ARP);
        let arp = &mut frame[ETHERNET_BYTES..];
        arp[..6].copy_from_slice(&KIND);
        arp[7] = if to.is_some() { REPLY } else { REQUEST };
        arp[8..14].copy_from_slice(&own.0.0);
        arp[14..18].copy_from_slice(&own.1.octets());
        if let Some(to) = to {
            arp[18..24].copy_from_slice(&to.0);
        }
        arp[24..28].copy_from_slice(&address.octets());
    }
}

struct Station {
    address: Ipv4Addr,
    mac: Option<Mac>,
    heard_ms: u64,
    used_ms: u64,
    asked_ms: Option<u64>,
    waiting: Few<Packet, WAITING>,
    /// Since when the first of them does.
    waits_since_ms: u64,
}

/// The stations of one side.
#[derive(Default)]
pub struct Stations(Few<Station, STATIONS>);

/// Where a packet goes on.
pub enum Way {
    /// To this one.
    Known(Packet, Mac, Ask),
    /// It waits, or was lost.
    Unknown(Ask),
}

/// Whether to ask for the station now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Now,
    No,
}

impl Stations {
    /// Forgets all, and what waits for them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Gives up packets for those who have not answered for long enough, so that they hold no buffers for ever.
    pub fn give_up(&mut self, now_ms: u64) {
        for station in &mut self.0 {
            if now_ms.saturating_sub(station.waits_since_ms) >= WAIT_MS {
                station.waiting.clear();
            }
        }
    }

    /// The way of a packet to the station with this address.
    pub fn way(&mut self, packet: Packet, address: Ipv4Addr, now_ms: u64) -> Way {
        let station = self.entry(address, now_ms);
        station.used_ms = now_ms;
        let age_ms = now_ms.saturating_sub(station.heard_ms);
        if age_ms >= LIMIT_MS {
            station.mac = None;
        }
        let is_due = station
            .asked_ms
            .is_none_or(|asked_ms| now_ms.saturating_sub(asked_ms) >= PATIENCE_MS);
        match station.mac {
            Some(mac) => {
                let ask = if age_ms >= FRESH_MS && is_due {
                    Ask::Now
                } else {
                    Ask::No
                };
                if ask == Ask::Now {
                    station.asked_ms = Some(now_ms);
                }
                Way::Known(packet, mac, ask)
            }
            None => {
                if station.waiting.is_empty() {
                    station.waits_since_ms = now_ms;
                }
                // With too many waiting the newest is lost.
                let _ = station.waiting.push(packet);
                if !is_due {
                    return Way::Unknown(Ask::No);
                }
                station.asked_ms = Some(now_ms);
                Way::Unknown(Ask::Now)
            }
        }
    }

    /// Somebody with this address was heard of. What waited for them can go.
    pub fn heard(
        &mut self,
        address: Ipv4Addr,
        mac: Mac,
        now_ms: u64,
    ) -> impl Iterator<Item = Packet> + use<> {
        let known = self.0.iter_mut().find(|station| station.address == address);
        let waiting = known.map(|station| {
            station.mac = Some(mac);
            station.heard_ms = now_ms;
            station.asked_ms = None;
            core::mem::take(&mut station.waiting)
        });
        waiting.into_iter().flatten()
    }

    /// Somebody who is to be remembered, because packets will go there.
    pub fn meet(
        &mut self,
        address: Ipv4Addr,
        mac: Mac,
        now_ms: u64,
    ) -> impl Iterator<Item = Packet> + use<> {
        self.entry(address, now_ms);
        self.heard(address, mac, now_ms)
    }

    fn entry(&mut self, address: Ipv4Addr, now_ms: u64) -> &mut Station {
        let at = match self.0.iter().position(|station| station.address == address) {
            Some(at) => at,
            None => {
                if self.0.is_full() {
                    let oldest = (0..self.0.len()).min_by_key(|at| self.0[*at].used_ms);
                    self.0.swap_remove(oldest.unwrap_or(0));
                }
                // There is room.
                let _ = self.0.push(Station {
                    address,
                    mac: None,
                    heard_ms: now_ms,
                    used_ms: now_ms,
                    asked_ms: None,
                    waiting: Few::new(),
                    waits_since_ms: now_ms,
                });
                self.0.len() - 1
            }
        };
        &mut self.0[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::packet::Pool;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const OTHER: Mac = Mac([2, 0, 0, 0, 0, 2]);

    #[test]
    fn questions_and_answers_are_read_as_written() {
        let mut packet = Pool::ordinary(1, 256).packet().unwrap();
        let (own, other) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        Arp::write(&mut packet, (MAC, own), None, other);
        let read = Arp::read(packet.frame()).unwrap();
        assert_eq!(
            (read.is_request, read.sender, read.target),
            (true, (MAC, own), other)
        );
        Arp::write(&mut packet, (MAC, own), Some(OTHER), other);
        assert!(!Arp::read(packet.frame()).unwrap().is_request);
        assert_eq!(packet.frame()[..6], OTHER.0);
        packet.frame_mut()[15] = 7;
        assert_eq!(Arp::read(packet.frame()), None);
    }

    #[test]
    fn packets_wait_for_an_answer_and_then_go() {
        let pool = Pool::ordinary(8, 256);
        let mut stations = Stations::default();
        let there = Ipv4Addr::new(10, 0, 0, 2);
        let send =
            |stations: &mut Stations, now_ms| stations.way(pool.packet().unwrap(), there, now_ms);
        assert!(matches!(send(&mut stations, 0), Way::Unknown(Ask::Now)));
        for _ in 0..5 {
            assert!(matches!(send(&mut stations, 1), Way::Unknown(Ask::No)));
        }
        assert!(matches!(send(&mut stations, 1000), Way::Unknown(Ask::Now)));
        assert_eq!(stations.heard(there, OTHER, 1001).count(), WAITING);
        assert_eq!(pool.available(), 8);
        assert!(matches!(
            send(&mut stations, 2000),
            Way::Known(_, OTHER, Ask::No)
        ));
        assert!(matches!(
            send(&mut stations, 61_001),
            Way::Known(_, OTHER, Ask::Now)
        ));
        assert!(matches!(
            send(&mut stations, 61_002),
            Way::Known(_, OTHER, Ask::No)
        ));
        assert!(matches!(
            send(&mut stations, 181_001),
            Way::Unknown(Ask::Now)
        ));
    }

    #[test]
    fn nothing_waits_for_ever() {
        let pool = Pool::ordinary(4, 256);
        let mut stations = Stations::default();
        for now_ms in [0, 2000] {
            let packet = pool.packet().unwrap();
            let way = stations.way(packet, Ipv4Addr::new(10, 0, 0, 2), now_ms);
            assert!(matches!(way, Way::Unknown(_)));
        }
        stations.give_up(2999);
        assert_eq!(pool.available(), 2);
        stations.give_up(3000);
        assert_eq!(pool.available(), 4);
    }

    #[test]
    fn the_one_used_longest_ago_is_forgotten() {
        let mut stations = Stations::default();
        for number in 0..=STATIONS as u8 {
            let address = Ipv4Addr::new(10, 0, 0, number);
            assert_eq!(stations.meet(address, OTHER, number.into()).count(), 0);
        }
        let packet = Pool::ordinary(2, 256).packet().unwrap();
        assert!(matches!(
            stations.way(packet, Ipv4Addr::new(10, 0, 0, 0), 40),
            Way::Unknown(_)
        ));
    }
}
