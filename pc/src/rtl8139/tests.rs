//! Drivers in miniature, of both modes, and what hostile ones might do.

use super::bits::{Interrupt, descriptor, receive, slot};
use super::{Revision, Rtl8139};
use crate::testing::Sent;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory};
use hvm::backend::{Ethernet, Link};
use hvm::checksum;
use hvm::device::{Context, Lifecycle};
use hvm::packet::{Packet, Pool};
use hvm::pci::{Function, Window};
use hvm::pci_config::offset;
use hvm::{Instant, Width};
use proptest::prelude::*;
use std::sync::{Arc, Mutex, OnceLock};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const RAM_BYTES: u64 = 0x10_0000;
/// Where the drivers have their rings and buffers.
const RING: u32 = 0x1_0000;
const BUFFERS: u32 = 0x4_0000;
const TRANSMIT_RING: u32 = 0x8000;
const RECEIVE_RING: u32 = 0x9000;

/// The other end of the cable.
struct Wire {
    to_card: VecDeque<Packet>,
    from_card: Vec<Packet>,
    room: usize,
    link: Link,
}

#[derive(Clone)]
struct Cable(Arc<Mutex<Wire>>);

fn pool() -> &'static Pool {
    static POOL: OnceLock<&Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::ordinary(4096, 10_000))
}

impl Cable {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Wire {
            to_card: VecDeque::new(),
            from_card: Vec::new(),
            room: usize::MAX,
            link: Link::Up,
        })))
    }

    fn put(&self, frame: &[u8]) {
        let packet = pool().copy_of(frame).unwrap();
        self.0.lock().unwrap().to_card.push_back(packet);
    }

    /// The frames that came out, whole.
    fn frames(&self) -> Vec<Vec<u8>> {
        let sent = core::mem::take(&mut self.0.lock().unwrap().from_card);
        let whole = |mut packet: Packet| {
            assert!(packet.finish_checksum());
            packet.frame().to_vec()
        };
        sent.into_iter().map(whole).collect()
    }
}

impl Ethernet for Cable {
    fn packet(&mut self, _: usize) -> Option<Packet> {
        pool().packet()
    }
    fn send(&mut self, packet: Packet) -> Result<(), Packet> {
        let mut wire = self.0.lock().unwrap();
        if wire.room == 0 {
            return Err(packet);
        }
        wire.room -= 1;
        wire.from_card.push(packet);
        Ok(())
    }
    fn receive(&mut self) -> Option<Packet> {
        self.0.lock().unwrap().to_card.pop_front()
    }
    fn link(&self) -> Link {
        self.0.lock().unwrap().link
    }
}

pub(super) struct Machine {
    memory: GuestMemory,
    card: Rtl8139,
    sent: Sent,
    now_ns: u64,
    cable: Cable,
}

macro_rules! context {
    ($machine:expr) => {
        &mut Context {
            memory: &$machine.memory,
            now: Instant::from_ns($machine.now_ns),
            signals: &mut $machine.sent,
        }
    };
}

