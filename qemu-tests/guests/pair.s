// The parts of `pair` that are no Rust: the way to 64-bit mode for both CPUs, and the interrupts.

    .set START, 0x8000          // as in pair.rs
    .set EOI, 0x80b

    .text
    .code32
main32:
    mov al, 0xff                // no line of either 8259
    out 0x21, al
    out 0xa1, al
    mov eax, cr4
    or eax, 0x20                // PAE
    mov cr4, eax
    mov eax, offset pml4
    mov cr3, eax
    mov ecx, 0xc0000080         // EFER
    rdmsr
    or ah, 1                    // LME
    wrmsr
    mov eax, cr0
    or eax, 0x80000000          // PG
    mov cr0, eax
    .byte 0xea                  // jmp 08h:first64
    .long first64
    .word 0x08

    // Copied to START: from real mode to 64-bit mode in one step.
    .balign 4
    .code16
    .global second_start
second_start:
    jmp 1f
    .balign 4
    .set SECOND_GDT, START + 4
    .word 31
    .long gdt
    .set SECOND_IDT, START + 10
    .word 0, 0, 0
1:  cli
    xor ax, ax
    mov ds, ax
    lgdt [SECOND_GDT]
    lidt [SECOND_IDT]
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    mov eax, offset pml4
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or ah, 1
    wrmsr
    mov eax, cr0
    or eax, 0x80000001          // PG, PE
    mov cr0, eax
    .byte 0x66, 0xea            // jmp 08h:second64
    .long second64
    .word 0x08
    .global second_end
second_end:

    .code64
first64:
    mov esp, offset stack_top
    call first_main

second64:
    mov eax, 0x18
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, offset second_stack_top
    lidt [idt_register]
    call second_main

    .global fill_idt
fill_idt:
    mov edi, offset idt + 16 * 0x41
    mov eax, offset called
    call gate
    mov eax, offset answered
    call gate
    mov eax, offset timed
    call gate
    lidt [idt_register]
    ret
gate:                           // EAX: the handler, which lies below 4 GiB; EDI: the entry, then the next
    mov word ptr [rdi], ax
    shr eax, 16
    mov word ptr [rdi + 2], 0x08
    mov word ptr [rdi + 4], 0x8e00
    mov word ptr [rdi + 6], ax
    mov qword ptr [rdi + 8], 0
    add edi, 16
    ret

called:
    push rax
    push rcx
    push rdx
    rdtsc
    mov dword ptr [called_at], eax
    mov dword ptr [called_at + 4], edx
    jmp end_of_interrupt
timed:
    push rax
    push rcx
    push rdx
    mov dword ptr [has_timed], 1
    jmp end_of_interrupt
answered:
    push rax
    push rcx
    push rdx
end_of_interrupt:
    mov ecx, EOI
    xor eax, eax
    xor edx, edx
    wrmsr
    pop rdx
    pop rcx
    pop rax
    iretq

    .global halt
halt:
    sti
    hlt
    cli
    ret

    .global spin_for_timer
spin_for_timer:
    xor eax, eax
    mov dword ptr [has_timed], eax
    sti
1:  inc rax
    cmp dword ptr [has_timed], 0
    je 1b
    cli
    ret

    .section .data
    .balign 16
idt:
    .skip 16 * 0x44
idt_register:
    .word 16 * 0x44 - 1
    .quad idt
    .balign 8
    .global called_at
called_at:
    .quad 0
has_timed:
    .long 0

    .section .bss
    .balign 16
    .skip 4096
second_stack_top:
    .text
