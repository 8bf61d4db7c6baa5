//! C+ mode: rings of descriptors, and what the card does to their frames.

use super::*;

/// iPXE takes a card for the first if the word at DAh keeps what is written, for the second if the C+ command does.
#[test]
fn a_driver_tells_it_from_a_gigabit_card_and_from_the_older_chip() {
    for (revision, kept) in [(Revision::CPlus, 0x0b), (Revision::C, 0)] {
        let mut machine = Machine::new(revision);
        machine.write(0xda, Width::Word, 1522);
        assert_eq!(machine.read(0xda, Width::Word), 0, "{revision:?}");
        machine.write(0xe0, Width::Word, 0x0b);
        assert_eq!(machine.read(0xe0, Width::Word), kept, "{revision:?}");
    }
}

#[test]
fn descriptors_are_sent_gathered_with_checksums_and_tags() {
    let mut machine = Machine::new(Revision::CPlus);
    machine.start_cplus();
    let sent = tcp(200);
    machine
        .memory
        .write(Gpa(u64::from(BUFFERS)), &sent)
        .unwrap();
    let own = descriptor::OWN;
    let sums = descriptor::IP_CHECKSUM | descriptor::TCP_CHECKSUM;
    machine.describe(
        TRANSMIT_RING,
        0,
        own | descriptor::FIRST | sums | 100,
        descriptor::INSERT_TAG | 0x500,
        BUFFERS,
    );
    machine.describe(
        TRANSMIT_RING,
        1,
        own | descriptor::LAST | sums | 154,
        0,
        BUFFERS + 100,
    );
    machine.describe(
        TRANSMIT_RING,
        2,
        own | descriptor::FIRST | descriptor::LAST | descriptor::END | sums | 254,
        0,
        BUFFERS,
    );
    machine.write(0xd9, Width::Byte, 0x40);
    assert_eq!(
        machine.acknowledge(),
        Interrupt::SENT | Interrupt::TRANSMIT_EMPTY
    );
    let frames = machine.frames();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0][12..18], [0x81, 0, 0, 5, 8, 0]);
    let untagged = [&frames[0][..12], &frames[0][16..]].concat();
    assert_eq!(untagged, frames[1]);
    assert!(sums_up(&frames[1]));
    for index in 0..3 {
        assert_eq!(machine.dword(TRANSMIT_RING + 16 * index) & own, 0);
    }
    assert_eq!(machine.read(0xd9, Width::Byte), 0);
}

#[test]
fn a_large_send_is_cut_also_when_the_cable_stops() {
    let mut machine = Machine::new(Revision::CPlus);
    machine.start_cplus();
    let sent = tcp(5000);
    machine
        .memory
        .write(Gpa(u64::from(BUFFERS)), &sent)
        .unwrap();
    let options = descriptor::OWN | descriptor::FIRST | descriptor::LAST | descriptor::LARGE_SEND;
    machine.describe(TRANSMIT_RING, 0, options | 1460 << 16 | 5054, 0, BUFFERS);
    machine.cable.wire().room = 1;
    machine.write(0xd9, Width::Byte, 0x40);
    assert_eq!(machine.acknowledge(), Interrupt::empty());
    machine.cable.wire().room = 9;
    machine.poll();
    assert_eq!(
        machine.acknowledge(),
        Interrupt::SENT | Interrupt::TRANSMIT_EMPTY
    );
    let frames = machine.frames();
    let lengths: Vec<_> = frames.iter().map(Vec::len).collect();
    assert_eq!(lengths, [1514, 1514, 1514, 674]);
    assert!(frames.iter().all(|frame| sums_up(frame)));
    let payload: Vec<u8> = frames
        .iter()
        .flat_map(|frame| frame[54..].to_vec())
        .collect();
    assert_eq!(payload, sent[54..]);
}