impl Machine {
    pub(super) fn new(revision: Revision) -> Self {
        let cable = Cable::new();
        let mut machine = Self {
            memory: GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]),
            card: Rtl8139::new(revision, Box::new(cable.clone()), MAC),
            sent: Sent::default(),
            now_ns: 0,
            cable,
        };
        machine.configure(offset::BAR0, Width::Dword, 0xc000);
        machine.configure(offset::BAR0 + 4, Width::Dword, 0xfeb0_0000);
        machine.configure(offset::COMMAND, Width::Word, 7);
        machine
    }

    fn configure(&mut self, offset: u8, width: Width, value: u32) {
        self.card.config_write(offset, width, value, context!(self));
    }

    pub(super) fn read(&mut self, offset: u64, width: Width) -> u64 {
        self.card.bar_read(1, offset, width, context!(self))
    }

    pub(super) fn write(&mut self, offset: u64, width: Width, value: u64) {
        self.card.bar_write(1, offset, width, value, context!(self));
    }

    fn poll(&mut self) {
        self.card.poll(context!(self));
    }

    fn arrive(&mut self, frame: &[u8]) {
        self.cable.put(frame);
        self.poll();
    }

    fn bytes(&self, at: u32, count: usize) -> Vec<u8> {
        let mut bytes = alloc::vec![0; count];
        self.memory.read(Gpa(u64::from(at)), &mut bytes).unwrap();
        bytes
    }

    fn dword(&self, at: u32) -> u32 {
        self.memory.load(Gpa(u64::from(at))).unwrap()
    }

    fn store(&self, at: u32, value: u32) {
        self.memory.store(Gpa(u64::from(at)), &value).unwrap();
    }

    /// Reads the interrupt status and acknowledges it.
    fn acknowledge(&mut self) -> Interrupt {
        let status = self.read(0x3e, Width::Word);
        self.write(0x3e, Width::Word, status);
        Interrupt::from_bits_truncate(status as u16)
    }

    /// Starts the C mode: a receive ring of 8 KiB, all interrupts.
    fn start(&mut self, receive_config: u64) {
        self.write(0x37, Width::Byte, 0x10);
        assert_eq!(self.read(0x37, Width::Byte) & 0x10, 0, "the reset is over");
        self.write(0x30, Width::Dword, u64::from(RING));
        self.write(0x44, Width::Dword, receive_config);
        self.write(0x37, Width::Byte, 0x0c);
        self.write(0x3c, Width::Word, 0xffff);
    }

    /// Starts the C+ mode, with two rings.
    fn start_cplus(&mut self) {
        self.write(0x37, Width::Byte, 0x10);
        self.write(0xe0, Width::Word, 0x63);
        self.write(0x20, Width::Dword, u64::from(TRANSMIT_RING));
        self.write(0x24, Width::Dword, 0);
        self.write(0xe4, Width::Dword, u64::from(RECEIVE_RING));
        self.write(0xe8, Width::Dword, 0);
        self.write(0x44, Width::Dword, 0x0a);
        self.write(0x37, Width::Byte, 0x0c);
        self.write(0x3c, Width::Word, 0xffff);
    }

    fn describe(&self, ring: u32, index: u32, options: u32, tag: u32, buffer: u32) {
        let at = ring + 16 * index;
        self.store(at + 4, tag);
        self.store(at + 8, buffer);
        self.store(at + 12, 0);
        self.store(at, options);
    }
}

fn frame(destination: [u8; 6], bytes: usize) -> Vec<u8> {
    let rest = (6..bytes).map(|at| at as u8);
    destination.into_iter().chain(rest).collect()
}

/// TCP over IPv4 with this payload, checksums left out.
fn tcp(payload: usize) -> Vec<u8> {
    let mut frame = frame([0xff; 6], 54 + payload);
    frame[12..15].copy_from_slice(&[8, 0, 0x45]);
    frame[16..18].copy_from_slice(&(40 + payload as u16).to_be_bytes());
    frame[23] = 6;
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[46] = 5 << 4;
    frame
}

/// True if an untagged frame's checksums are right.
fn sums_up(frame: &[u8]) -> bool {
    let segment = &frame[34..];
    let pseudo = checksum::pseudo_header(&frame[26..34], 6, segment.len());
    checksum::of(&frame[14..34]) == 0 && checksum::sum(pseudo, segment) == 0xffff
}

