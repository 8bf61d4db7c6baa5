//! The Bochs display interface: an index port and a data port (Bochs VBE Extensions, as QEMU documents them).

use super::super::super::call::Call;
use hvm::Width;

const INDEX: u16 = 0x1ce;
const DATA: u16 = 0x1cf;

/// The registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Register {
    Id = 0,
    Width = 1,
    Height = 2,
    Depth = 3,
    Enable = 4,
    Bank = 5,
    VirtualWidth = 6,
    XOffset = 8,
    YOffset = 9,
    /// Memory in units of 64 KiB.
    Memory = 10,
}

/// Bits of [`Register::Enable`].
pub const ENABLED: u16 = 1;
pub const DAC_8_BITS: u16 = 0x20;
pub const LINEAR: u16 = 0x40;
pub const KEEP_MEMORY: u16 = 0x80;

pub fn read(call: &mut Call<'_>, register: Register) -> u16 {
    call.machine.port_out(INDEX, Width::Word, register as u32);
    call.machine.port_in(DATA, Width::Word) as u16
}

pub fn write(call: &mut Call<'_>, register: Register, value: u16) {
    call.machine.port_out(INDEX, Width::Word, register as u32);
    call.machine.port_out(DATA, Width::Word, value.into());
}

/// Whether the adapter has it.
pub fn is_present(call: &mut Call<'_>) -> bool {
    read(call, Register::Id) & 0xfff0 == 0xb0c0
}

/// Whether it has the screen.
pub fn is_on(call: &mut Call<'_>) -> bool {
    is_present(call) && read(call, Register::Enable) & ENABLED != 0
}

/// Gives the screen back to the VGA.
pub fn turn_off(call: &mut Call<'_>) {
    if is_present(call) {
        write(call, Register::Enable, 0);
    }
}
