//! Proves that several CPUs work together: `smp echo|load|warp|wakes|timers ROUNDS`, one thread pinned to each CPU.
//!
//! A static Linux program, built by `rustc` alone. Prints `SMP <what> ok …` with its counts, or `SMP <what> bad …` and ends with 1.
#![no_std]
#![no_main]

use core::arch::global_asm;

#[path = "smp/echo.rs"]
mod echo;
#[path = "smp/linux.rs"]
mod linux;
#[path = "smp/load.rs"]
mod load;
#[path = "smp/say.rs"]
mod say;
#[path = "smp/team.rs"]
mod team;
#[path = "smp/timers.rs"]
mod timers;
#[path = "smp/wakes.rs"]
mod wakes;
#[path = "smp/warp.rs"]
mod warp;

// The stack has argc, then argv's pointers (System V ABI for x86-64, 3.4.1).
global_asm!("_start:", "mov rdi, rsp", "and rsp, -16", "call main", ".global _start");

/// What a test found; the text is printed either way.
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Not so.
    Bad,
}

#[unsafe(no_mangle)]
extern "C" fn main(stack: *const u64) -> ! {
    let what = argument(stack, 1).unwrap_or(b"");
    let rounds = argument(stack, 2).and_then(number).unwrap_or(1000);
    let cpus = linux::cpus();
    let verdict = match what {
        b"echo" => echo::run(rounds),
        b"load" => load::run(cpus, rounds),
        b"warp" => warp::run(cpus, rounds),
        b"wakes" => wakes::run(cpus, rounds),
        b"timers" => timers::run(cpus, rounds),
        _ => {
            say!("usage: smp echo|load|warp|wakes|timers ROUNDS\n");
            Verdict::Bad
        }
    };
    linux::exit(match verdict {
        Verdict::Ok => 0,
        Verdict::Bad => 1,
    })
}

fn argument(stack: *const u64, index: u64) -> Option<&'static [u8]> {
    // SAFETY: the kernel's start-up stack: argc, then argc pointers to strings that end with a zero.
    unsafe {
        if index >= *stack {
            return None;
        }
        let text = *stack.add(1 + index as usize) as *const i8;
        Some(core::ffi::CStr::from_ptr(text.cast()).to_bytes())
    }
}

fn number(text: &[u8]) -> Option<u64> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    say!("SMP panic bad {info}\n");
    linux::exit(1)
}