#[test]
fn the_card_says_what_it_is() {
    for (revision, pci, hardware) in [
        (Revision::C, 0x10, 0x7400_0000),
        (Revision::CPlus, 0x20, 0x7480_0000),
    ] {
        let mut machine = Machine::new(revision);
        assert_eq!(machine.card.config_read(0, Width::Dword), 0x8139_10ec);
        assert_eq!(machine.card.config_read(8, Width::Byte), pci);
        assert_eq!(machine.read(0x40, Width::Dword) & 0x7cc0_0000, hardware);
        let address: Vec<u8> = (0..6)
            .map(|at| machine.read(at, Width::Byte) as u8)
            .collect();
        assert_eq!(address, MAC);
        let window = Window::Memory {
            base: 0xfeb0_0000,
            bytes: 256,
        };
        assert_eq!(machine.card.window(1), Some(window));
        // It sleeps: nothing is decoded, and it comes back fresh.
        machine.write(0x3c, Width::Word, 5);
        machine.configure(0x44, Width::Word, 3);
        assert_eq!(machine.card.window(1), None);
        machine.configure(0x44, Width::Word, 0);
        assert_eq!(machine.card.window(1), Some(window));
        assert_eq!(machine.read(0x3c, Width::Word), 0);
    }
}

#[test]
fn slots_are_sent_in_turn() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    let sent = frame([0xff; 6], 100);
    machine
        .memory
        .write(Gpa(u64::from(BUFFERS)), &sent)
        .unwrap();
    for turn in 0..6_u64 {
        let index = turn % 4;
        machine.write(0x20 + 4 * index, Width::Dword, u64::from(BUFFERS));
        machine.write(0x10 + 4 * index, Width::Dword, 100 | 0x3_0000);
        let status = machine.read(0x10 + 4 * index, Width::Dword) as u32;
        assert_eq!(status, 100 | 0x3_0000 | slot::OWN | slot::SENT);
        assert_eq!(machine.cable.frames(), core::slice::from_ref(&sent));
        assert!(machine.card.interrupt_line());
        assert_eq!(machine.acknowledge(), Interrupt::SENT);
        assert!(!machine.card.interrupt_line());
    }
    assert_eq!(machine.read(0x60, Width::Word), 0xf00f);
}

#[test]
fn a_slot_that_cannot_be_sent_says_so() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.write(0x10, Width::Dword, 0x701);
    assert_eq!(machine.acknowledge(), Interrupt::NOT_SENT);
    machine.write(0x24, Width::Dword, 0xf000_0000);
    machine.write(0x14, Width::Dword, 60);
    assert_eq!(
        machine.acknowledge(),
        Interrupt::NOT_SENT | Interrupt::BUS_ERROR
    );
    assert_eq!(
        machine.read(0x14, Width::Dword) as u32 & slot::ABORTED,
        slot::ABORTED
    );
}

#[test]
fn frames_wait_for_room_on_the_cable() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.cable.0.lock().unwrap().room = 1;
    for index in 0..4 {
        machine.write(0x20 + 4 * index, Width::Dword, u64::from(BUFFERS));
        machine.write(0x10 + 4 * index, Width::Dword, 60 + index);
    }
    // The second is in the chip, the others still in memory.
    assert_eq!(machine.read(0x60, Width::Word) & 0xf, 3);
    machine.cable.0.lock().unwrap().room = 9;
    machine.poll();
    let lengths: Vec<_> = machine.cable.frames().iter().map(Vec::len).collect();
    assert_eq!(lengths, [60, 61, 62, 63]);
}

#[test]
fn the_ring_is_filled_and_wraps() {
    for no_wrap in [0, 0x80] {
        let mut machine = Machine::new(Revision::C);
        machine.start(0x0a | no_wrap);
        let mut at = 0;
        for turn in 0..40 {
            assert_eq!(machine.read(0x37, Width::Byte) & 1, 1, "empty");
            let frame = frame(MAC, 60 + 31 * turn);
            machine.arrive(&frame);
            assert_eq!(machine.read(0x37, Width::Byte) & 1, 0);
            assert_eq!(machine.acknowledge(), Interrupt::RECEIVED);
            let header = machine.dword(RING + at);
            assert_eq!(header & 0xffff, u32::from(receive::OK | receive::OWN));
            assert_eq!(header >> 16, frame.len() as u32 + 4);
            let read = if no_wrap != 0 {
                machine.bytes(RING + at + 4, frame.len())
            } else {
                let whole = machine.bytes(RING, 0x2000);
                let from = at as usize + 4;
                (from..from + frame.len())
                    .map(|at| whole[at % 0x2000])
                    .collect()
            };
            assert_eq!(read, frame, "{turn}");
            at = (at + 4 + (header >> 16)).next_multiple_of(4) % 0x2000;
            assert_eq!(machine.read(0x3a, Width::Word), u64::from(at));
            machine.write(0x38, Width::Word, u64::from(at.wrapping_sub(16) & 0xffff));
        }
    }
}

