//! A drive's sector buffer, behind the data register.
//!
//! [`Buffer`] guarantees: the host reaches only the open part, from where it left off; what was not filled since the last
//! [`Buffer::load`] reads as zeros or as older data of the same drive, never as anything else.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use hvm::device::RestoreError;
use serde::{Deserialize, Serialize};

/// `at <= stop <= end <= bytes.len()`, always.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    /// Where the host reads or writes next.
    at: usize,
    /// Where the open part, the present data block, ends.
    stop: usize,
    /// Where the contents end.
    end: usize,
}

impl Buffer {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity].into_boxed_slice(),
            at: 0,
            stop: 0,
            end: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        (self.at, self.stop, self.end) = (0, 0, 0);
    }

    /// Starts anew with `bytes` of contents (no more than fit), which are returned to be filled. None of it is open.
    pub(super) fn load(&mut self, bytes: usize) -> &mut [u8] {
        self.clear();
        self.end = bytes.min(self.bytes.len());
        &mut self.bytes[..self.end]
    }

    /// Starts anew with these contents, as far as they fit.
    pub(super) fn load_from(&mut self, contents: &[u8]) {
        let into = self.load(contents.len());
        let bytes = into.len();
        into.copy_from_slice(&contents[..bytes]);
    }

    /// Cuts the contents down to `bytes`; nothing of them may be open yet.
    pub(super) fn truncate(&mut self, bytes: usize) {
        self.end = self.end.min(bytes).max(self.stop);
    }

    /// Opens up to `limit` bytes of what the host has not had; returns how many.
    pub(super) fn open(&mut self, limit: usize) -> usize {
        let bytes = limit.min(self.end - self.at);
        self.stop = self.at + bytes;
        bytes
    }

    /// All contents.
    pub(super) fn contents(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// What the host has not had yet, open or not.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.at..self.end]
    }

    /// Up to `bytes` of the same, to be filled without the host's data register.
    pub(super) fn rest_mut(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.end.min(self.at.saturating_add(bytes));
        &mut self.bytes[self.at..end]
    }

    /// Counts up to `bytes` as had by the host.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes.min(self.end - self.at);
        self.stop = self.stop.max(self.at);
    }

    /// True once the host is through with the open part.
    pub(super) fn is_closed(&self) -> bool {
        self.at == self.stop
    }

    /// Copies from the open part; returns how many bytes.
    #[inline]
    pub(super) fn take(&mut self, into: &mut [u8]) -> usize {
        let bytes = into.len().min(self.stop - self.at);
        into[..bytes].copy_from_slice(&self.bytes[self.at..self.at + bytes]);
        self.at += bytes;
        bytes
    }

    /// Copies into the open part; returns how many bytes.
    #[inline]
    pub(super) fn put(&mut self, from: &[u8]) -> usize {
        let bytes = from.len().min(self.stop - self.at);
        self.bytes[self.at..self.at + bytes].copy_from_slice(&from[..bytes]);
        self.at += bytes;
        bytes
    }

    pub(super) fn save(&self) -> Saved {
        Saved {
            contents: self.contents().to_vec(),
            at: self.at as u32,
            stop: self.stop as u32,
        }
    }

    /// Refuses what does not fit this buffer, before anything is changed.
    pub(super) fn check(&self, saved: &Saved) -> Result<(), RestoreError> {
        let end = saved.contents.len();
        let ordered = saved.at <= saved.stop && saved.stop as usize <= end;
        if ordered && end <= self.bytes.len() {
            return Ok(());
        }
        Err(RestoreError(format!(
            "ide: found a sector buffer of {end} bytes, open from {} to {}; this one holds {}",
            saved.at,
            saved.stop,
            self.bytes.len()
        )))
    }

    /// Takes back what [`Buffer::check`] let pass.
    pub(super) fn restore(&mut self, saved: &Saved) {
        self.load_from(&saved.contents);
        self.stop = (saved.stop as usize).min(self.end);
        self.at = (saved.at as usize).min(self.stop);
    }
}

/// The saved state.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    contents: Vec<u8>,
    at: u32,
    stop: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_comes_in_blocks_and_never_past_them() {
        let mut buffer = Buffer::new(8);
        buffer.load_from(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let mut into = [0; 8];
        assert_eq!(buffer.take(&mut into), 0, "nothing is open");
        assert_eq!(buffer.open(3), 3);
        assert_eq!(buffer.take(&mut into[..2]), 2);
        assert!(!buffer.is_closed());
        assert_eq!(buffer.take(&mut into[2..]), 1);
        assert!(buffer.is_closed());
        assert_eq!(buffer.rest(), [4, 5, 6, 7, 8]);
        assert_eq!(buffer.open(99), 5);
        assert_eq!(buffer.put(&[0; 9]), 5);
        assert_eq!(buffer.contents(), [1, 2, 3, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_state_that_does_not_fit_is_refused() {
        let mut large = Buffer::new(16);
        large.load(16);
        large.open(16);
        assert!(Buffer::new(8).check(&large.save()).is_err());
        let crossed = Saved {
            contents: vec![0; 4],
            at: 3,
            stop: 2,
        };
        assert!(large.check(&crossed).is_err());
    }
}
