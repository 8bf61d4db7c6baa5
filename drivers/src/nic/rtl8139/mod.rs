//! Realtek's RTL8139, every revision, by four transmit slots and one receive ring.
//!
//! The chip neither sums nor cuts, nor pads. Frames are copied out of its ring; they are sent from where they are.

pub mod bits;
#[cfg(test)]
mod tests;

use super::watch::Progress;
use super::{Admits, CRC_BYTES, Failure, Filter, LinkNews, Nic, Sizes, USUAL_MTU};
use crate::window::{Shared, Window};
use alloc::collections::VecDeque;
use bits::*;
use core::fmt;
use core::sync::atomic::{Ordering, fence};
use hvm::backend::Link;
use hvm::packet::{Checksum, Packet, Pool};

/// Bytes of memory that the receive ring takes.
pub const SHARED_BYTES: usize = RING_BYTES + TAIL_BYTES;
/// Frames that wait for a slot.
const QUEUE: usize = 256;
/// How often, 10 µs apart, the end of a reset is looked for.
const RESET_LOOKS: u32 = 1000;
const RESET_MS: u32 = 10;
/// What it copies frames into has room for the longest that it tells of.
const BUFFER_BYTES: usize = 2048;
/// Bytes in front of a frame in the ring: status and length.
const HEADER_BYTES: usize = 4;
/// Most frames that one ring holds.
const MOST_FRAMES: usize = RING_BYTES / (MIN_FRAME_BYTES + CRC_BYTES);

/// A card.
pub struct Rtl8139<R, W> {
    registers: R,
    ring: Shared<W>,
    pool: &'static Pool,
    address: [u8; 6],
    /// Where the next frame begins in the ring.
    read: usize,
    /// The packet in each slot; slots are used in turn.
    slots: [Option<Packet>; SLOTS],
    /// The slot that was filled first, and how many are.
    oldest: usize,
    filled: usize,
    queue: VecDeque<Packet>,
    mask: Interrupt,
    filter: Filter,
    /// A transfer on the bus has failed.
    broken: bool,
    /// It said that it gave a frame up, and was not told to go on.
    gave_up: bool,
    /// Counted for [`Progress`].
    sent: u32,
    received: u32,
    missed: u64,
    faults: u64,
}

/// How long frames are: the chip takes none longer than everybody's.
pub fn sizes() -> Sizes {
    Sizes::new(USUAL_MTU, USUAL_MTU, BUFFER_BYTES, BUFFER_BYTES)
}

impl<R: Window, W: Window> Rtl8139<R, W> {
    /// Resets the card and starts it. `ring` has [`SHARED_BYTES`]; frames that come are copied into packets of `pool`. `pause_us` waits for
    /// microseconds.
    pub fn start(
        registers: R,
        ring: Shared<W>,
        pool: &'static Pool,
        pause_us: &mut dyn FnMut(u32),
    ) -> Result<Self, Failure> {
        let mut card = Self {
            registers,
            ring,
            pool,
            address: [0; 6],
            read: 0,
            slots: [const { None }; SLOTS],
            oldest: 0,
            filled: 0,
            queue: VecDeque::with_capacity(QUEUE),
            mask: Interrupt::empty(),
            filter: Filter::Everybody,
            broken: false,
            gave_up: false,
            sent: 0,
            received: 0,
            missed: 0,
            faults: 0,
        };
        card.restart(pause_us)?;
        Ok(card)
    }

    /// Lets go of all packets: after a reset the card knows none.
    fn forget(&mut self) {
        self.slots = [const { None }; SLOTS];
        (self.oldest, self.filled) = (0, 0);
        (self.broken, self.gave_up) = (false, false);
        self.queue.clear();
        self.mask = Interrupt::all() - Interrupt::SENT;
    }

    /// The chip knows one station's address, its own.
    fn narrow(&mut self) -> Admits {
        let (admits, config) = match &self.filter {
            Filter::Only(stations) if stations.is_empty() => {
                (Admits::Named, RECEIVE_CONFIG_ALL & !ACCEPT_ALL)
            }
            _ => (Admits::Everybody, RECEIVE_CONFIG_ALL),
        };
        self.registers.write_u32(RECEIVE_CONFIG, config);
        admits
    }

    fn reset(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        self.registers.write_u8(EEPROM_COMMAND, UNLOCKED);
        self.registers.write_u8(CONFIG1, 0);
        self.registers.write_u8(EEPROM_COMMAND, 0);
        self.registers.write_u8(COMMAND, Command::RESET.bits());
        for _ in 0..RESET_LOOKS {
            let command = Command::from_bits_retain(self.registers.read_u8(COMMAND));
            if !command.contains(Command::RESET) {
                return Ok(());
            }
            pause_us(10);
        }
        let limit_ms = RESET_MS;
        Err(Failure::Reset { limit_ms })
    }

