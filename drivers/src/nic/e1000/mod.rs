//! Intel's gigabit Ethernet controllers that take legacy descriptors, from the 8254x to the I219, by one ring each way.

pub mod bits;
mod offload;
mod pch;
#[cfg(test)]
mod tests;

pub use super::intel::ring::SHARED_BYTES;

use super::incoming::Extent;
use super::watch::Progress;
use super::{Admits, Failure, Filter, LinkNews, Nic, Sizes, USUAL_MTU, intel, offload::can_cut};
use crate::window::{Shared, Window};
use bits::*;
use core::fmt;
use core::sync::atomic::{Ordering, fence};
use hvm::backend::Link;
use hvm::packet::{Checksum, Offload, Packet, Pool};
use intel::counter::Losses;
use intel::moderation::Moderation;
use intel::ring::{DESCRIPTOR_BYTES, RING, RX_RING, Rings, TX_RING, Words};
use offload::{MAX_PIECE_BYTES, Work};

/// Bytes that a receive buffer must have room for: RCTL's buffer size 0 (8254x, 13.4.22).
const BUFFER_BYTES: usize = 2048;
/// The same for longer frames, of which none may lie in pieces: RCTL's extended buffer size 1.
const JUMBO_BUFFER_BYTES: usize = 16384;

/// How often, 10 µs apart, a word of the EEPROM is looked for.
const EEPROM_LOOKS: u32 = 1000;

/// The kinds that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// PCI and PCI-X: 8254x.
    Pci,
    /// PCI Express: 82571 to 82574, 82583.
    Express,
    /// In a chipset: I217 to I219.
    Pch,
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
        0x1004 | 0x1008 | 0x1009 | 0x100c | 0x100d => (OLDEST, Family::Pci),
        0x100e | 0x1015 | 0x1016 | 0x1017 | 0x101e => ("Intel 82540", Family::Pci),
        0x100f | 0x1011 | 0x1026 | 0x1027 | 0x1028 => ("Intel 82545", Family::Pci),
        0x1010 | 0x1012 | 0x101d | 0x1079 | 0x107a | 0x107b => ("Intel 82546", Family::Pci),
        0x1013 | 0x1014 | 0x1018 | 0x1019 | 0x101a | 0x1075..=0x1078 | 0x107c => {
            ("Intel 82541/82547", Family::Pci)
        }
        0x105e | 0x105f | 0x1060 | 0x10a4 | 0x10bc => ("Intel 82571", Family::Express),
        0x107d | 0x107e | 0x107f | 0x10b9 => ("Intel 82572", Family::Express),
        0x108b | 0x108c | 0x109a => (SHORT[0], Family::Express),
        0x10d3 | 0x10f6 => ("Intel 82574", Family::Express),
        0x150c => (SHORT[1], Family::Express),
        0x153a | 0x153b => ("Intel I217", Family::Pch),
        0x1559 | 0x155a | 0x15a0..=0x15a3 => ("Intel I218", Family::Pch),
        0x156f | 0x1570 | 0x15b7..=0x15b9 | 0x15bb..=0x15be | 0x15d6..=0x15d8 | 0x15df..=0x15e3 => {
            ("Intel I219", Family::Pch)
        }
        0x0d4c..=0x0d4f | 0x0d53 | 0x0d55 | 0x15f4 | 0x15f5 | 0x15f9..=0x15fc | 0x1a1c..=0x1a1f => {
            ("Intel I219", Family::Pch)
        }
        _ => return None,
    };
    let cuts = match name {
        "Intel 82540" | "Intel 82545" | "Intel 82546" => Cuts::Yes,
        _ => Cuts::No,
    };
    Some(Model { name, family, cuts })
}

/// The models without interrupt throttling.
const OLDEST: &str = "Intel 8254x";
/// Models that take no frames longer than everybody's.
const SHORT: [&str; 2] = ["Intel 82573", "Intel 82583"];

impl Model {
    /// How long frames are, where `mtu` is wanted.
    pub fn sizes(self, mtu: usize) -> Sizes {
        let most = if SHORT.contains(&self.name) {
            USUAL_MTU
        } else {
            super::MOST_MTU
        };
        Sizes::new(mtu, most, BUFFER_BYTES, JUMBO_BUFFER_BYTES)
    }
}

/// A card.
pub struct E1000<R, W> {
    registers: R,
    rings: Rings<W>,
    model: Model,
    address: [u8; 6],
    pool: &'static Pool,
    /// The context that frames behind have.
    context: Option<Words>,
    mask: Cause,
    moderation: Moderation,
    sizes: Sizes,
    filter: Filter,
    /// Counted for [`Progress`].
    sent: u32,
    losses: Losses,
}

