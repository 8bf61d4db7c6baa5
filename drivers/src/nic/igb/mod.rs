//! Intel's gigabit Ethernet controllers with advanced descriptors: 82575, 82576, 82580, I210, I211, I350. One ring each way, no receive-side
//! scaling, no virtual functions; copper alone.

pub mod bits;
mod offload;
#[cfg(test)]
mod tests;

pub use super::intel::ring::SHARED_BYTES;

use super::incoming::Extent;
use super::offload::can_cut;
use super::watch::Progress;
use super::{Admits, CRC_BYTES, Failure, Filter, LinkNews, MOST_MTU, Nic, Sizes, intel};
use crate::window::{Shared, Window};
use bits::*;
use core::fmt;
use core::sync::atomic::{Ordering, fence};
use hvm::backend::Link;
use hvm::packet::{Checksum, Offload, Packet, Pool};
use intel::counter::Losses;
use intel::moderation::Moderation;
use intel::ring::{DESCRIPTOR_BYTES, RING, RX_RING, Rings, TX_RING, Words};
use offload::Work;

/// Bytes that receive buffers have room for: the card takes them in KiB.
const BUFFER_BYTES: usize = 2048;
const JUMBO_BUFFER_BYTES: usize = 10 * 1024;
/// Most of a frame that one descriptor is given.
const MAX_PIECE_BYTES: usize = 16 * 1024;

/// How often, 10 µs apart, a ring's start is looked for.
const RING_LOOKS: u32 = 1000;
/// The address of the transceiver, where it matters.
const PHY: u32 = 1;

/// The first of them, whose moderation has a register of another form.
const OLDEST: &str = "Intel 82575";

/// A model that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    name: &'static str,
}

/// The model with a PCI device identifier, if the driver knows it.
pub fn model(device: u16) -> Option<Model> {
    let name = match device {
        0x10a7 | 0x10d6 => OLDEST,
        0x10c9 | 0x10e8 | 0x150a | 0x1526 => "Intel 82576",
        0x150e | 0x1516 => "Intel 82580",
        0x1533 | 0x157b => "Intel I210",
        0x1539 => "Intel I211",
        0x1521 => "Intel I350",
        _ => return None,
    };
    Some(Model { name })
}

impl Model {
    /// How long frames are, where `mtu` is wanted.
    pub fn sizes(self, mtu: usize) -> Sizes {
        Sizes::new(mtu, MOST_MTU, BUFFER_BYTES, JUMBO_BUFFER_BYTES)
    }
}

/// A card.
pub struct Igb<R, W> {
    registers: R,
    rings: Rings<W>,
    model: Model,
    address: [u8; 6],
    pool: &'static Pool,
    sizes: Sizes,
    filter: Filter,
    /// The context that frames behind have.
    context: Option<Words>,
    mask: Cause,
    /// When the next interrupt may come.
    moderation: Moderation,
    /// Counted for [`Progress`].
    sent: u32,
    losses: Losses,
}

impl<R: Window, W: Window> Igb<R, W> {
    /// Resets the card and starts it. `rings` has [`SHARED_BYTES`]; buffers come out of `pool`, which has them of
    /// [`Sizes::with_headroom`]. `pause_us` waits for microseconds.
    pub fn start(
        registers: R,
        rings: Shared<W>,
        model: Model,
        pool: &'static Pool,
        sizes: Sizes,
        pause_us: &mut dyn FnMut(u32),
    ) -> Result<Self, Failure> {
        let mut card = Self {
            registers,
            rings: Rings::new(rings),
            model,
            address: [0; 6],
            pool,
            sizes,
            filter: Filter::Everybody,
            context: None,
            mask: Cause::empty(),
            moderation: Moderation::default(),
            sent: 0,
            losses: Losses::default(),
        };
        card.restart(pause_us)?;
        Ok(card)
    }

    fn silence(&mut self) {
        self.registers.write_u32(IMC, u32::MAX);
        self.registers.write_u32(EIMC, u32::MAX);
        let _ = self.registers.read_u32(ICR);
    }

    /// (82576, 4.6.1 and 4.6.2.)
    fn reset(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        if !intel::is_there(&mut self.registers) {
            return Err(Failure::Gone);
        }
        self.silence();
        intel::stop(&mut self.registers, pause_us);
        intel::end_requests(&mut self.registers, pause_us);
        intel::reset(&mut self.registers, pause_us)?;
        self.silence();
        let port = (self.registers.read_u32(STATUS) & STATUS_PORT) >> 2;
        // Between the bits of the first two ports and the others' stand those of other parts (I350, 8.6.4).
        let port = if port > 1 { port + 2 } else { port };
        intel::phy::with_marks(
            &mut self.registers,
            port,
            pause_us,
            |registers, pause_us| {
                intel::phy::wake(registers, PHY, pause_us);
            },
        );
        Ok(())
    }

    /// Lets go of all packets: after a reset the card knows none.
    fn forget(&mut self) {
        self.rings.clear();
        self.context = None;
        self.moderation = Moderation::new(self.rings.receiving.received());
        self.mask = Cause::LINK | Cause::FEW_BUFFERS | Cause::OVERRUN | Cause::RECEIVED;
    }

    /// (82576, 4.5.9 to 4.5.11.)
    fn set_up(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        let off = Ctrl::LINK_RESET
            | Ctrl::INVERT_LOSS
            | Ctrl::VLAN
            | Ctrl::PHY_RESET
            | Ctrl::FORCE_SPEED
            | Ctrl::FORCE_DUPLEX
            | Ctrl::MASTER_OFF;
        let control = Ctrl::from_bits_retain(self.registers.read_u32(CTRL)) - off;
        self.registers
            .write_u32(CTRL, (control | Ctrl::SET_LINK_UP).bits());
        let extended = self.registers.read_u32(CTRL_EXT);
        self.registers.write_u32(CTRL_EXT, extended | DRIVER_LOADED);
        intel::clear_groups(&mut self.registers);
        for register in [MRQC, VT_CTL, DMACR] {
            self.registers.write_u32(register, 0);
        }
        self.registers.write_u32(GPIE, GPIE_READ_CLEARS);
        self.registers.write_u32(IAM, 0);
        self.registers.write_u32(RXCSUM, RXCSUM_ON);
        let longest = self.sizes.frame_bytes() + CRC_BYTES;
        self.registers.write_u32(RLPML, longest as u32);
        let buffers = (self.sizes.buffer_bytes / 1024) as u32;
        self.registers.write_u32(SRRCTL, SRRCTL_ADVANCED | buffers);
        self.rings.place(&mut self.registers);
        self.start_ring(TXDCTL, TXDCTL_THRESHOLDS, pause_us)?;
        let transmit = (Tctl::ENABLE | Tctl::PAD).bits() | TCTL_COLLISIONS;
        self.registers.write_u32(TCTL, transmit);
        let everything = Rctl::ALL_UNICAST
            | Rctl::ALL_MULTICAST
            | Rctl::BROADCAST
            | Rctl::STRIP_CHECK
            | Rctl::LONG
            | Rctl::ENABLE;
        self.registers.write_u32(RCTL, everything.bits());
        self.narrow();
        self.start_ring(RXDCTL, RXDCTL_THRESHOLDS, pause_us)?;
        // Only a ring that is on takes its tail (82576, 4.5.9).
        self.rings.refill(&mut self.registers, self.pool);
        self.registers.write_u32(IMS, self.mask.bits());
        Ok(())
    }

    fn start_ring(
        &mut self,
        control: usize,
        thresholds: u32,
        pause_us: &mut dyn FnMut(u32),
    ) -> Result<(), Failure> {
        self.registers.write_u32(control, thresholds | RING_ENABLE);
        for _ in 0..RING_LOOKS {
            if self.registers.read_u32(control) & RING_ENABLE != 0 {
                return Ok(());
            }
            pause_us(10);
        }
        Err(Failure::Ring)
    }

    fn narrow(&mut self) -> Admits {
        let admits = intel::set_addresses(&mut self.registers, &self.filter);
        intel::admit(&mut self.registers, admits);
        admits
    }

    /// A frame in pieces, the packet with its last.
    fn put_pieces(&mut self, packet: Packet, command: u32, options: u32) {
        let mut left = packet.whole_len();
        for (address, here) in packet.pieces(MAX_PIECE_BYTES) {
            left -= here;
            let end = if left == 0 { DATA_END } else { 0 };
            let words = here as u32 | DATA | command | end;
            self.rings
                .put([address as u32, (address >> 32) as u32, words, options]);
        }
        self.rings.sending.keep(packet);
    }

    /// A context, unless the card knows it from the frame before, and the frame.
    fn send_with(&mut self, packet: Packet, work: Work) {
        if self.context != Some(work.context) {
            self.rings.put(work.context);
            self.context = Some(work.context);
        }
        self.put_pieces(packet, work.command, work.options);
    }

    /// Takes back what was sent. Of each frame the last descriptor tells, which has the packet; what is in it otherwise, the card may
    /// have overwritten (82576, 7.2.2.4).
    fn reap(&mut self) {
        while let Some((ahead, end)) = self.rings.sending.first_end() {
            let at = TX_RING + end * DESCRIPTOR_BYTES;
            if self.rings.memory.window.read_u32(at + TX_STATUS) & TX_DONE == 0 {
                break;
            }
            for _ in 0..=ahead {
                self.rings.sending.let_go();
            }
            self.sent = self.sent.wrapping_add(ahead as u32 + 1);
        }
    }

    /// Has the next interrupts as far apart as the traffic wants.
    fn moderate(&mut self) {
        if let Some(interval_us) = self.moderation.look(self.rings.receiving.received()) {
            let interval = interval_us << EITR_US_SHIFT;
            let running = match self.model.name {
                OLDEST => interval << EITR_NOW_SHIFT,
                _ => EITR_RUNS_ON,
            };
            self.registers.write_u32(EITR, interval | running);
        }
    }

    /// Where the next descriptor is and its status, if the card is done with it.
    fn done(&mut self) -> Option<(usize, u32)> {
        let at = RX_RING + self.rings.receiving.due()? * DESCRIPTOR_BYTES;
        let status = self.rings.memory.window.read_u32(at + RX_STATUS);
        (status & RX_DONE != 0).then_some((at, status))
    }

    /// What the next descriptor says, if the card is done with it: its frame, unless it is damaged or cut.
    fn next(&mut self) -> Option<Option<Packet>> {
        let (at, status) = self.done()?;
        fence(Ordering::Acquire);
        let length = usize::from(self.rings.memory.window.read_u16(at + RX_LENGTH));
        let extent = match status & RX_END {
            0 => Extent::GoesOn,
            _ => Extent::Ends,
        };
        let sound = status & RX_DAMAGED == 0 && length <= self.sizes.buffer_bytes;
        let packet = self.rings.receiving.take(extent, sound.then_some(length));
        Some(packet.map(|mut packet| {
            if status & (RX_SUMMED | RX_SUM_WRONG) == RX_SUMMED {
                packet.set_offload(Offload::VALID);
            }
            packet
        }))
    }
}

impl<R: Window, W: Window> Nic for Igb<R, W> {
    fn name(&self) -> &'static str {
        self.model.name
    }

    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn link(&mut self) -> Link {
        intel::link(&mut self.registers)
    }

    fn silence(&mut self) {
        self.registers.write_u32(IMC, self.mask.bits());
    }

    fn acknowledge(&mut self) -> LinkNews {
        Nic::silence(self);
        let cause = Cause::from_bits_retain(self.registers.read_u32(ICR));
        match cause.contains(Cause::LINK) {
            true => LinkNews::Changed,
            false => LinkNews::Same,
        }
    }

    fn receive(&mut self) -> Option<Packet> {
        // As many as the ring has: a card cannot keep us here with damaged frames.
        for _ in 0..RING {
            if let Some(packet) = self.next()? {
                return Some(packet);
            }
        }
        None
    }

    fn send(&mut self, mut packet: Packet) -> Result<(), Packet> {
        if !self.does(&packet) {
            return Err(packet);
        }
        let asks = matches!(packet.offload().checksum, Checksum::Partial(_));
        let pieces = packet.piece_count(MAX_PIECE_BYTES);
        let needed = pieces + usize::from(asks);
        if self.rings.free() < needed {
            self.reap();
        }
        if self.rings.free() < needed {
            return Err(packet);
        }
        match offload::work(&mut packet) {
            Some(work) => self.send_with(packet, work),
            None => {
                let payload = (packet.whole_len() as u32) << PAYLOAD_SHIFT;
                self.put_pieces(packet, 0, payload);
            }
        }
        Ok(())
    }

    fn gathers(&self) -> bool {
        true
    }

    fn reach(&self) -> u64 {
        u64::MAX
    }

    fn lent(&self) -> usize {
        self.rings.sending.lent()
    }

    fn room(&self) -> usize {
        // With a context for each.
        self.rings.free() / 2
    }

    fn can_cut(&self, packet: &Packet) -> bool {
        self.can_sum(packet) && can_cut(packet)
    }

    fn can_sum(&self, packet: &Packet) -> bool {
        match packet.offload().checksum {
            Checksum::Partial(sum) => offload::can_sum(packet, sum),
            _ => true,
        }
    }

    fn start(&mut self) {
        self.rings.start(&mut self.registers);
    }

    fn has_news(&mut self) -> bool {
        self.done().is_some()
    }

    fn settle(&mut self) {
        self.reap();
        self.rings.refill(&mut self.registers, self.pool);
        self.moderate();
        self.mask.set(Cause::SENT, self.rings.is_waited_for());
        self.registers.write_u32(IMS, self.mask.bits());
    }

    fn faults(&mut self) -> u64 {
        self.losses.count(&mut self.registers);
        self.rings.receiving.damaged() + self.losses.damaged() + self.losses.missed()
    }

    fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn set_filter(&mut self, filter: &Filter) -> Admits {
        self.filter = filter.clone();
        self.narrow()
    }

    fn progress(&mut self) -> Progress {
        self.losses.count(&mut self.registers);
        Progress {
            outstanding: self.rings.sending.outstanding(),
            sent: self.sent,
            buffers: self.rings.receiving.outstanding(),
            received: self.rings.receiving.received(),
            missed: self.losses.missed() as u32,
            stopped: intel::stopped(&mut self.registers),
        }
    }

    fn restart(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        self.reset(pause_us)?;
        self.forget();
        self.address = intel::loaded_address(&mut self.registers)?;
        intel::set_address(&mut self.registers, RAL0, Some(self.address));
        self.set_up(pause_us)
    }
}

impl<R, W> fmt::Debug for Igb<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Igb({}, {} on their way)",
            self.model.name,
            self.rings.sending.outstanding()
        )
    }
}
