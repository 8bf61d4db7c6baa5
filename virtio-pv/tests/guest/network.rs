//! The network card: frames in both directions, offloads, several queues, filters, the control queue, the link.

use crate::cable::{Cable, LONGEST_BYTES, MAC, cable, card, pool};
use crate::driver::{Buffer, EVENT_INDEX, Legacy, Modern, Ring, VERSION_1};
use crate::machine::Machine;
use guest_mem::Gpa;
use hvm::backend::Link;
use hvm::packet::{Checksum, Cut, Offload, PartialChecksum, Segmentation};
use hvm::pci::Function;
use hvm::{Instant, Width};
use proptest::prelude::*;
use virtio_pv::pci::TransportMode;

const CHECKSUM: u64 = 1;
const GUEST_CHECKSUM: u64 = 1 << 1;
const GUEST_TSO4: u64 = 1 << 7;
const HOST_TSO4: u64 = 1 << 11;
const MERGEABLE: u64 = 1 << 15;
const STATUS: u64 = 1 << 16;
const CONTROL: u64 = 1 << 17;
const CONTROL_RX: u64 = 1 << 18;
const CONTROL_VLAN: u64 = 1 << 19;
const CONTROL_RX_EXTRA: u64 = 1 << 20;
const GUEST_OFFLOADS: u64 = 1 << 2;
const ANNOUNCE: u64 = 1 << 21;
const MULTIQUEUE: u64 = 1 << 22;
const CONTROL_MAC: u64 = 1 << 23;

/// Receive and transmit queues of the first pair.
const RX: usize = 0;
const TX: usize = 1;
/// The control queue of a driver without several queues, and with.
const PLAIN_CONTROL: usize = 2;
const LAST: usize = 4;
/// Where buffers lie.
const DATA: u64 = 0x8_0000;
const HEADER_BYTES: u64 = 12;

struct Guest {
    machine: Machine,
    driver: Modern,
    rings: Vec<Ring>,
    cable: Cable,
}

impl Guest {
    fn new(features: u64) -> Self {
        let cable = cable();
        let mut machine = Machine::new(card(&cable), TransportMode::Transitional);
        let (driver, rings) = Modern::start(&mut machine, VERSION_1 | features, 5);
        Self {
            machine,
            driver,
            rings,
            cable,
        }
    }

    /// Sends a header and a frame from two buffers.
    fn send(&mut self, header: &[u8; 12], frame: &[u8]) {
        let memory = &self.machine.memory;
        memory.write(Gpa(DATA), header).unwrap();
        memory.write(Gpa(DATA + 0x100), frame).unwrap();
        let buffers = [
            Buffer::In(DATA, 12),
            Buffer::In(DATA + 0x100, frame.len() as u32),
        ];
        self.rings[TX].add(memory, &buffers);
        self.driver.kick(&mut self.machine, &self.rings[TX]);
    }

    /// Offers `count` receive buffers of `bytes`, one after the other in memory.
    fn offer(&mut self, queue: usize, count: u64, bytes: u64) {
        for index in 0..count {
            let buffer = Buffer::Out(DATA + index * bytes, bytes as u32);
            self.rings[queue].add(&self.machine.memory, &[buffer]);
        }
        self.driver.kick(&mut self.machine, &self.rings[queue]);
    }

    /// A frame came in.
    fn arrive(&mut self, frame: &[u8]) {
        self.cable.put(frame);
        self.machine.poll();
    }

    /// Sends a command, and returns the answer.
    fn command(&mut self, queue: usize, bytes: &[u8]) -> u8 {
        let memory = &self.machine.memory;
        memory.write(Gpa(DATA), bytes).unwrap();
        memory.store(Gpa(DATA + 0x4000), &0xee_u8).unwrap();
        let buffers = [
            Buffer::In(DATA, 2),
            Buffer::In(DATA + 2, bytes.len() as u32 - 2),
            Buffer::Out(DATA + 0x4000, 1),
        ];
        self.rings[queue].add(memory, &buffers);
        self.driver.kick(&mut self.machine, &self.rings[queue]);
        assert!(self.rings[queue].pop(&self.machine.memory).is_some());
        self.machine.memory.load(Gpa(DATA + 0x4000)).unwrap()
    }

    fn bytes(&self, at: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.machine.memory.read(Gpa(at), &mut bytes).unwrap();
        bytes
    }
}

