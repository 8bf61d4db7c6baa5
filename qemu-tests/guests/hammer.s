// 32-bit code without paging, interrupts off. EBP is the random number (xorshift32), ESI the number of steps.

    .code32
main32:
    cld
    mov edi, offset idt         // every vector leads to `lost`, but NMI and #GP
    mov ecx, 256
1:  mov eax, offset lost
    call gate
    loop 1b
    mov edi, offset idt + 2 * 8
    mov eax, offset ignore
    call gate
    mov edi, offset idt + 13 * 8
    mov eax, offset skip
    call gate
    lidt [idt_register]
    mov ebp, [seed]
    test ebp, ebp
    jnz 2f
    rdtsc
    mov ebp, eax
    or ebp, 1                   // nothing comes of 0
2:  mov [seed], ebp
    xor esi, esi

step:
    test esi, 0x3ff
    jnz 3f
    call progress
3:  inc esi
    call random
    shr eax, 28
    call [operations + eax * 4]
    jmp step

// An IDT entry at EDI for the handler EAX; EDI goes on.
gate:
    mov [edi], ax
    mov word ptr [edi + 2], 0x10
    mov word ptr [edi + 4], 0x8e00
    shr eax, 16
    mov [edi + 6], ax
    add edi, 8
    ret

// The next random number in EAX; all else stays.
random:
    mov eax, ebp
    shl eax, 13
    xor ebp, eax
    mov eax, ebp
    shr eax, 17
    xor ebp, eax
    mov eax, ebp
    shl eax, 5
    xor ebp, eax
    mov eax, ebp
    ret

// DX: any port, or, as often, one where a device is.
port:
    call random
    mov edx, eax
    shr edx, 16
    test al, 1
    jz 4f
    mov ecx, eax
    shr ecx, 4
    and ecx, 31
    movzx edx, word ptr [ports + ecx * 2]
    shr eax, 12
    and eax, 15
    add edx, eax
4:  ret

// The same, but none whose next four reach the keyboard controller's reset pulse, port 92h, the reset register or PM1 control.
safe_port:
    call port
    lea eax, [edx - 0x61]
    cmp ax, 4
    jb safe_port
    lea eax, [edx - 0x8f]
    cmp ax, 4
    jb safe_port
    lea eax, [edx - 0xcf6]
    cmp ax, 4
    jb safe_port
    lea eax, [edx - 0xb001]
    cmp ax, 5
    jb safe_port
    ret

// EDI: an address where memory ends or a device may be.
address:
    call random
    mov ecx, eax
    and ecx, 7
    mov edi, eax
    shr edi, 3
    imul edi, edi, 0x10dcd      // more than 29 bits
    and edi, [ranges + ecx * 8 + 4]
    add edi, [ranges + ecx * 8]
    ret

out8:
    call safe_port
    call random
    out dx, al
    ret
out16:
    call safe_port
    call random
    out dx, ax
    ret
out32:
    call safe_port
    call random
    out dx, eax
    ret
in8:
    call port
    in al, dx
    ret
in16:
    call port
    in ax, dx
    ret
in32:
    call port
    in eax, dx
    ret
strings:
    call safe_port
    call random
    mov ecx, eax
    and ecx, 63
    mov edi, offset scratch
    test eax, 64
    jz 5f
    rep insb
    ret
5:  push esi
    mov esi, edi
    rep outsw
    pop esi
    ret
write8:
    call address
    call random
    mov [edi], al
    ret
write32:
    call address
    and edi, 0xfffffffc
    call random
    mov [edi], eax
    ret
read8:
    call address
    mov al, [edi]
    ret
read32:
    call address
    and edi, 0xfffffffc
    mov eax, [edi]
    add [scratch], eax
    ret
modify:
    call address
    and edi, 0xfffffffc
    call random
    xor [edi], eax
    ret

// ECX: an MSR of a range that has some, or any.
msr:
    call random
    mov ecx, eax
    and ecx, 7
    mov edx, [msrs + ecx * 4]
    mov ecx, eax
    shr ecx, 4
    test edx, edx
    jz 6f
    and ecx, 0x3ff
    add ecx, edx
