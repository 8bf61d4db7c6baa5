//! Functions with memory of their own, as graphics adapters have it: accesses to many bytes at once, and the screen.

use super::Bus;
use hvm::display::Display;
use hvm::pci::{Window, WindowCopy};

impl Bus {
    /// Reads bytes from one window. False, and nothing done, where access by access is the only way.
    pub(crate) fn read_bytes(&mut self, gpa: u64, into: &mut [u8]) -> bool {
        self.find_memory(gpa).is_some_and(|target| {
            let function = &mut self.cards[target.function].function;
            function.bar_read_bytes(target.bar, target.offset, into)
        })
    }

    /// Writes them, same rules.
    pub(crate) fn write_bytes(&mut self, gpa: u64, from: &[u8]) -> bool {
        self.find_memory(gpa).is_some_and(|target| {
            let function = &mut self.cards[target.function].function;
            function.bar_write_bytes(target.bar, target.offset, from)
        })
    }

    /// A repeated string move within one window, whose `from` and `to` are addresses. Same rules.
    pub(crate) fn copy(&mut self, copy: WindowCopy) -> bool {
        let (Some(from), Some(to)) = (self.find_memory(copy.from), self.find_memory(copy.to))
        else {
            return false;
        };
        if (from.function, from.bar) != (to.function, to.bar) {
            return false;
        }
        let copy = WindowCopy {
            from: from.offset,
            to: to.offset,
            ..copy
        };
        let function = &mut self.cards[from.function].function;
        function.bar_copy(from.bar, copy)
    }

    /// The screen of the first function that drives one.
    pub(crate) fn display(&mut self) -> Option<&mut dyn Display> {
        for card in &mut self.cards {
            if let Some(display) = card.function.display() {
                return Some(display);
            }
        }
        None
    }

    /// The first window that is plain memory.
    pub(crate) fn plain_memory(&self) -> Option<Window> {
        self.cards
            .iter()
            .find_map(|card| card.function.plain_memory())
    }
}
