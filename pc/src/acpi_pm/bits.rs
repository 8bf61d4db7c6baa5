//! ACPI fixed hardware as in the PIIX4 (ACPI 6.4, 4.8.3; Intel 82371AB data sheet, "Power management I/O space registers").

/// Offsets from PMBASE.
pub(super) const STATUS: u16 = 0x00;
pub(super) const ENABLE: u16 = 0x02;
pub(super) const CONTROL: u16 = 0x04;
pub(super) const TIMER: u16 = 0x08;

/// PM1 status and enable.
pub(super) const TIMER_EVENT: u16 = 1;
pub(super) const GLOBAL_EVENT: u16 = 1 << 5;
pub(super) const POWER_BUTTON: u16 = 1 << 8;
pub(super) const SLEEP_BUTTON: u16 = 1 << 9;
pub(super) const RTC_EVENT: u16 = 1 << 10;
/// PM1 status only: woken.
pub(super) const WAKE: u16 = 1 << 15;
/// All events that may be enabled.
pub(super) const EVENTS: u16 = TIMER_EVENT | GLOBAL_EVENT | POWER_BUTTON | SLEEP_BUTTON | RTC_EVENT;

/// PM1 control.
pub(super) const SCI_EN: u16 = 1;
pub(super) const SLEEP_TYPE_SHIFT: u16 = 10;
pub(super) const SLEEP_TYPE: u16 = 7 << SLEEP_TYPE_SHIFT;
pub(super) const SLEEP_ENABLE: u16 = 1 << 13;

/// The counter's width.
pub(super) const TIMER_BITS: u32 = 24;
