//! The adapter's memory in bulk, and its screen.

use super::Board;
use guest_mem::GuestMemory;
use hvm::Gpa;
use hvm::display::Display;
use hvm::pci::{Window, WindowCopy};

impl Board {
    /// The screen, if an adapter is plugged in.
    pub fn display(&mut self) -> Option<&mut dyn Display> {
        self.bus.display()
    }

    /// Where the guest has placed the adapter's linear framebuffer, while it decodes it: pages of video memory may be mapped
    /// there. Each move makes a new generation of guest memory ([`GuestMemory::generation`]); after [`Board::reset`] and
    /// [`Board::restore`] that comes with [`Board::refresh_memory`].
    pub fn linear_framebuffer(&self) -> Option<Window> {
        self.bus.plain_memory()
    }

    /// Has whoever maps the framebuffer look again, if it moved.
    pub(super) fn announce_framebuffer(&mut self, memory: &GuestMemory) {
        let window = self.linear_framebuffer();
        if window != self.announced {
            self.announced = window;
            memory.announce();
        }
    }

    /// Reads bytes of device memory in ascending order, as a repeated string instruction does, in one go. False, and
    /// nothing done, if the device must see each access.
    pub fn mmio_read_bytes(&mut self, gpa: Gpa, into: &mut [u8]) -> bool {
        self.bus.read_bytes(gpa.0, into)
    }

    /// Writes them, same rules.
    pub fn mmio_write_bytes(&mut self, gpa: Gpa, from: &[u8]) -> bool {
        self.bus.write_bytes(gpa.0, from)
    }

    /// Moves elements from device memory to device memory, one after the other: latches of an adapter do their work. `from`
    /// and `to` are guest-physical. Same rules.
    pub fn mmio_copy(&mut self, copy: WindowCopy) -> bool {
        self.bus.copy(copy)
    }
}
