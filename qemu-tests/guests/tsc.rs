//! The first user-space program of the boot benchmark: prints the TSC as it finds it, then powers off. Under
//! another init it only prints. A static Linux program, built by `rustc` alone.
#![no_std]
#![no_main]

use core::arch::global_asm;

#[path = "linux.rs"]
mod linux;
use linux::{call, digits, exit, print};

// The TSC is read by the very first instruction of user space.
global_asm!("_start:", "rdtsc", "shl rdx, 32", "lea rdi, [rax + rdx]", "and rsp, -16", "call main", ".global _start");

const GETPID: u64 = 39;
const REBOOT: u64 = 169;
/// reboot(2): the two magic numbers and LINUX_REBOOT_CMD_POWER_OFF.
const POWER_OFF: [u64; 3] = [0xfee1_dead, 672_274_793, 0x4321_fedc];

#[unsafe(no_mangle)]
extern "C" fn main(tsc: u64) -> ! {
    let mut line = *b"\nTSC 00000000000000000000\n";
    digits(&mut line[5..25], tsc);
    print(&line);
    if call(GETPID, [0; 3]) == 1 {
        call(REBOOT, POWER_OFF);
    }
    exit()
}
