//! Receiving: what is taken, and the C mode's ring.

use super::bits::{CPlus, CRC_BYTES, Command, Interrupt, MIN_FRAME_BYTES, ReceiveConfig, receive};
use super::filter::{Receiver, judge};
use super::{Chip, Mastery};
use guest_mem::{Gpa, GuestMemory, Unmapped};
use hvm::packet::Packet;

/// Most frames that one call looks at, wanted or not.
const MAX_FRAMES: usize = 1024;
/// The longest frame that the length fields hold.
const MAX_FRAME_BYTES: usize = 0x1fff - CRC_BYTES;
/// Bytes in front of a frame in the ring: status and length.
const HEADER_BYTES: u32 = 4;
/// The driver's pointer is that much behind where it reads (data sheet, CAPR).
const POINTER_BIAS: u16 = 16;

/// Whether the driver is told that a frame finds no room.
///
/// A chip on a wire tells with every frame that comes. Ours holds them back, so it also tells when the driver opens its mask, as drivers do
/// when they think that they are done: whoever acknowledged frames, and left some in the ring, waits for an interrupt that no
/// further frame would bring. But it does not tell at each acknowledgement, or a driver without buffers had no rest; nor a driver that is at
/// work anyway ([`Chip::tell_full`]), which would count an error where nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is.
    Tell,
    /// It knows.
    Hush,
}

/// Where a frame went.
pub enum Placed {
    /// To the driver.
    Done,
    /// Nowhere yet.
    NoRoom,
}

impl Chip {
    /// Moves frames to the driver, as far as there are any and it has room. One that finds none waits, and those behind it in the cable.
    pub(super) fn receive(&mut self, memory: &GuestMemory, full: WhenFull) {
        if !self.may_receive() {
            return self.overhear();
        }
        for _ in 0..MAX_FRAMES {
            let waited = self.waiting.take();
            let Some(packet) = waited.or_else(|| self.cable.receive()) else {
                return;
            };
            if let Some(packet) = self.take_in(packet, memory) {
                self.waiting = Some(packet);
                if full == WhenFull::Tell {
                    self.tell_full();
                }
                return;
            }
        }
    }

    /// Frames may have come. One that waits goes on waiting while the ring is crowded.
    pub(super) fn receive_news(&mut self, memory: &GuestMemory) {
        match self.may_receive() && self.waiting.is_some() && self.is_crowded() {
            true => self.tell_full(),
            false => self.receive(memory, WhenFull::Tell),
        }
    }

    /// The driver has read, and moved its pointer. Frames that wait go on when half of the ring is free: whoever acknowledges them one by one,
    /// as 8139too does, would otherwise find another each time, and acknowledge that.
    pub(super) fn receive_behind_pointer(&mut self, memory: &GuestMemory) {
        if self.waiting.is_some() && !self.is_crowded() {
            self.receive(memory, WhenFull::Hush);
        }
    }

    /// The driver has written mask or status, and has `opened` interrupts. Descriptors are given back in memory alone: an interrupt that is over is
    /// the sign to look for them. Of a ring in one piece the pointer tells, but who can be interrupted may be waiting for that.
    pub(super) fn receive_behind_interrupt(&mut self, memory: &GuestMemory, opened: Interrupt) {
        let mask = Interrupt::from_bits_truncate(self.state.interrupt_mask);
        let may_wait = mask.intersects(Interrupt::RECEIVED | Interrupt::RECEIVE_FULL);
        if self.waiting.is_none() || !may_wait && !self.receives_rings() {
            return;
        }
        let full = match opened.contains(Interrupt::RECEIVE_FULL) {
            true => WhenFull::Tell,
            false => WhenFull::Hush,
        };
        self.receive(memory, full);
    }

    /// Tells that a frame finds no room. Who has a ring in one piece is not told while it knows of frames, or has closed its mask for this
    /// interrupt: then it is at work, and hears of it when it opens the mask.
    fn tell_full(&mut self) {
        let mask = Interrupt::from_bits_truncate(self.state.interrupt_mask);
        let status = Interrupt::from_bits_truncate(self.state.interrupt_status);
        let listens = |interrupt| mask.is_empty() || mask.contains(interrupt);
        let knows = status.contains(Interrupt::RECEIVED) && listens(Interrupt::RECEIVED);
        if self.receives_rings() || !knows && listens(Interrupt::RECEIVE_FULL) {
            self.raise(Interrupt::RECEIVE_FULL);
        }
    }

    /// Whether the ring in one piece is filled by more than half.
    fn is_crowded(&self) -> bool {
        !self.receives_rings() && self.unread() > self.state.receive().ring_bytes() / 2
    }

