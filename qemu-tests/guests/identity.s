// Page tables for 64-bit mode: the first GiB, one to one.

    .section .data
    .balign 4096
pml4:
    .quad pdpt + 3
    .skip 4088
pdpt:
    .quad pd + 3
    .skip 4088
pd:                             // the first GiB, in 2 MiB pages
    .set address, 0
    .rept 512
    .quad address + 0x83
    .set address, address + 0x200000
    .endr
