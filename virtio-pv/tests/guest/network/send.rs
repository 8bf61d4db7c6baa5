//! Frames that the driver sends: how they go out, when it has its buffers back, and when it hears of that.

use super::*;

#[test]
fn frames_go_out_as_they_are() {
    let mut guest = Guest::new(0);
    let sent = frame([0xff; 6], 60);
    guest.send(&[0; 12], &sent);
    assert_eq!(guest.cable.frames(), [sent]);
    assert_eq!(guest.rings[TX].pop(&guest.machine.memory), Some((0, 0)));
}

#[test]
fn a_long_frame_is_lent_and_the_driver_has_it_back_when_it_is_sent() {
    let mut guest = Guest::new(0);
    guest.cable.wire().borrows = true;
    let short = frame([0xff; 6], 512);
    guest.send(&[0; 12], &short);
    assert!(guest.rings[TX].pop(&guest.machine.memory).is_some());
    assert_eq!(guest.cable.frames(), [short]);
    let long = frame([0xff; 6], 1500);
    guest.send(&[0; 12], &long);
    assert_eq!(guest.rings[TX].pop(&guest.machine.memory), None);
    let packet = guest.cable.wire().from_card.pop().unwrap();
    assert_eq!((packet.len(), packet.whole_len()), (128, 1500));
    let pieces: Vec<_> = packet.pieces(1000).map(|(_, bytes)| bytes).collect();
    assert_eq!(pieces, [128, 1000, 372]);
    let memory = &guest.machine.memory;
    let whole = packet.take_in(pool().packet().unwrap(), |gpa, into| {
        memory.read(gpa, into).is_ok()
    });
    assert_eq!(whole.unwrap().frame(), long);
    guest.machine.poll();
    assert_eq!(guest.rings[TX].pop(&guest.machine.memory), Some((2, 0)));
}

#[test]
fn a_reset_ends_when_what_was_lent_is_back() {
    let mut guest = Guest::new(0);
    guest.cable.wire().borrows = true;
    guest.send(&[0; 12], &frame([0xff; 6], 1500));
    guest
        .driver
        .write(&mut guest.machine, Modern::COMMON, 0x14, Width::Byte, 0);
    let status = |guest: &mut Guest| {
        guest
            .driver
            .read(&mut guest.machine, Modern::COMMON, 0x14, Width::Byte)
    };
    guest.machine.poll();
    assert_ne!(status(&mut guest), 0);
    guest.cable.wire().from_card.clear();
    guest.machine.poll();
    assert_eq!(status(&mut guest), 0);
}

#[test]
fn a_driver_hears_of_sent_frames_a_little_later() {
    let mut guest = Guest::new(0);
    let isr = |guest: &mut Guest| {
        let driver = &guest.driver;
        driver.read(&mut guest.machine, Modern::ISR, 0, Width::Byte)
    };
    assert_eq!(guest.machine.function.deadline(), None);
    guest.send(&[0; 12], &frame([0xff; 6], 60));
    let due = guest.machine.function.deadline().unwrap();
    assert!((65_000..200_000).contains(&due.ns));
    guest.machine.poll();
    assert_eq!(isr(&mut guest), 0);
    guest.machine.now = Instant::from_ns(due.ns - 1);
    // One more does not put it off.
    guest.send(&[0; 12], &frame([0xff; 6], 60));
    assert_eq!(isr(&mut guest), 0);
    guest.machine.now = due;
    guest.machine.poll();
    assert_eq!(isr(&mut guest), 1);
    assert_eq!(guest.machine.function.deadline(), None);
}

#[test]
fn a_notice_waits_for_others_but_not_for_ever() {
    let mut guest = Guest::new(0);
    guest.offer(RX, 64, 2048);
    guest.send(&[0; 12], &frame([0xff; 6], 60));
    assert!(guest.machine.function.deadline().is_some());
    let told = (1..64).find(|step| {
        guest.machine.now = Instant::from_ns(step * 50_000);
        guest.arrive(&frame(MAC, 60));
        guest.machine.function.deadline().is_none()
    });
    // Frames come more often than a notice is held; a millisecond and a tick.
    assert!((20..=24).contains(&told.unwrap()), "{told:?}");
}

/// Makes a long frame available, and kicks if that is asked for: whether it was.
fn send_long(guest: &mut Guest) -> bool {
    let memory = &guest.machine.memory;
    let mut header = [0; 12];
    header[1] = 1;
    header[2..4].copy_from_slice(&54_u16.to_le_bytes());
    header[4..6].copy_from_slice(&1460_u16.to_le_bytes());
    memory.write(Gpa(DATA), &header).unwrap();
    let buffers = [Buffer::In(DATA, 12), Buffer::In(DATA + 0x100, 20_000)];
    guest.rings[TX].add(memory, &buffers);
    let kicks = guest.rings[TX].wants_kick(memory);
    if kicks {
        guest.driver.kick(&mut guest.machine, &guest.rings[TX]);
    }
    kicks
}

#[test]
fn while_long_frames_are_sent_every_second_is_kicked_for() {
    let mut guest = Guest::new(EVENT_INDEX | CHECKSUM | HOST_TSO4);
    let taken = |guest: &mut Guest| {
        std::iter::from_fn(|| guest.rings[TX].pop(&guest.machine.memory)).count()
    };
    // The second batch is the first of which it is known that long frames come.
    let kicks = [(); 6].map(|()| send_long(&mut guest));
    assert_eq!(kicks, [true, true, false, true, false, true]);
    assert_eq!(taken(&mut guest), 6);
    // One that no other follows is found in time, or as soon as the driver rests.
    assert!(!send_long(&mut guest));
    guest.machine.poll();
    assert_eq!(taken(&mut guest), 0, "not before");
    // Notices have their time before.
    let found = (0..2).position(|_| {
        guest.machine.now = guest.machine.function.deadline().unwrap();
        guest.machine.poll();
        taken(&mut guest) == 1
    });
    assert_eq!(found, Some(1));
    assert!(guest.machine.now < Instant::from_ns(300_000));
    assert!(!send_long(&mut guest));
    guest.machine.idle();
    assert_eq!(taken(&mut guest), 1);
    // When nothing comes, each is kicked for again.
    guest.machine.idle();
    assert!(send_long(&mut guest));
    assert_eq!(taken(&mut guest), 1);
}

#[test]
fn a_legacy_driver_has_a_shorter_header_and_sets_its_address() {
    let cable = cable();
    let mut machine = Machine::new(card(&cable), TransportMode::Transitional);
    let mut rings = Legacy::start(&mut machine, 1 << 5, 2);
    let address: Vec<u8> = (0..6)
        .map(|at| machine.read(0, 20 + at, Width::Byte) as u8)
        .collect();
    assert_eq!(address, MAC);
    machine.write(0, 25, Width::Byte, 9);
    assert_eq!(machine.read(0, 25, Width::Byte), 9);
    let sent = frame([0xff; 6], 60);
    machine.memory.write(Gpa(DATA + 10), &sent).unwrap();
    rings[TX].add(&machine.memory, &[Buffer::In(DATA, 70)]);
    Legacy::kick(&mut machine, &rings[TX]);
    assert_eq!(cable.frames(), std::slice::from_ref(&sent));
    rings[RX].add(&machine.memory, &[Buffer::Out(DATA + 0x1000, 2000)]);
    cable.put(&sent);
    machine.poll();
    assert_eq!(rings[RX].pop(&machine.memory), Some((0, 70)));
}

