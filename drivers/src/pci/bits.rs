//! Registers of PCI configuration space (PCI Local Bus Specification 3.0, 6.1; PCI-to-PCI Bridge Architecture 1.2, 3.2).

/// Vendor id; device id in the upper half. FFFFh: nobody answers.
pub const ID: u16 = 0x00;
/// Command; status in the upper half.
pub const COMMAND: u16 = 0x04;
/// Revision, interface, subclass, class, from the lowest byte up.
pub const CLASS: u16 = 0x08;
/// Header type in the third byte.
pub const HEADER: u16 = 0x0c;
/// The first of six base addresses.
pub const BASE_ADDRESS_0: u16 = 0x10;
/// Where the list of capabilities begins, in the lowest byte.
pub const CAPABILITIES: u16 = 0x34;
/// The interrupt line that firmware assigned, in the lowest byte; the pin in the next.
pub const INTERRUPT: u16 = 0x3c;
/// Bridges: primary, secondary and subordinate bus from the lowest byte up.
pub const BUSES: u16 = 0x18;

/// Vendor id of a function that is not there.
pub const NO_VENDOR: u16 = 0xffff;
/// Header type: the device has several functions.
pub const HEADER_MULTIFUNCTION: u8 = 1 << 7;
/// Header type: the layout, of which 1 is a PCI-to-PCI bridge.
pub const HEADER_LAYOUT: u8 = 0x7f;
/// Header layout of a PCI-to-PCI bridge.
pub const LAYOUT_BRIDGE: u8 = 1;

/// Command: I/O ports answer.
pub const COMMAND_IO: u32 = 1 << 0;
/// Command: memory answers.
pub const COMMAND_MEMORY: u32 = 1 << 1;
/// Command: the function may reach memory.
pub const COMMAND_MASTER: u32 = 1 << 2;
/// Command: its interrupt pin is silent.
pub const COMMAND_NO_PIN: u32 = 1 << 10;
/// Status, as seen in the dword with the command: there are capabilities.
pub const STATUS_CAPABILITIES: u32 = 1 << 20;

/// Base address: it is of I/O ports.
pub const BASE_IO: u32 = 1 << 0;
/// Base address of memory: bits that are no address.
pub const BASE_MEMORY_FLAGS: u32 = 0xf;
/// Base address of memory: the bits that tell its width.
pub const BASE_WIDTH: u32 = 0b110;
/// Base address of memory: it has 64 bits, and the next register is its upper half.
pub const BASE_64: u32 = 0b100;

/// Capability: power management (PCI Power Management 1.2, 3.2).
pub const CAP_POWER: u8 = 0x01;
/// Capability: MSI (PCI 3.0, 6.8.1).
pub const CAP_MSI: u8 = 0x05;
/// Capability: MSI-X (PCI 3.0, 6.8.2).
pub const CAP_MSIX: u8 = 0x11;
/// Capability: the vendor's own.
pub const CAP_VENDOR: u8 = 0x09;

/// Power management: control and status, from the capability's first byte.
pub const POWER_CONTROL: u16 = 4;
/// Power state in it; 0 is D0.
pub const POWER_STATE: u32 = 0b11;
/// MSI: enabled, in the capability's first dword.
pub const MSI_ENABLE: u32 = 1 << 16;
/// MSI: how many messages are enabled, as a power of two.
pub const MSI_MESSAGES: u32 = 0b111 << 20;
/// MSI: addresses have 64 bits.
pub const MSI_64: u32 = 1 << 23;
/// MSI-X: enabled, in the capability's first dword.
pub const MSIX_ENABLE: u32 = 1 << 31;
/// MSI-X: where the table is, from the capability's first byte; the base address register in its lowest bits.
pub const MSIX_TABLE: u16 = 4;
/// See [`MSIX_TABLE`].
pub const MSIX_BASE: u32 = 0b111;
/// MSI-X: all messages masked.
pub const MSIX_MASK: u32 = 1 << 30;

/// Configuration mechanism #1: address (PCI 3.0, 3.2.2.3.2).
pub const CONFIG_ADDRESS: u16 = 0xcf8;
/// Configuration mechanism #1: data.
pub const CONFIG_DATA: u16 = 0xcfc;
/// CONFIG_ADDRESS: turn accesses to CONFIG_DATA into configuration cycles.
pub const CONFIG_ENABLE: u32 = 1 << 31;

/// Base classes (PCI Code and ID Assignment Specification 1.11, 1).
pub mod class {
    #![allow(missing_docs)]
    pub const STORAGE: u8 = 0x01;
    pub const NETWORK: u8 = 0x02;
    pub const DISPLAY: u8 = 0x03;
}
