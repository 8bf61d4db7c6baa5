# The file's first page: what loaders read, and the 16-bit entry that BIOS loaders start.
#
# Layout by the Linux/x86 boot protocol 2.15 (Documentation/arch/x86/boot.rst); names are its field names.
# The EFI headers go between 40h and 1F1h; `cargo xtask build` writes them, and every field that is a size.
#
# The segment that the loader chose holds, by offset: 0 this page, BOOT_PARAMS the record for the 32-bit entry,
# VBE_BUFFER scratch, and STACK_TOP; the protocol reserves 0..8000h for us.

.set BOOT_PARAMS, 0x2000
.set VBE_BUFFER, 0x3000
.set STACK_TOP, 0x7ff0

.set SCREEN_LINES, BOOT_PARAMS + 0x0e
.set SCREEN_KIND, BOOT_PARAMS + 0x0f
.set E820_COUNT, BOOT_PARAMS + 0x1e8
.set E820_TABLE, BOOT_PARAMS + 0x2d0
.set E820_MAX, 128
# In the record's unused tail: tells our own 32-bit entry that we came this way, and when.
.set REAL_MODE_MARK, BOOT_PARAMS + 0xcd0

.section .setup, "a", @progbits
.code16
setup:
    .ascii "MZ"
    .org 0x3c
    .long 0x40                          # where the PE header is
    .org 0x1f1
setup_sects:        .byte 7             # this page is 1 + 7 sectors
root_flags:         .word 1
syssize:            .long 0             # by xtask
ram_size:           .word 0
vid_mode:           .word 0xffff        # "normal": keep the text mode
root_dev:           .word 0
boot_flag:          .word 0xaa55
jump:               .byte 0xeb, header_end - 1f
1:                  .ascii "HdrS"
version:            .word 0x020f
realmode_swtch:     .long 0
start_sys_seg:      .word 0x1000
kernel_version:     .word version_text - setup - 0x200
type_of_loader:     .byte 0
loadflags:          .byte 0x01          # LOADED_HIGH
setup_move_size:    .word 0x8000
code32_start:       .long 0x100000
ramdisk_image:      .long 0
ramdisk_size:       .long 0
bootsect_kludge:    .long 0
heap_end_ptr:       .word 0
ext_loader_ver:     .byte 0
ext_loader_type:    .byte 0
cmd_line_ptr:       .long 0
initrd_addr_max:    .long 0xffffefff    # the last page left out, so that a loader's "max + 1" does not wrap
kernel_alignment:   .long 0x1000
relocatable_kernel: .byte 1
min_alignment:      .byte 12            # one page
xloadflags:         .word 0x000b        # KERNEL_64, CAN_BE_LOADED_ABOVE_4G, EFI_HANDOVER_64
cmdline_size:       .long 4095
hardware_subarch:   .long 0
hardware_subarch_data: .quad 0
payload_offset:     .long 0
payload_length:     .long 0
setup_data:         .quad 0
pref_address:       .quad 0x100000
init_size:          .long 0             # by xtask
handover_offset:    .long 0x80          # efi_handover - startup_64
kernel_info_offset: .long 0x400         # kernel_info - startup_32
header_end:

# The 16-bit entry: CS = segment + 20h, the rest undefined enough that we set it ourselves.
start_16:
    cli
    cld
    movw %cs, %ax
    subw $0x20, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $STACK_TOP, %esp
    pushw %ax
    pushw $(main_16 - setup)
    lretw

main_16:
    call zero_boot_params
    call note_time
    sti                                 # BIOS services may wait for their interrupts
    call read_e820
    call enable_a20
    call set_video
    cli
    jmp enter_32

# A fresh record with the loader's header in it.
zero_boot_params:
    movl $BOOT_PARAMS, %edi
    xorl %eax, %eax
    movl $0x400, %ecx
    rep stosl
    movw $(setup_sects - setup), %si
    movw $(BOOT_PARAMS + 0x1f1), %di
    movw $(header_end - setup_sects), %cx
    rep movsb
    ret

