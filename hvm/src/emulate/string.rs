//! String instructions, many elements at a time.

use super::address::{Logical, segment_of};
use super::alu;
use super::memory::{Mandate, Span};
use super::operand::{Part, general};
use super::{Bus, Execution, Flow, Stop};
use crate::Width;
use crate::pci::WindowCopy;
use crate::regs::{Gpr, Registers, Rflags, SegmentName};
use crate::walk::AccessKind;
use guest_mem::{Gpa, PAGE_BYTES};
use iced_x86::{Code, OpKind, Register};

/// Elements done before the guest's interrupts are looked at: a page of bytes.
const CHUNK: u64 = PAGE_BYTES;
/// Bytes that are in between at a time.
const BUFFER_BYTES: u64 = 512;

/// What one iteration does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Movs,
    Stos,
    Lods,
    Scas,
    Cmps,
    Ins,
    Outs,
}

/// The string instruction with this code; the mnemonics of two are also those of SSE instructions.
pub(super) fn operation(code: Code) -> Option<(Operation, Width)> {
    Some(match code {
        Code::Movsb_m8_m8 => (Operation::Movs, Width::Byte),
        Code::Movsw_m16_m16 => (Operation::Movs, Width::Word),
        Code::Movsd_m32_m32 => (Operation::Movs, Width::Dword),
        Code::Movsq_m64_m64 => (Operation::Movs, Width::Qword),
        Code::Stosb_m8_AL => (Operation::Stos, Width::Byte),
        Code::Stosw_m16_AX => (Operation::Stos, Width::Word),
        Code::Stosd_m32_EAX => (Operation::Stos, Width::Dword),
        Code::Stosq_m64_RAX => (Operation::Stos, Width::Qword),
        Code::Lodsb_AL_m8 => (Operation::Lods, Width::Byte),
        Code::Lodsw_AX_m16 => (Operation::Lods, Width::Word),
        Code::Lodsd_EAX_m32 => (Operation::Lods, Width::Dword),
        Code::Lodsq_RAX_m64 => (Operation::Lods, Width::Qword),
        Code::Scasb_AL_m8 => (Operation::Scas, Width::Byte),
        Code::Scasw_AX_m16 => (Operation::Scas, Width::Word),
        Code::Scasd_EAX_m32 => (Operation::Scas, Width::Dword),
        Code::Scasq_RAX_m64 => (Operation::Scas, Width::Qword),
        Code::Cmpsb_m8_m8 => (Operation::Cmps, Width::Byte),
        Code::Cmpsw_m16_m16 => (Operation::Cmps, Width::Word),
        Code::Cmpsd_m32_m32 => (Operation::Cmps, Width::Dword),
        Code::Cmpsq_m64_m64 => (Operation::Cmps, Width::Qword),
        Code::Insb_m8_DX => (Operation::Ins, Width::Byte),
        Code::Insw_m16_DX => (Operation::Ins, Width::Word),
        Code::Insd_m32_DX => (Operation::Ins, Width::Dword),
        Code::Outsb_DX_m8 => (Operation::Outs, Width::Byte),
        Code::Outsw_DX_m16 => (Operation::Outs, Width::Word),
        Code::Outsd_DX_m32 => (Operation::Outs, Width::Dword),
        _ => return None,
    })
}

/// An index register and where it points.
#[derive(Clone, Copy)]
struct Pointer {
    at: Logical,
    register: Part,
}

/// The elements of one chunk in guest-physical memory.
#[derive(Clone, Copy)]
struct Run {
    first: Span,
    /// From one element to the next, as a two's complement.
    stride: u64,
}

impl Run {
    fn element(&self, index: u64) -> Span {
        self.first.moved(self.stride.wrapping_mul(index))
    }
}

/// What all iterations of a chunk share.
struct Chunk {
    operation: Operation,
    width: Width,
    source: Option<Run>,
    target: Option<Run>,
    port: u16,
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// Executes up to a chunk of iterations.
    pub(super) fn string(&mut self, operation: Operation, width: Width) -> Result<Flow, Stop> {
        let port = self.cpu.gpr(Gpr::Rdx) as u16;
        if matches!(operation, Operation::Ins | Operation::Outs) {
            self.check_port(port, width)?;
        }
        let (source, target) = self.pointers();
        let address = source.or(target).map_or(Width::Word, |one| one.at.width);
        let counter = Part::low(Gpr::Rcx, address);
        let repeats = self.instruction.has_rep_prefix() || self.instruction.has_repne_prefix();
        let count = if repeats { self.read_part(counter) } else { 1 };
        if count == 0 {
            return Ok(Flow::Next);
        }
        let steps_singly = self.cpu.rflags() & Rflags::TF.bits() != 0;
        let stride = self.stride(width);
        let target_kind = match operation {
            Operation::Movs | Operation::Stos | Operation::Ins => AccessKind::Write,
            _ => AccessKind::Read,
        };
        let mut elements = if steps_singly { 1 } else { count.min(CHUNK) };
        // All that is wrong with the source comes before anything that is wrong with the target.
        let mut run = |pointer: Option<Pointer>, kind| {
            let Some(Pointer { at, .. }) = pointer else {
                return Ok::<_, Stop>(None);
            };
            elements = self.reach(at, width, stride, kind, elements)?;
            let first = self.span(at, width.bytes() as u64, kind, Mandate::Explicit)?;
            Ok(Some(Run { first, stride }))
        };
        let chunk = Chunk {
            operation,
            width,
            source: run(source, AccessKind::Read)?,
            target: run(target, target_kind)?,
            port,
        };
        let done = self.iterate(&chunk, elements);
        for pointer in [source, target].into_iter().flatten() {
            let moved = pointer.at.moved(stride.wrapping_mul(done.iterations));
            self.write_part(pointer.register, moved.offset);
        }
        if !repeats {
            return Ok(Flow::Next);
        }
        let left = count.wrapping_sub(done.iterations);
        self.write_part(counter, left);
        if left == 0 || done.is_decided {
            return Ok(Flow::Next);
        }
        // Whoever interrupts here finds RF set, so that the same breakpoint is not met again (SDM vol. 3B, 18.3.1.1).
        self.cpu.set_rflags(self.cpu.rflags() | Rflags::RF.bits());
        if steps_singly {
            // The trap comes after each iteration, with RIP still at the instruction.
            self.next = self.cpu.rip();
            Ok(Flow::Repeats)
        } else {
            Err(Stop::Again)
        }
    }

