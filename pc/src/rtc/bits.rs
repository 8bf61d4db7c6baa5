//! MC146818A registers (Motorola MC146818A data sheet, "Address map" and "Registers").

pub(super) const SECONDS: usize = 0x00;
pub(super) const SECONDS_ALARM: usize = 0x01;
pub(super) const MINUTES: usize = 0x02;
pub(super) const MINUTES_ALARM: usize = 0x03;
pub(super) const HOURS: usize = 0x04;
pub(super) const HOURS_ALARM: usize = 0x05;
pub(super) const WEEKDAY: usize = 0x06;
pub(super) const DAY: usize = 0x07;
pub(super) const MONTH: usize = 0x08;
pub(super) const YEAR: usize = 0x09;
pub(super) const A: usize = 0x0a;
pub(super) const B: usize = 0x0b;
pub(super) const C: usize = 0x0c;
pub(super) const D: usize = 0x0d;
/// The PC's century byte: RAM to the chip, set once from the host's clock.
pub(super) const CENTURY: usize = 0x32;

/// Register A: an update is near or under way.
pub(super) const A_UIP: u8 = 1 << 7;
/// Register A: divider field.
pub(super) const A_DIVIDER: u8 = 7 << 4;
/// Register A: divider for the 32.768 kHz crystal.
pub(super) const A_DIVIDER_32K: u8 = 2 << 4;
/// Register A: rate field.
pub(super) const A_RATE: u8 = 0xf;

/// Register B.
pub(super) const B_SET: u8 = 1 << 7;
pub(super) const B_PIE: u8 = 1 << 6;
pub(super) const B_AIE: u8 = 1 << 5;
pub(super) const B_UIE: u8 = 1 << 4;
pub(super) const B_SQWE: u8 = 1 << 3;
pub(super) const B_BINARY: u8 = 1 << 2;
pub(super) const B_24H: u8 = 1 << 1;

/// Register C: flags at the same places as their enables in register B.
pub(super) const C_IRQF: u8 = 1 << 7;
pub(super) const C_PF: u8 = B_PIE;
pub(super) const C_AF: u8 = B_AIE;
pub(super) const C_UF: u8 = B_UIE;
/// All three enables, or all three flags.
pub(super) const CAUSES: u8 = C_PF | C_AF | C_UF;

/// Register D: RAM and time are valid.
pub(super) const D_VRT: u8 = 1 << 7;

/// Hours in 12-hour mode: afternoon.
pub(super) const HOUR_PM: u8 = 1 << 7;
/// An alarm byte with both of these bits matches everything.
pub(super) const ALARM_ANY: u8 = 0xc0;
