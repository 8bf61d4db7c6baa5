// A flat image that follows the Linux/x86 boot protocol 2.12 (Documentation/arch/x86/boot.rst) through its 16-, 32- and
// 64-bit entries. Whichever is taken, `main32` starts in 32-bit protected mode without paging, flat segments, interrupts
// off, a stack below it. Where STAYS_LONG is set the 64-bit entry leads to `long64` instead, in 64-bit mode.

    // Offsets in the setup part, so in DS.
    .set SETUP_GDT, 0x300
    .set SETUP_GDT_REGISTER, 0x320

    .section .setup, "ax"
    .code16
setup:
    .org 0x1f1
    .byte 1                     // setup_sects: the header's sector and one more
    .word 0
    .long protected_paragraphs  // syssize
    .word 0, 0, 0
    .word 0xaa55
    .byte 0xeb, start16 - (. + 1)
    .ascii "HdrS"
    .word 0x020c
    .long 0
    .word 0, 0
    .byte 0
    .byte 1                     // loadflags: LOADED_HIGH
    .word 0
    .long 0x100000              // code32_start
    .long 0, 0, 0
    .word 0
    .byte 0, 0
    .long 0
    .long 0x7fffffff            // initrd_addr_max
    .long 0x1000                // kernel_alignment
    .byte 0, 12                 // not relocatable
    .word 1                     // xloadflags: XLF_KERNEL_64
    .long 255
    .long 0
    .quad 0
    .long 0, 0
    .quad 0
    .quad 0x100000              // pref_address
    .long 0x100000              // init_size
    .long 0

start16:
    cli
    xor eax, eax
    mov ax, ds
    shl eax, 4
    add dword ptr [SETUP_GDT_REGISTER + 2], eax
    lgdt [SETUP_GDT_REGISTER]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    mov ax, 0x18
    mov ds, ax
    .byte 0x66, 0xea            // jmp 10h:100000h
    .long 0x100000
    .word 0x10

    .org SETUP_GDT
    .quad 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
    .org SETUP_GDT_REGISTER
    .word 31
    .long SETUP_GDT
    .org 0x400

    .section .head, "ax"
    .code32
start32:
    lgdt [gdt_register]
    jmp flat32

    .org 0x200
    .code64
start64:
    cli
    lgdt [gdt_register]
    mov esp, offset stack_top
    .ifdef STAYS_LONG           // for CPUs that run no guest without paging
    push 0x08
    push offset long64
    .else
    push 0x10
    push offset leave_long_mode
    .endif
    retfq

    .code32
leave_long_mode:
    mov eax, cr0
    and eax, 0x7fffffff         // PG
    mov cr0, eax
    mov ecx, 0xc0000080         // EFER
    rdmsr
    and ah, 0xfe                // LME
    wrmsr
    xor eax, eax
    mov cr4, eax
flat32:
    mov ecx, 0x18
    mov ds, ecx
    mov es, ecx
    mov ss, ecx
    mov fs, ecx
    mov gs, ecx
    mov esp, offset stack_top
    jmp main32

    .section .data
    .balign 8
    .global gdt_register
gdt:                            // 08h is the 64-bit code segment
    .quad 0, 0x00af9b000000ffff, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_register:
    .word 31
    .quad gdt

    .section .bss
    .balign 16
    .skip 16384
stack_top:
    .text
