//! Setting up a function for its driver: base addresses, capabilities, bus mastering, message-signalled interrupts.

use super::Address;
use super::access::ConfigWrite;
use super::bits::*;
use core::fmt;

/// Bytes of configuration space that every function has.
const SPACE_BYTES: u16 = 256;

/// Where a base address register points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// I/O ports.
    Ports(u16),
    /// Memory.
    Memory(u64),
    /// Nowhere: it is not there, or firmware has assigned nothing.
    Unassigned,
}

/// What a function's interrupts are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalling {
    /// Messages.
    Message,
    /// Its pin, on the line that firmware assigned.
    Line(u8),
    /// Neither can be used.
    Nothing,
}

impl fmt::Display for Signalling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message => f.write_str("MSI"),
            Self::Line(line) => write!(f, "interrupt line {line}"),
            Self::Nothing => f.write_str("no interrupt"),
        }
    }
}

/// Where a structure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// The base address register.
    pub base: u8,
    /// From there.
    pub offset: u32,
    /// How long it is.
    pub bytes: u32,
    /// What the dword behind says, which some kinds have.
    pub extra: u32,
}

/// A function that is being set up.
pub struct Setup<'a, C> {
    access: &'a mut C,
    address: Address,
}

impl<'a, C: ConfigWrite> Setup<'a, C> {
    /// Of the function at `address`.
    pub fn new(access: &'a mut C, address: Address) -> Self {
        Self { access, address }
    }

    /// A dword of its configuration space; all ones beyond the end, which a capability may reach across.
    pub fn read(&mut self, offset: u16) -> u32 {
        match offset {
            0..SPACE_BYTES => self.access.read(self.address, offset),
            _ => u32::MAX,
        }
    }

    fn write(&mut self, offset: u16, value: u32) {
        if offset < SPACE_BYTES {
            self.access.write(self.address, offset, value);
        }
    }

    /// Where its base address register number `index`, below 6, points.
    pub fn base(&mut self, index: u8) -> Base {
        let at = BASE_ADDRESS_0 + 4 * u16::from(index);
        let low = self.read(at);
        if low & BASE_IO != 0 {
            return match (low & !0b11) as u16 {
                0 => Base::Unassigned,
                ports => Base::Ports(ports),
            };
        }
        let mut memory = u64::from(low & !BASE_MEMORY_FLAGS);
        if low & BASE_WIDTH == BASE_64 && index < 5 {
            memory |= u64::from(self.read(at + 4)) << 32;
        }
        match memory {
            0 => Base::Unassigned,
            memory => Base::Memory(memory),
        }
    }

    /// Its capabilities: number and offset. A list that goes round ends.
    pub fn capabilities(&mut self) -> impl Iterator<Item = (u8, u16)> {
        // The first 64 bytes are the header's, and each capability has at least a dword.
        const MOST: usize = 48;
        let mut next = match self.read(COMMAND) & STATUS_CAPABILITIES {
            0 => 0,
            _ => self.read(CAPABILITIES) as u8,
        };
        let mut left = MOST;
        core::iter::from_fn(move || {
            let at = u16::from(next & !0b11);
            if at < 0x40 || left == 0 {
                return None;
            }
            left -= 1;
            let [kind, following, ..] = self.read(at).to_le_bytes();
            next = following;
            Some((kind, at))
        })
    }

    /// Where the first capability of a kind is.
    pub fn capability(&mut self, kind: u8) -> Option<u16> {
        self.capabilities()
            .find(|(found, _)| *found == kind)
            .map(|(_, at)| at)
    }

    /// Wakes the function, and lets it answer and not reach memory: whoever drove it before may have left it in any state.
    pub fn quiet(&mut self) {
        if let Some(at) = self.capability(CAP_POWER) {
            let control = self.read(at + POWER_CONTROL);
            self.write(at + POWER_CONTROL, control & !POWER_STATE);
        }
        for (capability, enable) in [(CAP_MSI, MSI_ENABLE), (CAP_MSIX, MSIX_ENABLE)] {
            if let Some(at) = self.capability(capability) {
                let control = self.read(at);
                self.write(at, control & !enable);
            }
        }
        self.command(COMMAND_MASTER, COMMAND_IO | COMMAND_MEMORY | COMMAND_NO_PIN);
    }

    /// Lets it reach memory, once its driver has reset it.
    pub fn master(&mut self) {
        self.command(0, COMMAND_MASTER);
    }

    fn command(&mut self, clear: u32, set: u32) {
        // The upper half is status, whose bits are cleared by ones.
        let command = self.read(COMMAND) & 0xffff;
        self.write(COMMAND, command & !clear | set);
    }

    /// Has it send its interrupts as this message, by MSI. False if it cannot.
    pub fn message(&mut self, address: u32, data: u16) -> bool {
        let Some(at) = self.capability(CAP_MSI) else {
            return false;
        };
        let control = self.read(at);
        self.write(at + 4, address);
        let data_at = match control & MSI_64 {
            0 => at + 8,
            _ => {
                self.write(at + 8, 0);
                at + 12
            }
        };
        let beside = self.read(data_at) & 0xffff_0000;
        self.write(data_at, beside | u32::from(data));
        self.write(at, control & !MSI_MESSAGES | MSI_ENABLE);
        true
    }

