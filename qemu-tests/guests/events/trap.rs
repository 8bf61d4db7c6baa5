//! The interrupt table and its one handler, which logs each event and asks the running check what to do.

use crate::log::{self, Record};
use crate::machine::{self, lapic};

/// What the stubs leave on the stack.
#[repr(C)]
pub struct Frame {
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub flags: u64,
    pub rsp: u64,
    pub ss: u64,
}

pub const DEBUG: u8 = 1;
pub const NMI: u8 = 2;
pub const BREAKPOINT: u8 = 3;
pub const INVALID_OPCODE: u8 = 6;

pub const TF: u64 = 1 << 8;
pub const RF: u64 = 1 << 16;

#[repr(C, packed)]
struct TableRegister {
    limit: u16,
    base: u64,
}

static mut TABLE: [[u64; 2]; 256] = [[0; 2]; 256];
static mut HOOK: fn(&mut Frame) = nothing;
static mut DEPTH: u8 = 0;

/// No more than what every event gets.
pub fn nothing(_: &mut Frame) {}

unsafe extern "C" {
    safe fn stubs();
}

/// Loads the table.
pub fn install() {
    for vector in 0..=255 {
        set_gate(vector, crate::at(stubs) + 16 * u64::from(vector));
    }
    let register = TableRegister {
        limit: 16 * 256 - 1,
        base: &raw const TABLE as u64,
    };
    // SAFETY: every gate leads to a stub that returns.
    unsafe { core::arch::asm!("lidt [{}]", in(reg) &raw const register) };
}

/// Sends a vector to `address`.
fn set_gate(vector: u8, address: u64) {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8e00 << 32;
    const CODE: u64 = 0x08 << 16;
    let low = address & 0xffff | CODE | PRESENT_INTERRUPT_GATE | (address >> 16 & 0xffff) << 48;
    // SAFETY: one CPU; no event with this vector is under way.
    unsafe { (&raw mut TABLE[usize::from(vector)]).write_volatile([low, address >> 32]) };
}

/// Has a vector handled by code of its own while `body` runs.
pub fn with_gate(vector: u8, handler: extern "C" fn(), body: impl FnOnce()) {
    set_gate(vector, crate::at(handler));
    body();
    set_gate(vector, crate::at(stubs) + 16 * u64::from(vector));
}

/// What else the handler does from now on.
pub fn set_hook(hook: fn(&mut Frame)) {
    // SAFETY: one CPU, and no event is under way.
    unsafe { HOOK = hook };
}

/// How often this vector has come in this round.
pub fn count(vector: u8) -> usize {
    log::all().filter(|record| record.vector == vector).count()
}

#[unsafe(no_mangle)]
extern "C" fn trap(frame: &mut Frame) {
    let vector = frame.vector as u8;
    let dr6 = if vector == DEBUG { machine::dr6() } else { 0 };
    // SAFETY: one CPU; nested handlers restore what they change before they return.
    let hook = unsafe {
        DEPTH += 1;
        HOOK
    };
    log::push(Record {
        vector,
        // SAFETY: as above.
        depth: unsafe { DEPTH },
        rip: frame.rip,
        flags: frame.flags,
        dr6,
    });
    match vector {
        DEBUG => machine::set_dr6(0xffff_0ff0),
        INVALID_OPCODE => frame.rip += 2,
        8 | 10..=14 | 17 | 18 => panic!("exception {vector} at {:x}", frame.rip),
        _ => {}
    }
    hook(frame);
    if vector == machine::PIC_BASE {
        machine::out(0x20, 0x20);
    } else if vector > 0x30 && vector != 0x80 && vector != machine::SPURIOUS {
        lapic::write(lapic::EOI, 0);
    }
    // SAFETY: as above.
    unsafe { DEPTH -= 1 };
}
