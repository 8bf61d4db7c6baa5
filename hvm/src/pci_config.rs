//! A function's 256 bytes of configuration space, type 0 header (PCI Local Bus 3.0, chapter 6).
//!
//! [`ConfigSpace`] guarantees to the function that owns it: the guest changes only bits that the header defines as
//! writable or that the owner opened, BARs size and decode as 6.2.5.1 says, and the capability list stays well formed.

use crate::Width;
use crate::device::RestoreError;
use crate::pci::Window;
use alloc::format;
use alloc::vec::Vec;
use bitflags::bitflags;

/// Bytes in the configuration space of a function.
pub const CONFIG_BYTES: usize = 256;

/// Register offsets (6.1, figure 6-1).
#[allow(missing_docs)]
pub mod offset {
    pub const VENDOR: u8 = 0x00;
    pub const DEVICE: u8 = 0x02;
    pub const COMMAND: u8 = 0x04;
    pub const STATUS: u8 = 0x06;
    pub const REVISION: u8 = 0x08;
    pub const CLASS: u8 = 0x09;
    pub const CACHE_LINE: u8 = 0x0c;
    pub const LATENCY: u8 = 0x0d;
    pub const HEADER_TYPE: u8 = 0x0e;
    pub const BAR0: u8 = 0x10;
    pub const SUBSYSTEM_VENDOR: u8 = 0x2c;
    pub const SUBSYSTEM: u8 = 0x2e;
    pub const CAPABILITIES: u8 = 0x34;
    pub const INTERRUPT_LINE: u8 = 0x3c;
    pub const INTERRUPT_PIN: u8 = 0x3d;
}

bitflags! {
    /// The command register (6.2.2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Command: u16 {
        /// Decodes ports.
        const IO = 1;
        /// Decodes memory.
        const MEMORY = 1 << 1;
        /// May start transfers of its own.
        const BUS_MASTER = 1 << 2;
        /// Answers parity errors.
        const PARITY = 1 << 6;
        /// Drives SERR#.
        const SERR = 1 << 8;
        /// Does not drive INTx.
        const INTERRUPT_DISABLE = 1 << 10;
    }
}

/// Status register: INTx would be asserted but for the command register (6.2.3).
const STATUS_INTERRUPT: u8 = 1 << 3;
/// Status register: the capabilities pointer is valid.
const STATUS_CAPABILITIES: u8 = 1 << 4;
/// First byte past the header, where capabilities start.
const HEADER_BYTES: u8 = 0x40;

/// The read-only part of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Revision id.
    pub revision: u8,
    /// Base class, subclass, programming interface: the three bytes as `BBSSPPh`.
    pub class: u32,
    /// Subsystem vendor id.
    pub subsystem_vendor: u16,
    /// Subsystem id.
    pub subsystem: u16,
}

/// What a base address register asks for. Sizes are powers of two; smaller ones are rounded up to what the register
/// can express (4 ports, 16 bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// Ports.
    Port {
        /// How many, at most 256 on a PC bus (6.2.5.1), but any power of two up to 32768 is taken.
        bytes: u16,
    },
    /// Memory below 4 GiB.
    Memory32 {
        /// How many bytes.
        bytes: u32,
    },
    /// Memory anywhere; takes this register and the next.
    Memory64 {
        /// How many bytes.
        bytes: u64,
    },
}

impl Bar {
    /// Type bits of the register, and the bits that the guest may set.
    fn layout(self) -> (u64, u64) {
        match self {
            Self::Port { bytes } => (1, !(u64::from(bytes.next_power_of_two().max(4)) - 1)),
            Self::Memory32 { bytes } => (0, !(u64::from(bytes.next_power_of_two().max(16)) - 1)),
            Self::Memory64 { bytes } => (4, !(bytes.next_power_of_two().max(16) - 1)),
        }
    }
}

/// Configuration space with write masks. Created as after bus reset: decode off, BARs empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSpace {
    bytes: [u8; CONFIG_BYTES],
    writable: [u8; CONFIG_BYTES],
    reset: [u8; CONFIG_BYTES],
    bars: [Option<Bar>; 6],
    /// Where the next capability's offset goes.
    last_link: u8,
    /// Where the next capability may start.
    free: u8,
}

