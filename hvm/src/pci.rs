//! PCI functions as the bus sees them (PCI Local Bus 3.0, chapter 6).

use crate::device::{Context, Lifecycle};
use crate::display::Display;
use crate::{Instant, Width};

/// Windows that a function may have: BARs 0 to 5, the expansion ROM as number 6, and after it ranges that it decodes without
/// a base address register, such as the legacy ranges of a VGA adapter.
pub const WINDOWS: usize = 12;
/// The number of the expansion ROM's window.
pub const ROM_WINDOW: usize = 6;

/// An address range that a function decodes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Ports.
    Port {
        /// First port.
        base: u16,
        /// How many.
        bytes: u16,
    },
    /// Guest-physical memory.
    Memory {
        /// First byte.
        base: u64,
        /// How many.
        bytes: u64,
    },
}

/// One function behind the host bridge. The bus calls it under its lock; calls never block.
pub trait Function: Lifecycle + Send {
    /// Reads configuration space: `offset` 0…FFh, `offset + width` within one dword.
    fn config_read(&self, offset: u8, width: Width) -> u32;
    /// Writes configuration space, same rules. BARs may move, so the bus asks for [`Function::window`] afterwards.
    fn config_write(&mut self, offset: u8, width: Width, value: u32, context: &mut Context<'_>);
    /// What window `index` (below [`WINDOWS`]) decodes now; `None` if it is not implemented or its decode is off in the
    /// command register.
    fn window(&self, index: usize) -> Option<Window>;
    /// Reads `width` bytes at `offset` in window `index`.
    fn bar_read(
        &mut self,
        index: usize,
        offset: u64,
        width: Width,
        context: &mut Context<'_>,
    ) -> u64;
    /// Writes them.
    fn bar_write(
        &mut self,
        index: usize,
        offset: u64,
        width: Width,
        value: u64,
        context: &mut Context<'_>,
    );
    /// The level of the INTx pin after all calls so far (bit "interrupt disable" in the command register honoured).
    fn interrupt_line(&self) -> bool;
    /// Which pin: 0 = INTA … 3 = INTD.
    fn interrupt_pin(&self) -> u8 {
        0
    }
    /// Gives the function a turn: a back end has input or finished work. Called after a kick from a service.
    fn poll(&mut self, context: &mut Context<'_>);

    /// The guest has nothing to do but to wait: what was put off until then is done.
    fn idle(&mut self, _context: &mut Context<'_>) {}

    /// True if the function has a timer, so that it is to be asked for [`Function::deadline`] after every call.
    fn has_timer(&self) -> bool {
        false
    }
    /// When the function is to be polled for time's sake.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Reads bytes in ascending order as so many accesses of one byte would, in one go. False, and nothing done, where
    /// access by access is the only way.
    fn bar_read_bytes(&mut self, _index: usize, _offset: u64, _into: &mut [u8]) -> bool {
        false
    }
    /// Writes them, same rules.
    fn bar_write_bytes(&mut self, _index: usize, _offset: u64, _from: &[u8]) -> bool {
        false
    }
    /// Reads and writes `count` elements in turn, both ascending and within window `index`. Same rules.
    fn bar_copy(&mut self, _index: usize, _copy: WindowCopy) -> bool {
        false
    }
    /// A window that is memory and nothing else, so that its pages may be mapped for the guest. Whoever maps them is the
    /// one who gave the function that memory.
    fn plain_memory(&self) -> Option<Window> {
        None
    }
    /// The screen, if the function drives one.
    fn display(&mut self) -> Option<&mut dyn Display> {
        None
    }
}

/// A repeated string move within one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowCopy {
    /// Offset of the first element read.
    pub from: u64,
    /// Offset of the first element written.
    pub to: u64,
    /// Elements.
    pub count: u64,
    /// Their width: all bytes of one are read before the first is written.
    pub width: Width,
}
