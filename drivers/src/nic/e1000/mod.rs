//! Intel's gigabit Ethernet controllers from the 8254x on, as far as they take legacy descriptors and one ring each way.

pub mod bits;
mod offload;
#[cfg(test)]
mod tests;

use super::{LinkNews, Nic};
use crate::window::{Shared, Window};
use alloc::vec::Vec;
use bits::*;
use core::fmt;
use core::sync::atomic::{Ordering, fence};
use hvm::backend::Link;
use hvm::packet::{Checksum, Packet, Pool};
use offload::{MAX_PIECE_BYTES, Words, Work};

/// Intel.
pub const VENDOR: u16 = 0x8086;
/// Descriptors of each ring; the length in bytes is a multiple of 128, as it must be.
pub const RING: usize = 256;
/// Bytes of ring memory that a card needs; its address is a multiple of 16.
pub const SHARED_BYTES: usize = 2 * RING * DESCRIPTOR_BYTES;
/// Bytes that a receive buffer must have room for: RCTL's buffer size 0 (8254x, 13.4.22).
pub const BUFFER_BYTES: usize = 2048;

const RX_RING: usize = 0;
const TX_RING: usize = RING * DESCRIPTOR_BYTES;
/// Descriptors in use from which on it matters to be told of sent frames.
const CROWDED: usize = RING / 2;
/// How often, 10 µs apart, the end of a reset is looked for: the EEPROM's contents are loaded anew within 20 ms (82574, 4.6.3).
const RESET_LOOKS: u32 = 5000;

/// The two kinds that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// PCI and PCI-X: 8254x.
    Pci,
    /// PCI Express: 82571 to 82574, 82583.
    Express,
}

/// A model that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    name: &'static str,
    family: Family,
    cuts: Cuts,
}

/// Whether a model is asked to cut frames: not the oldest (82543, 82544) and 82547, which Linux' driver spares as well for their errata, and
/// none on PCI Express, where it could not be tried: QEMU 7.2's cuts TCP into IP fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cuts {
    Yes,
    No,
}

/// The model with a PCI device identifier, if the driver knows it.
pub fn model(device: u16) -> Option<Model> {
    let (name, family) = match device {
        0x1004 | 0x1008 | 0x1009 | 0x100c | 0x100d => ("Intel 8254x", Family::Pci),
        0x100e | 0x1015 | 0x1016 | 0x1017 | 0x101e => ("Intel 82540", Family::Pci),
        0x100f | 0x1011 | 0x1026 | 0x1027 | 0x1028 => ("Intel 82545", Family::Pci),
        0x1010 | 0x1012 | 0x101d | 0x1079 | 0x107a | 0x107b => ("Intel 82546", Family::Pci),
        0x1013 | 0x1014 | 0x1018 | 0x1019 | 0x101a | 0x1075..=0x1078 | 0x107c => {
            ("Intel 82541/82547", Family::Pci)
        }
        0x105e | 0x105f | 0x1060 | 0x10a4 | 0x10bc => ("Intel 82571", Family::Express),
        0x107d | 0x107e | 0x107f | 0x10b9 => ("Intel 82572", Family::Express),
        0x108b | 0x108c | 0x109a => ("Intel 82573", Family::Express),
        0x10d3 | 0x10f6 => ("Intel 82574", Family::Express),
        0x150c => ("Intel 82583", Family::Express),
        _ => return None,
    };
    let cuts = match name {
        "Intel 82540" | "Intel 82545" | "Intel 82546" => Cuts::Yes,
        _ => Cuts::No,
    };
    Some(Model { name, family, cuts })
}

/// Why a card cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Its registers read as all ones.
    Gone,
    /// A reset did not end.
    Reset,
    /// Its EEPROM gave no address of a station.
    Address([u8; 6]),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("its registers read as all ones, as if it were not there"),
            Self::Reset => f.write_str("it did not end its reset within 50 ms"),
            Self::Address(bytes) => write!(
                f,
                "its EEPROM gave the address {bytes:02x?}, which no station has"
            ),
        }
    }
}

