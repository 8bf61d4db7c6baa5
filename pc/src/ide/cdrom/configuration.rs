//! GET CONFIGURATION (MMC-3, 6.6 and 5.2): what the drive can do, and what it can do with the medium that is in it.

use super::bay::Disc;
use super::bits::BLOCK_BYTES;
use super::packet::{Packet, Reply};
use super::sense::Sense;

/// Profiles.
const CD_ROM: u16 = 0x0008;
const DVD_ROM: u16 = 0x0010;
/// Bytes of the header's length field.
const LENGTH_BYTES: usize = 4;
/// Core: the ATA/ATAPI physical interface; no device busy events.
const CORE: [u8; 8] = [0, 0, 0, 2, 0, 0, 0, 0];
/// A tray; ejects, locks.
const REMOVABLE: u8 = 1 << 5 | 1 << 3 | 1;
/// Blocks that a read should be a multiple of, on a CD and on a DVD.
const CD_BLOCKING: u16 = 1;
const DVD_BLOCKING: u16 = 16;

/// Which features the host asks for: the RT field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Those with this number or a higher one.
    From(u16),
    /// The same, if they are current.
    CurrentFrom(u16),
    One(u16),
}

impl Wanted {
    fn parse(packet: &Packet) -> Result<Self, Sense> {
        let number = packet.u16(2);
        match packet.0[1] & 3 {
            0 => Ok(Self::From(number)),
            1 => Ok(Self::CurrentFrom(number)),
            2 => Ok(Self::One(number)),
            _ => Err(Sense::INVALID_FIELD),
        }
    }

    fn includes(self, feature: &Feature<'_>) -> bool {
        match self {
            Self::From(number) => feature.number >= number,
            Self::CurrentFrom(number) => feature.number >= number && feature.is_current(),
            Self::One(number) => feature.number == number,
        }
    }
}

/// How long a feature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Always.
    Persistent,
    /// With the medium in the drive now.
    Current,
    /// With another medium.
    Elsewhere,
}

struct Feature<'a> {
    number: u16,
    version: u8,
    hold: Hold,
    data: &'a [u8],
}

impl Feature<'_> {
    fn is_current(&self) -> bool {
        self.hold != Hold::Elsewhere
    }

    fn push(&self, reply: &mut Reply) {
        let hold = match self.hold {
            Hold::Persistent => 0b11,
            Hold::Current => 0b01,
            Hold::Elsewhere => 0,
        };
        reply
            .push(&self.number.to_be_bytes())
            .push(&[self.version << 2 | hold, self.data.len() as u8])
            .push(self.data);
    }
}

/// The answer with `disc` in the drive, or none.
pub(super) fn reply(packet: &Packet, disc: Option<Disc>) -> Result<Reply, Sense> {
    let wanted = Wanted::parse(packet)?;
    let current = match disc {
        None => 0,
        Some(Disc::Cd) => CD_ROM,
        Some(Disc::Dvd) => DVD_ROM,
    };
    let holds_if = |condition: bool| {
        if condition {
            Hold::Current
        } else {
            Hold::Elsewhere
        }
    };
    let feature = |number, version, hold, data| Feature {
        number,
        version,
        hold,
        data,
    };
    let profiles = [DVD_ROM, CD_ROM].map(|profile| {
        let [high, low] = profile.to_be_bytes();
        [high, low, u8::from(profile == current), 0]
    });
    let blocking = match disc {
        Some(Disc::Dvd) => DVD_BLOCKING,
        _ => CD_BLOCKING,
    };
    let [block_high, block_low] = (BLOCK_BYTES as u16).to_be_bytes();
    let [high, low] = blocking.to_be_bytes();
    let readable = [0, 0, block_high, block_low, high, low, 0, 0];
    let features = [
        feature(0x0000, 0, Hold::Persistent, profiles.as_flattened()),
        feature(0x0001, 2, Hold::Persistent, &CORE),
        feature(0x0003, 0, Hold::Persistent, &[REMOVABLE, 0, 0, 0]),
        feature(0x0010, 0, holds_if(disc.is_some()), &readable),
        feature(0x001e, 1, holds_if(disc == Some(Disc::Cd)), &[0, 0, 0, 0]),
        feature(0x001f, 0, holds_if(disc == Some(Disc::Dvd)), &[]),
    ];
    let mut reply = Reply::from([0; 6].as_slice());
    reply.push(&current.to_be_bytes());
    features
        .iter()
        .filter(|feature| wanted.includes(feature))
        .for_each(|feature| feature.push(&mut reply));
    let length = u32::from(reply.bytes_after(LENGTH_BYTES));
    reply.set(0, &length.to_be_bytes());
    Ok(reply)
}
