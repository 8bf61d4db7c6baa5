//! The transceiver of Intel's controllers, by MDIC (82576, 8.2.4; 82574, 10.2.2.7), and the marks by which software and firmware keep out
//! of each other's way (82576, 4.6.12).

use super::bits::{MDIC, SW_FW_SYNC, SWSM};
use crate::window::Window;
use hvm::backend::Link;

/// Basic mode control (IEEE 802.3, 22.2.4.1), which is register 0.
const BASIC_CONTROL: u32 = 0;
const POWER_DOWN: u16 = 1 << 11;
const ISOLATE: u16 = 1 << 10;
const NEGOTIATE: u16 = 1 << 12;
const RESTART: u16 = 1 << 9;

/// MDIC: what is asked for, and the answers.
const WRITE: u32 = 1 << 26;
const READ: u32 = 2 << 26;
const READY: u32 = 1 << 28;
const ERROR: u32 = 1 << 30;
/// How often, 50 µs apart, an answer is looked for.
const LOOKS: u32 = 200;

/// SWSM: taken by a driver; taken from firmware.
const DRIVER_MARK: u32 = 1 << 0;
const SOFTWARE_MARK: u32 = 1 << 1;
/// SW_FW_SYNC: the first port's transceiver is software's, and firmware's; each further port's is a bit higher.
const SOFTWARE_PHY: u32 = 1 << 1;
const FIRMWARE_PHY: u32 = 1 << 17;

/// One access; `None` if it does not answer.
fn access(registers: &mut impl Window, command: u32, pause_us: &mut dyn FnMut(u32)) -> Option<u16> {
    registers.write_u32(MDIC, command);
    for _ in 0..LOOKS {
        pause_us(50);
        let answer = registers.read_u32(MDIC);
        if answer & READY != 0 {
            return (answer & ERROR == 0).then_some(answer as u16);
        }
    }
    None
}

/// Reads a register of the transceiver at this address.
pub fn read(
    registers: &mut impl Window,
    phy: u32,
    register: u32,
    pause_us: &mut dyn FnMut(u32),
) -> Option<u16> {
    access(registers, READ | phy << 21 | register << 16, pause_us)
}

/// Writes one.
pub fn write(
    registers: &mut impl Window,
    phy: u32,
    register: u32,
    value: u16,
    pause_us: &mut dyn FnMut(u32),
) -> Option<u16> {
    let command = WRITE | phy << 21 | register << 16 | u32::from(value);
    access(registers, command, pause_us)
}

/// Turns the transceiver on, if somebody left it off, set apart, or at a speed of his own, and has it negotiate if it has no link. What
/// does not answer is left as it is: the link tells.
pub fn wake(registers: &mut impl Window, phy: u32, pause_us: &mut dyn FnMut(u32)) {
    let Some(control) = read(registers, phy, BASIC_CONTROL, pause_us) else {
        return;
    };
    let linked = super::link(registers) == Link::Up;
    if control & (POWER_DOWN | ISOLATE) != 0 || control & NEGOTIATE == 0 || !linked {
        let _ = write(registers, phy, BASIC_CONTROL, NEGOTIATE | RESTART, pause_us);
    }
}

/// Does something to a port's transceiver while neither firmware nor anybody else does; not at all if they do not let go.
pub fn with_marks<R: Window>(
    registers: &mut R,
    port: u32,
    pause_us: &mut dyn FnMut(u32),
    work: impl FnOnce(&mut R, &mut dyn FnMut(u32)),
) {
    let (ours, theirs) = (SOFTWARE_PHY << port, FIRMWARE_PHY << port);
    for _ in 0..LOOKS {
        if !take_semaphore(registers, pause_us) {
            return;
        }
        let sync = registers.read_u32(SW_FW_SYNC);
        let free = sync & (ours | theirs) == 0;
        if free {
            registers.write_u32(SW_FW_SYNC, sync | ours);
        }
        give_semaphore(registers);
        if free {
            work(registers, pause_us);
            if take_semaphore(registers, pause_us) {
                let sync = registers.read_u32(SW_FW_SYNC);
                registers.write_u32(SW_FW_SYNC, sync & !ours);
            }
            give_semaphore(registers);
            return;
        }
        pause_us(1000);
    }
}

/// What somebody before us may have kept, he will not give back: the driver's mark is taken by force. Reading it sets it.
fn take_semaphore(registers: &mut impl Window, pause_us: &mut dyn FnMut(u32)) -> bool {
    for _ in 0..LOOKS {
        if registers.read_u32(SWSM) & DRIVER_MARK == 0 {
            break;
        }
        pause_us(50);
    }
    for _ in 0..LOOKS {
        let marks = registers.read_u32(SWSM);
        registers.write_u32(SWSM, marks | SOFTWARE_MARK);
        if registers.read_u32(SWSM) & SOFTWARE_MARK != 0 {
            return true;
        }
        pause_us(50);
    }
    give_semaphore(registers);
    false
}

fn give_semaphore(registers: &mut impl Window) {
    let marks = registers.read_u32(SWSM);
    registers.write_u32(SWSM, marks & !(DRIVER_MARK | SOFTWARE_MARK));
}
