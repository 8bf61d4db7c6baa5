// The frame of a case: the tables, and one handler for everything that can end it. A case ends by an exception, or by INT 70h.

    .set CODE64, 0x08
    .set CODE32, 0x10
    .set DATA32, 0x18
    .set CODE16, 0x20
    .set DATA16, 0x28
    .set USER_CODE, 0x33
    .set USER_DATA, 0x3b
    .set TASK, 0x40
    .set LOCAL, 0x50
    .set CONFORMING, 0x60
    .set EXECUTE_ONLY, 0x68
    .set ABSENT_DATA, 0x70
    .set ABSENT_CODE, 0x78
    .set READ_ONLY, 0x80
    .set EXPAND_DOWN, 0x88
    .set GATE, 0x90
    .set ABSENT_GATE, 0x98
    .set UNUSED_DATA, 0xa0
    .set USER_CODE64, 0xab
    .set SMALL, 0xb0
    .set GATE64, 0xc0
    .set TABLE_END, 0xd0

    // Runs what follows as a case: `ends` closes it.
    .macro case name:vararg
    address esi, 771f
    call begin
    jmp 772f
771: .asciz \name
772: address esi, 779f
    mov [resume], esi
    call set_registers
    .endm
    .macro ends
    int 0x70
779:
    .endm

    .text
    .code32
main32:
    mov al, 0xff                        // no interrupts
    out 0x21, al
    out 0xa1, al
    mov dx, 0x3fb                       // line control: 8 data bits; after a reset there are 5
    mov al, 3
    out dx, al
    call fill_tables
    lgdt [table_register]
    lidt [interrupt_register]
    mov eax, DATA32
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov esp, offset stack_end
    .byte 0xea
    .long 2f
    .word CODE32
2:  mov ax, TASK
    ltr ax
    xor eax, eax
    lldt ax
    mov esi, offset text_begin
    call put_text
    call all_cases
    mov esi, offset text_end
    call put_text
3:  cli
    hlt
    jmp 3b

text_begin: .asciz "\r\nVECTORS begin\r\n"
text_end: .asciz "VECTORS end\r\n"

begin:                                  // ESI is the name
    mov [case_name], esi
    mov [case_stack], esp
    add dword ptr [case_stack], 4
    ret

set_registers:
    mov eax, 0x11111111
    mov ebx, 0x22222222
    mov ecx, 0x33333333
    mov edx, 0x44444444
    mov esi, 0x55555555
    mov edi, 0x66666666
    mov ebp, 0x77777777
    push 2
    popfd
    ret

    // An entry every 16 bytes: the error code, or zero for one, then the vector.
    .balign 16
entries:
    .set entry, 0
    .rept 256
    .balign 16
    .if entry == 8 || (entry >= 10 && entry <= 14) || entry == 17
    .else
    push 0
    .endif
    .set entry, entry + 1
    call ended                          // which tells the vector by the address
    .endr

    // On the stack: vector, error code, EIP, CS, EFLAGS, and ESP, SS (and more) if it came from elsewhere.
ended:
    pushad
    mov ebp, esp
    sub dword ptr [ebp + 32], offset entries
    shr dword ptr [ebp + 32], 4
    mov ecx, ds
    shl ecx, 16
    mov cx, es
    mov edx, fs
    shl edx, 16
    mov dx, gs
    mov eax, DATA32
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov [at_end], ecx
    mov [at_end + 4], edx
    mov esi, [case_name]
    call put_text
    mov al, ' '
    call put_char
    mov ecx, 5                          // vector, error code, EIP, CS, EFLAGS
    lea ebx, [ebp + 32]
2:  mov eax, [ebx]
    cmp ecx, 1
    jne 3f
    and eax, 0x003fffff
3:  cmp ecx, 2
    jne 3f
    movzx eax, ax
3:  call put_hex
    add ebx, 4
    loop 2b
    mov eax, [ebp + 44]                 // CS
    test eax, 3
    jnz 4f
    test dword ptr [ebp + 48], 0x20000  // VM
    jz 5f
4:  mov eax, [ebx]                      // ESP and SS of the outer level
    call put_hex
    movzx eax, word ptr [ebx + 4]
    call put_hex
    test dword ptr [ebp + 48], 0x20000
    jz 5f
    movzx eax, word ptr [ebx + 8]       // ES, DS, FS, GS of virtual-8086 mode
    call put_hex
    movzx eax, word ptr [ebx + 12]
    call put_hex
    movzx eax, word ptr [ebx + 16]
    call put_hex
    movzx eax, word ptr [ebx + 20]
    call put_hex
5:  mov ecx, 8                          // EDI, ESI, EBP, ESP, EBX, EDX, ECX, EAX
    mov ebx, ebp
