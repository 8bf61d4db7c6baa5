//! Video memory as the adapter reaches it.

use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU8, Ordering};
use guest_mem::{Gpa, GuestMemory};

/// Bytes of a window bank, and the unit in which the display interface tells the size.
pub(super) const BANK_BYTES: u32 = 0x1_0000;
/// What an IBM VGA has: four maps of 64 KiB. No adapter here has less.
pub const MINIMUM_BYTES: u32 = 4 * BANK_BYTES;

/// Video memory: bytes that several may touch at once, copied in and out by value.
///
/// Pixels of the linear framebuffer lie in it as the guest sees them. What a VGA calls byte `a` of map `m` is byte
/// `4 × a + m`.
pub trait VideoMemory: Send + Sync {
    /// How many bytes there are: a multiple of 64 KiB.
    fn bytes(&self) -> u32;
    /// Reads; bytes past the end are zero.
    fn read(&self, offset: u32, into: &mut [u8]);
    /// Writes; bytes past the end are dropped.
    fn write(&self, offset: u32, from: &[u8]);
    /// Sets bytes; those past the end are left out.
    fn fill(&self, offset: u32, bytes: u32, value: u8);
    /// Names ranges that may have been written since the last call by someone other than the adapter: a guest with the
    /// pages in its own address space.
    fn take_written(&self, _written: &mut dyn FnMut(Range<u32>)) {}
}

/// Video memory of its own. The guest's accesses to the linear framebuffer then all come through the adapter.
pub struct VideoRam(Vec<AtomicU8>);

impl VideoRam {
    /// Zeroed memory, `bytes` rounded up to 64 KiB and at least [`MINIMUM_BYTES`].
    pub fn new(bytes: u32) -> Self {
        let bytes = bytes.max(MINIMUM_BYTES).div_ceil(BANK_BYTES) * BANK_BYTES;
        let mut ram = Vec::new();
        ram.resize_with(bytes as usize, || AtomicU8::new(0));
        Self(ram)
    }

    fn from(&self, offset: u32) -> &[AtomicU8] {
        self.0.get(offset as usize..).unwrap_or_default()
    }
}

impl VideoMemory for VideoRam {
    fn bytes(&self) -> u32 {
        self.0.len() as u32
    }

    fn read(&self, offset: u32, into: &mut [u8]) {
        let bytes = self.from(offset);
        let (inside, outside) = into.split_at_mut(bytes.len().min(into.len()));
        outside.fill(0);
        for (into, byte) in inside.iter_mut().zip(bytes) {
            *into = byte.load(Ordering::Relaxed);
        }
    }

    fn write(&self, offset: u32, from: &[u8]) {
        for (byte, from) in self.from(offset).iter().zip(from) {
            byte.store(*from, Ordering::Relaxed);
        }
    }

    fn fill(&self, offset: u32, bytes: u32, value: u8) {
        for byte in self.from(offset).iter().take(bytes as usize) {
            byte.store(value, Ordering::Relaxed);
        }
    }
}

/// Video memory in pages of guest memory: an address space of its own with one region at 0, so that the region can be
/// mapped for the guest where the linear framebuffer is.
impl VideoMemory for GuestMemory {
    fn bytes(&self) -> u32 {
        u32::try_from(GuestMemory::bytes(self)).unwrap_or(u32::MAX) / BANK_BYTES * BANK_BYTES
    }

    fn read(&self, offset: u32, into: &mut [u8]) {
        let (inside, outside) = into.split_at_mut(inside(self, offset, into.len()));
        outside.fill(0);
        if GuestMemory::read(self, Gpa(u64::from(offset)), inside).is_err() {
            inside.fill(0);
        }
    }

    fn write(&self, offset: u32, from: &[u8]) {
        let inside = &from[..inside(self, offset, from.len())];
        // A hole in the region is memory that is not there.
        let _ = GuestMemory::write(self, Gpa(u64::from(offset)), inside);
    }

    fn fill(&self, offset: u32, bytes: u32, value: u8) {
        let inside = inside(self, offset, bytes as usize) as u64;
        // As above.
        let _ = GuestMemory::fill(self, Gpa(u64::from(offset)), inside, value);
    }
}

/// How many of `bytes` from `offset` on exist.
fn inside(memory: &dyn VideoMemory, offset: u32, bytes: usize) -> usize {
    bytes.min(memory.bytes().saturating_sub(offset) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both kinds of memory keep the contract at and past their end.
    #[test]
    fn nothing_lies_past_the_end() {
        let pages = GuestMemory::anonymous(&[(Gpa(0), MINIMUM_BYTES.into())]);
        let memories: [&dyn VideoMemory; 2] = [&VideoRam::new(1), &pages];
        for memory in memories {
            assert_eq!(memory.bytes(), MINIMUM_BYTES);
            memory.write(MINIMUM_BYTES - 2, &[1, 2, 3]);
            let mut bytes = [9; 4];
            memory.read(MINIMUM_BYTES - 3, &mut bytes);
            assert_eq!(bytes, [0, 1, 2, 0]);
            memory.fill(MINIMUM_BYTES - 2, u32::MAX, 7);
            memory.write(u32::MAX, &[1]);
            memory.read(MINIMUM_BYTES - 2, &mut bytes);
            assert_eq!(bytes, [7, 7, 0, 0]);
            memory.read(u32::MAX, &mut bytes);
            assert_eq!(bytes, [0; 4]);
        }
    }
}