    /// Where its table of messages is, if it has MSI-X: base address register and offset (PCI 3.0, 6.8.2.4).
    pub fn message_table(&mut self) -> Option<(u8, u32)> {
        let at = self.capability(CAP_MSIX)?;
        let place = self.read(at + MSIX_TABLE);
        Some(((place & MSIX_BASE) as u8, place & !MSIX_BASE))
    }

    /// Has it send the messages of its table.
    pub fn send_table(&mut self) {
        if let Some(at) = self.capability(CAP_MSIX) {
            let control = self.read(at);
            self.write(at, control & !MSIX_MASK | MSIX_ENABLE);
        }
    }

    /// A structure that a vendor's capability of this kind points to, as virtio lays them out (virtio 1.2, 4.1.4): base address
    /// register, offset, length, and the dword behind.
    pub fn structure(&mut self, kind: u8) -> Option<Structure> {
        let found = self
            .capabilities()
            .filter(|(capability, _)| *capability == CAP_VENDOR)
            .map(|(_, at)| at)
            .collect::<alloc::vec::Vec<_>>();
        let at = found
            .into_iter()
            .find(|at| (self.read(*at) >> 24) as u8 == kind)?;
        Some(Structure {
            base: self.read(at + 4) as u8,
            offset: self.read(at + 8),
            bytes: self.read(at + 12),
            extra: self.read(at + 16),
        })
    }

    /// Its pin's line, as firmware assigned it, if it has a pin; the pin may speak from now on.
    pub fn line(&mut self) -> Option<u8> {
        let [line, pin, ..] = self.read(INTERRUPT).to_le_bytes();
        // FFh: not connected (PCI 3.0, 6.2.4).
        if pin == 0 || line == 0xff {
            return None;
        }
        self.command(COMMAND_NO_PIN, 0);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ConfigAccess;
    use super::*;
    use proptest::prelude::*;

    /// One function's configuration space, all of it writable.
    struct Space([u32; 64]);

    impl ConfigAccess for Space {
        fn read(&mut self, _: Address, offset: u16) -> u32 {
            self.0[usize::from(offset) / 4]
        }
    }

    impl ConfigWrite for Space {
        fn write(&mut self, _: Address, offset: u16, value: u32) {
            self.0[usize::from(offset) / 4] = value;
        }
    }

    const ADDRESS: Address = Address {
        segment: 0,
        bus: 0,
        device: 3,
        function: 0,
    };

    /// Power management, left in D3, and MSI with 64-bit addresses.
    fn space() -> Space {
        let mut space = [0; 64];
        space[1] = STATUS_CAPABILITIES | 0x0407;
        space[4] = 0xfebc_000c;
        space[5] = 0x10;
        space[6] = 0xc001;
        space[0x34 / 4] = 0x50;
        space[0x3c / 4] = 0x010b;
        space[0x50 / 4] = 0x7001;
        space[0x54 / 4] = 0x103;
        space[0x70 / 4] = 0x00a1_0005;
        Space(space)
    }

    #[test]
    fn bases_are_read() {
        let mut space = space();
        let mut setup = Setup::new(&mut space, ADDRESS);
        assert_eq!(setup.base(0), Base::Memory(0x10_febc_0000));
        assert_eq!(setup.base(2), Base::Ports(0xc000));
        assert_eq!(setup.base(3), Base::Unassigned);
    }

    #[test]
    fn a_function_that_was_left_running_is_quieted() {
        let mut space = space();
        let mut setup = Setup::new(&mut space, ADDRESS);
        setup.quiet();
        assert_eq!(setup.read(0x54) & POWER_STATE, 0);
        assert_eq!(setup.read(0x70) & MSI_ENABLE, 0);
        let command = setup.read(COMMAND);
        assert_eq!(command & COMMAND_MASTER, 0);
        assert_eq!(command & COMMAND_MEMORY, COMMAND_MEMORY);
        // Nothing is written back to the status half, where ones clear.
        assert_eq!(command >> 16, 0);
    }

    #[test]
    fn messages_and_lines() {
        let mut space = space();
        let mut setup = Setup::new(&mut space, ADDRESS);
        assert!(setup.message(0xfee0_1000, 0x31));
        assert_eq!(setup.read(0x74), 0xfee0_1000);
        assert_eq!(setup.read(0x7c), 0x31);
        assert_eq!(setup.read(0x70) >> 16, 0x81);
        assert_eq!(setup.line(), Some(11));
        assert_eq!(setup.read(COMMAND) & COMMAND_NO_PIN, 0);
    }

    proptest! {
        #[test]
        fn any_list_ends(words in proptest::collection::vec(any::<u32>(), 64)) {
            let mut space = Space(words.try_into().unwrap());
            let mut setup = Setup::new(&mut space, ADDRESS);
            prop_assert!(setup.capabilities().count() <= 48);
            setup.quiet();
            setup.structure(1);
            setup.message(0, 0);
        }
    }
}