#[test]
fn frames_are_received_into_descriptors() {
    let mut machine = Machine::new(Revision::CPlus);
    machine.start_cplus();
    let own = descriptor::OWN;
    machine.describe(RECEIVE_RING, 0, own | 1536, 0, BUFFERS);
    machine.describe(RECEIVE_RING, 1, own | 100, 0, BUFFERS + 0x1000);
    machine.describe(
        RECEIVE_RING,
        2,
        own | descriptor::END | 100,
        0,
        BUFFERS + 0x2000,
    );
    let mut tagged = frame(MAC, 80);
    tagged[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
    machine.arrive(&tagged);
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVED);
    let both = descriptor::FIRST | descriptor::LAST;
    assert_eq!(machine.dword(RECEIVE_RING), both | descriptor::STATION | 80);
    assert_eq!(
        machine.dword(RECEIVE_RING + 4),
        descriptor::TAG_TAKEN | 0x500
    );
    assert_eq!(machine.bytes(BUFFERS, 12), tagged[..12]);
    assert_eq!(machine.bytes(BUFFERS + 12, 64), tagged[16..]);
    // Two descriptors for one frame, then none.
    let long = frame([0xff; 6], 150);
    machine.arrive(&long);
    machine.arrive(&frame(MAC, 60));
    assert_eq!(
        machine.acknowledge(),
        Interrupt::RECEIVED | Interrupt::RECEIVE_FULL
    );
    let first = machine.dword(RECEIVE_RING + 16);
    assert_eq!(first, descriptor::FIRST | descriptor::BROADCAST | 154);
    let last = machine.dword(RECEIVE_RING + 32);
    assert_eq!(
        last,
        descriptor::END | descriptor::LAST | descriptor::BROADCAST | 154
    );
    let halves = [
        machine.bytes(BUFFERS + 0x1000, 100),
        machine.bytes(BUFFERS + 0x2000, 50),
    ];
    assert_eq!(halves.concat(), long);
    machine.describe(RECEIVE_RING, 0, own | 1536, 0, BUFFERS);
    // What a driver does when it has served an interrupt.
    machine.write(0x3c, Width::Word, 0xffff);
    assert_eq!(machine.dword(RECEIVE_RING) & 0x1fff, 64);
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVED);
}

#[test]
fn checksums_that_were_looked_at_are_vouched_for() {
    let mut machine = Machine::new(Revision::CPlus);
    machine.start_cplus();
    for index in 0..2 {
        let buffer = BUFFERS + 0x1000 * index;
        machine.describe(RECEIVE_RING, index, descriptor::OWN | 1536, 0, buffer);
    }
    let mut packet = pool().copy_of(&tcp(40)).unwrap();
    super::super::offload::finish(
        &mut packet,
        descriptor::IP_CHECKSUM | descriptor::TCP_CHECKSUM,
    );
    machine.cable.wire().to_card.push_back(packet);
    machine.arrive(&tcp(40));
    assert_eq!(
        machine.dword(RECEIVE_RING) & descriptor::IS_IP,
        descriptor::IS_TCP
    );
    assert!(sums_up(&machine.bytes(BUFFERS, 94)));
    assert_eq!(machine.dword(RECEIVE_RING + 16) & descriptor::IS_IP, 0);
}

#[test]
fn counters_are_written_on_request() {
    let mut machine = Machine::new(Revision::CPlus);
    machine.start_cplus();
    machine.describe(RECEIVE_RING, 0, descriptor::OWN | 1536, 0, BUFFERS);
    machine.arrive(&frame([0xff; 6], 60));
    machine.write(0x14, Width::Dword, 0);
    machine.write(0x10, Width::Dword, u64::from(RING) | 8);
    assert_eq!(machine.read(0x10, Width::Dword), u64::from(RING));
    assert_eq!(machine.dword(RING + 8), 1, "received");
    assert_eq!(machine.dword(RING + 48), 1, "of them for all");
}

#[test]
fn a_card_that_may_not_master_the_bus_waits() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.configure(offset::COMMAND, Width::Word, 3);
    machine.write(0x20, Width::Dword, u64::from(BUFFERS));
    machine.write(0x10, Width::Dword, 100);
    machine.arrive(&frame(MAC, 60));
    assert_eq!(machine.acknowledge(), Interrupt::empty());
    machine.configure(offset::COMMAND, Width::Word, 7);
    assert_eq!(machine.acknowledge(), Interrupt::SENT | Interrupt::RECEIVED);
}

#[test]
fn everything_about_a_dump_address_is_an_allegation() {
    let mut machine = Machine::new(Revision::CPlus);
    machine.start_cplus();
    machine.write(0x14, Width::Dword, 0xffff_ffff);
    machine.write(0x10, Width::Dword, 0xffff_ffff);
    assert_eq!(machine.acknowledge(), Interrupt::BUS_ERROR);
}
