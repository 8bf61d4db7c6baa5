//! The CPU's window on video memory, A0000h to BFFFFh: through the graphics controller, or straight through while the display
//! interface is on with eight bits a pixel or more.

use super::dispi::Window;
use super::graphics::{all, spread};
use super::{Vga, misc};
use core::ops::Range;
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

/// CPU addresses that are handled together: what selects maps by high address bits stays the same within them, and their cells are
/// neighbours.
const GROUP: u32 = 64;
/// Bytes of a cell: one of each map.
const CELL_BYTES: u32 = 4;

/// Where a run of the window's bytes lies.
#[derive(Clone, Copy)]
enum Place {
    /// From this byte of memory on.
    Linear(u32),
    /// From this CPU address on, in maps that start at the cell `first`.
    Maps { first: u32, address: u32 },
}

/// How a CPU address selects a cell and maps of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// The low two bits select the map, so bits 14 and 15 take their place, as they do when the CRT controller counts doublewords.
    Chain4,
    /// The lowest bit selects the map, and another takes its place.
    OddEven,
    /// The same, but the lowest bit stays in the address, too.
    OddEvenUnchained,
    /// The address is the cell's, and all maps are reached.
    Planar,
}

impl Scheme {
    #[inline]
    fn cell(self, address: u32) -> u32 {
        match self {
            Self::Chain4 => address & 0xfffc | address >> 14 & 3,
            Self::OddEven => address & 0xfffe | address >> 16 & 1,
            Self::OddEvenUnchained | Self::Planar => address & 0xffff,
        }
    }

    /// The maps that a write to each of four neighbouring addresses reaches.
    #[inline]
    fn written(self) -> [u8; 4] {
        match self {
            Self::Chain4 => [0b0001, 0b0010, 0b0100, 0b1000],
            Self::OddEven | Self::OddEvenUnchained => [0b0101, 0b1010, 0b0101, 0b1010],
            Self::Planar => [0b1111; 4],
        }
    }
}

/// The neighbouring cells that a run within a group touches, copied out of memory.
struct Cells {
    /// The lowest one's byte in memory.
    offset: u32,
    lowest: u32,
    bytes: usize,
    block: [u8; (GROUP * CELL_BYTES) as usize],
}

impl Cells {
    #[inline]
    fn new(scheme: Scheme, first: u32, address: u32, count: usize) -> Self {
        let lowest = scheme.cell(address);
        let highest = scheme.cell(address + count as u32 - 1);
        Self {
            offset: CELL_BYTES * (first + lowest),
            lowest,
            bytes: (CELL_BYTES * (highest - lowest + 1)) as usize,
            block: [0; (GROUP * CELL_BYTES) as usize],
        }
    }

    #[inline]
    fn all(&mut self) -> &mut [u8] {
        let bytes = self.bytes.min(self.block.len());
        &mut self.block[..bytes]
    }

    #[inline]
    fn cell(&mut self, scheme: Scheme, address: u32) -> &mut [u8; CELL_BYTES as usize] {
        let (cells, _) = self.block.as_chunks_mut();
        &mut cells[(scheme.cell(address) - self.lowest) as usize % GROUP as usize]
    }
}

/// The part of `bytes` bytes from `address` on that lies in its group.
#[inline]
fn in_group(address: u32, bytes: usize) -> usize {
    bytes.min((GROUP - address % GROUP) as usize)
}

impl Vga {
    /// Reads bytes from `offset` (from A0000h) on, in ascending order.
    pub fn window_read(&mut self, offset: u32, into: &mut [u8]) {
        let Some((place, run)) = self.place(offset, into.len()) else {
            return into.fill(NOTHING);
        };
        let (before, rest) = into.split_at_mut(run.start);
        let (inside, behind) = rest.split_at_mut(run.len());
        before.fill(NOTHING);
        behind.fill(NOTHING);
        match place {
            Place::Linear(start) => self.screen.memory.read(start, inside),
            Place::Maps { first, address } => self.maps_read(first, address, inside),
        }
    }

