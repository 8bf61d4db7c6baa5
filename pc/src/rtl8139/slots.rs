//! Sending in C mode: four slots, used in turn.

use super::bits::{Interrupt, slot};
use super::{Chip, Step};
use guest_mem::{Gpa, GuestMemory};
use hvm::backend::Link;

impl Chip {
    /// The driver writes a slot's status: that hands the slot over, if it clears OWN.
    pub(super) fn set_slot_status(&mut self, index: usize, value: u32, mask: u32) {
        let slot = &mut self.state.slots[index];
        if mask & slot::OWN != 0 && value & slot::OWN == 0 {
            slot.status = value & (slot::SIZE | slot::THRESHOLD);
        }
    }

    /// What the slots have in common (TSAD).
    pub(super) fn summary(&self) -> u16 {
        let mut summary = 0;
        for (index, slot) in self.state.slots.iter().enumerate() {
            let bits = [(slot::OWN, 0), (slot::ABORTED, 4), (slot::SENT, 12)];
            for (bit, place) in bits {
                if slot.status & bit != 0 {
                    summary |= 1 << (place + index);
                }
            }
        }
        summary
    }

    /// Takes one frame out of its slot.
    pub(super) fn send_slot(&mut self, memory: &GuestMemory) -> Step {
        let index = usize::from(self.state.slot);
        let slot = self.state.slots[index];
        if slot.status & slot::OWN != 0 {
            return Step::Idle;
        }
        let bytes = slot.status & slot::SIZE;
        let sent = if bytes > slot::MAX_BYTES {
            false
        } else if self.cable.link() == Link::Down && !self.loops() {
            true
        } else {
            let Some(mut packet) = self.cable.packet(bytes as usize) else {
                return Step::Stalled;
            };
            packet.set_len(bytes as usize);
            let read = memory.read(Gpa(u64::from(slot.address)), packet.frame_mut());
            if read.is_err() {
                self.raise(Interrupt::BUS_ERROR);
            } else {
                self.held = Some(packet);
            }
            read.is_ok()
        };
        let outcome = if sent { slot::SENT } else { slot::ABORTED };
        self.state.slots[index].status = slot.status | slot::OWN | outcome;
        self.state.slot = (index as u8 + 1) % self.state.slots.len() as u8;
        self.count_sent(sent);
        Step::Taken
    }
}
