//! Where the next instruction starts, for CPUs without next-RIP.
//!
//! The exit has told which instruction it was; only its length is missing. The bytes are read and compared, because a
//! prefixed form is longer (66 0F A2 is a CPUID too), and because another CPU of the guest may have changed them since:
//! then nothing is skipped and the guest goes on at the same RIP. No operands are decoded here: instructions with a
//! ModRM byte go through [`super::step`].

use super::DecodeCache;
use super::code::{self, Code, CodeMode, MAX_BYTES, Refusal, Source};
use crate::event::Exception;
use crate::exit::Instruction;
use crate::regs::Registers;
use guest_mem::{Gpa, GuestMemory, PAGE_BYTES};

/// An opcode without prefixes and operands, one to three bytes.
struct Form(&'static [u8]);

impl Form {
    /// True if the four bytes of `word`, lowest first, start with this opcode.
    #[inline]
    const fn starts(&self, word: u32) -> bool {
        let mut opcode = 0;
        let mut index = self.0.len();
        while index > 0 {
            index -= 1;
            opcode = opcode << 8 | self.0[index] as u32;
        }
        (word ^ opcode) << (32 - 8 * self.0.len()) == 0
    }
}

/// How `instruction` is encoded (SDM vol. 2, APM vol. 3).
#[inline]
const fn forms(instruction: Instruction) -> &'static [Form] {
    match instruction {
        Instruction::Cpuid => &[Form(&[0x0f, 0xa2])],
        Instruction::Hlt => &[Form(&[0xf4])],
        Instruction::Rdmsr => &[Form(&[0x0f, 0x32])],
        Instruction::Wrmsr => &[Form(&[0x0f, 0x30])],
        Instruction::Hypercall => &[Form(&[0x0f, 0x01, 0xc1]), Form(&[0x0f, 0x01, 0xd9])],
        Instruction::Rdtsc => &[Form(&[0x0f, 0x31])],
        Instruction::Rdtscp => &[Form(&[0x0f, 0x01, 0xf9])],
        Instruction::Rdpmc => &[Form(&[0x0f, 0x33])],
        Instruction::Xsetbv => &[Form(&[0x0f, 0x01, 0xd1])],
        Instruction::Invd => &[Form(&[0x0f, 0x08])],
        Instruction::Wbinvd => &[Form(&[0x0f, 0x09])],
        Instruction::Pause => &[Form(&[0xf3, 0x90])],
        Instruction::Monitor => &[Form(&[0x0f, 0x01, 0xc8])],
        Instruction::Mwait => &[Form(&[0x0f, 0x01, 0xc9])],
        // Never completed: these are #UD.
        Instruction::Virtualization => &[],
    }
}

/// Why the next instruction could not be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Reading the bytes faults: inject this.
    Fault(Exception),
    /// The bytes at RIP are another instruction by now: enter the guest again, changing nothing.
    Changed,
    /// The code lies outside RAM.
    NotRam(Gpa),
}

impl From<Refusal> for Lost {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fault(exception) => Self::Fault(exception),
            Refusal::NotRam(gpa) => Self::NotRam(gpa),
        }
    }
}

/// RIP after `instruction`, which is the one at RIP. Changes nothing but the accessed marks of the guest's page tables.
/// `physical_bits` is MAXPHYADDR as the guest's CPUID tells it; `cache` belongs to this vCPU.
///
/// An exit that stands for two instructions (RDTSC for RDTSCP on some CPUs) is asked for one, then for the other.
#[inline]
pub fn next_rip(
    cpu: &impl Registers,
    physical_bits: u8,
    memory: &GuestMemory,
    cache: &mut DecodeCache,
    instruction: Instruction,
) -> Result<u64, Lost> {
    if let Some(next) = cache.sites.recall(cpu, memory, instruction) {
        return Ok(next);
    }
    find(cpu, physical_bits, memory, cache, instruction)
}

/// Reads the bytes.
#[inline(never)]
fn find(
    cpu: &impl Registers,
    physical_bits: u8,
    memory: &GuestMemory,
    cache: &mut DecodeCache,
    instruction: Instruction,
) -> Result<u64, Lost> {
    let mode = CodeMode::of(cpu);
    let mut source = Source {
        memory,
        physical_bits,
        pages: &mut cache.pages,
    };
    let (linear, room) = code::linear_rip(cpu, mode).map_err(Lost::Fault)?;
    let mut found = None;
    if linear.page_offset() <= PAGE_BYTES - 4 && room >= 4 {
        let gpa = source.translate(cpu, linear)?;
        let word = memory
            .load::<u32>(gpa)
            .map_err(|unmapped| Lost::NotRam(unmapped.gpa))?;
        let form = forms(instruction).iter().find(|form| form.starts(word));
        found = form.map(|form| form.0.len() as u64);
    }
    let length = match found {
        Some(length) => length,
        None => unusual(cpu, &mut source, instruction, mode)?,
    };
    // Code close to its segment's limit is left out: a prefix more or less could cross it.
    if room >= MAX_BYTES as u64 {
        cache
            .sites
            .remember(cpu, memory, &cache.pages, linear, instruction);
    }
    Ok(mode.advance(cpu.rip(), length))
}

/// Prefixed and page-crossing forms.
#[cold]
fn unusual(
    cpu: &impl Registers,
    source: &mut Source<'_>,
    instruction: Instruction,
    mode: CodeMode,
) -> Result<u64, Lost> {
    let mut code = Code::new(mode);
    code.fetch(cpu, source)?;
    loop {
        match expect(code.bytes(), mode, instruction) {
            Match::Length(length) => return Ok(length),
            Match::Other => return Err(Lost::Changed),
            // Each turn reads one more page or fails, and 15 bytes lie in two.
            Match::TooShort => code.extend(cpu, source)?,
        }
    }
}

/// What some bytes are, beside the instruction that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The instruction, that many bytes long.
    Length(u64),
    /// Another.
    Other,
    /// More bytes are needed to say.
    TooShort,
}

/// Compares up to 15 bytes, with any prefixes but LOCK, which is never legal here, with the encodings of `instruction`.
pub fn expect(bytes: &[u8], mode: CodeMode, instruction: Instruction) -> Match {
    let (prefix, opcode) = split(bytes, mode);
    if prefix.contains(&0xf0) {
        return Match::Other;
    }
    let mut forms = forms(instruction);
    if instruction == Instruction::Pause {
        // The prefix is part of the instruction, and need not stand next to the opcode.
        forms = if prefix.contains(&0xf3) || opcode.is_empty() {
            &[Form(&[0x90])]
        } else {
            &[]
        };
    }
    if let Some(form) = forms.iter().find(|form| opcode.starts_with(form.0)) {
        return Match::Length((prefix.len() + form.0.len()) as u64);
    }
    if bytes.len() < code::MAX_BYTES && forms.iter().any(|form| form.0.starts_with(opcode)) {
        return Match::TooShort;
    }
    Match::Other
}

/// Prefixes, and what follows them.
pub(super) fn split(bytes: &[u8], mode: CodeMode) -> (&[u8], &[u8]) {
    let is_prefix = |byte: &u8| match byte {
        0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3 => true,
        0x40..=0x4f => mode == CodeMode::Bits64,
        _ => false,
    };
    bytes.split_at(bytes.iter().take_while(|byte| is_prefix(byte)).count())
}

#[cfg(test)]
mod tests;
