//! Hardware task switches, each as a case of its own whose outcome is printed, as `vectors.rs` does for everything else.
#![no_std]
#![no_main]
#![allow(bad_asm_style)]

use core::arch::global_asm;

global_asm!(
    include_str!("entry.s"),
    include_str!("vectors/print.s"),
    include_str!("vectors/frame.s"),
    include_str!("vectors/protected.s"),
    include_str!("vectors/tasks.s"),
    "all_cases: call task_cases",
    "ret"
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
