# The entries of the loaded image, at the offsets that the Linux/x86 boot protocol fixes, and the EFI ones.
#
# Nothing here depends on where the image lies: addresses come from the instruction pointer. Every entry ends in one of
# two Rust functions: loaded_main (kind, the loader's record, tsc) or efi_main (handle, system table, boot_params or 0,
# tsc).

.set CODE_64, 0x08
.set CODE_32, 0x10
.set DATA, 0x18

# Where loaders put us that want fixed addresses (image.rs and setup.s know it, too).
.set LINKED_BASE, 0x200000

.section .head, "ax", @progbits
.code32
# Linux, 32-bit: flat segments, paging off, ESI = boot_params.
.globl startup_32
startup_32:
    cld
    cli
    leal 0x1e8(%esi), %esp              # boot_params.scratch: four bytes of stack, to learn where we are
    movl $2, %eax                       # LoaderKind::Linux32
# EAX = kind, ESI = the loader's record, ESP = four bytes of stack.
in_protected_mode:
    call 1f
1:  popl %ebp
    subl $(1b - startup_32), %ebp
    leal (stack_top - startup_32)(%ebp), %esp
    pushl %eax

    # The loader's GDT may lie where the kernel goes.
    leal (gdt - startup_32)(%ebp), %eax
    movl %eax, (gdt_base - startup_32)(%ebp)
    lgdt (gdt_pointer - startup_32)(%ebp)
    movl $DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs

    # CPUID is there if EFLAGS.ID can be changed; long mode is CPUID 8000_0001h EDX bit 29.
    pushfl
    popl %eax
    movl %eax, %ecx
    xorl $0x200000, %eax
    pushl %eax
    popfl
    pushfl
    popl %eax
    xorl %ecx, %eax
    testl $0x200000, %eax
    jz no_long_mode
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb no_long_mode
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx
    jnc no_long_mode
    rdtsc
    pushl %edx
    pushl %eax

    # 0...4 GiB one to one: one PML4, one PDPT, four page directories of 2 MiB pages.
    leal (early_tables - startup_32)(%ebp), %edi
    movl %edi, %ebx
    xorl %eax, %eax
    movl $0x800, %ecx
    rep stosl
    leal 0x1003(%ebx), %eax
    movl %eax, (%ebx)
    leal 0x2003(%ebx), %eax
    movl $0, %ecx
2:  movl %eax, 0x1000(%ebx,%ecx,8)
    addl $0x1000, %eax
    incl %ecx
    cmpl $4, %ecx
    jne 2b
    movl $0xffe00083, %eax              # the last 2 MiB: large, writable, present
    movl $2047, %ecx
3:  movl %eax, (%edi,%ecx,8)
    movl $0, 4(%edi,%ecx,8)
    subl $0x200000, %eax
    decl %ecx
    jns 3b

    movl $0x20, %eax                    # CR4: PAE alone
    movl %eax, %cr4
    movl %ebx, %cr3
    movl $0xc0000080, %ecx              # EFER.LME
    rdmsr
    btsl $8, %eax
    wrmsr
    popl %eax                           # tsc
    popl %edx
    popl %edi                           # kind
    pushl $CODE_64
    leal (from_32 - startup_32)(%ebp), %ecx
    pushl %ecx
    movl $0x80000011, %ecx              # PG, ET, PE
    movl %ecx, %cr0
    lretl

# The loader kept boot_params, the screen and COM1 from us so far; a bare loop needs none of it.
no_long_mode:
    leal (no_long_mode_text - startup_32)(%ebp), %esi
    movl $0xb8000, %edi
1:  movzbl (%esi), %ebx
    testb %bl, %bl
    jz 4f
    movw $0x3fd, %dx                    # COM1 line status: wait for room, but not for ever
    movl $0x10000, %ecx
2:  inb %dx, %al
    testb $0x20, %al
    loopz 2b
    movb %bl, %al
    movw $0x3f8, %dx
    outb %al, %dx
    cmpb $0x20, %bl                     # line ends are for the serial line
    jb 3f
    movb $0x0f, %bh
    movw %bx, (%edi)
    addl $2, %edi
3:  incl %esi
    jmp 1b
4:  hlt
    jmp 4b
