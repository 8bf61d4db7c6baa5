use super::*;

fn vbe(pc: &mut Pc, function: u16) -> u16 {
    pc.int(Service::Video, function);
    pc.get(Gpr::Rax)
}

#[test]
fn post_gives_the_adapter_its_addresses() {
    let pc = Pc::on();
    let [framebuffer, registers, ports] = [4, 6, 8].map(|index| pc.board.config[index]);
    assert_eq!(framebuffer & 0xff_ffff, 8, "aligned, prefetchable");
    assert!(framebuffer >= 0xc000_0000 && registers >= 0xc000_0000 && registers % 4096 == 0);
    assert!((0xc001..0x1_0000).contains(&ports));
    assert_eq!(pc.board.config[1] & 7, 7, "decodes and masters");
    assert_eq!(pc.board.config[15] & 0xff, 10, "INTA of slot 2");
}

#[test]
fn the_controller_names_modes_that_there_are() {
    let mut pc = Pc::on();
    pc.board.memory.write(Gpa(0x3000), b"VBE2").unwrap();
    pc.set(Gpr::Rdi, 0x3000);
    assert_eq!(vbe(&mut pc, 0x4f00), 0x004f);
    assert_eq!(pc.load::<[u8; 6]>(0x3000), *b"VESA\x00\x03");
    assert_eq!(pc.load::<u16>(0x3012), 256);
    let [offset, segment]: [u16; 2] = pc.load(0x300e);
    let mut at = u64::from(segment) * 16 + u64::from(offset);
    let mut count = 0;
    loop {
        let number: u16 = pc.load(at);
        if number == 0xffff {
            break;
        }
        pc.set(Gpr::Rcx, number);
        pc.set(Gpr::Rdi, 0x4000);
        assert_eq!(vbe(&mut pc, 0x4f01), 0x004f, "{number:#x}");
        let [width, height]: [u16; 2] = pc.load(0x4012);
        let pitch: u16 = pc.load(0x4010);
        let depth: u8 = pc.load(0x4019);
        assert_eq!(pitch, width * u16::from(depth.div_ceil(8)));
        assert!(height >= 200);
        assert_eq!(pc.load::<u32>(0x4028), pc.board.config[4] & !15);
        at += 2;
        count += 1;
    }
    assert!(count > 30);
}

#[test]
fn a_mode_is_set_told_and_left() {
    let mut pc = Pc::on();
    pc.set(Gpr::Rbx, 0x4118);
    assert_eq!(vbe(&mut pc, 0x4f02), 0x004f);
    assert_eq!(pc.board.dispi.1[1..5], [1024, 768, 24, 0x41]);
    assert_eq!(vbe(&mut pc, 0x4f03), 0x004f);
    assert_eq!(pc.get(Gpr::Rbx), 0x4118);
    pc.set(Gpr::Rbx, 0x01ff);
    assert_eq!(vbe(&mut pc, 0x4f02), 0x014f, "no such mode");
    pc.int(Service::Video, 3);
    assert_eq!(pc.board.dispi.1[4], 0);
    assert_eq!(vbe(&mut pc, 0x4f03), 0x004f);
    assert_eq!(pc.get(Gpr::Rbx), 3);
}

#[test]
fn the_window_moves_by_call_and_by_function() {
    let mut pc = Pc::on();
    pc.set(Gpr::Rbx, 0x0101);
    assert_eq!(vbe(&mut pc, 0x4f02), 0x004f);
    pc.set(Gpr::Rbx, 0);
    pc.set(Gpr::Rdx, 3);
    assert_eq!(vbe(&mut pc, 0x4f05), 0x004f);
    assert_eq!(pc.board.dispi.1[5], 3);
    pc.set(Gpr::Rdx, 2);
    pc.trap(rom::WINDOW_FUNCTION).unwrap();
    assert_eq!(pc.board.dispi.1[5], 2);
    pc.set(Gpr::Rdx, 256);
    assert_eq!(vbe(&mut pc, 0x4f05), 0x014f, "behind the memory");
}

#[test]
fn lines_may_be_longer_than_the_picture() {
    let mut pc = Pc::on();
    pc.set(Gpr::Rbx, 0x4111);
    vbe(&mut pc, 0x4f02);
    pc.set(Gpr::Rbx, 0);
    pc.set(Gpr::Rcx, 1000);
    assert_eq!(vbe(&mut pc, 0x4f06), 0x004f);
    assert_eq!((pc.get(Gpr::Rbx), pc.get(Gpr::Rcx)), (2000, 1000));
    assert_eq!(pc.get(Gpr::Rdx), ((256 << 16) / 2000) as u16);
    pc.set(Gpr::Rbx, 0);
    pc.set(Gpr::Rcx, 0);
    assert_eq!(vbe(&mut pc, 0x4f06), 0x024f);
}

#[test]
fn the_monitor_shows_its_edid() {
    let mut pc = Pc::on();
    pc.set(Gpr::Rbx, 1);
    pc.set(Gpr::Rdx, 0);
    pc.set(Gpr::Rdi, 0x5000);
    assert_eq!(vbe(&mut pc, 0x4f15), 0x004f);
    assert_eq!(pc.load::<[u8; 8]>(0x5000), EDID);
}
