// Where things are below 1 MiB, and above.
    .set LOW, 0x8000            // the 16-bit part, which runs with CS = 0800h
    .set PACKET, 0x9000         // INT 13h's disk address packet
    .set MOVE, 0x9100           // the descriptors of INT 15h, function 87h
    .set VERDICT, 0x9200        // the number of the check in progress; 0 when all is well
    .set BUFFER, 0xa000
    .set FAR_BUFFER, 0x500000   // also what the moved pages are
    .set DIRECTORY, 0x600000
    .set TABLE, 0x601000
    .set WINDOW, 0x20           // the first of sixteen pages that are moved
    .set SMAP, 0x534d4150

// The selectors of this program's own table.
    .set CODE, 0x10
    .set DATA, 0x18
    .set CODE_16, 0x20          // base LOW
    .set BIG_DATA, 0x28
    .set SMALL_DATA, 0x30
    .set TASK, 0x38

    .code32
main32:
    cld
    mov esi, offset low_start
    mov edi, LOW
    mov ecx, offset low_end
    sub ecx, esi
    rep movsb
    lgdt [descriptors_register]
    lidt [real_vectors]
    .byte 0xea                  // jmp CODE_16:0, enter_real
    .long 0
    .word CODE_16

from_real:
    mov ax, DATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, offset stack_top
    mov ebx, offset unreal_words
    call say
    movzx eax, byte ptr [VERDICT]
    call hexadecimal

    mov al, 0xff                // no interrupts: the vectors are exceptions'
    out 0x21, al
    out 0xa1, al
    mov edi, offset vectors
    mov ecx, 256
1:  mov eax, offset lost
    call gate
    loop 1b
    mov edi, offset vectors + 13 * 8
    mov eax, offset protection
    call gate
    mov eax, offset page
    call gate
    lidt [vectors_register]
    call page_tables
    call task

    // The page that the string is read from, and that is to be moved under the calls.
    mov esi, offset string
    mov edi, FAR_BUFFER + 0x2000
    mov ecx, offset string_end
    sub ecx, esi
    rep movsb

    push 0                      // GS, FS, DS, ES
    push 0
    push 0
    push 0
    push 0                      // SS:SP
    push 0x7c00
    push 0x20002                // VM, and an I/O privilege level of 0
    push LOW >> 4
    .byte 0x68                  // push the offset
    .long virtual - low_start
    iretd

// One table for the first 4 MiB: as they are, but for the sixteen pages of the window, which are missing.
page_tables:
    mov edi, TABLE
    mov eax, 7                  // present, writable, user
    mov ecx, 1024
2:  stosd
    add eax, 0x1000
    loop 2b
    mov edi, TABLE + WINDOW * 4
    xor eax, eax
    mov ecx, 16
    rep stosd
    mov edi, DIRECTORY
    mov ecx, 1024
    rep stosd
    mov dword ptr [DIRECTORY], TABLE + 7
    mov dword ptr [DIRECTORY + 4], 0x400083
    mov eax, cr4
    or al, 0x10                 // PSE
    mov cr4, eax
    mov eax, DIRECTORY
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    ret

// A task whose I/O permission map lets everything pass.
task:
    mov dword ptr [task_segment + 4], offset stack_top
    mov dword ptr [task_segment + 8], DATA
    mov word ptr [task_segment + 102], 104
    mov byte ptr [task_segment + 104 + 8192], 0xff
    mov eax, offset task_segment
    mov [task_descriptor + 2], ax
    shr eax, 16
    mov [task_descriptor + 4], al
    mov [task_descriptor + 7], ah
    mov ax, TASK
    ltr ax
    ret

// An IDT entry at EDI for the handler EAX; EDI goes on.
gate:
    mov [edi], ax
    mov word ptr [edi + 2], CODE
    mov word ptr [edi + 4], 0x8e00
    shr eax, 16
    mov [edi + 6], ax
    add edi, 8
    ret

// A fault in virtual-8086 mode leaves null selectors (SDM vol. 3A, 21.3.1); the way back restores what was there.
own_data:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    ret

// #PF: a missing page of the window comes, from elsewhere: neighbours change places.
page:
    push eax
    push ecx
    call own_data
    test byte ptr [esp + 8], 1  // present
    jnz lost
    mov eax, cr2
    shr eax, 12
    lea ecx, [eax - WINDOW]
    cmp ecx, 16
    jae lost
    xor ecx, 1
    shl ecx, 12
    add ecx, FAR_BUFFER + 7
    mov [TABLE + eax * 4], ecx
    inc dword ptr [faults]
    pop ecx
    pop eax
    add esp, 4
    iretd

