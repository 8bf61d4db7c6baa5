use super::*;

#[test]
fn post_leaves_mode_3_with_its_banner() {
    let mut pc = Pc::on();
    assert!(pc.row(0).starts_with("Monovisor BIOS"), "{}", pc.screen());
    pc.int(Service::Video, 0x0f00);
    assert_eq!(pc.get(Gpr::Rax), 80 << 8 | 3);
    assert_eq!(pc.load::<u16>(0x463), 0x3d4);
    assert!(pc.board.written.contains(&(0x3c2, 0x67)));
}

fn fresh_screen() -> Pc {
    let mut pc = Pc::on();
    pc.int(Service::Video, 3);
    assert_eq!(pc.screen().trim(), "");
    pc
}

#[test]
fn teletype_moves_the_cursor_and_scrolls() {
    let mut pc = fresh_screen();
    for character in b"one\r\ntwo" {
        pc.int(Service::Video, 0x0e00 | u16::from(*character));
    }
    assert_eq!((pc.row(0), pc.row(1)), ("one".into(), "two".into()));
    pc.set(Gpr::Rbx, 0);
    pc.int(Service::Video, 0x0300);
    assert_eq!(pc.get(Gpr::Rdx), 0x0103);
    for _ in 0..24 {
        pc.int(Service::Video, 0x0e0a);
    }
    assert_eq!((pc.row(0), pc.row(1)), ("two".into(), "".into()));
}

#[test]
fn the_last_column_wraps() {
    let mut pc = fresh_screen();
    pc.set(Gpr::Rbx, 0);
    pc.set(Gpr::Rdx, 0x054f);
    pc.int(Service::Video, 0x0200);
    pc.int(Service::Video, 0x0e00 | u16::from(b'x'));
    assert_eq!(pc.load::<[u8; 2]>(0x450), [0, 6]);
    assert_eq!(pc.row(5).len(), 80);
}

#[test]
fn the_hardware_cursor_follows() {
    let mut pc = fresh_screen();
    pc.board.written.clear();
    pc.set(Gpr::Rbx, 0);
    pc.set(Gpr::Rdx, 0x0203);
    pc.int(Service::Video, 0x0200);
    let expected = [(0x3d4, 0x0e), (0x3d5, 0), (0x3d4, 0x0f), (0x3d5, 163)];
    assert_eq!(pc.board.written, expected);
}

#[test]
fn windows_scroll_both_ways_and_clear() {
    let mut pc = fresh_screen();
    for (row, text) in [(0_u16, b'a'), (1, b'b'), (2, b'c')] {
        pc.set(Gpr::Rbx, 7);
        pc.set(Gpr::Rdx, row << 8);
        pc.int(Service::Video, 0x0200);
        pc.set(Gpr::Rcx, 3);
        pc.int(Service::Video, 0x0900 | u16::from(text));
    }
    pc.set(Gpr::Rcx, 0x0001);
    pc.set(Gpr::Rdx, 0x0201);
    pc.set(Gpr::Rbx, 0x1f00);
    pc.int(Service::Video, 0x0601);
    assert_eq!(
        (pc.row(0), pc.row(1), pc.row(2)),
        ("aba".into(), "bcb".into(), "c c".into())
    );
    assert_eq!(pc.board.video[0x1_8000 + 2 * 160 + 3], 0x1f);
    pc.int(Service::Video, 0x0701);
    assert_eq!(
        (pc.row(0), pc.row(1), pc.row(2)),
        ("a a".into(), "bbb".into(), "ccc".into())
    );
    pc.set(Gpr::Rcx, 0);
    pc.set(Gpr::Rdx, 0xffff);
    pc.int(Service::Video, 0x0600);
    assert_eq!(pc.screen().trim(), "");
}

#[test]
fn strings_come_with_and_without_attributes() {
    let mut pc = fresh_screen();
    pc.board.memory.write(Gpa(0x3000), b"h\x1ei\x2f").unwrap();
    pc.set(Gpr::Rbp, 0x3000);
    pc.set(Gpr::Rcx, 2);
    pc.set(Gpr::Rbx, 0);
    pc.set(Gpr::Rdx, 0x0300);
    pc.int(Service::Video, 0x1303);
    assert_eq!(&pc.board.video[0x1_8000 + 480..][..4], b"h\x1ei\x2f");
    assert_eq!(pc.load::<[u8; 2]>(0x450), [2, 3]);
}

