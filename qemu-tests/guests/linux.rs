//! What the single-purpose Linux programs share: system calls, the end, and numbers as text.

use core::arch::asm;

const WRITE: u64 = 1;
const EXIT: u64 = 60;

/// A system call of up to three arguments, which names no memory but buffers of the program that outlive the call.
pub fn call(number: u64, [first, second, third]: [u64; 3]) -> u64 {
    let result;
    // SAFETY: by the caller's promise. RCX and R11 are the ones that SYSCALL itself clobbers.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") first, in("rsi") second, in("rdx") third,
             out("rcx") _, out("r11") _);
    }
    result
}

/// Writes to standard output.
pub fn print(line: &[u8]) {
    call(WRITE, [1, line.as_ptr() as u64, line.len() as u64]);
}

/// Ends the program.
pub fn exit() -> ! {
    call(EXIT, [0; 3]);
    loop {
        core::hint::spin_loop();
    }
}

/// Fills `into` with the decimal digits of `number`.
pub fn digits(into: &mut [u8], number: u64) {
    let mut rest = number;
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
