use super::*;

/// A disk whose sectors hold their numbers.
fn numbered(sectors: usize) -> Vec<u8> {
    let mut bytes = std::vec![0; sectors * 512];
    for (number, sector) in bytes.chunks_mut(512).enumerate() {
        sector[..4].copy_from_slice(&(number as u32).to_le_bytes());
    }
    bytes
}

fn with_disk() -> Pc {
    let disk = (
        drive(DriveKind::Disk),
        numbered(20480),
        Protection::Writable,
    );
    Pc::with(std::vec![disk])
}

fn packet(pc: &mut Pc, count: u16, segment: u16, offset: u16, sector: u64) {
    pc.board
        .memory
        .store(Gpa(0x600), &[16_u16, count, offset, segment])
        .unwrap();
    pc.board.memory.store(Gpa(0x608), &sector).unwrap();
    pc.set(Gpr::Rsi, 0x600);
    pc.set(Gpr::Rdx, 0x80);
}

#[test]
fn sectors_come_by_cylinder_head_and_sector() {
    let mut pc = with_disk();
    pc.set(Gpr::Rdx, 0x0280);
    pc.set(Gpr::Rcx, 0x0105);
    pc.set_segment(SegmentName::Es, 0x1000);
    pc.set(Gpr::Rbx, 0x10);
    assert!(!pc.int(Service::Disk, 0x0203));
    assert_eq!(pc.get(Gpr::Rax), 3);
    let first = (16 + 2) * 63 + 4;
    for index in 0..3 {
        assert_eq!(pc.load::<u32>(0x1_0010 + index * 512), first + index as u32);
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut pc = with_disk();
    pc.set(Gpr::Rdx, 0x80);
    pc.set(Gpr::Rcx, 0xffff);
    assert!(pc.int(Service::Disk, 0x0201));
    assert_eq!((pc.ah(), pc.load::<u8>(0x474)), (4, 4));
    assert!(pc.int(Service::Disk, 0x0100));
    assert_eq!(pc.ah(), 4, "the last status");
    pc.set(Gpr::Rdx, 0x81);
    assert!(pc.int(Service::Disk, 0x0201));
    assert_eq!(pc.ah(), 1);
}

#[test]
fn the_extensions_read_and_write_anywhere() {
    let mut pc = with_disk();
    pc.set(Gpr::Rdx, 0x80);
    pc.set(Gpr::Rbx, 0x55aa);
    assert!(!pc.int(Service::Disk, 0x4100));
    assert_eq!(
        (pc.ah(), pc.get(Gpr::Rbx), pc.get(Gpr::Rcx) & 5),
        (0x30, 0xaa55, 5)
    );
    packet(&mut pc, 40, 0x2000, 0x123, 20000);
    assert!(!pc.int(Service::Disk, 0x4200));
    assert_eq!(pc.load::<u32>(0x2_0123 + 39 * 512), 20039);
    pc.board.memory.write(Gpa(0x2_0123), b"written").unwrap();
    packet(&mut pc, 1, 0x2000, 0x123, 7);
    assert!(!pc.int(Service::Disk, 0x4300));
    assert_eq!(&pc.board.media[0].1[7 * 512..][..7], b"written");
    packet(&mut pc, 2, 0x2000, 0, 20479);
    assert!(pc.int(Service::Disk, 0x4200));
    assert_eq!((pc.ah(), pc.load::<u16>(0x602)), (4, 0));
    packet(&mut pc, 2, 0x2000, 0, u64::MAX);
    assert!(pc.int(Service::Disk, 0x4200));
}

#[test]
fn a_read_into_video_memory_arrives() {
    let mut pc = with_disk();
    packet(&mut pc, 2, 0xb800, 0, 5);
    assert!(!pc.int(Service::Disk, 0x4200));
    assert_eq!(pc.board.video[0x1_8000..][..4], [5, 0, 0, 0]);
    assert_eq!(pc.board.video[0x1_8200..][..4], [6, 0, 0, 0]);
}

#[test]
fn parameters_describe_the_disk() {
    let mut pc = with_disk();
    pc.set(Gpr::Rdx, 0x80);
    assert!(!pc.int(Service::Disk, 0x0800));
    assert_eq!(
        (pc.get(Gpr::Rcx), pc.get(Gpr::Rdx)),
        (19 << 8 | 63, 15 << 8 | 1)
    );
    pc.board.memory.store(Gpa(0x600), &30_u16).unwrap();
    pc.set(Gpr::Rsi, 0x600);
    pc.set(Gpr::Rdx, 0x80);
    assert!(!pc.int(Service::Disk, 0x4800));
    assert_eq!((pc.load::<u64>(0x610), pc.load::<u16>(0x618)), (20480, 512));
    pc.set(Gpr::Rdx, 0x80);
    assert!(!pc.int(Service::Disk, 0x1500));
    assert_eq!((pc.ah(), pc.get(Gpr::Rdx)), (3, 20480));
}

#[test]
fn a_protected_diskette_refuses_writes() {
    let floppy = (
        drive(DriveKind::Floppy),
        numbered(2880),
        Protection::ReadOnly,
    );
    let mut pc = Pc::with(std::vec![floppy]);
    pc.set(Gpr::Rdx, 0x0100);
    pc.set(Gpr::Rcx, 0x0001);
    pc.set(Gpr::Rbx, 0x4000);
    assert!(!pc.int(Service::Disk, 0x0201));
    assert_eq!(pc.load::<u32>(0x4000), 18);
    assert!(pc.int(Service::Disk, 0x0301));
    assert_eq!((pc.ah(), pc.load::<u8>(0x441)), (3, 3));
    pc.set(Gpr::Rdx, 0);
    assert!(!pc.int(Service::Disk, 0x0800));
    assert_eq!(
        (pc.get(Gpr::Rcx), pc.get(Gpr::Rdx)),
        (79 << 8 | 18, 1 << 8 | 1)
    );
    assert_eq!(pc.get(Gpr::Rbx), 4);
}

#[test]
fn a_missing_page_faults_in_the_guest_and_changes_nothing() {
    let mut pc = with_disk();
    // 32-bit paging with the first 4 MiB as one page, and the page at 8 MiB missing.
    pc.board.memory.store(Gpa(0x8000), &0x87_u32).unwrap();
    pc.cpu.cr3 = 0x8000;
    pc.cpu.cr4 = 0x10;
    pc.cpu.cr0 = 0x8000_0011;
    pc.board
        .memory
        .store(Gpa(0x600), &[24_u16, 1, 0xffff, 0xffff])
        .unwrap();
    pc.board.memory.store(Gpa(0x608), &1_u64).unwrap();
    pc.board.memory.store(Gpa(0x610), &0x80_0000_u64).unwrap();
    pc.set(Gpr::Rsi, 0x600);
    pc.set(Gpr::Rdx, 0x80);
    pc.set(Gpr::Rax, 0x4200);
    pc.set(Gpr::Rsp, STACK);
    let before = pc.cpu.clone();
    let stub = rom::stub(Service::Disk);
    let fault = pc.trap(stub).unwrap_err();
    assert_eq!((fault.vector, fault.cr2), (14, Some(0x80_0000)));
    assert_eq!(pc.cpu.rip, u64::from(stub), "at the trap again");
    assert_eq!(pc.cpu.gprs, before.gprs);
    // The guest maps it, and the call goes through.
    pc.board.memory.store(Gpa(0x8008), &0x40_0087_u32).unwrap();
    assert_eq!(pc.trap(stub), Ok(()));
    assert_eq!(pc.load::<u32>(0x40_0000), 1);
}

#[test]
fn formatting_a_track_fills_it_and_no_other() {
    let floppy = (
        drive(DriveKind::Floppy),
        std::vec![7; 1440 * 1024],
        Protection::Writable,
    );
    let mut pc = Pc::with(std::vec![floppy]);
    pc.set(Gpr::Rdx, 0x0100);
    pc.set(Gpr::Rcx, 0x0201);
    assert!(!pc.int(Service::Disk, 0x0512));
    let track = (2 * 2 + 1) * 18 * 512..(2 * 2 + 2) * 18 * 512;
    for (at, &byte) in pc.board.media[0].1.iter().enumerate() {
        assert_eq!(byte, if track.contains(&at) { 0xf6 } else { 7 }, "{at}");
    }
    pc.set(Gpr::Rcx, 0x5001);
    assert!(pc.int(Service::Disk, 0x0512), "cylinder 80");
    assert_eq!(pc.ah(), 4);
}

#[test]
fn a_memory_managers_guest_is_served_through_its_page_tables() {
    const USER_WRITABLE: u32 = 7;
    let mut pc = with_disk();
    // Virtual-8086 mode under 32-bit paging: the first MiB maps to itself, but 64 KiB of it to 3 MiB, and a page to nothing.
    let table = |page: u32| match page {
        0x20..=0x2f => (page - 0x20 + 0x300) << 12 | USER_WRITABLE,
        0x31 => 0,
        _ => page << 12 | USER_WRITABLE,
    };
    for page in 0..1024 {
        let at = Gpa(0x9000 + 4 * u64::from(page));
        pc.board.memory.store(at, &table(page)).unwrap();
    }
    pc.board
        .memory
        .store(Gpa(0x8000), &(0x9000 | USER_WRITABLE))
        .unwrap();
    pc.cpu.cr3 = 0x8000;
    pc.cpu.cr0 = 0x8000_0011;
    pc.cpu.rflags |= Rflags::VM.bits();
    pc.set_segment(SegmentName::Es, 0x2000);
    pc.set(Gpr::Rbx, 0);
    pc.set(Gpr::Rcx, 2);
    pc.set(Gpr::Rdx, 0x80);
    assert!(!pc.int(Service::Disk, 0x0201));
    assert_eq!(pc.load::<u32>(0x30_0000), 1, "where the page table says");
    assert_eq!(pc.load::<u32>(0x2_0000), 0);
    pc.set_segment(SegmentName::Es, 0x3100);
    pc.set(Gpr::Rax, 0x0201);
    let fault = pc.trap(rom::stub(Service::Disk)).unwrap_err();
    assert_eq!((fault.vector, fault.cr2), (14, Some(0x3_1000)));
}

#[test]
fn another_diskette_is_noticed_once() {
    let floppy = drive(DriveKind::Floppy);
    let mut pc = Pc::with(std::vec![(floppy, numbered(2880), Protection::Writable)]);
    pc.set(Gpr::Rdx, 0);
    pc.set(Gpr::Rcx, 1);
    assert!(!pc.int(Service::Disk, 0x1600));
    for function in [0x1600, 0x0201, 0x0501] {
        pc.board.changed.push(floppy);
        assert!(pc.int(Service::Disk, function), "{function:04x}");
        assert_eq!((pc.ah(), pc.load::<u8>(0x441)), (6, 6));
        assert!(!pc.int(Service::Disk, function), "{function:04x}");
    }
}

#[test]
fn parameter_tables_of_disks_are_where_their_vectors_point() {
    let index = |index| Drive {
        kind: DriveKind::Disk,
        index,
    };
    let pc = Pc::with(std::vec![
        (index(0), numbered(20480), Protection::Writable),
        (index(1), numbered(1_100_000), Protection::Writable),
    ]);
    let table = |vector: u64| -> [u8; 16] {
        let [offset, segment]: [u16; 2] = pc.load(vector * 4);
        pc.load(u64::from(segment) * 16 + u64::from(offset))
    };
    // 20 cylinders of 16 heads and 63 sectors.
    let small = table(0x41);
    assert_eq!(small[..3], [20, 0, 16]);
    assert_eq!(small[8], 0xc8);
    assert_eq!((small[12], small[14]), (20, 63));
    // 545 cylinders of 32 heads stand for 1091 of 16.
    let translated = table(0x46);
    assert_eq!(translated[..4], [0x21, 2, 32, 0xa0]);
    assert_eq!(translated[9..12], [0x43, 4, 16]);
    assert_eq!(translated[14], 63);
    assert_eq!(
        translated
            .iter()
            .fold(0_u8, |sum, byte| sum.wrapping_add(*byte)),
        0
    );
    // A machine without a second disk has no table for it.
    let pc = with_disk();
    assert_eq!(pc.load::<[u16; 2]>(0x46 * 4), [0, 0]);
}
