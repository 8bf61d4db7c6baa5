use super::*;

#[test]
fn loads_from_a_device_in_every_width_and_mode() {
    let mut machine = Machine::bits64().with(Gpr::Rbx, DEVICE);
    machine.run(&[0x8a, 0x43, 0x10]); // mov al,[rbx+10h]
    assert_eq!(machine.gpr(Gpr::Rax), 0x10);
    machine.run(&[0x66, 0x8b, 0x43, 0x20]); // mov ax,[rbx+20h]
    assert_eq!(machine.gpr(Gpr::Rax), 0x2120);
    machine.run(&[0x48, 0x8b, 0x43, 0x30]); // mov rax,[rbx+30h]
    assert_eq!(machine.gpr(Gpr::Rax), 0x3736_3534_3332_3130);
    machine.run(&[0x8b, 0x43, 0x40]); // mov eax,[rbx+40h]
    assert_eq!(machine.gpr(Gpr::Rax), 0x4342_4140);
    assert_eq!(
        machine.bus.log,
        [
            Access::Read(DEVICE + 0x10, 1),
            Access::Read(DEVICE + 0x20, 2),
            Access::Read(DEVICE + 0x30, 8),
            Access::Read(DEVICE + 0x40, 4)
        ]
    );

    let mut machine = Machine::bits32().with(Gpr::Rbx, DEVICE);
    machine.run(&[0x8b, 0x8b, 0x00, 0x01, 0x00, 0x00]); // mov ecx,[ebx+100h]
    assert_eq!(machine.gpr(Gpr::Rcx), 0x0302_0100);

    let mut machine = Machine::bits16().with(Gpr::Rbx, 4).with(Gpr::Rsi, 0xfffd);
    machine.run(&[0x26, 0x8b, 0x10]); // mov dx,es:[bx+si], wrapping at 64 KiB
    assert_eq!(machine.gpr(Gpr::Rdx), 0x0201);
    machine.run(&[0x66, 0x26, 0x8b, 0x10]); // mov edx,es:[bx+si]
    assert_eq!(machine.gpr(Gpr::Rdx), 0x0403_0201);
}

#[test]
fn stores_to_a_device() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rdi, DEVICE)
        .with(Gpr::Rax, 0x1122_3344_5566_7788);
    machine.run(&[0x88, 0x67, 0x01]); // mov [rdi+1],ah
    machine.run(&[0x40, 0x88, 0x3f]); // mov [rdi],dil
    machine.run(&[0x48, 0x89, 0x47, 0x08]); // mov [rdi+8],rax
    machine.run(&[0x48, 0xc7, 0x07, 0xff, 0xff, 0xff, 0xff]); // mov qword [rdi],-1
    machine.run(&[0x66, 0xc7, 0x07, 0x34, 0x12]); // mov word [rdi],1234h
    machine.run(&[0x0f, 0xc3, 0x07]); // movnti [rdi],eax
    assert_eq!(
        machine.bus.log,
        [
            Access::Write(DEVICE + 1, 1, 0x77),
            Access::Write(DEVICE, 1, 0),
            Access::Write(DEVICE + 8, 8, 0x1122_3344_5566_7788),
            Access::Write(DEVICE, 8, u64::MAX),
            Access::Write(DEVICE, 2, 0x1234),
            Access::Write(DEVICE, 4, 0x5566_7788),
        ]
    );
}

#[test]
fn absolute_and_relative_addresses() {
    let mut machine = Machine::bits64();
    machine.put(DATA, &0xfeed_u16.to_le_bytes());
    machine.run(&[0x48, 0xa1, 0, 0x30, 0, 0, 0, 0, 0, 0]); // mov rax,[3000h]
    assert_eq!(machine.gpr(Gpr::Rax), 0xfeed);
    let displacement = (DATA as u32) - (machine.state.rip as u32 + 7);
    let mut relative = std::vec![0x48, 0x8b, 0x0d]; // mov rcx,[rip+…]
    relative.extend(displacement.to_le_bytes());
    machine.run(&relative);
    assert_eq!(machine.gpr(Gpr::Rcx), 0xfeed);
    // The same bytes elsewhere mean another address, though they were decoded before.
    machine.state.rip += 64 * 7 - 7;
    machine.put(
        machine.state.rip + 7 + u64::from(displacement),
        &[0xaa, 0, 0, 0, 0, 0, 0, 0],
    );
    machine.run(&relative);
    assert_eq!(machine.gpr(Gpr::Rcx), 0xaa);

    let mut machine = Machine::bits32();
    machine.put(DATA, &[0x55]);
    machine.run(&[0xa0, 0, 0x30, 0, 0]); // mov al,[3000h]
    assert_eq!(machine.gpr(Gpr::Rax), 0x55);
    let mut machine = Machine::bits16();
    machine.put(DATA, &[0x66, 0x77]);
    machine.run(&[0xa1, 0, 0x30]); // mov ax,[3000h]
    assert_eq!(machine.gpr(Gpr::Rax), 0x7766);
}

