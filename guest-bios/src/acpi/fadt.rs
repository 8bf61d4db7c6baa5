//! The fixed hardware (ACPI 6.5, 5.2.9): a PIIX4 PM block, without GPEs, C states and SMM.

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, bytes_of};
use crate::platform::{Console, PM_PORT, Platform, RESET_PORT, SCI_IRQ};
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use alloc::vec::Vec;
use guest_mem::Gpa;

const EVENT_BYTES: u8 = 4;
const CONTROL_BYTES: u8 = 2;
const TIMER_BYTES: u8 = 4;
const CONTROL_OFFSET: u16 = 4;
const TIMER_OFFSET: u16 = 8;

/// Writing this to the reset register resets the machine (PIIX3 data sheet, RCR: CPU reset, hard).
const RESET_VALUE: u8 = 6;
/// "Not supported" in microseconds (5.2.9, P_LVL2_LAT and P_LVL3_LAT).
const NO_C2: u16 = 101;
const NO_C3: u16 = 1001;

// IAPC_BOOT_ARCH (5.2.9.3).
const LEGACY_DEVICES: u16 = 1 << 0;
const KEYBOARD_CONTROLLER: u16 = 1 << 1;
const NO_VGA: u16 = 1 << 2;

/// The timer has 24 bits as on the PIIX4, so TMR_VAL_EXT is not set; the power button is fixed hardware, a sleep button
/// there is not (which its flag, set, says).
pub fn table(platform: &Platform, facs: Gpa, dsdt: Gpa) -> Vec<u8> {
    let console = match platform.console {
        Console::Serial => NO_VGA,
        Console::Screen => KEYBOARD_CONTROLLER,
    };
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        .flag(Flags::SlpButton)
        .flag(Flags::ResetRegSup)
        .firmware_ctrl_32(facs.0 as u32)
        .dsdt_64(dsdt.0);
    // Both DSDT fields: old operating systems know only the first, and new ones prefer the second.
    fadt.dsdt = (dsdt.0 as u32).into();
    fadt.sci_int = u16::from(SCI_IRQ).into();
    fadt.iapc_boot_arch = (LEGACY_DEVICES | console).into();
    fadt.p_lvl2_lat = NO_C2.into();
    fadt.p_lvl3_lat = NO_C3.into();

    fadt.pm1a_evt_blk = u32::from(PM_PORT).into();
    fadt.pm1a_cnt_blk = u32::from(PM_PORT + CONTROL_OFFSET).into();
    fadt.pm_tmr_blk = u32::from(PM_PORT + TIMER_OFFSET).into();
    fadt.pm1_evt_len = EVENT_BYTES;
    fadt.pm1_cnt_len = CONTROL_BYTES;
    fadt.pm_tmr_len = TIMER_BYTES;
    fadt.x_pm1a_evt_blk = port(PM_PORT, EVENT_BYTES, AccessSize::WordAccess);
    fadt.x_pm1a_cnt_blk = port(
        PM_PORT + CONTROL_OFFSET,
        CONTROL_BYTES,
        AccessSize::WordAccess,
    );
    fadt.x_pm_tmr_blk = port(PM_PORT + TIMER_OFFSET, TIMER_BYTES, AccessSize::DwordAccess);

    fadt.reset_reg = port(RESET_PORT, 1, AccessSize::ByteAccess);
    fadt.reset_value = RESET_VALUE;
    bytes_of(&fadt.finalize())
}

fn port(port: u16, bytes: u8, access: AccessSize) -> GAS {
    GAS::new(AddressSpace::SystemIo, bytes * 8, 0, access, port.into())
}
