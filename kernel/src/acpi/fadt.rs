//! The FADT: where power is switched. (ACPI 6.5, 5.2.9.)

use super::handler::Machine;
use ::acpi::Handler;
use ::acpi::address::{AddressSpace, GenericAddress, RawGenericAddress};
use ::acpi::sdt::fadt::Fadt as Raw;
use guest_mem::Hpa;

/// A register of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// At a port.
    Port(u16),
    /// In memory.
    Memory(Hpa),
    /// In the configuration space of a device on PCI bus 0.
    Pci {
        /// Device number.
        device: u8,
        /// Function number.
        function: u8,
        /// Offset.
        offset: u16,
    },
}

/// How the machine is sent to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SleepControl {
    /// Through the PM1 control registers; the second is only on some machines.
    Pm1 {
        /// The first register.
        a: Register,
        /// The second register.
        b: Option<Register>,
    },
    /// Through the sleep control register of hardware-reduced ACPI.
    Reduced(Register),
}

/// How a machine is taken from its firmware's hands: this value to this port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// SMI command port.
    pub port: u16,
    /// Value that enables ACPI.
    pub enable: u8,
}

/// What the table says.
#[derive(Clone, Debug)]
pub struct Fadt {
    /// Port of the PM timer.
    pub pm_timer: Option<u16>,
    /// Sleep control.
    pub sleep: Option<SleepControl>,
    /// Present if ACPI mode may have to be enabled first.
    pub takeover: Option<Takeover>,
    /// Register and value that reset the machine.
    pub reset: Option<(Register, u8)>,
    /// The DSDT.
    pub dsdt: Hpa,
    raw: Raw,
}

impl Fadt {
    /// Reads the table's bytes. Older tables are shorter; what they lack is absent.
    pub fn parse(table: &[u8]) -> Self {
        let mut bytes = [0_u8; size_of::<Raw>()];
        let kept = table.len().min(bytes.len());
        bytes[..kept].copy_from_slice(&table[..kept]);
        // SAFETY: the structure is packed integers, for which any bytes do.
        let raw = unsafe { bytes.as_ptr().cast::<Raw>().read_unaligned() };
        let pm_timer = raw.pm_timer_block;
        let port = raw.smi_cmd_port;
        Self {
            pm_timer: u16::try_from(pm_timer)
                .ok()
                .filter(|&port| port != 0 && raw.pm_timer_length >= 4),
            sleep: sleep(&raw),
            takeover: u16::try_from(port)
                .ok()
                .filter(|&port| port != 0 && raw.acpi_enable != 0)
                .map(|port| Takeover {
                    port,
                    enable: raw.acpi_enable,
                }),
            reset: reset(&raw),
            dsdt: Hpa(raw.dsdt_address().map_or(0, |address| address as u64)),
            raw,
        }
    }

    /// As the `acpi` crate's interpreter wants it.
    pub(super) fn raw(&self) -> &Raw {
        &self.raw
    }
}

fn sleep(raw: &Raw) -> Option<SleepControl> {
    if { raw.flags }.system_is_hw_reduced_acpi() {
        // SAFETY: the field is integers, and was zeroed where the table is too short for it.
        let register = unsafe { { raw.sleep_control_reg }.access({ raw.header }.revision) }?;
        return from_raw(register).map(SleepControl::Reduced);
    }
    let a = raw.pm1a_control_block().ok().and_then(from_generic)?;
    let b = raw
        .pm1b_control_block()
        .ok()
        .flatten()
        .and_then(from_generic);
    Some(SleepControl::Pm1 { a, b })
}

fn reset(raw: &Raw) -> Option<(Register, u8)> {
    let supported = { raw.flags }.supports_system_reset_via_fadt();
    let register = from_raw(raw.reset_reg).filter(|_| supported)?;
    Some((register, raw.reset_value))
}

fn from_raw(raw: RawGenericAddress) -> Option<Register> {
    GenericAddress::from_raw(raw).ok().and_then(from_generic)
}

fn from_generic(address: GenericAddress) -> Option<Register> {
    if address.address == 0 {
        return None;
    }
    match address.address_space {
        AddressSpace::SystemIo => Some(Register::Port(u16::try_from(address.address).ok()?)),
        AddressSpace::SystemMemory => Some(Register::Memory(Hpa(address.address))),
        AddressSpace::PciConfigSpace => Some(Register::Pci {
            device: (address.address >> 32 & 0x1f) as u8,
            function: (address.address >> 16 & 0x7) as u8,
            offset: (address.address & 0xfff) as u16,
        }),
        _ => None,
    }
}

impl Register {
    /// Reads 16 bits; 0 where there are none.
    pub fn read_u16(self) -> u16 {
        match self {
            Self::Port(port) => Machine.read_io_u16(port),
            Self::Memory(hpa) => Machine.read_u16(hpa.0 as usize),
            Self::Pci { .. } => 0,
        }
    }

    /// Writes 16 bits.
    pub fn write_u16(self, value: u16) {
        match self {
            Self::Port(port) => Machine.write_io_u16(port, value),
            Self::Memory(hpa) => Machine.write_u16(hpa.0 as usize, value),
            Self::Pci { .. } => {}
        }
    }

    /// Writes 8 bits.
    pub fn write_u8(self, value: u8) {
        match self {
            Self::Port(port) => Machine.write_io_u8(port, value),
            Self::Memory(hpa) => Machine.write_u8(hpa.0 as usize, value),
            Self::Pci {
                device,
                function,
                offset,
            } => {
                Machine.write_pci_u8(
                    ::acpi::PciAddress::new(0, 0, device, function),
                    offset,
                    value,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> [u8; 116] {
        let mut table = [0; 116];
        table[..4].copy_from_slice(b"FACP");
        table[8] = 1;
        table[40..44].copy_from_slice(&0x7ff_0000_u32.to_le_bytes());
        table[48..52].copy_from_slice(&0xb2_u32.to_le_bytes());
        table[52] = 0xf1;
        table[64..68].copy_from_slice(&0x604_u32.to_le_bytes());
        table[76..80].copy_from_slice(&0x608_u32.to_le_bytes());
        table[91] = 4;
        table
    }

    #[test]
    fn an_acpi_1_table_is_understood() {
        let fadt = Fadt::parse(&table());
        assert_eq!(fadt.pm_timer, Some(0x608));
        assert_eq!(
            fadt.sleep,
            Some(SleepControl::Pm1 {
                a: Register::Port(0x604),
                b: None
            })
        );
        assert_eq!(
            fadt.takeover,
            Some(Takeover {
                port: 0xb2,
                enable: 0xf1
            })
        );
        assert_eq!((fadt.reset, fadt.dsdt), (None, Hpa(0x7ff_0000)));
    }

    #[test]
    fn any_cut_is_survived() {
        for bytes in 0..table().len() {
            let fadt = Fadt::parse(&table()[..bytes]);
            assert!(fadt.pm_timer.is_none() || bytes > 91);
        }
    }
}
