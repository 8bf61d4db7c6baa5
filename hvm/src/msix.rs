//! MSI-X: the capability, the vector table and the pending bits (PCI Local Bus 3.0, 6.8.2 and 6.8.3).
//!
//! [`Msix`] guarantees to its function: an interrupt raised while its vector or the function is masked is remembered
//! and sent once on unmasking; one raised while MSI-X is off is not sent at all, for then the function uses INTx.

use crate::Width;
use crate::apic::ApicMessage;
use crate::device::{RestoreError, Signals};
use crate::pci_config::ConfigSpace;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Capability id.
const MSIX_CAPABILITY: u8 = 0x11;
/// Most vectors that a table may have (6.8.2.3).
pub const MAX_VECTORS: u16 = 2048;
/// Bytes in a table entry.
pub const ENTRY_BYTES: u64 = 16;

/// Message control, high byte: function mask.
const FUNCTION_MASK: u32 = 1 << 14;
/// Message control: enable.
const ENABLE: u32 = 1 << 15;
/// Vector control: masked.
const VECTOR_MASK: u32 = 1;

/// Where a structure lies: a BAR, and an offset in it (a multiple of 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// BAR index, 0…5.
    pub bar: u8,
    /// Bytes from its start.
    pub offset: u32,
}

impl Location {
    /// The dword that the capability carries.
    fn to_dword(self) -> [u8; 4] {
        (self.offset & !7 | u32::from(self.bar & 7)).to_le_bytes()
    }
}

/// One vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Address low, address high, data, vector control.
    dwords: [u32; 4],
    pending: bool,
}

impl Entry {
    /// As after reset: masked (6.8.2.9).
    const RESET: Self = Self {
        dwords: [0, 0, 0, VECTOR_MASK],
        pending: false,
    };

    fn masked(&self) -> bool {
        self.dwords[3] & VECTOR_MASK != 0
    }

    fn message(&self) -> Option<ApicMessage> {
        let address = u64::from(self.dwords[1]) << 32 | u64::from(self.dwords[0]);
        ApicMessage::from_msi(address, self.dwords[2])
    }
}

/// What the message control register says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Mode {
    /// INTx is used.
    Off,
    /// On, but every vector is masked.
    Masked,
    /// On.
    On,
}

/// The vectors of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msix {
    entries: Vec<Entry>,
    mode: Mode,
    capability: u8,
}

impl Msix {
    /// Makes a table of `vectors` (1…[`MAX_VECTORS`], clamped) and appends the capability that announces it.
    /// `None` if the configuration space has no room left.
    pub fn append(
        config: &mut ConfigSpace,
        vectors: u16,
        table: Location,
        pending: Location,
    ) -> Option<Self> {
        let vectors = vectors.clamp(1, MAX_VECTORS);
        let mut body = [0; 10];
        body[..2].copy_from_slice(&(vectors - 1).to_le_bytes());
        body[2..6].copy_from_slice(&table.to_dword());
        body[6..].copy_from_slice(&pending.to_dword());
        let writable = ((ENABLE | FUNCTION_MASK) as u16).to_le_bytes();
        let capability = config.append_capability(MSIX_CAPABILITY, &body, &writable)?;
        Some(Self {
            entries: vec![Entry::RESET; usize::from(vectors)],
            mode: Mode::Off,
            capability,
        })
    }

    /// How many vectors there are.
    pub fn vectors(&self) -> u16 {
        self.entries.len() as u16
    }

    /// Bytes of the table.
    pub fn table_bytes(&self) -> u64 {
        self.entries.len() as u64 * ENTRY_BYTES
    }

    /// Bytes of the pending bit array: whole qwords.
    pub fn pending_bytes(&self) -> u64 {
        self.entries.len().div_ceil(64) as u64 * 8
    }

    /// True if the guest turned MSI-X on: then INTx must stay silent.
    #[inline]
    pub fn enabled(&self) -> bool {
        self.mode != Mode::Off
    }

    /// Bus reset. The owner resets the configuration space itself.
    pub fn reset(&mut self) {
        self.entries.fill(Entry::RESET);
        self.mode = Mode::Off;
    }

