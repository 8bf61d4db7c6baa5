//! What Intel's gigabit Ethernet controllers have in common, from the 8254x to the I350: how they are stopped, their addresses and
//! filters, their transceiver, their rings.

pub mod bits;
pub mod counter;
pub mod moderation;
pub mod phy;
pub mod ring;
#[cfg(test)]
pub mod testing;

use super::{Admits, Failure, Filter, sound};
use crate::window::Window;
use bits::*;
use hvm::backend::Link;

/// Intel.
pub const VENDOR: u16 = 0x8086;
/// Receive addresses that every part has for us: firmware of some keeps the last.
const ADDRESSES: usize = 14;
/// How often, 100 µs apart, the end of the card's requests is looked for (82574, 4.6.1).
const MASTER_LOOKS: u32 = 800;
/// How often, 10 µs apart, the end of a reset is looked for: the EEPROM's contents are loaded anew within 20 ms (82574, 4.6.3).
const RESET_LOOKS: u32 = 5000;
/// What a reset has at most, with those looks.
pub const RESET_MS: u32 = 50;

/// Whether the registers answer.
pub fn is_there(registers: &mut impl Window) -> bool {
    registers.read_u32(STATUS) != u32::MAX
}

/// Ends what is on its way: no frame comes or goes behind this (8254x, 14.3).
pub fn stop(registers: &mut impl Window, pause_us: &mut dyn FnMut(u32)) {
    registers.write_u32(RCTL, 0);
    registers.write_u32(TCTL, Tctl::PAD.bits());
    let _ = registers.read_u32(STATUS);
    pause_us(10_000);
}

/// Has a PCI Express part end its requests for memory before it is reset, so that none is cut short (82574, 4.6.1).
pub fn end_requests(registers: &mut impl Window, pause_us: &mut dyn FnMut(u32)) {
    let control = registers.read_u32(CTRL);
    registers.write_u32(CTRL, control | Ctrl::MASTER_OFF.bits());
    for _ in 0..MASTER_LOOKS {
        let status = Status::from_bits_retain(registers.read_u32(STATUS));
        if !status.contains(Status::MASTER) {
            break;
        }
        pause_us(100);
    }
}

/// Resets all but the transceiver, and waits for the end.
pub fn reset(registers: &mut impl Window, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
    let control = registers.read_u32(CTRL);
    registers.write_u32(CTRL, control | Ctrl::RESET.bits());
    // The registers must not be read at once after a reset (82574, 4.6.1).
    pause_us(5000);
    let mut looks = 0;
    while Ctrl::from_bits_retain(registers.read_u32(CTRL)).contains(Ctrl::RESET) {
        looks += 1;
        if looks > RESET_LOOKS {
            return Err(Failure::Reset { limit_ms: RESET_MS });
        }
        pause_us(10);
    }
    pause_us(20_000);
    Ok(())
}

/// What reset has loaded as the card's address.
pub fn loaded_address(registers: &mut impl Window) -> Result<[u8; 6], Failure> {
    let [a, b, c, d] = registers.read_u32(RAL0).to_le_bytes();
    let [e, f, ..] = registers.read_u32(RAH0).to_le_bytes();
    sound([a, b, c, d, e, f])
}

/// Fills a receive address, whose registers are at `low` and behind; none is the end of one.
pub fn set_address(registers: &mut impl Window, low: usize, address: Option<[u8; 6]>) {
    let [a, b, c, d, e, f] = address.unwrap_or_default();
    let valid = if address.is_some() { RAH_VALID } else { 0 };
    // Never half an address that counts.
    registers.write_u32(low + 4, 0);
    registers.write_u32(low, u32::from_le_bytes([a, b, c, d]));
    if valid != 0 {
        let high = u32::from(u16::from_le_bytes([e, f]));
        registers.write_u32(low + 4, high | valid);
    }
}

/// Fills the receive addresses behind the card's own; whether all had room.
pub fn set_addresses(registers: &mut impl Window, filter: &Filter) -> Admits {
    let stations: &[[u8; 6]] = match filter {
        Filter::Everybody => &[],
        Filter::Only(stations) => stations,
    };
    for index in 1..ADDRESSES {
        let station = stations.get(index - 1).copied();
        set_address(registers, RAL0 + RA_STEP * index, station);
    }
    match filter {
        Filter::Only(stations) if stations.len() < ADDRESSES => Admits::Named,
        _ => Admits::Everybody,
    }
}

/// Sets whether everybody's frames come in.
pub fn admit(registers: &mut impl Window, admits: Admits) {
    let mut receive = Rctl::from_bits_retain(registers.read_u32(RCTL));
    receive.set(Rctl::ALL_UNICAST, admits == Admits::Everybody);
    registers.write_u32(RCTL, receive.bits());
}

/// Clears the table of groups: all are let in by RCTL.
pub fn clear_groups(registers: &mut impl Window) {
    for index in 0..MTA_DWORDS {
        registers.write_u32(MTA + 4 * index, 0);
    }
}

/// The cable.
pub fn link(registers: &mut impl Window) -> Link {
    match Status::from_bits_retain(registers.read_u32(STATUS)).contains(Status::LINK_UP) {
        true => Link::Up,
        false => Link::Down,
    }
}

/// Why the card does nothing any more, if it is turned off, though it was turned on.
pub fn stopped(registers: &mut impl Window) -> Option<&'static str> {
    if !is_there(registers) {
        return Some("its registers read as all ones");
    }
    let receives = Rctl::from_bits_retain(registers.read_u32(RCTL)).contains(Rctl::ENABLE);
    let sends = Tctl::from_bits_retain(registers.read_u32(TCTL)).contains(Tctl::ENABLE);
    (!receives || !sends)
        .then_some("its receiver or transmitter is off, though nobody turned it off")
}