    fn set_up(&mut self) {
        self.start_receiver();
        self.registers
            .write_u32(TRANSMIT_CONFIG, TRANSMIT_CONFIG_USUAL);
        self.registers.write_u32(MISSED, 0);
        let link = self.registers.read_u16(INTERRUPT_STATUS);
        self.registers.write_u16(INTERRUPT_STATUS, link);
        self.registers.write_u16(INTERRUPT_MASK, self.mask.bits());
    }

    /// Starts the receiver at the ring's beginning. Configurations are taken over only while it is on (programming guide, 3).
    fn start_receiver(&mut self) {
        let off = Command::TRANSMIT;
        self.registers.write_u8(COMMAND, off.bits());
        self.registers
            .write_u32(RECEIVE_START, self.ring.dma as u32);
        self.registers
            .write_u8(COMMAND, (off | Command::RECEIVE).bits());
        self.narrow();
        for half in [MULTICAST, MULTICAST + 4] {
            self.registers.write_u32(half, u32::MAX);
        }
        self.read = 0;
        self.registers
            .write_u16(RECEIVE_POINTER, 0_u16.wrapping_sub(POINTER_BIAS));
    }

    /// A frame was given up after collisions: the chip has to be told to go on, once for each time that it says so, and then reads the frame
    /// again, so its packet stays (data sheet, TCR, CLRABT).
    fn try_again(&mut self) {
        if core::mem::take(&mut self.gave_up) {
            self.faults += 1;
            self.registers
                .write_u32(TRANSMIT_CONFIG, TRANSMIT_CONFIG_USUAL | CLEAR_ABORT);
        }
    }

    /// Takes back what was sent, and fills slots.
    fn advance(&mut self) {
        while self.filled > 0 {
            let at = TRANSMIT_STATUS + 4 * self.oldest;
            let status = Slot::from_bits_retain(self.registers.read_u32(at));
            if status.contains(Slot::ABORTED) {
                self.try_again();
                break;
            }
            if !status.intersects(Slot::SENT | Slot::UNDERRUN) {
                break;
            }
            self.slots[self.oldest] = None;
            self.oldest = (self.oldest + 1) % SLOTS;
            self.filled -= 1;
            self.sent = self.sent.wrapping_add(1);
        }
        while self.filled < SLOTS
            && let Some(packet) = self.queue.pop_front()
        {
            let slot = (self.oldest + self.filled) % SLOTS;
            fence(Ordering::Release);
            self.registers
                .write_u32(TRANSMIT_ADDRESS + 4 * slot, packet.dma() as u32);
            // The size, with READ clear, hands it over.
            let size = packet.len() as u32;
            self.registers.write_u32(
                TRANSMIT_STATUS + 4 * slot,
                size | Slot::THRESHOLD_256.bits(),
            );
            self.slots[slot] = Some(packet);
            self.filled += 1;
        }
    }

    fn count(&mut self) {
        self.missed += u64::from(self.registers.read_u32(MISSED) & 0xff_ffff);
        self.registers.write_u32(MISSED, 0);
    }

    /// The frame at the read pointer, copied if there is a buffer for it. An error means that the ring makes no sense.
    fn next(&mut self) -> Result<Option<Packet>, ()> {
        let header = self.ring.window.read_u32(self.read);
        let status = Received::from_bits_retain(header as u16);
        let length = (header >> 16) as usize;
        let sound = MIN_FRAME_BYTES + CRC_BYTES..=MAX_FRAME_BYTES + CRC_BYTES;
        if !status.contains(Received::OK) || !sound.contains(&length) {
            return Err(());
        }
        let bytes = length - CRC_BYTES;
        let packet = self.pool.packet().and_then(|mut packet| {
            let room = packet.room().get_mut(..bytes.next_multiple_of(4))?;
            for (index, word) in room.chunks_exact_mut(4).enumerate() {
                let at = self.read + HEADER_BYTES + 4 * index;
                word.copy_from_slice(&self.ring.window.read_u32(at).to_le_bytes());
            }
            packet.set_len(bytes);
            Some(packet)
        });
        self.faults += u64::from(packet.is_none());
        self.received = self.received.wrapping_add(1);
        self.read = (self.read + HEADER_BYTES + length).next_multiple_of(4) % RING_BYTES;
        self.registers.write_u16(
            RECEIVE_POINTER,
            (self.read as u16).wrapping_sub(POINTER_BIAS),
        );
        Ok(packet)
    }
}

