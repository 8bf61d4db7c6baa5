// The parts of `events` that must be exact to the instruction: the entry, the interrupt stubs, and sequences whose points
// are named, so that a check can say where an event must come.

    .set LAPIC, 0xfee00000
    .set COMMAND, 0x300         // interrupt command register, low half

    .text
    .code32
main32:
    mov eax, cr4
    or eax, 0x28                // PAE, DE
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
long64:
    mov ecx, 0x18
    mov ss, ecx
    mov eax, offset pml4
    mov cr3, rax
    mov rax, cr4
    or eax, 8                   // DE
    mov cr4, rax
main64:
    mov esp, offset stack_top
    call events_main
1:  hlt
    jmp 1b

    // One stub a vector, 16 bytes each; those whose exception pushes no error code push 0.
    .balign 16
    .global stubs
stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
    push 0
    .endif
    push vector
    jmp enter_trap
    .set vector, vector + 1
    .endr

enter_trap:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push rbp
    mov rbp, rsp
    cld
    lea rdi, [rsp + 8 * 10]
    and rsp, -16
    call trap
    mov rsp, rbp
    pop rbp
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

    // An NMI handler that single-steps its own IRET, and sends another NMI every other time.
    .global stepped_iret
stepped_iret:
    push rax
    xor byte ptr [stepped_irets], 1
    jz 1f
    mov eax, LAPIC
    mov dword ptr [rax + COMMAND], 0x4400
1:  pop rax
    pushfq
    bts dword ptr [rsp], 8
    popfq
    iretq

    // A sequence is a function; it keeps the local APIC's address in R12.
    .macro sequence name
    .balign 16
    .global \name
\name:
    push rbx
    push rbp
    push r12
    mov r12d, LAPIC
    .endm

    .macro finish
    pop r12
    pop rbp
    pop rbx
    ret
    .endm

    .macro point name
    .global \name
\name:
    .endm

    .macro self_nmi
    mov dword ptr [r12 + COMMAND], 0x4400
    .endm

    .macro self_ipi vector
    mov dword ptr [r12 + COMMAND], 0x44000 + \vector
    .endm

    // Time for a message to arrive that must come soon, or must not come at all.
    .macro settle
    mov ecx, 20
30: pause
    dec ecx
    jnz 30b
    .endm

    .macro step
    pushfq
    or dword ptr [rsp], 0x100   // TF
    popfq
    .endm

    .macro unstep
    pushfq
    and dword ptr [rsp], ~0x100
    popfq
    .endm

    sequence settled
    settle
    finish

    sequence send_nmi
    self_nmi
    settle
    finish

    // With interrupts off only an NMI ends HLT.
    sequence cli_hlt
    cli
    hlt
    settle
    finish

    sequence send_two_nmis
    self_nmi
    self_nmi
    settle
    finish

    // --- interrupts -------------------------------------------------------------------------------------------------

    .macro pending vector
    cli
    self_ipi \vector
    settle
    .endm

    sequence sti_nop
    pending 0x40
    sti
    nop
point sti_nop_behind
    nop
    cli
    finish

    sequence sti_cli
    pending 0x40
    sti
    cli
    settle
    sti
    nop
point sti_cli_behind
    nop
    cli
    finish

    sequence sti_nop_cli
    pending 0x40
    sti
    nop
point sti_nop_cli_behind
    cli
    finish

    sequence sti_hlt
    pending 0x40
    sti
    hlt
point sti_hlt_behind
    cli
    finish

    sequence popf_if
    pending 0x40
    pushfq
    or dword ptr [rsp], 0x200
    popfq
point popf_if_behind
    nop
    cli
    finish

    sequence iret_if
    pending 0x40
    mov rax, rsp
    mov ecx, ss
    push rcx
    push rax
    pushfq
    or dword ptr [rsp], 0x200
    push 0x08
    push offset iret_if_target
    iretq
