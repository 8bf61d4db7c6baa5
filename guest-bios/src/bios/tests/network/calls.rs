//! The calls that a program finds.

use super::*;

/// Parameters of TFTP_OPEN and of TFTP_GET_FSIZE.
fn open(name: &[u8]) -> [u8; 142] {
    let mut parameters = [0; 142];
    parameters[2..6].copy_from_slice(&SERVER);
    parameters[10..10 + name.len()].copy_from_slice(name);
    parameters[138..].copy_from_slice(&[0, 69, 0, 4]);
    parameters
}

#[test]
fn files_are_read_by_blocks_whole_and_measured() {
    for model in [Model::Rtl8139, Model::Virtio] {
        let mut lan = Lan::booted(model);
        assert_eq!(lan.call(0x25, &open(b"boot.0")), 0);
        assert_eq!(lan.pc.load::<u32>(0x6000 + 138), 3000);
        assert_eq!(lan.call(0x20, &open(b"nothing")), 0x3b);
        assert_eq!(lan.call(0x22, &[0; 10]), 0x1a, "nothing is open");
        assert_eq!(lan.call(0x20, &open(b"boot.0")), 0);
        assert_eq!(lan.pc.load::<u16>(0x6000 + 140), 1024);
        assert_eq!(lan.call(0x20, &open(b"boot.0")), 0x1b, "one is open");
        let mut file = Vec::new();
        for number in 1..=3_u16 {
            assert_eq!(lan.call(0x22, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0x30]), 0);
            let [block, bytes]: [u16; 2] = lan.pc.load(0x6002);
            assert_eq!(block, number);
            let mut data = std::vec![0; bytes.into()];
            lan.pc.board.memory.read(Gpa(0x3_0000), &mut data).unwrap();
            file.extend(data);
        }
        assert_eq!(file, program());
        assert_ne!(lan.call(0x22, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0x30]), 0);
        assert_eq!(lan.call(0x21, &[0; 2]), 0);
        let mut whole = [0; 160];
        whole[2..8].copy_from_slice(b"boot.0");
        whole[130..138].copy_from_slice(&[0, 0, 1, 0, 0, 0, 0x40, 0]);
        whole[138..142].copy_from_slice(&SERVER);
        assert_eq!(lan.call(0x23, &whole), 0);
        assert_eq!(lan.pc.load::<u32>(0x6000 + 130), 3000);
        let mut file = std::vec![0; 3000];
        lan.pc.board.memory.read(Gpa(0x40_0000), &mut file).unwrap();
        assert_eq!(file, program());
        whole[130..134].copy_from_slice(&2000_u32.to_le_bytes());
        assert_eq!(lan.call(0x23, &whole), 6, "there is no room");
    }
}

#[test]
fn datagrams_go_and_come() {
    let mut lan = Lan::booted(Model::Rtl8139);
    let mut write = [0; 20];
    write[2..6].copy_from_slice(&SERVER);
    write[10..].copy_from_slice(&[0x12, 0x34, 0x43, 0x21, 5, 0, 0, 0, 0, 0x20]);
    lan.pc.board.memory.write(Gpa(0x2_0000), b"hello").unwrap();
    assert_eq!(lan.call(0x33, &write), 0x18, "it is closed");
    assert_eq!(lan.call(0x30, &[0; 6]), 0);
    assert_eq!(lan.call(0x30, &[0; 6]), 0x19);
    assert_eq!(lan.call(0x33, &write), 0);
    let wire = lan.wire.clone();
    assert_eq!(
        wire.lock().unwrap().server.other,
        [(0x4321, b"hello".to_vec())]
    );
    let mut read = [0; 20];
    read[12..].copy_from_slice(&[0x12, 0x34, 100, 0, 0, 0, 0, 0x30]);
    assert_eq!(lan.call(0x32, &read), 1, "nothing came");
    {
        let mut wire = wire.lock().unwrap();
        wire.answer(udp(1, 2, STATION, b"for somebody else"));
        wire.answer(udp(0x4321, 0x1234, STATION, b"world"));
    }
    lan.pc.board.poll_card();
    assert_eq!(lan.call(0x32, &read), 0);
    assert_eq!(lan.pc.load::<[u8; 5]>(0x3_0000), *b"world");
    assert_eq!(lan.pc.load::<[u8; 4]>(0x6002), SERVER);
    assert_eq!(lan.pc.load::<[u8; 4]>(0x600a), [0x43, 0x21, 0x12, 0x34]);
    assert_eq!(lan.pc.load::<u16>(0x600e), 5);
    write[14..16].copy_from_slice(&2000_u16.to_le_bytes());
    assert_eq!(lan.call(0x33, &write), 6, "it is too long");
    assert_eq!(lan.call(0x31, &[0; 2]), 0);
}