    /// Writes bytes from `offset` (from A0000h) on, in ascending order.
    pub fn window_write(&mut self, offset: u32, from: &[u8]) {
        let Some((place, run)) = self.place(offset, from.len()) else {
            return;
        };
        match place {
            Place::Linear(start) => self.linear_write(start, &from[run]),
            Place::Maps { first, address } => self.maps_write(first, address, &from[run]),
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

    /// Who decodes which of `bytes` bytes from `offset` on.
    #[inline]
    fn place(&self, offset: u32, bytes: usize) -> Option<(Place, Range<usize>)> {
        let registers = &self.screen.registers;
        let window = registers.dispi.window(self.screen.memory.bytes());
        let (start, length) = match window {
            Some(_) => (0, BANKED_BYTES),
            None if registers.miscellaneous & misc::ENABLE_RAM == 0 => return None,
            None => {
                let aperture = registers.graphics.aperture();
                (aperture.start, aperture.bytes)
            }
        };
        let skipped = start.saturating_sub(offset);
        let address = (offset + skipped).checked_sub(start)?;
        let left = length.checked_sub(address)? as usize;
        let skipped = skipped as usize;
        let run = skipped..bytes.min(skipped.saturating_add(left));
        let place = match window {
            Some(Window::Linear(start)) => Place::Linear(start + address),
            Some(Window::Maps(first)) => Place::Maps { first, address },
            None => Place::Maps { first: 0, address },
        };
        (run.start < run.end).then_some((place, run))
    }

    #[inline]
    fn odd_even(&self) -> Scheme {
        if self.screen.registers.graphics.chain_odd_even() {
            Scheme::OddEven
        } else {
            Scheme::OddEvenUnchained
        }
    }

    #[inline]
    fn maps_read(&mut self, first: u32, mut address: u32, into: &mut [u8]) {
        let registers = &mut self.screen.registers;
        let (chain_4, odd_even) = (registers.sequencer.chain_4(), registers.graphics.odd_even());
        let scheme = match (chain_4, odd_even) {
            (true, _) => Scheme::Chain4,
            (false, true) => self.odd_even(),
            (false, false) => Scheme::Planar,
        };
        let graphics = &mut self.screen.registers.graphics;
        let mut rest = into;
        while !rest.is_empty() {
            let (group, behind) = rest.split_at_mut(in_group(address, rest.len()));
            let mut cells = Cells::new(scheme, first, address, group.len());
            self.screen.memory.read(cells.offset, cells.all());
            for (into, address) in group.iter_mut().zip(address..) {
                graphics.latches = u32::from_le_bytes(*cells.cell(scheme, address));
                let map = match scheme {
                    Scheme::Chain4 => Some((address & 3) as u8),
                    Scheme::OddEven | Scheme::OddEvenUnchained => {
                        Some(graphics.odd_even_map(address))
                    }
                    Scheme::Planar => None,
                };
                *into = graphics.select(map);
            }
            address += group.len() as u32;
            rest = behind;
        }
    }

    #[inline]
    fn maps_write(&mut self, first: u32, mut address: u32, from: &[u8]) {
        let sequencer = &self.screen.registers.sequencer;
        let scheme = if sequencer.chain_4() {
            Scheme::Chain4
        } else if sequencer.odd_even() {
            self.odd_even()
        } else {
            Scheme::Planar
        };
        let maps = scheme.written().map(|maps| maps & sequencer.map_mask());
        let masks = maps.map(spread);
        let graphics = &self.screen.registers.graphics;
        let is_plain = graphics.is_plain();
        let mut touched = 0;
        let mut rest = from;
        while !rest.is_empty() {
            let (group, behind) = rest.split_at(in_group(address, rest.len()));
            let mut cells = Cells::new(scheme, first, address, group.len());
            // Where every map is written, no cell keeps anything.
            if masks != [u32::MAX; 4] {
                self.screen.memory.read(cells.offset, cells.all());
            }
            let is_text = is_plain && scheme == Scheme::OddEven;
            let (texts, singles) = if is_text && address.is_multiple_of(2) {
                group.as_chunks::<2>()
            } else {
                (&[][..], group)
            };
            for (text, address) in texts.iter().zip((address..).step_by(2)) {
                touched |= maps[0] | maps[1];
                let merged = all(text[0]) & masks[0] | all(text[1]) & masks[1];
                let cell = cells.cell(Scheme::OddEven, address);
                let kept = u32::from_le_bytes(*cell) & !(masks[0] | masks[1]);
                *cell = (kept | merged).to_le_bytes();
            }
            let first_single = address + 2 * texts.len() as u32;
            for (&value, address) in singles.iter().zip(first_single..) {
                let slot = (address & 3) as usize;
                touched |= maps[slot];
                let merged = if is_plain {
                    all(value)
                } else {
                    graphics.merge(value)
                };
                let cell = cells.cell(scheme, address);
                let kept = u32::from_le_bytes(*cell) & !masks[slot];
                *cell = (kept | merged & masks[slot]).to_le_bytes();
            }
            if touched != 0 {
                self.screen.memory.write(cells.offset, cells.all());
                self.changes.mark(cells.offset, cells.bytes as u32);
            }
            address += group.len() as u32;
            rest = behind;
        }
        self.mark_if_font(touched & 0b0100 != 0);
    }
}