point iret_if_target
    nop
    cli
    finish

    sequence sti_cpuid
    pending 0x40
    xor eax, eax
    sti
    cpuid
point sti_cpuid_behind
    nop
    cli
    finish

    sequence sti_rdmsr
    pending 0x40
    mov ecx, 0xc0000080
    sti
    rdmsr
point sti_rdmsr_behind
    nop
    cli
    finish

    sequence sti_in
    pending 0x40
    sti
    in al, 0x21
point sti_in_behind
    nop
    cli
    finish

    sequence sti_load
    pending 0x40
    sti
    mov eax, [r12 + 0x30]
point sti_load_behind
    nop
    cli
    finish

    // An interrupt and an NMI become due behind the same instruction: the NMI goes first.
    sequence sti_nmi
    pending 0x40
    sti
    self_nmi
    settle
    cli
    finish

    // Waits for one. Without HLT: QEMU's VMRUN forgets the shadow of STI, so that an interrupt that comes due in it would be
    // over before the HLT behind it.
    sequence await_one
    sti
2:  pause
    cmp qword ptr [log_length], 0
    je 2b
    cli
    finish

    // Waits for the next.
    sequence idle
    sti
    hlt
    cli
    finish

    sequence window
    sti
    settle
    cli
    finish

    sequence three_by_cr8
    mov eax, 15
    mov cr8, rax
    sti
    self_ipi 0x41
    self_ipi 0x52
    self_ipi 0x63
    settle
    mov eax, 6                  // does not let 63h in
    mov cr8, rax
    settle
    mov rax, [log_length]
    mov [seen], rax
    mov eax, 5
    mov cr8, rax
    settle
    mov rax, [log_length]
    mov [seen + 8], rax
    mov eax, 4
    mov cr8, rax
    settle
    mov rax, [log_length]
    mov [seen + 16], rax
    xor eax, eax
    mov cr8, rax
    settle
    cli
    finish

    sequence three_by_tpr
    mov dword ptr [r12 + 0x80], 0xf0
    sti
    self_ipi 0x41
    self_ipi 0x52
    self_ipi 0x63
    settle
    mov dword ptr [r12 + 0x80], 0x60
    settle
    mov rax, [log_length]
    mov [seen], rax
    mov dword ptr [r12 + 0x80], 0x50
    settle
    mov rax, [log_length]
    mov [seen + 8], rax
    mov dword ptr [r12 + 0x80], 0x40
    settle
    mov rax, [log_length]
    mov [seen + 16], rax
    mov dword ptr [r12 + 0x80], 0
    settle
    cli
    finish

    // Written by one way and read by the other.
    sequence both_tprs
    mov eax, 9
    mov cr8, rax
    mov eax, [r12 + 0x80]
    mov [seen], rax
    mov dword ptr [r12 + 0x80], 0x35
    mov rax, cr8
    mov [seen + 8], rax
    mov eax, [r12 + 0x80]
    mov [seen + 16], rax
    xor eax, eax
    mov cr8, rax
    finish

    sequence three_at_once
    mov eax, 15
    mov cr8, rax
    sti
    self_ipi 0x52
    self_ipi 0x41
    self_ipi 0x63
    self_ipi 0x63               // merges with the one that waits
    settle
    xor eax, eax
    mov cr8, rax
    settle
    cli
    finish

    // The task priority falls with interrupts off; they are let in by STI.
    sequence cr8_under_cli
    mov eax, 15
    mov cr8, rax
    cli
    self_ipi 0x63
    settle
    xor eax, eax
    mov cr8, rax
    settle
    sti
    nop
point cr8_under_cli_behind
    nop
    cli
    finish

    // --- NMIs -------------------------------------------------------------------------------------------------------

    // In a loop that is mostly interrupt shadows, until an NMI from a timer came. A PUSHF in a shadow must not see TF. With
    // interrupts on if the argument says so.
    sequence nmi_in_shadows
    mov ebx, 0x18
    xor ebp, ebp
    test edi, edi
    jz 2f
    sti