    /// The source (DS:SI or overridden) and the target (ES:DI) that the operands name.
    fn pointers(&self) -> (Option<Pointer>, Option<Pointer>) {
        let (mut source, mut target) = (None, None);
        for operand in 0..2 {
            let (name, is_source) = match self.instruction.op_kind(operand) {
                OpKind::MemorySegSI => (Register::SI, true),
                OpKind::MemorySegESI => (Register::ESI, true),
                OpKind::MemorySegRSI => (Register::RSI, true),
                OpKind::MemoryESDI => (Register::DI, false),
                OpKind::MemoryESEDI => (Register::EDI, false),
                OpKind::MemoryESRDI => (Register::RDI, false),
                _ => continue,
            };
            let pointer = general(name).map(|register| Pointer {
                at: Logical {
                    segment: if is_source {
                        segment_of(self.instruction)
                    } else {
                        SegmentName::Es
                    },
                    offset: self.read_part(register),
                    width: register.width,
                },
                register,
            });
            if is_source {
                source = pointer;
            } else {
                target = pointer;
            }
        }
        (source, target)
    }

    /// One element on, or back under RFLAGS.DF.
    fn stride(&self, width: Width) -> u64 {
        let bytes = width.bytes() as u64;
        if self.cpu.rflags() & Rflags::DF.bits() == 0 {
            bytes
        } else {
            bytes.wrapping_neg()
        }
    }

    /// How many of `wanted` elements from `at` lie in one page and one segment, without the offset wrapping: at least
    /// one, which may fault or cross pages.
    fn reach(
        &self,
        at: Logical,
        width: Width,
        stride: u64,
        kind: AccessKind,
        wanted: u64,
    ) -> Result<u64, Stop> {
        let bytes = width.bytes() as u64;
        let in_page = self.linear(at, bytes, kind)?.page_offset();
        let forward = stride == bytes;
        let (page, offset) = if forward {
            let room = at.width.mask() - at.offset;
            ((PAGE_BYTES - in_page) / bytes, (room / bytes).max(1))
        } else if in_page + bytes > PAGE_BYTES {
            (1, 1)
        } else {
            (in_page / bytes + 1, at.offset / bytes + 1)
        };
        let elements = wanted.min(page).min(offset).max(1);
        let lowest = if forward {
            at
        } else {
            at.moved(stride.wrapping_mul(elements - 1))
        };
        match self.linear(lowest, elements * bytes, kind) {
            Ok(_) => Ok(elements),
            // Somewhere in there the segment ends: one by one up to the fault.
            Err(_) => Ok(1),
        }
    }

    /// Runs the iterations; nothing can fault any more.
    fn iterate(&mut self, chunk: &Chunk, elements: u64) -> Iterated {
        if elements > 1 && self.in_bulk(chunk, elements) {
            return Iterated {
                iterations: elements,
                is_decided: false,
            };
        }
        self.one_by_one(chunk, elements)
    }

