//! Which function decodes an address: the windows of all functions, sorted, so that a look-up is a binary search.

use alloc::vec::Vec;
use hvm::pci::{WINDOWS, Window};

/// A place within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Index into the bus's functions.
    pub(crate) function: usize,
    pub(crate) bar: usize,
    pub(crate) offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    base: u64,
    bytes: u64,
    function: usize,
    bar: usize,
}

/// Entries of one address space by base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Space(Vec<Entry>);

impl Space {
    /// The window at `address`. Where two overlap, the one that starts later has it; software must not make them overlap.
    #[inline]
    pub(super) fn find(&self, address: u64) -> Option<Target> {
        let after = self.0.partition_point(|entry| entry.base <= address);
        let entry = self.0.get(after.checked_sub(1)?)?;
        let offset = address - entry.base;
        (offset < entry.bytes).then_some(Target {
            function: entry.function,
            bar: entry.bar,
            offset,
        })
    }

    fn insert(&mut self, entry: Entry) {
        let at = self.0.partition_point(|other| other.base <= entry.base);
        self.0.insert(at, entry);
    }
}

/// Both address spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Windows {
    pub(super) ports: Space,
    pub(super) memory: Space,
}

impl Windows {
    /// Room for all windows of so many functions, so that [`Windows::clear`] and [`Windows::add`] never allocate.
    pub(super) fn reserve(&mut self, functions: usize) {
        for space in [&mut self.ports, &mut self.memory] {
            space
                .0
                .reserve((functions * WINDOWS).saturating_sub(space.0.len()));
        }
    }

    pub(super) fn clear(&mut self) {
        self.ports.0.clear();
        self.memory.0.clear();
    }

    pub(super) fn add(&mut self, function: usize, bar: usize, window: Window) {
        let (space, base, bytes) = match window {
            Window::Port { base, bytes } => (&mut self.ports, u64::from(base), u64::from(bytes)),
            Window::Memory { base, bytes } => (&mut self.memory, base, bytes),
        };
        space.insert(Entry {
            base,
            bytes,
            function,
            bar,
        });
    }
}