2:  mov ss, bx
point shadow_1
    pushfq
    pop rax
    or rbp, rax
    mov ss, bx
point shadow_2
    nop
    mov ss, bx
point shadow_3
    pushfq
    pop rax
    or rbp, rax
    mov ss, bx
point shadow_4
    xor eax, eax
    cmp qword ptr [log_length], 0
    je 2b
    cli
    mov rax, rbp
    finish

    // --- debug exceptions -------------------------------------------------------------------------------------------

    sequence stepped
    step
    nop
point stepped_1                 // no trap behind POPF itself, which set TF
    xor eax, eax
point stepped_2
    cpuid
point stepped_3
    mov ecx, 0xc0000080
point stepped_4
    rdmsr
point stepped_5
    in al, 0x21
point stepped_6
    mov eax, [r12 + 0x30]
point stepped_7
    mov ecx, 0x18
point stepped_8
    mov ss, ecx
    nop                         // no trap between the two
point stepped_9
    mov ss, ecx
    cpuid
point stepped_10
    pushfq
point stepped_11
    pop rbp
point stepped_12
    and ebp, 0x100
point stepped_13
    pushfq
point stepped_14
    and dword ptr [rsp], ~0x100
point stepped_15
    popfq                       // traps, because TF was set when it began
point stepped_16
    mov eax, ebp
    finish

    // An exit in the shadow of STI.
    sequence stepped_sti
    step
    nop
point stepped_sti_1
    sti
point stepped_sti_2
    in al, 0x21
point stepped_sti_3
    cli
point stepped_sti_4
    unstep
    finish

    // INT n clears TF, and IRET sets it for what comes behind the next instruction.
    sequence stepped_int
    step
    nop
point stepped_int_1
    int 0x80
point stepped_int_2
    nop
point stepped_int_3
    int3
point stepped_int_4
    nop
point stepped_int_5
    ud2
    unstep
    finish

    .global stepped_int_6
    .set stepped_int_6, stepped_int_5 + 3

    sequence icebp
    .byte 0xf1
point icebp_behind
    nop
    finish

    sequence stepped_strings
    mov esi, offset vector_words
    mov edi, offset vector_words + 8
    mov ecx, 3
    mov edx, 0x80
    step
    nop
point strings_1
    rep movsb
point strings_2
    mov esi, offset vector_words
point strings_3
    mov ecx, 3
point strings_4
    rep outsb
point strings_5
    nop
point strings_6
    unstep
    finish

    // The caller has set the breakpoints: execution at `broken_1` to `broken_3`, writes of `watched`.
    sequence broken
    xor eax, eax
point broken_1
    cpuid
point broken_2
    in al, 0x21
point broken_3
    nop
    finish

    sequence watching
    mov [watched], eax
point watching_1
    nop
    mov eax, [watched]
    finish

    sequence watching_steps
    step
    nop
point watching_2
    mov [watched], eax
point watching_3
    nop
point watching_4
    unstep
    finish

    // A write of a debug register while DR7.GD is set.
    sequence guarded
    mov eax, 0x2400             // GD
    mov dr7, rax
point guarded_1
    mov dr0, rax                // faults; the handler skips it
point guarded_2
    mov rax, dr7
    finish

    .section .data
    .balign 4096
pml4:
    .quad pdpt + 3
    .skip 4088
pdpt:                           // the first GiB, and the fourth, where the APICs are
    .quad low + 3
    .quad 0, 0
    .quad high + 3
    .skip 4064
low:
    .set address, 0
    .rept 512
    .quad address + 0x83
    .set address, address + 0x200000
    .endr
high:
    .set address, 0xc0000000
    .rept 512
    .quad address + 0x83
    .set address, address + 0x200000
    .endr
    .balign 16
    .global watched
watched:
    .quad 0
vector_words:
    .quad 0, 0
    .global seen
seen:
    .quad 0, 0, 0
stepped_irets:
    .byte 0
    .text