# RDTSC came after CPUID, and CPUID with EFLAGS.ID: an older CPU gets its message from the 32-bit entry.
note_time:
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
    jz 1f
    rdtsc
    movl %eax, REAL_MODE_MARK + 4
    movl %edx, REAL_MODE_MARK + 8
    movl $0x3631564d, REAL_MODE_MARK    # "MV16"
1:  ret

# INT 15h AX=E820h (ACPI 6.5, 15.1).
read_e820:
    movl $E820_TABLE, %edi
    xorl %ebx, %ebx
    xorw %bp, %bp
1:  movl $0xe820, %eax
    movl $20, %ecx
    movl $0x534d4150, %edx              # "SMAP"
    pushw %bp
    int $0x15
    popw %bp
    jc 2f
    cmpl $0x534d4150, %eax
    jne 2f
    incw %bp
    addw $20, %di
    cmpw $E820_MAX, %bp
    jae 2f
    testl %ebx, %ebx
    jnz 1b
2:  movw %bp, %ax
    movb %al, E820_COUNT
    ret

# By each known way in turn, each one believed only when a test shows it: already on, BIOS, keyboard controller, port 92h.
enable_a20:
    movw $2, %cx
    call test_a20
    jne 9f
    movw $0x2401, %ax
    int $0x15
    movw $32, %cx
    call test_a20
    jne 9f
    call wait_8042
    movb $0xd1, %al                     # write output port
    outb %al, $0x64
    call wait_8042
    movb $0xdf, %al                     # A20 on
    outb %al, $0x60
    call wait_8042
    movb $0xff, %al                     # null command: some controllers need it to end the former
    outb %al, $0x64
    call wait_8042
    movw $2048, %cx
    call test_a20
    jne 9f
    inb $0x92, %al
    orb $0x02, %al
    andb $0xfe, %al                     # bit 0 would reset the machine
    outb %al, $0x92
    movw $0xffff, %cx
    call test_a20
    jne 9f
    movw $(a20_text - setup), %si
    jmp fail_16
9:  ret

# In: CX tries. Out: NE when 0:200h and FFFF:210h (100200h) are different memory.
test_a20:
    pushw %ds
    pushw %es
    xorw %ax, %ax
    movw %ax, %ds
    movw $0xffff, %ax
    movw %ax, %es
    movw 0x200, %dx                     # an interrupt vector that nobody uses (80h)
    movw %dx, %ax
1:  incw %ax
    movw %ax, 0x200
    outb %al, $0x80                     # about a microsecond
    cmpw %es:0x210, %ax
    loope 1b
    pushfw
    movw %dx, 0x200
    popfw
    popw %es
    popw %ds
    ret

# Until the controller takes a byte; bounded, for machines without one read FFh for ever.
wait_8042:
    movw $0x4000, %cx
1:  inb $0x64, %al
    outb %al, $0x80
    testb $0x02, %al
    loopnz 1b
    ret

# Says what the screen is; `vga=` (vid_mode) of 300h and more asks for VBE mode 100h and more.
set_video:
    movw $0x1a00, %ax                   # display combination: only a VGA BIOS answers 1Ah
    int $0x10
    cmpb $0x1a, %al
    jne 9f
    movw vid_mode - setup, %bx
    cmpw $0x300, %bx
    jb 1f
    cmpw $0x8ff, %bx
    ja 1f
    call set_vbe
    jnc 9f
1:  movb $0x0f, %ah                     # AL mode, AH columns, BH page
    int $0x10
    movb %al, BOOT_PARAMS + 0x06
    movb %ah, BOOT_PARAMS + 0x07
    movb $0x03, %ah                     # DX cursor position
    int $0x10
    movw %dx, BOOT_PARAMS
    movb $0x01, SCREEN_KIND             # VGA text
    pushw %ds
    movw $0x40, %ax
    movw %ax, %ds
    movb 0x84, %al                      # BIOS data area: lines - 1
    popw %ds
    incb %al
    movb %al, SCREEN_LINES