/// A card.
pub struct E1000<R, W> {
    registers: R,
    rings: Shared<W>,
    model: Model,
    address: [u8; 6],
    pool: &'static Pool,
    /// The packet in each receive descriptor.
    filled: Vec<Option<Packet>>,
    /// The descriptor that the card fills next; and the first that it may not have.
    next_received: usize,
    next_free: usize,
    /// Frames that lie in pieces are dropped up to their end.
    skipping: bool,
    /// The packet in each transmit descriptor.
    sending: Vec<Option<Packet>>,
    /// The oldest that may still be on its way; how many are; the next to be used.
    oldest: usize,
    outstanding: usize,
    next_sent: usize,
    /// The transmit tail that the card knows.
    started: usize,
    /// The context that frames behind have.
    context: Option<Words>,
    mask: Cause,
    faults: u64,
}

impl<R: Window, W: Window> E1000<R, W> {
    /// Resets the card and starts it. `rings` has [`SHARED_BYTES`]; buffers come out of `pool`, which has them of [`BUFFER_BYTES`].
    /// `pause_us` waits for microseconds.
    pub fn start(
        registers: R,
        rings: Shared<W>,
        model: Model,
        pool: &'static Pool,
        pause_us: &mut dyn FnMut(u32),
    ) -> Result<Self, Failure> {
        let none = |_| None;
        let mut card = Self {
            registers,
            rings,
            model,
            address: [0; 6],
            pool,
            filled: (0..RING).map(none).collect(),
            next_received: 0,
            next_free: 0,
            skipping: false,
            sending: (0..RING).map(none).collect(),
            oldest: 0,
            outstanding: 0,
            next_sent: 0,
            started: 0,
            context: None,
            mask: Cause::LINK | Cause::FEW_BUFFERS | Cause::OVERRUN | Cause::RECEIVED,
            faults: 0,
        };
        card.reset(pause_us)?;
        card.read_address()?;
        card.set_up();
        Ok(card)
    }

    /// (8254x, 14.3; 82574, 4.6.1: masters off first, so that no access is cut short.)
    fn reset(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        if self.registers.read_u32(STATUS) == u32::MAX {
            return Err(Failure::Gone);
        }
        self.silence();
        self.registers.write_u32(RCTL, 0);
        self.registers.write_u32(TCTL, Tctl::PAD.bits());
        let _ = self.registers.read_u32(STATUS);
        pause_us(10_000);
        let control = self.registers.read_u32(CTRL);
        self.registers.write_u32(CTRL, control | Ctrl::RESET.bits());
        let mut looks = 0;
        // The registers must not be read at once after a reset (82574, 4.6.1).
        pause_us(5000);
        while Ctrl::from_bits_retain(self.registers.read_u32(CTRL)).contains(Ctrl::RESET) {
            looks += 1;
            if looks > RESET_LOOKS {
                return Err(Failure::Reset);
            }
            pause_us(10);
        }
        pause_us(20_000);
        self.silence();
        Ok(())
    }

    fn silence(&mut self) {
        self.registers.write_u32(IMC, u32::MAX);
        let _ = self.registers.read_u32(ICR);
    }

    fn read_address(&mut self) -> Result<(), Failure> {
        let [a, b, c, d] = self.registers.read_u32(RAL0).to_le_bytes();
        let high = self.registers.read_u32(RAH0);
        let [e, f, ..] = high.to_le_bytes();
        self.address = [a, b, c, d, e, f];
        if self.address == [0; 6] || a & 1 != 0 {
            return Err(Failure::Address(self.address));
        }
        self.registers.write_u32(RAH0, high | RAH_VALID);
        Ok(())
    }

