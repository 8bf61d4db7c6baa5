//! QEMU's firmware configuration device, for firmware that was built for it: SeaBIOS and OVMF (QEMU, docs/specs/fw_cfg.rst).
//!
//! Items are given at construction and cannot be written. [`FwCfg`] guarantees: every guest address is checked; a request
//! moves at most one item and [`PADDING_BYTES`] of zeros behind it.

mod bits;
mod items;
#[cfg(test)]
mod tests;

pub use items::{ItemError, Key};

use crate::saved;
use alloc::vec::Vec;
use bits::*;
use guest_mem::{Gpa, GuestMemory};
use hvm::device::{Lifecycle, RestoreError};
use items::Items;
use serde::{Deserialize, Serialize};

/// Zeros that a read may ask for behind an item's end.
pub const PADDING_BYTES: u32 = 0x1_0000;
/// Version of the saved state.
const SAVED_VERSION: u16 = 1;

/// What a request in memory consists of.
const CONTROL_BYTES: usize = 16;

/// The device.
#[derive(Clone, Debug)]
pub struct FwCfg {
    items: Items,
    cursor: Cursor,
}

/// Where the guest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    selector: u16,
    /// The next byte of the item.
    offset: u32,
    /// The upper half of the DMA address register.
    address_high: u32,
}

impl FwCfg {
    /// A device with these items, the directory of files, and what every such device has.
    pub fn new(items: Vec<(Key, Vec<u8>)>) -> Result<Self, ItemError> {
        Ok(Self {
            items: Items::new(items)?,
            cursor: Cursor::default(),
        })
    }

    /// Writes the selector register, port 510h, a word.
    pub fn select(&mut self, selector: u16) {
        self.cursor.selector = selector & !WRITE_MODE;
        self.cursor.offset = 0;
    }

    /// Reads the data register, port 511h, a byte. Behind the end of an item there are zeros.
    pub fn read_data(&mut self) -> u8 {
        let byte = self.rest().first().copied().unwrap_or(0);
        self.cursor.offset = self.cursor.offset.saturating_add(1);
        byte
    }

    /// What is left of the item.
    fn rest(&self) -> &[u8] {
        let item = self.items.get(self.cursor.selector);
        item.get(self.cursor.offset as usize..).unwrap_or(&[])
    }

    /// Reads byte `index` (0…7) of the DMA address register, ports 514h to 51Bh: the signature.
    pub fn read_address(&self, index: usize) -> u8 {
        DMA_SIGNATURE.get(index).copied().unwrap_or(0xff)
    }

    /// Writes the register's upper half, port 514h, a dword in big-endian order.
    pub fn write_address_high(&mut self, value: u32) {
        self.cursor.address_high = value.swap_bytes();
    }

    /// Writes its lower half, port 518h: the request at that address is done at once.
    pub fn write_address_low(&mut self, value: u32, memory: &GuestMemory) {
        let high = core::mem::take(&mut self.cursor.address_high);
        let request = Gpa(u64::from(high) << 32 | u64::from(value.swap_bytes()));
        let mut bytes = [0; CONTROL_BYTES];
        if memory.read(request, &mut bytes).is_err() {
            // There is nowhere to tell of it.
            return;
        }
        let [c0, c1, c2, c3, l0, l1, l2, l3, address @ ..] = bytes;
        let control = u32::from_be_bytes([c0, c1, c2, c3]);
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if control & SELECT != 0 {
            self.select((control >> 16) as u16);
        }
        let address = Gpa(u64::from_be_bytes(address));
        let result = self.transfer(control, length, address, memory);
        let status = if result.is_some() { 0 } else { ERROR };
        // It was read from there: it is RAM.
        let _ = memory.write(request, &status.to_be_bytes());
    }

    /// Does what the control word says; `None` if it cannot be done. The cursor moves only if it is.
    fn transfer(
        &mut self,
        control: u32,
        length: u32,
        address: Gpa,
        memory: &GuestMemory,
    ) -> Option<()> {
        match control & (READ | WRITE | SKIP) {
            0 => return Some(()),
            SKIP => {}
            // A read that also says skip is a read.
            access if access & READ != 0 => self.read(length, address, memory)?,
            // No item can be written.
            _ => return None,
        }
        self.cursor.offset = self.cursor.offset.saturating_add(length);
        Some(())
    }

    fn read(&self, length: u32, address: Gpa, memory: &GuestMemory) -> Option<()> {
        let item = self.rest();
        let bytes = item.get(..length as usize).unwrap_or(item);
        // Not longer than `length`.
        let padding = length - bytes.len() as u32;
        if padding > PADDING_BYTES || !memory.contains(address, length.into()) {
            return None;
        }
        memory.write(address, bytes).ok()?;
        let end = Gpa(address.0.checked_add(bytes.len() as u64)?);
        memory.fill(end, padding.into(), 0).ok()
    }
}

impl Lifecycle for FwCfg {
    fn kind(&self) -> &'static str {
        "fw_cfg"
    }

    fn reset(&mut self) {
        self.cursor = Cursor::default();
    }

    /// The cursor; items are what the board was built from.
    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, &self.cursor)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        self.cursor = saved::read(self.kind(), SAVED_VERSION, saved)?;
        Ok(())
    }
}
