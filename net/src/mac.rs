//! Ethernet addresses.

use core::fmt;
use core::str::FromStr;

/// A 48-bit Ethernet address, first byte on the wire first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// The text is not six groups of two hexadecimal digits with colons between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMac;

impl Mac {
    /// The address of a guest's interface number `index` when its configuration names none: in Xen's block
    /// 00:16:3e, as xl-network-configuration(5) says, with the rest hashed from the guest's name, so that the same
    /// appliance keeps its address (and its DHCP lease) over restarts.
    pub fn of_guest(name: &str, index: u32) -> Self {
        // FNV-1a (RFC 9923), 32 bits: short, and good enough to keep a handful of names on one LAN apart.
        let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = name.bytes().fold(0x811c_9dc5, fold);
        let hash = index.to_le_bytes().into_iter().fold(hash, fold);
        let [a, b, c, d] = hash.to_be_bytes();
        Self([0x00, 0x16, 0x3e, (a ^ d) & 0x7f, b, c])
    }

    /// True for broadcast and multicast addresses (IEEE 802 I/G bit).
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// True if one interface may have this address.
    pub fn is_station(self) -> bool {
        !self.is_group() && self.0 != [0; 6]
    }
}

impl FromStr for Mac {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let mut bytes = [0; 6];
        let mut groups = text.split(':');
        for byte in &mut bytes {
            let group = groups.next().ok_or(BadMac)?;
            // `from_str_radix` alone would take "+1".
            if group.len() != 2 || !group.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(BadMac);
            }
            *byte = u8::from_str_radix(group, 16).map_err(|_| BadMac)?;
        }
        match groups.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(BadMac),
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn only_six_pairs_of_hex_digits_are_an_address() {
        assert_eq!(
            "00:16:3E:74:3d:76".parse(),
            Ok(Mac([0, 0x16, 0x3e, 0x74, 0x3d, 0x76]))
        );
        for bad in [
            "",
            "00:16:3e:74:3d",
            "00:16:3e:74:3d:76:00",
            "0:16:3e:74:3d:76",
            "+0:16:3e:74:3d:76",
            "00-16-3e-74-3d-76",
            "00:16:3e:74:3d:7é",
        ] {
            assert_eq!(bad.parse::<Mac>(), Err(BadMac), "{bad}");
        }
    }

    #[test]
    fn derived_addresses_differ_by_name_and_index_and_stay() {
        let first = Mac::of_guest("florizel", 0);
        assert_eq!(first, Mac::of_guest("florizel", 0));
        assert_ne!(first, Mac::of_guest("florizel", 1));
        assert_ne!(first, Mac::of_guest("perdita", 0));
        assert_eq!(first.0[..3], [0x00, 0x16, 0x3e]);
        assert!(first.is_station());
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; 6]) {
            prop_assert_eq!(Mac(bytes).to_string().parse(), Ok(Mac(bytes)));
        }

        #[test]
        fn any_text_is_answered(text: std::string::String) {
            let _ = text.parse::<Mac>();
        }
    }
}
