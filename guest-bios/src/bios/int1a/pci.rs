//! The PCI BIOS (PCI BIOS Specification 2.1): functions B1xxh, the same from real mode and through the 32-bit entry.

use super::super::call::{Call, Served};
use super::super::pci::{self, Function};
use crate::pir::{self, Route};
use guest_mem::Gva;
use hvm::Width;
use hvm::regs::{Gpr, SegmentName};

// Return codes in AH (2.1, table 4).
const SUCCESSFUL: u8 = 0;
const UNSUPPORTED: u8 = 0x81;
const BAD_VENDOR: u8 = 0x83;
const NOT_FOUND: u8 = 0x86;
const BAD_REGISTER: u8 = 0x87;
const BUFFER_TOO_SMALL: u8 = 0x89;

type Answer = Result<(), u8>;

/// Serves a call: the function in AL.
pub fn serve(call: &mut Call<'_>) -> Served {
    // Bit 7 came from the days before the specification.
    let answer = match call.al() & 0x7f {
        0x01 => present(call),
        0x02 => find_device(call),
        0x03 => find_class(call),
        0x06 => Err(UNSUPPORTED), // no special cycles
        function @ 0x08..=0x0d => access(call, function),
        0x0e => routing(call)?,
        0x0f => Err(UNSUPPORTED), // interrupts are routed by the board
        _ => Err(UNSUPPORTED),
    };
    match answer {
        Ok(()) => {
            call.set_ah(SUCCESSFUL);
            call.succeed();
        }
        Err(code) => {
            call.set_ah(code);
            call.fail();
        }
    }
    Ok(())
}

/// EDX "PCI ", mechanism 1, version 2.10h, last bus 0.
fn present(call: &mut Call<'_>) -> Answer {
    call.set_dword(Gpr::Rdx, u32::from_le_bytes(*b"PCI "));
    call.set_al(1);
    call.set_bx(0x0210);
    call.set_cl(0);
    Ok(())
}

/// Device CX of vendor DX, the SIth of them.
fn find_device(call: &mut Call<'_>) -> Answer {
    if call.dx() == 0xffff {
        return Err(BAD_VENDOR);
    }
    let wanted = u32::from(call.cx()) << 16 | u32::from(call.dx());
    find_nth(call, |call, function| {
        function.read(call, pci::VENDOR, Width::Dword) == wanted
    })
}

/// Class, subclass and interface ECX, the SIth of them.
fn find_class(call: &mut Call<'_>) -> Answer {
    let wanted = call.dword(Gpr::Rcx) & 0xff_ffff;
    find_nth(call, |call, function| {
        function.read(call, pci::CLASS, Width::Dword) >> 8 == wanted
    })
}

fn find_nth(
    call: &mut Call<'_>,
    mut matches: impl FnMut(&mut Call<'_>, Function) -> bool,
) -> Answer {
    let mut left = call.si();
    let found = pci::find(call, |call, function| {
        if !matches(call, function) {
            return None;
        }
        match left.checked_sub(1) {
            Some(less) => {
                left = less;
                None
            }
            None => Some(function),
        }
    });
    let function = found.ok_or(NOT_FOUND)?;
    call.set_bh(function.bus);
    call.set_bl(function.slot_function);
    Ok(())
}

/// Functions 08h to 0Dh: register DI of function BX, in CL, CX or ECX.
fn access(call: &mut Call<'_>, number: u8) -> Answer {
    let function = Function {
        bus: call.bh(),
        slot_function: call.bl(),
    };
    let width = match number {
        0x08 | 0x0b => Width::Byte,
        0x09 | 0x0c => Width::Word,
        _ => Width::Dword,
    };
    let register = call.di();
    if register > 0xff || !usize::from(register).is_multiple_of(width.bytes()) {
        return Err(BAD_REGISTER);
    }
    let register = register as u8;
    if number >= 0x0b {
        let value = width.cut(call.dword(Gpr::Rcx).into()) as u32;
        function.write(call, register, width, value);
        return Ok(());
    }
    let value = function.read(call, register, width);
    match width {
        Width::Byte => call.set_cl(value as u8),
        Width::Word => call.set_cx(value as u16),
        _ => call.set_dword(Gpr::Rcx, value),
    }
    Ok(())
}

/// Function 0Eh: the routing table to the buffer that the structure at ES:DI names (size, offset, selector; the offset
/// is 32 bits wide for a caller in 32-bit code); BX the interrupts that only PCI uses.
fn routing(call: &mut Call<'_>) -> Served<Answer> {
    let wide = call.is_32_bit();
    let at = call.linear(
        SegmentName::Es,
        if wide {
            call.dword(Gpr::Rdi)
        } else {
            call.di().into()
        },
    );
    let room: u16 = call.load(at)?;
    let buffer = if wide {
        let offset: u32 = call.load(at.wrapping_add(2))?;
        // The selector is the caller's data segment, flat in every known caller.
        call.linear(SegmentName::Ds, offset)
    } else {
        let [offset, segment]: [u16; 2] = call.load(at.wrapping_add(2))?;
        Gva(u64::from(segment) * 16 + u64::from(offset))
    };
    let routes = pir::routes();
    let bytes = routes.len() * size_of::<Route>();
    call.store(at, &(bytes as u16))?;
    if usize::from(room) < bytes {
        return Ok(Err(BUFFER_TOO_SMALL));
    }
    for (index, route) in routes.enumerate() {
        let offset = index * size_of::<Route>();
        call.store(buffer.wrapping_add(offset as u64), &route)?;
    }
    call.set_bx(pir::exclusive());
    Ok(Ok(()))
}
