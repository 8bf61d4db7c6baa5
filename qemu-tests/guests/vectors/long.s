// 64-bit mode. A case ends as elsewhere; the handlers are their own.

    .set LONG_TABLES, 0x210000

    .macro long_case name
    address esi, 771f
    mov [case_name], esi
    address rax, 779f
    mov [long_resume], rax
    mov [long_stack], rsp
    jmp 772f
771: .asciz "\name"
772: call long_registers
    .endm
    .macro long_ends
    int 0x70
779:
    .endm

    .text
    .code32
long_cases:
    call fill_long
    mov eax, cr4
    or eax, 0x20                        // PAE
    mov cr4, eax
    mov eax, LONG_TABLES
    mov cr3, eax
    mov ecx, 0xc0000080                 // EFER: LME
    xor edx, edx
    mov eax, 0x100
    wrmsr
    mov [long_return], esp
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    .byte 0xea
    .long long_start
    .word CODE64

long_end32:
    mov eax, DATA32
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov esp, [long_return]
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov ecx, 0xc0000080
    xor edx, edx
    xor eax, eax
    wrmsr
    ret

fill_long:
    mov edi, LONG_TABLES                // 1 GiB, in pages of 2 MiB, for everybody
    mov ecx, 0x3000 / 4
    xor eax, eax
    rep stosd
    mov dword ptr [LONG_TABLES], LONG_TABLES + 0x1007
    mov dword ptr [LONG_TABLES + 0x1000], LONG_TABLES + 0x2007
    mov edi, LONG_TABLES + 0x2000
    mov eax, 0x87
    mov ecx, 16
2:  mov [edi], eax
    add edi, 8
    add eax, 0x200000
    loop 2b
    mov eax, offset long_entries        // the interrupt table
    mov edi, offset long_interrupt_table
    mov ecx, 256
2:  mov [edi], ax
    mov word ptr [edi + 2], CODE64
    mov word ptr [edi + 4], 0x8e00
    mov edx, eax
    shr edx, 16
    mov [edi + 6], dx
    add edi, 16
    add eax, 16
    loop 2b
    mov byte ptr [long_interrupt_table + 0x70 * 16 + 5], 0xee
    mov byte ptr [long_interrupt_table + 0x71 * 16 + 5], 0xee
    mov byte ptr [long_interrupt_table + 0x71 * 16 + 4], 2
    mov byte ptr [long_interrupt_table + 0x72 * 16 + 5], 0xee
    mov word ptr [long_interrupt_table + 0x72 * 16 + 2], CODE32
    mov dword ptr [long_task + 4], offset inner_stack_end
    mov dword ptr [long_task + 0x24 + 8], offset inner_stack_end - 0x800
    mov word ptr [long_task + 102], 0x68
    mov eax, offset long_task
    mov edi, offset table + TASK
    call set_base
    mov byte ptr [edi + 5], 0x89
    mov eax, offset long_gate_code
    mov edi, offset table + GATE64
    call set_offset
    ret

    .code64
long_start:
    xor eax, eax
    mov ss, eax
    mov esp, esp
    lidt [long_interrupt_register]
    mov ax, TASK
    ltr ax
    mov ax, DATA32
    mov ds, ax
    mov es, ax

    long_case "long"
    long_ends
    long_case "long non-canonical"
    mov rax, 0x800000000000
    mov rbx, [rax]
    long_ends
    long_case "long non-canonical stack"
    mov rax, 0x800000000000
    mov rbp, rax
    mov rbx, [rbp]
    long_ends
    long_case "long non-canonical jump"
    mov rax, 0x800000000000
    jmp rax
    long_ends
    long_case "long page"
    mov rax, 0x40000000
    mov rbx, [rax]
    long_ends
    long_case "long null stack"
    xor eax, eax
    mov ss, eax
    mov eax, ss
    long_ends
    long_case "long stack of user's rpl"
    mov eax, 3
    mov ss, eax
    long_ends
    long_case "long far jump needs memory"
    .byte 0xea
    .long 0, 0
    long_ends
    long_case "long ltr of a busy task"
    mov eax, TASK
    ltr ax
    long_ends
    long_case "long lldt"
    mov eax, LOCAL
    lldt ax
    sldt rbx
    long_ends
    long_case "long lar of gates"
    mov ecx, GATE64
    lar eax, ecx
    setz dl
    mov ecx, GATE
    lar ebx, ecx
    setz dh
    mov ecx, TASK
    lsl ecx, ecx
    and eax, 0xfff0ffff
    and ebx, 0xfff0ffff
    long_ends
    long_case "long compatibility mode and back"
    push CODE32
    address rax, 3f
    push rax
    retfq
    .code32
3:  mov ebx, esp
    sub ebx, offset stack_end
    mov ax, 0x1234
    inc eax
    .byte 0xea
    .long 4f
    .word CODE64
    .code64
4:  long_ends
    long_case "long user"
    push USER_DATA
    push_address user_stack_end
    push 2
    push USER_CODE64
    address rax, 3f
    push rax
    iretq
3:  mov eax, cs
    mov ebx, ss
    long_ends
    long_case "long user gate"
    push USER_DATA
    push_address user_stack_end
    push 2
    push USER_CODE64
    address rax, 3f
    push rax
    iretq