// #GP: what virtual-8086 mode may not do at this I/O privilege level is done for it. Behind the eight registers: error code, EIP, CS,
// EFLAGS, ESP, SS.
protection:
    pushad
    mov ebp, esp
    call own_data
    test byte ptr [ebp + 46], 2 // VM
    jz lost
    movzx ebx, word ptr [ebp + 40]
    shl ebx, 4
    movzx eax, word ptr [ebp + 36]
    add ebx, eax
    movzx edi, word ptr [ebp + 52]
    shl edi, 4
    inc word ptr [ebp + 36]
    mov al, [ebx]
    cmp al, 0xcd
    je software_interrupt
    cmp al, 0xcf
    je interrupt_return
    cmp al, 0x9c
    je push_flags
    cmp al, 0x9d
    je pop_flags
    cmp al, 0xfa                // CLI, STI and HLT: there are no interrupts
    je go_on
    cmp al, 0xfb
    je go_on
    cmp al, 0xf4
    jne lost
go_on:
    popad
    add esp, 4
    iretd
software_interrupt:
    inc word ptr [ebp + 36]
    movzx esi, byte ptr [ebx + 1]
    cmp esi, 0xfe
    je virtual_over
    mov eax, [ebp + 44]
    call push_word
    mov eax, [ebp + 40]
    call push_word
    mov eax, [ebp + 36]
    call push_word
    movzx eax, word ptr [esi * 4]
    mov [ebp + 36], eax
    movzx eax, word ptr [esi * 4 + 2]
    mov [ebp + 40], eax
    jmp go_on
interrupt_return:
    call pop_word
    mov [ebp + 36], eax
    call pop_word
    mov [ebp + 40], eax
pop_flags:
    call pop_word
    and eax, 0xcd5
    or eax, 0x20002
    mov [ebp + 44], eax
    jmp go_on
push_flags:
    mov eax, [ebp + 44]
    call push_word
    jmp go_on
push_word:
    sub word ptr [ebp + 48], 2
    movzx ecx, word ptr [ebp + 48]
    mov [edi + ecx], ax
    ret
pop_word:
    movzx ecx, word ptr [ebp + 48]
    movzx eax, word ptr [edi + ecx]
    add word ptr [ebp + 48], 2
    ret

virtual_over:
    mov ebx, offset virtual_words
    call say
    movzx eax, byte ptr [VERDICT]
    call hexadecimal
    mov ebx, offset fault_words
    call say
    mov eax, [faults]
    call hexadecimal
    mov ebx, offset line_end
    call say
3:  hlt
    jmp 3b

lost:
    call own_data
    mov ebx, offset lost_words
    call say
    jmp 3b

say:
    mov al, [ebx]
    test al, al
    jz 4f
    call put
    inc ebx
    jmp say
4:  ret
hexadecimal:
    mov ecx, 8
5:  rol eax, 4
    push eax
    and eax, 15
    mov al, [digits + eax]
    call put
    pop eax
    loop 5b
    ret
put:
    push eax
    mov dx, 0x3fd
6:  in al, dx
    test al, 0x20
    jz 6b
    pop eax
    mov dx, 0x3f8
    out dx, al
    ret

// The 16-bit part; it is copied to LOW.
    .section .data
    .code16
low_start:
enter_real:
    mov ax, BIG_DATA
    mov ds, ax
    mov es, ax
    mov ax, SMALL_DATA
    mov ss, ax
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    .byte 0xea                  // jmp LOW>>4:unreal
    .word unreal - low_start
    .word LOW >> 4

