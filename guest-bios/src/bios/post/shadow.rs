//! The RAM in which the ROMs lie: open while POST writes tables there, protected from then on (Intel 82441FX data sheet, order
//! 290549, "PAM[6:0]"). Software that wants upper memory opens segments of its own.

use super::super::call::Call;
use super::super::pci::Function;
use hvm::Width;

/// What becomes of writes between C0000h and 1 MiB; reads find the RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segments {
    /// They change it.
    Open,
    /// They are lost.
    Protected,
}

/// Sets all segments.
pub fn set(call: &mut Call<'_>, segments: Segments) {
    const HOST_BRIDGE: Function = Function {
        bus: 0,
        slot_function: 0,
    };
    const FIRST_REGISTER: u8 = 0x59;
    const LAST_REGISTER: u8 = 0x5f;
    let value = match segments {
        Segments::Open => 0x33,
        Segments::Protected => 0x11,
    };
    for register in FIRST_REGISTER..=LAST_REGISTER {
        HOST_BRIDGE.write(call, register, Width::Byte, value);
    }
}