impl ConfigSpace {
    /// A function without BARs, capabilities and interrupt pin.
    pub fn new(identity: Identity) -> Self {
        let mut space = Self {
            bytes: [0; CONFIG_BYTES],
            writable: [0; CONFIG_BYTES],
            reset: [0; CONFIG_BYTES],
            bars: [None; 6],
            last_link: offset::CAPABILITIES,
            free: HEADER_BYTES,
        };
        space.set(offset::VENDOR, &identity.vendor.to_le_bytes());
        space.set(offset::DEVICE, &identity.device.to_le_bytes());
        space.set(offset::REVISION, &[identity.revision]);
        space.set(offset::CLASS, &identity.class.to_le_bytes()[..3]);
        space.set(
            offset::SUBSYSTEM_VENDOR,
            &identity.subsystem_vendor.to_le_bytes(),
        );
        space.set(offset::SUBSYSTEM, &identity.subsystem.to_le_bytes());
        space.open(offset::COMMAND, &Command::all().bits().to_le_bytes());
        space.open(offset::CACHE_LINE, &[0xff, 0xff]);
        space.open(offset::INTERRUPT_LINE, &[0xff]);
        space
    }

    /// Says that the function drives INTA.
    pub fn with_interrupt_pin(mut self) -> Self {
        self.set(offset::INTERRUPT_PIN, &[1]);
        self
    }

    /// Says that the device has more than this function (bit 7 of the header type; 6.2.1).
    pub fn with_multifunction(mut self) -> Self {
        self.set(offset::HEADER_TYPE, &[0x80]);
        self
    }

    /// Gives BAR `index` (0…5; 0…4 for 64 bits) a kind and a size. Other indices do nothing.
    pub fn add_bar(&mut self, index: usize, bar: Bar) {
        let last = if matches!(bar, Bar::Memory64 { .. }) {
            4
        } else {
            5
        };
        if index > last {
            return;
        }
        let at = offset::BAR0 + 4 * index as u8;
        let (kind, mask) = bar.layout();
        let bytes = if last == 4 { 8 } else { 4 };
        self.set(at, &kind.to_le_bytes()[..bytes]);
        self.open(at, &mask.to_le_bytes()[..bytes]);
        self.bars[index] = Some(bar);
    }

    /// Appends a capability: `body` follows the id and the link byte; `writable` are the bits of the body that the
    /// guest may change (missing bytes: none). Returns the offset of its id byte, or `None` when no room is left.
    pub fn append_capability(&mut self, id: u8, body: &[u8], writable: &[u8]) -> Option<u8> {
        let at = self.free;
        let end = (usize::from(at) + 2 + body.len()).next_multiple_of(4);
        // The last dword stays free, so that `free` itself fits a byte.
        if end > CONFIG_BYTES - 4 {
            return None;
        }
        self.set(at, &[id, 0]);
        self.set(at + 2, body);
        self.open(at + 2, &writable[..writable.len().min(body.len())]);
        self.set(self.last_link, &[at]);
        let status = self.bytes[usize::from(offset::STATUS)] | STATUS_CAPABILITIES;
        self.set(offset::STATUS, &[status]);
        self.last_link = at + 1;
        self.free = end as u8;
        Some(at)
    }

    /// Sets bytes on the owner's behalf; they are also what [`ConfigSpace::reset`] brings back. Bytes past the end are dropped.
    pub fn set(&mut self, offset: u8, values: &[u8]) {
        for (at, &value) in (usize::from(offset)..CONFIG_BYTES).zip(values) {
            self.bytes[at] = value;
            self.reset[at] = value;
        }
    }

    /// Lets the guest write the bits that are set in `mask`, from `offset` on.
    pub fn open(&mut self, offset: u8, mask: &[u8]) {
        for (at, &bits) in (usize::from(offset)..CONFIG_BYTES).zip(mask) {
            self.writable[at] = bits;
        }
    }

    /// Bus reset: everything as its owner built it.
    pub fn reset(&mut self) {
        self.bytes = self.reset;
    }

    /// Reads; bytes past the end read FFh.
    #[inline]
    pub fn read(&self, offset: u8, width: Width) -> u32 {
        let mut value = [0xff_u8; 8];
        let from = self.bytes.iter().skip(usize::from(offset));
        for (into, &byte) in value[..width.bytes()].iter_mut().zip(from) {
            *into = byte;
        }
        width.cut(u64::from_le_bytes(value)) as u32
    }