    /// To be called after every write to the configuration space: takes over message control and sends what an unmasking releases.
    pub fn config_written(&mut self, config: &ConfigSpace, signals: &mut dyn Signals) {
        let control = config.read(self.capability.wrapping_add(2), Width::Word);
        let mode = match (control & ENABLE != 0, control & FUNCTION_MASK != 0) {
            (false, _) => Mode::Off,
            (true, true) => Mode::Masked,
            (true, false) => Mode::On,
        };
        if mode != self.mode {
            self.mode = mode;
            for vector in 0..self.entries.len() {
                self.release(vector, signals);
            }
        }
    }

    /// Interrupts by `vector`. Nothing happens if there is no such vector (VIRTIO_MSI_NO_VECTOR, say) or MSI-X is off.
    /// An address that is not an APIC's is a plain memory write on hardware; we drop it.
    #[inline]
    pub fn raise(&mut self, vector: u16, signals: &mut dyn Signals) {
        let (Some(entry), true) = (
            self.entries.get_mut(usize::from(vector)),
            self.mode != Mode::Off,
        ) else {
            return;
        };
        if self.mode == Mode::Masked || entry.masked() {
            entry.pending = true;
        } else if let Some(message) = entry.message() {
            signals.interrupt(message);
        }
    }

    /// Reads the table. Beyond its end reads 0; so does a width or alignment that 6.8.2 forbids (only aligned dwords and qwords are defined).
    pub fn table_read(&self, offset: u64, width: Width) -> u64 {
        match width {
            Width::Dword => u64::from(self.dword(offset)),
            Width::Qword => {
                u64::from(self.dword(offset)) | u64::from(self.dword(offset.wrapping_add(4))) << 32
            }
            Width::Byte | Width::Word => 0,
        }
    }

    /// Writes the table; what is not defined is dropped.
    pub fn table_write(
        &mut self,
        offset: u64,
        width: Width,
        value: u64,
        signals: &mut dyn Signals,
    ) {
        match width {
            Width::Dword => self.set_dword(offset, value as u32, signals),
            Width::Qword => {
                self.set_dword(offset, value as u32, signals);
                self.set_dword(offset.wrapping_add(4), (value >> 32) as u32, signals);
            }
            Width::Byte | Width::Word => {}
        }
    }

    /// Reads the pending bit array, which software cannot write.
    pub fn pending_read(&self, offset: u64, width: Width) -> u64 {
        let first = usize::try_from(offset).map_or(usize::MAX, |offset| offset.saturating_mul(8));
        let bits = self
            .entries
            .iter()
            .skip(first)
            .take(width.bits() as usize)
            .enumerate();
        bits.fold(0, |value, (bit, entry)| {
            value | u64::from(entry.pending) << bit
        })
    }

    /// State for the owner's payload.
    pub fn save(&self) -> SavedMsix {
        SavedMsix {
            entries: self.entries.clone(),
            mode: self.mode,
        }
    }

    /// Takes it back.
    pub fn restore(&mut self, saved: SavedMsix) -> Result<(), RestoreError> {
        if saved.entries.len() != self.entries.len() {
            let text: String = format!(
                "MSI-X table: found {} vectors, want {}",
                saved.entries.len(),
                self.entries.len()
            );
            return Err(RestoreError(text));
        }
        self.entries = saved.entries;
        self.mode = saved.mode;
        Ok(())
    }

    fn dword(&self, offset: u64) -> u32 {
        let (index, word) = split(offset);
        self.entries
            .get(index)
            .map_or(0, |entry| entry.dwords[word])
    }

    fn set_dword(&mut self, offset: u64, value: u32, signals: &mut dyn Signals) {
        let (index, word) = split(offset);
        if let Some(entry) = self.entries.get_mut(index) {
            entry.dwords[word] = match word {
                0 => value & !3,
                3 => value & VECTOR_MASK,
                _ => value,
            };
            self.release(index, signals);
        }
    }

    /// Sends a remembered interrupt if nothing masks it any longer.
    fn release(&mut self, index: usize, signals: &mut dyn Signals) {
        let (Some(entry), Mode::On) = (self.entries.get_mut(index), self.mode) else {
            return;
        };
        if entry.pending && !entry.masked() {
            entry.pending = false;
            if let Some(message) = entry.message() {
                signals.interrupt(message);
            }
        }
    }
}