no_long_mode_text:
    .asciz "\r\nMonovisor needs a 64-bit CPU (long mode, CPUID 80000001h EDX bit 29); this one has none. Halted.\r\n"

.code64
from_32:
    shlq $32, %rdx
    orq %rax, %rdx
    movl %esi, %esi                     # the upper half is undefined after the switch
    movl %edi, %edi
    jmp loaded

# Linux, 64-bit: some identity mapping of image, boot_params and command line; RSI = boot_params.
    .org startup_32 + 0x200
.globl startup_64
startup_64:
    rdtsc
    shlq $32, %rdx
    orq %rax, %rdx
    movl $3, %edi                       # LoaderKind::Linux64
loaded:
    cld
    cli
    leaq stack_top(%rip), %rsp
    pushq %rdi
    pushq %rsi
    pushq %rdx
    call own_descriptors
    call prepare
    popq %rdx
    popq %rsi
    popq %rdi
    subq $8, %rsp                       # the frame before a call is 16-byte aligned
    call loaded_main
    ud2

# EFI handover: RDI = image handle, RSI = system table, RDX = boot_params; boot services are alive, the stack is theirs.
    .org startup_64 + 0x80
efi_handover:
    movq %rdx, %rcx
    rdtsc
    shlq $32, %rdx
    orq %rax, %rdx
    xchgq %rcx, %rdx
    jmp efi

# EFI application: RCX = image handle, RDX = system table (UEFI 2.10, 2.3.4).
.globl efi_pe_entry
efi_pe_entry:
    movq %rcx, %rdi
    movq %rdx, %rsi
    rdtsc
    shlq $32, %rdx
    orq %rax, %rdx
    movq %rdx, %rcx
    xorl %edx, %edx                     # no boot_params
efi:
    andq $-16, %rsp
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    call prepare
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    call efi_main
    ud2

# Applies the image's own relocations, all of which are R_X86_64_RELATIVE (xtask checks).
prepare:
    leaq startup_32 - 0x1000(%rip), %r8
    leaq rela_start(%rip), %rdi
    leaq rela_end(%rip), %rsi
1:  cmpq %rsi, %rdi
    jae 2f
    movq (%rdi), %rax
    movq 16(%rdi), %rcx
    addq %r8, %rcx
    movq %rcx, (%r8,%rax)
    addq $24, %rdi
    jmp 1b
2:  ret

# Segments of our own, for the loader's tables may lie where the kernel goes.
own_descriptors:
    leaq gdt(%rip), %rax
    movq %rax, gdt_base(%rip)
    lgdt gdt_pointer(%rip)
    movl $DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    popq %rax
    pushq $CODE_64
    pushq %rax
    lretq

# The protocol's kernel_info: loaders look for the magic and the sizes.
    .org startup_32 + 0x400
kernel_info:
    .ascii "LToP"
    .long 16
    .long 16
    .long 1                             # the highest setup_data type that we read: SETUP_E820_EXT

# Multiboot and PVH: EBX = the loader's record, paging off, flat segments, no stack, and the file where their headers
# say, at LINKED_BASE; there the file's first page has served its purpose.
.code32
    .org startup_32 + 0x420
multiboot_start:
    cld
    cli
    movl $7, %eax                       # LoaderKind::Multiboot
1:  movl %ebx, %esi
    movl $(LINKED_BASE + 0x1000), %esp
    jmp in_protected_mode
    .org startup_32 + 0x440
pvh_start:
    cld
    cli
    movl $6, %eax                       # LoaderKind::Pvh
    jmp 1b
.code64

# Xen's PVH: note 18, the physical address of the 32-bit entry (Xen public/elfnote.h, docs/misc/pvh).
.section .note.Xen, "a", @note
    .balign 4
    .long 4
    .long 4
    .long 18
    .asciz "Xen"
    .long LINKED_BASE + 0x1440          # pvh_start

.section .data, "aw", @progbits
    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff            # 08h 64-bit code
    .quad 0x00cf9b000000ffff            # 10h 32-bit code
    .quad 0x00cf93000000ffff            # 18h data
gdt_pointer:
    .word 31
gdt_base:
    .quad 0

.section .scratch, "aw", @nobits
    .balign 4096
.globl early_tables
early_tables:
    .skip 16 * 4096                     # physical.rs knows how many
    .skip 32 * 1024
stack_top:
