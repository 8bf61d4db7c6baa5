//! The chip's saved state: all registers, and the pages of video memory that are not zero.

use super::{Registers, Vga};
use crate::saved;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use hvm::device::{Lifecycle, RestoreError};
use serde::{Deserialize, Serialize};

/// Version of the saved state.
const SAVED_VERSION: u16 = 1;
/// A page of video memory.
const PAGE_BYTES: usize = 4096;

#[derive(Serialize, Deserialize)]
struct Record {
    registers: Registers,
    memory_bytes: u32,
    /// By offset.
    pages: Vec<(u32, Vec<u8>)>,
}

impl Lifecycle for Vga {
    fn kind(&self) -> &'static str {
        "vga"
    }

    /// Registers go back to zero, and the screen is blank; memory keeps its contents.
    fn reset(&mut self) {
        self.screen.registers = Registers::new();
        self.changes.mark_all();
    }

    fn save(&self) -> Vec<u8> {
        let memory_bytes = self.screen.memory.bytes();
        let mut page = vec![0; PAGE_BYTES];
        let mut pages = Vec::new();
        for offset in (0..memory_bytes).step_by(PAGE_BYTES) {
            self.screen.memory.read(offset, &mut page);
            if page.iter().any(|&byte| byte != 0) {
                pages.push((offset, page.clone()));
            }
        }
        let record = Record {
            registers: self.screen.registers.clone(),
            memory_bytes,
            pages,
        };
        saved::write(SAVED_VERSION, &record)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let record: Record = saved::read(self.kind(), SAVED_VERSION, saved)?;
        let memory_bytes = self.screen.memory.bytes();
        if record.memory_bytes != memory_bytes {
            return Err(RestoreError(format!(
                "vga: the saved state has {} KiB of video memory, this adapter {} KiB; give it the same",
                record.memory_bytes / 1024,
                memory_bytes / 1024
            )));
        }
        self.screen.memory.fill(0, memory_bytes, 0);
        for (offset, page) in &record.pages {
            self.screen.memory.write(*offset, page);
        }
        self.screen.registers = record.registers;
        self.changes.mark_all();
        Ok(())
    }
}
