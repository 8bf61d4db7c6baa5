//! Which frames the driver wants (virtio 1.2, 5.1.6.5.1 to 5.1.6.5.3).

use alloc::vec::Vec;
use bitflags::bitflags;
use hvm::backend::Wants;
use serde::{Deserialize, Serialize};

/// An Ethernet address.
pub type Address = [u8; 6];

bitflags! {
    /// The receive modes, as bits.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Modes: u8 {
        /// Everything.
        const PROMISCUOUS = 1;
        /// All group addresses.
        const ALL_MULTICAST = 2;
        /// All stations' addresses.
        const ALL_UNICAST = 4;
        /// No group addresses but broadcast.
        const NO_MULTICAST = 8;
        /// No stations' addresses.
        const NO_UNICAST = 16;
        /// No broadcast.
        const NO_BROADCAST = 32;
    }
}

/// Most addresses in the driver's table. Beyond it, the filter lets its kind through: hardware is imperfect too (5.1.6.5.2).
pub const MAX_ADDRESSES: usize = 64;
/// VLAN identifiers that there are.
const VLANS: usize = 4096;
/// The tag protocol identifier of IEEE 802.1Q.
const VLAN_TAG: [u8; 2] = [0x81, 0x00];

/// The addresses of one kind that the driver listens to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    addresses: Vec<Address>,
    overflowed: bool,
}

impl Table {
    /// The table of these, or of all, if they are too many.
    pub fn new(addresses: impl ExactSizeIterator<Item = Address>) -> Self {
        if addresses.len() > MAX_ADDRESSES {
            return Self {
                addresses: Vec::new(),
                overflowed: true,
            };
        }
        Self {
            addresses: addresses.collect(),
            overflowed: false,
        }
    }

    fn is_empty(&self) -> bool {
        !self.overflowed && self.addresses.is_empty()
    }

    fn admits(&self, address: Address) -> bool {
        self.overflowed || self.addresses.contains(&address)
    }
}

/// The filter. A new one lets everything through, for drivers that know no receive modes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    modes: u8,
    /// Stations' addresses beside the card's own.
    pub unicast: Table,
    /// Group addresses.
    pub multicast: Table,
    /// A bit for each VLAN; `None` while tags mean nothing.
    vlans: Option<Vec<u64>>,
}

impl Filter {
    /// One that lets everything through.
    pub fn new() -> Self {
        Self {
            modes: Modes::PROMISCUOUS.bits(),
            unicast: Table::default(),
            multicast: Table::default(),
            vlans: None,
        }
    }

    /// Turns a mode on or off.
    pub fn set_mode(&mut self, mode: Modes, on: bool) {
        let mut modes = Modes::from_bits_truncate(self.modes);
        modes.set(mode, on);
        self.modes = modes.bits();
    }

    /// Whose frames have to come here so that it misses none, by what the driver has said.
    pub fn wants(&self) -> Wants {
        let all = Modes::PROMISCUOUS | Modes::ALL_UNICAST;
        match Modes::from_bits_truncate(self.modes).intersects(all) || !self.unicast.is_empty() {
            true => Wants::Everybody,
            false => Wants::Own,
        }
    }

    /// From now on only frames without a tag, and those with a tag that was added.
    pub fn filter_vlans(&mut self) {
        self.vlans = Some(alloc::vec![0; VLANS / 64]);
    }

    /// Lets a VLAN through, or no longer; false if there is no such VLAN.
    pub fn set_vlan(&mut self, id: u16, wanted: bool) -> bool {
        let vlans = self.vlans.as_mut();
        let Some(word) = vlans.and_then(|vlans| vlans.get_mut(usize::from(id / 64))) else {
            return false;
        };
        let bit = 1 << (id % 64);
        if wanted {
            *word |= bit;
        } else {
            *word &= !bit;
        }
        true
    }

    /// True if a frame is for this card, whose own address is `own`.
    pub fn admits(&self, frame: &[u8], own: Address) -> bool {
        let Some(&destination) = frame.first_chunk::<6>() else {
            return false;
        };
        self.admits_vlan(frame) && self.admits_address(destination, own)
    }

    fn admits_vlan(&self, frame: &[u8]) -> bool {
        let Some(vlans) = &self.vlans else {
            return true;
        };
        match frame.get(12..16) {
            Some(tag) if tag[..2] == VLAN_TAG => {
                let id = u16::from_be_bytes([tag[2], tag[3]]) & 0xfff;
                let word = vlans.get(usize::from(id / 64));
                word.is_some_and(|word| word >> (id % 64) & 1 != 0)
            }
            _ => true,
        }
    }

