// Hardware task switches, in 32-bit protected mode: to a task of 32 bits, one of 16, by gates, by events and back.

    .set OTHER_TASK, 0xd0
    .set NARROW_TASK, 0xd8
    .set TASK_GATE, 0xe0
    .set SHORT_TASK, 0xe8
    .set ABSENT_TASK, 0xf0
    .set TASK_TABLE_END, 0xf8
    .set LOW_ENTRY, 0x7100
    .set LOW_RETURN, 0x7140

    // A case that starts with both tasks as new, the other one at `entry`.
    .macro task_case name, entry
    case "\name"
    push_address \entry
    call fresh_tasks
    .endm
    .macro far opcode, selector
    .byte \opcode
    .long 0
    .word \selector
    .endm

    .text
    .code32
task_cases:
    mov esi, offset table
    mov edi, offset task_table
    mov ecx, TABLE_END
    cld
    rep movsb
    lgdt [task_table_register]
    mov eax, offset other_task
    mov edi, offset task_table + OTHER_TASK
    call set_base
    mov edi, offset task_table + SHORT_TASK
    call set_base
    mov edi, offset task_table + ABSENT_TASK
    call set_base
    mov eax, offset narrow_task
    mov edi, offset task_table + NARROW_TASK
    call set_base
    mov esi, offset narrow_entry        // where 16 bits reach
    mov edi, LOW_ENTRY
    mov ecx, 48
    rep movsb
    mov byte ptr [LOW_RETURN], 0xcf
    mov dword ptr [interrupt_table + 0x74 * 8], OTHER_TASK << 16
    mov dword ptr [interrupt_table + 0x74 * 8 + 4], 0x8500

    task_case "task: jump", task_entry
    far 0xea, OTHER_TASK
    ends
    task_case "task: jump through a gate", task_entry
    far 0xea, TASK_GATE
    ends
    task_case "task: call", task_linked
    far 0x9a, OTHER_TASK
    ends
    task_case "task: call through a gate", task_linked
    far 0x9a, TASK_GATE
    ends
    task_case "task: call and return", task_returns
    far 0x9a, OTHER_TASK
    mov eax, [task_table + TASK + 4]
    mov ebx, [task_table + OTHER_TASK + 4]
    and eax, 0xff00
    and ebx, 0xff00
    mov ecx, [other_task + 0x24]
    ends
    task_case "task: event", task_saved
    int 0x74
    ends
    task_case "task: event and return", task_returns
    int 0x74
    mov eax, cr0
    and eax, 8
    ends
    mov eax, [interrupt_table + 13 * 8]
    mov [scratch + 128], eax
    mov eax, [interrupt_table + 13 * 8 + 4]
    mov [scratch + 132], eax
    mov dword ptr [interrupt_table + 13 * 8], OTHER_TASK << 16
    mov dword ptr [interrupt_table + 13 * 8 + 4], 0x8500
    task_case "task: fault with a code", task_code
    mov eax, 0xfff8
    mov es, ax
    ends
    mov eax, [scratch + 128]
    mov [interrupt_table + 13 * 8], eax
    mov eax, [scratch + 132]
    mov [interrupt_table + 13 * 8 + 4], eax
    task_case "task: of 16 bits", task_entry
    far 0xea, NARROW_TASK
    ends
    task_case "task: of 16 bits and back", task_entry
    mov word ptr [narrow_task + 0x0e], LOW_RETURN
    far 0x9a, NARROW_TASK
    mov eax, [task_table + NARROW_TASK + 4]
    and eax, 0xff00
    ends
    task_case "task: busy", task_entry
    far 0xea, TASK
    ends
    task_case "task: too small", task_entry
    far 0xea, SHORT_TASK
    ends
    task_case "task: absent", task_entry
    far 0xea, ABSENT_TASK
    ends
    task_case "task: in the local table", task_entry
    far 0xea, OTHER_TASK + 4
    ends
    task_case "task: return to nobody", task_entry
    mov word ptr [task], OTHER_TASK
    push 0x4002
    popfd
    iretd
    ends
    task_case "task: trap bit", task_entry
    mov byte ptr [other_task + 0x64], 1
    far 0xea, OTHER_TASK
    ends
    task_case "task: bad data", task_entry
    mov word ptr [other_task + 0x5c], 0xfff8
    far 0xea, OTHER_TASK
    ends
    task_case "task: virtual-8086 mode", task_entry
    mov word ptr [0x7000], 0x70cd
    mov dword ptr [other_task + 0x20], 0
    mov dword ptr [other_task + 0x24], 0x23002
    mov dword ptr [other_task + 0x4c], 0x700
    mov dword ptr [other_task + 0x50], 0x800
    mov dword ptr [other_task + 0x38], 0x100
    far 0xea, OTHER_TASK
    ends
    call fresh_user_task
    user "task: user may not", 0
    far 0xea, OTHER_TASK
    ends

    // The first 4 MiB mapped one to one, and other tables that map 304000h elsewhere.
    mov dword ptr [0x200000], 0x201007
    mov edi, 0x201000
    mov eax, 7
    mov ecx, 1024
