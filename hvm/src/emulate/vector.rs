//! MMX, SSE and AVX moves, on the vCPU's XSAVE image.

use super::memory::Alignment;
use super::{Bus, Execution, Flow, Reason, Stop, XsaveImage};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Cr0, Cr4, Registers};
use crate::walk::AccessKind;
use iced_x86::{Code, OpKind, Register};

/// XCR0: SSE and AVX state.
const SSE_AND_AVX: u64 = 6;

/// How much a move moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// An MMX register, or its low half; a load clears the rest.
    Mmx(Width),
    /// The low end of an XMM register; a load clears the rest.
    Low(Width),
    /// This half of an XMM register; a load keeps the other.
    Half(Half),
    /// All of an XMM register.
    Whole(Alignment),
    /// All of a YMM register.
    Double(Alignment),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Lower,
    Upper,
}

/// Whose rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Legacy,
    /// With VEX, which clears the register above what is loaded.
    Vex,
}

/// The move with this code.
fn legacy(code: Code) -> Option<Extent> {
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
        Code::Movlps_xmm_m64
        | Code::Movlps_m64_xmm
        | Code::Movlpd_xmm_m64
        | Code::Movlpd_m64_xmm => Extent::Half(Half::Lower),
        Code::Movhps_xmm_m64
        | Code::Movhps_m64_xmm
        | Code::Movhpd_xmm_m64
        | Code::Movhpd_m64_xmm => Extent::Half(Half::Upper),
        Code::Movq_mm_mmm64
        | Code::Movq_mmm64_mm
        | Code::Movq_mm_rm64
        | Code::Movq_rm64_mm
        | Code::Movntq_m64_mm => Extent::Mmx(Width::Qword),
        Code::Movd_mm_rm32 | Code::Movd_rm32_mm => Extent::Mmx(Width::Dword),
        _ => return None,
    })
}

/// The same with VEX, which has no MMX registers.
fn vex(code: Code) -> Option<Extent> {
    Some(match code {
        Code::VEX_Vmovups_xmm_xmmm128
        | Code::VEX_Vmovups_xmmm128_xmm
        | Code::VEX_Vmovupd_xmm_xmmm128
        | Code::VEX_Vmovupd_xmmm128_xmm
        | Code::VEX_Vmovdqu_xmm_xmmm128
        | Code::VEX_Vmovdqu_xmmm128_xmm
        | Code::VEX_Vlddqu_xmm_m128 => Extent::Whole(Alignment::Free),
        Code::VEX_Vmovups_ymm_ymmm256
        | Code::VEX_Vmovups_ymmm256_ymm
        | Code::VEX_Vmovupd_ymm_ymmm256
        | Code::VEX_Vmovupd_ymmm256_ymm
        | Code::VEX_Vmovdqu_ymm_ymmm256
        | Code::VEX_Vmovdqu_ymmm256_ymm
        | Code::VEX_Vlddqu_ymm_m256 => Extent::Double(Alignment::Free),
        Code::VEX_Vmovaps_xmm_xmmm128
        | Code::VEX_Vmovaps_xmmm128_xmm
        | Code::VEX_Vmovapd_xmm_xmmm128
        | Code::VEX_Vmovapd_xmmm128_xmm
        | Code::VEX_Vmovdqa_xmm_xmmm128
        | Code::VEX_Vmovdqa_xmmm128_xmm
        | Code::VEX_Vmovntps_m128_xmm
        | Code::VEX_Vmovntpd_m128_xmm
        | Code::VEX_Vmovntdq_m128_xmm
        | Code::VEX_Vmovntdqa_xmm_m128 => Extent::Whole(Alignment::Needed),
        Code::VEX_Vmovaps_ymm_ymmm256
        | Code::VEX_Vmovaps_ymmm256_ymm
        | Code::VEX_Vmovapd_ymm_ymmm256
        | Code::VEX_Vmovapd_ymmm256_ymm
        | Code::VEX_Vmovdqa_ymm_ymmm256
        | Code::VEX_Vmovdqa_ymmm256_ymm
        | Code::VEX_Vmovntps_m256_ymm
        | Code::VEX_Vmovntpd_m256_ymm
        | Code::VEX_Vmovntdq_m256_ymm
        | Code::VEX_Vmovntdqa_ymm_m256 => Extent::Double(Alignment::Needed),
        Code::VEX_Vmovq_xmm_xmmm64
        | Code::VEX_Vmovq_xmmm64_xmm
        | Code::VEX_Vmovq_xmm_rm64
        | Code::VEX_Vmovq_rm64_xmm
        | Code::VEX_Vmovsd_xmm_m64
        | Code::VEX_Vmovsd_m64_xmm => Extent::Low(Width::Qword),
        Code::VEX_Vmovd_xmm_rm32
        | Code::VEX_Vmovd_rm32_xmm
        | Code::VEX_Vmovss_xmm_m32
        | Code::VEX_Vmovss_m32_xmm => Extent::Low(Width::Dword),
        Code::VEX_Vmovlps_m64_xmm | Code::VEX_Vmovlpd_m64_xmm => Extent::Half(Half::Lower),
        Code::VEX_Vmovhps_m64_xmm | Code::VEX_Vmovhpd_m64_xmm => Extent::Half(Half::Upper),
        _ => return None,
    })
}

