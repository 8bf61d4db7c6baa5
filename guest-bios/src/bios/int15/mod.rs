//! INT 15h: system services (IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 15h"; ACPI 6.5, chapter 15).

mod apm;
mod memory;
mod protected;
mod wait;

use super::bda;
use super::call::{Call, Served};
use super::{Bios, Turn, mouse};
use crate::rom;
use hvm::regs::{Gpr, SegmentName};

/// Function not supported.
pub(super) const UNSUPPORTED: u8 = 0x86;

pub(super) use apm::{Connection, from_protected_mode as apm};
pub(super) use wait::elapsed;

/// Serves a call.
pub(super) fn serve(bios: &mut Bios, call: &mut Call<'_>, entry: super::Entry) -> Served<Turn> {
    match call.ah() {
        0x83 => return wait::event(bios, call).map(|()| Turn::Done),
        0x86 => return wait::delay(bios, call, entry),
        0x53 => return Ok(apm::serve(bios, call, entry)),
        0x24 => a20(call),
        // The keyboard's intercept: CF is set, nobody swallows.
        0x4f => call.fail(),
        // Eject, open, close, end of program, SysRq, device busy, device done: permitted, and nothing to do.
        0x52 | 0x80..=0x82 | 0x85 | 0x90 | 0x91 => {
            call.set_ah(0);
            call.succeed();
        }
        0x87 => memory::move_block(call)?,
        0x88 => memory::extended_kib(bios, call),
        0x89 => protected::enter(call)?,
        0x8a => memory::all_extended_kib(bios, call),
        0xc0 => {
            call.set_segment(SegmentName::Es, rom::SEGMENT);
            call.set_bx(rom::CONFIGURATION_TABLE);
            call.set_ah(0);
            call.succeed();
        }
        0xc1 => {
            let segment: u16 = call.load(bda::EBDA_SEGMENT)?;
            call.set_segment(SegmentName::Es, segment);
            call.succeed();
        }
        0xc2 => mouse::serve(bios, call)?,
        0xe8 => memory::serve(bios, call)?,
        // EISA is asked for by many and is not there.
        0xd8 => unsupported(call),
        _ => {
            bios.log_missing(call, 0x15);
            unsupported(call);
        }
    }
    Ok(Turn::Done)
}

fn unsupported(call: &mut Call<'_>) {
    call.set_ah(UNSUPPORTED);
    call.fail();
}

/// Functions 2400h to 2403h: address line 20, through port 92h.
fn a20(call: &mut Call<'_>) {
    const PORT: u16 = 0x92;
    const OPEN: u8 = 2;
    const BY_KEYBOARD_AND_PORT: u32 = 3;
    let value = call.inb(PORT);
    match call.al() {
        0 => call.outb(PORT, value & !OPEN),
        1 => call.outb(PORT, value | OPEN),
        2 => call.set_al(u8::from(value & OPEN != 0)),
        3 => {
            let upper = call.dword(Gpr::Rbx) & !0xffff;
            call.set_dword(Gpr::Rbx, upper | BY_KEYBOARD_AND_PORT);
        }
        _ => return unsupported(call),
    }
    call.set_ah(0);
    call.succeed();
}
