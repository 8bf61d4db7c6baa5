//! The 8042's ports, commands and bits (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and auxiliary device
//! controller").

/// Status register: the output buffer holds a byte.
pub(super) const STATUS_OUTPUT_FULL: u8 = 1;
/// Status register: the system flag, a copy of the command byte's.
pub(super) const STATUS_SYSTEM: u8 = 1 << 2;
/// Status register: the last write went to the command port.
pub(super) const STATUS_COMMAND: u8 = 1 << 3;
/// Status register: the keylock is open.
pub(super) const STATUS_UNLOCKED: u8 = 1 << 4;
/// Status register: the byte in the output buffer is the auxiliary device's.
pub(super) const STATUS_AUX: u8 = 1 << 5;

/// Command byte: IRQ 1 when the output buffer is full.
pub(super) const KEYBOARD_INTERRUPT: u8 = 1;
/// Command byte: IRQ 12 when it is full with the auxiliary device's byte.
pub(super) const AUX_INTERRUPT: u8 = 1 << 1;
/// Command byte: system flag.
pub(super) const SYSTEM_FLAG: u8 = 1 << 2;
/// Command byte: the keyboard's clock is held low.
pub(super) const KEYBOARD_DISABLED: u8 = 1 << 4;
/// Command byte: the auxiliary device's clock is held low.
pub(super) const AUX_DISABLED: u8 = 1 << 5;
/// Command byte: translate set 2 to set 1.
pub(super) const TRANSLATE: u8 = 1 << 6;
/// The command byte as PC firmware leaves it: keyboard on with IRQ 1 and translation, pointer off.
pub(super) const FIRMWARE_COMMAND_BYTE: u8 =
    KEYBOARD_INTERRUPT | SYSTEM_FLAG | AUX_DISABLED | TRANSLATE;

/// Commands to port 64h. Reads of internal RAM, 20h is the command byte.
pub(super) const READ_RAM_LAST: u8 = 0x3f;
pub(super) const READ_RAM: u8 = 0x20;
/// Writes of internal RAM.
pub(super) const WRITE_RAM: u8 = 0x60;
pub(super) const WRITE_RAM_LAST: u8 = 0x7f;
pub(super) const TEST_PASSWORD: u8 = 0xa4;
pub(super) const LOAD_PASSWORD: u8 = 0xa5;
pub(super) const DISABLE_AUX: u8 = 0xa7;
pub(super) const ENABLE_AUX: u8 = 0xa8;
pub(super) const TEST_AUX: u8 = 0xa9;
pub(super) const SELF_TEST: u8 = 0xaa;
pub(super) const TEST_KEYBOARD: u8 = 0xab;
pub(super) const DISABLE_KEYBOARD: u8 = 0xad;
pub(super) const ENABLE_KEYBOARD: u8 = 0xae;
pub(super) const READ_INPUT_PORT: u8 = 0xc0;
pub(super) const POLL_INPUT_LOW: u8 = 0xc1;
pub(super) const POLL_INPUT_HIGH: u8 = 0xc2;
pub(super) const READ_OUTPUT_PORT: u8 = 0xd0;
pub(super) const WRITE_OUTPUT_PORT: u8 = 0xd1;
pub(super) const WRITE_KEYBOARD_BUFFER: u8 = 0xd2;
pub(super) const WRITE_AUX_BUFFER: u8 = 0xd3;
pub(super) const WRITE_AUX: u8 = 0xd4;
/// Not IBM's, but on every clone: A20 by one command.
pub(super) const MASK_A20: u8 = 0xdd;
pub(super) const OPEN_A20: u8 = 0xdf;
pub(super) const READ_TEST_INPUTS: u8 = 0xe0;
/// F0h…FFh pulse the output lines whose bits are clear; line 0 is the CPU's reset.
pub(super) const PULSE: u8 = 0xf0;

/// Answers.
pub(super) const NO_PASSWORD: u8 = 0xf1;
pub(super) const SELF_TEST_PASSED: u8 = 0x55;
pub(super) const INTERFACE_PASSED: u8 = 0x00;

/// Input port: keylock open, manufacturing jumper not set, colour display.
pub(super) const INPUT_PORT: u8 = 0xa0;
/// Test inputs: both clocks high.
pub(super) const TEST_INPUTS: u8 = 0b11;

/// Output port: the CPU runs; clear resets it.
pub(super) const OUTPUT_RUN: u8 = 1;
/// Output port: the A20 gate.
pub(super) const OUTPUT_A20: u8 = 1 << 1;
/// Output port: the auxiliary device's data and clock lines.
pub(super) const OUTPUT_AUX_LINES: u8 = 0b11 << 2;
/// Output port: IRQ 1.
pub(super) const OUTPUT_IRQ1: u8 = 1 << 4;
/// Output port: IRQ 12.
pub(super) const OUTPUT_IRQ12: u8 = 1 << 5;
/// Output port: the keyboard's clock and data lines.
pub(super) const OUTPUT_KEYBOARD_LINES: u8 = 0b11 << 6;

/// Set 2's break prefix.
pub(super) const KEY_BREAK: u8 = 0xf0;
/// Set 1's break bit.
pub(super) const KEY_RELEASED: u8 = 1 << 7;