6:  ret
read_msr:
    call msr
    rdmsr                       // two bytes long, as WRMSR: `skip` counts on it
    ret
write_msr:
    call msr
    call random
    mov edx, eax
    call random
    wrmsr
    ret
leaf:
    call random
    mov ecx, eax
    and ecx, 0xff
    and eax, 0xc000ffff
    push esi
    cpuid
    pop esi
    ret
pci:
    call random                 // bus 0 mostly
    and eax, 0x8080fffc
    or eax, 0x80000000
    mov dx, 0xcf8
    out dx, eax
    mov dx, 0xcfc
    in eax, dx
    call random
    test al, 0x30
    jnz 7f
    out dx, eax
7:  ret

// #GP: the MSR is not there, or does not take the value.
skip:
    add esp, 4
    add dword ptr [esp], 2
    iretd
ignore:
    iretd
// An exception that has no business here: a device has written over this program. A triple fault ends it.
lost:
    lidt [nothing]
    int3

// Prints the number of steps and the seed. COM1 was hammered, too.
progress:
    mov dx, 0x3fb
    mov al, 3
    out dx, al
    mov dx, 0x3f9
    xor eax, eax
    out dx, al
    mov dx, 0x3fc
    mov al, 3
    out dx, al
    mov ebx, offset words
    call say
    mov eax, esi
    call hexadecimal
    mov ebx, offset of_seed
    call say
    mov eax, [seed]
    call hexadecimal
    mov ebx, offset line_end
say:
    mov al, [ebx]
    test al, al
    jz 8f
    call put
    inc ebx
    jmp say
8:  ret
hexadecimal:
    mov ecx, 8
9:  rol eax, 4
    push eax
    and eax, 15
    mov al, [digits + eax]
    call put
    pop eax
    loop 9b
    ret
// Waits for room, but not for ever.
put:
    push ecx
    push eax
    mov ecx, 10000
    mov dx, 0x3fd
1:  in al, dx
    test al, 0x20
    loopz 1b
    pop eax
    mov dx, 0x3f8
    out dx, al
    pop ecx
    ret

    .section .data
    .balign 4
    .ascii "hammer's seed is"   // the marker, 16 bytes
seed:
    .long 0
operations:
    .long out8, out8, out16, out32, in8, in16, in32, strings
    .long write8, write32, read8, read32, modify, read_msr, write_msr, leaf_or_pci
idt_register:
    .word 2047
    .long idt
nothing:
    .word 0
    .long 0
ranges:                         // base, and the bits of an offset
    .long 0x000a0000, 0x1ffff, 0x000c0000, 0x3ffff, 0xfec00000, 0xfff, 0xfed00000, 0xfff
    .long 0xfee00000, 0xfff, 0xe0000000, 0x1fffffff, 0xc0000000, 0x1fffffff, 0xfc000000, 0x3ffffff
msrs:                           // 0: any
    .long 0x10, 0x174, 0x400, 0x800, 0xc0000080, 0xc0010000, 0x4b564d00, 0
ports:
    .word 0x00, 0x10, 0x20, 0x40, 0x60, 0x70, 0x80, 0x90, 0xa0, 0xb0, 0xc0, 0xd0, 0xe0, 0xf0, 0x1f0, 0x170
    .word 0x370, 0x3f0, 0x3f0, 0x3b0, 0x3c0, 0x3d0, 0x1ce, 0x2f8, 0x3f8, 0x4d0, 0x510, 0xcf0, 0x5658, 0xb000, 0xc000, 0xc010
words:
    .asciz "\r\nHAMMER step "
of_seed:
    .asciz " of seed "
line_end:
    .asciz "\r\n"
digits:
    .ascii "0123456789abcdef"
    .section .bss
    .balign 8
idt:
    .skip 2048
scratch:
    .skip 256
    .text
leaf_or_pci:
    call random
    test al, 1
    jz leaf
    jmp pci
