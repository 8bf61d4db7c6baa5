//! Fragments behind the first one, which say nothing of ports: they go where the first one went.
//!
//! One that comes before the first is lost (RFC 4787, 11, would keep it); who sends has to send the datagram again.

use core::net::Ipv4Addr;
use heapless::Vec as Few;

/// Datagrams whose fragments are under way.
const DATAGRAMS: usize = 32;
/// How long fragments of one datagram may take (RFC 791, 3.2).
const LIMIT_MS: u64 = 15_000;

/// What fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub protocol: u8,
    pub identification: u16,
}

struct Datagram {
    key: Key,
    /// Source and destination on the other side.
    becomes: (Ipv4Addr, Ipv4Addr),
    at_ms: u64,
}

/// The datagrams of one direction.
#[derive(Default)]
pub struct Fragments(Few<Datagram, DATAGRAMS>);

impl Fragments {
    /// The first fragment went there.
    pub fn begin(&mut self, key: Key, becomes: (Ipv4Addr, Ipv4Addr), now_ms: u64) {
        self.0
            .retain(|it| it.key != key && now_ms.saturating_sub(it.at_ms) < LIMIT_MS);
        if self.0.is_full() {
            self.0.remove(0);
        }
        // There is room.
        let _ = self.0.push(Datagram {
            key,
            becomes,
            at_ms: now_ms,
        });
    }

    /// Where the others go.
    pub fn find(&self, key: Key, now_ms: u64) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let datagram = self.0.iter().find(|it| it.key == key)?;
        (now_ms.saturating_sub(datagram.at_ms) < LIMIT_MS).then_some(datagram.becomes)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