#[test]
fn extensions_and_swaps() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rbx, DATA)
        .with(Gpr::Rax, u64::MAX);
    machine.put(DATA, &[0x80, 0xff, 0x12, 0x34]);
    machine.run(&[0x0f, 0xb6, 0x03]); // movzx eax,byte [rbx]
    assert_eq!(machine.gpr(Gpr::Rax), 0x80);
    machine.run(&[0x0f, 0xbe, 0x03]); // movsx eax,byte [rbx]
    assert_eq!(machine.gpr(Gpr::Rax), 0xffff_ff80);
    machine.run(&[0x48, 0x0f, 0xbf, 0x03]); // movsx rax,word [rbx]
    assert_eq!(machine.gpr(Gpr::Rax), 0xffff_ffff_ffff_ff80);
    machine.run(&[0x48, 0x63, 0x03]); // movsxd rax,dword [rbx]
    assert_eq!(machine.gpr(Gpr::Rax), 0x3412_ff80);
    machine.run(&[0x0f, 0x38, 0xf0, 0x03]); // movbe eax,[rbx]
    assert_eq!(machine.gpr(Gpr::Rax), 0x80ff_1234);
    machine.run(&[0x66, 0x0f, 0x38, 0xf1, 0x03]); // movbe [rbx],ax
    assert_eq!(machine.ram(DATA), [0x12, 0x34, 0x12, 0x34]);
}

#[test]
fn conditional_moves_and_sets() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rbx, DATA)
        .with(Gpr::Rax, u64::MAX);
    machine.put(DATA, &[5, 0, 0, 0]);
    machine.state.rflags |= Rflags::ZF.bits();
    machine.run(&[0x0f, 0x45, 0x03]); // cmovne eax,[rbx]
    assert_eq!(machine.gpr(Gpr::Rax), 0xffff_ffff);
    machine.run(&[0x48, 0x0f, 0x44, 0x03]); // cmove rax,[rbx]
    assert_eq!(machine.gpr(Gpr::Rax), 5);
    machine.run(&[0x0f, 0x9f, 0x03]); // setg [rbx]
    assert_eq!(machine.ram(DATA), [0]);
    machine.run(&[0x0f, 0x9d, 0x03]); // setge [rbx]
    assert_eq!(machine.ram(DATA), [1]);
}

#[test]
fn an_operand_across_pages_is_translated_twice() {
    let mut machine = Machine::bits64().with(Gpr::Rbx, DATA + 0xffd);
    // The second page lies elsewhere.
    let entry = Gpa(TABLES + 0x4000 + 4 * 8);
    machine.bus.memory.store(entry, &0x6007_u64).unwrap();
    machine.put(DATA + 0xffd, &[1, 2, 3]);
    machine.put(0x6000, &[4, 5, 6, 7, 8]);
    machine.run(&[0x48, 0x8b, 0x03]); // mov rax,[rbx]
    assert_eq!(machine.gpr(Gpr::Rax), 0x0807_0605_0403_0201);
    machine.run(&[0x48, 0xf7, 0x1b]); // neg qword [rbx]
    assert_eq!(machine.ram(DATA + 0xffd), [0xff, 0xfd, 0xfc]);
    assert_eq!(machine.ram(0x6000), [0xfb, 0xfa, 0xf9, 0xf8, 0xf7]);
}

#[test]
fn an_instruction_across_pages_is_read_in_both() {
    let mut machine = Machine::bits64().with(Gpr::Rbx, DEVICE);
    machine.state.rip = CODE + 0xffe;
    machine.run(&[0x8b, 0x83, 0x10, 0, 0, 0]); // mov eax,[rbx+10h]
    assert_eq!(machine.gpr(Gpr::Rax), 0x1312_1110);
}

#[test]
fn the_hint_replaces_the_walk_only_for_the_same_access() {
    let mut machine = Machine::bits64().with(Gpr::Rbx, DATA + 8);
    machine.put(CODE, &[0x8b, 0x03, 0x89, 0x03, 0x8b, 0x43, 0x04]);
    let hinted = Hint::Read(Gpa(DEVICE + 8));
    let mut step = |hint| {
        step(
            &mut machine.state,
            &mut machine.bus,
            &mut machine.cache,
            hint,
            None,
        )
    };
    assert_eq!(step(hinted), Ok(PLAIN)); // mov eax,[rbx]
    assert_eq!(step(hinted), Ok(PLAIN)); // mov [rbx],eax: a right to read is none to write
    assert_eq!(step(hinted), Ok(PLAIN)); // mov eax,[rbx+4]: another place in the page
    assert_eq!(machine.bus.log, [Access::Read(DEVICE + 8, 4)]);
    assert_eq!(machine.ram(DATA + 8), [8, 9, 10, 11, 0, 0, 0, 0]);
    assert_eq!(machine.gpr(Gpr::Rax), 0);
}

