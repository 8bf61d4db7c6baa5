//! The guest's general registers around a world switch: the part of the naked entry code that both vendors share, as text for
//! `naked_asm!` (Intel syntax).

/// The general registers in encoding order. Those that the vendor's control block holds have an unused slot.
pub type Gprs = [u64; 16];

/// Pushes what the System V calling convention wants back (callee-saved registers). Undone by [`pop_callee_saved!`](crate::pop_callee_saved).
#[macro_export]
macro_rules! push_callee_saved {
    () => {
        "push rbx
         push rbp
         push r12
         push r13
         push r14
         push r15"
    };
}

/// See [`push_callee_saved!`](crate::push_callee_saved).
#[macro_export]
macro_rules! pop_callee_saved {
    () => {
        "pop r15
         pop r14
         pop r13
         pop r12
         pop rbp
         pop rbx"
    };
}

/// Loads all but RAX and RSP from the [`Gprs`](crate::gprs::Gprs) at RDI, RDI last. Leaves the flags alone.
#[macro_export]
macro_rules! load_gprs {
    () => {
        "mov rcx, [rdi + 1*8]
         mov rdx, [rdi + 2*8]
         mov rbx, [rdi + 3*8]
         mov rbp, [rdi + 5*8]
         mov rsi, [rdi + 6*8]
         mov r8, [rdi + 8*8]
         mov r9, [rdi + 9*8]
         mov r10, [rdi + 10*8]
         mov r11, [rdi + 11*8]
         mov r12, [rdi + 12*8]
         mov r13, [rdi + 13*8]
         mov r14, [rdi + 14*8]
         mov r15, [rdi + 15*8]
         mov rdi, [rdi + 7*8]"
    };
}

/// Stores all but RAX and RSP in the [`Gprs`](crate::gprs::Gprs) at RAX.
#[macro_export]
macro_rules! store_gprs {
    () => {
        "mov [rax + 1*8], rcx
         mov [rax + 2*8], rdx
         mov [rax + 3*8], rbx
         mov [rax + 5*8], rbp
         mov [rax + 6*8], rsi
         mov [rax + 7*8], rdi
         mov [rax + 8*8], r8
         mov [rax + 9*8], r9
         mov [rax + 10*8], r10
         mov [rax + 11*8], r11
         mov [rax + 12*8], r12
         mov [rax + 13*8], r13
         mov [rax + 14*8], r14
         mov [rax + 15*8], r15"
    };
}
