//! Model-specific registers, of programs that name only such as concern their own CPU, pages and clock.

use core::arch::asm;

pub fn write(register: u32, value: u64) {
    // SAFETY: see above.
    unsafe { asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32) };
}

pub fn read(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading has no effect.
    unsafe { asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high) };
    u64::from(high) << 32 | u64::from(low)
}
