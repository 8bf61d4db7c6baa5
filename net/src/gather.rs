//! Gathering: what comes in a row of one TCP conversation becomes one long frame, or one acknowledgement, for a card that takes such.
//!
//! A guest pays for each frame, not for its bytes; so segments that follow one another and differ in nothing but their bytes, their
//! lengths and the push flag are put together: the stream and all that its headers say stay as they were, and what is cut of the long
//! frame again is no longer than what came and no more frames. Where one segment ended and the next began is lost, which TCP promises
//! to nobody (RFC 9293, 3.9.1.2: the push flag is no record's mark); the push flag of any is the whole's. Nothing is
//! waited for: a train is over at the end of the turn that began it. Payloads are not touched; each segment's packet
//! hangs behind the first's ([`Packet::rest`]).
//!
//! Of acknowledgements without data that came in one turn the later says all that the earlier did (RFC 9293, 3.4), so the
//! earlier are dropped, a few at a time, lest a sender that counts them grow its window too slowly. Repeated ones, those that say more
//! (SACK, ECN, urgent data) and those that end something pass as they came, each in its place.
//!
//! Only frames with right checksums are joined: a wrong one passes alone, for the guest to find.

mod segment;

use hvm::backend::Cuts;
use hvm::packet::{Checksum, Offload, Packet, PartialChecksum, Segmentation};
use segment::{Flow, Segment};

/// Conversations of which a train may be open.
const FLOWS: usize = 4;
/// Most packets in a train: an IP packet of 64 KiB in frames that everybody takes.
const MAX_PACKETS: usize = 45;
/// The longest IP packet.
const MAX_IP_BYTES: usize = 0xffff;
/// How many acknowledgements one may stand for.
const MAX_ACKNOWLEDGEMENTS: u32 = 8;
/// A frame with an acknowledgement alone is no longer: Ethernet, IPv6, and TCP with all options.
const MOST_ACKNOWLEDGEMENT_BYTES: usize = 14 + 40 + 60;
/// Where in a TCP header its checksum stands.
const TCP_CHECKSUM: u16 = 16;

/// What a train is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Segments with data; how long the longest is.
    Data { segment_bytes: usize },
    /// Acknowledgements; how many of them the last stands for.
    Acknowledgement { count: u32 },
}

/// Frames of one conversation that go on together.
#[derive(Debug)]
struct Train {
    flow: Flow,
    kind: Kind,
    /// The first packet, and what hangs behind it.
    packet: Packet,
    /// What the first's headers say.
    first: Segment,
    /// The sequence number behind the last.
    next: u32,
    payload_bytes: usize,
}

/// What became of a frame.
#[derive(Debug)]
pub enum Gathered {
    /// It goes on as it is.
    Single(Packet),
    /// It is in a train.
    Kept,
    /// It is not in a train yet: this one is over first, and then the frame is to be offered again.
    After {
        /// The frame.
        packet: Packet,
        /// What goes on before it.
        train: Packet,
    },
}

/// The trains that are open.
#[derive(Debug, Default)]
pub struct Gatherer {
    trains: heapless::Vec<Train, FLOWS>,
}

impl Gatherer {
    /// Whether no train is open.
    pub fn is_empty(&self) -> bool {
        self.trains.is_empty()
    }

    /// Whether a frame is in no train for sure, at a glance.
    #[inline]
    pub fn passes(&self, packet: &Packet, takes: Cuts) -> bool {
        !segment::may_be_tcp(packet.frame())
            || takes.is_empty()
                && self.trains.is_empty()
                && packet.len() > MOST_ACKNOWLEDGEMENT_BYTES
    }

    /// Takes a frame for a card that takes long frames as `takes` says. One that [passes](Self::passes) need not be offered.
    #[inline]
    pub fn offer(&mut self, mut packet: Packet, takes: Cuts) -> Gathered {
        let plain = packet.offload().segmentation.is_none();
        if plain
            && let Some((place, segment)) = self.continued_by(packet.frame())
            && segment::is_sound(&mut packet, &segment)
        {
            self.trains[place].join(&segment, packet);
            return Gathered::Kept;
        }
        let Some((flow, segment)) = Segment::read(packet.frame()) else {
            return Gathered::Single(packet);
        };
        let kind = segment.kind(takes).filter(|_| plain);
        if let Some(place) = self.trains.iter().position(|train| train.flow == flow) {
            let train = &mut self.trains[place];
            let joins = kind.is_some()
                && train.is_superseded_by(&segment, packet.frame())
                && segment::is_sound(&mut packet, &segment);
            if !joins {
                let train = self.trains.swap_remove(place).finish();
                return Gathered::After { packet, train };
            }
            train.supersede(&segment, packet);
            return Gathered::Kept;
        }
        let Some(kind) = kind.filter(|_| segment::is_sound(&mut packet, &segment)) else {
            return Gathered::Single(packet);
        };
        if self.trains.is_full() {
            let train = self.trains.remove(0).finish();
            return Gathered::After { packet, train };
        }
        let train = Train {
            flow,
            kind,
            next: segment.next(),
            payload_bytes: segment.payload_bytes(),
            first: segment,
            packet,
        };
        if self.trains.push(train).is_err() {
            unreachable!("it was not full");
        }
        Gathered::Kept
    }

