// 32-bit protected mode without paging: what segment loads, far transfers, gates and system registers do and refuse.

    .macro load register, selector
    case "load \register \selector"
    mov eax, \selector
    mov \register, ax
    ends
    .endm
    .macro jump selector, target
    case "jump \selector"
    .byte 0xea
    .long \target
    .word \selector
    ends
    .endm
    .macro probe selector
    case "probe \selector"
    mov ecx, \selector
    lar eax, ecx
    setz dl
    and eax, 0xfff0ffff                 // four bits are undefined
    lsl ebx, ecx
    setz dh
    verr cx
    setz cl
    verw cx
    ends
    .endm
    .macro selectors action:vararg
    .irp selector, 0, 3, 0x08, 0x10, 0x1b, 0x20, 0x30, 0x33, 0x38, 0x3b, 0x40, 0x50, 0x60, 0x68, 0x70, 0x78, 0x80, 0x88, 0x90, 0x98, 0xa0, 0xb0, 0xb8, 0xc0, 0xd0, 0x04, 0x0f, 0x14, 0xfff8
    \action \selector
    .endr
    .endm

    .text
    .code32
protected_cases:
    selectors load ds,
    .irp selector, 0, 0x10, 0x18, 0x1b, 0x3b, 0x40, 0x60, 0x70, 0x80, 0x88, 0xa0, 0xd0, 0x0f, 0xfff8
    load ss, \selector
    .endr
    selectors probe
    load fs, 0x0f
    case "accessed"
    mov eax, UNUSED_DATA
    mov es, ax
    mov eax, [table + UNUSED_DATA + 4]
    ends
    .irp selector, 0, 3, 0x10, 0x12, 0x18, 0x33, 0x40, 0x50, 0x60, 0x63, 0x68, 0x70, 0x78, 0x98, 0xb0, 0xd0, 0x0f
    jump \selector, jumped
    .endr
    jump 0x13, jumped
    case "jump outside"
    .byte 0xea
    .long 0x12345
    .word CODE16
    ends
    case "call far"
    .byte 0x9a
    .long called
    .word CODE32
    ends
    case "call gate, same level"
    push 0x1234
    push 0x5678
    .byte 0x9a
    .long 0
    .word GATE
    ends
    case "return to 16 bits"
    push CODE16
    push 0x12345
    retf
    ends
    case "return inward"
    push CODE32
    push_address jumped
    retf
    ends
    call user_cases
    call register_cases
    call event_cases
    call paging_cases
    ret

jumped:
    mov eax, cs
    int 0x70
called:
    mov ebx, [esp]
    mov ecx, [esp + 4]
    retf

    // At CPL 3, entered by IRET with IOPL as given.
    .macro user name, iopl
    case "\name"
    mov eax, USER_DATA
    mov ds, ax
    mov es, ax
    push USER_DATA
    push_address user_stack_end
    push 2 + (\iopl << 12)
    push USER_CODE
    push_address 778f
    iretd
778:
    .endm

user_cases:
    user "user", 0
    nop
    ends
    user "user keeps its own segments", 0
    mov eax, ds
    ends
    user "user hlt", 0
    hlt
    ends
    user "user cli", 0
    cli
    ends
    user "user cli with iopl", 3
    cli
    ends
    user "user popf", 0
    push 0x3202
    popfd
    pushfd
    pop eax
    ends
    user "user popf with iopl", 3
    push 0x3202
    popfd
    pushfd
    pop eax
    ends
    user "user int 20h", 0
    int 0x20
    ends
    user "user int 71h", 0
    int 0x71
    ends
    user "user int 72h", 0
    int 0x72
    ends
    user "user int 73h", 0
    int 0x73
    ends
    user "user int3", 0
    int3
    ends
    user "user gate", 0
    push 0x1234
    push 0x5678
    .byte 0x9a
    .long 0
    .word GATE
    ends
    user "user jump to gate", 0
    .byte 0xea
    .long 0
    .word GATE
    ends
    user "user conforming", 0
    .byte 0x9a
    .long called
    .word CONFORMING + 3
    ends
    user "user calls kernel", 0
    .byte 0x9a
    .long called
    .word CODE32
    ends
    user "user loads kernel data", 0
    mov eax, DATA32
    mov ds, ax
    ends
    user "user loads kernel stack", 0
    mov eax, DATA32
    mov ss, ax
    ends
    user "user lgdt", 0
    lgdt [table_register]
    ends
    user "user mov cr0", 0
    mov eax, cr0
    ends
    user "user mov dr7", 0
    mov eax, dr7
    ends
    user "user clts", 0
    clts
    ends
    user "user rdmsr", 0
    rdmsr
    ends
    user "user in allowed", 0
    mov edx, 0x3fd
    xor eax, eax
    in al, dx
    and al, 0
    ends
    user "user in refused", 0
    mov edx, 0x81
    in al, dx
    ends
    user "user arpl", 0
    mov eax, 0x10
    mov ebx, 0x23
    arpl ax, bx
    ends
    user "user lar", 0
    mov ebx, 0x10
    lar eax, ebx
    ends
    user "user iret", 0
    push 0x246
    push USER_CODE
    push_address 776f
    iretd
    776: pushfd
    pop eax
    ends
    case "out of the kernel with kernel data"
    mov eax, DATA32
    mov ds, ax
    mov fs, ax
    mov eax, USER_DATA
    mov es, ax
    mov eax, CONFORMING
    mov gs, ax
    push USER_DATA
    push_address user_stack_end
    push USER_CODE
    push_address 3f
    retf
