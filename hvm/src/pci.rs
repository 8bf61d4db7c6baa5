//! PCI functions as the bus sees them (PCI Local Bus 3.0, chapter 6).

use crate::Width;
use crate::device::{Context, Lifecycle};

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
    /// What BAR `index` (0…5) decodes now; `None` if it is not implemented or its decode is off in the command register.
    fn window(&self, index: usize) -> Option<Window>;
    /// Reads `width` bytes at `offset` in BAR `index`.
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
}
