//! The first user-space program of the boot benchmark: prints the TSC as it finds it, then powers off. Under
//! another init it only prints. A static Linux program, built by `rustc` alone.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

// The TSC is read by the very first instruction of user space.
global_asm!("_start:", "rdtsc", "shl rdx, 32", "lea rdi, [rax + rdx]", "and rsp, -16", "call main", ".global _start");

const WRITE: u64 = 1;
const GETPID: u64 = 39;
const EXIT: u64 = 60;
const REBOOT: u64 = 169;
/// reboot(2): the two magic numbers and LINUX_REBOOT_CMD_POWER_OFF.
const POWER_OFF: [u64; 3] = [0xfee1_dead, 672_274_793, 0x4321_fedc];

#[unsafe(no_mangle)]
extern "C" fn main(tsc: u64) -> ! {
    let mut line = *b"\nTSC 00000000000000000000\n";
    let mut rest = tsc;
    for digit in line[5..25].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    system_call(WRITE, [1, line.as_ptr() as u64, line.len() as u64]);
    if system_call(GETPID, [0; 3]) == 1 {
        system_call(REBOOT, POWER_OFF);
    }
    system_call(EXIT, [0; 3]);
    loop {
        core::hint::spin_loop();
    }
}

fn system_call(number: u64, [first, second, third]: [u64; 3]) -> u64 {
    let result;
    // SAFETY: write(2) reads a buffer that outlives the call, and the others touch no memory. RCX and R11 are the ones
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
