//! The IDE function's place on the bus: slot 1, function 1, if the board has drives.

use super::Bus;
use crate::ide::Ide;
use hvm::pci::{Function, Window};

/// Slot and function.
pub(super) const ADDRESS: (u8, u8) = (1, 1);

impl Bus {
    /// Puts the function in its place.
    pub(crate) fn set_ide(&mut self, ide: Ide) {
        self.ide = Some(ide);
    }

    /// The function.
    #[inline]
    pub(crate) fn ide(&self) -> Option<&Ide> {
        self.ide.as_ref()
    }

    /// The same, to use it.
    #[inline]
    pub(crate) fn ide_mut(&mut self) -> Option<&mut Ide> {
        self.ide.as_mut()
    }

    /// The bus master register at `port`: the BAR's index, and the offset in it.
    pub(crate) fn find_bus_master(&self, port: u16) -> Option<(usize, u64)> {
        match self.ide()?.window(Ide::BUS_MASTER_BAR)? {
            Window::Port { base, bytes } => {
                let offset = port.wrapping_sub(base);
                (offset < bytes).then_some((Ide::BUS_MASTER_BAR, u64::from(offset)))
            }
            Window::Memory { .. } => None,
        }
    }
}