6:  mov eax, [ebx]
    cmp ecx, 5
    je 7f
    call put_hex
7:  add ebx, 4
    loop 6b
    mov eax, [at_end]
    call put_hex
    mov eax, [at_end + 4]
    call put_hex
    cmp dword ptr [ebp + 32], 14
    jne 8f
    mov eax, cr2
    call put_hex
8:  call put_line
    mov eax, DATA32
    mov ss, eax
    mov esp, [case_stack]
    cld
    jmp [resume]

fill_tables:
    mov eax, offset entries             // the interrupt table
    mov edi, offset interrupt_table
    mov ecx, 256
2:  mov [edi], ax
    mov word ptr [edi + 2], CODE32
    mov word ptr [edi + 4], 0x8e00
    mov edx, eax
    shr edx, 16
    mov [edi + 6], dx
    add edi, 8
    add eax, 16
    loop 2b
    mov byte ptr [interrupt_table + 0x70 * 8 + 5], 0xee   // for everybody
    mov byte ptr [interrupt_table + 3 * 8 + 5], 0xee
    mov byte ptr [interrupt_table + 4 * 8 + 5], 0xef      // a trap gate
    mov byte ptr [interrupt_table + 0x71 * 8 + 5], 0x6e   // absent
    mov byte ptr [interrupt_table + 0x72 * 8 + 5], 0xee   // to no code
    mov word ptr [interrupt_table + 0x72 * 8 + 2], DATA32
    mov byte ptr [interrupt_table + 0x73 * 8 + 5], 0xee   // beyond the table
    mov word ptr [interrupt_table + 0x73 * 8 + 2], 0xfff8
    mov eax, offset task
    mov edi, offset table + TASK
    call set_base
    mov word ptr [edi], 0xef
    mov eax, offset local_table
    mov edi, offset table + LOCAL
    call set_base
    mov eax, offset gate_code
    mov edi, offset table + GATE
    call set_offset
    mov dword ptr [task + 4], offset inner_stack_end
    mov dword ptr [task + 8], DATA32
    mov word ptr [task + 102], 0x68     // all ports but 81h are free
    mov byte ptr [task + 0x68 + 0x10], 2
    ret
set_base:
    mov [edi + 2], ax
    shr eax, 16
    mov [edi + 4], al
    mov [edi + 7], ah
    ret
set_offset:
    mov [edi], ax
    shr eax, 16
    mov [edi + 6], ax
    ret

    // What the call gate leads to: two parameters.
gate_code:
    mov eax, [esp + 8]
    mov ebx, [esp + 12]
    mov ecx, cs
    mov edx, ss
    retf 8

    .section .data
    .balign 16
    .global table
table:
    .quad 0
    .quad 0x00af9b000000ffff            // 08h code64
    .quad 0x00cf9b000000ffff            // 10h code32
    .quad 0x00cf93000000ffff            // 18h data32
    .quad 0x00009b000000ffff            // 20h code16
    .quad 0x000093000000ffff            // 28h data16
    .quad 0x00cffb000000ffff            // 30h user code
    .quad 0x00cff3000000ffff            // 38h user data
    .quad 0x00008900000000ef, 0         // 40h task
    .quad 0x000082000000000f, 0         // 50h local table
    .quad 0x00cf9f000000ffff            // 60h conforming
    .quad 0x00cf99000000ffff            // 68h execute-only
    .quad 0x00cf13000000ffff            // 70h absent data
    .quad 0x00cf1b000000ffff            // 78h absent code
    .quad 0x00cf91000000ffff            // 80h read-only
    .quad 0x00c09700000000ff            // 88h expand-down
    .quad 0x0000ec0200100000            // 90h call gate, two parameters
    .quad 0x00006c0000100000            // 98h absent call gate
    .quad 0x00cf92000000ffff            // a0h data that was never loaded
    .quad 0x00affb000000ffff            // a8h user code64
    .quad 0x0040930000000fff            // b0h 4 KiB of data
    .quad 0
    .quad 0x0000ec0000080000, 0         // c0h 64-bit call gate
table_register:
    .word TABLE_END - 1
    .quad table
interrupt_register:
    .word 0x7ff
    .quad interrupt_table
local_table:
    .quad 0, 0x00cff3000000ffff
case_name: .long 0
case_stack: .long 0
resume: .long 0
at_end: .long 0, 0

    .section .bss
    .balign 4096
scratch: .skip 4096
interrupt_table: .skip 2048
task: .skip 256
    .skip 4096
inner_stack_end:
    .skip 4096
stack_end:
    .skip 4096
user_stack_end:
    .text