/// The saved state of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedMsix {
    entries: Vec<Entry>,
    mode: Mode,
}

/// Entry and dword in it. Offsets that are not dword-aligned are rounded down.
fn split(offset: u64) -> (usize, usize) {
    let index = usize::try_from(offset / ENTRY_BYTES).unwrap_or(usize::MAX);
    (index, (offset % ENTRY_BYTES / 4) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::PowerEvent;
    use crate::pci_config::Identity;

    #[derive(Default)]
    struct Sent(Vec<u8>);

    impl Signals for Sent {
        fn interrupt(&mut self, message: ApicMessage) {
            self.0.push(message.vector);
        }
        fn end_of_interrupt(&mut self, _: u8) {}
        fn power(&mut self, _: PowerEvent) {}
    }

    fn function() -> (ConfigSpace, Msix) {
        let mut config = ConfigSpace::new(Identity {
            vendor: 0x1af4,
            device: 0x1042,
            revision: 1,
            class: 0x01_00_00,
            subsystem_vendor: 0,
            subsystem: 0,
        });
        let table = Location { bar: 1, offset: 0 };
        let pending = Location {
            bar: 1,
            offset: 0x800,
        };
        let msix = Msix::append(&mut config, 3, table, pending).unwrap();
        (config, msix)
    }

    fn control(config: &mut ConfigSpace, msix: &mut Msix, value: u32, sent: &mut Sent) {
        config.write(0x42, Width::Word, value);
        msix.config_written(config, sent);
    }

    #[test]
    fn the_capability_announces_table_and_pending_bits() {
        let (config, msix) = function();
        assert_eq!(config.read(0x40, Width::Byte), 0x11);
        assert_eq!(config.read(0x42, Width::Word), 2);
        assert_eq!(config.read(0x44, Width::Dword), 1);
        assert_eq!(config.read(0x48, Width::Dword), 0x801);
        assert_eq!((msix.table_bytes(), msix.pending_bytes()), (48, 8));
    }

    #[test]
    fn masked_interrupts_wait_and_come_once() {
        let (mut config, mut msix) = function();
        let mut sent = Sent::default();
        msix.raise(1, &mut sent);
        assert_eq!(
            msix.pending_read(0, Width::Qword),
            0,
            "MSI-X is off: INTx's business"
        );
        control(&mut config, &mut msix, ENABLE, &mut sent);
        msix.table_write(16, Width::Qword, 0xfee0_0000, &mut sent);
        msix.table_write(24, Width::Dword, 0x41, &mut sent);
        msix.raise(1, &mut sent);
        msix.raise(1, &mut sent);
        msix.raise(9, &mut sent);
        assert_eq!(msix.pending_read(0, Width::Qword), 2);
        msix.table_write(28, Width::Dword, 0, &mut sent);
        assert_eq!(sent.0, [0x41]);
        assert_eq!(msix.pending_read(0, Width::Qword), 0);
        control(&mut config, &mut msix, ENABLE | FUNCTION_MASK, &mut sent);
        msix.raise(1, &mut sent);
        assert_eq!(sent.0, [0x41]);
        control(&mut config, &mut msix, ENABLE, &mut sent);
        msix.raise(1, &mut sent);
        assert_eq!(sent.0, [0x41, 0x41, 0x41]);
    }

    #[test]
    fn accesses_outside_the_table_are_harmless() {
        let (_, mut msix) = function();
        let mut sent = Sent::default();
        for offset in [48, 0x1000, u64::MAX, u64::MAX - 3] {
            msix.table_write(offset, Width::Qword, u64::MAX, &mut sent);
            assert_eq!(msix.table_read(offset, Width::Dword), 0);
            assert_eq!(msix.pending_read(offset, Width::Dword), 0);
        }
    }

    #[test]
    fn state_round_trips_and_a_foreign_table_is_refused() {
        let (mut config, mut msix) = function();
        let mut sent = Sent::default();
        control(&mut config, &mut msix, ENABLE, &mut sent);
        msix.raise(2, &mut sent);
        let (_, mut other) = function();
        other.restore(msix.save()).unwrap();
        assert_eq!(other, msix);
        let mut foreign = msix.save();
        foreign.entries.pop();
        assert!(other.restore(foreign).is_err());
        assert_eq!(other, msix);
    }
}
