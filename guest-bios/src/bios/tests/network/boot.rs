//! The way to a program, and what may go wrong on it.

use super::*;

#[test]
fn a_program_comes_by_tftp_and_finds_the_calls() {
    for model in [Model::Rtl8139, Model::Virtio] {
        let lan = Lan::booted(model);
        let pc = &lan.pc;
        let mut loaded = std::vec![0; 3000];
        pc.board.memory.read(Gpa(0x7c00), &mut loaded).unwrap();
        assert_eq!(loaded, program());
        let base = |name| pc.cpu.segment(name).base;
        let pxenv = base(SegmentName::Es) + u64::from(pc.get(Gpr::Rbx));
        assert_eq!(pc.load::<[u8; 6]>(pxenv), *b"PXENV+");
        let top = base(SegmentName::Ss) + u64::from(pc.get(Gpr::Rsp));
        let [back, back_segment, offset, segment]: [u16; 4] = pc.load(top);
        let pxe = u64::from(segment) * 16 + u64::from(offset);
        assert_eq!(pc.load::<[u8; 4]>(pxe), *b"!PXE");
        let back = u64::from(back_segment) * 16 + u64::from(back);
        assert_eq!(pc.load::<[u8; 2]>(back), [0xcd, 0x18], "INT 18h");
        assert_eq!(pc.load::<u16>(0x413), 631);
        let screen = pc.screen();
        assert!(screen.contains("DHCP ... 10.0.0.9"), "{screen}");
        assert!(
            screen.contains("TFTP 10.0.0.1:boot.0  3000 bytes"),
            "{screen}"
        );
    }
}

#[test]
fn losses_and_servers_without_options_only_cost_time() {
    for knows_options in [true, false] {
        let mut lan = Lan::new(Model::Rtl8139, |wire| {
            wire.server.knows_options = knows_options;
            wire.server.loses_every = 3;
            // The last block is empty.
            wire.server.file.resize(3072, 7);
        });
        lan.boot();
        assert_eq!(lan.pc.cpu.rip, 0x7c00, "{}", lan.pc.screen());
        assert_eq!(lan.pc.load::<u8>(0x7c00 + 3071), 7);
    }
}

#[test]
fn what_fails_is_told_and_the_menu_comes() {
    fails(|wire| wire.link = Link::Down, "no cable is plugged in");
    fails(|wire| wire.server.offers = false, "no DHCP server answered");
    fails(|wire| wire.server.file_name = b"", "names no boot file");
    fails(|wire| wire.server.file.clear(), "is empty");
    fails(
        |wire| wire.server.file.resize(700_000, 0),
        "longer than the",
    );
    fails(
        |wire| wire.server.loses_every = 1,
        "no DHCP server answered",
    );
}

#[test]
fn escape_stops_it_and_the_next_device_has_its_turn() {
    let mut lan = Lan::new(Model::Rtl8139, |wire| wire.server.offers = false);
    let stub = rom::stub(Service::Bootstrap);
    lan.pc.trap(stub).unwrap();
    lan.wait(stub, 100);
    lan.pc.board.memory.store(Gpa(0x41e), &0x011b_u16).unwrap();
    lan.pc.board.memory.store(Gpa(0x41c), &0x20_u16).unwrap();
    lan.wait(stub, 1);
    let screen = lan.pc.screen();
    assert!(
        screen.contains("Boot from network: stopped by a key."),
        "{screen}"
    );
    assert!(screen.contains("No device could be started"), "{screen}");
}

#[test]
fn a_boot_goes_on_in_a_restored_machine() {
    let mut lan = Lan::new(Model::Rtl8139, |_| {});
    let stub = rom::stub(Service::Bootstrap);
    lan.pc.trap(stub).unwrap();
    while lan.pc.load::<u8>(0x7c00 + 1500) == 0 {
        lan.wait(stub, 1);
    }
    let saved = lan.pc.bios.save();
    lan.pc.bios.reset();
    lan.pc.bios.restore(&saved).unwrap();
    lan.wait(stub, 60_000);
    assert_eq!(lan.pc.cpu.rip, 0x7c00);
    assert_eq!(lan.pc.load::<u8>(0x7c00 + 2999), program()[2999]);
}
