//! Registers of PCI configuration space (PCI Local Bus Specification 3.0, 6.1; PCI-to-PCI Bridge Architecture 1.2, 3.2).

/// Vendor id; device id in the upper half. FFFFh: nobody answers.
pub const ID: u16 = 0x00;
/// Revision, interface, subclass, class, from the lowest byte up.
pub const CLASS: u16 = 0x08;
/// Header type in the third byte.
pub const HEADER: u16 = 0x0c;
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
