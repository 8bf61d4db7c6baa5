// Real mode. A case's code is copied to linear 8000h and starts at 0800h:0; it ends by an exception or INT 70h, whose handlers all are at
// linear 7f00h and tell the vector by CS.

    .set REAL_STUB, 0x7d00
    .set REAL_HANDLER, 0x7f00
    .set REAL_VECTORS, 0x6000
    .set REAL_STATE, 0x5000

    .macro real name
    address esi, 771f
    call begin
    address esi, 774f
    address ecx, 775f
    sub ecx, esi
    call run_real
    jmp 775f
771: .asciz "\name"
    .code16
774:
    .endm
    .macro real_ends
    int 0x70
    .code32
775:
    .endm

    .text
    .code32
run_real:                               // ESI and ECX are the code
    mov edi, 0x8000
    rep movsb
    mov [real_stack], esp
    .byte 0xea
    .long REAL_STUB
    .word CODE16

    // Copied to REAL_STUB.
    .code16
real_stub:
    mov ax, DATA16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov fs, ax
    mov gs, ax
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    .byte 0xea
    .word REAL_STUB + 3f - real_stub
    .word 0
3:  xor ax, ax
    mov ds, ax
    lidt [REAL_STATE + 0x48]
    mov ax, 0x840
    mov ds, ax
    mov ax, 0x880
    mov es, ax
    mov ax, 0x8ff
    mov fs, ax
    mov ax, 0x900
    mov gs, ax
    mov ax, 0x800
    mov ss, ax
    mov esp, 0x700
    mov eax, 0x11111111
    mov ebx, 0x22222222
    mov ecx, 0x33333333
    mov edx, 0x44444444
    mov esi, 0x55555555
    mov edi, 0x66666666
    mov ebp, 0x77777777
    push 2
    popf
    .byte 0xea
    .word 0, 0x800
real_stub_end:

    // Copied to REAL_HANDLER.
real_handler:
    push ds
    push ax
    xor ax, ax
    mov ds, ax
    pop word ptr [REAL_STATE]
    pop word ptr [REAL_STATE + 2]
    mov [REAL_STATE + 4], cs
    mov [REAL_STATE + 6], es
    mov [REAL_STATE + 8], ss
    pop word ptr [REAL_STATE + 0x10]
    pop word ptr [REAL_STATE + 0x14]
    pop word ptr [REAL_STATE + 0x18]
    mov [REAL_STATE + 0x20], eax
    mov [REAL_STATE + 0x24], ebx
    mov [REAL_STATE + 0x28], ecx
    mov [REAL_STATE + 0x2c], edx
    mov [REAL_STATE + 0x30], esi
    mov [REAL_STATE + 0x34], edi
    mov [REAL_STATE + 0x38], ebp
    mov [REAL_STATE + 0x3c], esp
    pushf                               // what the delivery has cleared
    pop word ptr [REAL_STATE + 0x1c]
    .byte 0x66
    lgdt [REAL_STATE + 0x40]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0x66, 0xea
    .long real_back
    .word CODE32
real_handler_end:

    .code32
real_back:
    mov eax, DATA32
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov esp, [real_stack]
    lidt [interrupt_register]
    cld
    mov esi, [case_name]
    call put_text
    mov al, ' '
    call put_char
    movzx eax, word ptr [REAL_STATE + 4]
    sub eax, 0x100
    call put_hex
    mov esi, REAL_STATE + 0x10
    mov ecx, 12
2:  mov eax, [esi]
    call put_hex
    add esi, 4
    loop 2b
    movzx eax, word ptr [REAL_STATE]
    call put_hex
    mov eax, [REAL_STATE + 2]
    shl eax, 16
    mov ax, [REAL_STATE + 6]
    call put_hex
    movzx eax, word ptr [REAL_STATE + 8]
    call put_hex
    call put_line
    ret