3:  ends
    case "out with a bad stack"
    push DATA32
    push_address user_stack_end
    push USER_CODE
    push_address jumped
    retf
    ends
    case "inner stack with a bad selector"
    mov dword ptr [task + 8], USER_DATA
    push USER_DATA
    push_address user_stack_end
    push USER_CODE
    push_address 3f
    mov dword ptr [task + 8], DATA32
    retf
3:  nop
    ends
    ret

register_cases:
    case "sgdt"
    sgdt [scratch]
    mov eax, [scratch]
    ends
    case "lgdt of 24 bits"
    mov eax, [table_register]
    mov [scratch + 16], eax
    mov eax, [table_register + 4]
    mov [scratch + 20], eax
    mov byte ptr [scratch + 21], 0xab
    .byte 0x66
    lgdt [scratch + 16]
    sgdt [scratch]
    mov ebx, [scratch + 2]
    lgdt [table_register]
    sub ebx, offset table
    ends
    case "lldt"
    mov eax, LOCAL
    lldt ax
    sldt ebx
    mov eax, 0x0f
    mov es, ax
    ends
    .irp selector, 0, 0x18, 0x40, 0x54, 0x90, 0xd0
    case "lldt \selector"
    mov eax, \selector
    lldt ax
    ends
    .endr
    .irp selector, 0x18, 0x40, 0x44, 0x50, 0xd0
    case "ltr \selector"
    mov eax, \selector
    ltr ax
    ends
    .endr
    case "str"
    str eax
    mov ebx, [table + TASK + 4]
    and ebx, 0xff00
    ends
    case "smsw, lmsw, clts"
    smsw eax
    and eax, 0xf
    or eax, 0xa
    lmsw ax
    mov ebx, cr0
    and ebx, 0xf
    clts
    mov ecx, cr0
    and ecx, 0xf
    and eax, 0xfffffff5
    lmsw ax
    ends
    case "cr1"
    .byte 0x0f, 0x20, 0xc8
    ends
    case "dr4 is dr6"
    mov eax, 0xf
    mov dr6, eax
    .byte 0x0f, 0x21, 0xe3
    mov eax, 0xffff0ff0
    mov dr6, eax
    ends
    case "dr7: fixed bits"
    mov eax, 0xffffd3ff                 // all but GD
    and eax, 0xffffff00                 // and breakpoints
    mov dr7, eax
    mov ebx, dr7
    mov eax, 0x400
    mov dr7, eax
    ends
    case "rdmsr of nothing"
    mov ecx, 0xc0000080
    xor edx, edx
    mov eax, 1
    wrmsr
    rdmsr
    mov ebx, eax
    xor eax, eax
    wrmsr
    ends
    case "cpuid keeps the upper half out"
    mov eax, 0
    cpuid
    xor eax, eax
    xor ebx, ebx
    xor ecx, ecx
    xor edx, edx
    ends
    ret

