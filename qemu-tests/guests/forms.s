// Each form runs between two marks: should the next instruction be looked for at the wrong place, ESI is not what it
// should be, or the guest crashes.

    .macro form number, bytes:vararg
    mov byte ptr [current], '0' + \number
    xor eax, eax
    mov esi, 1
    .byte \bytes
    inc esi
    call check_cpuid
    .endm

    .text
    .code32
main32:
    xor eax, eax
    cpuid
    mov [vendor], ebx
    form 1, 0x66, 0x0f, 0xa2            // operand size
    form 2, 0x67, 0x0f, 0xa2            // address size
    form 3, 0x2e, 0x0f, 0xa2            // segment
    form 4, 0xf2, 0x0f, 0xa2            // repeat
    form 5, 0x66, 0x66, 0x2e, 0x67, 0x0f, 0xa2

    mov byte ptr [current], '6'         // two pages hold one CPUID
    xor eax, eax
    mov esi, 1
    call crossing_cpuid
    call check_cpuid

    mov byte ptr [current], '7'         // and one RDMSR of EFER, with a prefix
    mov ecx, 0xc0000080
    rdmsr
    mov edi, eax
    mov esi, 1
    call crossing_rdmsr
    cmp eax, edi
    jne wrong
    cmp esi, 2
    jne wrong

    mov byte ptr [current], '8'         // a write and a read of the PIC's mask, the read across pages
    mov al, 0x5a
    out 0x21, al
    xor eax, eax
    mov esi, 1
    call crossing_in
    cmp al, 0x5a
    jne wrong
    cmp esi, 2
    jne wrong

    mov byte ptr [current], '9'         // a read of the local APIC's version, across pages
    mov edi, [0xfee00030]
    mov esi, 1
    call crossing_load
    cmp eax, edi
    jne wrong
    cmp esi, 2
    jne wrong

    mov byte ptr [current], 'A'         // SSE moves to and from the I/O APIC; other registers stay
    mov eax, cr0
    and al, 0xf3
    mov cr0, eax
    mov eax, cr4
    or eax, 0x200
    mov cr4, eax
    mov eax, 0x5aa51234
    movd xmm7, eax
    mov eax, 1
    movd xmm1, eax
    movd [0xfec00000], xmm1             // selects the version
    movd xmm2, [0xfec00010]
    movd eax, xmm2
    cmp eax, [0xfec00010]
    jne wrong
    cmp al, 0x11
    jb wrong
    movd eax, xmm7
    cmp eax, 0x5aa51234
    jne wrong
    movd eax, xmm1
    cmp eax, 1
    jne wrong
    mov esi, offset right
    jmp print

check_cpuid:
    cmp ebx, [vendor]
    jne wrong
    cmp esi, 2
    jne wrong
    xor ebx, ebx
    ret

wrong:
    mov esi, offset at_fault
print:
    mov dx, 0x3fb                       // line control: 8 data bits; after a reset there are 5
    mov al, 3
    out dx, al
4:  lodsb
    test al, al
    jz 3f
    mov ah, al
    mov dx, 0x3fd
2:  in al, dx                           // line status: room for a byte
    test al, 0x20
    jz 2b
    mov al, ah
    mov dx, 0x3f8
    out dx, al
    jmp 4b
3:  hlt
    jmp 3b

    .macro crossing name, bytes:vararg
    .balign 4096
    .skip 4095
\name:
    .byte \bytes
    inc esi
    ret
    .endm

    .section .data
vendor:
    .long 0
right:
    .asciz "\r\nFORMS right\r\n"
at_fault:
    .ascii "\r\nFORMS wrong at "
current:
    .asciz "0\r\n"

    // The last byte of a page, and what follows on the next.
    crossing crossing_cpuid, 0x0f, 0xa2
    crossing crossing_rdmsr, 0x66, 0x0f, 0x32
    crossing crossing_in, 0xe4, 0x21
    crossing crossing_load, 0xa1, 0x30, 0x00, 0xe0, 0xfe
    .text
