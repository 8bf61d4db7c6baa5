//! The emulator against the CPU that runs the tests.
//!
//! An instruction with random operands is executed twice from one [`Start`]: by `hvm::emulate` ([`model`]), and by the CPU
//! itself, in this process ([`cpu`]), where a signal ends it. Registers, flags, memory and faults must be the same, but for what the manual
//! leaves undefined ([`undefined`]). 64-bit code runs as the process does; 32- and 16-bit code in segments of a local descriptor
//! table, which the kernel lets a process have. All of it is at CPL 3: privileged instructions only fault here.
//!
//! `unsafe` is in [`cpu`] alone. What the generated code may do is bounded by [`generate`]: no system calls, and addresses that are
//! almost never those of the process.

pub mod arena;
pub mod compare;
pub mod cpu;
pub mod generate;
pub mod model;
pub mod pc;
pub mod random;
pub mod run;
pub mod undefined;

use hvm::emulate::code::CodeMode;

/// Bytes of an XSAVE image with x87, SSE and AVX state in the standard format.
pub const XSAVE_BYTES: usize = 832;

/// The registers before or after an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    /// By encoding.
    pub gprs: [u64; 16],
    /// RIP.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// Selectors: ES, CS, SS, DS, FS, GS.
    pub selectors: [u16; 6],
    /// FS and GS base.
    pub bases: [u64; 2],
    /// x87, SSE and AVX registers.
    pub vectors: Box<[u8; XSAVE_BYTES]>,
}

/// What an instruction starts from.
#[derive(Clone, Debug)]
pub struct Start {
    /// The code segment's mode.
    pub mode: CodeMode,
    /// Registers.
    pub registers: Registers,
    /// The pages of the arena.
    pub memory: Box<arena::Memory>,
    /// The instruction, which is also in memory.
    pub code: Vec<u8>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The next instruction is at RIP.
    Next,
    /// The same, and a single step was reported.
    Stepped,
    /// An exception: its vector, error code, and address if it has one.
    Fault {
        /// Vector.
        vector: u8,
        /// As pushed; 0 if none is.
        error_code: u32,
        /// CR2 of a page fault.
        address: Option<u64>,
    },
}

/// What it left behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// Registers.
    pub registers: Registers,
    /// Memory.
    pub memory: Box<arena::Memory>,
}
