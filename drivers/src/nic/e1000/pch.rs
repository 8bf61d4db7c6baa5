//! What is different in the controllers that sit in a chipset with their transceiver outside: I217, I218, I219 (I217 data sheet, revision 2.0,
//! chapters 5 and 12; I218 and I219 data sheets, chapters 5 and 9; chipset data sheets, "Gigabit LAN").
//!
//! The chipset's management engine uses the controller as well, so there is a flag for who may touch the transceiver, and it decides
//! whether that may be reset. There is no EEPROM: a region of the chipset's flash has the address, which a reset loads. The transceiver may
//! have been left in its ultra-low-power state, where it does not answer, and the link between both has a power-saving state of its own,
//! K1, which loses frames at 1 Gbit/s unless both sides agree on clocks; it is turned off.
//!
//! **Nothing here has run**, on silicon or in an emulator.

use super::bits::*;
use crate::nic::intel::phy;
use crate::nic::{Admits, Failure, Filter, intel};
use crate::window::Window;

/// The transceiver's address for the registers that every transceiver has.
const PHY: u32 = 2;
/// Its identifier.
const PHY_ID: u32 = 2;

/// Configuration control: the flag of who may touch the transceiver.
const EXTCNF_CTRL: usize = 0x0f00;
const SOFTWARE_FLAG: u32 = 1 << 5;
/// How often, 1 ms apart, it is asked for; and whether software got it.
const FLAG_LOOKS: u32 = 100;

/// FWSM: the transceiver may be reset; firmware is there; it has left low power; which shared addresses are its own.
const PHY_RESET_ALLOWED: u32 = 1 << 6;
const ULP_CONFIGURING: u32 = 1 << 10;
const FIRMWARE_VALID: u32 = 1 << 15;
const LOCKED_ADDRESSES: u32 = 7 << 7;
/// Host to management engine: ultra-low power is on, and settings are to be followed.
const H2ME: usize = 0x5b50;
const H2ME_ULP: u32 = 1 << 11;
const H2ME_FOLLOW: u32 = 1 << 12;
/// How often, 10 ms apart, the engine is looked at: it may take 2.5 s where it does take long.
const ULP_LOOKS: u32 = 250;

/// Kumeran: the link between controller and transceiver. Command and data; its K1 register, and the bit that turns K1 on.
const KMRNCTRLSTA: usize = 0x0034;
const KMRN_READ: u32 = 1 << 21;
const KMRN_K1: u32 = 7 << 16;
const K1_ENABLE: u32 = 1 << 1;
/// CTRL_EXT: the speed does not follow the transceiver; power down of the transceiver is allowed; a bit that must be set.
const SPEED_BYPASS: u32 = 1 << 15;
const PHY_POWER_DOWN: u32 = 1 << 20;
const MUST_BE_SET: u32 = 1 << 22;
/// CTRL_EXT: the transceiver's power cycle is over.
const PHY_CYCLED: u32 = 1 << 2;
/// Biases of the transmitter.
const KABGTXD: usize = 0x3004;
const KABGTXD_BIAS: u32 = 0x5_0000;
/// Transmit arbitration of both queues, with bits that must be set.
const TARC0: usize = 0x3840;
const TARC0_SET: u32 = 1 << 23 | 1 << 24 | 1 << 26 | 1 << 27;
const TARC1: usize = 0x3940;
const TARC1_SET: u32 = 1 << 24 | 1 << 26 | 1 << 30;
const TARC1_MULTIPLE: u32 = 1 << 28;
const TCTL_MULTIPLE: u32 = 1 << 28;
/// Receive filters: none of those for NFS.
const RFCTL: usize = 0x5008;
const RFCTL_NO_NFS: u32 = 1 << 6 | 1 << 7;
/// Error correction of the packet buffer.
const PBECCSTS: usize = 0x100c;
const PBECCSTS_ENABLE: u32 = 1 << 16;

/// The shared receive addresses, behind the card's own.
const SHRAL0: usize = 0x5408;
const SHARED_ADDRESSES: usize = 11;

/// How often, 100 µs apart, the configuration's load is looked for.
const LOAD_LOOKS: u32 = 1000;