#[test]
fn the_font_functions_point_into_the_video_rom() {
    let mut pc = fresh_screen();
    pc.set(Gpr::Rbx, 0x0600);
    pc.int(Service::Video, 0x1130);
    let es = pc.cpu.segment(SegmentName::Es).base;
    let glyph: [u8; 16] = pc.load(es + u64::from(pc.get(Gpr::Rbp)) + 16 * u64::from(b'A'));
    assert_ne!(glyph, [0; 16]);
    assert_eq!((pc.get(Gpr::Rcx), pc.get(Gpr::Rdx) & 0xff), (16, 24));
}

#[test]
fn eight_line_characters_give_fifty_rows() {
    let mut pc = fresh_screen();
    pc.board.ports.insert(0x3d5, 0);
    pc.set(Gpr::Rbx, 0);
    // The ports of this machine remember one value for all registers: 400 lines need those of the chip.
    pc.int(Service::Video, 0x1112);
    assert_eq!(pc.load::<u16>(0x485), 8);
}

#[test]
fn mode_13h_draws_pixels_and_text() {
    let mut pc = Pc::on();
    pc.int(Service::Video, 0x13);
    pc.set(Gpr::Rcx, 319);
    pc.set(Gpr::Rdx, 199);
    pc.set(Gpr::Rbx, 0);
    pc.int(Service::Video, 0x0c2a);
    assert_eq!(pc.board.video[199 * 320 + 319], 0x2a);
    pc.int(Service::Video, 0x0d00);
    assert_eq!(pc.get(Gpr::Rax) & 0xff, 0x2a);
    pc.set(Gpr::Rbx, 0x0e);
    pc.int(Service::Video, 0x0edb);
    assert!(pc.board.video[..8].iter().all(|&pixel| pixel == 0x0e));
}

#[test]
fn characters_are_read_back_from_pixels() {
    for mode in [0x06, 0x13] {
        let mut pc = Pc::on();
        pc.int(Service::Video, mode);
        pc.set(Gpr::Rbx, 0x01);
        pc.set(Gpr::Rcx, 1);
        pc.int(Service::Video, 0x0900 | u16::from(b'R'));
        pc.int(Service::Video, 0x0800);
        // The font of eight lines has characters that look alike.
        let shape = |code: u8| pc.bios.fonts.glyph(8, code).to_vec();
        assert_eq!(
            shape(pc.get(Gpr::Rax) as u8),
            shape(b'R'),
            "{mode:x} {:x}",
            pc.get(Gpr::Rax)
        );
    }
}

#[test]
fn the_state_table_tells_mode_and_colours() {
    let mut pc = fresh_screen();
    pc.set(Gpr::Rbx, 0);
    pc.set(Gpr::Rdi, 0x3000);
    pc.int(Service::Video, 0x1b00);
    assert_eq!(pc.get(Gpr::Rax) & 0xff, 0x1b);
    let table: [u8; 64] = pc.load(0x3000);
    assert_eq!(table[..4], [0x40, 1, 0, 0xc0]);
    assert_eq!((table[4], table[5], table[0x22]), (3, 80, 25));
    assert_eq!((table[0x27], table[0x29], table[0x2a]), (16, 8, 2));
}

#[test]
fn saved_video_state_comes_back() {
    let mut pc = fresh_screen();
    pc.set(Gpr::Rcx, 7);
    pc.int(Service::Video, 0x1c00);
    let blocks = pc.get(Gpr::Rbx);
    assert!((14..=16).contains(&blocks), "{blocks}");
    pc.set(Gpr::Rbx, 0x3000);
    pc.int(Service::Video, 0x1c01);
    let area: [u8; 0x1e] = pc.load(0x449);
    pc.int(Service::Video, 0x13);
    assert_ne!(pc.load::<[u8; 0x1e]>(0x449), area);
    pc.set(Gpr::Rcx, 7);
    pc.set(Gpr::Rbx, 0x3000);
    pc.int(Service::Video, 0x1c02);
    assert_eq!(pc.load::<[u8; 0x1e]>(0x449), area);
    assert_eq!(pc.get(Gpr::Rax) & 0xff, 0x1c);
}