/// The number of an MMX, XMM or YMM register.
fn number(register: Register) -> Option<u8> {
    [
        (Register::MM0, 8),
        (Register::XMM0, 16),
        (Register::YMM0, 16),
    ]
    .into_iter()
    .find_map(|(first, count)| {
        let index = (register as usize).wrapping_sub(first as usize);
        (index < count).then_some(index as u8)
    })
}

/// A register's contents, the lowest first.
type Value = [u64; 4];

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// Whichever move it is: a register's old contents are read where they are kept, then the source, then the target is written.
    pub(super) fn vector(&mut self) -> Result<Flow, Stop> {
        let unsupported = Stop::Unsupported(Reason::Instruction);
        let code = self.instruction.code();
        let (extent, encoding) = match (legacy(code), vex(code)) {
            (Some(extent), _) => (extent, Encoding::Legacy),
            (None, Some(extent)) => (extent, Encoding::Vex),
            (None, None) => return Err(unsupported),
        };
        let [to, from] = [0, 1].map(|operand| number(self.instruction.op_register(operand)));
        let is_memory = |operand| self.instruction.op_kind(operand) == OpKind::Memory;
        // Between registers, these keep what they do not move.
        let merges = matches!(
            code,
            Code::Movss_xmm_xmmm32
                | Code::Movss_xmmm32_xmm
                | Code::Movsd_xmm_xmmm64
                | Code::Movsd_xmmm64_xmm
        );
        if merges && to.is_some() && from.is_some() {
            return Err(unsupported);
        }
        self.check_vectors(extent, encoding)?;
        if self.bus.xsave_image().is_none() {
            return Err(Stop::Unsupported(Reason::Vectors));
        }
        if is_memory(1) || from.is_none() {
            let index = to.ok_or(unsupported)?;
            let value = self.load_vector(extent)?;
            self.set_vector(index, extent, encoding, value);
        } else {
            let index = from.ok_or(unsupported)?;
            let value = self.show(|image| read(image, index, extent));
            match to.filter(|_| !is_memory(0)) {
                Some(to) => self.set_vector(to, extent, encoding, value),
                None => self.store_vector(extent, value)?,
            }
        }
        if matches!(extent, Extent::Mmx(_)) {
            self.show(|image| image.enter_mmx());
        }
        Ok(Flow::Next)
    }

    /// Has something done with the image, which is there.
    fn show<T: Default>(&mut self, work: impl FnOnce(&mut XsaveImage<'_>) -> T) -> T {
        match self.bus.xsave_image() {
            Some(mut image) => work(&mut image),
            None => T::default(),
        }
    }

    /// SDM vol. 3A, tables 2-2, 12-1 and 14-1; vol. 2A, 2.4.
    fn check_vectors(&mut self, extent: Extent, encoding: Encoding) -> Result<(), Stop> {
        const FLOATING_POINT: Exception = Exception::plain(16);
        let cr0 = Cr0::from_bits_retain(self.cpu.cr0());
        let cr4 = Cr4::from_bits_retain(self.cpu.cr4());
        let is_mmx = matches!(extent, Extent::Mmx(_));
        let is_there = match encoding {
            Encoding::Legacy => !cr0.contains(Cr0::EM) && (is_mmx || cr4.contains(Cr4::OSFXSR)),
            Encoding::Vex => {
                !self.has_paragraphs()
                    && cr4.contains(Cr4::OSXSAVE)
                    && self.bus.xcr0() & SSE_AND_AVX == SSE_AND_AVX
            }
        };
        if !is_there {
            return Err(Exception::INVALID_OPCODE.into());
        }
        if cr0.contains(Cr0::TS) {
            return Err(Exception::plain(7).into());
        }
        if is_mmx && self.show(|image| image.has_pending_exception()) {
            return Err(FLOATING_POINT.into());
        }
        Ok(())
    }

    fn load_vector(&mut self, extent: Extent) -> Result<Value, Stop> {
        let (alignment, bytes) = match extent {
            Extent::Mmx(width) | Extent::Low(width) => {
                let place = self.place(1, width, AccessKind::Read)?;
                return Ok([self.get(&place, width), 0, 0, 0]);
            }
            Extent::Half(_) => {
                let place = self.place(1, Width::Qword, AccessKind::Read)?;
                return Ok([self.get(&place, Width::Qword), 0, 0, 0]);
            }
            Extent::Whole(alignment) => (alignment, 16),
            Extent::Double(alignment) => (alignment, 32),
        };
        let span = self.wide_span(bytes, AccessKind::Read, alignment)?;
        let mut value = [0; 4];
        self.load_wide(&span, &mut value[..bytes as usize / 8]);
        Ok(value)
    }

    fn store_vector(&mut self, extent: Extent, value: Value) -> Result<(), Stop> {
        let (alignment, bytes) = match extent {
            Extent::Mmx(width) | Extent::Low(width) => {
                let place = self.place(0, width, AccessKind::Write)?;
                self.set(&place, width, width.cut(value[0]));
                return Ok(());
            }
            Extent::Half(_) => {
                let place = self.place(0, Width::Qword, AccessKind::Write)?;
                self.set(&place, Width::Qword, value[0]);
                return Ok(());
            }
            Extent::Whole(alignment) => (alignment, 16),
            Extent::Double(alignment) => (alignment, 32),
        };
        let span = self.wide_span(bytes, AccessKind::Write, alignment)?;
        self.store_wide(&span, &value[..bytes as usize / 8]);
        Ok(())
    }

    fn set_vector(&mut self, index: u8, extent: Extent, encoding: Encoding, value: Value) {
        let wide = |low: u64, high: u64| u128::from(high) << 64 | u128::from(low);
        let [first, second, third, fourth] = value;
        self.show(|image| {
            let before = image.xmm(index);
            match extent {
                Extent::Mmx(_) => image.set_mmx(index, first),
                Extent::Half(Half::Lower) => {
                    image.set_xmm(index, wide(first, (before >> 64) as u64));
                }
                Extent::Half(Half::Upper) => image.set_xmm(index, wide(before as u64, first)),
                _ => image.set_xmm(index, wide(first, second)),
            }
            if encoding == Encoding::Vex {
                image.set_upper(index, wide(third, fourth));
            }
        });
    }
}

/// What a register holds for a move of this extent.
fn read(image: &XsaveImage<'_>, index: u8, extent: Extent) -> Value {
    let xmm = image.xmm(index);
    let (low, high) = (xmm as u64, (xmm >> 64) as u64);
    match extent {
        Extent::Mmx(_) => [image.mmx(index), 0, 0, 0],
        Extent::Low(width) => [width.cut(low), 0, 0, 0],
        Extent::Half(Half::Lower) => [low, 0, 0, 0],
        Extent::Half(Half::Upper) => [high, 0, 0, 0],
        Extent::Whole(_) => [low, high, 0, 0],
        Extent::Double(_) => {
            let upper = image.upper(index);
            [low, high, upper as u64, (upper >> 64) as u64]
        }
    }
}