    /// Moves ascending elements many at a time. False, and nothing done, if what happens depends on their turn.
    fn in_bulk(&mut self, chunk: &Chunk, elements: u64) -> bool {
        let width = chunk.width;
        let bytes = elements * width.bytes() as u64;
        let start = |run: Option<Run>| {
            let run = run.filter(|run| run.stride == width.bytes() as u64)?;
            run.first.whole()
        };
        let (source, target) = (start(chunk.source), start(chunk.target));
        match (chunk.operation, source, target) {
            (Operation::Movs, Some(from), Some(to)) => {
                let copy = WindowCopy {
                    from: from.0,
                    to: to.0,
                    count: elements,
                    width,
                };
                if self.bus.copy(copy) {
                    return true;
                }
                let memory = self.bus.memory();
                let has_ram = memory.contains(from, bytes) || memory.contains(to, bytes);
                if !has_ram || from.0.abs_diff(to.0) < bytes {
                    return false;
                }
            }
            (Operation::Stos | Operation::Ins, _, Some(_)) | (Operation::Outs, Some(_), _) => {}
            _ => return false,
        }
        let mut buffer = [0; BUFFER_BYTES as usize];
        if chunk.operation == Operation::Stos {
            let value = self.cpu.gpr(Gpr::Rax).to_le_bytes();
            for element in buffer.chunks_exact_mut(width.bytes()) {
                element.copy_from_slice(&value[..width.bytes()]);
            }
        }
        for done in (0..bytes).step_by(BUFFER_BYTES as usize) {
            let part = &mut buffer[..(bytes - done).min(BUFFER_BYTES) as usize];
            match (chunk.operation, source) {
                (Operation::Ins, _) => self.take_in(chunk.port, width, part),
                (_, Some(from)) => self.read_run(from.wrapping_add(done), width, part),
                _ => {}
            }
            match (chunk.operation, target) {
                (Operation::Outs, _) => self.put_out(chunk.port, width, part),
                (_, Some(to)) => self.write_run(to.wrapping_add(done), width, part),
                _ => {}
            }
        }
        true
    }

    fn read_run(&mut self, first: Gpa, width: Width, into: &mut [u8]) {
        if self.bus.read_bytes(first, into) {
            return;
        }
        for (gpa, element) in addresses(first, width).zip(into.chunks_exact_mut(width.bytes())) {
            put(element, self.bus.read(gpa, width));
        }
    }

    fn write_run(&mut self, first: Gpa, width: Width, from: &[u8]) {
        if self.bus.write_bytes(first, from) {
            return;
        }
        for (gpa, element) in addresses(first, width).zip(from.chunks_exact(width.bytes())) {
            self.bus.write(gpa, width, number(element));
        }
    }

    fn take_in(&mut self, port: u16, width: Width, into: &mut [u8]) {
        if self.bus.port_in_bytes(port, width, into) {
            return;
        }
        for element in into.chunks_exact_mut(width.bytes()) {
            put(element, u64::from(self.bus.port_in(port, width)));
        }
    }

    fn put_out(&mut self, port: u16, width: Width, from: &[u8]) {
        if self.bus.port_out_bytes(port, width, from) {
            return;
        }
        for element in from.chunks_exact(width.bytes()) {
            self.bus.port_out(port, width, number(element) as u32);
        }
    }

    fn one_by_one(&mut self, chunk: &Chunk, elements: u64) -> Iterated {
        let accumulator = Part::low(Gpr::Rax, chunk.width);
        for index in 0..elements {
            let source = chunk.source.map(|run| run.element(index));
            let target = chunk.target.map(|run| run.element(index));
            let read = match (chunk.operation, source, target) {
                (Operation::Ins, ..) => u64::from(self.bus.port_in(chunk.port, chunk.width)),
                (Operation::Stos, ..) => self.read_part(accumulator),
                (Operation::Scas, _, Some(span)) | (_, Some(span), _) => {
                    self.load(&span, chunk.width)
                }
                _ => 0,
            };
            match (chunk.operation, target) {
                (Operation::Movs | Operation::Stos | Operation::Ins, Some(span)) => {
                    self.store(&span, chunk.width, read);
                }
                (Operation::Lods, _) => self.write_part(accumulator, read),
                (Operation::Outs, _) => self.bus.port_out(chunk.port, chunk.width, read as u32),
                (Operation::Scas, _) => {
                    let left = self.read_part(accumulator);
                    self.set_flags(&alu::sub(chunk.width, left, read, 0));
                }
                (Operation::Cmps, Some(span)) => {
                    let right = self.load(&span, chunk.width);
                    self.set_flags(&alu::sub(chunk.width, read, right, 0));
                }
                _ => {}
            }
            if matches!(chunk.operation, Operation::Scas | Operation::Cmps) && self.is_decided() {
                return Iterated {
                    iterations: index + 1,
                    is_decided: true,
                };
            }
        }
        Iterated {
            iterations: elements,
            is_decided: false,
        }
    }

    /// REPE ends at a difference, REPNE at a match.
    fn is_decided(&self) -> bool {
        let is_equal = self.cpu.rflags() & Rflags::ZF.bits() != 0;
        if self.instruction.has_repne_prefix() {
            is_equal
        } else {
            !is_equal
        }
    }
}

/// Where elements are that follow one another.
fn addresses(first: Gpa, width: Width) -> impl Iterator<Item = Gpa> {
    let bytes = width.bytes() as u64;
    (0..).map(move |index: u64| first.wrapping_add(index * bytes))
}

/// A number as an element's bytes.
fn put(element: &mut [u8], value: u64) {
    element.copy_from_slice(&value.to_le_bytes()[..element.len()]);
}

/// An element's bytes as a number.
fn number(element: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..element.len()].copy_from_slice(element);
    u64::from_le_bytes(bytes)
}

/// How far a chunk went.
struct Iterated {
    iterations: u64,
    /// The comparison ended the repetition.
    is_decided: bool,
}
