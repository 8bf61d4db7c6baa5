use super::*;

#[test]
fn equipment_and_memory_are_as_post_found_them() {
    let mut pc = Pc::on();
    pc.call(Service::Equipment);
    assert_eq!(pc.get(Gpr::Rax) & 0x22, 0x22, "co-processor, 80 columns");
    pc.call(Service::MemorySize);
    assert_eq!(pc.get(Gpr::Rax), 639);
    assert_eq!(pc.load::<u16>(0x40e), 0x9fc0);
    assert_eq!(pc.load::<u8>(0x9_fc00), 1);
}

#[test]
fn the_memory_map_comes_range_by_range() {
    let mut pc = Pc::on();
    let mut ranges = Vec::new();
    pc.cpu.gprs[Gpr::Rbx as usize] = 0;
    loop {
        pc.cpu.gprs[Gpr::Rax as usize] = 0xe820;
        pc.cpu.gprs[Gpr::Rcx as usize] = 24;
        pc.cpu.gprs[Gpr::Rdx as usize] = 0x534d_4150;
        pc.set(Gpr::Rdi, 0x500);
        assert!(!pc.call(Service::System).contains(Rflags::CF));
        assert_eq!(pc.cpu.gprs[Gpr::Rax as usize], 0x534d_4150);
        assert_eq!(pc.cpu.gprs[Gpr::Rcx as usize], 20);
        ranges.push((
            pc.load::<u64>(0x500),
            pc.load::<u64>(0x508),
            pc.load::<u32>(0x510),
        ));
        if pc.cpu.gprs[Gpr::Rbx as usize] == 0 {
            break;
        }
    }
    assert_eq!(ranges[0], (0, 0x9_fc00, 1));
    assert!(ranges.contains(&(0x10_0000, 0xee_0000, 1)));
    assert!(ranges.iter().any(|range| range.2 == 3), "ACPI tables");
    pc.cpu.gprs[Gpr::Rbx as usize] = 99;
    pc.cpu.gprs[Gpr::Rax as usize] = 0xe820;
    pc.cpu.gprs[Gpr::Rdx as usize] = 0x534d_4150;
    assert!(pc.call(Service::System).contains(Rflags::CF));
    assert_eq!(pc.ah(), 0x86);
}

#[test]
fn older_sizes_agree_with_the_map() {
    let mut pc = Pc::on();
    assert!(!pc.int(Service::System, 0x8800));
    let kib = pc.get(Gpr::Rax);
    assert_eq!(kib, 15 * 1024 - 128);
    assert!(!pc.int(Service::System, 0xe801));
    assert_eq!((pc.get(Gpr::Rax), pc.get(Gpr::Rbx)), (kib, 0));
    assert_eq!((pc.get(Gpr::Rcx), pc.get(Gpr::Rdx)), (kib, 0));
}

#[test]
fn the_configuration_table_is_where_ibm_has_it() {
    let mut pc = Pc::on();
    assert!(!pc.int(Service::System, 0xc000));
    let segment = pc.cpu.segment(SegmentName::Es);
    assert_eq!(
        (segment.selector, segment.base, pc.get(Gpr::Rbx)),
        (0xf000, 0xf_0000, 0xe6f5)
    );
    assert_eq!(pc.load::<[u8; 3]>(0xf_e6f5), [8, 0, 0xfc]);
}

#[test]
fn a_block_moves_above_1_mib_and_back() {
    let mut pc = Pc::on();
    pc.board.memory.write(Gpa(0x1000), b"block move").unwrap();
    let descriptor = |base: u32| {
        let [low, middle, high, highest] = base.to_le_bytes();
        [0xff, 0xff, low, middle, high, 0x93, 0, highest]
    };
    pc.board
        .memory
        .store(Gpa(0x2010), &descriptor(0x1000))
        .unwrap();
    pc.board
        .memory
        .store(Gpa(0x2018), &descriptor(0x20_0001))
        .unwrap();
    pc.set(Gpr::Rsi, 0x2000);
    pc.set(Gpr::Rcx, 5);
    assert!(!pc.int(Service::System, 0x8700));
    assert_eq!(&pc.load::<[u8; 11]>(0x20_0001)[..], b"block move\0");
    pc.set(Gpr::Rcx, 0x8001);
    assert!(pc.int(Service::System, 0x8700));
    assert_eq!(pc.ah(), 2);
}

#[test]
fn a_call_that_is_missing_fails_and_is_logged_once() {
    let mut pc = Pc::on();
    let before = pc.board.lines.len();
    for _ in 0..3 {
        assert!(pc.int(Service::System, 0x7700));
        assert_eq!(pc.ah(), 0x86);
    }
    let lines = &pc.board.lines[before..];
    assert_eq!(lines, ["BIOS: INT 15h with AX = 7700h is not offered"]);
    assert!(pc.int(Service::System, 0xd800), "no EISA");
    assert_eq!(pc.board.lines.len(), before + 1);
}

