//! What is said of a guest that cannot go on.

use crate::error;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use guest_mem::{GuestMemory, Gva};
use hvm::emulate::code::CodeMode;
use hvm::regs::{Gpr, Registers, SegmentName, State};
use hvm::walk::{self, Paging};

/// Why the guest stopped, with the vCPU as it was.
#[derive(Clone, Debug)]
pub struct Crash {
    /// Which vCPU it was, of how many.
    pub vcpu: usize,
    /// How many there are.
    pub vcpus: usize,
    /// The reason, for people.
    pub reason: String,
    /// Its registers.
    pub state: State,
    /// The bytes at RIP, as far as they could be read.
    pub bytes: ([u8; 15], usize),
}

/// Reads the bytes at RIP, as far as they lie in mapped RAM.
pub fn code(cpu: &impl Registers, paging: &Paging, memory: &GuestMemory) -> ([u8; 15], usize) {
    let mut bytes = [0; 15];
    let mut length = 0;
    let long = CodeMode::of(cpu) == CodeMode::Bits64;
    let base = if long {
        0
    } else {
        cpu.segment(SegmentName::Cs).base
    };
    let access = walk::Access::execute(walk::Privilege::of_cpl(cpu.cpl()));
    for byte in &mut bytes {
        let linear = paging.wrap(Gva(base
            .wrapping_add(cpu.rip())
            .wrapping_add(length as u64)));
        let Ok(found) = walk::translate(paging, memory, linear, access) else {
            break;
        };
        let Ok(value) = memory.load::<u8>(found.gpa) else {
            break;
        };
        *byte = value;
        length += 1;
    }
    (bytes, length)
}

const NAMES: [&str; 16] = [
    "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8 ", "R9 ", "R10", "R11", "R12",
    "R13", "R14", "R15",
];

impl Crash {
    /// Puts the report on every console.
    pub fn report(&self) {
        let state = &self.state;
        error!("the guest stopped: {}", self.reason);
        if self.vcpus > 1 {
            error!("  it was vCPU {} of {}", self.vcpu, self.vcpus);
        }
        error!(
            "  RIP {:016x}  RFLAGS {:08x}  CPL {}",
            state.rip,
            state.rflags,
            state.cpl()
        );
        for four in Gpr::ALL.chunks(4) {
            let mut line = String::from(" ");
            for register in four {
                // Writing to a string cannot fail.
                let _ = write!(
                    line,
                    " {} {:016x}",
                    NAMES[*register as usize],
                    state.gpr(*register)
                );
            }
            error!("{line}");
        }
        error!(
            "  CR0 {:08x}  CR2 {:016x}  CR3 {:016x}  CR4 {:08x}  EFER {:04x}",
            state.cr0, state.cr2, state.cr3, state.cr4, state.efer
        );
        for name in SegmentName::ALL {
            let segment = state.segment(name);
            error!(
                "  {name:?} {:04x}  base {:016x}  limit {:08x}  attributes {:05x}",
                segment.selector,
                segment.base,
                segment.limit,
                segment.attributes.bits()
            );
        }
        error!(
            "  GDT {:016x}+{:04x}  IDT {:016x}+{:04x}",
            state.gdtr.base, state.gdtr.limit, state.idtr.base, state.idtr.limit
        );
        error!("  instruction bytes at RIP: {}", self.bytes());
    }

    fn bytes(&self) -> String {
        let (bytes, length) = &self.bytes;
        if *length == 0 {
            return String::from("not readable");
        }
        bytes[..*length]
            .iter()
            .map(|byte| format!("{byte:02x} "))
            .collect()
    }
}
