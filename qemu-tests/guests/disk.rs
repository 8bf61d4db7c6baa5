//! Reads 64 MiB of a disk, given as its only argument, through Linux's page cache, and prints `DMA <TSC ticks>`; a disk that is not
//! there yet is waited for. A static Linux program, built by `rustc` alone.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm, x86_64::_rdtsc};

// The stack holds the number of arguments, then pointers to them.
global_asm!("_start:", "mov rdi, [rsp + 16]", "and rsp, -16", "call main", ".global _start");

const READ: u64 = 0;
const WRITE: u64 = 1;
const OPEN: u64 = 2;
const YIELD: u64 = 24;
const EXIT: u64 = 60;
const CHUNK: usize = 1 << 20;
const CHUNKS: usize = 64;

static mut BUFFER: [u8; CHUNK] = [0; CHUNK];

#[unsafe(no_mangle)]
extern "C" fn main(path: u64) -> ! {
    let file = loop {
        let file = system_call(OPEN, [path, 0, 0]);
        if file < 1 << 16 {
            break file;
        }
        system_call(YIELD, [0; 3]);
    };
    // SAFETY: RDTSC needs nothing but a CPU.
    let start = unsafe { _rdtsc() };
    let mut bytes = 0;
    for _ in 0..CHUNKS {
        bytes += system_call(READ, [file, (&raw mut BUFFER) as u64, CHUNK as u64]);
    }
    // SAFETY: as above.
    let mut rest = unsafe { _rdtsc() } - start;
    let mut line = *b"\nDMA 00000000000000000000\n";
    for digit in line[5..25].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    if bytes == (CHUNK * CHUNKS) as u64 {
        system_call(WRITE, [1, line.as_ptr() as u64, line.len() as u64]);
    }
    system_call(EXIT, [0; 3]);
    loop {
        core::hint::spin_loop();
    }
}

fn system_call(number: u64, [first, second, third]: [u64; 3]) -> u64 {
    let result;
    // SAFETY: the calls made here touch no memory but buffers of this program that live as long as it. RCX and R11 are the ones
    // that SYSCALL itself clobbers.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") first, in("rsi") second, in("rdx") third,
             out("rcx") _, out("r11") _);
    }
    result
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