#[test]
fn a_wait_halts_until_its_time_is_over() {
    let mut pc = Pc::on();
    pc.set(Gpr::Rcx, 0);
    pc.set(Gpr::Rdx, 5000);
    pc.int(Service::System, 0x8600);
    let stub = u64::from(rom::stub(Service::System));
    assert_eq!(pc.cpu.rip, stub + 7, "STI, HLT");
    assert_ne!(pc.board.cmos[0x0b] & 0x40, 0, "periodic interrupt");
    pc.board.now = Instant::from_ns(2_000_000);
    pc.trap(stub as u16 + 9).unwrap();
    assert_eq!(pc.cpu.rip, stub + 7);
    pc.board.now = Instant::from_ns(4_500_000);
    pc.trap(stub as u16 + 9).unwrap();
    assert_eq!(pc.cpu.rip, stub + 9, "too short to halt");
    pc.board.now = Instant::from_ns(5_000_000);
    pc.trap(stub as u16 + 9).unwrap();
    assert_eq!(pc.cpu.rip, stub + 11, "over: IRET follows the jump");
    assert_eq!(pc.board.cmos[0x0b] & 0x40, 0);
}

#[test]
fn the_tick_counts_and_passes_midnight() {
    let mut pc = Pc::on();
    pc.board.memory.store(Gpa(0x46c), &0x1800ae_u32).unwrap();
    for expected in [0x1800af_u32, 0] {
        pc.trap(rom::clock::TICK).unwrap();
        assert_eq!(pc.load::<u32>(0x46c), expected);
    }
    pc.int(Service::Time, 0);
    assert_eq!(pc.get(Gpr::Rax) & 0xff, 1, "a midnight passed");
    pc.int(Service::Time, 0);
    assert_eq!(pc.get(Gpr::Rax) & 0xff, 0);
    pc.trap(rom::clock::TICK + 8).unwrap();
    assert_eq!(pc.board.written.last(), Some(&(0x20, 0x20)));
}

#[test]
fn the_clock_tells_time_and_date_in_decimal() {
    let mut pc = Pc::on();
    assert!(!pc.int(Service::Time, 0x0200));
    assert_eq!((pc.get(Gpr::Rcx), pc.get(Gpr::Rdx)), (0x1215, 0x3000));
    assert!(!pc.int(Service::Time, 0x0400));
    assert_eq!((pc.get(Gpr::Rcx), pc.get(Gpr::Rdx)), (0x2026, 0x1122));
    let ticks: u32 = pc.load(0x46c);
    let seconds = 12 * 3600 + 15 * 60 + 30;
    assert_eq!(
        u64::from(ticks),
        seconds * 1_193_182 / 65536,
        "as POST computed it"
    );
}

#[test]
fn the_pci_bios_answers_that_it_is_there() {
    let mut pc = Pc::on();
    assert!(!pc.int(Service::Time, 0xb101));
    assert_eq!(
        pc.cpu.gprs[Gpr::Rdx as usize] as u32,
        u32::from_le_bytes(*b"PCI ")
    );
    assert_eq!((pc.ah(), pc.get(Gpr::Rbx)), (0, 0x0210));
    pc.set(Gpr::Rdi, 3);
    assert!(pc.int(Service::Time, 0xb109), "a word at an odd register");
    assert_eq!(pc.ah(), 0x87);
}

#[test]
fn apm_turns_the_machine_off_and_idles_in_a_halt() {
    let mut pc = Pc::on();
    pc.set(Gpr::Rbx, 0);
    assert!(!pc.int(Service::System, 0x5300));
    assert_eq!((pc.get(Gpr::Rax), pc.get(Gpr::Rbx)), (0x0102, 0x504d));
    pc.set(Gpr::Rbx, 1);
    pc.set(Gpr::Rcx, 3);
    assert!(pc.int(Service::System, 0x5307));
    assert_eq!(pc.ah(), 3, "not connected");
    pc.set(Gpr::Rbx, 0);
    assert!(!pc.int(Service::System, 0x5301));
    assert!(pc.int(Service::System, 0x5303));
    assert_eq!(pc.ah(), 2, "connected");
    let stub = rom::stub(Service::System);
    pc.int(Service::System, 0x5305);
    assert_eq!(pc.cpu.rip, u64::from(stub) + 7, "STI, HLT");
    pc.trap(stub + 9).unwrap();
    assert_eq!(pc.cpu.rip, u64::from(stub) + 11, "any interrupt ends it");
    pc.set(Gpr::Rbx, 1);
    pc.set(Gpr::Rcx, 2);
    assert!(pc.int(Service::System, 0x5307));
    assert_eq!(pc.ah(), 0x60, "no suspend");
    pc.board.written.clear();
    pc.set(Gpr::Rcx, 3);
    assert!(!pc.int(Service::System, 0x5307));
    assert_eq!(pc.board.written, [(0x604, 0), (0x605, 0x20)]);
}

#[test]
fn protected_mode_is_prepared_and_left_to_the_rom() {
    let mut pc = Pc::on();
    pc.set(Gpr::Rsi, 0x2000);
    pc.set(Gpr::Rbx, 0x2028);
    assert!(!pc.int(Service::System, 0x8900));
    assert_eq!(pc.cpu.rip, rom::protected::OFFSET.into());
    assert_eq!(
        pc.load::<[u8; 8]>(0x2038),
        [0xff, 0xff, 0, 0, 0x0f, 0x9b, 0, 0]
    );
    assert_eq!(pc.board.ports[&0x21], 0xff, "masked");
    assert!(pc.board.written.contains(&(0x21, 0x20)));
    assert!(pc.board.written.contains(&(0xa1, 0x28)));
    assert_eq!(pc.load::<[u8; 2]>(0xf_0000 + pc.cpu.rip), [0x26, 0x0f]);
}
