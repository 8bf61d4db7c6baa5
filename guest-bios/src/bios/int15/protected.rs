//! Function 89h: to protected mode (IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 15h"). The caller's
//! table at ES:SI has eight descriptors: none, GDT, IDT, DS, ES, SS, CS, and one for the firmware's code.

use super::super::call::{Call, Resume, Served};
use super::super::pic;
use crate::rom;
use hvm::regs::{Rflags, SegmentName};

/// Opens A20, moves the interrupts to the vectors from BH and BL on, all masked, and fills in the firmware's descriptor;
/// the ROM does the rest.
pub fn enter(call: &mut Call<'_>) -> Served {
    const A20_PORT: u16 = 0x92;
    const A20_OPEN: u8 = 2;
    const CODE: u8 = 0x9b;
    let [low, high] = rom::SEGMENT.to_le_bytes();
    let base = [low << 4, high << 4 | low >> 4, high >> 4];
    let descriptor = [0xff, 0xff, base[0], base[1], base[2], CODE, 0, 0];
    let table = call.linear(SegmentName::Es, call.si().into());
    call.store(
        call.wrap(table.wrapping_add(rom::protected::FIRMWARE.into())),
        &descriptor,
    )?;
    let value = call.inb(A20_PORT);
    call.outb(A20_PORT, value | A20_OPEN);
    pic::start(call, [(call.bh(), 0xff), (call.bl(), 0xff)]);
    call.set_flags(Rflags::empty(), Rflags::IF);
    call.resume(Resume::Near(
        rom::protected::OFFSET.wrapping_sub(call.ip()) as i16
    ));
    Ok(())
}