2:  mov [edi], eax
    add edi, 4
    add eax, 0x1000
    loop 2b
    mov esi, 0x201000
    mov edi, 0x205000
    mov ecx, 1024
    rep movsd
    mov dword ptr [0x204000], 0x205007
    mov dword ptr [0x205000 + 0x304 * 4], 0x305007
    mov dword ptr [0x304000], 0x01234567
    mov dword ptr [0x305000], 0x89abcdef
    mov eax, 0x200000
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    task_case "task: with its own tables", task_paged
    mov ebx, [0x304000]
    mov dword ptr [other_task + 0x1c], 0x204000
    far 0xea, OTHER_TASK
    ends
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    push_address task_entry
    call fresh_tasks
    lgdt [table_register]
    mov byte ptr [table + TASK + 5], 0x89
    mov ax, TASK
    ltr ax
    ret

task_entry:
    lss esp, [other_stack]
    int 0x70
narrow_entry:                           // upper halves are undefined
    movzx eax, ax
    movzx ebx, bx
    movzx ecx, cx
    movzx edx, dx
    movzx esi, si
    movzx edi, di
    movzx ebp, bp
    lss esp, [other_stack]
    int 0x70
task_linked:
    movzx eax, word ptr [other_task]
    jmp task_entry
task_saved:
    mov eax, [task + 0x20]
    mov ecx, [task + 0x24]
    jmp task_entry
task_code:
    pop eax
    jmp task_entry
task_paged:
    mov eax, [0x304000]
    mov ecx, cr3
    jmp task_entry
task_returns:
    iretd
    jmp task_entry

    // All registers are kept. On the stack: where the other task starts.
fresh_tasks:
    pushad
    clts
    mov byte ptr [task_table + TASK + 5], 0x89
    mov byte ptr [task_table + OTHER_TASK + 5], 0x89
    mov byte ptr [task_table + NARROW_TASK + 5], 0x81
    mov ax, TASK
    ltr ax
    mov edi, offset other_task
    xor eax, eax
    mov ecx, 0x1a
    cld
    rep stosd
    mov edi, offset narrow_task
    mov ecx, 11
    rep stosd
    mov word ptr [narrow_task + 0x0e], LOW_ENTRY
    mov word ptr [narrow_task + 0x10], 2
    mov word ptr [narrow_task + 0x12], 0xaaaa
    mov word ptr [narrow_task + 0x14], 0xcccc
    mov word ptr [narrow_task + 0x1c], 0xbbbb
    mov word ptr [narrow_task + 0x22], DATA32
    mov word ptr [narrow_task + 0x24], CODE32
    mov word ptr [narrow_task + 0x26], DATA32
    mov word ptr [narrow_task + 0x28], DATA32
    mov eax, [esp + 36]
    mov [other_task + 0x20], eax
    mov dword ptr [other_task + 4], offset inner_stack_end
    mov dword ptr [other_task + 8], DATA32
    mov dword ptr [other_task + 0x1c], 0x200000
    mov dword ptr [other_task + 0x24], 0x2
    mov dword ptr [other_task + 0x28], 0xaaaaaaaa
    mov dword ptr [other_task + 0x2c], 0xcccccccc
    mov dword ptr [other_task + 0x30], 0xdddddddd
    mov dword ptr [other_task + 0x34], 0xbbbbbbbb
    mov dword ptr [other_task + 0x38], offset user_stack_end
    mov dword ptr [other_task + 0x48], DATA32
    mov dword ptr [other_task + 0x4c], CODE32
    mov dword ptr [other_task + 0x50], DATA32
    mov dword ptr [other_task + 0x54], DATA32
    mov dword ptr [other_task + 0x5c], DATA16
    popad
    ret 4
fresh_user_task:
    push_address task_entry
    call fresh_tasks
    ret

    .section .data
    .balign 16
task_table:
    .skip TABLE_END
    .quad 0x0000890000000067            // d0h another task
    .quad 0x000081000000002b            // d8h one of 16 bits
    .quad 0x0000850000d00000            // e0h a gate to the former
    .quad 0x0000890000000066            // e8h too small
    .quad 0x0000090000000067            // f0h absent
task_table_register:
    .word TASK_TABLE_END - 1
    .quad task_table
other_stack:
    .long inner_stack_end
    .word DATA32
    .section .bss
    .balign 16
other_task: .skip 128
narrow_task: .skip 64
    .text
