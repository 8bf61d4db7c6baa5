use super::*;

const GP: Exception = Exception::GENERAL_PROTECTION;

#[test]
fn ports() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rdx, 0x3f8)
        .with(Gpr::Rax, 0x1122_3344_5566_7788);
    machine.run(&[0xee]); // out dx,al
    machine.run(&[0xe7, 0x80]); // out 80h,eax
    machine.run(&[0xe4, 0x60]); // in al,60h
    assert_eq!(machine.gpr(Gpr::Rax), 0x1122_3344_5566_7701);
    machine.run(&[0xed]); // in eax,dx
    assert_eq!(machine.gpr(Gpr::Rax), 2);
    assert_eq!(
        machine.bus.log,
        [
            Access::Out(0x3f8, 1, 0x88),
            Access::Out(0x80, 4, 0x5566_7788),
            Access::In(0x60, 1),
            Access::In(0x3f8, 4)
        ]
    );
}

#[test]
fn the_task_decides_which_ports_user_code_may_use() {
    let mut machine = Machine::user64().with(Gpr::Rdx, 0x3ff);
    machine.state.segments[SegmentName::Tr as usize] = Segment::new(24, 0x8b, 0x67 + 0x81, DATA);
    machine.put(DATA + 102, &0x68_u16.to_le_bytes());
    machine.put(DATA + 0x68, &[0xff; 0x81]);
    let input = [0xec]; // in al,dx
    assert_eq!(machine.fault(&input), GP);
    machine.put(DATA + 0x68 + 0x7f, &[0x7f]);
    machine.run(&input);
    // A word needs the next port as well, in the byte behind.
    assert_eq!(machine.fault(&[0x66, 0xed]), GP);
    machine.put(DATA + 0x68 + 0x80, &[0xfe]);
    machine.run(&[0x66, 0xed]);
    // A map that ends before the second byte forbids.
    machine.state.segments[SegmentName::Tr as usize].limit -= 1;
    assert_eq!(machine.fault(&input), GP);
    machine.state.rflags |= Rflags::IOPL.bits();
    machine.run(&input);
    // A 16-bit task has no map.
    machine.state.rflags &= !Rflags::IOPL.bits();
    machine.state.segments[SegmentName::Tr as usize] = Segment::new(24, 0x83, 0xffff, DATA);
    assert_eq!(machine.fault(&input), GP);
}

#[test]
fn identification_and_time() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rax, 0xffff_ffff_0000_0007)
        .with(Gpr::Rcx, 3);
    machine.run(&[0x0f, 0xa2]);
    let values = [Gpr::Rax, Gpr::Rbx, Gpr::Rcx, Gpr::Rdx].map(|one| machine.gpr(one));
    assert_eq!(values, [7, 3, 0xffff_ffff, 4]);
    machine.run(&[0x0f, 0x31]); // rdtsc
    assert_eq!(
        (machine.gpr(Gpr::Rax), machine.gpr(Gpr::Rdx)),
        (0x9abc_def0, 0x1234_5678)
    );
    machine.run(&[0x0f, 0x01, 0xf9]); // rdtscp
    assert_eq!(machine.gpr(Gpr::Rcx), 2);
    let mut machine = Machine::user64();
    machine.run(&[0x0f, 0x31]);
    machine.state.cr4 |= Cr4::TSD.bits();
    assert_eq!(machine.fault(&[0x0f, 0x31]), GP);
}

#[test]
fn model_specific_registers() {
    let mut machine = Machine::bits64().with(Gpr::Rcx, 0x10);
    machine.run(&[0x0f, 0x32]); // rdmsr
    assert_eq!((machine.gpr(Gpr::Rax), machine.gpr(Gpr::Rdx)), (2, 1));
    machine.state.gprs[Gpr::Rdx as usize] = 0xffff_ffff_0000_0009;
    machine.run(&[0x0f, 0x30]); // wrmsr
    assert_eq!(machine.bus.msr, 0x9_0000_0002);
    machine.state.gprs[Gpr::Rcx as usize] = 0xdead;
    assert_eq!(machine.fault(&[0x0f, 0x32]), GP);
}

