// Virtual-8086 mode: entered by IRET, at linear 8000h, where its code is copied.

    // `body` is 16-bit code that ends by INT 70h, which needs IOPL 3, or by a fault.
    .macro virtual name, flags
    case "\name"
    address esi, 774f
    mov edi, 0x8000
    address ecx, 775f
    sub ecx, esi
    rep movsb
    call set_registers
    push 0x9000                         // GS, FS, DS, ES
    push 0x8ff0
    push 0x8800
    push 0x8400
    push 0x700                          // SS:SP
    push 0x800
    push 0x20002 + \flags
    push 0x800                          // CS:IP
    push 0
    iretd
    .code16
774:
    .endm
    .macro virtual_ends
    int 0x70
775:
    .code32
779:
    .endm

    .text
    .code32
virtual_cases:
    virtual "vm86", 0x3000
    nop
    virtual_ends
    virtual "vm86 int at iopl 0", 0
    int 0x70
    virtual_ends
    virtual "vm86 segments", 0x3000
    mov ax, 0x1234
    mov ds, ax
    mov es, ax
    mov ax, cs
    mov bx, ss
    push fs
    pop cx
    virtual_ends
    virtual "vm86 limit", 0x3000
    mov bx, 0xffff
    mov ax, [bx]
    virtual_ends
    virtual "vm86 stack limit", 0x3000
    mov sp, 1
    push ax
    virtual_ends
    virtual "vm86 pushf", 0x3000
    pushf
    pop ax
    virtual_ends
    virtual "vm86 pushf at iopl 0", 0
    pushf
    virtual_ends
    virtual "vm86 popf", 0x3000
    push 0x0ed7
    popf
    pushf
    pop ax
    cli
    push 2
    popf
    virtual_ends
    virtual "vm86 cli at iopl 0", 0
    cli
    virtual_ends
    virtual "vm86 iret", 0x3000
    push 0x0046
    push cs
    push_address 773f-774b
    iret
773: pushf
    pop ax
    virtual_ends
    virtual "vm86 far call", 0x3000
    push cs
    push_address 773f-774b
    .byte 0xcb
773: mov ax, cs
    virtual_ends
    virtual "vm86 hlt", 0x3000
    hlt
    virtual_ends
    virtual "vm86 mov cr0", 0x3000
    mov eax, cr0
    virtual_ends
    virtual "vm86 lldt", 0x3000
    lldt ax
    virtual_ends
    virtual "vm86 lar", 0x3000
    lar eax, ebx
    virtual_ends
    virtual "vm86 sgdt", 0x3000
    smsw ax
    and ax, 1
    virtual_ends
    virtual "vm86 in allowed", 0x3000
    mov dx, 0x3fd
    in al, dx
    mov al, 0
    virtual_ends
    virtual "vm86 in refused", 0x3000
    mov dx, 0x81
    in al, dx
    virtual_ends
    virtual "vm86 int3", 0
    int3
    virtual_ends
    virtual "vm86 divide", 0x3000
    xor cx, cx
    div cx
    virtual_ends
    virtual "vm86 32-bit address", 0x3000
    mov ebx, 0x10000
    mov ax, [ebx]
    virtual_ends
    ret