    /// (8254x, 14.4 and 14.5.)
    fn set_up(&mut self) {
        let off = Ctrl::LINK_RESET | Ctrl::INVERT_LOSS | Ctrl::VLAN | Ctrl::PHY_RESET;
        let control = Ctrl::from_bits_retain(self.registers.read_u32(CTRL)) - off;
        let on = Ctrl::SET_LINK_UP | Ctrl::AUTO_SPEED;
        self.registers.write_u32(CTRL, (control | on).bits());
        for index in 0..MTA_DWORDS {
            self.registers.write_u32(MTA + 4 * index, 0);
        }
        let ring_bytes = (RING * DESCRIPTOR_BYTES) as u32;
        let rings = [
            (RDBAL, RDLEN, RDH, RDT, RX_RING),
            (TDBAL, TDLEN, TDH, TDT, TX_RING),
        ];
        for (base, length, head, tail, place) in rings {
            let address = self.rings.dma + place as u64;
            self.registers.write_u64(base, address);
            self.registers.write_u32(length, ring_bytes);
            self.registers.write_u32(head, 0);
            self.registers.write_u32(tail, 0);
        }
        for delay in [RDTR, RADV, TIDV] {
            self.registers.write_u32(delay, 0);
        }
        if self.model.family == Family::Express {
            self.registers.write_u32(TXDCTL, TXDCTL_EXPRESS);
        }
        self.registers.write_u32(TIPG, TIPG_COPPER);
        let transmit = (Tctl::ENABLE | Tctl::PAD).bits() | TCTL_COLLISIONS;
        self.registers.write_u32(TCTL, transmit);
        let everything =
            Rctl::ALL_UNICAST | Rctl::ALL_MULTICAST | Rctl::BROADCAST | Rctl::STRIP_CHECK;
        self.registers
            .write_u32(RCTL, (everything | Rctl::ENABLE).bits());
        self.refill();
        self.registers.write_u32(IMS, self.mask.bits());
    }

    /// Gives the card all descriptors but one, the head catching up with the tail meaning an empty ring.
    fn refill(&mut self) {
        let before = self.next_free;
        while (self.next_free + 1) % RING != self.next_received {
            let Some(packet) = self.pool.packet() else {
                break;
            };
            let at = RX_RING + self.next_free * DESCRIPTOR_BYTES;
            self.rings.window.write_u64(at, packet.dma());
            self.rings.window.write_u64(at + 8, 0);
            self.filled[self.next_free] = Some(packet);
            self.next_free = (self.next_free + 1) % RING;
        }
        if self.next_free != before {
            fence(Ordering::Release);
            self.registers.write_u32(RDT, self.next_free as u32);
        }
    }

    /// Descriptors that may be filled.
    fn free(&self) -> usize {
        RING - 1 - self.outstanding
    }

    /// Fills the next descriptor, the frame's last if it comes with the packet. There is one.
    fn put(&mut self, [a, b, c, d]: Words, packet: Option<Packet>) {
        let at = TX_RING + self.next_sent * DESCRIPTOR_BYTES;
        for (index, word) in [a, b, c, d].into_iter().enumerate() {
            self.rings.window.write_u32(at + 4 * index, word);
        }
        self.sending[self.next_sent] = packet;
        self.next_sent = (self.next_sent + 1) % RING;
        self.outstanding += 1;
    }

    fn send_plain(&mut self, packet: Packet) {
        let command = Command::END | Command::CHECK | Command::REPORT;
        let words = packet.len() as u32 | u32::from(command.bits()) << 24;
        let address = packet.dma();
        self.put(
            [address as u32, (address >> 32) as u32, words, 0],
            Some(packet),
        );
    }

    /// A context, unless the card knows it from the frame before, and the frame in pieces. Frames that are to be cut have one each: the
    /// card counts in it.
    fn send_with(&mut self, packet: Packet, work: Work) {
        if self.context != Some(work.context) || work.command.contains(Command::SUM) {
            self.put(work.context, None);
            self.context = Some(work.context);
        }
        let options = u32::from(work.options.bits()) << 8;
        let bytes = packet.len();
        let mut packet = Some(packet);
        let address = packet.as_ref().map_or(0, Packet::dma);
        for from in (0..bytes).step_by(MAX_PIECE_BYTES) {
            let here = (bytes - from).min(MAX_PIECE_BYTES);
            let last = from + here == bytes;
            let mut command = work.command | Command::CHECK | Command::REPORT | Command::EXTENDED;
            command.set(Command::END, last);
            let words = here as u32 | TYPE_DATA | u32::from(command.bits()) << 24;
            let address = address + from as u64;
            let own = if last { packet.take() } else { None };
            self.put(
                [address as u32, (address >> 32) as u32, words, options],
                own,
            );
        }
    }

    /// Takes back what was sent.
    fn reap(&mut self) {
        while self.outstanding > 0 {
            let at = TX_RING + self.oldest * DESCRIPTOR_BYTES;
            let status = Done::from_bits_retain(self.rings.window.read_u8(at + TX_STATUS));
            if !status.contains(Done::DONE) {
                break;
            }
            self.sending[self.oldest] = None;
            self.oldest = (self.oldest + 1) % RING;
            self.outstanding -= 1;
        }
    }

