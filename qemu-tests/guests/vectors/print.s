// A number of a local label, which the Intel syntax does not have.
    .macro address register, label
    .att_syntax
    mov $\label, %\register
    .intel_syntax noprefix
    .endm
    .macro push_address label
    .att_syntax
    push $\label
    .intel_syntax noprefix
    .endm

// Text on COM1. All of it keeps every register.

    .text
    .code32
put_char:                               // AL
    push edx
    push eax
    mov dx, 0x3fd
2:  in al, dx                           // line status: room for a byte
    test al, 0x20
    jz 2b
    pop eax
    mov dx, 0x3f8
    out dx, al
    pop edx
    ret

put_text:                               // ESI, to a zero
    push eax
    push esi
2:  mov al, [esi]
    test al, al
    jz 3f
    call put_char
    inc esi
    jmp 2b
3:  pop esi
    pop eax
    ret

put_hex:                                // EAX, eight digits and a space
    push eax
    push ecx
    push edx
    mov edx, eax
    mov ecx, 8
2:  rol edx, 4
    mov al, dl
    and al, 15
    cmp al, 10
    jb 3f
    add al, 'a' - '0' - 10
3:  add al, '0'
    call put_char
    loop 2b
    mov al, ' '
    call put_char
    pop edx
    pop ecx
    pop eax
    ret

put_line:
    push eax
    mov al, 13
    call put_char
    mov al, 10
    call put_char
    pop eax
    ret