    /// The train that a frame continues, and what the frame says.
    #[inline]
    fn continued_by(&self, frame: &[u8]) -> Option<(usize, Segment)> {
        let mut trains = self.trains.iter().enumerate();
        trains.find_map(|(place, train)| Some((place, train.continued_by(frame)?)))
    }

    /// The oldest train, which is over.
    pub fn take(&mut self) -> Option<Packet> {
        match self.trains.is_empty() {
            true => None,
            false => Some(self.trains.remove(0).finish()),
        }
    }
}

impl Train {
    /// What a frame says that continues it.
    #[inline]
    fn continued_by(&self, frame: &[u8]) -> Option<Segment> {
        if !matches!(self.kind, Kind::Data { .. }) {
            return None;
        }
        let own = self.packet.frame();
        let segment = self.first.continued_by(own, frame)?;
        let behind = self.packet.rest().len() + 1;
        let payload_bytes = segment.payload_bytes();
        let header_bytes = self.first.ip_bytes() - self.first.payload_bytes();
        let continues = segment.sequence == self.next
            && payload_bytes != 0
            && behind < MAX_PACKETS
            && header_bytes + self.payload_bytes + payload_bytes <= MAX_IP_BYTES
            && self.first.numbers(own, frame, behind as u16);
        continues.then_some(segment)
    }

    /// Takes in what continues it.
    fn join(&mut self, segment: &Segment, mut packet: Packet) {
        let payload_bytes = segment.payload_bytes();
        if let Kind::Data { segment_bytes } = &mut self.kind {
            *segment_bytes = payload_bytes.max(*segment_bytes);
        }
        self.payload_bytes += payload_bytes;
        self.next = segment.next();
        packet.strip(segment.header_bytes());
        packet.set_len(payload_bytes);
        if segment.pushes() {
            self.first.push(self.packet.frame_mut());
        }
        self.packet.append(packet);
    }

    /// Whether an acknowledgement of its conversation says all that it does.
    fn is_superseded_by(&self, segment: &Segment, frame: &[u8]) -> bool {
        let Kind::Acknowledgement { count } = self.kind else {
            return false;
        };
        let ahead = segment
            .acknowledgement
            .wrapping_sub(self.first.acknowledgement);
        segment.payload_bytes() == 0
            && segment.sequence == self.next
            && (1..1 << 31).contains(&ahead)
            && count < MAX_ACKNOWLEDGEMENTS
            && self
                .first
                .is_superseded(self.packet.frame(), segment, frame)
    }

    /// Puts it in its place.
    fn supersede(&mut self, segment: &Segment, packet: Packet) {
        if let Kind::Acknowledgement { count } = &mut self.kind {
            *count += 1;
        }
        self.packet = packet;
        self.first = *segment;
    }

    /// Puts the headers right.
    fn finish(mut self) -> Packet {
        if self.packet.rest().is_empty() {
            return self.packet;
        }
        let Kind::Data { segment_bytes } = self.kind else {
            return self.packet;
        };
        // What is behind the first's payload is padding, or its card's.
        self.packet
            .set_len(self.first.header_bytes() + self.first.payload_bytes());
        self.first
            .lengthen(self.packet.frame_mut(), self.payload_bytes);
        self.packet.set_offload(Offload {
            checksum: Checksum::Partial(PartialChecksum {
                start: self.first.transport as u16,
                offset: TCP_CHECKSUM,
            }),
            segmentation: Some(Segmentation {
                cut: self.first.cut,
                segment_bytes: segment_bytes as u16,
                header_bytes: self.first.header_bytes() as u16,
            }),
        });
        self.packet
    }
}

#[cfg(test)]
mod tests;
