//! PCI configuration space by mechanism #1 (PCI Local Bus 3.0, 3.2.2.3.2).

use super::call::Call;
use hvm::Width;

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
const ENABLE: u32 = 1 << 31;

pub const VENDOR: u8 = 0;
pub const COMMAND: u8 = 4;
pub const CLASS: u8 = 8;
pub const HEADER_TYPE: u8 = 0x0e;
pub const BAR0: u8 = 0x10;
pub const INTERRUPT_LINE: u8 = 0x3c;
pub const INTERRUPT_PIN: u8 = 0x3d;

/// A function of bus 0 or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    pub bus: u8,
    /// Slot in bits 7:3, function in 2:0.
    pub slot_function: u8,
}

impl Function {
    pub const fn slot(self) -> u8 {
        self.slot_function >> 3
    }

    fn select(self, call: &mut Call<'_>, register: u8) -> u16 {
        let address = ENABLE
            | u32::from(self.bus) << 16
            | u32::from(self.slot_function) << 8
            | u32::from(register & 0xfc);
        call.machine.port_out(ADDRESS, Width::Dword, address);
        DATA + u16::from(register & 3)
    }

    /// Reads a register; all ones if nobody is there.
    pub fn read(self, call: &mut Call<'_>, register: u8, width: Width) -> u32 {
        let port = self.select(call, register);
        call.machine.port_in(port, width)
    }

    pub fn write(self, call: &mut Call<'_>, register: u8, width: Width, value: u32) {
        let port = self.select(call, register);
        call.machine.port_out(port, width, value);
    }

    fn is_present(self, call: &mut Call<'_>) -> bool {
        !matches!(self.read(call, VENDOR, Width::Dword) & 0xffff, 0 | 0xffff)
    }
}

/// Calls `visit` for each function of bus 0, which is the only one, until it answers with something.
pub fn find<T>(
    call: &mut Call<'_>,
    mut visit: impl FnMut(&mut Call<'_>, Function) -> Option<T>,
) -> Option<T> {
    const MULTIFUNCTION: u32 = 0x80;
    for slot in 0..32 {
        for function in 0..8 {
            let this = Function {
                bus: 0,
                slot_function: slot << 3 | function,
            };
            if this.is_present(call)
                && let Some(found) = visit(call, this)
            {
                return Some(found);
            }
            let first = Function {
                bus: 0,
                slot_function: slot << 3,
            };
            if function == 0 && first.read(call, HEADER_TYPE, Width::Byte) & MULTIFUNCTION == 0 {
                break;
            }
        }
    }
    None
}
