//! Reads 64 MiB of a disk, given as its only argument, through Linux's page cache, and prints `DMA <TSC ticks>`; a disk that is not
//! there yet is waited for. A static Linux program, built by `rustc` alone.
#![no_std]
#![no_main]

use core::arch::{global_asm, x86_64::_rdtsc};

#[path = "linux.rs"]
mod linux;
use linux::{call, digits, exit, print};

// The stack holds the number of arguments, then pointers to them.
global_asm!("_start:", "mov rdi, [rsp + 16]", "and rsp, -16", "call main", ".global _start");

const READ: u64 = 0;
const OPEN: u64 = 2;
const YIELD: u64 = 24;
const CHUNK: usize = 1 << 20;
const CHUNKS: usize = 64;

static mut BUFFER: [u8; CHUNK] = [0; CHUNK];

#[unsafe(no_mangle)]
extern "C" fn main(path: u64) -> ! {
    let file = loop {
        let file = call(OPEN, [path, 0, 0]);
        if file < 1 << 16 {
            break file;
        }
        call(YIELD, [0; 3]);
    };
    // SAFETY: RDTSC needs nothing but a CPU.
    let start = unsafe { _rdtsc() };
    let mut bytes = 0;
    for _ in 0..CHUNKS {
        bytes += call(READ, [file, (&raw mut BUFFER) as u64, CHUNK as u64]);
    }
    // SAFETY: as above.
    let ticks = unsafe { _rdtsc() } - start;
    let mut line = *b"\nDMA 00000000000000000000\n";
    digits(&mut line[5..25], ticks);
    if bytes == (CHUNK * CHUNKS) as u64 {
        print(&line);
    }
    exit()
}
