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

#[test]
fn text_is_drawn_read_and_scrolled_in_vbe_modes() {
    // 640 by 480 with a palette, and 800 by 600 of 24 bits.
    for (mode, pitch, bytes) in [(0x4101, 640, 1), (0x4115, 2400, 3)] {
        let mut pc = Pc::on();
        pc.set(Gpr::Rbx, mode);
        assert_eq!(vbe(&mut pc, 0x4f02), 0x004f);
        // What turning it on sets in the chip.
        pc.board.dispi.1[6] = pc.board.dispi.1[1];
        assert_eq!(pc.load::<u16>(0x44a), pc.board.dispi.1[1] / 8);
        pc.board.frame.fill(0);
        pc.set(Gpr::Rbx, 0x0c);
        pc.set(Gpr::Rcx, 1);
        pc.set(Gpr::Rdx, 0x0102);
        pc.int(Service::Video, 0x0200);
        pc.set(Gpr::Rbx, 0x0c);
        pc.int(Service::Video, 0x0900 | u16::from(b'W'));
        pc.int(Service::Video, 0x0800);
        assert_eq!(pc.get(Gpr::Rax) & 0xff, u16::from(b'W'), "{mode:x}");
        let inside = 17 * pitch + 16 * bytes..17 * pitch + 24 * bytes;
        let lit = |pc: &Pc, place: std::ops::Range<usize>| {
            pc.board.frame[place].iter().any(|&byte| byte != 0)
        };
        let cell = |row: usize| row * 16 * pitch..(row + 1) * 16 * pitch;
        assert!(lit(&pc, cell(1)) && !lit(&pc, cell(0)) && !lit(&pc, cell(2)));
        assert!(inside.end < pc.board.frame.len());
        pc.set(Gpr::Rcx, 0);
        pc.set(Gpr::Rdx, 0xffff);
        pc.set(Gpr::Rbx, 0);
        pc.int(Service::Video, 0x0601);
        assert!(lit(&pc, cell(0)) && !lit(&pc, cell(1)), "scrolled");
        pc.set(Gpr::Rcx, 5);
        pc.set(Gpr::Rdx, 300);
        pc.set(Gpr::Rbx, 0);
        pc.int(Service::Video, 0x0c0f);
        assert_ne!(pc.board.frame[300 * pitch + 5 * bytes], 0);
        pc.int(Service::Video, 0x0d00);
        assert_ne!(pc.get(Gpr::Rax) & 0xff, 0);
    }
}

#[test]
fn the_protected_mode_interface_traps_wherever_it_is_copied() {
    let mut pc = Pc::on();
    pc.set(Gpr::Rbx, 0x4103);
    vbe(&mut pc, 0x4f02);
    pc.board.dispi.1[6] = 800;
    pc.set(Gpr::Rbx, 0);
    assert_eq!(vbe(&mut pc, 0x4f0a), 0x004f);
    let es = pc.cpu.segment(SegmentName::Es).base;
    let table: [u8; 35] = pc.load(es + u64::from(pc.get(Gpr::Rdi)));
    assert_eq!(usize::from(pc.get(Gpr::Rcx)), table.len());
    let entry = u64::from(table[2]);
    pc.board.memory.write(Gpa(0x5000), &table).unwrap();
    // Pixel 8 of line 3, in units of four bytes.
    pc.set(Gpr::Rbx, 0);
    pc.set(Gpr::Rcx, (3 * 800 + 8) / 4);
    pc.set(Gpr::Rdx, 0);
    pc.set_segment(SegmentName::Cs, 0);
    pc.cpu.rip = 0x5000 + entry + 2;
    let served = pc.bios.trapped(&mut pc.cpu, &mut pc.board);
    assert_eq!(served, Some(Ok(())));
    assert_eq!(pc.board.dispi.1[8..10], [8, 3]);
    assert_eq!(pc.load::<u8>(pc.cpu.rip + 4), 0xc3, "RET");
}

#[test]
fn the_screen_goes_dark_and_comes_back() {
    let mut pc = Pc::on();
    pc.set(Gpr::Rbx, 0);
    assert_eq!(vbe(&mut pc, 0x4f10), 0x004f);
    assert_eq!(pc.get(Gpr::Rbx), 0x0710);
    for (state, told) in [(4, 4), (0, 0)] {
        pc.set(Gpr::Rbx, state << 8 | 1);
        assert_eq!(vbe(&mut pc, 0x4f10), 0x004f);
        pc.set(Gpr::Rbx, 2);
        vbe(&mut pc, 0x4f10);
        assert_eq!(pc.get(Gpr::Rbx) >> 8, told);
    }
    pc.set(Gpr::Rbx, 0x0801);
    assert_eq!(vbe(&mut pc, 0x4f10), 0x014f);
}
