use super::*;

/// The keyboard interrupt with a code, both steps.
fn press(pc: &mut Pc, code: u8) {
    pc.board.ports.insert(0x64, 0x1d);
    pc.board.ports.insert(0x60, code);
    pc.trap(rom::keyboard::OFFSET + 1).unwrap();
    assert_eq!(pc.get(Gpr::Rax), 0x4f00 | u16::from(code));
    pc.trap(rom::keyboard::OFFSET + 9).unwrap();
}

fn key(pc: &mut Pc) -> Option<u16> {
    pc.set(Gpr::Rax, 0x0100);
    if pc.call(Service::Keyboard).contains(Rflags::ZF) {
        return None;
    }
    pc.int(Service::Keyboard, 0);
    Some(pc.get(Gpr::Rax))
}

#[test]
fn keys_come_out_as_they_went_in() {
    let mut pc = Pc::on();
    for code in [0x1e, 0x9e, 0x2a, 0x1e, 0x9e, 0xaa, 0x3b, 0x1d, 0x2e, 0x9d] {
        press(&mut pc, code);
    }
    let keys: Vec<_> = std::iter::from_fn(|| key(&mut pc)).collect();
    assert_eq!(keys, [0x1e61, 0x1e41, 0x3b00, 0x2e03]);
}

#[test]
fn grey_keys_differ_for_those_who_know_them() {
    let mut pc = Pc::on();
    for code in [0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0x1c, 0xe0, 0x9c] {
        press(&mut pc, code);
    }
    pc.int(Service::Keyboard, 0x1000);
    assert_eq!(pc.get(Gpr::Rax), 0x48e0);
    assert_eq!(key(&mut pc), Some(0x1c0d));
    press(&mut pc, 0x48);
    assert_eq!(key(&mut pc), Some(0x4800));
    press(&mut pc, 0x45);
    press(&mut pc, 0xc5);
    press(&mut pc, 0x48);
    assert_eq!(key(&mut pc), Some(0x4838), "Num Lock");
}

#[test]
fn a_read_without_a_key_waits_in_the_rom() {
    let mut pc = Pc::on();
    pc.int(Service::Keyboard, 0);
    let stub = u64::from(rom::stub(Service::Keyboard));
    assert_eq!(pc.cpu.rip, stub + 7);
    assert_eq!(pc.load::<[u8; 2]>(0xf_0000 + stub + 7), [0xfb, 0xf4]);
    press(&mut pc, 0x39);
    pc.set(Gpr::Rax, 0);
    pc.trap(stub as u16 + 9).unwrap();
    assert_eq!(pc.get(Gpr::Rax), 0x3920);
}

#[test]
fn the_buffer_holds_fifteen_keys() {
    let mut pc = Pc::on();
    for index in 0..16 {
        pc.set(Gpr::Rcx, 0x1000 + index);
        pc.int(Service::Keyboard, 0x0500);
        assert_eq!(pc.get(Gpr::Rax) & 0xff, u16::from(index == 15));
    }
    for index in 0..15 {
        assert_eq!(key(&mut pc), Some(0x1000 + index));
    }
    assert_eq!(key(&mut pc), None);
}

#[test]
fn control_break_goes_to_int_1bh() {
    let mut pc = Pc::on();
    for code in [0x1d, 0xe0, 0x46] {
        press(&mut pc, code);
    }
    assert_eq!(pc.load::<u8>(0x471), 0x80);
    let rip = pc.cpu.rip;
    assert_eq!(pc.load::<[u8; 2]>(0xf_0000 + rip), [0xcd, 0x1b]);
}

#[test]
fn pause_halts_until_a_key_which_is_lost() {
    let mut pc = Pc::on();
    for code in [0xe1, 0x1d, 0x45] {
        press(&mut pc, code);
    }
    let halt = rom::keyboard::OFFSET + 25;
    assert_eq!(pc.cpu.rip, halt.into());
    assert_eq!(pc.load::<[u8; 2]>(0xf_0000 + u64::from(halt)), [0xfb, 0xf4]);
    for code in [0xe1, 0x9d, 0xc5, 0x2a, 0xaa] {
        press(&mut pc, code);
    }
    pc.trap(halt + 2).unwrap();
    assert_eq!(
        pc.cpu.rip,
        halt.into(),
        "its own release, and shift, do not end it"
    );
    press(&mut pc, 0x1e);
    pc.trap(halt + 2).unwrap();
    assert_eq!(pc.cpu.rip, u64::from(halt) + 4);
    assert_eq!(key(&mut pc), None);
}

#[test]
fn lamps_follow_the_locks() {
    let mut pc = Pc::on();
    pc.board.written.clear();
    press(&mut pc, 0x3a);
    let sent = pc.board.written.iter().filter(|(port, _)| *port == 0x60);
    assert_eq!(sent.map(|(_, byte)| *byte).collect::<Vec<_>>(), [0xed, 4]);
}

#[test]
fn a_swallowed_code_is_not_a_key() {
    let mut pc = Pc::on();
    pc.board.ports.insert(0x64, 0x1d);
    pc.board.ports.insert(0x60, 0x1e);
    pc.trap(rom::keyboard::OFFSET + 1).unwrap();
    pc.cpu.rflags &= !Rflags::CF.bits();
    pc.trap(rom::keyboard::OFFSET + 9).unwrap();
    assert_eq!(key(&mut pc), None);
    assert_eq!(pc.board.written.last(), Some(&(0x20, 0x20)));
}

/// INT 15h function C2h, subfunction AL and BH.
fn pointing(pc: &mut Pc, al: u16, bh: u16) -> bool {
    pc.set(Gpr::Rbx, bh << 8 | pc.get(Gpr::Rbx) & 0xff);
    pc.int(Service::System, 0xc200 | al)
}

#[test]
fn a_packet_of_the_mouse_calls_the_handler() {
    let mut pc = Pc::on();
    assert!(pointing(&mut pc, 0, 1), "nobody to call yet");
    assert_eq!(pc.ah(), 5);
    pc.board.memory.store(Gpa(0x9_fc27), &3_u8).unwrap();
    pc.set_segment(SegmentName::Es, 0x1234);
    pc.set(Gpr::Rbx, 0x0010);
    assert!(!pc.int(Service::System, 0xc207));
    pc.set(Gpr::Rsp, 0x6ff0);
    for (index, byte) in [0x29, 5, 0xfe].into_iter().enumerate() {
        pc.board.ports.insert(0x64, 0x3d);
        pc.board.ports.insert(0x60, byte);
        pc.trap(rom::mouse::OFFSET + 4).unwrap();
        if index < 2 {
            assert_eq!(
                pc.load::<[u8; 3]>(0xf_0000 + pc.cpu.rip),
                [0x66, 0x61, 0x07]
            );
        }
    }
    assert_eq!(
        (pc.cpu.segment(SegmentName::Cs).selector, pc.cpu.rip),
        (0x1234, 0x10)
    );
    let frame: [u16; 6] = pc.load(u64::from(pc.get(Gpr::Rsp)));
    assert_eq!(
        pc.load::<[u8; 3]>(0xf_0000 + u64::from(frame[0])),
        [0x83, 0xc4, 0x08]
    );
    assert_eq!(frame[1..], [0xf000, 0, 0xfe, 5, 0x29]);
    assert_eq!(pc.board.written.last(), Some(&(0x20, 0x20)));
}