#[test]
fn user_code_gets_no_privileged_instruction() {
    for bytes in [
        &[0x0f, 0x32][..],
        &[0x0f, 0x30],
        &[0xf4],
        &[0x0f, 0x08],
        &[0x0f, 0x09],
        &[0x0f, 0x20, 0xc0],
        &[0x0f, 0x22, 0xd8],
        &[0x0f, 0x21, 0xf8],
        &[0x0f, 0x06],
        &[0x0f, 0x01, 0xf0],
        &[0x0f, 0x01, 0x3b],
        &[0xfa],
        &[0xfb],
    ] {
        assert_eq!(Machine::user64().fault(bytes), GP, "{bytes:x?}");
    }
}

#[test]
fn halt_and_the_interrupt_flag() {
    let mut machine = Machine::bits64();
    let shadowed = Completion {
        shadow: Shadow::Active,
        trap: Trap::None,
        nmis: Nmis::AsBefore,
    };
    assert_eq!(machine.step(&[0xfb]), Ok(Step::Done(shadowed))); // sti
    assert!(machine.flags().contains(Rflags::IF));
    machine.run(&[0xfb]); // no shadow when the flag was set already
    let bare = Completion {
        shadow: Shadow::None,
        trap: Trap::None,
        nmis: Nmis::AsBefore,
    };
    assert_eq!(machine.step(&[0xf4]), Ok(Step::Halt(bare)));
    assert_eq!(machine.state.rip, CODE + 3);
    machine.run(&[0xfa]); // cli
    assert!(!machine.flags().contains(Rflags::IF));
    for (byte, flag, is_set) in [
        (0xfd, Rflags::DF, true),
        (0xfc, Rflags::DF, false),
        (0xf9, Rflags::CF, true),
        (0xf5, Rflags::CF, false),
        (0xf5, Rflags::CF, true),
        (0xf8, Rflags::CF, false),
    ] {
        machine.run(&[byte]);
        assert_eq!(machine.flags().contains(flag), is_set, "{byte:x}");
    }
}

#[test]
fn paging_and_long_mode_start_and_end() {
    let mut machine = Machine::bits32()
        .with(Gpr::Rax, 0x8000_0001)
        .with(Gpr::Rbx, 0x11);
    machine.state.cr4 = Cr4::PAE.bits();
    machine.state.efer = Efer::LME.bits();
    machine.run(&[0x0f, 0x22, 0xc0]); // mov cr0,eax
    assert_eq!(machine.state.cr0, 0x8000_0011);
    assert_eq!(machine.state.efer, (Efer::LME | Efer::LMA).bits());
    assert_eq!(machine.bus.invalidations, [Invalidation::All]);
    let mut machine = Machine::bits64().with(Gpr::Rbx, 0x11);
    assert_eq!(machine.fault(&[0x0f, 0x22, 0xc3]), GP); // not from 64-bit code
    machine.state.segments[SegmentName::Cs as usize] = Segment::new(8, 0xc09b, u32::MAX, 0);
    machine.run(&[0x0f, 0x22, 0xc3]); // mov cr0,ebx
    assert_eq!(machine.state.efer & Efer::LMA.bits(), 0);
}

#[test]
fn control_registers_refuse_contradictions() {
    let refuses = |mut machine: Machine, bytes: &[u8]| assert_eq!(machine.fault(bytes), GP);
    let cr0 = [0x0f, 0x22, 0xc0];
    refuses(Machine::bits32().with(Gpr::Rax, 0x8000_0000), &cr0);
    refuses(Machine::bits32().with(Gpr::Rax, 0x2000_0001), &cr0);
    refuses(Machine::bits64().with(Gpr::Rax, 0x1_8001_0011), &cr0);
    let mut without_pae = Machine::bits32().with(Gpr::Rax, 0x8000_0001);
    without_pae.state.efer = Efer::LME.bits();
    refuses(without_pae, &cr0);
    refuses(Machine::bits64().with(Gpr::Rax, 0), &[0x0f, 0x22, 0xe0]); // CR4.PAE in long mode
    refuses(
        Machine::bits32().with(Gpr::Rax, 0x2_0000),
        &[0x0f, 0x22, 0xe0],
    ); // PCIDE outside
    refuses(
        Machine::bits32().with(Gpr::Rax, 0x1000),
        &[0x0f, 0x22, 0xe0],
    ); // not offered
    refuses(
        Machine::bits64().with(Gpr::Rax, 1 << 40),
        &[0x0f, 0x22, 0xd8],
    ); // CR3
    refuses(
        Machine::bits64().with(Gpr::Rax, 16),
        &[0x44, 0x0f, 0x22, 0xc0],
    ); // CR8
    let fault = Machine::bits64().fault(&[0x0f, 0x20, 0xf0]); // mov rax,cr6
    assert_eq!(fault, Exception::INVALID_OPCODE);
}