    /// Writes what is writable.
    pub fn write(&mut self, offset: u8, width: Width, value: u32) {
        let values = u64::from(value).to_le_bytes();
        for (at, &new) in (usize::from(offset)..CONFIG_BYTES).zip(&values[..width.bytes()]) {
            let mask = self.writable[at];
            self.bytes[at] = self.bytes[at] & !mask | new & mask;
        }
    }

    /// The command register.
    #[inline]
    pub fn command(&self) -> Command {
        Command::from_bits_retain(self.read(offset::COMMAND, Width::Word) as u16)
    }

    /// Records in the status register whether the function wants an interrupt, and returns the level of its INTx pin.
    pub fn drive_interrupt(&mut self, wanted: bool) -> bool {
        let status = &mut self.bytes[usize::from(offset::STATUS)];
        *status = *status & !STATUS_INTERRUPT | if wanted { STATUS_INTERRUPT } else { 0 };
        wanted && !self.command().contains(Command::INTERRUPT_DISABLE)
    }

    /// What BAR `index` decodes now. An address of 0 counts as "not assigned": PCI bridges never hand it out, and firmware
    /// turns decode on before all BARs are set.
    pub fn window(&self, index: usize) -> Option<Window> {
        let bar = (*self.bars.get(index)?)?;
        let at = offset::BAR0 + 4 * index as u8;
        let (_, mask) = bar.layout();
        let low = u64::from(self.read(at, Width::Dword));
        let command = self.command();
        match bar {
            Bar::Port { .. } => {
                // An x86 has 64 Ki ports: a higher address is decoded by nobody.
                let base = u16::try_from(low & mask).ok().filter(|&base| base != 0)?;
                command.contains(Command::IO).then_some(Window::Port {
                    base,
                    bytes: (!mask + 1) as u16,
                })
            }
            Bar::Memory32 { .. } | Bar::Memory64 { .. } => {
                let high = if matches!(bar, Bar::Memory64 { .. }) {
                    u64::from(self.read(at + 4, Width::Dword)) << 32
                } else {
                    0
                };
                let base = (high | low) & mask;
                (command.contains(Command::MEMORY) && base != 0).then_some(Window::Memory {
                    base,
                    bytes: !mask + 1,
                })
            }
        }
    }