/// Takes the flag; whether software has it.
fn take(registers: &mut impl Window, pause_us: &mut dyn FnMut(u32)) -> bool {
    for _ in 0..FLAG_LOOKS {
        if take_at_once(registers) {
            return true;
        }
        pause_us(1000);
    }
    false
}

/// Takes the flag if nobody has it. It does not stay where the engine was faster.
fn take_at_once(registers: &mut impl Window) -> bool {
    let control = registers.read_u32(EXTCNF_CTRL);
    if control & SOFTWARE_FLAG != 0 {
        return false;
    }
    registers.write_u32(EXTCNF_CTRL, control | SOFTWARE_FLAG);
    registers.read_u32(EXTCNF_CTRL) & SOFTWARE_FLAG != 0
}

fn give(registers: &mut impl Window) {
    let control = registers.read_u32(EXTCNF_CTRL);
    registers.write_u32(EXTCNF_CTRL, control & !SOFTWARE_FLAG);
}

/// Resets controller and, where the engine allows it, transceiver. What they had to do has ended.
pub fn reset(registers: &mut impl Window, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
    leave_low_power(registers, pause_us);
    let with_phy = registers.read_u32(FWSM) & PHY_RESET_ALLOWED != 0;
    // A loader that was stopped in the middle may have kept the flag: the reset is done in any case.
    let flag = take(registers, pause_us);
    let mut control = Ctrl::from_bits_retain(registers.read_u32(CTRL)) | Ctrl::RESET;
    control.set(Ctrl::PHY_RESET, with_phy);
    registers.write_u32(CTRL, control.bits());
    // No access for 20 ms: one that comes too early hangs the controller.
    pause_us(20_000);
    if flag {
        give(registers);
    }
    for looks in 0.. {
        let control = Ctrl::from_bits_retain(registers.read_u32(CTRL));
        if !control.contains(Ctrl::RESET) {
            break;
        }
        if looks > LOAD_LOOKS {
            let limit_ms = 20 + LOAD_LOOKS / 10;
            return Err(Failure::Reset { limit_ms });
        }
        pause_us(100);
    }
    if with_phy {
        await_configuration(registers, pause_us);
    }
    let bias = registers.read_u32(KABGTXD);
    registers.write_u32(KABGTXD, bias | KABGTXD_BIAS);
    if take(registers, pause_us) {
        turn_off_k1(registers, pause_us);
        phy::wake(registers, PHY, pause_us);
        give(registers);
    }
    Ok(())
}

/// Waits until hardware has configured the transceiver after its reset, and takes note of it. Without flash it never says so.
fn await_configuration(registers: &mut impl Window, pause_us: &mut dyn FnMut(u32)) {
    for _ in 0..LOAD_LOOKS {
        if Status::from_bits_retain(registers.read_u32(STATUS)).contains(Status::LOADED) {
            break;
        }
        pause_us(100);
    }
    let noted = Status::LOADED | Status::PHY_WAS_RESET;
    let status = Status::from_bits_retain(registers.read_u32(STATUS)) - noted;
    registers.write_u32(STATUS, status.bits());
}

/// Has the engine wake the transceiver; where there is no engine, its power is cycled if it does not answer.
fn leave_low_power(registers: &mut impl Window, pause_us: &mut dyn FnMut(u32)) {
    if registers.read_u32(FWSM) & FIRMWARE_VALID != 0 {
        let asked = registers.read_u32(H2ME) & !H2ME_ULP | H2ME_FOLLOW;
        registers.write_u32(H2ME, asked);
        for _ in 0..ULP_LOOKS {
            if registers.read_u32(FWSM) & ULP_CONFIGURING == 0 {
                break;
            }
            pause_us(10_000);
        }
        registers.write_u32(H2ME, asked & !H2ME_FOLLOW);
        return;
    }
    if !take(registers, pause_us) {
        return;
    }
    let id = phy::read(registers, PHY, PHY_ID, pause_us);
    if id.is_none_or(|id| id == 0 || id == 0xffff) {
        cycle_power(registers, pause_us);
    }
    give(registers);
}

