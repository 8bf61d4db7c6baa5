// The loops of `ub` that run in 32-bit unpaged mode. Each times TIMES rounds of one exit and stores the TSC's advance in
// its slot of `results`; loop control counts, two instructions a round.

    .set TIMES, 1000

    .macro repeat
    rdtsc
    mov [started], eax
    mov [started + 4], edx
    mov edi, TIMES
1:
    .endm

    .macro until slot
    dec edi
    jnz 1b
    rdtsc
    sub eax, [started]
    sbb edx, [started + 4]
    mov [results + 8 * \slot], eax
    mov [results + 8 * \slot + 4], edx
    .endm

    .text
    .code32
main32:
    repeat
    xor eax, eax
    cpuid
    until 0

    repeat
    out 0xe0, al
    until 1

    repeat
    in al, 0x21
    until 2

    repeat
    mov eax, [0xd0000000]
    until 3

    repeat
    mov eax, [0xfee00030]
    until 4

    repeat
    mov ecx, 0xc0000080
    rdmsr
    until 5

    call under_hypervisor
    jnz 4f
    xor eax, eax
    cpuid
    cmp ecx, 0x6c65746e         // "GenuineI" "ntel": each vendor's instruction is undefined on the other's CPU
    je 2f
    repeat
    mov eax, 17                 // a number that no hypercall interface has
    xor ebx, ebx
    vmmcall
    until 6
    jmp 4f
2:
    repeat
    mov eax, 17
    xor ebx, ebx
    vmcall
    until 6
4:
    call receive_interrupts
    repeat
    mov dword ptr [0xfee00300], 0x40040     // ICR: to self, fixed, vector 40h
    sti
    hlt
    cli
    until 7
    jmp enter_long_mode

// ZF: a hypercall will be answered. QEMU's emulation reports itself as a hypervisor and has none.
under_hypervisor:
    mov eax, 1
    cpuid
    not ecx
    test ecx, 0x80000000
    jnz 3f
    mov eax, 0x40000000
    cpuid
    cmp ebx, 0x54474354         // "TCGT"
    sete al
    test al, al
3:  ret

receive_interrupts:
    mov eax, offset interrupt
    mov [idt + 8 * 0x40], ax
    mov word ptr [idt + 8 * 0x40 + 2], 0x10
    mov word ptr [idt + 8 * 0x40 + 4], 0x8e00
    shr eax, 16
    mov [idt + 8 * 0x40 + 6], ax
    lidt [idt_register]
    mov al, 0xff                // no line of either 8259
    out 0x21, al
    out 0xa1, al
    mov dword ptr [0xfee000f0], 0x1ff       // enable, spurious vector FFh
    mov dword ptr [0xfee00080], 0           // task priority
    ret

interrupt:
    inc dword ptr [interrupts]
    mov dword ptr [0xfee000b0], 0           // end of interrupt
    iretd

enter_long_mode:
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
    .byte 0xea                  // jmp 08h:main64
    .long main64
    .word 0x08

    .code64
main64:
    mov esp, offset stack_top
    repeat
    xor eax, eax
    cpuid
    until 8
    call report
5:  hlt
    jmp 5b

    .section .data
    .balign 16
idt:
    .skip 8 * 0x41
idt_register:
    .word 8 * 0x41 - 1
    .quad idt
    .balign 8
started:
    .quad 0
    .global results
results:
    .skip 8 * 9
    .global interrupts
interrupts:
    .quad 0
