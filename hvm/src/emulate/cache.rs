//! Decoded instructions, so that code that exits again and again is decoded once.

use super::address::Form;
use super::code::{Code, CodeMode, Refusal};
use super::operand::{Part, general, width_of};
use super::site::Sites;
use super::{Reason, Stop, length};
use crate::Width;
use crate::event::Exception;
use crate::walk::FetchCache;
use iced_x86::{Decoder, DecoderError, DecoderOptions, Instruction, OpKind};

/// A power of two: enough for the device accesses of a guest's busy drivers.
const ENTRIES: usize = 64;

/// One decoded instruction, with its operands in our terms. Valid wherever the same bytes stand: it was decoded as if at
/// address 0.
pub(super) struct Decoded {
    /// Its bytes, the lowest first, and zeros.
    bytes: u128,
    /// Ones where it has bytes.
    mask: u128,
    mode: CodeMode,
    pub instruction: Instruction,
    pub address: Form,
    /// The operands that are general registers.
    pub parts: [Option<Part>; 3],
    /// The width of the memory operand, if it is an integer.
    pub memory_width: Option<Width>,
}

impl Decoded {
    /// No instruction, for what happens between two.
    pub fn none(mode: CodeMode) -> Self {
        let instruction = Instruction::default();
        Self {
            bytes: 0,
            mask: 0,
            mode,
            address: Form::of(&instruction),
            parts: [None; 3],
            memory_width: None,
            instruction,
        }
    }
}

/// What is remembered of the guest's code: where its pages are, what exits again and again, and decoded instructions. All
/// of it is checked at each use, so nothing has to be flushed. One per vCPU.
pub struct DecodeCache {
    pub(super) sites: Sites,
    pub(super) pages: FetchCache,
    pub(super) instructions: Instructions,
}

impl DecodeCache {
    /// An empty cache.
    pub const fn new() -> Self {
        Self {
            sites: Sites::new(),
            pages: FetchCache::new(),
            instructions: Instructions {
                entries: [const { None }; ENTRIES],
            },
        }
    }
}

impl Default for DecodeCache {
    fn default() -> Self {
        Self::new()
    }
}

/// Decoded instructions, found by address and checked by bytes and mode.
pub(super) struct Instructions {
    entries: [Option<Decoded>; ENTRIES],
}

impl Instructions {
    /// Decodes what `code` holds; `extend` reads more of it where the instruction turns out to be longer.
    #[inline]
    pub fn decode(
        &mut self,
        code: &mut Code,
        rip: u64,
        mode: CodeMode,
        extend: impl FnMut(&mut Code) -> Result<(), Refusal>,
    ) -> Result<&Decoded, Stop> {
        let slot = &mut self.entries[(rip ^ rip >> 6) as usize % ENTRIES];
        let hit = slot.as_ref().is_some_and(|known| {
            (known.bytes ^ code.word()) & known.mask == 0
                && known.mode == mode
                && known.instruction.len() <= code.bytes().len()
        });
        if !hit {
            *slot = Some(decode(code, mode, extend)?);
        }
        slot.as_ref().ok_or(Stop::Unsupported(Reason::Undecodable))
    }
}

#[cold]
fn decode(
    code: &mut Code,
    mode: CodeMode,
    mut extend: impl FnMut(&mut Code) -> Result<(), Refusal>,
) -> Result<Decoded, Stop> {
    loop {
        let mut decoder = Decoder::new(mode as u32, code.bytes(), DecoderOptions::NONE);
        let instruction = decoder.decode();
        match decoder.last_error() {
            DecoderError::None => {
                let mask = !(u128::MAX << (8 * instruction.len() as u32));
                let part = |operand| match instruction.op_kind(operand) {
                    OpKind::Register => general(instruction.op_register(operand)),
                    _ => None,
                };
                return Ok(Decoded {
                    bytes: code.word() & mask,
                    mask,
                    mode,
                    address: Form::of(&instruction),
                    parts: [0, 1, 2].map(part),
                    memory_width: width_of(instruction.memory_size()),
                    instruction,
                });
            }
            // Each turn adds bytes, up to 15, or fails.
            DecoderError::NoMoreBytes => extend(code)?,
            _ => return Err(undecodable(code.bytes(), mode)),
        }
    }
}

/// What bytes that the decoder refuses mean: #UD, unless they start like one of the sets that it leaves out; #GP where
/// prefixes fill the longest instruction.
fn undecodable(bytes: &[u8], mode: CodeMode) -> Stop {
    match length::split(bytes, mode).1 {
        [] => Stop::Fault(Exception::GENERAL_PROTECTION),
        // EVEX, XOP and 3DNow!.
        [0x62 | 0x8f, ..] | [0x0f, 0x0f, ..] => Stop::Unsupported(Reason::Undecodable),
        _ => Stop::Fault(Exception::INVALID_OPCODE),
    }
}

/// Builds the decoder's tables, which allocates and takes some hundred thousand instructions: once, at boot.
pub fn warm_up() {
    core::hint::black_box(Decoder::new(64, &[], DecoderOptions::NONE));
}
