//! Realtek's RTL8168 and RTL8111, from the B to the H, by one ring each way.
//!
//! **Nothing here has run on silicon or in an emulator**: it is written to the data sheets, and tested on a model of the registers. The
//! firmware that Realtek has for the transceivers is not loaded.

pub mod bits;
mod offload;
#[cfg(test)]
mod tests;
pub mod version;

use super::incoming::{Extent, Incoming};
use super::outgoing::Outgoing;
use super::watch::Progress;
use super::{Admits, CRC_BYTES, Failure, Filter, LinkNews, Nic, Sizes};
use crate::window::{Shared, Window};
use bits::*;
use core::fmt;
use core::sync::atomic::{Ordering, fence};
use hvm::backend::Link;
use hvm::packet::{Checksum, Packet, Pool};
use version::{Transceiver, Version};

/// Descriptors of each ring.
pub const RING: usize = 256;
/// Bytes of ring memory that a card needs; its address is a multiple of 256.
pub const SHARED_BYTES: usize = 2 * RING * DESCRIPTOR_BYTES;
const RX_RING: usize = 0;
const TX_RING: usize = RING * DESCRIPTOR_BYTES;
/// Most of a frame that one descriptor is given.
const MAX_PIECE_BYTES: usize = 16 * 1024;
/// The shortest frame of the wire, without its check sequence: some versions pad wrongly.
const MIN_FRAME_BYTES: usize = 60;
/// Descriptors in use from which on it matters to be told of sent frames.
const CROWDED: usize = RING / 2;
/// How often, 10 µs apart, the end of a reset is looked for, and its milliseconds.
const RESET_LOOKS: u32 = 10_000;
const RESET_MS: u32 = 100;
/// How often, 25 µs apart, an access behind a register is looked for.
const ACCESS_LOOKS: u32 = 40;
/// Basic mode control (IEEE 802.3, 22.2.4.1): negotiate, anew; and where the RTL8168G has it.
const NEGOTIATE: u32 = 0x1200;
const PHY_CONTROL_G: u32 = 0xa400;

/// A card.
pub struct Rtl8168<R, W> {
    registers: R,
    rings: Shared<W>,
    version: Version,
    address: [u8; 6],
    pool: &'static Pool,
    sizes: Sizes,
    filter: Filter,
    /// What the chip fills.
    receiving: Incoming<RING>,
    /// What is on its way.
    sending: Outgoing<RING>,
    /// Frames that the chip was not yet told of.
    news: bool,
    mask: Interrupt,
    /// An interrupt that only a reset mends.
    stopped: Option<&'static str>,
    sent: u32,
    missed: u64,
}

impl<R: Window, W: Window> Rtl8168<R, W> {
    /// Resets the card and starts it. `rings` has [`SHARED_BYTES`]; buffers come out of `pool`, which has them of
    /// [`Sizes::with_headroom`]. `pause_us` waits for microseconds.
    pub fn start(
        registers: R,
        rings: Shared<W>,
        version: Version,
        pool: &'static Pool,
        sizes: Sizes,
        pause_us: &mut dyn FnMut(u32),
    ) -> Result<Self, Failure> {
        let mut card = Self {
            registers,
            rings,
            version,
            address: [0; 6],
            pool,
            sizes,
            filter: Filter::Everybody,
            receiving: Incoming::new(),
            sending: Outgoing::new(),
            news: false,
            mask: Interrupt::empty(),
            stopped: None,
            sent: 0,
            missed: 0,
        };
        card.restart(pause_us)?;
        Ok(card)
    }

    fn reset(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        self.registers.write_u16(INTERRUPT_MASK, 0);
        let receive = self.registers.read_u32(RECEIVE_CONFIG);
        self.registers
            .write_u32(RECEIVE_CONFIG, receive & !ACCEPT_MASK);
        pause_us(100);
        self.registers.write_u8(COMMAND, Command::RESET.bits());
        for _ in 0..RESET_LOOKS {
            let command = Command::from_bits_retain(self.registers.read_u8(COMMAND));
            if !command.contains(Command::RESET) {
                self.registers.write_u16(INTERRUPT_STATUS, u16::MAX);
                return Ok(());
            }
            pause_us(10);
        }
        let limit_ms = RESET_MS;
        Err(Failure::Reset { limit_ms })
    }

