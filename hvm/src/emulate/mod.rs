//! The emulator: one instruction at a time, exactly as the CPU would have executed it.
//!
//! For accesses to devices, string port I/O, control registers and whatever else an exit cannot complete from what the
//! CPU tells. Guarantees to the vCPU loop:
//! - an instruction completes whole, or faults and leaves registers and memory as they were; a string instruction
//!   completes whole iterations;
//! - [`step`] does a bounded amount of work: long string instructions and contended locks end in [`Step::Again`];
//! - what is not covered is said ([`Unsupported`]), never guessed;
//! - no byte of the guest can panic it, and nothing is allocated after [`warm_up`].
//!
//! Covered, in real, virtual-8086, 16-, 32- and 64-bit protected mode: integer, string, stack, branch, far-control, segment-load and
//! system instructions, port I/O, and the moves of MMX, SSE and AVX where the vCPU can show its vector registers. Not covered, and
//! reported: x87 but for its control and status words, other vector instructions, SYSCALL and SYSENTER with their returns, and code outside RAM. Not
//! modelled: debug-register breakpoints and protection keys.
//!
//! [`run`] strings steps together and [`deliver`]s what they raise, for code that the CPU cannot run itself.

mod address;
mod alu;
mod atomic;
mod bits;
mod branch;
mod bus;
mod cache;
pub mod code;
mod decimal;
mod descriptor;
mod dispatch;
mod flags;
mod fpu;
mod integer;
mod interrupt;
mod iret;
pub mod length;
mod memory;
mod misc;
mod multiply;
mod operand;
mod port;
mod probe;
mod run;
mod segment;
mod site;
mod stack;
mod string;
mod switch;
mod system;
mod tables;
mod task;
#[cfg(test)]
mod tests;
mod transfer;
mod vector;
mod xsave;

pub use atomic::compare_exchange;
pub use bus::{Bus, Invalidation};
pub use cache::{DecodeCache, warm_up};
pub use run::{Delivery, Pause, Run, deliver, run};
pub use xsave::{XSAVE_HEAD_BYTES, XsaveImage};

use crate::event::{Exception, Shadow};
use crate::regs::{Cr0, Registers, Rflags};
use crate::walk::Paging;
use cache::Decoded;
use code::{Code, CodeMode, MAX_BYTES, Refusal, Source};
use core::fmt;
use guest_mem::Gpa;
use iced_x86::Instruction;

/// What the exit already knows of the instruction's data access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing.
    None,
    /// The nested page fault of a read at this address: byte-exact, and not of a page-table walk.
    Read(Gpa),
    /// The same for a write.
    Write(Gpa),
}

/// What became of the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It completed; RIP is behind it.
    Done(Completion),
    /// It completed and the CPU halts until an interrupt.
    Halt(Completion),
    /// Some of it is done, RIP is still at it: step again, or enter the guest, after looking for interrupts.
    Again,
    /// It faults: raise this. Nothing has changed; but a fault of a task that was switched to is its own, and the registers are its, too.
    Fault(Exception),
}

/// What a completed instruction leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The interrupt shadow from now on.
    pub shadow: Shadow,
    /// Whether RFLAGS.TF asks for #DB with DR6.BS before the next instruction.
    pub trap: Trap,
    /// What became of the blocking of NMIs.
    pub nmis: Nmis,
}

/// What an instruction does to the blocking of NMIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nmis {
    /// Nothing.
    AsBefore,
    /// It was an IRET, which ends it.
    Open,
}

/// The single-step trap after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// None.
    None,
    /// Due now.
    SingleStep,
}

/// An instruction that the emulator does not know. The vCPU stops with this report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Where it is.
    pub rip: u64,
    /// The bytes there, as far as they could be read.
    pub bytes: [u8; MAX_BYTES],
    /// How many of them are valid.
    pub length: u8,
    /// What is missing.
    pub reason: Reason,
}

/// Why an instruction cannot be emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The instruction is of the AVX-512, XOP or 3DNow! sets, which the decoder leaves out.
    Undecodable,
    /// The instruction is not covered.
    Instruction,
    /// The instruction uses vector registers, and this vCPU cannot show them.
    Vectors,
    /// The code lies outside RAM.
    CodeNotRam(Gpa),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot emulate the instruction at RIP {:#x}", self.rip)?;
        let bytes = self.bytes.get(..usize::from(self.length));
        for (index, byte) in bytes.unwrap_or_default().iter().enumerate() {
            write!(f, "{}{byte:02x}", if index == 0 { " (bytes " } else { " " })?;
        }
        if self.length > 0 {
            f.write_str(")")?;
        }
        match self.reason {
            Reason::Undecodable => f.write_str(": AVX-512, XOP and 3DNow! are not covered"),
            Reason::Instruction => f.write_str(": this instruction is not covered"),
            Reason::Vectors => f.write_str(": it needs vector registers, which are not at hand"),
            Reason::CodeNotRam(gpa) => write!(f, ": code at guest-physical {gpa:#x}, outside RAM"),
        }
    }
}

/// Why an instruction ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Fault(Exception),
    Again,
    Unsupported(Reason),
}

/// #GP(0).
const PROTECTION: Stop = Stop::Fault(Exception::GENERAL_PROTECTION);

impl From<Exception> for Stop {
    fn from(exception: Exception) -> Self {
        Self::Fault(exception)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fault(exception) => Self::Fault(exception),
            Refusal::NotRam(gpa) => Self::Unsupported(Reason::CodeNotRam(gpa)),
        }
    }
}

/// How an instruction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    /// At the same instruction, whose next iteration is due. It has set RF.
    Repeats,
    /// Behind MOV SS or STI.
    Shadowed,
    /// At an interrupt's handler: no single step is reported there.
    Entered,
    /// Behind IRET, which has loaded RF.
    Returned,
    /// In another task, which has its own RF and no single step to report.
    Switched,
    /// The same by IRET.
    SwitchedBack,
    Halt,
}

/// One instruction in execution.
struct Execution<'a, C: ?Sized, B: ?Sized> {
    cpu: &'a mut C,
    bus: &'a mut B,
    instruction: &'a Instruction,
    decoded: &'a Decoded,
    mode: CodeMode,
    cpl: u8,
    hint: Hint,
    /// RIP behind the instruction.
    next: u64,
}

/// Executes the instruction at RIP.
///
/// With [`Step::Done`] the caller owes the guest the trap and the shadow of the [`Completion`]; with [`Step::Fault`] the
/// exception. `cache` belongs to this vCPU. An [`Unsupported`] may also mean that another CPU of the guest has just
/// changed the code: entering the guest once more tells.
///
/// `fetched` are the bytes at RIP where the CPU has told them with this exit, all 15; then memory is not asked.
#[inline(always)]
pub fn step(
    cpu: &mut impl Registers,
    bus: &mut impl Bus,
    cache: &mut DecodeCache,
    hint: Hint,
    fetched: Option<&[u8; MAX_BYTES]>,
) -> Result<Step, Unsupported> {
    let mode = CodeMode::of(cpu);
    let mut source = Source {
        memory: bus.memory(),
        physical_bits: bus.physical_bits(),
        pages: &mut cache.pages,
    };
    let mut code = Code::new(mode);
    let found = match fetched {
        None => code.fetch(cpu, &mut source),
        Some(bytes) => code.give(cpu, bytes),
    };
    if let Err(refusal) = found {
        return end(cpu, refusal.into(), &[]);
    }
    let rip = cpu.rip();
    let extend = |code: &mut Code| code.extend(cpu, &mut source);
    let decoded = match cache.instructions.decode(&mut code, rip, mode, extend) {
        Ok(decoded) => decoded,
        Err(stop) => return end(cpu, stop, code.bytes()),
    };
    let rflags = cpu.rflags();
    let cpl = cpu.cpl();
    let mut execution = Execution {
        cpu,
        bus,
        instruction: &decoded.instruction,
        decoded,
        mode,
        cpl,
        hint,
        next: mode.advance(rip, decoded.instruction.len() as u64),
    };
    match execution.execute() {
        Ok(flow) => Ok(execution.complete(flow, rflags)),
        Err(stop) => end(execution.cpu, stop, code.bytes()),
    }
}

/// The answer for an instruction that did not complete.
#[cold]
fn end(cpu: &impl Registers, stop: Stop, found: &[u8]) -> Result<Step, Unsupported> {
    match stop {
        // Real mode pushes no error codes (SDM vol. 3B, 21.1.4).
        Stop::Fault(exception) if cpu.cr0() & Cr0::PE.bits() == 0 => {
            Ok(Step::Fault(Exception::plain(exception.vector)))
        }
        Stop::Fault(exception) => Ok(Step::Fault(exception)),
        Stop::Again => Ok(Step::Again),
        Stop::Unsupported(reason) => Err(report(cpu, reason, found)),
    }
}

fn report(cpu: &impl Registers, reason: Reason, found: &[u8]) -> Unsupported {
    let mut bytes = [0; MAX_BYTES];
    for (to, from) in bytes.iter_mut().zip(found) {
        *to = *from;
    }
    Unsupported {
        rip: cpu.rip(),
        bytes,
        length: found.len().min(MAX_BYTES) as u8,
        reason,
    }
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// Moves RIP on, as every instruction that completes does; RF ends with it (SDM vol. 3B, 18.3.1.1).
    #[inline]
    fn complete(&mut self, flow: Flow, rflags_before: u64) -> Step {
        self.cpu.set_rip(self.next);
        let rflags = self.cpu.rflags();
        let keeps_rf = matches!(
            flow,
            Flow::Repeats | Flow::Returned | Flow::Switched | Flow::SwitchedBack
        );
        if rflags & Rflags::RF.bits() != 0 && !keeps_rf {
            self.cpu.set_rflags(rflags & !Rflags::RF.bits());
        }
        let shadow = match flow {
            Flow::Shadowed => Shadow::Active,
            _ => Shadow::None,
        };
        let is_quiet = matches!(
            flow,
            Flow::Shadowed | Flow::Entered | Flow::Switched | Flow::SwitchedBack
        );
        let trap = if rflags_before & Rflags::TF.bits() != 0 && !is_quiet {
            Trap::SingleStep
        } else {
            Trap::None
        };
        let nmis = match flow {
            Flow::Returned | Flow::SwitchedBack => Nmis::Open,
            _ => Nmis::AsBefore,
        };
        let completion = Completion { shadow, trap, nmis };
        match flow {
            Flow::Halt => Step::Halt(completion),
            _ => Step::Done(completion),
        }
    }

    /// The paging registers, for those accesses that the exit has not translated already.
    #[inline]
    fn paging(&self) -> Paging {
        Paging::of(&*self.cpu, self.bus.physical_bits())
    }

    fn is_real_mode(&self) -> bool {
        self.cpu.cr0() & Cr0::PE.bits() == 0
    }

    fn is_virtual_8086(&self) -> bool {
        self.cpu.rflags() & Rflags::VM.bits() != 0 && !self.is_real_mode()
    }

    /// #GP(0) unless at CPL 0.
    fn privileged(&self) -> Result<(), Stop> {
        if self.cpl == 0 {
            Ok(())
        } else {
            Err(PROTECTION)
        }
    }
}
