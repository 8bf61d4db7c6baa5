//! A boot sector that resets the machine and prints how long it took until firmware started the sector again:
//! `RESET <ticks of the ACPI timer>` on COM1. That timer goes on across a reset. Built by `rustc` alone.
#![no_std]
#![no_main]

use core::arch::global_asm;

// What was left at 9000h, where no firmware looks, tells the second start from the first.
global_asm!(
    ".section .sector, \"ax\"",
    ".code16",
    ".global _start",
    "_start:",
    "xor ax, ax",
    "mov ds, ax",
    "mov ss, ax",
    "mov sp, 0x7c00",
    "mov dx, 0x608",
    "in eax, dx",
    "cmp dword ptr [0x9000], 0x4f4e4f4d",
    "je 2f",
    "mov dword ptr [0x9000], 0x4f4e4f4d",
    "in eax, dx",
    "mov dword ptr [0x9004], eax",
    "mov dx, 0xcf9",
    "mov al, 6",
    "out dx, al",
    "4: hlt",
    "jmp 4b",
    // The timer has 24 bits.
    "2: sub eax, dword ptr [0x9004]",
    "and eax, 0xffffff",
    "mov dword ptr [0x9000], 0",
    "mov di, 0x7bf0",
    "mov byte ptr [di], 10",
    "mov ecx, 10",
    "3: xor edx, edx",
    "div ecx",
    "add dl, 0x30",
    "dec di",
    "mov byte ptr [di], dl",
    "test eax, eax",
    "jnz 3b",
    "mov dx, 0x3f8",
    "mov si, offset text",
    "mov cx, 7",
    "6: lodsb",
    "out dx, al",
    "loop 6b",
    "mov si, di",
    "7: lodsb",
    "out dx, al",
    "cmp al, 10",
    "jne 7b",
    "jmp 4b",
    "text: .ascii \"\\nRESET \"",
    ".code64",
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