impl<R: Window, W: Window> E1000<R, W> {
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
            context: None,
            mask: Cause::empty(),
            moderation: Moderation::default(),
            sizes,
            filter: Filter::Everybody,
            sent: 0,
            losses: Losses::default(),
        };
        card.restart(pause_us)?;
        Ok(card)
    }

    /// (8254x, 14.3; 82574, 4.6.1: masters off first, so that no access is cut short.)
    fn reset(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        if !intel::is_there(&mut self.registers) {
            return Err(Failure::Gone);
        }
        self.silence();
        intel::stop(&mut self.registers, pause_us);
        if self.model.family != Family::Pci {
            intel::end_requests(&mut self.registers, pause_us);
        }
        match self.model.family {
            Family::Pch => pch::reset(&mut self.registers, pause_us)?,
            Family::Pci | Family::Express => intel::reset(&mut self.registers, pause_us)?,
        }
        self.silence();
        Ok(())
    }

    fn silence(&mut self) {
        self.registers.write_u32(IMC, u32::MAX);
        let _ = self.registers.read_u32(ICR);
    }

    /// As the card has it after its reset, or, where that loads no addresses (Bochs' card), as its EEPROM has it.
    fn read_address(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        let loaded = intel::loaded_address(&mut self.registers);
        self.address = match (loaded, self.model.family) {
            (Err(failure), Family::Pci) => self.stored_address(pause_us).ok_or(failure)?,
            (loaded, _) => loaded?,
        };
        intel::set_address(&mut self.registers, RAL0, Some(self.address));
        Ok(())
    }

    /// The first three words of the EEPROM; a second port's address is the next (8254x, 5.6.1 and 13.4.4).
    fn stored_address(&mut self, pause_us: &mut dyn FnMut(u32)) -> Option<[u8; 6]> {
        let mut address = [0; 6];
        for (index, pair) in address.chunks_exact_mut(2).enumerate() {
            let command = EERD_START | (index as u32) << 8;
            self.registers.write_u32(EERD, command);
            let word = (0..EEPROM_LOOKS).find_map(|_| {
                pause_us(10);
                let answer = self.registers.read_u32(EERD);
                (answer & EERD_DONE != 0).then_some((answer >> 16) as u16)
            })?;
            pair.copy_from_slice(&word.to_le_bytes());
        }
        if self.registers.read_u32(STATUS) & STATUS_PORT != 0 {
            address[5] ^= 1;
        }
        super::sound(address).ok()
    }

    /// Lets go of all packets: after a reset the card knows none.
    fn forget(&mut self) {
        self.rings.clear();
        self.context = None;
        self.moderation = Moderation::new(self.rings.receiving.received());
        self.mask = Cause::LINK | Cause::FEW_BUFFERS | Cause::OVERRUN | Cause::RECEIVED;
    }

    /// (8254x, 14.4 and 14.5.)
    fn set_up(&mut self) {
        let off = Ctrl::LINK_RESET
            | Ctrl::INVERT_LOSS
            | Ctrl::VLAN
            | Ctrl::PHY_RESET
            | Ctrl::FORCE_SPEED
            | Ctrl::FORCE_DUPLEX;
        let control = Ctrl::from_bits_retain(self.registers.read_u32(CTRL)) - off;
        let on = Ctrl::SET_LINK_UP | Ctrl::AUTO_SPEED;
        self.registers.write_u32(CTRL, (control | on).bits());
        if self.model.family != Family::Pci {
            let extended = self.registers.read_u32(CTRL_EXT);
            self.registers.write_u32(CTRL_EXT, extended | DRIVER_LOADED);
        }
        if self.model.family == Family::Pch {
            pch::prepare(&mut self.registers);
        }
        intel::clear_groups(&mut self.registers);
        self.rings.place(&mut self.registers);
        for delay in [RDTR, RADV, TIDV] {
            self.registers.write_u32(delay, 0);
        }
        if self.model.family != Family::Pci {
            self.registers.write_u32(TXDCTL, TXDCTL_EXPRESS);
        }
        self.registers.write_u32(TIPG, TIPG_COPPER);
        let transmit = (Tctl::ENABLE | Tctl::PAD).bits() | TCTL_COLLISIONS;
        self.registers.write_u32(TCTL, transmit);
        let everything =
            Rctl::ALL_UNICAST | Rctl::ALL_MULTICAST | Rctl::BROADCAST | Rctl::STRIP_CHECK;
        let mut receive = (everything | Rctl::ENABLE).bits();
        if self.sizes.are_jumbo() {
            receive |= Rctl::LONG.bits() | RCTL_BUFFERS_16K;
        }
        self.registers.write_u32(RXCSUM, RXCSUM_ON);
        self.registers.write_u32(RCTL, receive);
        self.narrow();
        self.rings.refill(&mut self.registers, self.pool);
        self.registers.write_u32(IMS, self.mask.bits());
    }

    /// Tells the card whose frames to let in.
    fn narrow(&mut self) -> Admits {
        let admits = match self.model.family {
            Family::Pch => pch::set_addresses(&mut self.registers, &self.filter),
            Family::Pci | Family::Express => {
                intel::set_addresses(&mut self.registers, &self.filter)
            }
        };
        intel::admit(&mut self.registers, admits);
        admits
    }

    fn send_plain(&mut self, packet: Packet) {
        self.put_pieces(packet, Command::empty(), 0, 0);
    }

    /// A context, unless the card knows it from the frame before, and the frame in pieces. Frames that are to be cut have one each: the
    /// card counts in it.
    fn send_with(&mut self, packet: Packet, work: Work) {
        if self.context != Some(work.context) || work.command.contains(Command::SUM) {
            self.rings.put(work.context);
            self.context = Some(work.context);
        }
        let options = u32::from(work.options.bits()) << 8;
        let command = work.command | Command::EXTENDED;
        self.put_pieces(packet, command, TYPE_DATA, options);
    }

    /// A frame in descriptors of this kind, the packet with its last.
    fn put_pieces(&mut self, packet: Packet, command: Command, kind: u32, options: u32) {
        let command = command | Command::CHECK | Command::REPORT;
        let mut put = |address: u64, here: usize, command: Command| {
            let words = here as u32 | kind | u32::from(command.bits()) << 24;
            self.rings
                .put([address as u32, (address >> 32) as u32, words, options]);
        };
        let mut left = packet.whole_len();
        if left <= MAX_PIECE_BYTES && !packet.is_lent() {
            put(packet.dma(), left, command | Command::END);
            return self.rings.sending.keep(packet);
        }
        for (address, here) in packet.pieces(MAX_PIECE_BYTES) {
            left -= here;
            let end = if left == 0 {
                Command::END
            } else {
                Command::empty()
            };
            put(address, here, command | end);
        }
        self.rings.sending.keep(packet);
    }

    /// Takes back what was sent.
    fn reap(&mut self) {
        while self.rings.sending.outstanding() > 0 {
            let at = TX_RING + self.rings.sending.oldest() * DESCRIPTOR_BYTES;
            let status = Done::from_bits_retain(self.rings.memory.window.read_u8(at + TX_STATUS));
            if !status.contains(Done::DONE) {
                break;
            }
            self.rings.sending.let_go();
            self.sent = self.sent.wrapping_add(1);
        }
    }

    /// Has the next interrupts as far apart as the traffic wants.
    fn moderate(&mut self) {
        if self.model.name != OLDEST
            && let Some(interval_us) = self.moderation.look(self.rings.receiving.received())
        {
            self.registers.write_u32(ITR, interval_us * 1000 / 256);
        }
    }

    /// Where the next descriptor is and its status, if the card is done with it.
    fn done(&mut self) -> Option<(usize, Done)> {
        let at = RX_RING + self.rings.receiving.due()? * DESCRIPTOR_BYTES;
        let status = Done::from_bits_retain(self.rings.memory.window.read_u8(at + RX_STATUS));
        status.contains(Done::DONE).then_some((at, status))
    }

    /// What the next descriptor says, if the card is done with it: its frame, unless it is damaged or cut.
    fn next(&mut self) -> Option<Option<Packet>> {
        let (at, status) = self.done()?;
        fence(Ordering::Acquire);
        let length = usize::from(self.rings.memory.window.read_u16(at + RX_LENGTH));
        let errors = self.rings.memory.window.read_u8(at + RX_ERRORS);
        let extent = match status.contains(Done::END) {
            true => Extent::Ends,
            false => Extent::GoesOn,
        };
        let sound = errors & RX_DAMAGED == 0 && length <= self.sizes.buffer_bytes;
        let packet = self.rings.receiving.take(extent, sound.then_some(length));
        Some(packet.map(|mut packet| {
            let looked = status & (Done::UNSUMMED | Done::SUMMED) == Done::SUMMED;
            if looked && errors & RX_SUM_WRONG == 0 {
                packet.set_offload(Offload::VALID);
            }
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
            None => self.send_plain(packet),
        }
        Ok(())
    }

    /// Not in a chipset: what is lent has to come back when the cable is pulled, by a reset, behind which an I219 with descriptors outstanding
    /// may hang.
    fn gathers(&self) -> bool {
        self.model.family != Family::Pch
    }

    /// In slots of 32 bits some of the older hang when they are given addresses above 4 GiB, which Linux' driver therefore spares them.
    fn reach(&self) -> u64 {
        match self.model.family {
            Family::Pci => u32::MAX.into(),
            Family::Express | Family::Pch => u64::MAX,
        }
    }

    fn lent(&self) -> usize {
        self.rings.sending.lent()
    }

    fn room(&self) -> usize {
        // With a context for each.
        self.rings.free() / (self.sizes.frame_bytes().div_ceil(MAX_PIECE_BYTES) + 1)
    }

    fn can_cut(&self, packet: &Packet) -> bool {
        self.model.cuts == Cuts::Yes && self.can_sum(packet) && can_cut(packet)
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
        self.read_address(pause_us)?;
        self.set_up();
        Ok(())
    }
}

impl<R, W> fmt::Debug for E1000<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "E1000({}, {} on their way)",
            self.model.name,
            self.rings.sending.outstanding()
        )
    }
}