3:  mov dword ptr [scratch], 0
    mov dword ptr [scratch + 4], GATE64 + 3
    call fword ptr [scratch]
    long_ends
    long_case "long user interrupt stack"
    push USER_DATA
    push_address user_stack_end
    push 2
    push USER_CODE64
    address rax, 3f
    push rax
    iretq
3:  int 0x71
    long_ends
    long_case "long gate to 32-bit code"
    int 0x72
    long_ends
    long_case "long iret with nt"
    push 0x4002
    popfq
    iretq
    long_ends
    long_case "long iret to a non-canonical address"
    mov rcx, rsp
    push 0
    push rcx
    push 2
    push CODE64
    mov rax, 0x800000000000
    push rax
    iretq
    long_ends
    long_case "long swapgs and bases"
    mov ecx, 0xc0000101                 // GS_BASE
    mov eax, 0x1000
    xor edx, edx
    wrmsr
    inc ecx                             // KERNEL_GS_BASE
    mov eax, 0x2000
    wrmsr
    swapgs
    dec ecx
    rdmsr
    mov ebx, eax
    inc ecx
    rdmsr
    swapgs
    long_ends
    long_case "long base that is not canonical"
    mov ecx, 0xc0000101
    xor eax, eax
    mov edx, 0x8000
    wrmsr
    long_ends
    long_case "long cr0 above 32 bits"
    mov rax, cr0
    and eax, 0x9fffffff                 // caches are as the loader left them
    bts rax, 40
    test rax, rax                       // BTS leaves flags undefined
    mov cr0, rax
    long_ends
    long_case "long cr8"
    mov eax, 5
    mov cr8, rax
    mov rbx, cr8
    mov eax, 16
    mov cr8, rax
    long_ends
    long_case "long dr7 above 32 bits"
    mov rax, 0x100000400
    mov dr7, rax
    long_ends
    long_case "long sgdt"
    sgdt [scratch]
    mov rax, [scratch + 2]
    sub rax, offset table
    long_ends
    long_case "long string with 32-bit addresses"
    mov rcx, 0x100000003
    mov edi, offset scratch
    bts rdi, 32
    mov al, 0x5a
    addr32 rep stosb
    sub rdi, offset scratch
    long_ends
    push CODE32
    lea rax, [long_end32]
    push rax
    retfq

long_gate_code:
    mov rax, [rsp]
    mov rbx, [rsp + 8]
    mov rcx, cs
    mov rdx, ss
    sub rax, offset long_start
    retfq

long_registers:
    mov rax, 0x1111111111111111
    mov rbx, 0x2222222222222222
    mov rcx, 0x3333333333333333
    mov rdx, 0x4444444444444444
    mov rsi, 0x5555555555555555
    mov rdi, 0x6666666666666666
    mov rbp, 0x7777777777777777
    push 2
    popfq
    ret

    .balign 16
long_entries:
    .set entry, 0
    .rept 256
    .balign 16
    .if entry == 8 || (entry >= 10 && entry <= 14) || entry == 17
    .else
    push 0
    .endif
    .set entry, entry + 1
    call long_ended
    .endr

long_ended:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    mov rbp, rsp
    lea rax, [long_entries]
    sub [rbp + 56], rax
    shr qword ptr [rbp + 56], 4
    mov esi, [case_name]
2:  mov al, [rsi]
    test al, al
    jz 3f
    call long_char
    inc rsi
    jmp 2b
3:  mov al, ' '
    call long_char
    mov ecx, 7                          // vector, error code, RIP, CS, RFLAGS, RSP, SS
    lea rbx, [rbp + 56]
4:  mov rax, [rbx]
    cmp ecx, 3
    jne 5f
    and eax, 0x003fffff
5:  call long_hex
    add rbx, 8
    loop 4b
    mov ecx, 7                          // RBP, RDI, RSI, RDX, RCX, RBX, RAX
    mov rbx, rbp
4:  mov rax, [rbx]
    call long_hex
    add rbx, 8
    loop 4b
    cmp dword ptr [rbp + 56], 14
    jne 6f
    mov rax, cr2
    call long_hex
6:  mov al, 13
    call long_char
    mov al, 10
    call long_char
    mov rsp, [long_stack]
    xor eax, eax
    mov ss, eax
    cld
    mov rax, [long_resume]
    jmp rax

long_char:                              // AL
    push rax
    push rdx
    push rax
    mov dx, 0x3fd
2:  in al, dx
    test al, 0x20
    jz 2b
    pop rax
    mov dx, 0x3f8
    out dx, al
    pop rdx
    pop rax
    ret

long_hex:                               // RAX, 16 digits and a space
    push rcx
    push rdx
    mov rdx, rax
    mov ecx, 16
2:  rol rdx, 4
    mov al, dl
    and al, 15
    cmp al, 10
    jb 3f
    add al, 'a' - '0' - 10
3:  add al, '0'
    call long_char
    dec ecx
    jnz 2b
    mov al, ' '
    call long_char
    pop rdx
    pop rcx
    ret

    .section .data
    .balign 16
long_interrupt_register:
    .word 0xfff
    .quad long_interrupt_table
long_resume: .quad 0
long_stack: .quad 0
long_return: .quad 0
    .section .bss
    .balign 16
long_interrupt_table: .skip 4096
long_task: .skip 256
    .text
    .code32