#[test]
fn frames_go_and_come_with_interrupts() {
    for model in [Model::Rtl8139, Model::Virtio] {
        let mut lan = Lan::booted(model);
        assert_eq!(lan.call(0x70, &[0; 12]), 0);
        assert_eq!(lan.call(0x30, &[0; 6]), 3, "the base code is unloaded");
        assert_eq!(lan.call(0x0c, &[0; 64]), 0);
        assert_eq!(lan.pc.load::<[u8; 6]>(0x600c), MAC);
        assert_eq!(lan.call(0x12, &[0; 32]), 0);
        assert_eq!(lan.pc.load::<u8>(0x6002), 2);
        assert_eq!(lan.pc.load::<[u8; 2]>(0x600b), [0x18, 0]);
        assert_eq!(lan.call(0x06, &[0, 0, 0, 0, 3, 0, 0, 0]), 0);
        let pin = |lan: &Lan| lan.pc.board.card.as_ref().unwrap().interrupt_line();
        let isr = |function: u8| [0, 0, function, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(!pin(&lan));
        assert_eq!(lan.call(0x14, &isr(1)), 0);
        assert_eq!(lan.pc.load::<u16>(0x6002), 1, "not its interrupt");
        let memory = &lan.pc.board.memory;
        // An IP packet to the server, in two pieces.
        memory.write(Gpa(0x2_0000), &SERVER_MAC).unwrap();
        let datagram = udp(7, 9, SERVER, b"hello");
        memory.write(Gpa(0x2_0100), &datagram[14..]).unwrap();
        let mut descriptor = [0; 16];
        descriptor[..8].copy_from_slice(&[20, 0, 0, 1, 0, 0x20, 1, 0]);
        descriptor[10..].copy_from_slice(&[13, 0, 0x14, 1, 0, 0x20]);
        memory.write(Gpa(0x2_0200), &descriptor).unwrap();
        let transmit = [0, 0, 1, 0, 0, 0, 0, 0x20, 0, 2, 0, 0x20];
        assert_eq!(lan.call(0x08, &transmit), 0);
        let other = lan.wire.lock().unwrap().server.other.clone();
        assert_eq!(other, [(9, b"hello".to_vec())]);
        lan.wire
            .lock()
            .unwrap()
            .answer(udp(9, 7, STATION, b"world"));
        lan.pc.board.poll_card();
        assert!(pin(&lan));
        assert_eq!(lan.call(0x14, &isr(1)), 0);
        assert_eq!((lan.pc.load::<u16>(0x6002), pin(&lan)), (0, false));
        assert_eq!(lan.call(0x14, &isr(2)), 0);
        assert_eq!(lan.pc.load::<u16>(0x6002), 2, "sent");
        assert_eq!(lan.call(0x14, &isr(3)), 0);
        assert_eq!(lan.pc.load::<u16>(0x6002), 3, "received");
        let [bytes, whole, header, offset, segment]: [u16; 5] = lan.pc.load(0x6004);
        assert_eq!((bytes, header), (whole, 14));
        let at = u64::from(segment) * 16 + u64::from(offset);
        assert_eq!(lan.pc.load::<[u8; 5]>(at + 42), *b"world");
        assert_eq!(
            lan.pc.load::<[u8; 2]>(0x600e),
            [1, 0],
            "IP, to this station"
        );
        assert_eq!(lan.call(0x14, &isr(3)), 0);
        assert_eq!(lan.pc.load::<u16>(0x6002), 0, "done");
        lan.wire
            .lock()
            .unwrap()
            .answer(udp(9, 7, STATION, b"again"));
        lan.pc.board.poll_card();
        assert!(pin(&lan), "the interrupt is open again");
        assert_eq!(lan.call(0x0d, &[0; 18]), 0);
        assert!(lan.pc.load::<[u32; 2]>(0x6002)[0] > 0);
        assert_eq!(lan.call(0x07, &[0; 2]), 0);
        assert_eq!(lan.call(0x15, &[0; 2]), 0);
        // The memory is the program's to give back: it sees by this what the calls were taken of.
        assert_eq!(lan.pc.load::<u16>(0x413), 631);
        assert_eq!(lan.call(0x14, &isr(1)), 0x64, "nothing is loaded any more");
    }
}

#[test]
fn the_interrupt_names_the_calls_while_they_are_there() {
    let mut lan = Lan::booted(Model::Rtl8139);
    assert!(!lan.pc.int(Service::Time, 0x5650));
    assert_eq!(lan.pc.get(Gpr::Rax), 0x564e);
    assert_eq!(lan.pc.get(Gpr::Rbx), 0x60);
    let mut pc = Pc::on();
    assert!(pc.int(Service::Time, 0x5650));
}

#[test]
fn protected_mode_callers_name_selectors() {
    let mut lan = Lan::booted(Model::Virtio);
    let pc = &mut lan.pc;
    // A table at 5000h whose second descriptor is a segment at 12_3400h.
    let descriptors = [0, 0x0000_9312_3400_ffff_u64];
    pc.board.memory.store(Gpa(0x5000), &descriptors).unwrap();
    pc.cpu.gdtr.base = 0x5000;
    pc.cpu.gdtr.limit = 15;
    pc.cpu.cr0 |= 1;
    let frame = [0x95_u16, 8, 0x0002, 0, 8, 0x0c, 0x10, 8];
    for (selector, exit) in [(8, 0), (0x10, 1), (0, 1)] {
        let frame = [&frame[..7], &[selector]].concat();
        let bytes: Vec<u8> = frame.iter().flat_map(|word| word.to_le_bytes()).collect();
        pc.set_segment(SegmentName::Ss, 0);
        pc.cpu.set_gpr(Gpr::Rsp, STACK.into());
        pc.board.memory.write(Gpa(STACK.into()), &bytes).unwrap();
        pc.trap(rom::stub(Service::Pxe)).unwrap();
        assert_eq!(pc.get(Gpr::Rax), exit, "{selector:x}");
    }
    assert_eq!(pc.load::<[u8; 6]>(0x12_341c), MAC);
}

mod any {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Whatever a program asks, with whatever in memory and in the card's rings, and whatever the network sends: each call ends or
        /// waits, and nothing panics.
        #[test]
        fn any_calls_and_any_frames_end(
            virtio: bool,
            calls in proptest::collection::vec((0..0x80_u16, proptest::collection::vec(any::<u8>(), 160)), 1..12),
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8),
            spoilt in proptest::option::of(any::<u8>()),
        ) {
            let mut lan = Lan::booted(if virtio { Model::Virtio } else { Model::Rtl8139 });
            for frame in frames {
                lan.wire.lock().unwrap().answer(udp(5000, 2071, STATION, &frame));
                lan.wire.lock().unwrap().answer(frame);
            }
            if let Some(byte) = spoilt {
                let rings = crate::bios::layout::Layout::of(&lan.pc.board.memory).unwrap().network;
                lan.pc.board.memory.fill(rings, 0x1_0000, byte).unwrap();
            }
            for (operation, mut parameters) in calls {
                lan.pc.board.memory.write(Gpa(0x6000), &parameters).unwrap();
                // Files go somewhere harmless to the test.
                parameters[134..138].copy_from_slice(&0x40_0000_u32.to_le_bytes());
                for pointer in [6, 8, 16] {
                    parameters[pointer + 3] &= 0x3f;
                    parameters[pointer + 3] |= 0x20;
                }
                lan.call(operation, &parameters);
                lan.pc.board.poll_card();
            }
        }
    }
}