/// A frame for `destination` with countable bytes.
fn frame(destination: [u8; 6], bytes: usize) -> Vec<u8> {
    let rest = (6..bytes).map(|at| at as u8);
    destination.into_iter().chain(rest).collect()
}

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
fn a_received_frame_lies_behind_its_header() {
    let mut guest = Guest::new(GUEST_CHECKSUM);
    guest.offer(RX, 2, 2000);
    let frame = frame(MAC, 80);
    guest.arrive(&frame);
    assert_eq!(guest.rings[RX].pop(&guest.machine.memory), Some((0, 92)));
    assert_eq!(guest.bytes(DATA, 12), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(guest.bytes(DATA + HEADER_BYTES, 80), frame);
    let mut packet = pool().copy_of(&frame).unwrap();
    let checksum = Checksum::Partial(PartialChecksum {
        start: 34,
        offset: 6,
    });
    packet.set_offload(Offload {
        checksum,
        segmentation: None,
    });
    guest.cable.wire().to_card.push_back(packet);
    guest.machine.poll();
    assert_eq!(
        guest.bytes(DATA + 2000, 10),
        [1, 0, 0, 0, 0, 0, 34, 0, 6, 0]
    );
}

#[test]
fn a_long_frame_is_laid_into_several_buffers_or_dropped() {
    let frame = frame(MAC, 5000);
    let mut guest = Guest::new(MERGEABLE);
    guest.offer(RX, 3, 1500);
    guest.arrive(&frame);
    assert_eq!(
        guest.rings[RX].pop(&guest.machine.memory),
        None,
        "5012 bytes need four"
    );
    let buffer = Buffer::Out(DATA + 4500, 1500);
    guest.rings[RX].add(&guest.machine.memory, &[buffer]);
    guest.driver.kick(&mut guest.machine, &guest.rings[RX]);
    let lengths: Vec<_> =
        std::iter::from_fn(|| guest.rings[RX].pop(&guest.machine.memory)).collect();
    assert_eq!(lengths, [(0, 1500), (1, 1500), (2, 1500), (3, 512)]);
    assert_eq!(guest.bytes(DATA + 10, 2), [4, 0]);
    assert_eq!(guest.bytes(DATA + HEADER_BYTES, 5000), frame);

    let mut guest = Guest::new(0);
    guest.offer(RX, 2, 1526);
    guest.arrive(&frame);
    guest.arrive(&frame[..60]);
    assert_eq!(guest.rings[RX].pop(&guest.machine.memory), Some((0, 72)));
}

#[test]
fn frames_wait_for_buffers_in_order() {
    let mut guest = Guest::new(EVENT_INDEX);
    for size in [60, 61, 62] {
        guest.arrive(&frame(MAC, size));
    }
    guest.offer(RX, 2, 2000);
    let mut pop = || guest.rings[RX].pop(&guest.machine.memory);
    assert_eq!([pop(), pop(), pop()], [Some((0, 72)), Some((1, 73)), None]);
    guest.offer(RX, 1, 2000);
    assert_eq!(guest.rings[RX].pop(&guest.machine.memory), Some((2, 74)));
}

#[test]
fn commands_set_filters_and_address() {
    let mut guest = Guest::new(CONTROL | CONTROL_RX | CONTROL_VLAN | CONTROL_MAC);
    let other = [2, 0, 0, 0, 0, 9];
    guest.offer(RX, 8, 2000);
    let arrives = |guest: &mut Guest, frame: &[u8]| {
        guest.arrive(frame);
        guest.rings[RX].pop(&guest.machine.memory).is_some()
    };
    assert!(arrives(&mut guest, &frame(other, 60)));
    assert_eq!(
        guest.command(PLAIN_CONTROL, &[0, 0, 0]),
        0,
        "not promiscuous"
    );
    assert!(!arrives(&mut guest, &frame(other, 60)));
    let mut table = vec![1, 0, 1, 0, 0, 0];
    table.extend(other);
    table.extend([0; 4]);
    assert_eq!(guest.command(PLAIN_CONTROL, &table), 0);
    assert!(arrives(&mut guest, &frame(other, 60)));
    let mut address = vec![1, 1];
    address.extend([2, 0, 0, 0, 0, 0xa]);
    assert_eq!(guest.command(PLAIN_CONTROL, &address), 0);
    assert!(!arrives(&mut guest, &frame(MAC, 60)));
    let low = guest
        .driver
        .read(&mut guest.machine, Modern::DEVICE, 2, Width::Dword);
    assert_eq!(low, 0x0a00_0000);
    let mut tagged = frame([0xff; 6], 60);
    tagged[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
    assert!(!arrives(&mut guest, &tagged));
    assert_eq!(guest.command(PLAIN_CONTROL, &[2, 0, 5, 0]), 0);
    assert!(arrives(&mut guest, &tagged));
}

/// Whether frames arrive for the card, another station, a group, everybody, and for everybody in a VLAN.
fn heard(guest: &mut Guest) -> [bool; 5] {
    let mut tagged = frame([0xff; 6], 60);
    tagged[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
    [
        frame(MAC, 60),
        frame([2, 0, 0, 0, 0, 9], 60),
        frame([1, 0, 0x5e, 0, 0, 1], 60),
        frame([0xff; 6], 60),
        tagged,
    ]
    .map(|frame| {
        guest.offer(RX, 1, 2000);
        guest.arrive(&frame);
        let came = guest.rings[RX].pop(&guest.machine.memory).is_some();
        if !came {
            // The buffer is used up, so that each frame has one.
            guest.command(PLAIN_CONTROL, &[0, 0, 1]);
            guest.arrive(&frame);
            assert!(guest.rings[RX].pop(&guest.machine.memory).is_some());
            guest.command(PLAIN_CONTROL, &[0, 0, 0]);
        }
        came
    })
}

#[test]
fn each_receive_mode_is_turned_on_and_off() {
    let mut guest = Guest::new(CONTROL | CONTROL_RX | CONTROL_RX_EXTRA);
    assert_eq!(guest.command(PLAIN_CONTROL, &[0, 0, 0]), 0);
    let plain = [true, false, false, true, true];
    assert_eq!(heard(&mut guest), plain);
    for (mode, expected) in [
        (0, [true; 5]),
        (1, [true, false, true, true, true]),
        (2, [true, true, false, true, true]),
        (3, plain),
        (4, [false, false, false, true, true]),
        (5, [true, false, false, false, false]),
    ] {
        assert_eq!(guest.command(PLAIN_CONTROL, &[0, mode, 1]), 0);
        // In the promiscuous mode everything is heard; the helper leaves it off.
        assert_eq!(heard(&mut guest), expected, "mode {mode}");
        assert_eq!(guest.command(PLAIN_CONTROL, &[0, mode, 0]), 0);
        assert_eq!(heard(&mut guest), plain, "mode {mode} off");
    }
    // All groups but none of them: the latter wins (5.1.6.5.1).
    assert_eq!(guest.command(PLAIN_CONTROL, &[0, 1, 1]), 0);
    assert_eq!(guest.command(PLAIN_CONTROL, &[0, 3, 1]), 0);
    assert_eq!(heard(&mut guest), plain);
}

#[test]
fn vlans_come_and_go() {
    let mut guest = Guest::new(CONTROL | CONTROL_RX | CONTROL_VLAN);
    guest.offer(RX, 3, 2000);
    let mut tagged = frame([0xff; 6], 60);
    tagged[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
    let hears = |guest: &mut Guest| {
        guest.arrive(&tagged);
        guest.rings[RX].pop(&guest.machine.memory).is_some()
    };
    // Also where everybody's are taken.
    for promiscuous in [1, 0] {
        let mode = [0, 0, promiscuous];
        assert_eq!(guest.command(PLAIN_CONTROL, &mode), 0);
        assert!(!hears(&mut guest));
        assert_eq!(guest.command(PLAIN_CONTROL, &[2, 0, 5, 0]), 0);
        assert!(hears(&mut guest));
        assert_eq!(guest.command(PLAIN_CONTROL, &[2, 1, 5, 0]), 0);
        assert!(!hears(&mut guest));
    }
    assert_eq!(
        guest.command(PLAIN_CONTROL, &[2, 0, 0, 0x10]),
        1,
        "there is no VLAN 4096"
    );
}

#[test]
fn what_the_driver_takes_can_be_changed_within_what_it_agreed_to() {
    let mut guest = Guest::new(CONTROL | GUEST_OFFLOADS | GUEST_CHECKSUM | GUEST_TSO4);
    let mut set = |offloads: u64| {
        let mut command = vec![5, 0];
        command.extend(offloads.to_le_bytes());
        guest.command(PLAIN_CONTROL, &command)
    };
    assert_eq!(set(0), 0);
    assert_eq!(set(GUEST_CHECKSUM), 0);
    assert_eq!(set(GUEST_CHECKSUM | GUEST_TSO4), 0);
    assert_eq!(set(GUEST_CHECKSUM | 1 << 8), 1, "IPv6 was not agreed to");
    assert_eq!(set(MERGEABLE), 1, "that is none");
}

#[test]
fn commands_of_features_that_were_not_agreed_to_are_refused() {
    let mut guest = Guest::new(CONTROL);
    for bad in [
        &[0, 0, 1][..],
        &[0, 1, 1],
        &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[1, 1, 2, 0, 0, 0, 0, 3],
        &[2, 0, 5, 0],
        &[2, 1, 5, 0],
        &[3, 0, 0],
        &[4, 0, 1, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(guest.command(PLAIN_CONTROL, bad), 1, "{bad:?}");
    }
}

#[test]
fn unknown_and_short_commands_are_refused() {
    let mut guest = Guest::new(CONTROL | CONTROL_RX);
    for bad in [
        &[9, 0, 0][..],
        &[0, 6, 1],
        &[0, 2, 1],
        &[1, 0, 9, 0],
        &[1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        &[1, 1, 2, 0, 0, 0, 0, 3],
        &[2, 0, 5],
        &[4, 0, 2, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(guest.command(PLAIN_CONTROL, bad), 1, "{bad:?}");
    }
}

#[test]
fn answers_come_in_on_the_queue_that_asked() {
    let mut guest = Guest::new(CONTROL | MULTIQUEUE);
    guest.offer(RX, 1, 2000);
    let ring = &mut guest.rings[2];
    ring.add(&guest.machine.memory, &[Buffer::Out(DATA + 0x4000, 2000)]);
    assert_eq!(guest.command(LAST, &[4, 0, 3, 0]), 1, "there are two");
    assert_eq!(guest.command(LAST, &[4, 0, 0, 0]), 1);
    assert_eq!(guest.command(LAST, &[4, 0, 2, 0]), 0);
    let mut udp = frame(MAC, 60);
    udp[12..15].copy_from_slice(&[8, 0, 0x45]);
    udp[20..22].fill(0);
    udp[23] = 17;
    guest.machine.memory.write(Gpa(DATA), &[0; 12]).unwrap();
    guest.machine.memory.write(Gpa(DATA + 12), &udp).unwrap();
    guest.rings[3].add(&guest.machine.memory, &[Buffer::In(DATA, 72)]);
    guest.driver.kick(&mut guest.machine, &guest.rings[3]);
    assert_eq!(guest.cable.frames().len(), 1);
    let mut answer = udp.clone();
    answer[26..30].copy_from_slice(&udp[30..34]);
    answer[30..34].copy_from_slice(&udp[26..30]);
    answer[34..36].copy_from_slice(&udp[36..38]);
    answer[36..38].copy_from_slice(&udp[34..36]);
    guest.arrive(&answer);
    assert_eq!(guest.rings[2].pop(&guest.machine.memory), Some((0, 72)));
    assert_eq!(guest.rings[RX].pop(&guest.machine.memory), None);
}

#[test]
fn a_card_that_moved_asks_to_be_announced() {
    use hvm::device::Lifecycle;
    let mut guest = Guest::new(CONTROL | STATUS | ANNOUNCE);
    guest.machine.function.pause();
    let state = guest.machine.function.save();
    guest.machine.function.restore(&state).unwrap();
    assert_eq!(guest.machine.function.save(), state);
    guest.machine.function.resume();
    guest.machine.poll();
    let status = |guest: &mut Guest| {
        guest
            .driver
            .read(&mut guest.machine, Modern::DEVICE, 6, Width::Word)
    };
    assert_eq!(status(&mut guest), 3);
    assert_eq!(guest.command(PLAIN_CONTROL, &[3, 0, 0]), 0);
    assert_eq!(status(&mut guest), 1);
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

proptest! {
    /// Whatever is received comes whole, whatever the buffers are cut into.
    #[test]
    fn frames_come_whole(
        sizes in prop::collection::vec(14_usize..3000, 1..12), buffer_bytes in 100_u64..2000, tso: bool,
    ) {
        let features = MERGEABLE | if tso { GUEST_TSO4 | GUEST_CHECKSUM } else { 0 };
        let mut guest = Guest::new(features);
        let count = 100;
        guest.offer(RX, count, buffer_bytes);
        let frames: Vec<_> = sizes.iter().map(|&size| frame(MAC, size)).collect();
        for frame in &frames {
            guest.arrive(frame);
        }
        let mut at = 0;
        for frame in frames {
            let first = guest.rings[RX].pop(&guest.machine.memory);
            let Some((_, bytes)) = first else {
                // Too many buffers for one frame, or none left.
                prop_assert!(frame.len() as u64 > 60 * buffer_bytes || at + 30 > count);
                break;
            };
            let buffers = guest.bytes(DATA + at * buffer_bytes + 10, 2)[0];
            let mut got = guest.bytes(DATA + at * buffer_bytes + 12, bytes as usize - 12);
            for piece in 1..u64::from(buffers) {
                let (_, bytes) = guest.rings[RX].pop(&guest.machine.memory).unwrap();
                got.extend(guest.bytes(DATA + (at + piece) * buffer_bytes, bytes as usize));
            }
            at += u64::from(buffers);
            prop_assert_eq!(got, frame);
        }
    }
}