event_cases:
    case "divide"
    xor ecx, ecx
    div ecx
    ends
    case "bound"
    mov dword ptr [scratch], 5
    mov dword ptr [scratch + 4], 9
    mov eax, 10
    bound eax, [scratch]
    ends
    case "into"
    mov eax, 0x7fffffff
    add eax, 1
    into
    ends
    case "int3"
    int3
    ends
    case "int1"
    .byte 0xf1
    ends
    case "ud2"
    ud2
    ends
    case "int 71h"
    int 0x71
    ends
    case "int 72h"
    int 0x72
    ends
    case "int 73h"
    int 0x73
    ends
    case "single step"
    push 0x102
    popfd
    nop
    nop
    ends
    case "single step behind mov ss"
    mov ax, ss
    push 0x102
    popfd
    mov ss, ax
    nop
    nop
    ends
    case "single step over int"
    push 0x102
    popfd
    int 0x70
    ends
    case "single step of a string"
    mov ecx, 3
    mov esi, offset scratch
    mov edi, offset scratch + 64
    push 0x102
    popfd
    rep movsb
    ends
    case "iret sets the single step"
    push 0x102
    push CODE32
    push_address 3f
    iretd
3:  nop
    nop
    ends
    case "string across the limit"
    mov eax, SMALL
    mov es, ax
    mov ecx, 16
    mov edi, 0xff8
    rep stosd
    ends
    case "expand-down"
    mov eax, EXPAND_DOWN
    mov es, ax
    mov eax, es:[0xffff0]
    ends
    case "read-only"
    mov eax, READ_ONLY
    mov es, ax
    mov es:[scratch], eax
    ends
    case "execute-only"
    mov eax, cs:[scratch]
    .byte 0xea
    .long 3f
    .word EXECUTE_ONLY
3:  mov eax, cs:[scratch]
    ends
    case "null segment"
    xor eax, eax
    mov es, ax
    mov eax, es:[scratch]
    ends
    case "enter and leave"
    mov ebp, esp
    enter 16, 3
    mov eax, [ebp]
    sub eax, esp
    leave
    ends
    case "pusha, popa"
    pushad
    mov eax, [esp + 12]
    sub eax, esp
    mov [esp + 16], eax
    popad
    ends
    case "far pointer"
    mov dword ptr [scratch], 0xabcd
    mov word ptr [scratch + 4], SMALL
    les ebx, [scratch]
    lss ecx, [scratch + 64]
    ends
    ret

    // The first 4 MiB mapped one to one, but for two pages behind the scratch page's own copy.
paging_cases:
    mov edi, 0x200000                   // directory, then one table
    mov dword ptr [edi], 0x201007
    mov edi, 0x201000
    mov eax, 7
    mov ecx, 1024
2:  mov [edi], eax
    add edi, 4
    add eax, 0x1000
    loop 2b
    mov dword ptr [0x201000 + 0x300 * 4], 0         // 300000h: not there
    mov dword ptr [0x201000 + 0x301 * 4], 0x301005  // 301000h: read-only
    mov dword ptr [0x201000 + 0x302 * 4], 0x302003  // 302000h: the kernel's
    mov eax, 0x200000
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80010000                  // paging, and write protection for the kernel
    mov cr0, eax
    case "page: not there"
    mov eax, [0x300010]
    ends
    case "page: write across into nothing"
    mov [0x2ffffe], eax
    ends
    case "page: read-only"
    mov [0x301000], eax
    ends
    case "page: fetch"
    mov eax, 0x300000
    jmp eax
    ends
    case "page: dirty and accessed"
    mov dword ptr [0x201000 + 0x303 * 4], 0x303007
    invlpg [0x303000]
    mov eax, [0x303000]
    mov ebx, [0x201000 + 0x303 * 4]
    mov [0x303000], eax
    mov ecx, [0x201000 + 0x303 * 4]
    and ebx, 0xfff
    and ecx, 0xfff
    ends
    case "page: string into nothing"
    mov ecx, 0x1000
    mov edi, 0x2ff800
    xor eax, eax
    cld
    rep stosd
    ends
    user "page: user reads the kernel's", 0
    mov eax, [0x302000]
    ends
    user "page: user writes", 0
    mov [0x301000], eax
    ends
    user "page: user fetches", 0
    mov eax, 0x302000
    jmp eax
    ends
    mov eax, cr0
    and eax, 0x7ffeffff
    mov cr0, eax
    ret
