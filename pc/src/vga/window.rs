//! The CPU's window on video memory, A0000h to BFFFFh: through the graphics controller, or straight through while the display
//! interface is on with eight bits a pixel or more.

use super::dispi::Window;
use super::graphics::spread;
use super::{Vga, misc};
use hvm::Width;
use hvm::pci::WindowCopy;

/// Bytes of the address range.
pub(super) const RANGE_BYTES: u32 = 0x2_0000;
/// The window while the display interface is on.
const BANKED_BYTES: u32 = 0x1_0000;
/// Bytes that an element may have.
const ELEMENT_BYTES: usize = 8;
/// What nobody decodes reads.
const NOTHING: u8 = 0xff;

/// Where a byte of the window lies.
#[derive(Clone, Copy)]
enum Place {
    /// At this byte of memory.
    Linear(u32),
    /// At this address of the maps, for which the CPU's address is given, too.
    Maps { first: u32, address: u32 },
}

/// Which maps a CPU address selects, and where in them.
struct Cell {
    address: u32,
    maps: u8,
}

impl Vga {
    /// Reads bytes from `offset` (from A0000h) on, in ascending order.
    pub fn window_read(&mut self, offset: u32, into: &mut [u8]) {
        if let Some(first) = self.linear_run(offset, into.len()) {
            self.screen.memory.read(first, into);
            return;
        }
        for (offset, into) in (offset..=u32::MAX).zip(into) {
            *into = self.read_byte(offset);
        }
    }

    /// Writes bytes from `offset` (from A0000h) on, in ascending order.
    pub fn window_write(&mut self, offset: u32, from: &[u8]) {
        if let Some(first) = self.linear_run(offset, from.len()) {
            self.linear_write(first, from);
            return;
        }
        for (offset, from) in (offset..=u32::MAX).zip(from) {
            self.write_byte(offset, *from);
        }
    }

    /// Reads and writes elements in turn: what the latches carry from map to map is moved as it is by single accesses.
    pub fn window_copy(&mut self, copy: WindowCopy) {
        let mut element = [0; ELEMENT_BYTES];
        let element = &mut element[..copy.width.bytes()];
        let step = copy.width.bytes();
        let offsets = |start: u64| {
            let start = u32::try_from(start).unwrap_or(RANGE_BYTES);
            (start..RANGE_BYTES).step_by(step)
        };
        let count = usize::try_from(copy.count).unwrap_or(usize::MAX);
        for (from, to) in offsets(copy.from).zip(offsets(copy.to)).take(count) {
            self.window_read(from, element);
            self.window_write(to, element);
        }
    }

    /// One access to the window.
    pub(super) fn window_load(&mut self, offset: u32, width: Width) -> u64 {
        let mut bytes = [NOTHING; ELEMENT_BYTES];
        self.window_read(offset, &mut bytes[..width.bytes()]);
        width.cut(u64::from_le_bytes(bytes))
    }

    /// One access to the window.
    pub(super) fn window_store(&mut self, offset: u32, width: Width, value: u64) {
        self.window_write(offset, &value.to_le_bytes()[..width.bytes()]);
    }

    /// Where a run of bytes starts in memory, if it goes straight through.
    fn linear_run(&self, offset: u32, bytes: usize) -> Option<u32> {
        let end = usize::try_from(offset).ok()?.checked_add(bytes)?;
        if end > BANKED_BYTES as usize {
            return None;
        }
        match self
            .screen
            .registers
            .dispi
            .window(self.screen.memory.bytes())?
        {
            Window::Linear(start) => Some(start + offset),
            Window::Maps(_) => None,
        }
    }

    /// Who decodes a byte of the range.
    fn place(&self, offset: u32) -> Option<Place> {
        let registers = &self.screen.registers;
        if let Some(window) = registers.dispi.window(self.screen.memory.bytes()) {
            let address = Some(offset).filter(|&offset| offset < BANKED_BYTES)?;
            return Some(match window {
                Window::Linear(start) => Place::Linear(start + address),
                Window::Maps(first) => Place::Maps { first, address },
            });
        }
        let aperture = registers.graphics.aperture();
        let address = offset.wrapping_sub(aperture.start);
        let decoded = registers.miscellaneous & misc::ENABLE_RAM != 0 && address < aperture.bytes;
        decoded.then_some(Place::Maps { first: 0, address })
    }

    /// An odd or even address: its lowest bit selects the map, so another takes its place.
    fn even_address(&self, address: u32) -> u32 {
        if self.screen.registers.graphics.chain_odd_even() {
            address & 0xfffe | address >> 16 & 1
        } else {
            address & 0xffff
        }
    }

    /// Chain 4: the low two bits select the map, so bits 14 and 15 take their place, as they do when the CRT controller counts
    /// doublewords.
    fn chain_4(address: u32) -> Cell {
        Cell {
            address: address & 0xfffc | address >> 14 & 3,
            maps: 1 << (address & 3),
        }
    }

    #[inline]
    fn read_byte(&mut self, offset: u32) -> u8 {
        let (first, address) = match self.place(offset) {
            None => return NOTHING,
            Some(Place::Linear(at)) => {
                let mut byte = [0];
                self.screen.memory.read(at, &mut byte);
                return byte[0];
            }
            Some(Place::Maps { first, address }) => (first, address),
        };
        let (address, map) = if self.screen.registers.sequencer.chain_4() {
            (Self::chain_4(address).address, Some((address & 3) as u8))
        } else if self.screen.registers.graphics.odd_even() {
            let map = self.screen.registers.graphics.odd_even_map(address);
            (self.even_address(address), Some(map))
        } else {
            (address & 0xffff, None)
        };
        let graphics = &mut self.screen.registers.graphics;
        let mut latches = [0; 4];
        self.screen.memory.read(4 * (first + address), &mut latches);
        graphics.latches = u32::from_le_bytes(latches);
        graphics.select(map)
    }

    #[inline]
    fn write_byte(&mut self, offset: u32, value: u8) {
        let (first, address) = match self.place(offset) {
            None => return,
            Some(Place::Linear(at)) => return self.linear_write(at, &[value]),
            Some(Place::Maps { first, address }) => (first, address),
        };
        let sequencer = &self.screen.registers.sequencer;
        let cell = if sequencer.chain_4() {
            Self::chain_4(address)
        } else if sequencer.odd_even() {
            Cell {
                address: self.even_address(address),
                maps: 0b0101 << (address & 1),
            }
        } else {
            Cell {
                address: address & 0xffff,
                maps: 0b1111,
            }
        };
        let maps = cell.maps & sequencer.map_mask();
        if maps != 0 {
            let value = self.screen.registers.graphics.merge(value);
            self.write_maps(4 * (first + cell.address), value, maps);
        }
    }

    /// Writes a byte each of the selected maps.
    #[inline]
    fn write_maps(&mut self, offset: u32, value: u32, maps: u8) {
        let value = if maps == 0b1111 {
            value
        } else {
            let mut old = [0; 4];
            self.screen.memory.read(offset, &mut old);
            let mask = spread(maps);
            u32::from_le_bytes(old) & !mask | value & mask
        };
        self.screen.memory.write(offset, &value.to_le_bytes());
        self.changes.mark(offset, 4);
        self.mark_if_font(maps & 0b0100 != 0);
    }
}