    /// Has a register behind registers read or written; what stands there then.
    fn behind(
        &mut self,
        register: usize,
        command: u32,
        pause_us: &mut dyn FnMut(u32),
    ) -> Option<u32> {
        self.registers.write_u32(register, command);
        for _ in 0..ACCESS_LOOKS {
            pause_us(25);
            let answer = self.registers.read_u32(register);
            // Set to write, it falls; clear to read, it rises.
            if (answer ^ command) & FLAG != 0 {
                return Some(answer);
            }
        }
        None
    }

    fn read_extended(&mut self, at: u32, pause_us: &mut dyn FnMut(u32)) -> Option<u32> {
        self.behind(EXTENDED_ACCESS, EXTENDED_ALL | at, pause_us)?;
        Some(self.registers.read_u32(EXTENDED_DATA))
    }

    fn write_extended(&mut self, at: u32, value: u32, pause_us: &mut dyn FnMut(u32)) {
        self.registers.write_u32(EXTENDED_DATA, value);
        let _ = self.behind(EXTENDED_ACCESS, FLAG | EXTENDED_ALL | at, pause_us);
    }

    /// What the maker put in, where a register of its own has that; else what the register has.
    fn read_address(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        let mut address: [u8; 6] = core::array::from_fn(|at| self.registers.read_u8(ID + at));
        if self.version >= Version::Evl
            && let Some(low) = self.read_extended(EXTENDED_ID, pause_us)
            && let Some(high) = self.read_extended(EXTENDED_ID + 4, pause_us)
        {
            let ([a, b, c, d], [e, f, ..]) = (low.to_le_bytes(), high.to_le_bytes());
            let made = [a, b, c, d, e, f];
            if super::sound(made).is_ok() {
                address = made;
            }
        }
        self.address = super::sound(address)?;
        let [a, b, c, d, e, f] = address;
        self.registers
            .write_u32(ID + 4, u32::from(u16::from_le_bytes([e, f])));
        self.registers
            .write_u32(ID, u32::from_le_bytes([a, b, c, d]));
        Ok(())
    }

    /// Gives clocks and transceiver power, and has the latter negotiate: whoever was here before may have put them to sleep.
    fn wake(&mut self, pause_us: &mut dyn FnMut(u32)) {
        let power = self.version.clock_power();
        if power != 0 {
            let clocks = self.registers.read_u8(CLOCK_POWER);
            self.registers.write_u8(CLOCK_POWER, clocks | power);
        }
        if self.version == Version::G
            && let Some(parts) = self.read_extended(EXTENDED_POWER, pause_us)
        {
            self.write_extended(EXTENDED_POWER, parts | EXTENDED_POWER_ON, pause_us);
        }
        let (register, command) = match self.version.transceiver() {
            Transceiver::Direct => (PHY_ACCESS, FLAG | NEGOTIATE),
            Transceiver::Behind => (PHY_ACCESS_G, FLAG | PHY_CONTROL_G << 15 | NEGOTIATE),
            Transceiver::Processor => return,
        };
        let _ = self.behind(register, command, pause_us);
    }

    /// Lets go of all packets: after a reset the card knows none.
    fn forget(&mut self) {
        self.receiving.clear();
        self.sending = Outgoing::new();
        (self.news, self.stopped) = (false, None);
        for index in 0..2 * RING {
            let end = if index % RING == RING - 1 { END } else { 0 };
            self.rings.window.write_u32(index * DESCRIPTOR_BYTES, end);
        }
        self.mask = Interrupt::all() - Interrupt::SENT - Interrupt::NOT_SENT;
    }

