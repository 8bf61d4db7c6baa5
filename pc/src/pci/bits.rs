//! Registers of the 440FX and PIIX functions that mean something here, and of configuration mechanism 1.

/// CF8h (PCI Local Bus 3.0, 3.2.2.3.2): accesses to CFCh are configuration cycles.
pub(super) const ADDRESS_ENABLE: u32 = 1 << 31;
/// CF8h: bits that are stored.
pub(super) const ADDRESS_WRITABLE: u32 = 0x80ff_fffc;

/// 440FX: programmable attribute map, and the bits of its registers that exist.
pub(super) const PAM: u8 = 0x59;
pub(super) const PAM_REGISTERS: usize = 7;
pub(super) const PAM_WRITABLE: [u8; PAM_REGISTERS] = [0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33];
/// 440FX: SMRAM control.
pub(super) const SMRAM: u8 = 0x72;

/// PIIX3: ISA recovery timing and X-bus chip select.
pub(super) const ISA_TIMING: u8 = 0x4c;
/// PIIX3: where PIRQ A to D go.
pub(super) const PIRQ_ROUTE: u8 = 0x60;
/// What firmware puts there; the ACPI tables of the machine say the same.
pub(super) const PIRQ_ROUTE_FIRMWARE: [u8; 4] = [10, 10, 11, 11];
/// Routing is off.
pub(super) const PIRQ_OFF: u8 = 0x80;
/// IRQs that a PIRQ can go to: 3 to 7, 9 to 12, 14 and 15.
pub(super) const PIRQ_ROUTABLE: u16 = 0b1101_1110_1111_1000;

/// PIIX4: device activity B. Bit 25 lets a write to port B2h raise an SMI; firmware that finds it set takes system
/// management mode for set up, and leaves it alone.
pub(super) const DEVICE_ACTIVITY_B: u8 = 0x58;
pub(super) const SMI_BY_PORT: u32 = 1 << 25;
/// PIIX4: base of the power management block.
pub(super) const PM_BASE_REGISTER: u8 = 0x40;
/// PIIX4: bit 0 turns the block on.
pub(super) const PM_MISCELLANEOUS: u8 = 0x80;
