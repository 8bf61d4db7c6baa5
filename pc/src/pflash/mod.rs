//! Parallel flash with Intel's command set, as OVMF wants for its variable store (Intel application note AP-646; data sheets of
//! the 28FxxxJ5). Accesses wider than a byte are byte accesses in a row, as on an 8-bit part.
//!
//! [`Flash`] guarantees: bits are only cleared by programming and only set by erasing; whatever is written, its contents keep
//! their length; programming and erasing are done at once. One difference is on purpose: CLEAR STATUS clears the ready
//! bit too, because OVMF takes a part for flash only if it then reads 0.

mod bits;
mod query;
#[cfg(test)]
mod tests;

use crate::saved;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bits::*;
use core::ops::Range;
use hvm::Width;
use hvm::device::{Lifecycle, RestoreError};
use serde::{Deserialize, Serialize};

/// Bytes that are erased together.
pub const BLOCK_BYTES: usize = 4096;
/// Version of the saved state.
const SAVED_VERSION: u16 = 1;

/// May the guest program and erase it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It may: a variable store.
    Writable,
    /// All blocks are locked: firmware code.
    Locked,
}

/// What a read shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Mode {
    Array,
    Status,
    Id,
    Query,
}

/// What the next write means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Expects {
    Command,
    /// A byte to program.
    Data,
    /// Confirmation to erase the block at that offset.
    EraseConfirm(u32),
    Lock,
    /// How many bytes the buffer will get, less one.
    BufferCount,
    /// So many more bytes for the buffer.
    BufferData(u16),
    BufferConfirm,
}

/// The command state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    mode: Mode,
    expects: Expects,
    status: u8,
    /// Offsets and bytes that wait for confirmation.
    buffer: heapless::Vec<(u32, u8), BUFFER_BYTES>,
}

impl State {
    fn new() -> Self {
        Self {
            mode: Mode::Array,
            expects: Expects::Command,
            status: 0,
            buffer: heapless::Vec::new(),
        }
    }
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    contents: Vec<u8>,
    protection: Protection,
    state: State,
    changed: Option<Range<usize>>,
}

impl Flash {
    /// A part with that contents, which must be whole blocks, at least one and at most 16 MiB.
    pub fn new(contents: Vec<u8>, protection: Protection) -> Result<Self, FlashError> {
        let bytes = contents.len();
        if bytes == 0 || !bytes.is_multiple_of(BLOCK_BYTES) || bytes > 1 << 24 {
            return Err(FlashError(format!(
                "flash of {bytes} bytes: want a multiple of {BLOCK_BYTES}, at most 16 MiB"
            )));
        }
        Ok(Self {
            contents,
            protection,
            state: State::new(),
            changed: None,
        })
    }

    /// Its contents.
    pub fn contents(&self) -> &[u8] {
        &self.contents
    }

    /// True while reads show the contents: then its memory may be mapped for reading and execution.
    pub fn shows_contents(&self) -> bool {
        self.state.mode == Mode::Array
    }

    /// What of the contents may have changed since the last call: time to store it.
    pub fn take_changed(&mut self) -> Option<Range<usize>> {
        self.changed.take()
    }

    fn note_change(&mut self, range: Range<usize>) {
        self.changed = Some(match self.changed.take() {
            None => range,
            Some(old) => old.start.min(range.start)..old.end.max(range.end),
        });
    }

    /// Reads at `offset`; all ones behind the end.
    pub fn read(&self, offset: u64, width: Width) -> u64 {
        (0..width.bytes() as u64).fold(0, |value, byte| {
            value | u64::from(self.read_byte(offset.wrapping_add(byte))) << (8 * byte)
        })
    }

    fn read_byte(&self, offset: u64) -> u8 {
        let Some(&byte) = self.contents.get(offset as usize) else {
            return 0xff;
        };
        match self.state.mode {
            Mode::Array => byte,
            Mode::Status => self.state.status,
            Mode::Id => match offset as usize % BLOCK_BYTES {
                0 => MANUFACTURER,
                1 => DEVICE,
                2 => u8::from(self.protection == Protection::Locked),
                _ => 0,
            },
            Mode::Query => query::read(offset as usize, self.contents.len()),
        }
    }

    /// Writes at `offset`.
    pub fn write(&mut self, offset: u64, width: Width, value: u64) {
        for (place, byte) in (0..width.bytes() as u64).zip(value.to_le_bytes()) {
            let offset = offset.wrapping_add(place);
            if offset < self.contents.len() as u64 {
                // At most 16 MiB.
                self.write_byte(offset as u32, byte);
            }
        }
    }