9:  ret

# In: BX = vid_mode. Out: NC when the mode is set and described. VBE 3.0, functions 01h and 02h.
set_vbe:
    subw $0x200, %bx
    movw %bx, %cx
    movw $0x4f01, %ax
    movw $VBE_BUFFER, %di
    pushw %bx
    int $0x10
    popw %bx
    cmpw $0x004f, %ax
    jne 8f
    movb VBE_BUFFER, %al
    andb $0x99, %al                     # supported, colour, graphics, linear framebuffer
    cmpb $0x99, %al
    jne 8f
    orw $0x4000, %bx                    # linear framebuffer
    movw $0x4f02, %ax
    int $0x10
    cmpw $0x004f, %ax
    jne 8f
    movb $0x23, SCREEN_KIND             # VLFB
    movl VBE_BUFFER + 0x12, %eax        # width, height
    movl %eax, BOOT_PARAMS + 0x12
    movzbw VBE_BUFFER + 0x19, %ax
    movw %ax, BOOT_PARAMS + 0x16
    movl VBE_BUFFER + 0x28, %eax
    movl %eax, BOOT_PARAMS + 0x18
    movw VBE_BUFFER + 0x10, %ax
    movw %ax, BOOT_PARAMS + 0x24
    movw $(VBE_BUFFER + 0x1f), %si      # size and position of red, green, blue, the rest
    movw $(BOOT_PARAMS + 0x26), %di
    movw $8, %cx
    rep movsb
    clc
    ret
8:  stc
    ret

# In: SI = text. Screen by the BIOS; then nothing more can be done.
fail_16:
    lodsb
    testb %al, %al
    jz 1f
    movb $0x0e, %ah
    movw $7, %bx
    int $0x10
    jmp fail_16
1:  cli
2:  hlt
    jmp 2b

# Protected mode by the protocol's contract: flat 4 GiB segments 10h and 18h, ESI = the record, EBP = EDI = EBX = 0.
enter_32:
    xorl %esi, %esi
    movw %ds, %si
    shll $4, %esi
    addl %esi, gdt_16_base - setup
    addl %esi, in_32_address - setup
    addl $BOOT_PARAMS, %esi
    lgdtl gdt_16_pointer - setup
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    .byte 0x66, 0xea                    # far jump, 32-bit offset
in_32_address:
    .long in_32 - setup
    .word 0x10

.code32
in_32:
    movw $0x18, %cx
    movw %cx, %ds
    movw %cx, %es
    movw %cx, %fs
    movw %cx, %gs
    movw %cx, %ss
    leal STACK_TOP - BOOT_PARAMS(%esi), %esp
    xorl %ebp, %ebp
    xorl %edi, %edi
    xorl %ebx, %ebx
    movl 0x214(%esi), %eax              # code32_start: the loader may have moved us
    jmp *%eax

    .balign 8
gdt_16:
    .quad 0
    .quad 0
    .quad 0x00cf9b000000ffff            # 10h code
    .quad 0x00cf93000000ffff            # 18h data
gdt_16_pointer:
    .word 31
gdt_16_base:
    .long gdt_16 - setup

version_text:
    .asciz "0.1 (Monovisor)"
a20_text:
    .asciz "Monovisor: address line A20 stays off after the BIOS, the keyboard controller and port 92h were tried.\r\nEnable A20 in the firmware's setup. Halted.\r\n"

# Multiboot 1 with explicit addresses (specification 0.6.96, 3.1): the whole file to 200000h. Only monovisor.elf keeps it.
    .org 0xf80
multiboot_header:
    .long 0x1badb002
    .long 0x00010003                    # modules on pages, memory map, address fields
    .long -(0x1badb002 + 0x00010003)
    .long 0x200f80                      # header
    .long 0x200000                      # file's start
    .long 0                             # up to its end
    .long 0                             # the memory's end: by xtask
    .long 0x201420                      # multiboot_start
    .org 0x1000
.code64