    fn set_up(&mut self, pause_us: &mut dyn FnMut(u32)) {
        self.registers.write_u8(EEPROM_COMMAND, UNLOCKED);
        for (register, bits) in self.version.jumbo() {
            let config = self.registers.read_u8(register);
            let config = match self.sizes.are_jumbo() {
                true => config | bits,
                false => config & !bits,
            };
            self.registers.write_u8(register, config);
        }
        let most = self.version.transmit_most(self.sizes);
        self.registers.write_u8(TRANSMIT_MOST, most);
        let longest = self.sizes.frame_bytes() + CRC_BYTES;
        self.registers.write_u16(RECEIVE_MOST, longest as u16 + 1);
        let kept = self.registers.read_u16(CPLUS) & CPLUS_KEPT;
        self.registers.write_u16(CPLUS, kept | CPLUS_SUMS);
        self.registers.write_u16(MITIGATION, 0);
        for (register, place) in [(TRANSMIT_RING, TX_RING), (RECEIVE_RING, RX_RING)] {
            let address = self.rings.dma + place as u64;
            // The lower half makes it count.
            self.registers
                .write_u32(register + 4, (address >> 32) as u32);
            self.registers.write_u32(register, address as u32);
        }
        self.set_up_fifos(pause_us);
        self.refill();
        let on = Command::TRANSMIT | Command::RECEIVE;
        self.registers.write_u8(COMMAND, on.bits());
        let mut transmit = TRANSMIT_CONFIG_USUAL;
        if self.version >= Version::Evl {
            transmit |= TRANSMIT_CONFIG_AUTO;
        }
        self.registers.write_u32(TRANSMIT_CONFIG, transmit);
        self.narrow();
        for half in [MULTICAST, MULTICAST + 4] {
            self.registers.write_u32(half, u32::MAX);
        }
        self.registers.write_u8(EEPROM_COMMAND, 0);
        self.registers.write_u16(INTERRUPT_MASK, self.mask.bits());
    }

    fn set_up_fifos(&mut self, pause_us: &mut dyn FnMut(u32)) {
        let Some(thresholds) = self.version.thresholds() else {
            return;
        };
        for (at, value) in thresholds {
            self.write_extended(at, value, pause_us);
        }
        if let Some(filter) = self.read_extended(EXTENDED_FILTER, pause_us) {
            self.write_extended(EXTENDED_FILTER, filter & !1, pause_us);
            self.write_extended(EXTENDED_FILTER, filter | 1, pause_us);
        }
        if self.version >= Version::G {
            let gate = self.registers.read_u32(MISCELLANEOUS);
            self.registers.write_u32(MISCELLANEOUS, gate & !GATE_SHUT);
        }
    }

    /// The chip knows one station's address, its own.
    fn narrow(&mut self) -> Admits {
        let admits = match &self.filter {
            Filter::Only(stations) if stations.is_empty() => Admits::Named,
            _ => Admits::Everybody,
        };
        let all = match admits {
            Admits::Everybody => ACCEPT_ALL,
            Admits::Named => 0,
        };
        let config = self.version.receive_config() | ACCEPT_USUAL | all;
        self.registers.write_u32(RECEIVE_CONFIG, config);
        admits
    }

    /// Gives the chip buffers, each by the last write to its descriptor.
    fn refill(&mut self) {
        while self.receiving.outstanding() < RING
            && let Some(packet) = self.pool.packet()
        {
            let index = self.receiving.next();
            let at = RX_RING + index * DESCRIPTOR_BYTES;
            let end = if index == RING - 1 { END } else { 0 };
            self.rings.window.write_u32(at + 4, 0);
            self.rings.window.write_u64(at + 8, packet.dma());
            fence(Ordering::Release);
            let size = self.sizes.buffer_bytes as u32;
            self.rings.window.write_u32(at, OWN | end | size);
            self.receiving.fill(packet);
        }
    }

    fn free(&self) -> usize {
        RING - self.sending.outstanding()
    }

    /// Lays a frame into descriptors. The first becomes the chip's last of all, so that it sees the frame whole.
    fn put(&mut self, packet: Packet, options: offload::Options) {
        let mut left = packet.whole_len();
        let mut first = None;
        for (address, here) in packet.pieces(MAX_PIECE_BYTES) {
            left -= here;
            let last = left == 0;
            let index = self.sending.next();
            let at = TX_RING + index * DESCRIPTOR_BYTES;
            let mut word = OWN | options.first | here as u32;
            for (bit, set) in [
                (END, index == RING - 1),
                (FIRST, first.is_none()),
                (LAST, last),
            ] {
                word |= if set { bit } else { 0 };
            }
            self.rings.window.write_u32(at + 4, options.second);
            self.rings.window.write_u64(at + 8, address);
            match first {
                None => first = Some((at, word)),
                Some(_) => self.rings.window.write_u32(at, word),
            }
            self.sending.fill();
        }
        self.sending.keep(packet);
        if let Some((at, word)) = first {
            fence(Ordering::Release);
            self.rings.window.write_u32(at, word);
        }
        self.news = true;
    }

    /// Takes back what was sent.
    fn reap(&mut self) {
        let before = self.sending.outstanding();
        while self.sending.outstanding() > 0 {
            let at = TX_RING + self.sending.oldest() * DESCRIPTOR_BYTES;
            if self.rings.window.read_u32(at) & OWN != 0 {
                break;
            }
            self.sending.let_go();
            self.sent = self.sent.wrapping_add(1);
        }
        // A request to look at the ring may be lost where it comes just as the chip has looked.
        self.news |= self.sending.outstanding() > 0 && self.sending.outstanding() != before;
    }

    /// The status of the next descriptor, if the chip is done with it.
    fn done(&mut self) -> Option<u32> {
        let at = RX_RING + self.receiving.due()? * DESCRIPTOR_BYTES;
        let status = self.rings.window.read_u32(at);
        (status & OWN == 0).then_some(status)
    }

    /// What the next descriptor says, if the chip is done with it: its frame, unless it is damaged or cut.
    fn next(&mut self) -> Option<Option<Packet>> {
        let status = self.done()?;
        fence(Ordering::Acquire);
        let extent = match status & LAST {
            0 => Extent::GoesOn,
            _ => Extent::Ends,
        };
        let length = (status & LENGTH) as usize;
        let sound = status & FIRST != 0
            && status & DAMAGED == 0
            && (CRC_BYTES..=self.sizes.buffer_bytes).contains(&length);
        let bytes = sound.then(|| length - CRC_BYTES);
        let packet = self.receiving.take(extent, bytes);
        Some(packet.map(|mut packet| {
            if status & (IS_TCP | IS_UDP) != 0 && status & SUM_WRONG == 0 {
                packet.set_offload(hvm::packet::Offload::VALID);
            }
            packet
        }))
    }

    fn count(&mut self) {
        self.missed += u64::from(self.registers.read_u32(MISSED) & 0xff_ffff);
        self.registers.write_u32(MISSED, 0);
    }
}

impl<R: Window, W: Window> Nic for Rtl8168<R, W> {
    fn name(&self) -> &'static str {
        self.version.name()
    }

    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn link(&mut self) -> Link {
        match self.registers.read_u8(PHY_STATUS) & LINK_OK {
            0 => Link::Down,
            _ => Link::Up,
        }
    }

    fn acknowledge(&mut self) -> LinkNews {
        let status = self.registers.read_u16(INTERRUPT_STATUS);
        self.registers.write_u16(INTERRUPT_STATUS, status);
        let status = Interrupt::from_bits_retain(status);
        if status.contains(Interrupt::BUS_ERROR) {
            self.stopped = Some("a transfer of it on the bus has failed");
        } else if status.contains(Interrupt::FIFO_FULL) && self.version == Version::B {
            self.stopped =
                Some("its receive FIFO was full, behind which this chip receives no more");
        }
        match status.contains(Interrupt::LINK) {
            true => LinkNews::Changed,
            false => LinkNews::Same,
        }
    }

    fn receive(&mut self) -> Option<Packet> {
        // As many as the ring has: a card cannot keep us here with damaged frames.
        (0..RING).map_while(|_| self.next()).find_map(|frame| frame)
    }

    fn send(&mut self, mut packet: Packet) -> Result<(), Packet> {
        if !self.does(&packet) {
            return Err(packet);
        }
        let needed = packet.piece_count(MAX_PIECE_BYTES);
        if self.free() < needed {
            self.reap();
        }
        if self.free() < needed {
            return Err(packet);
        }
        let bytes = packet.len();
        if let Some(padding) = packet.room().get_mut(bytes..MIN_FRAME_BYTES) {
            padding.fill(0);
            packet.set_len(MIN_FRAME_BYTES);
        }
        let options = offload::options(&mut packet, self.version);
        self.put(packet, options);
        Ok(())
    }

    fn gathers(&self) -> bool {
        true
    }

    fn lent(&self) -> usize {
        self.sending.lent()
    }

    fn room(&self) -> usize {
        self.free()
    }

    fn can_cut(&self, packet: &Packet) -> bool {
        self.can_sum(packet) && offload::can_cut(packet, self.version)
    }

    fn can_sum(&self, packet: &Packet) -> bool {
        match packet.offload().checksum {
            // The chip does not hold long frames whole, as it would have to.
            Checksum::Partial(_) if self.sizes.are_jumbo() => false,
            Checksum::Partial(sum) => offload::can_sum(packet, sum, self.version),
            _ => true,
        }
    }

    fn start(&mut self) {
        if core::mem::take(&mut self.news) {
            fence(Ordering::Release);
            self.registers.write_u8(POLL, POLL_NORMAL);
        }
    }

    fn has_news(&mut self) -> bool {
        self.done().is_some()
    }

    fn settle(&mut self) {
        self.reap();
        // What was lost of the request to look at the ring.
        self.start();
        self.refill();
        let sent = Interrupt::SENT | Interrupt::NOT_SENT;
        let crowded = self.sending.outstanding() >= CROWDED || self.sending.lent() > 0;
        if crowded != self.mask.contains(sent) {
            self.mask.set(sent, crowded);
            self.registers.write_u16(INTERRUPT_MASK, self.mask.bits());
        }
    }

    fn faults(&mut self) -> u64 {
        self.count();
        self.receiving.damaged() + self.missed
    }

    fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn set_filter(&mut self, filter: &Filter) -> Admits {
        self.filter = filter.clone();
        self.narrow()
    }

    fn progress(&mut self) -> Progress {
        self.count();
        let command = Command::from_bits_retain(self.registers.read_u8(COMMAND));
        let stopped = match command {
            command if command.bits() == u8::MAX => Some("its registers read as all ones"),
            command if !command.contains(Command::TRANSMIT | Command::RECEIVE) => {
                Some("its receiver or transmitter is off, though nobody turned it off")
            }
            _ => self.stopped,
        };
        Progress {
            outstanding: self.sending.outstanding(),
            sent: self.sent,
            buffers: self.receiving.outstanding(),
            received: self.receiving.received(),
            missed: self.missed as u32,
            stopped,
        }
    }

    fn restart(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        if self.registers.read_u32(TRANSMIT_CONFIG) == u32::MAX {
            return Err(Failure::Gone);
        }
        self.reset(pause_us)?;
        self.forget();
        self.registers.write_u8(EEPROM_COMMAND, UNLOCKED);
        self.read_address(pause_us)?;
        self.wake(pause_us);
        self.set_up(pause_us);
        Ok(())
    }
}

impl<R, W> fmt::Debug for Rtl8168<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Rtl8168({:?}, {} on their way)",
            self.version,
            self.sending.outstanding()
        )
    }
}