    /// A receiver that is off lets frames pass by.
    fn overhear(&mut self) {
        if !Command::from_bits_truncate(self.state.command).contains(Command::RECEIVE) {
            self.waiting = None;
            for _ in 0..MAX_FRAMES {
                if self.cable.receive().is_none() {
                    return;
                }
            }
        }
    }

    /// Brings one frame to the driver, if it wants it; gives it back if there is no room.
    pub(super) fn take_in(&mut self, mut packet: Packet, memory: &GuestMemory) -> Option<Packet> {
        let state = &self.state;
        let config = state.receive();
        let receiver = judge(packet.frame(), config, state.address, state.groups)?;
        if packet.len() > MAX_FRAME_BYTES || packet.offload().segmentation.is_some() {
            return None;
        }
        pad(&mut packet);
        let placed = if self.receives_rings() {
            self.place_in_descriptors(&mut packet, receiver, memory)
        } else {
            packet.finish_checksum();
            self.place_in_ring(packet.frame(), receiver, memory)
        };
        match placed {
            Ok(Placed::Done) => {
                self.count_received(receiver);
                self.raise(Interrupt::RECEIVED);
                None
            }
            Ok(Placed::NoRoom) => Some(packet),
            Err(_) => {
                self.raise(Interrupt::BUS_ERROR);
                None
            }
        }
    }

    /// Whether frames are received into rings of descriptors.
    fn receives_rings(&self) -> bool {
        CPlus::from_bits_truncate(self.state.cplus.command).contains(CPlus::RECEIVE)
    }

    /// Whether the receiver is on, and may write to memory.
    pub(super) fn may_receive(&self) -> bool {
        let on = Command::from_bits_truncate(self.state.command).contains(Command::RECEIVE);
        on && self.mastery == Mastery::Allowed
    }

    /// True if the driver has read everything in the ring.
    pub(super) fn ring_is_empty(&self) -> bool {
        self.unread() == 0
    }

    /// Bytes in the ring that the driver has not read.
    fn unread(&self) -> u32 {
        let ring = &self.state.ring;
        let last = self.state.receive().ring_bytes() - 1;
        let read = ring.driver.wrapping_add(POINTER_BIAS);
        u32::from(ring.chip).wrapping_sub(u32::from(read)) & last
    }

    fn place_in_ring(
        &mut self,
        frame: &[u8],
        receiver: Receiver,
        memory: &GuestMemory,
    ) -> Result<Placed, Unmapped> {
        let config = self.state.receive();
        let ring_bytes = config.ring_bytes();
        let bytes = (frame.len() + CRC_BYTES) as u32;
        let whole = (HEADER_BYTES + bytes).next_multiple_of(4);
        // A ring that is full would look like one that is empty.
        if self.unread() + whole >= ring_bytes {
            return Ok(Placed::NoRoom);
        }
        let status = receive::OK
            | match receiver {
                Receiver::Own => receive::OWN,
                Receiver::Everybody => receive::BROADCAST,
                Receiver::Group => receive::MULTICAST,
                Receiver::Other => 0,
            };
        let header = u32::from(status) | bytes << 16;
        // Frames are aligned to dwords, so a header is never cut.
        let at = u32::from(self.state.ring.chip) & !3;
        let start = Gpa(u64::from(self.state.ring.start));
        memory.store(start.wrapping_add(u64::from(at)), &header)?;
        // The check sequence stayed with the host's card; its place is cleared.
        let crc = [0; CRC_BYTES];
        let mut at = at + HEADER_BYTES;
        // 64 KiB always wrap (data sheet, RCR, WRAP).
        let wraps = !config.contains(ReceiveConfig::NO_WRAP) || ring_bytes == 0x1_0000;
        for part in [frame, &crc] {
            let mut rest = part;
            while !rest.is_empty() {
                let room = if wraps {
                    ring_bytes - at % ring_bytes
                } else {
                    u32::MAX
                };
                let (now, later) = rest.split_at(rest.len().min(room as usize));
                let place = if wraps { at % ring_bytes } else { at };
                memory.write(start.wrapping_add(u64::from(place)), now)?;
                at += now.len() as u32;
                rest = later;
            }
        }
        self.state.ring.chip = (at.next_multiple_of(4) & (ring_bytes - 1)) as u16;
        Ok(Placed::Done)
    }
}

/// Makes a frame as long as a wire makes it.
fn pad(packet: &mut Packet) {
    let bytes = packet.len();
    if bytes < MIN_FRAME_BYTES {
        packet.finish_checksum();
        if let Some(padding) = packet.room().get_mut(bytes..MIN_FRAME_BYTES) {
            padding.fill(0);
            packet.set_len(MIN_FRAME_BYTES);
        }
    }
}
