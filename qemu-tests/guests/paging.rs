//! The first user-space program of the paging benchmark: prints the TSC as it finds it, then what processes cost that come and go, and
//! that take turns, and what the first use of a page costs that the guest's tables have already. Then it powers off. A static Linux program,
//! built by `rustc` alone; executed again it ends at once.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm, x86_64::_rdtsc};

#[path = "linux.rs"]
mod linux;
use linux::{call, digits, exit, print};

// The TSC is read by the very first instruction of user space.
global_asm!("_start:", "rdtsc", "shl rdx, 32", "lea rdi, [rax + rdx]", "and rsp, -16", "call main", ".global _start");

const READ: u64 = 0;
const WRITE: u64 = 1;
const MMAP: u64 = 9;
const PIPE: u64 = 22;
const GETPID: u64 = 39;
const FORK: u64 = 57;
const EXECVE: u64 = 59;
const WAIT4: u64 = 61;
const REBOOT: u64 = 169;
/// reboot(2): the two magic numbers and LINUX_REBOOT_CMD_POWER_OFF.
const POWER_OFF: [u64; 3] = [0xfee1_dead, 672_274_793, 0x4321_fedc];

const FORKS: u64 = 100;
const TURNS: u64 = 1000;
const PAGES: u64 = 4096;
/// Further apart than what one fault fills.
const STRIDE: u64 = 16;

fn now() -> u64 {
    // SAFETY: reading the counter has no effect.
    unsafe { _rdtsc() }
}

fn tell(name: &[u8; 8], each: u64) {
    let mut line = *b"\n........00000000000000000000\n";
    line[1..9].copy_from_slice(name);
    digits(&mut line[9..29], each);
    print(&line);
}

/// A pipe's ends, to read and to write.
fn pipe() -> [u32; 2] {
    let mut ends = [0; 2];
    call(PIPE, [(&raw mut ends) as u64, 0, 0]);
    // SAFETY: a plain read of what the kernel has written.
    unsafe { (&raw const ends).read_volatile() }
}

fn pass(number: u64, end: u32) {
    let mut byte = 0_u8;
    call(number, [end.into(), (&raw mut byte) as u64, 1]);
}

fn children() -> u64 {
    let program = b"/init\0";
    let arguments = [program.as_ptr() as u64, 0];
    let start = now();
    for _ in 0..FORKS {
        let child = call(FORK, [0; 3]);
        if child == 0 {
            call(EXECVE, [program.as_ptr() as u64, arguments.as_ptr() as u64, 0]);
            exit();
        }
        call(WAIT4, [child, 0, 0]);
    }
    (now() - start) / FORKS
}

fn turns() -> u64 {
    let (there, back) = (pipe(), pipe());
    if call(FORK, [0; 3]) == 0 {
        for _ in 0..TURNS {
            pass(READ, there[0]);
            pass(WRITE, back[1]);
        }
        exit();
    }
    let start = now();
    for _ in 0..TURNS {
        pass(WRITE, there[1]);
        pass(READ, back[0]);
    }
    (now() - start) / TURNS
}

fn fills() -> u64 {
    /// Readable and writable; private, of no file, and with all its pages.
    const HOW: (u64, u64) = (3, 0x2 | 0x20 | 0x8000);
    let base: u64;
    // SAFETY: mmap(2) of fresh memory. RCX and R11 are the ones that SYSCALL itself clobbers.
    unsafe {
        asm!("syscall", inlateout("rax") MMAP => base, in("rdi") 0, in("rsi") PAGES * 4096, in("rdx") HOW.0,
             in("r10") HOW.1, in("r8") u64::MAX, in("r9") 0, out("rcx") _, out("r11") _);
    }
    let start = now();
    for page in (0..PAGES).step_by(STRIDE as usize) {
        // SAFETY: the memory was just mapped.
        unsafe { ((base + page * 4096) as *const u8).read_volatile() };
    }
    (now() - start) / (PAGES / STRIDE)
}

#[unsafe(no_mangle)]
extern "C" fn main(tsc: u64) -> ! {
    if call(GETPID, [0; 3]) != 1 {
        exit();
    }
    tell(b"INIT at ", tsc);
    tell(b"FORK of ", children());
    tell(b"TURN of ", turns());
    tell(b"FILL of ", fills());
    print(b"\nPAGING done\n");
    call(REBOOT, POWER_OFF);
    exit()
}
