//! The clock and its CMOS RAM (Motorola MC146818A data sheet), through ports 70h and 71h.

use super::call::Call;

const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;
/// Bit 7 of the index masks NMI, as firmware leaves it while it runs.
const NO_NMI: u8 = 0x80;

pub const SECONDS: u8 = 0;
pub const ALARM_SECONDS: u8 = 1;
pub const MINUTES: u8 = 2;
pub const ALARM_MINUTES: u8 = 3;
pub const HOURS: u8 = 4;
pub const ALARM_HOURS: u8 = 5;
pub const DAY: u8 = 7;
pub const MONTH: u8 = 8;
pub const YEAR: u8 = 9;
pub const REGISTER_A: u8 = 0x0a;
pub const REGISTER_B: u8 = 0x0b;
pub const REGISTER_C: u8 = 0x0c;
/// CMOS RAM: the century, by the PC's convention.
pub const CENTURY: u8 = 0x32;

pub const PERIODIC: u8 = 0x40;
pub const ALARM: u8 = 0x20;
pub const HOURS_24: u8 = 2;
pub const DAYLIGHT_SAVING: u8 = 1;
/// 32768 Hz time base, 1024 interrupts a second.
pub const RATE_1024_HZ: u8 = 0x26;
/// The period in microseconds, as BIOSes count it.
pub const PERIOD_US: u32 = 976;

pub fn read(call: &mut Call<'_>, index: u8) -> u8 {
    call.outb(INDEX, index | NO_NMI);
    let value = call.inb(DATA);
    call.outb(INDEX, REGISTER_C | 1);
    value
}

pub fn write(call: &mut Call<'_>, index: u8, value: u8) {
    call.outb(INDEX, index | NO_NMI);
    call.outb(DATA, value);
    call.outb(INDEX, REGISTER_C | 1);
}

/// Starts the periodic interrupt, and lets it through.
pub fn start_periodic(call: &mut Call<'_>) {
    let control = read(call, REGISTER_B);
    if control & PERIODIC == 0 {
        write(call, REGISTER_A, RATE_1024_HZ);
        write(call, REGISTER_B, control | PERIODIC);
    }
    super::pic::unmask(call, 8);
    super::pic::unmask(call, 2);
}

/// Stops it.
pub fn stop_periodic(call: &mut Call<'_>) {
    let control = read(call, REGISTER_B);
    write(call, REGISTER_B, control & !PERIODIC);
}

/// A number in packed decimal.
pub fn from_decimal(packed: u8) -> u8 {
    (packed >> 4) * 10 + (packed & 15)
}
