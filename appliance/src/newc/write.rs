//! Writing an archive in memory.

use super::header::{header, padding, trailer};
use alloc::vec::Vec;

/// An archive under construction.
#[derive(Default)]
pub struct Writer {
    out: Vec<u8>,
    files: u32,
}

impl Writer {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a regular file. `None` (and nothing added) under the conditions of [`header`].
    pub fn file(&mut self, name: &str, data: &[u8]) -> Option<&mut Self> {
        let number = self.files.checked_add(1)?;
        self.out
            .extend_from_slice(&header(number, name, data.len() as u64)?);
        self.out.extend_from_slice(data);
        self.out.extend_from_slice(padding(data.len() as u64));
        self.files = number;
        Some(self)
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(&trailer());
        self.out
    }
}