#[test]
fn a_full_ring_holds_frames_back_until_there_is_room() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    for _ in 0..8 {
        machine.cable.put(&frame(MAC, 1500));
    }
    machine.poll();
    // Five of 1508 bytes fit 8 KiB.
    assert_eq!(machine.read(0x3a, Width::Word), 5 * 1508);
    assert_eq!(machine.cable.0.lock().unwrap().to_card.len(), 2);
    let full = Interrupt::RECEIVED | Interrupt::RECEIVE_FULL;
    assert_eq!(machine.acknowledge(), full);
    // The driver goes to sleep with frames in the ring: it hears of them again.
    assert_eq!(machine.acknowledge(), Interrupt::empty());
    machine.write(0x3c, Width::Word, 0);
    machine.write(0x3c, Width::Word, 0xffff);
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVE_FULL);
    machine.write(0x38, Width::Word, 2 * 1508 - 16);
    assert_eq!(machine.cable.0.lock().unwrap().to_card.len(), 0);
    assert_eq!(machine.read(0x3a, Width::Word), 7 * 1508 - 0x2000);
}

#[test]
fn the_filter_decides() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x02);
    machine.arrive(&frame([0xff; 6], 60));
    machine.arrive(&frame([4; 6], 60));
    assert_eq!(machine.acknowledge(), Interrupt::empty());
    machine.write(0x44, Width::Dword, 0x0f);
    machine.arrive(&frame([1, 0, 0x5e, 0, 0, 1], 60));
    assert_eq!(
        machine.acknowledge(),
        Interrupt::empty(),
        "its bit is clear"
    );
    machine.write(0x08, Width::Dword, 0xffff_ffff);
    machine.write(0x0c, Width::Dword, 0xffff_ffff);
    machine.arrive(&frame([1, 0, 0x5e, 0, 0, 1], 20));
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVED);
    assert_eq!(machine.dword(RING) >> 16, 64, "padded as on a wire");
}

#[test]
fn loopback_comes_back() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.write(0x40, Width::Dword, 3 << 17);
    let sent = frame([0xff; 6], 100);
    machine
        .memory
        .write(Gpa(u64::from(BUFFERS)), &sent)
        .unwrap();
    machine.write(0x20, Width::Dword, u64::from(BUFFERS));
    machine.write(0x10, Width::Dword, 100);
    assert_eq!(machine.acknowledge(), Interrupt::RECEIVED | Interrupt::SENT);
    assert_eq!(machine.bytes(RING + 4, 100), sent);
    assert!(machine.cable.frames().is_empty());
}

#[test]
fn the_timer_interrupts() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.now_ns = 900;
    machine.write(0x48, Width::Dword, 1);
    machine.write(0x54, Width::Dword, 1000);
    assert_eq!(machine.card.deadline(), Some(Instant::from_ns(30_900)));
    machine.now_ns = 30_900;
    machine.poll();
    assert_eq!(machine.acknowledge(), Interrupt::TIMER);
    assert_eq!(machine.read(0x48, Width::Dword), 1000);
}

