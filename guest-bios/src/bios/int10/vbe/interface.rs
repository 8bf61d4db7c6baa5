//! The protected-mode interface (VBE 3.0, function 4F0Ah): code that a 32-bit caller copies to where it likes and calls
//! near. The copy traps like the ROM does, because the service's number stands in the code.

use super::super::super::call::{Call, Served};
use super::dispi::{self, Register};
use super::{Answer, FAILED, NOT_IN_THIS_MODE};
use crate::rom::video;
use hvm::regs::{Gpr, SegmentName};

/// Function 4F0Ah: the table at ES:DI, CX bytes with the code behind it.
pub fn tell(call: &mut Call<'_>) -> Answer {
    if call.bl() != 0 {
        return Err(FAILED);
    }
    call.set_segment(SegmentName::Es, video::SEGMENT);
    call.set_di(video::PROTECTED_MODE);
    call.set_cx(video::PROTECTED_MODE_BYTES);
    Ok(())
}

/// The display's start at CX and DX: low and high part of its address in the framebuffer, counted in units of four bytes.
pub fn display_start_32(call: &mut Call<'_>) {
    let answer = start_at(call);
    finish(call, answer);
}

fn start_at(call: &mut Call<'_>) -> Answer {
    const UNIT_BYTES: u64 = 4;
    let mode = super::current(call).ok_or(NOT_IN_THIS_MODE)?;
    let width = dispi::read(call, Register::VirtualWidth).max(mode.width);
    let pixel = u64::from(mode.pixel_bytes());
    let pitch = u64::from(width) * pixel;
    let address = (u64::from(call.dx()) << 16 | u64::from(call.cx())) * UNIT_BYTES;
    let line = u16::try_from(address / pitch).map_err(|_| FAILED)?;
    dispi::write(call, Register::XOffset, (address % pitch / pixel) as u16);
    dispi::write(call, Register::YOffset, line);
    Ok(())
}

/// The palette, as function 4F09h has it, at ES:EDI.
pub fn palette_32(call: &mut Call<'_>) -> Served {
    let answer = super::palette_at(call, call.dword(Gpr::Rdi))?;
    finish(call, answer);
    Ok(())
}

fn finish(call: &mut Call<'_>, answer: Answer) {
    call.set_al(0x4f);
    call.set_ah(answer.err().unwrap_or(0));
}
