//! Which frames the receiver takes.

use super::bits::ReceiveConfig;

/// Whom a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// The card's own address.
    Own,
    /// Another station's.
    Other,
    /// A group.
    Group,
    /// All.
    Everybody,
}

/// Judges a frame; `None` if the receiver leaves it.
pub fn judge(
    frame: &[u8],
    config: ReceiveConfig,
    own: [u8; 6],
    groups: [u8; 8],
) -> Option<Receiver> {
    let &destination = frame.first_chunk::<6>()?;
    let (receiver, wanted) = if destination == [0xff; 6] {
        (
            Receiver::Everybody,
            config.contains(ReceiveConfig::BROADCAST),
        )
    } else if destination[0] & 1 != 0 {
        let place = hash(destination);
        let listed = groups[usize::from(place / 8)] >> (place % 8) & 1 != 0;
        let wanted = config.contains(ReceiveConfig::MULTICAST) && listed;
        (Receiver::Group, wanted)
    } else if destination == own {
        let either = ReceiveConfig::OWN | ReceiveConfig::ALL_STATIONS;
        (Receiver::Own, config.intersects(either))
    } else {
        (
            Receiver::Other,
            config.contains(ReceiveConfig::ALL_STATIONS),
        )
    };
    wanted.then_some(receiver)
}

/// The place of a group's address in the table of 64: the six upper bits of its CRC.
fn hash(address: [u8; 6]) -> u8 {
    /// Ethernet's polynomial, most significant bit first.
    const POLYNOMIAL: u32 = 0x04c1_1db7;
    let crc = address.into_iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc, |crc, bit| {
            let feedback = crc >> 31 ^ u32::from(byte >> bit & 1);
            crc << 1 ^ if feedback != 0 { POLYNOMIAL } else { 0 }
        })
    });
    (crc >> 26) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];

    #[test]
    fn the_hash_is_ethernets() {
        // The places that drivers compute for all hosts and all routers (IPv4 and IPv6).
        assert_eq!(hash([0x01, 0x00, 0x5e, 0x00, 0x00, 0x01]), 0x1f);
        assert_ne!(
            hash([0x33, 0x33, 0, 0, 0, 1]),
            hash([0x33, 0x33, 0, 0, 0, 2])
        );
    }

    #[test]
    fn each_bit_lets_its_kind_through() {
        let judged = |destination: [u8; 6], config| judge(&destination, config, OWN, [0; 8]);
        let group = [1, 0, 0x5e, 0, 0, 1];
        assert_eq!(judged(OWN, ReceiveConfig::OWN), Some(Receiver::Own));
        assert_eq!(judged(OWN, ReceiveConfig::BROADCAST), None);
        assert_eq!(
            judged([0xff; 6], ReceiveConfig::BROADCAST),
            Some(Receiver::Everybody)
        );
        assert_eq!(judged([4; 6], ReceiveConfig::OWN), None);
        assert_eq!(
            judged([4; 6], ReceiveConfig::ALL_STATIONS),
            Some(Receiver::Other)
        );
        assert_eq!(
            judged(group, ReceiveConfig::MULTICAST),
            None,
            "not in the table"
        );
        let all = judge(&group, ReceiveConfig::MULTICAST, OWN, [0xff; 8]);
        assert_eq!(all, Some(Receiver::Group));
        assert_eq!(judge(&[1, 2, 3], ReceiveConfig::all(), OWN, [0; 8]), None);
    }
}
