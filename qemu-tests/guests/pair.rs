//! Micro-benchmark guest of two CPUs: what an interrupt from one to the other costs while both halt, and what a timer's costs.
//!
//! Prints `PAIR <figure> <ticks of all rounds>` on COM1 for each, then `PAIR done`. Needs x2APIC mode, as hypervisors offer it.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::fmt::Write;

#[path = "msr.rs"]
mod msr;
#[path = "com1.rs"]
mod com1;
use com1::Com1;

global_asm!(include_str!("entry.s"));
global_asm!(include_str!("identity.s"));
global_asm!(include_str!("pair.s"));

/// Rounds of each loop; the bench divides by as many.
const ROUNDS: u64 = 200;
/// From a timer's start to its interrupt, in nanoseconds and in instructions.
const TIMER_NS: u64 = 20_000;
/// Where the second CPU starts; `pair.s` is assembled for it.
const START: usize = 0x8000;

const IA32_APIC_BASE: u32 = 0x1b;
const X2APIC_MODE: u64 = 1 << 10;
const SPURIOUS: u32 = 0x80f;
const COMMAND: u32 = 0x830;
const TIMER: u32 = 0x832;
const INITIAL_COUNT: u32 = 0x838;
const DIVIDE: u32 = 0x83e;
/// Not divided.
const BY_ONE: u64 = 0xb;

const TO_SECOND: u64 = 1 << 32;
const INIT: u64 = 0x4500;
const START_UP: u64 = 0x4600 | START as u64 >> 12;
const CALL: u64 = 0x41;
const ANSWER: u64 = 0x42;
const TIMED: u64 = 0x43;

unsafe extern "C" {
    static second_start: u8;
    static second_end: u8;
    fn fill_idt();
    /// Enables interrupts and halts, as a pair; back with interrupts off.
    fn halt();
    /// Spins with interrupts on until a timer's has come; how often, at so many instructions a turn.
    fn spin_for_timer() -> u64;
    /// The TSC when the call arrived at the second CPU.
    static called_at: u64;
}

/// Instructions of a turn of `spin_for_timer`.
const SPIN_INSTRUCTIONS: u64 = 3;

#[unsafe(no_mangle)]
extern "C" fn first_main() -> ! {
    let mut port = Com1::set_up();
    // SAFETY: nothing else runs yet, and the table is this program's.
    unsafe { fill_idt() };
    use_apic();
    start_second();
    let (mut one_way, start) = (0, rdtsc());
    for _ in 0..ROUNDS {
        let sent = rdtsc();
        msr::write(COMMAND, TO_SECOND | CALL);
        // SAFETY: the second CPU answers each call.
        unsafe { halt() };
        // SAFETY: it has written before it answered, and writes no more before the next call.
        one_way += unsafe { (&raw const called_at).read_volatile() } - sent;
    }
    let both_ways = rdtsc() - start;

    msr::write(DIVIDE, BY_ONE);
    msr::write(TIMER, TIMED);
    let (mut spun, start) = (0, rdtsc());
    for _ in 0..ROUNDS {
        msr::write(INITIAL_COUNT, TIMER_NS);
        // SAFETY: the timer is armed.
        spun += unsafe { spin_for_timer() };
    }
    let timer = rdtsc() - start - spun * SPIN_INSTRUCTIONS;

    let _ = write!(
        port,
        "\r\nPAIR ipi {both_ways}\r\nPAIR hlt_wakeup {one_way}\r\nPAIR timer {timer}\r\nPAIR spun {spun}\r\nPAIR done\r\n"
    );
    loop {
        // SAFETY: with interrupts off this only waits.
        unsafe { asm!("hlt") };
    }
}

/// Waits for calls, and answers.
#[unsafe(no_mangle)]
extern "C" fn second_main() -> ! {
    use_apic();
    msr::write(COMMAND, ANSWER);
    loop {
        // SAFETY: the first CPU calls.
        unsafe { halt() };
        msr::write(COMMAND, ANSWER);
    }
}

fn use_apic() {
    msr::write(IA32_APIC_BASE, msr::read(IA32_APIC_BASE) | X2APIC_MODE);
    msr::write(SPURIOUS, 0x1ff);
}

fn start_second() {
    // SAFETY: the page at START is RAM that nobody uses; the code between both labels is copied whole.
    unsafe {
        let code = &raw const second_start;
        let bytes = (&raw const second_end).offset_from(code) as usize;
        core::ptr::copy_nonoverlapping(code, START as *mut u8, bytes);
    }
    msr::write(COMMAND, TO_SECOND | INIT);
    msr::write(COMMAND, TO_SECOND | START_UP);
    // SAFETY: it says that it is there as it answers.
    unsafe { halt() };
}

fn rdtsc() -> u64 {
    // SAFETY: reading has no effect.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
