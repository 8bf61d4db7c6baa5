//! The stations that a switch has heard of: a fixed number, those heard of longest ago being forgotten first.

use super::Port;
use crate::Mac;
use alloc::boxed::Box;

/// How long a station that keeps silent is remembered (802.1Q, 8.8.3: the default).
pub const AGE_LIMIT_S: u64 = 300;
/// Places for stations whose hashes are alike.
const WAYS: usize = 4;
/// Hashes.
const SETS: usize = 64;

/// A station in a VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    pub mac: Mac,
    pub vlan: u16,
}

#[derive(Clone, Copy)]
struct Entry {
    station: Station,
    port: Port,
    heard_s: u64,
}

/// Whether the table says something else than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// The station is where it was, and heard of again.
    Same,
    /// It is new or elsewhere, and may have taken another's place.
    New,
}

/// Where stations are.
pub struct Table(Box<[[Option<Entry>; WAYS]; SETS]>);

impl Station {
    /// Its set. An adversary can fill one set; then stations of that set are flooded to, as before they were learned.
    fn set(self) -> usize {
        let bytes = self.mac.0.into_iter().chain(self.vlan.to_le_bytes());
        let hash = bytes.fold(0_u32, |hash, byte| {
            hash.wrapping_mul(0x0100_0193) ^ u32::from(byte)
        });
        (hash ^ hash >> 12) as usize % SETS
    }
}

impl Entry {
    fn is_fresh(&self, now_s: u64) -> bool {
        now_s.saturating_sub(self.heard_s) <= AGE_LIMIT_S
    }
}

impl Table {
    pub fn new() -> Self {
        Self(Box::new([[None; WAYS]; SETS]))
    }

    /// A frame of `station` came in at `port`.
    pub fn learn(&mut self, station: Station, port: Port, now_s: u64) -> Learned {
        let set = &mut self.0[station.set()];
        let same = set
            .iter()
            .position(|entry| entry.is_some_and(|it| it.station == station));
        // `None` orders before every time.
        let oldest = (0..WAYS).min_by_key(|way| set[*way].map(|entry| entry.heard_s));
        let Some(way) = same.or(oldest) else {
            return Learned::Same;
        };
        let before = set[way].replace(Entry {
            station,
            port,
            heard_s: now_s,
        });
        let stayed =
            before.is_some_and(|it| it.station == station && it.port == port && it.is_fresh(now_s));
        match stayed {
            true => Learned::Same,
            false => Learned::New,
        }
    }

    /// Where it was heard last, if that is not too long ago.
    pub fn find(&self, station: Station, now_s: u64) -> Option<Port> {
        let mut entries = self.0[station.set()].iter().flatten();
        entries
            .find(|entry| entry.station == station && entry.is_fresh(now_s))
            .map(|entry| entry.port)
    }
}