#[test]
fn pae_pointers_with_reserved_bits_are_not_loaded() {
    const POINTERS: u64 = TABLES + 0x20;
    let mut machine = Machine::bits32().with(Gpr::Rax, 0x8000_0011);
    machine.state.cr4 = Cr4::PAE.bits();
    machine.state.cr3 = POINTERS;
    let mov_cr0 = [0x0f, 0x22, 0xc0];
    let mov_cr3 = [0x0f, 0x22, 0xd8];
    let put = |machine: &Machine, entry: u64| {
        machine
            .bus
            .memory
            .store(Gpa(POINTERS + 16), &entry)
            .unwrap();
    };
    put(&machine, (TABLES + 0x1000) | 3); // writable: reserved here
    assert_eq!(machine.fault(&mov_cr0), Exception::GENERAL_PROTECTION);
    // What is not present may be anything. The code's page is mapped by a large one.
    put(&machine, 0xfff0_0000_0000_0002);
    machine
        .bus
        .memory
        .store(Gpa(POINTERS), &(TABLES + 0x1001))
        .unwrap();
    machine
        .bus
        .memory
        .store(Gpa(TABLES + 0x1000), &0x83_u64)
        .unwrap();
    machine.run(&mov_cr0);
    machine.state.gprs[0] = POINTERS + 0x20;
    machine
        .bus
        .memory
        .store(Gpa(POINTERS + 0x20), &0x1e7_u64)
        .unwrap();
    assert_eq!(machine.fault(&mov_cr3), Exception::GENERAL_PROTECTION);
    // Another bit of CR4 has them loaded again.
    put(&machine, 1 | 1 << 40);
    machine.state.gprs[0] = (Cr4::PAE | Cr4::PGE).bits();
    let mov_cr4 = [0x0f, 0x22, 0xe0];
    assert_eq!(machine.fault(&mov_cr4), Exception::GENERAL_PROTECTION);
    machine.state.gprs[0] = (Cr4::PAE | Cr4::DE).bits();
    machine.run(&mov_cr4);
}

#[test]
fn address_spaces_change() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rax, TABLES)
        .with(Gpr::Rbx, DATA);
    machine.run(&[0x0f, 0x22, 0xd8]); // mov cr3,rax
    machine.run(&[0x0f, 0x01, 0x3b]); // invlpg [rbx]
    machine.state.cr4 |= Cr4::PCIDE.bits();
    machine.state.gprs[Gpr::Rax as usize] = 1 << 63 | TABLES;
    machine.run(&[0x0f, 0x22, 0xd8]);
    assert_eq!(machine.state.cr3, TABLES);
    assert_eq!(
        machine.bus.invalidations,
        [
            Invalidation::AddressSpace,
            Invalidation::Page(guest_mem::Gva(DATA))
        ]
    );
}

#[test]
fn the_status_word_cannot_leave_protected_mode() {
    let mut machine = Machine::bits32()
        .with(Gpr::Rax, 0xfff8)
        .with(Gpr::Rbx, DATA);
    machine.run(&[0x0f, 0x01, 0xf0]); // lmsw ax
    assert_eq!(machine.state.cr0, 0x19);
    machine.run(&[0x0f, 0x06]); // clts
    assert_eq!(machine.state.cr0, 0x11);
    machine.run(&[0x0f, 0x01, 0x23]); // smsw [ebx]
    assert_eq!(machine.ram(DATA), [0x11, 0, 0, 0]);
}

