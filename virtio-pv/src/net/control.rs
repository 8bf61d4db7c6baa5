//! The control queue (virtio 1.2, 5.1.6.5).

use super::Nic;
use super::bits::{self, Answer, control};
use super::filter::{Address, MAX_ADDRESSES, Modes, Table};
use crate::features::Features;
use crate::queue::{Chain, Queues, RingFault};
use guest_mem::{GuestMemory, Unmapped};

/// A driver's table has at most so many addresses that they are looked at.
const MAX_TABLE: u32 = 4096;

impl Nic {
    /// Serves the commands that wait.
    pub(super) fn serve_control(
        &mut self,
        index: usize,
        queues: &mut Queues,
        memory: &GuestMemory,
    ) {
        queues.open(index, memory);
        let mut chain = core::mem::take(&mut self.chain);
        while let Some(head) = queues.take(index, memory, &mut chain) {
            let Some(place) = chain.take_trailer() else {
                queues.fail(RingFault::Request(
                    "a network command without a place for the answer",
                ));
                break;
            };
            let answer = self.command(&mut chain, memory);
            let stored = answer.and_then(|answer| memory.store(place, &(answer as u8)));
            match stored {
                Ok(()) => queues.complete(index, memory, head, 1),
                Err(unmapped) => {
                    queues.fail(unmapped.into());
                    break;
                }
            }
        }
        self.chain = chain;
    }

    fn command(&mut self, chain: &mut Chain, memory: &GuestMemory) -> Result<Answer, Unmapped> {
        let Some([class, command]) = chain.take_header::<[u8; 2]>(memory)? else {
            return Ok(Answer::Error);
        };
        let done = match (class, command) {
            (control::RX, _) => self.set_mode(command, chain, memory)?,
            (control::MAC, control::MAC_TABLE_SET)
                if self.negotiated.contains(bits::CONTROL_RX) =>
            {
                self.set_tables(chain, memory)?
            }
            (control::MAC, control::MAC_ADDRESS_SET) => self.set_address(chain, memory)?,
            (control::VLAN, control::VLAN_ADD | control::VLAN_REMOVE) => {
                let id = chain.take_header::<[u8; 2]>(memory)?;
                let wanted = command == control::VLAN_ADD;
                id.is_some_and(|id| self.filter.set_vlan(u16::from_le_bytes(id), wanted))
            }
            (control::ANNOUNCE, control::ANNOUNCE_ACKNOWLEDGE)
                if self.negotiated.contains(bits::ANNOUNCE) =>
            {
                self.announce = super::Announcement::None;
                self.told = self.status_word();
                true
            }
            (control::MULTIQUEUE, control::PAIRS_SET) => {
                let pairs = chain.take_header::<[u8; 2]>(memory)?;
                pairs.is_some_and(|pairs| self.set_pairs(u16::from_le_bytes(pairs)))
            }
            (control::GUEST_OFFLOADS, control::GUEST_OFFLOADS_SET) => {
                let offloads = chain.take_header::<[u8; 8]>(memory)?;
                offloads.is_some_and(|offloads| self.set_offloads(u64::from_le_bytes(offloads)))
            }
            _ => false,
        };
        Ok(if done { Answer::Ok } else { Answer::Error })
    }

    fn set_mode(
        &mut self,
        command: u8,
        chain: &mut Chain,
        memory: &GuestMemory,
    ) -> Result<bool, Unmapped> {
        let (feature, mode) = match command {
            control::RX_PROMISCUOUS => (bits::CONTROL_RX, Modes::PROMISCUOUS),
            control::RX_ALL_MULTICAST => (bits::CONTROL_RX, Modes::ALL_MULTICAST),
            control::RX_ALL_UNICAST => (bits::CONTROL_RX_EXTRA, Modes::ALL_UNICAST),
            control::RX_NO_MULTICAST => (bits::CONTROL_RX_EXTRA, Modes::NO_MULTICAST),
            control::RX_NO_UNICAST => (bits::CONTROL_RX_EXTRA, Modes::NO_UNICAST),
            control::RX_NO_BROADCAST => (bits::CONTROL_RX_EXTRA, Modes::NO_BROADCAST),
            _ => return Ok(false),
        };
        let Some([on]) = chain.take_header::<[u8; 1]>(memory)? else {
            return Ok(false);
        };
        let known = self.negotiated.contains(feature);
        if known {
            self.filter.set_mode(mode, on != 0);
            self.cable.listen(self.filter.wants());
        }
        Ok(known)
    }

    /// Takes both tables, or neither.
    fn set_tables(&mut self, chain: &mut Chain, memory: &GuestMemory) -> Result<bool, Unmapped> {
        let (Some(unicast), Some(multicast)) = (table(chain, memory)?, table(chain, memory)?)
        else {
            return Ok(false);
        };
        self.filter.unicast = unicast;
        self.filter.multicast = multicast;
        self.cable.listen(self.filter.wants());
        Ok(true)
    }

    fn set_address(&mut self, chain: &mut Chain, memory: &GuestMemory) -> Result<bool, Unmapped> {
        let address = chain.take_header::<Address>(memory)?;
        let address = address.filter(|_| self.negotiated.contains(bits::CONTROL_MAC));
        if let Some(address) = address {
            self.mac = address;
        }
        Ok(address.is_some())
    }

    fn set_pairs(&mut self, pairs: u16) -> bool {
        let fine = self.negotiated.contains(bits::MULTIQUEUE)
            && (1..=self.settings.pairs).contains(&pairs);
        if fine {
            self.active_pairs = pairs;
        }
        fine
    }

    /// Only what was negotiated may be turned on (5.1.6.5.6.1).
    fn set_offloads(&mut self, offloads: u64) -> bool {
        let wanted = Features::from_bits_retain(offloads);
        let fine = self.negotiated.contains(bits::CONTROL_GUEST_OFFLOADS)
            && (self.negotiated & super::GUEST_OFFLOADS).contains(wanted);
        if fine {
            self.accept(wanted);
        }
        fine
    }
}

/// Takes one table of addresses off the front of a command.
fn table(chain: &mut Chain, memory: &GuestMemory) -> Result<Option<Table>, Unmapped> {
    let Some(count) = chain.take_header::<[u8; 4]>(memory)? else {
        return Ok(None);
    };
    let count = u32::from_le_bytes(count);
    if count > MAX_TABLE {
        return Ok(None);
    }
    let mut addresses = [Address::default(); MAX_ADDRESSES];
    for index in 0..count as usize {
        let Some(address) = chain.take_header::<Address>(memory)? else {
            return Ok(None);
        };
        if let Some(place) = addresses.get_mut(index) {
            *place = address;
        }
    }
    // One that is too long holds more than is kept, and then means everything.
    let kept = (0..count as usize).map(|index| addresses.get(index).copied().unwrap_or_default());
    Ok(Some(Table::new(kept)))
}