impl<R: Window, W: Window> Nic for Rtl8139<R, W> {
    fn name(&self) -> &'static str {
        "Realtek RTL8139"
    }

    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn link(&mut self) -> Link {
        match self.registers.read_u8(MEDIA_STATUS) & LINK_BAD {
            0 => Link::Up,
            _ => Link::Down,
        }
    }

    fn acknowledge(&mut self) -> LinkNews {
        let status = self.registers.read_u16(INTERRUPT_STATUS);
        self.registers.write_u16(INTERRUPT_STATUS, status);
        let status = Interrupt::from_bits_retain(status);
        self.broken |= status.contains(Interrupt::BUS_ERROR);
        self.gave_up |= status.contains(Interrupt::NOT_SENT);
        match status.contains(Interrupt::LINK) {
            true => LinkNews::Changed,
            false => LinkNews::Same,
        }
    }

    fn receive(&mut self) -> Option<Packet> {
        for _ in 0..MOST_FRAMES {
            let command = Command::from_bits_retain(self.registers.read_u8(COMMAND));
            if command.contains(Command::EMPTY) {
                return None;
            }
            fence(Ordering::Acquire);
            match self.next() {
                Ok(None) => {}
                Ok(packet) => return packet,
                Err(()) => {
                    self.faults += 1;
                    self.start_receiver();
                    return None;
                }
            }
        }
        None
    }

    fn send(&mut self, mut packet: Packet) -> Result<(), Packet> {
        let bytes = packet.len();
        if self.queue.len() == QUEUE || bytes > MAX_FRAME_BYTES {
            return Err(packet);
        }
        // Slots start at multiples of four (TSAD).
        if !packet.dma().is_multiple_of(4) {
            match packet.duplicate() {
                Some(copy) => packet = copy,
                None => return Err(packet),
            }
        }
        if let Some(padding) = packet.room().get_mut(bytes..MIN_FRAME_BYTES) {
            padding.fill(0);
            packet.set_len(MIN_FRAME_BYTES);
        }
        self.queue.push_back(packet);
        Ok(())
    }

    fn room(&self) -> usize {
        QUEUE - self.queue.len()
    }

    fn can_cut(&self, _: &Packet) -> bool {
        false
    }

    fn can_sum(&self, packet: &Packet) -> bool {
        !matches!(packet.offload().checksum, Checksum::Partial(_))
    }

    fn start(&mut self) {
        self.advance();
    }

    fn has_news(&mut self) -> bool {
        let command = Command::from_bits_retain(self.registers.read_u8(COMMAND));
        !command.contains(Command::EMPTY)
    }

    fn settle(&mut self) {
        self.advance();
        // While frames wait for a slot, it matters to be told of one.
        let sent = Interrupt::SENT;
        let waits = !self.queue.is_empty();
        if waits != self.mask.contains(sent) {
            self.mask.set(sent, waits);
            self.registers.write_u16(INTERRUPT_MASK, self.mask.bits());
            // What was sent before that has no interrupt.
            self.advance();
        }
    }

    fn faults(&mut self) -> u64 {
        self.count();
        self.faults + self.missed
    }

    fn sizes(&self) -> Sizes {
        sizes()
    }

    fn set_filter(&mut self, filter: &Filter) -> Admits {
        self.filter = filter.clone();
        self.narrow()
    }

    fn progress(&mut self) -> Progress {
        self.count();
        let command = self.registers.read_u8(COMMAND);
        let on = Command::TRANSMIT | Command::RECEIVE;
        let stopped = match Command::from_bits_retain(command) {
            _ if command == u8::MAX => Some("its registers read as all ones"),
            command if !command.contains(on) => {
                Some("its receiver or transmitter is off, though nobody turned it off")
            }
            _ if self.broken => Some("a transfer of it on the bus has failed"),
            _ => None,
        };
        Progress {
            outstanding: self.filled,
            sent: self.sent,
            // Its ring.
            buffers: 1,
            received: self.received,
            missed: self.missed as u32,
            stopped,
        }
    }

    fn restart(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        self.reset(pause_us)?;
        self.forget();
        self.address = core::array::from_fn(|index| self.registers.read_u8(ID + index));
        super::sound(self.address)?;
        self.set_up();
        Ok(())
    }
}

impl<R, W> fmt::Debug for Rtl8139<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Rtl8139({} in slots, {} wait)",
            self.filled,
            self.queue.len()
        )
    }
}
