//! Video memory: written, never read (reads across a bus cost hundreds of cycles).

use core::marker::PhantomData;

/// A mapped range of video memory.
pub struct VideoMemory<'a> {
    base: *mut u8,
    bytes: usize,
    memory: PhantomData<&'a mut [u8]>,
}

// SAFETY: the value is the only way to its memory (`new`), so it may move between CPUs as a `&mut [u8]` may.
unsafe impl Send for VideoMemory<'_> {}

impl VideoMemory<'_> {
    /// Takes charge of `bytes` bytes at `base`.
    ///
    /// # Safety
    /// The range must be mapped for writing and be used by nothing else for the value's lifetime.
    pub unsafe fn new(base: *mut u8, bytes: usize) -> Self {
        Self {
            base,
            bytes,
            memory: PhantomData,
        }
    }

    /// Writes `values` at `offset`; nothing if that is not all inside.
    #[inline]
    pub fn store<const N: usize>(&mut self, offset: usize, values: &[u8; N]) {
        let Some(last) = self.bytes.checked_sub(N) else {
            return;
        };
        if offset <= last {
            // SAFETY: `offset + N <= bytes`, and `new`'s caller vouched for the range. An array of bytes has no alignment.
            unsafe { self.base.add(offset).cast::<[u8; N]>().write(*values) };
        }
    }

    /// Makes every byte 0.
    pub fn clear(&mut self) {
        // SAFETY: the whole range, for which `new`'s caller vouched.
        unsafe { self.base.write_bytes(0, self.bytes) };
    }
}
