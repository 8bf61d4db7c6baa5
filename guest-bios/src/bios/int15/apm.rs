//! APM 1.2 (function 53h; Advanced Power Management BIOS Interface Specification 1.2): as much as lets an old system turn
//! the machine off and halt when it has nothing to do. There is no battery, and nothing sleeps.

use super::super::call::Call;
use super::super::{Bios, Entry, Turn};
use crate::platform::PM_PORT;
use crate::rom;
use hvm::Width;
use hvm::regs::Gpr;
use serde::{Deserialize, Serialize};

/// How the system talks to APM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Connection {
    /// It has not asked to.
    #[default]
    None,
    /// By INT 15h.
    Real,
    /// By far calls of 16-bit code.
    Protected16,
    /// By far calls of 32-bit code.
    Protected32,
}

// Error codes in AH (appendix A).
const REAL_CONNECTED: u8 = 0x02;
const NOT_CONNECTED: u8 = 0x03;
const CONNECTED_16: u8 = 0x05;
const CONNECTED_32: u8 = 0x07;
const NO_DEVICE: u8 = 0x09;
const BAD_PARAMETER: u8 = 0x0a;
const UNSUPPORTED: u8 = 0x0c;
const CANNOT_ENTER: u8 = 0x60;
const NO_EVENT: u8 = 0x80;

const BIOS: u16 = 0;
const ALL_DEVICES: u16 = 1;
const VERSION_1_2: u16 = 0x0102;

/// INT 15h function 53h.
pub fn serve(bios: &mut Bios, call: &mut Call<'_>, entry: Entry) -> Turn {
    const IDLE: u8 = 5;
    if call.al() == IDLE && entry == Entry::Fresh && bios.apm != Connection::None {
        return Turn::Wait;
    }
    from_protected_mode(bios, call);
    Turn::Done
}

/// The entry for far calls, and all of INT 15h but its halt.
pub fn from_protected_mode(bios: &mut Bios, call: &mut Call<'_>) {
    match function(bios, call) {
        Ok(()) => call.succeed(),
        Err(code) => {
            call.set_ah(code);
            call.fail();
        }
    }
}

fn function(bios: &mut Bios, call: &mut Call<'_>) -> Result<(), u8> {
    const SIGNATURE: u16 = u16::from_be_bytes(*b"PM");
    const PROTECTED_16_AND_32: u16 = 3;
    match (call.al(), bios.apm) {
        (0x00, _) => {
            device(call, BIOS)?;
            call.set_ax(VERSION_1_2);
            call.set_bx(SIGNATURE);
            call.set_cx(PROTECTED_16_AND_32);
            Ok(())
        }
        (0x01..=0x03, Connection::None) => connect(bios, call),
        (0x01..=0x03, Connection::Real) => Err(REAL_CONNECTED),
        (0x01..=0x03, Connection::Protected16) => Err(CONNECTED_16),
        (0x01..=0x03, Connection::Protected32) => Err(CONNECTED_32),
        (_, Connection::None) => Err(NOT_CONNECTED),
        (0x04, _) => {
            device(call, BIOS)?;
            bios.apm = Connection::None;
            Ok(())
        }
        // Idle, busy, management on and off, defaults, engage.
        (0x05 | 0x06 | 0x08 | 0x09 | 0x0d | 0x0f, _) => Ok(()),
        (0x07, _) => set_state(call),
        (0x0a, _) => power_status(call),
        (0x0b, _) => Err(NO_EVENT),
        (0x0c, _) => {
            const ON: u16 = 0;
            device(call, ALL_DEVICES)?;
            call.set_cx(ON);
            Ok(())
        }
        (0x0e, _) => {
            device(call, BIOS)?;
            call.set_ax(VERSION_1_2);
            Ok(())
        }
        (0x10, _) => {
            device(call, BIOS)?;
            // No batteries, and nothing that could wake what does not sleep.
            call.set_bx(0);
            call.set_cx(0);
            Ok(())
        }
        _ => Err(UNSUPPORTED),
    }
}

fn device(call: &Call<'_>, expected: u16) -> Result<(), u8> {
    if call.bx() == expected {
        Ok(())
    } else {
        Err(NO_DEVICE)
    }
}

/// Functions 01h to 03h: real mode, and the entry from 16-bit and 32-bit code.
fn connect(bios: &mut Bios, call: &mut Call<'_>) -> Result<(), u8> {
    const LENGTH: u16 = 0xffff;
    device(call, BIOS)?;
    bios.apm = match call.al() {
        1 => Connection::Real,
        2 => {
            call.set_ax(rom::SEGMENT);
            call.set_bx(rom::APM);
            call.set_cx(rom::SEGMENT);
            call.set_dword(Gpr::Rsi, LENGTH.into());
            call.set_di(LENGTH);
            Connection::Protected16
        }
        _ => {
            call.set_ax(rom::SEGMENT);
            call.set_dword(Gpr::Rbx, rom::APM.into());
            call.set_cx(rom::SEGMENT);
            call.set_dx(rom::SEGMENT);
            call.set_dword(Gpr::Rsi, u32::from(LENGTH) << 16 | u32::from(LENGTH));
            call.set_di(LENGTH);
            Connection::Protected32
        }
    };
    Ok(())
}

/// Function 07h: state CX of device BX. The machine can be turned off, and devices be left on.
fn set_state(call: &mut Call<'_>) -> Result<(), u8> {
    const ON: u16 = 0;
    const OFF: u16 = 3;
    match (call.bx(), call.cx()) {
        (ALL_DEVICES, OFF) => {
            // PM1a control: sleep type 0, which is soft off, and the bit that enters it (PIIX4 data sheet, PMCNTRL).
            const CONTROL: u16 = PM_PORT + 4;
            const SLEEP: u32 = 1 << 13;
            call.machine.port_out(CONTROL, Width::Word, SLEEP);
            Ok(())
        }
        (_, ON) => Ok(()),
        (_, 1..=OFF) => Err(CANNOT_ENTER),
        _ => Err(BAD_PARAMETER),
    }
}

/// Function 0Ah: on mains, without a battery.
fn power_status(call: &mut Call<'_>) -> Result<(), u8> {
    const MAINS_BATTERY_UNKNOWN: u16 = 0x01ff;
    const NO_BATTERY: u16 = 0x80ff;
    const TIME_UNKNOWN: u16 = 0xffff;
    device(call, ALL_DEVICES)?;
    call.set_bx(MAINS_BATTERY_UNKNOWN);
    call.set_cx(NO_BATTERY);
    call.set_dx(TIME_UNKNOWN);
    Ok(())
}