real_cases:
    mov esi, offset real_stub
    mov edi, REAL_STUB
    mov ecx, offset real_stub_end
    sub ecx, offset real_stub
    rep movsb
    mov esi, offset real_handler
    mov edi, REAL_HANDLER
    mov ecx, offset real_handler_end
    sub ecx, offset real_handler
    rep movsb
    mov edi, REAL_STATE
    mov ecx, 64
    xor eax, eax
    rep stosb
    mov eax, [table_register]
    mov [REAL_STATE + 0x40], eax
    mov eax, [table_register + 4]
    mov [REAL_STATE + 0x44], eax
    mov word ptr [REAL_STATE + 0x48], 0x3ff
    mov dword ptr [REAL_STATE + 0x4a], REAL_VECTORS
    mov edi, REAL_VECTORS
    mov edx, 0x100
2:  mov eax, edx
    shl eax, 4
    neg eax
    add eax, REAL_HANDLER
    mov [edi], ax
    mov [edi + 2], dx
    add edi, 4
    inc edx
    cmp edx, 0x200
    jb 2b

    real "real"
    real_ends
    real "real limit"
    mov bx, 0xffff
    mov ax, [bx]
    real_ends
    real "real limit of 32-bit addresses"
    mov ebx, 0x10000
    mov ax, [ebx]
    real_ends
    real "real code limit"
    mov byte ptr [0xfbff], 0x66         // a prefix at the segment's last byte
    .byte 0xe9
    .word 0xffff - 8
    real_ends
    real "real divide"
    xor cx, cx
    div cx
    real_ends
    real "real bound"
    mov word ptr [0], 3
    mov word ptr [2], 4
    mov ax, 5
    bound ax, [0]
    real_ends
    real "real int under if and tf"
    push 0x0302
    popf
    int 0x71
    real_ends
    real "real into"
    mov al, 0x7f
    add al, 1
    into
    real_ends
    real "real int3"
    int3
    real_ends
    real "real ud2"
    ud2
    real_ends
    real "real arpl"
    .byte 0x63, 0xc0
    real_ends
    real "real lar"
    lar ax, ax
    real_ends
    real "real sldt"
    sldt ax
    real_ends
    real "real lock"
    .byte 0xf0, 0x89, 0xc0
    real_ends
    real "real segments"
    mov ax, 0xffff
    mov ds, ax
    mov eax, [0x10]
    xor eax, eax
    push 0x1234
    pop es
    lfs bx, [bp + 0x100]
    xor bx, bx
    real_ends
    real "real mov cs"
    .byte 0x8e, 0xc8
    real_ends
    real "real far call"
    push cs
    .byte 0xe8
    .word 3f - . - 2
    jmp 4f
3:  .byte 0xcb
4:  real_ends
    real "real iret"
    push 0x0ed7
    push cs
    push_address 3f-774b
    iret
3:  pushf
    pop ax
    cli
    real_ends
    real "real pusha"
    pusha
    mov bx, sp
    popa
    real_ends
    real "real enter"
    mov bp, sp
    enter 8, 2
    mov ax, sp
    leave
    real_ends
    real "real strings wrap"
    mov si, 0xfffe
    mov di, 0x10
    mov cx, 4
    rep movsb
    real_ends
    real "real words across the end"
    mov si, 0xffff
    mov cx, 2
    rep lodsw
    real_ends
    real "real loop"
    mov ecx, 0x10003
3:  inc ax
    loop 3b
    real_ends
    real "real decimal"
    mov ax, 0x0938
    add al, 0x45
    daa
    mov bx, ax
    mov ax, 0x0408
    aad
    mov dx, ax
    aam
    real_ends
    real "real lmsw, smsw"
    smsw ax
    and ax, 0xf
    clts
    real_ends
    real "real lidt"
    sidt [0]
    mov ax, [0]
    mov word ptr [0x10], 0xff
    mov dword ptr [0x12], REAL_VECTORS
    lidt [0x10]
    int 0x70
    real_ends
    // Through protected mode for a data segment of 4 GiB, which stays.
    real "real with a large segment"
    push ds
    push ds
    xor ax, ax
    mov ds, ax
    .byte 0x66
    lgdt [REAL_STATE + 0x40]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    mov bx, DATA32
    mov es, bx
    and al, 0xfe
    mov cr0, eax
    xor ax, ax
    mov es, ax
    mov ebx, 0x100200
    mov eax, es:[ebx + 2]
    pop ds
    pop es
    mov edx, es:[ebx + 2]
    mov eax, [ebx]
    real_ends
    ret

    .section .data
real_stack: .long 0
    .text
