//! Plain SSE moves to and from memory, on the vCPU's XSAVE image.

use super::memory::Alignment;
use super::operand::Place;
use super::{Bus, Execution, Flow, Reason, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Cr0, Cr4, Registers};
use crate::walk::AccessKind;
use iced_x86::{Code, OpKind, Register};

/// How much a move moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// The low end of the register; a load clears the rest.
    Low(Width),
    /// All of it.
    Whole(Alignment),
}

/// The move with this code.
fn extent(code: Code) -> Option<Extent> {
    Some(match code {
        Code::Movups_xmm_xmmm128
        | Code::Movups_xmmm128_xmm
        | Code::Movupd_xmm_xmmm128
        | Code::Movupd_xmmm128_xmm
        | Code::Movdqu_xmm_xmmm128
        | Code::Movdqu_xmmm128_xmm
        | Code::Lddqu_xmm_m128 => Extent::Whole(Alignment::Free),
        Code::Movaps_xmm_xmmm128
        | Code::Movaps_xmmm128_xmm
        | Code::Movapd_xmm_xmmm128
        | Code::Movapd_xmmm128_xmm
        | Code::Movdqa_xmm_xmmm128
        | Code::Movdqa_xmmm128_xmm
        | Code::Movntps_m128_xmm
        | Code::Movntpd_m128_xmm
        | Code::Movntdq_m128_xmm
        | Code::Movntdqa_xmm_m128 => Extent::Whole(Alignment::Needed),
        Code::Movq_xmm_xmmm64
        | Code::Movq_xmmm64_xmm
        | Code::Movq_xmm_rm64
        | Code::Movq_rm64_xmm
        | Code::Movsd_xmm_xmmm64
        | Code::Movsd_xmmm64_xmm => Extent::Low(Width::Qword),
        Code::Movd_xmm_rm32
        | Code::Movd_rm32_xmm
        | Code::Movss_xmm_xmmm32
        | Code::Movss_xmmm32_xmm => Extent::Low(Width::Dword),
        _ => return None,
    })
}

/// XMM0 to XMM15 by number.
fn xmm(register: Register) -> Option<u8> {
    let index = (register as usize).wrapping_sub(Register::XMM0 as usize);
    (index < 16).then_some(index as u8)
}

impl<C: Registers, B: Bus> Execution<'_, C, B> {
    pub(super) fn vector(&mut self) -> Result<Flow, Stop> {
        let unsupported = Stop::Unsupported(Reason::Instruction);
        let extent = extent(self.instruction.code()).ok_or(unsupported)?;
        let is_memory = |operand| self.instruction.op_kind(operand) == OpKind::Memory;
        let (is_load, is_store) = (is_memory(1), is_memory(0));
        let register = self.instruction.op_register(u32::from(is_store));
        let index = xmm(register)
            .filter(|_| is_load || is_store)
            .ok_or(unsupported)?;
        self.check_vectors()?;
        if self.bus.xsave_image().is_none() {
            return Err(Stop::Unsupported(Reason::Vectors));
        }
        if is_load {
            let value = self.load_vector(extent)?;
            if let Some(mut image) = self.bus.xsave_image() {
                image.set_xmm(index, value);
            }
        } else {
            let value = self.bus.xsave_image().map_or(0, |image| image.xmm(index));
            self.store_vector(extent, value)?;
        }
        Ok(Flow::Next)
    }

    /// SDM vol. 3A, table 2-2 and 14.1.
    fn check_vectors(&self) -> Result<(), Stop> {
        let cr0 = Cr0::from_bits_retain(self.cpu.cr0());
        if cr0.contains(Cr0::EM) || self.cpu.cr4() & Cr4::OSFXSR.bits() == 0 {
            Err(Exception::INVALID_OPCODE.into())
        } else if cr0.contains(Cr0::TS) {
            Err(Exception::plain(7).into())
        } else {
            Ok(())
        }
    }

    fn load_vector(&mut self, extent: Extent) -> Result<u128, Stop> {
        match extent {
            Extent::Low(width) => self
                .low_place(width, AccessKind::Read)
                .map(|place| u128::from(self.get(&place, width))),
            Extent::Whole(alignment) => {
                let span = self.wide_span(AccessKind::Read, alignment)?;
                Ok(self.load_wide(&span))
            }
        }
    }

    fn store_vector(&mut self, extent: Extent, value: u128) -> Result<(), Stop> {
        match extent {
            Extent::Low(width) => {
                let place = self.low_place(width, AccessKind::Write)?;
                self.set(&place, width, value as u64);
            }
            Extent::Whole(alignment) => {
                let span = self.wide_span(AccessKind::Write, alignment)?;
                self.store_wide(&span, value);
            }
        }
        Ok(())
    }

    fn low_place(&mut self, width: Width, kind: AccessKind) -> Result<Place, Stop> {
        let operand = u32::from(kind == AccessKind::Read);
        self.place(operand, width, kind)
    }
}