    /// All bytes, for saved state.
    pub fn save(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    /// Takes saved bytes back. Read-only bits must be those of this function: another device's state is refused.
    /// The status register is not compared; it follows from the rest.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let saved: [u8; CONFIG_BYTES] = saved.try_into().map_err(|_| {
            RestoreError(format!(
                "PCI configuration space: found {} bytes, want {CONFIG_BYTES}",
                saved.len()
            ))
        })?;
        for (at, (&new, &old)) in saved.iter().zip(&self.bytes).enumerate() {
            if at != usize::from(offset::STATUS) && (new ^ old) & !self.writable[at] != 0 {
                return Err(RestoreError(format!(
                    "PCI configuration space: byte {at:#04x} is {new:#04x} in the saved state and {old:#04x} in this \
                     function, and it is read-only; the state is another device's"
                )));
            }
        }
        self.bytes = saved;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn function() -> ConfigSpace {
        let mut space = ConfigSpace::new(Identity {
            vendor: 0x1af4,
            device: 0x1001,
            revision: 0,
            class: 0x01_00_00,
            subsystem_vendor: 0x1af4,
            subsystem: 2,
        })
        .with_interrupt_pin();
        space.add_bar(0, Bar::Port { bytes: 64 });
        space.add_bar(1, Bar::Memory32 { bytes: 0x1000 });
        space.add_bar(4, Bar::Memory64 { bytes: 0x4000 });
        space
    }

    #[test]
    fn bars_size_as_the_specification_says() {
        let mut space = function();
        for index in 0..6 {
            space.write(offset::BAR0 + 4 * index, Width::Dword, u32::MAX);
        }
        let bar = |index: u8| space.read(offset::BAR0 + 4 * index, Width::Dword);
        assert_eq!(bar(0), 0xffff_ffc1);
        assert_eq!(bar(1), 0xffff_f000);
        assert_eq!(bar(2), 0);
        assert_eq!(bar(4), 0xffff_c004);
        assert_eq!(bar(5), 0xffff_ffff);
    }

    #[test]
    fn a_bar_decodes_only_when_assigned_and_enabled() {
        let mut space = function();
        space.write(offset::COMMAND, Width::Word, 3);
        assert_eq!(space.window(0), None);
        space.write(offset::BAR0, Width::Dword, 0xc040);
        space.write(0x20, Width::Dword, 0x8000);
        space.write(0x24, Width::Dword, 0x1);
        let ports = Window::Port {
            base: 0xc040,
            bytes: 64,
        };
        let memory = Window::Memory {
            base: 0x1_0000_8000,
            bytes: 0x4000,
        };
        assert_eq!(space.window(0), Some(ports));
        assert_eq!(space.window(4), Some(memory));
        space.write(offset::COMMAND, Width::Word, 2);
        assert_eq!(space.window(0), None);
        assert_eq!(space.window(4), Some(memory));
        space.write(offset::COMMAND, Width::Word, 1);
        space.write(offset::BAR0, Width::Dword, 0x1_c040);
        assert_eq!(space.window(0), None);
        assert_eq!(space.window(6), None);
    }

    #[test]
    fn capabilities_form_a_list() {
        let mut space = function();
        assert_eq!(space.read(offset::STATUS, Width::Word), 0);
        let first = space.append_capability(9, &[0x10, 1, 2], &[]).unwrap();
        let second = space
            .append_capability(0x11, &[3, 0, 0, 0], &[0, 0xc0])
            .unwrap();
        assert_eq!(
            space.read(offset::STATUS, Width::Word),
            u32::from(STATUS_CAPABILITIES)
        );
        assert_eq!(
            space.read(offset::CAPABILITIES, Width::Byte),
            u32::from(first)
        );
        assert_eq!(space.read(first, Width::Byte), 9);
        assert_eq!(space.read(first + 1, Width::Byte), u32::from(second));
        assert_eq!(space.read(second + 1, Width::Byte), 0);
        space.write(second, Width::Dword, u32::MAX);
        assert_eq!(space.read(second, Width::Dword), 0xc003_0011);
        assert_eq!(space.append_capability(9, &[0; 200], &[]), None);
        while space.append_capability(9, &[0; 14], &[]).is_some() {}
    }

    #[test]
    fn the_pin_obeys_interrupt_disable_and_the_status_bit_does_not() {
        let mut space = function();
        assert!(space.drive_interrupt(true));
        space.write(
            offset::COMMAND,
            Width::Word,
            u32::from(Command::INTERRUPT_DISABLE.bits()),
        );
        assert!(!space.drive_interrupt(true));
        assert_eq!(
            space.read(offset::STATUS, Width::Byte),
            u32::from(STATUS_INTERRUPT)
        );
        assert!(!space.drive_interrupt(false));
        assert_eq!(space.read(offset::STATUS, Width::Byte), 0);
    }

    #[test]
    fn another_functions_state_is_refused() {
        let mut space = function();
        let mut saved = space.save();
        saved[2] ^= 1;
        let before = space.clone();
        assert!(space.restore(&saved).is_err());
        assert!(space.restore(&saved[1..]).is_err());
        assert_eq!(space, before);
    }

    proptest! {
        #[test]
        fn writes_change_only_what_is_open_and_state_round_trips(
            writes in prop::collection::vec((any::<u8>(), 0_usize..4, any::<u32>()), 0..60)
        ) {
            let mut space = function();
            let fresh = space.clone();
            for (offset, width, value) in writes {
                space.write(offset, [Width::Byte, Width::Word, Width::Dword, Width::Qword][width], value);
                for index in 0..7 {
                    let _ = space.window(index);
                }
            }
            for at in 0..CONFIG_BYTES {
                prop_assert_eq!((space.bytes[at] ^ fresh.bytes[at]) & !space.writable[at], 0);
            }
            let mut other = fresh.clone();
            other.restore(&space.save()).unwrap();
            prop_assert_eq!(&other, &space);
            space.reset();
            prop_assert_eq!(space, fresh);
        }
    }
}
