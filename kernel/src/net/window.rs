//! Registers and rings, mapped.

use crate::console::ports::CpuPorts;
use drivers::ports::Ports;
use drivers::window::{Shared, Window};
use guest_mem::Hpa;

use crate::mem::{PAGE_BYTES, frames, map_mmio, phys_to_virt};

/// Below this every card reaches memory.
const DMA_LIMIT: u64 = 1 << 32;

/// A mapped range that hardware uses as well.
pub struct Mapped {
    base: *mut u8,
    bytes: usize,
}

// SAFETY: the range belongs to the driver that has this, wherever it runs.
unsafe impl Send for Mapped {}

impl Mapped {
    /// A device's registers; `None` if they cannot be mapped.
    ///
    /// # Safety
    /// The registers must be those of a device that nobody else drives, and whose driver tells it of no memory but its own.
    pub unsafe fn registers(hpa: Hpa, bytes: u64) -> Option<Self> {
        Some(Self {
            base: map_mmio(hpa, bytes)?,
            bytes: bytes as usize,
        })
    }

    /// Cleared memory for rings, for good; `None` if there is none left.
    pub fn shared(bytes: usize) -> Option<Shared<Self>> {
        let range = frames::alloc_below(bytes as u64, PAGE_BYTES, DMA_LIMIT)?;
        let base = phys_to_virt(Hpa(range.base));
        // SAFETY: the range was just taken from the allocator, and all RAM is mapped writable.
        unsafe { base.write_bytes(0, bytes) };
        Some(Shared {
            window: Self { base, bytes },
            dma: range.base,
        })
    }

    /// Where a `T` at `at` is, if it is inside and aligned.
    fn place<T>(&self, at: usize) -> Option<*mut T> {
        let end = at.checked_add(size_of::<T>())?;
        let inside = end <= self.bytes && at.is_multiple_of(align_of::<T>());
        // SAFETY: `at` is inside the range.
        inside.then(|| unsafe { self.base.add(at).cast() })
    }

    fn read<T: Copy>(&self, at: usize, otherwise: T) -> T {
        match self.place::<T>(at) {
            // SAFETY: the place is inside a range that is mapped for good; integers take every value that hardware leaves there.
            Some(place) => unsafe { place.read_volatile() },
            None => otherwise,
        }
    }

    fn write<T>(&self, at: usize, value: T) {
        if let Some(place) = self.place::<T>(at) {
            // SAFETY: as for `read`; the range is writable, and nothing in Rust refers to it.
            unsafe { place.write_volatile(value) }
        }
    }
}

impl Window for Mapped {
    #[inline]
    fn read_u8(&mut self, at: usize) -> u8 {
        self.read(at, u8::MAX)
    }
    #[inline]
    fn read_u16(&mut self, at: usize) -> u16 {
        self.read(at, u16::MAX)
    }
    #[inline]
    fn read_u32(&mut self, at: usize) -> u32 {
        self.read(at, u32::MAX)
    }
    #[inline]
    fn write_u8(&mut self, at: usize, value: u8) {
        self.write(at, value);
    }
    #[inline]
    fn write_u16(&mut self, at: usize, value: u16) {
        self.write(at, value);
    }
    #[inline]
    fn write_u32(&mut self, at: usize, value: u32) {
        self.write(at, value);
    }
}

/// A device's registers in the port space.
pub struct PortWindow {
    ports: CpuPorts,
    base: u16,
    bytes: u16,
}

impl PortWindow {
    /// From port `base` on.
    ///
    /// # Safety
    /// As for [`Mapped::registers`].
    pub unsafe fn new(base: u16, bytes: u16) -> Self {
        Self {
            // SAFETY: the caller vouches for the device.
            ports: unsafe { CpuPorts::new() },
            base,
            bytes,
        }
    }

    /// The port at `at`, if it is inside.
    fn port(&self, at: usize) -> Option<u16> {
        let at = u16::try_from(at).ok().filter(|at| *at < self.bytes)?;
        self.base.checked_add(at)
    }
}

impl Window for PortWindow {
    fn read_u8(&mut self, at: usize) -> u8 {
        self.port(at)
            .map_or(u8::MAX, |port| self.ports.read_u8(port))
    }
    fn read_u16(&mut self, at: usize) -> u16 {
        self.port(at)
            .map_or(u16::MAX, |port| self.ports.read_u16(port))
    }
    fn read_u32(&mut self, at: usize) -> u32 {
        self.port(at)
            .map_or(u32::MAX, |port| self.ports.read_u32(port))
    }
    fn write_u8(&mut self, at: usize, value: u8) {
        if let Some(port) = self.port(at) {
            self.ports.write_u8(port, value);
        }
    }
    fn write_u16(&mut self, at: usize, value: u16) {
        if let Some(port) = self.port(at) {
            self.ports.write_u16(port, value);
        }
    }
    fn write_u32(&mut self, at: usize, value: u32) {
        if let Some(port) = self.port(at) {
            self.ports.write_u32(port, value);
        }
    }
}

/// `count` buffers of `bytes` each for frames; `None` if there is no memory for them.
pub fn pool(count: usize, bytes: usize) -> Option<&'static hvm::packet::Pool> {
    let range = frames::alloc_below((count * bytes) as u64, PAGE_BYTES, DMA_LIMIT)?;
    // SAFETY: the range was just taken from the allocator for good, is mapped writable, and nothing else refers to it; bytes of any
    // value are valid `u8`s. A card writes to a buffer only while its driver holds it and does not look.
    let memory =
        unsafe { core::slice::from_raw_parts_mut(phys_to_virt(Hpa(range.base)), count * bytes) };
    let addresses = (range.base..).step_by(bytes);
    let buffers = memory.chunks_exact_mut(bytes).zip(addresses).collect();
    Some(hvm::packet::Pool::leak(buffers))
}