#[test]
fn the_link_is_seen() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    assert_eq!(machine.read(0x64, Width::Word) & 4, 4);
    assert_eq!(machine.read(0x58, Width::Byte) & 4, 0);
    machine.cable.0.lock().unwrap().link = Link::Down;
    machine.poll();
    assert_eq!(machine.acknowledge(), Interrupt::LINK);
    assert_eq!(machine.read(0x64, Width::Word) & 4, 0);
    assert_eq!(machine.read(0x58, Width::Byte) & 4, 4);
    assert_eq!(machine.read(0x74, Width::Word) & 0xc00, 0x800);
    assert_eq!(machine.read(0x74, Width::Word) & 0xc00, 0, "told once");
    machine.write(0x20, Width::Dword, u64::from(BUFFERS));
    machine.write(0x10, Width::Dword, 100);
    assert_eq!(machine.acknowledge(), Interrupt::SENT, "into the air");
    assert!(machine.cable.frames().is_empty());
}

#[test]
fn configuration_registers_are_locked() {
    let mut machine = Machine::new(Revision::CPlus);
    let before = machine.read(0x52, Width::Byte);
    machine.write(0x52, Width::Byte, 0x20);
    assert_eq!(machine.read(0x52, Width::Byte), before);
    machine.write(0x50, Width::Byte, 0xc0);
    machine.write(0x52, Width::Byte, 0x21);
    assert_eq!(machine.read(0x52, Width::Byte), 0x2d);
}

#[test]
fn the_older_chip_has_no_rings() {
    let mut machine = Machine::new(Revision::C);
    machine.write(0xe0, Width::Word, 3);
    machine.write(0xe4, Width::Dword, 0x1234);
    assert_eq!(machine.read(0xe0, Width::Word), 0);
    assert_eq!(machine.read(0xe4, Width::Dword), 0);
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
    let frames = machine.cable.frames();
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
    machine.cable.0.lock().unwrap().room = 1;
    machine.write(0xd9, Width::Byte, 0x40);
    assert_eq!(machine.acknowledge(), Interrupt::empty());
    machine.cable.0.lock().unwrap().room = 9;
    machine.poll();
    assert_eq!(
        machine.acknowledge(),
        Interrupt::SENT | Interrupt::TRANSMIT_EMPTY
    );
    let frames = machine.cable.frames();
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
    super::offload::finish(
        &mut packet,
        descriptor::IP_CHECKSUM | descriptor::TCP_CHECKSUM,
    );
    machine.cable.0.lock().unwrap().to_card.push_back(packet);
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
fn a_saved_card_goes_on_and_foreign_states_are_refused() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.arrive(&frame(MAC, 60));
    let state = machine.card.save();
    let mut other = Machine::new(Revision::C);
    other.card.restore(&state).unwrap();
    assert_eq!(other.card.save(), state);
    other.memory = machine.memory;
    assert_eq!(other.acknowledge(), Interrupt::RECEIVED);
    other.arrive(&frame(MAC, 60));
    assert_eq!(other.read(0x3a, Width::Word), 2 * 68);
    let mut newer = Machine::new(Revision::CPlus);
    let before = newer.card.save();
    let cut = &before[..before.len() - 1];
    for bad in [&state[..], cut, &[]] {
        assert!(newer.card.restore(bad).is_err());
        assert_eq!(newer.card.save(), before);
    }
}

