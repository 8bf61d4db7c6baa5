//! Registers of the 8042 keyboard controller, and the PS/2 devices' commands (IBM PS/2 Hardware Interface Technical Reference,
//! "Keyboard and Auxiliary Device Controller").

use bitflags::bitflags;

/// Data, both ways.
pub const DATA: u16 = 0x60;
/// Status when read, command when written.
pub const STATUS: u16 = 0x64;
/// What a port that nobody decodes reads.
pub const NOBODY: u8 = 0xff;

bitflags! {
    /// The status register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Status: u8 {
        /// A byte waits in [`DATA`].
        const OUTPUT_FULL = 1;
        /// The controller has not yet taken the last byte written.
        const INPUT_FULL = 1 << 1;
        /// The byte that waits is the auxiliary device's.
        const FROM_AUXILIARY = 1 << 5;
        const _ = !0;
    }
}

bitflags! {
    /// The configuration byte.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Configuration: u8 {
        /// IRQ 1 when the keyboard sent a byte.
        const KEYBOARD_INTERRUPT = 1;
        /// IRQ 12 when the auxiliary device did.
        const AUXILIARY_INTERRUPT = 1 << 1;
        /// The keyboard's clock line is held.
        const KEYBOARD_DISABLED = 1 << 4;
        /// The auxiliary device's is.
        const AUXILIARY_DISABLED = 1 << 5;
        /// Scan codes are turned into set 1.
        const TRANSLATE = 1 << 6;
        const _ = !0;
    }
}

/// Controller commands.
#[allow(missing_docs)]
pub mod command {
    pub const READ_CONFIGURATION: u8 = 0x20;
    pub const WRITE_CONFIGURATION: u8 = 0x60;
    pub const DISABLE_AUXILIARY: u8 = 0xa7;
    pub const ENABLE_AUXILIARY: u8 = 0xa8;
    pub const DISABLE_KEYBOARD: u8 = 0xad;
    pub const ENABLE_KEYBOARD: u8 = 0xae;
    pub const TO_AUXILIARY: u8 = 0xd4;
}

/// Commands of the devices.
#[allow(missing_docs)]
pub mod device {
    pub const SET_LEDS: u8 = 0xed;
    pub const IDENTIFY: u8 = 0xf2;
    pub const SET_RATE: u8 = 0xf3;
    pub const ENABLE: u8 = 0xf4;
    pub const SET_DEFAULTS: u8 = 0xf6;
    pub const ACKNOWLEDGE: u8 = 0xfa;
}

/// Sample rates that, set one after the other, turn a wheel mouse's wheel on (Microsoft, "Intellipoint" mice since 1996).
pub const WHEEL_KNOCK: [u8; 3] = [200, 100, 80];
/// What such a mouse then answers to [`device::IDENTIFY`].
pub const WHEEL_ID: u8 = 3;