    fn write_byte(&mut self, offset: u32, value: u8) {
        let expects = core::mem::replace(&mut self.state.expects, Expects::Command);
        match expects {
            Expects::Command => self.command(offset, value),
            Expects::Data => self.finish(PROGRAM_ERROR, |flash| flash.program(offset, value)),
            Expects::EraseConfirm(block) if value == CONFIRM => {
                self.finish(ERASE_ERROR, |flash| flash.erase(block));
            }
            Expects::Lock if value == CONFIRM || value == SET_LOCK => {
                self.state.status |= READY;
            }
            Expects::BufferCount if usize::from(value) < BUFFER_BYTES => {
                self.state.expects = Expects::BufferData(u16::from(value) + 1);
            }
            Expects::BufferData(left) => {
                // The count is at most the buffer's size.
                let _ = self.state.buffer.push((offset, value));
                self.state.expects = match left.saturating_sub(1) {
                    0 => Expects::BufferConfirm,
                    left => Expects::BufferData(left),
                };
            }
            Expects::BufferConfirm if value == CONFIRM => self.program_buffer(),
            _ => self.state.status |= READY | ERASE_ERROR | PROGRAM_ERROR,
        }
    }

    fn command(&mut self, offset: u32, value: u8) {
        let state = &mut self.state;
        let (mode, expects) = match value {
            READ_ID => (Mode::Id, Expects::Command),
            READ_QUERY => (Mode::Query, Expects::Command),
            READ_STATUS => (Mode::Status, Expects::Command),
            CLEAR_STATUS => {
                state.status = 0;
                (Mode::Array, Expects::Command)
            }
            PROGRAM | PROGRAM_ALIAS => (Mode::Status, Expects::Data),
            ERASE => (Mode::Status, Expects::EraseConfirm(offset)),
            LOCK => (Mode::Status, Expects::Lock),
            WRITE_TO_BUFFER => {
                state.buffer.clear();
                state.status |= READY;
                (Mode::Status, Expects::BufferCount)
            }
            READ_ARRAY | READ_ARRAY_AMD => (Mode::Array, Expects::Command),
            // The part does not know it.
            _ => (Mode::Array, Expects::Command),
        };
        state.mode = mode;
        state.expects = expects;
    }

    /// Does it, unless the part is locked.
    fn finish(&mut self, error: u8, work: impl FnOnce(&mut Self)) {
        self.state.status |= READY;
        if self.protection == Protection::Locked {
            self.state.status |= error | LOCKED;
        } else {
            work(self);
        }
    }

    /// Clears the bits that are clear in `value`.
    fn program(&mut self, offset: u32, value: u8) {
        if let Some(byte) = self.contents.get_mut(offset as usize) {
            *byte &= value;
            self.note_change(offset as usize..offset as usize + 1);
        }
    }

    fn erase(&mut self, offset: u32) {
        let start = offset as usize / BLOCK_BYTES * BLOCK_BYTES;
        if let Some(block) = self.contents.get_mut(start..start + BLOCK_BYTES) {
            block.fill(0xff);
            self.note_change(start..start + BLOCK_BYTES);
        }
    }

    /// All bytes of the buffer must lie in one buffer's length of the part.
    fn program_buffer(&mut self) {
        let buffer = core::mem::take(&mut self.state.buffer);
        let window = |offset: u32| offset as usize / BUFFER_BYTES;
        let first = buffer.first().map(|(offset, _)| window(*offset));
        if buffer
            .iter()
            .any(|(offset, _)| Some(window(*offset)) != first)
        {
            self.state.status |= READY | ERASE_ERROR | PROGRAM_ERROR;
            return;
        }
        self.finish(PROGRAM_ERROR, |flash| {
            for (offset, value) in buffer {
                flash.program(offset, value);
            }
        });
    }
}

/// Why contents cannot be a part's; the text says what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlashError(pub String);

/// The saved state.
#[derive(Serialize, Deserialize)]
struct Saved {
    state: State,
    /// What the guest may have changed.
    contents: Option<Vec<u8>>,
}

impl Lifecycle for Flash {
    fn kind(&self) -> &'static str {
        "pflash"
    }

    /// The reset pin: reads show the contents, which stay.
    fn reset(&mut self) {
        self.state = State::new();
    }

    fn save(&self) -> Vec<u8> {
        let state = Saved {
            state: self.state.clone(),
            contents: (self.protection == Protection::Writable).then(|| self.contents.clone()),
        };
        saved::write(SAVED_VERSION, &state)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let Saved { state, contents } = saved::read(self.kind(), SAVED_VERSION, saved)?;
        if let Some(contents) = contents {
            if contents.len() != self.contents.len() {
                return Err(RestoreError(format!(
                    "pflash: found {} bytes of contents, this part has {}",
                    contents.len(),
                    self.contents.len()
                )));
            }
            self.contents = contents;
            self.note_change(0..self.contents.len());
        }
        self.state = state;
        Ok(())
    }
}