/// Takes the transceiver's power away for a moment (LANPHYPC).
fn cycle_power(registers: &mut impl Window, pause_us: &mut dyn FnMut(u32)) {
    let control = Ctrl::from_bits_retain(registers.read_u32(CTRL));
    let off = (control | Ctrl::PHY_POWER_BY_HAND) - Ctrl::PHY_POWER;
    registers.write_u32(CTRL, off.bits());
    let _ = registers.read_u32(STATUS);
    pause_us(1000);
    registers.write_u32(CTRL, (off - Ctrl::PHY_POWER_BY_HAND).bits());
    for _ in 0..20 {
        pause_us(5000);
        if registers.read_u32(CTRL_EXT) & PHY_CYCLED != 0 {
            break;
        }
    }
    pause_us(30_000);
}

/// Turns K1 off. The controller takes it over while its speed does not follow the transceiver.
fn turn_off_k1(registers: &mut impl Window, pause_us: &mut dyn FnMut(u32)) {
    registers.write_u32(KMRNCTRLSTA, KMRN_K1 | KMRN_READ);
    let _ = registers.read_u32(STATUS);
    pause_us(2);
    let value = registers.read_u32(KMRNCTRLSTA) & 0xffff & !K1_ENABLE;
    registers.write_u32(KMRNCTRLSTA, KMRN_K1 | value);
    let _ = registers.read_u32(STATUS);
    pause_us(20);
    let extended = registers.read_u32(CTRL_EXT);
    let control = registers.read_u32(CTRL);
    registers.write_u32(CTRL, control | Ctrl::FORCE_SPEED.bits());
    registers.write_u32(CTRL_EXT, extended | SPEED_BYPASS);
    let _ = registers.read_u32(STATUS);
    pause_us(20);
    registers.write_u32(CTRL, control);
    registers.write_u32(CTRL_EXT, extended);
    let _ = registers.read_u32(STATUS);
    pause_us(20);
}

/// Bits that the data sheets want set before rings are started.
pub fn prepare(registers: &mut impl Window) {
    let mut set = |register, bits| {
        let value = registers.read_u32(register);
        registers.write_u32(register, value | bits);
    };
    set(CTRL_EXT, MUST_BE_SET | PHY_POWER_DOWN);
    set(TARC0, TARC0_SET);
    set(TARC1, TARC1_SET);
    set(RFCTL, RFCTL_NO_NFS);
    set(PBECCSTS, PBECCSTS_ENABLE);
    set(CTRL, Ctrl::MEMORY_ERRORS.bits());
    let multiple = registers.read_u32(TCTL) & TCTL_MULTIPLE != 0;
    let arbitration = registers.read_u32(TARC1) & !TARC1_MULTIPLE;
    let bit = if multiple { 0 } else { TARC1_MULTIPLE };
    registers.write_u32(TARC1, arbitration | bit);
}

/// Fills the shared addresses, as far as the engine leaves them to us; whether all had room. A locked one keeps what it had, and all do
/// while somebody has the flag: this does not wait.
pub fn set_addresses(registers: &mut impl Window, filter: &Filter) -> Admits {
    let Filter::Only(stations) = filter else {
        return Admits::Everybody;
    };
    if !take_at_once(registers) {
        return Admits::Everybody;
    }
    // 1: all are the engine's; 0: none is; else those from this number on.
    let ours = match (registers.read_u32(FWSM) & LOCKED_ADDRESSES) >> 7 {
        0 => SHARED_ADDRESSES,
        first => first as usize - 1,
    };
    for index in 0..ours {
        let station = stations.get(index).copied();
        intel::set_address(registers, SHRAL0 + RA_STEP * index, station);
    }
    give(registers);
    let taken = stations
        .iter()
        .take(ours)
        .enumerate()
        .all(|(index, [a, b, c, d, ..])| {
            let low = registers.read_u32(SHRAL0 + RA_STEP * index);
            low == u32::from_le_bytes([*a, *b, *c, *d])
        });
    match taken && stations.len() <= ours {
        true => Admits::Named,
        false => Admits::Everybody,
    }
}