#[test]
fn debug_registers() {
    let mut machine = Machine::bits64().with(Gpr::Rax, 0xffff_ffff);
    machine.run(&[0x0f, 0x23, 0xf8]); // mov dr7,rax: GD is among the bits
    assert_eq!(machine.bus.debug[7], 0xffff_2fff);
    assert_eq!(machine.fault(&[0x0f, 0x21, 0xc0]), Exception::plain(1)); // mov rax,dr0
    assert_eq!(machine.bus.debug[6], 1 << 13);
    machine.run(&[0x0f, 0x23, 0xe8]); // mov dr5,rax is dr7
    assert_eq!(machine.bus.debug[7], 0xffff_2fff);
    machine.bus.debug[7] = 0x400;
    machine.state.cr4 |= Cr4::DE.bits();
    assert_eq!(
        machine.fault(&[0x0f, 0x23, 0xe8]),
        Exception::INVALID_OPCODE
    );
    machine.state.gprs[Gpr::Rax as usize] = 1 << 32;
    assert_eq!(machine.fault(&[0x0f, 0x23, 0xf0]), GP); // mov dr6,rax
}

#[test]
fn segment_registers() {
    let mut machine = Machine::bits16()
        .with(Gpr::Rax, 0xb800)
        .with(Gpr::Rbx, DATA);
    machine.run(&[0x8e, 0xd8]); // mov ds,ax
    let data = machine.state.segments[SegmentName::Ds as usize];
    assert_eq!(
        (data.selector, data.base, data.limit),
        (0xb800, 0xb8000, 0xffff)
    );
    let shadowed = Completion {
        shadow: Shadow::Active,
        trap: Trap::None,
        nmis: Nmis::AsBefore,
    };
    machine.state.rflags |= Rflags::TF.bits();
    assert_eq!(machine.step(&[0x8e, 0xd0]), Ok(Step::Done(shadowed))); // mov ss,ax
    machine.state.rflags &= !Rflags::TF.bits();
    assert_eq!(machine.fault(&[0x8e, 0xc8]), Exception::INVALID_OPCODE); // mov cs,ax
    let mut machine = Machine::bits64()
        .with(Gpr::Rbx, DEVICE)
        .with(Gpr::Rax, u64::MAX);
    machine.run(&[0x8c, 0x0b]); // mov [rbx],cs
    assert_eq!(machine.bus.log, [Access::Write(DEVICE, 2, 8)]);
    machine.run(&[0x48, 0x8c, 0xd8]); // mov rax,ds
    assert_eq!(machine.gpr(Gpr::Rax), 16);
}

#[test]
fn virtual_8086_code_is_real_mode_code_at_cpl_3() {
    let mut machine = Machine::bits16().with(Gpr::Rax, 0x300);
    machine.state.cr0 = 0x11;
    machine.state.rflags |= Rflags::VM.bits();
    machine.state.segments[SegmentName::Tr as usize].limit = 0x66;
    machine.run(&[0x8e, 0xd8]); // mov ds,ax
    machine.put(DATA, &[0x42]);
    machine.run(&[0xa0, 0x00, 0x00]); // mov al,[0]
    assert_eq!(machine.gpr(Gpr::Rax), 0x342);
    assert_eq!(machine.fault(&[0xf4]), GP);
    assert_eq!(machine.fault(&[0xec]), GP);
    assert_eq!(machine.fault(&[0xfa]), GP);
    // With the extensions, VIF stands for IF.
    machine.state.cr4 = Cr4::VME.bits();
    machine.run(&[0xfb]); // sti
    assert!(machine.flags().contains(Rflags::VIF));
    machine.run(&[0x9c]); // pushf
    assert_eq!(machine.ram::<2>(STACK - 2), [0x02, 0x32]);
    machine.state.rflags |= Rflags::VIP.bits();
    assert_eq!(machine.fault(&[0xfb]), GP);
    assert_eq!(machine.fault(&[0x9d]), GP); // popf, of a set IF
    machine.run(&[0xfa]);
    assert!(!machine.flags().intersects(Rflags::VIF | Rflags::IF));
}