    fn admits_address(&self, destination: Address, own: Address) -> bool {
        let modes = Modes::from_bits_truncate(self.modes);
        if modes.contains(Modes::PROMISCUOUS) {
            return true;
        }
        if destination == [0xff; 6] {
            !modes.contains(Modes::NO_BROADCAST)
        } else if destination[0] & 1 != 0 {
            !modes.contains(Modes::NO_MULTICAST)
                && (modes.contains(Modes::ALL_MULTICAST) || self.multicast.admits(destination))
        } else {
            !modes.contains(Modes::NO_UNICAST)
                && (destination == own
                    || modes.contains(Modes::ALL_UNICAST)
                    || self.unicast.admits(destination))
        }
    }

    /// True if this can be a saved state.
    pub fn is_sound(&self) -> bool {
        let short = |table: &Table| table.addresses.len() <= MAX_ADDRESSES;
        let whole = |vlans: &Vec<u64>| vlans.len() == VLANS / 64;
        short(&self.unicast) && short(&self.multicast) && self.vlans.as_ref().is_none_or(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OWN: Address = [2, 0, 0, 0, 0, 1];
    const OTHER: Address = [2, 0, 0, 0, 0, 2];
    const GROUP: Address = [1, 0, 0x5e, 0, 0, 1];
    const BROADCAST: Address = [0xff; 6];

    /// A frame for `destination`, perhaps with a tag.
    fn frame(destination: Address, vlan: Option<u16>) -> Vec<u8> {
        let mut frame = destination.to_vec();
        frame.extend([0; 6]);
        if let Some(id) = vlan {
            frame.extend(VLAN_TAG);
            frame.extend((0xe000 | id).to_be_bytes());
        }
        frame.extend([8, 0]);
        frame
    }

    fn plain() -> Filter {
        let mut filter = Filter::new();
        filter.set_mode(Modes::PROMISCUOUS, false);
        filter
    }

    #[test]
    fn modes_let_through_what_they_name() {
        let passed = |filter: &Filter| {
            [OWN, OTHER, GROUP, BROADCAST].map(|address| filter.admits(&frame(address, None), OWN))
        };
        assert_eq!(passed(&Filter::new()), [true; 4]);
        assert_eq!(passed(&plain()), [true, false, false, true]);
        for (mode, expected) in [
            (Modes::ALL_MULTICAST, [true, false, true, true]),
            (Modes::ALL_UNICAST, [true, true, false, true]),
            (Modes::NO_UNICAST, [false, false, false, true]),
            (Modes::NO_BROADCAST, [true, false, false, false]),
        ] {
            let mut filter = plain();
            filter.set_mode(mode, true);
            assert_eq!(passed(&filter), expected, "{mode:?}");
        }
    }

    #[test]
    fn tables_name_stations_and_groups_and_overflow_to_all() {
        let mut filter = plain();
        filter.unicast = Table::new([OTHER].into_iter());
        filter.multicast = Table::new([GROUP].into_iter());
        assert!(filter.admits(&frame(OTHER, None), OWN));
        assert!(filter.admits(&frame(GROUP, None), OWN));
        assert!(!filter.admits(&frame([1, 0, 0, 0, 0, 9], None), OWN));
        filter.multicast = Table::new(alloc::vec![GROUP; MAX_ADDRESSES + 1].into_iter());
        assert!(filter.admits(&frame([1, 0, 0, 0, 0, 9], None), OWN));
    }

    #[test]
    fn tags_count_once_they_are_filtered() {
        let mut filter = plain();
        assert!(filter.admits(&frame(OWN, Some(7)), OWN));
        filter.filter_vlans();
        assert!(filter.admits(&frame(OWN, None), OWN));
        assert!(!filter.admits(&frame(OWN, Some(7)), OWN));
        assert!(filter.set_vlan(7, true));
        assert!(filter.admits(&frame(OWN, Some(7)), OWN));
        assert!(!filter.admits(&frame(OTHER, Some(7)), OWN));
        assert!(filter.set_vlan(7, false));
        assert!(!filter.admits(&frame(OWN, Some(7)), OWN));
        assert!(!filter.set_vlan(4096, true));
    }

    proptest! {
        #[test]
        fn any_frame_is_answered(frame: Vec<u8>, modes: u8, vlans: bool) {
            let mut filter = Filter::new();
            filter.modes = modes;
            if vlans {
                filter.filter_vlans();
            }
            let _ = filter.admits(&frame, OWN);
        }
    }
}
