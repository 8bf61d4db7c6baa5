//! The bytes of the instruction at RIP.

use crate::event::Exception;
use crate::regs::{Attributes, Cr0, Efer, Registers, SegmentName};
use crate::walk::FetchCache;
use guest_mem::{Gpa, GuestMemory, Gva, PAGE_BYTES};

/// No instruction is longer (SDM vol. 2A, 2.3.11).
pub const MAX_BYTES: usize = 15;

/// How the code segment makes the CPU read opcodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum CodeMode {
    Bits16 = 16,
    Bits32 = 32,
    Bits64 = 64,
}

impl CodeMode {
    /// Of the code segment that is loaded now.
    #[inline]
    pub fn of(cpu: &impl Registers) -> Self {
        let attributes = cpu.segment(SegmentName::Cs).attributes;
        if cpu.efer() & Efer::LMA.bits() != 0 && attributes.contains(Attributes::L) {
            Self::Bits64
        } else if attributes.contains(Attributes::DB) {
            Self::Bits32
        } else {
            Self::Bits16
        }
    }

    /// RIP after `length` more bytes.
    #[inline]
    pub const fn advance(self, rip: u64, length: u64) -> u64 {
        let sum = rip.wrapping_add(length);
        match self {
            Self::Bits64 => sum,
            _ => sum & 0xffff_ffff,
        }
    }
}

/// Why the bytes at RIP could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The fetch faults: inject this.
    Fault(Exception),
    /// The code lies outside RAM.
    NotRam(Gpa),
}

/// Where code is read from: RAM, by walks that are remembered.
pub(super) struct Source<'a> {
    pub memory: &'a GuestMemory,
    /// MAXPHYADDR as the guest's CPUID tells it.
    pub physical_bits: u8,
    pub pages: &'a mut FetchCache,
}

impl Source<'_> {
    /// Translates a fetch in the name of the current privilege level.
    #[inline(always)]
    pub fn translate(&mut self, cpu: &impl Registers, gva: Gva) -> Result<Gpa, Refusal> {
        self.pages
            .translate(cpu, self.physical_bits, self.memory, gva)
            .map_err(Refusal::Fault)
    }
}

/// RIP's linear address, and how many bytes the code segment holds from there.
#[inline]
pub(super) fn linear_rip(cpu: &impl Registers, mode: CodeMode) -> Result<(Gva, u64), Exception> {
    let rip = cpu.rip();
    if mode == CodeMode::Bits64 {
        return Ok((Gva(rip), MAX_BYTES as u64));
    }
    let segment = cpu.segment(SegmentName::Cs);
    match u64::from(segment.limit).checked_sub(rip) {
        Some(last) => Ok((
            Gva(segment.base.wrapping_add(rip) & 0xffff_ffff),
            last.saturating_add(1),
        )),
        None => Err(limit_fault(cpu)),
    }
}

/// #GP for code beyond its limit; real mode pushes no error code.
#[cold]
fn limit_fault(cpu: &impl Registers) -> Exception {
    if cpu.cr0() & Cr0::PE.bits() == 0 {
        Exception::plain(13)
    } else {
        Exception::GENERAL_PROTECTION
    }
}

/// What has been read so far: first up to the end of RIP's page, more only when asked, because the next page may
/// fault and an instruction that ends before it must not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code {
    bytes: [u8; MAX_BYTES + 1],
    /// Bytes read.
    available: usize,
    /// Bytes that the segment limit and the longest instruction leave.
    room: usize,
    linear: Gva,
    mode: CodeMode,
}

impl Code {
    /// Nothing yet. What is read is filled in in place, because copies of it would be on the way of every emulated instruction.
    #[inline]
    pub const fn new(mode: CodeMode) -> Self {
        Self {
            bytes: [0; MAX_BYTES + 1],
            available: 0,
            room: 0,
            linear: Gva(0),
            mode,
        }
    }

    /// Reads what RIP's page holds of the instruction.
    #[inline]
    pub fn fetch(&mut self, cpu: &impl Registers, source: &mut Source<'_>) -> Result<(), Refusal> {
        self.locate(cpu)?;
        let last = PAGE_BYTES - self.bytes.len() as u64;
        if self.linear.page_offset() > last || self.room != MAX_BYTES {
            return self.read_page(cpu, source);
        }
        // All of it and a byte more, in one piece.
        let gpa = source.translate(cpu, self.linear)?;
        self.bytes = source
            .memory
            .load(gpa)
            .map_err(|unmapped| Refusal::NotRam(unmapped.gpa))?;
        self.available = MAX_BYTES;
        Ok(())
    }

    #[inline]
    fn locate(&mut self, cpu: &impl Registers) -> Result<(), Refusal> {
        let (linear, room) = linear_rip(cpu, self.mode).map_err(Refusal::Fault)?;
        self.linear = linear;
        self.room = room.min(MAX_BYTES as u64) as usize;
        Ok(())
    }

    /// The bytes that the CPU itself fetched (decode assists), all that an instruction can have.
    #[cold]
    pub fn give(&mut self, cpu: &impl Registers, fetched: &[u8; MAX_BYTES]) -> Result<(), Refusal> {
        self.locate(cpu)?;
        self.bytes[..MAX_BYTES].copy_from_slice(fetched);
        self.available = self.room;
        Ok(())
    }

    /// Reads what the next page holds, for a decoder that wants more than there is. There is a next page to read, or
    /// this is the fault of an instruction that is too long or leaves its segment.
    #[cold]
    pub fn extend(&mut self, cpu: &impl Registers, source: &mut Source<'_>) -> Result<(), Refusal> {
        if self.available >= self.room {
            return Err(Refusal::Fault(limit_fault(cpu)));
        }
        self.read_page(cpu, source)
    }

    #[cold]
    fn read_page(&mut self, cpu: &impl Registers, source: &mut Source<'_>) -> Result<(), Refusal> {
        let gva = Gva(self.mode.advance(self.linear.0, self.available as u64));
        let gpa = source.translate(cpu, gva)?;
        let in_page = (PAGE_BYTES - gva.page_offset()) as usize;
        let end = self.room.min(self.available + in_page);
        if let Some(into) = self.bytes.get_mut(self.available..end) {
            source
                .memory
                .read(gpa, into)
                .map_err(|unmapped| Refusal::NotRam(unmapped.gpa))?;
            self.available = end;
        }
        Ok(())
    }

    /// The bytes that have been read.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.available).unwrap_or_default()
    }

    /// The same as one number, first byte lowest; what was not read is undefined.
    #[inline]
    pub fn word(&self) -> u128 {
        u128::from_le_bytes(self.bytes)
    }
}