    /// What the next descriptor says, if the card is done with it: its frame, unless it is damaged or cut.
    fn next(&mut self) -> Option<Option<Packet>> {
        if self.next_received == self.next_free {
            return None;
        }
        let at = RX_RING + self.next_received * DESCRIPTOR_BYTES;
        let status = Done::from_bits_retain(self.rings.window.read_u8(at + RX_STATUS));
        if !status.contains(Done::DONE) {
            return None;
        }
        fence(Ordering::Acquire);
        let length = usize::from(self.rings.window.read_u16(at + RX_LENGTH));
        let errors = self.rings.window.read_u8(at + RX_ERRORS);
        let packet = self.filled[self.next_received].take();
        self.next_received = (self.next_received + 1) % RING;
        let ends = status.contains(Done::END);
        let begins = !core::mem::replace(&mut self.skipping, !ends);
        let whole = begins && ends;
        if !whole || errors & RX_DAMAGED != 0 || length > BUFFER_BYTES {
            self.faults += u64::from(ends);
            return Some(None);
        }
        Some(packet.map(|mut packet| {
            packet.set_len(length);
            packet
        }))
    }
}

impl<R: Window, W: Window> Nic for E1000<R, W> {
    fn name(&self) -> &'static str {
        self.model.name
    }

    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn link(&mut self) -> Link {
        match Status::from_bits_retain(self.registers.read_u32(STATUS)).contains(Status::LINK_UP) {
            true => Link::Up,
            false => Link::Down,
        }
    }

    fn acknowledge(&mut self) -> LinkNews {
        let cause = Cause::from_bits_retain(self.registers.read_u32(ICR));
        match cause.contains(Cause::LINK) {
            true => LinkNews::Changed,
            false => LinkNews::Same,
        }
    }

    fn receive(&mut self) -> Option<Packet> {
        // As many as the ring has: a card cannot keep us here with damaged frames.
        (0..RING).map_while(|_| self.next()).find_map(|frame| frame)
    }

    fn send(&mut self, mut packet: Packet) -> Result<(), Packet> {
        let asks = matches!(packet.offload().checksum, Checksum::Partial(_));
        let cuts = packet.offload().segmentation.is_some();
        if asks && !self.can_sum(&packet) || cuts && !self.can_cut(&packet) {
            return Err(packet);
        }
        let pieces = packet.len().div_ceil(MAX_PIECE_BYTES).max(1);
        let needed = pieces + usize::from(asks);
        if self.free() < needed {
            self.reap();
        }
        if self.free() < needed || !cuts && pieces > 1 {
            return Err(packet);
        }
        match offload::work(&mut packet) {
            Some(work) => self.send_with(packet, work),
            None => self.send_plain(packet),
        }
        Ok(())
    }

    fn room(&self) -> usize {
        // With a context for each.
        self.free() / 2
    }

    fn can_cut(&self, packet: &Packet) -> bool {
        self.model.cuts == Cuts::Yes && self.can_sum(packet) && offload::can_cut(packet)
    }

    fn can_sum(&self, packet: &Packet) -> bool {
        match packet.offload().checksum {
            Checksum::Partial(sum) => offload::can_sum(packet, sum),
            _ => true,
        }
    }

    fn settle(&mut self) {
        if self.started != self.next_sent {
            self.started = self.next_sent;
            fence(Ordering::Release);
            self.registers.write_u32(TDT, self.started as u32);
        }
        self.reap();
        self.refill();
        let crowded = self.outstanding >= CROWDED;
        if crowded != self.mask.contains(Cause::SENT) {
            self.mask.set(Cause::SENT, crowded);
            let register = if crowded { IMS } else { IMC };
            self.registers.write_u32(register, Cause::SENT.bits());
        }
    }

    fn faults(&mut self) -> u64 {
        for counter in [CRCERRS, MPC] {
            self.faults += u64::from(self.registers.read_u32(counter));
        }
        self.faults
    }
}

impl<R, W> fmt::Debug for E1000<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "E1000({}, {} on their way)",
            self.model.name, self.outstanding
        )
    }
}