#[test]
fn bytes_that_the_cpu_has_told_are_taken_for_those_in_memory() {
    let mut machine = Machine::bits64().with(Gpr::Rbx, DEVICE);
    machine.put(CODE, &[0x0f, 0x0b]);
    let mut fetched = [0; 15];
    fetched[..2].copy_from_slice(&[0x8b, 0x03]); // mov eax,[rbx]
    let hint = Hint::Read(Gpa(DEVICE));
    let step = step(
        &mut machine.state,
        &mut machine.bus,
        &mut machine.cache,
        hint,
        Some(&fetched),
    );
    assert_eq!(step, Ok(PLAIN));
    assert_eq!(machine.bus.log, [Access::Read(DEVICE, 4)]);
    assert_eq!(machine.state.rip, CODE + 2);
}

#[test]
fn pushes_and_pops() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rbx, DEVICE)
        .with(Gpr::Rax, 0x77);
    machine.run(&[0xff, 0x33]); // push qword [rbx]
    assert_eq!(machine.ram(STACK - 8), [0, 1, 2, 3, 4, 5, 6, 7]);
    machine.run(&[0x8f, 0x43, 0x10]); // pop qword [rbx+10h]
    assert_eq!(machine.gpr(Gpr::Rsp), STACK);
    machine.run(&[0x54]); // push rsp
    assert_eq!(machine.ram(STACK - 8), STACK.to_le_bytes());
    machine.run(&[0x5c]); // pop rsp
    assert_eq!(machine.gpr(Gpr::Rsp), STACK);
    machine.run(&[0x6a, 0xff]); // push -1
    machine.run(&[0x8f, 0x44, 0x24, 0x08]); // pop qword [rsp+8], with the rsp after the pop
    assert_eq!(machine.ram(STACK + 8), [0xff; 8]);
    assert_eq!(
        machine.bus.log,
        [
            Access::Read(DEVICE, 8),
            Access::Write(DEVICE + 0x10, 8, 0x0706_0504_0302_0100)
        ]
    );

    let mut machine = Machine::bits16().with(Gpr::Rsp, 0xabcd_0000);
    machine.run(&[0x68, 0x34, 0x12]); // push 1234h, wrapping at 64 KiB
    assert_eq!(machine.gpr(Gpr::Rsp), 0xabcd_fffe);
    assert_eq!(machine.ram(0xfffe), [0x34, 0x12]);
}

#[test]
fn vector_moves_use_the_image() {
    let mut machine = Machine::bits64().with(Gpr::Rbx, DEVICE);
    let bytes = [0x0f, 0x10, 0x03]; // movups xmm0,[rbx]
    let report = machine.step(&bytes).unwrap_err();
    assert_eq!(report.reason, Reason::Vectors);
    machine.bus.xsave = Some([0; XSAVE_HEAD_BYTES]);
    machine.run(&bytes);
    machine.run(&[0x44, 0x0f, 0x29, 0x43, 0x20]); // movaps [rbx+20h],xmm8
    machine.run(&[0x66, 0x0f, 0xd6, 0x43, 0x30]); // movq [rbx+30h],xmm0
    machine.run(&[0xf3, 0x0f, 0x7e, 0x0b]); // movq xmm1,[rbx]
    machine.run(&[0x66, 0x0f, 0x7e, 0x03]); // movd [rbx],xmm0
    assert_eq!(
        machine.bus.log,
        [
            Access::Read(DEVICE, 8),
            Access::Read(DEVICE + 8, 8),
            Access::Write(DEVICE + 0x20, 8, 0),
            Access::Write(DEVICE + 0x28, 8, 0),
            Access::Write(DEVICE + 0x30, 8, 0x0706_0504_0302_0100),
            Access::Read(DEVICE, 8),
            Access::Write(DEVICE, 4, 0x0302_0100),
        ]
    );
    let image = machine.bus.xsave_image().unwrap();
    assert_eq!(image.xmm(0), 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);
    assert_eq!(image.xmm(1), 0x0706_0504_0302_0100);
    machine.state.gprs[Gpr::Rbx as usize] += 4;
    assert_eq!(
        machine.fault(&[0x0f, 0x28, 0x03]), // movaps xmm0,[rbx]
        Exception::GENERAL_PROTECTION
    );
    machine.state.cr0 |= Cr0::TS.bits();
    assert_eq!(machine.fault(&bytes), Exception::plain(7));
}
