//! PS/2 devices: the ends of the two serial lines that lead into the keyboard controller.
//!
//! Both guarantee: whatever bytes arrive, there is an answer as the IBM PS/2 Hardware Interface Technical Reference gives it;
//! buffers are bounded; a device that has nothing to say has no deadline.

mod decode;
mod keyboard;
mod mouse;
mod packet;
mod scancode;

pub use decode::Decoder;
pub use keyboard::Keyboard;
pub use mouse::Mouse;
pub use packet::{Packets, Wheel};

/// What a device has for the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// The answer to a command: it comes at once.
    Reply,
    /// A scan code or movement: it comes at the line's speed.
    Report,
}

/// Answers common to both devices.
const ACKNOWLEDGE: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const SELF_TEST_PASSED: u8 = 0xaa;
/// Commands common to both.
const IDENTIFY: u8 = 0xf2;
const SET_RATE: u8 = 0xf3;
const ENABLE: u8 = 0xf4;
const DISABLE: u8 = 0xf5;
const SET_DEFAULTS: u8 = 0xf6;
const ASK_RESEND: u8 = 0xfe;
const RESET: u8 = 0xff;