#[test]
fn what_the_cable_has_no_room_for_waits() {
    let mut guest = Guest::new(EVENT_INDEX);
    guest.cable.wire().room = 1;
    for size in [60, 61, 62] {
        guest.send(&[0; 12], &frame([0xff; 6], size));
    }
    // The second is copied and held, the third still in its buffers.
    assert_eq!(guest.cable.frames().len(), 1);
    let back = std::iter::from_fn(|| guest.rings[TX].pop(&guest.machine.memory)).count();
    assert_eq!(back, 2);
    guest.cable.wire().room = 9;
    guest.machine.poll();
    let lengths: Vec<_> = guest.cable.frames().iter().map(Vec::len).collect();
    assert_eq!(lengths, [61, 62]);
}

#[test]
fn a_cut_cable_takes_everything_and_the_driver_hears_of_it() {
    let mut guest = Guest::new(STATUS);
    let status = |guest: &mut Guest| {
        guest
            .driver
            .read(&mut guest.machine, Modern::DEVICE, 6, Width::Word)
    };
    assert_eq!(status(&mut guest), 1);
    guest.cable.wire().link = Link::Down;
    guest.send(&[0; 12], &frame([0xff; 6], 60));
    assert!(guest.cable.frames().is_empty());
    assert!(guest.rings[TX].pop(&guest.machine.memory).is_some());
    guest.machine.poll();
    assert_eq!(status(&mut guest), 0);
    let isr = guest
        .driver
        .read(&mut guest.machine, Modern::ISR, 0, Width::Byte);
    assert_eq!(isr, 2, "the configuration");
    guest.machine.poll();
    let isr = guest
        .driver
        .read(&mut guest.machine, Modern::ISR, 0, Width::Byte);
    assert_eq!(isr, 0, "told once");
}

#[test]
fn offloads_travel_with_a_frame_that_is_sent() {
    let mut guest = Guest::new(CHECKSUM | HOST_TSO4);
    let mut long = frame([0xff; 6], 4000);
    long[34 + 12] = 5 << 4;
    // Checksum at 34 + 16, TCP over IPv4 in pieces of 1448 bytes.
    let header = [1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0];
    guest.send(&header, &long);
    let offload = guest.cable.wire().from_card[0].offload();
    let checksum = Checksum::Partial(PartialChecksum {
        start: 34,
        offset: 16,
    });
    let segmentation = Segmentation {
        cut: Cut::Tcp4,
        segment_bytes: 1448,
        header_bytes: 54,
    };
    assert_eq!(
        offload,
        Offload {
            checksum,
            segmentation: Some(segmentation)
        }
    );
    // Without being asked to be cut, it is longer than the wire takes.
    guest.cable.frames();
    guest.send(&[0; 12], &long);
    assert!(guest.cable.frames().is_empty());
}

#[test]
fn malformed_frames_and_buffers_stop_the_card_alone() {
    for (queue, buffer) in [
        (TX, Buffer::In(DATA, 11)),
        (RX, Buffer::Out(DATA, 11)),
        (RX, Buffer::Out(0xf000_0000, 2000)),
        (TX, Buffer::In(0xf000_0000, 100)),
    ] {
        let mut guest = Guest::new(0);
        guest.rings[queue].add(&guest.machine.memory, &[buffer]);
        guest.driver.kick(&mut guest.machine, &guest.rings[queue]);
        guest.arrive(&frame(MAC, 60));
        assert!(guest.machine.function.fault().is_some());
    }
    let mut guest = Guest::new(0);
    guest.rings[TX].add(&guest.machine.memory, &[Buffer::In(DATA, 12 + 13)]);
    guest.rings[TX].add(
        &guest.machine.memory,
        &[Buffer::In(DATA, LONGEST_BYTES as u32 + 13)],
    );
    guest.driver.kick(&mut guest.machine, &guest.rings[TX]);
    let back = std::iter::from_fn(|| guest.rings[TX].pop(&guest.machine.memory)).count();
    assert_eq!((back, guest.cable.frames().len()), (2, 0));
    assert_eq!(guest.machine.function.fault(), None);
}