/// One thing that a driver or the wire may do.
#[derive(Clone, Debug)]
enum Step {
    Write(u64, Width, u64),
    Read(u64, Width),
    Memory(u32, Vec<u8>),
    Frame(usize),
    Time(u64),
    Config(u8, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let width = || {
        prop::sample::select(alloc::vec![
            Width::Byte,
            Width::Word,
            Width::Dword,
            Width::Qword
        ])
    };
    let offset = || {
        prop_oneof![
            0_u64..256,
            Just(0x37),
            Just(0xd9),
            Just(0xe0),
            Just(0x10),
            any::<u64>()
        ]
    };
    let value = || {
        prop_oneof![
            Just(0x0c),
            Just(0x40),
            Just(0x63),
            0_u64..0x2000,
            Just(u64::from(TRANSMIT_RING)),
            Just(u64::from(RECEIVE_RING)),
            any::<u64>()
        ]
    };
    prop_oneof![
        8 => (offset(), width(), value()).prop_map(|(offset, width, value)| Step::Write(offset, width, value)),
        2 => (offset(), width()).prop_map(|(offset, width)| Step::Read(offset, width)),
        3 => (prop_oneof![TRANSMIT_RING..TRANSMIT_RING + 64, RECEIVE_RING..RECEIVE_RING + 64], prop::collection::vec(any::<u8>(), 1..64))
            .prop_map(|(at, bytes)| Step::Memory(at, bytes)),
        2 => (0_usize..2000).prop_map(Step::Frame),
        1 => (0_u64..1 << 40).prop_map(Step::Time),
        1 => (0_u8..64, any::<u32>()).prop_map(|(at, value)| Step::Config(4 * at, value)),
    ]
}

fn play(machine: &mut Machine, step: &Step) -> u64 {
    match step {
        Step::Write(offset, width, value) => machine.write(*offset, *width, *value),
        Step::Read(offset, width) => return machine.read(*offset, *width),
        Step::Memory(at, bytes) => machine.memory.write(Gpa(u64::from(*at)), bytes).unwrap(),
        Step::Frame(bytes) => machine.arrive(&frame(MAC, *bytes)),
        Step::Time(ns) => machine.now_ns += ns,
        Step::Config(at, value) => machine.configure(*at, Width::Dword, *value),
    }
    0
}

proptest! {
    /// Whatever a driver does, the card lives, and a driver that resets it gets a working one.
    #[test]
    fn traces_do_no_harm(steps in prop::collection::vec(step(), 0..200), plus: bool) {
        let revision = if plus { Revision::CPlus } else { Revision::C };
        let mut machine = Machine::new(revision);
        if plus {
            machine.start_cplus();
        } else {
            machine.start(0x0a);
        }
        for step in &steps {
            play(&mut machine, step);
        }
        machine.configure(0x44, Width::Word, 0);
        machine.configure(offset::COMMAND, Width::Word, 7);
        let leftover = core::mem::take(&mut machine.cable.0.lock().unwrap().to_card);
        drop(leftover);
        machine.write(0x37, Width::Byte, 0x10);
        machine.cable.frames();
        machine.write(0x50, Width::Byte, 0);
        machine.start(0x0b);
        machine.write(0xe0, Width::Word, 0);
        machine.arrive(&frame(MAC, 60));
        prop_assert!(machine.acknowledge().contains(Interrupt::RECEIVED));
        prop_assert_eq!(machine.dword(RING) >> 16, 64);
    }

    /// A card that takes over a state in the middle answers as the first would.
    #[test]
    fn a_twin_answers_alike(steps in prop::collection::vec(step(), 0..60), cut in 0_usize..60, plus: bool) {
        let revision = if plus { Revision::CPlus } else { Revision::C };
        let mut machine = Machine::new(revision);
        let cut = cut.min(steps.len());
        for step in &steps[..cut] {
            play(&mut machine, step);
        }
        // Frames on their way are not part of the state.
        machine.card.chip.held = None;
        machine.card.chip.waiting = None;
        machine.cable.0.lock().unwrap().to_card.clear();
        let mut twin = Machine::new(revision);
        let mut memory = alloc::vec![0; RAM_BYTES as usize];
        machine.memory.read(Gpa(0), &mut memory).unwrap();
        twin.memory.write(Gpa(0), &memory).unwrap();
        twin.now_ns = machine.now_ns;
        twin.card.restore(&machine.card.save()).unwrap();
        for step in &steps[cut..] {
            prop_assert_eq!(play(&mut twin, step), play(&mut machine, step));
        }
        prop_assert_eq!(twin.card.save(), machine.card.save());
    }
}

#[test]
fn everything_about_a_dump_address_is_an_allegation() {
    let mut machine = Machine::new(Revision::CPlus);
    machine.start_cplus();
    machine.write(0x14, Width::Dword, 0xffff_ffff);
    machine.write(0x10, Width::Dword, 0xffff_ffff);
    assert_eq!(machine.acknowledge(), Interrupt::BUS_ERROR);
}