// Real mode, where DS and ES kept their limits.
unreal:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    mov byte ptr [VERDICT], 1   // a sector of the disk
    mov dword ptr [PACKET], 0x00010010
    mov dword ptr [PACKET + 4], BUFFER
    mov dword ptr [PACKET + 8], 3
    mov dword ptr [PACKET + 12], 0
    mov si, PACKET
    mov ah, 0x42
    mov dl, 0x80
    int 0x13
    jc unreal_over
    cmp dword ptr [BUFFER], 3 * 128
    jne unreal_over
    mov byte ptr [VERDICT], 2   // moved far above 1 MiB
    mov di, MOVE
    mov cx, 24
    xor ax, ax
    rep stosw
    mov dword ptr [MOVE + 0x10], BUFFER * 0x10000 + 0xffff
    mov dword ptr [MOVE + 0x14], 0x9300
    mov dword ptr [MOVE + 0x18], 0xffff
    mov dword ptr [MOVE + 0x1c], 0x9300 + FAR_BUFFER / 0x10000
    mov si, MOVE
    mov cx, 256
    mov ah, 0x87
    int 0x15
    jc unreal_over
    mov edi, FAR_BUFFER
    cmp dword ptr [edi], 3 * 128
    jne unreal_over
    mov byte ptr [VERDICT], 3   // the memory map, and the limits once more
    mov eax, 0xe820
    xor ebx, ebx
    mov ecx, 20
    mov edx, SMAP
    mov di, BUFFER
    int 0x15
    jc unreal_over
    cmp eax, SMAP
    jne unreal_over
    mov edi, FAR_BUFFER + 4
    cmp dword ptr [edi], 3 * 128 + 1
    jne unreal_over
    mov byte ptr [VERDICT], 4   // the screen
    mov ax, 0x0e21
    mov bx, 7
    int 0x10
    mov ah, 3
    int 0x10
    test dl, dl
    jz unreal_over
    mov edi, FAR_BUFFER + 8
    cmp dword ptr es:[edi], 3 * 128 + 2
    jne unreal_over
    mov byte ptr [VERDICT], 0
unreal_over:
    cli
    mov eax, cr0
    or al, 1
    mov cr0, eax
    .byte 0x66, 0xea            // jmp CODE:from_real
    .long from_real
    .word CODE

// Virtual-8086 mode.
virtual:
    mov byte ptr [VERDICT], 11  // two pages of the disk into two that are missing, and lie the other way round
    mov dword ptr [PACKET], 0x00100010
    mov dword ptr [PACKET + 4], 0x20000000
    mov dword ptr [PACKET + 8], 8
    mov dword ptr [PACKET + 12], 0
    mov si, PACKET
    mov ah, 0x42
    mov dl, 0x80
    int 0x13
    jc virtual_end
    mov ax, 0x2000
    mov es, ax
    cmp dword ptr es:[0], 8 * 128
    jne virtual_end
    cmp dword ptr es:[0x1000], 16 * 128
    jne virtual_end
    mov byte ptr [VERDICT], 12  // a sector by cylinder, head and sector
    mov ax, 0x0201
    mov cx, 2
    mov dx, 0x80
    xor bx, bx
    int 0x13
    jc virtual_end
    cmp dword ptr es:[0], 128
    jne virtual_end
    mov byte ptr [VERDICT], 13  // the memory map, into a missing page
    mov ax, 0x2200
    mov es, ax
    mov eax, 0xe820
    xor ebx, ebx
    mov ecx, 20
    mov edx, SMAP
    xor di, di
    int 0x15
    jc virtual_end
    cmp eax, SMAP
    jne virtual_end
    cmp dword ptr es:[16], 1
    jne virtual_end
    mov byte ptr [VERDICT], 14  // a string, from a missing page
    mov ax, 0x2300
    mov es, ax
    mov ax, 0x1301
    mov bx, 7
    .byte 0xb9                  // mov CX, the length
    .word string_end - string
    mov dx, 0x0500
    xor bp, bp
    int 0x10
    mov ah, 3
    mov bh, 0
    int 0x10
    .byte 0x81, 0xfa            // cmp DX, row 5 behind the string
    .word 0x0500 + string_end - string
    jne virtual_end
    mov byte ptr [VERDICT], 15  // no key, which the flags tell
    mov ah, 1
    int 0x16
    jnz virtual_end
    mov byte ptr [VERDICT], 16  // the PCI BIOS
    mov ax, 0xb101
    int 0x1a
    jc virtual_end
    cmp edx, 0x20494350
    jne virtual_end
    mov byte ptr [VERDICT], 0
virtual_end:
    int 0xfe
low_end:

string:
    .ascii "seen through pages"
string_end:
unreal_words:
    .asciz "\r\nCALLERS unreal "
virtual_words:
    .asciz "\r\nCALLERS vm86 "
fault_words:
    .asciz " faults "
lost_words:
    .asciz "\r\nCALLERS lost\r\n"
line_end:
    .asciz "\r\n"
digits:
    .ascii "0123456789abcdef"
    .balign 8
descriptors:
    .quad 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
    .quad 0x00009b008000ffff, 0x008f93000000ffff, 0x000093000000ffff
task_descriptor:
    .quad 0x0000890000002069    // 104 + 8193 bytes
descriptors_register:
    .word 63
    .long descriptors
real_vectors:
    .word 0x3ff
    .long 0
vectors_register:
    .word 2047
    .long vectors
faults:
    .long 0
    .section .bss
    .balign 8
vectors:
    .skip 2048
task_segment:
    .skip 104 + 8193
    .text
