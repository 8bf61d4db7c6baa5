use super::bits::{common, legacy, queue};
use super::transport::{Legacy, Modern};
use super::*;
use hvm::packet::Segmentation;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::vec::Vec;
use std::{array, vec};

const ADDRESS: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];
const SIZE: u16 = 8;
/// Queues' memory, and packets', as the device finds them.
const RINGS_AT: u64 = 0x10_0000;
const BUFFERS_AT: u64 = 0x100_0000;
const OFFERED: Features = Features::all();

/// The device's side: registers by width and place, queues' memory, notifications.
#[derive(Default)]
struct Chip {
    status: u8,
    offered: u64,
    accepted: u64,
    select: u32,
    places: BTreeMap<(u16, usize), u64>,
    queue: u16,
    sizes: [u16; 3],
    notified: Vec<u16>,
    link: u8,
    memory: [Vec<u8>; 3],
    /// Commands that came, and what is said to them; `None`: nothing.
    commands: Vec<Vec<u8>>,
    answer: Option<u8>,
    hangs: bool,
}

type Shelf = Arc<Mutex<Chip>>;

/// Which structure a window shows.
#[derive(Clone, Copy)]
enum Part {
    Common,
    Notify,
    Interrupt,
    Device,
    Legacy,
    Ring(usize),
}

struct Shown(Shelf, Part);

impl Chip {
    fn set_status(&mut self, status: u8) {
        self.status = if self.hangs { 1 } else { status };
    }

    fn config(&self, at: usize) -> u8 {
        ADDRESS
            .get(at)
            .copied()
            .unwrap_or(if at == config::STATUS { self.link } else { 0 })
    }

    fn read(&mut self, part: Part, at: usize, bytes: usize) -> u32 {
        let half = |value: u64, select: u32| (value >> (32 * select)) as u32;
        match (part, at) {
            (Part::Common, common::STATUS) | (Part::Legacy, legacy::STATUS) => self.status.into(),
            (Part::Common, common::DEVICE_FEATURE) => half(self.offered, self.select),
            (Part::Legacy, legacy::DEVICE_FEATURES) => half(self.offered, 0),
            (Part::Common, common::QUEUE_SIZE) | (Part::Legacy, legacy::QUEUE_SIZE) => {
                self.sizes[usize::from(self.queue)].into()
            }
            (Part::Common, common::QUEUE_NOTIFY_OFFSET) => (self.queue * 3).into(),
            (Part::Device, at) => self.config(at).into(),
            (Part::Legacy, at) if at >= legacy::DEVICE => self.config(at - legacy::DEVICE).into(),
            (Part::Ring(index), at) => {
                let mut word = [0; 4];
                word[..bytes].copy_from_slice(&self.memory[index][at..at + bytes]);
                u32::from_le_bytes(word)
            }
            _ => 0,
        }
    }

    fn write(&mut self, part: Part, at: usize, bytes: usize, value: u32) {
        match (part, at) {
            (Part::Common, common::STATUS) | (Part::Legacy, legacy::STATUS) => {
                self.set_status(value as u8);
            }
            (Part::Common, common::DEVICE_FEATURE_SELECT | common::DRIVER_FEATURE_SELECT) => {
                self.select = value;
            }
            (Part::Common, common::DRIVER_FEATURE) => {
                self.accepted |= u64::from(value) << (32 * self.select);
            }
            (Part::Legacy, legacy::DRIVER_FEATURES) => self.accepted = value.into(),
            (Part::Common, common::QUEUE_SELECT) | (Part::Legacy, legacy::QUEUE_SELECT) => {
                self.queue = value as u16;
            }
            (Part::Common, at) if at >= common::QUEUE_DESCRIPTORS => {
                let place = self.places.entry((self.queue, at & !7)).or_default();
                *place |= u64::from(value) << (8 * (at & 4));
            }
            (Part::Legacy, legacy::QUEUE_ADDRESS) => {
                let address = u64::from(value) << legacy::PAGE_SHIFT;
                self.places.insert((self.queue, 0), address);
            }
            (Part::Notify, at) => {
                assert_eq!(at, value as usize * 12, "offset times step");
                self.notify(value as u16);
            }
            (Part::Legacy, legacy::QUEUE_NOTIFY) => self.notify(value as u16),
            (Part::Ring(index), at) => {
                self.memory[index][at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
            }
            _ => {}
        }
    }

    fn notify(&mut self, queue: u16) {
        if queue != control::QUEUE {
            return self.notified.push(queue);
        }
        let (available, used) = self.rings();
        let count = self.word(2, available + queue::INDEX);
        assert_eq!(
            count,
            self.word(2, used + queue::INDEX) + 1,
            "one at a time"
        );
        let offset = |address: u64| (address - RINGS_AT - 0x2_0000) as usize;
        let descriptor = |index: usize| {
            let bytes = &self.memory[2][index * queue::DESCRIPTOR_BYTES..];
            let address = u64::from_le_bytes(*bytes.first_chunk().unwrap());
            let length = u32::from_le_bytes(*bytes[8..].first_chunk().unwrap());
            (offset(address), length as usize, bytes[12])
        };
        let ((command, bytes, 1), (answer, 1, 2)) = (descriptor(0), descriptor(1)) else {
            panic!("it is no command and an answer");
        };
        self.commands
            .push(self.memory[2][command..command + bytes].to_vec());
        if let Some(said) = self.answer {
            self.memory[2][answer] = said;
            self.give_back(2, 0, 1);
        }
    }

    fn word(&self, ring: usize, at: usize) -> u16 {
        u16::from_le_bytes(*self.memory[ring][at..].first_chunk().unwrap())
    }

    /// Where the two rings of a queue are, behind its descriptors.
    fn rings(&self) -> (usize, usize) {
        (usize::from(SIZE) * queue::DESCRIPTOR_BYTES, 4096)
    }

    /// The buffers that the driver has made available so far: index, address, length.
    fn available(&self, ring: usize) -> Vec<(u16, u64, u32)> {
        let (available, _) = self.rings();
        let count = self.word(ring, available + queue::INDEX);
        let entries = (0..count).map(|entry| {
            let at = available + queue::ENTRIES + usize::from(entry % SIZE) * 2;
            let index = self.word(ring, at);
            let descriptor = &self.memory[ring][usize::from(index) * queue::DESCRIPTOR_BYTES..];
            let address = u64::from_le_bytes(*descriptor.first_chunk().unwrap());
            let length = u32::from_le_bytes(*descriptor[8..].first_chunk().unwrap());
            (index, address, length)
        });
        entries.collect()
    }

    /// Gives a buffer back.
    fn give_back(&mut self, ring: usize, index: u32, bytes: u32) {
        let (_, used) = self.rings();
        let count = self.word(ring, used + queue::INDEX);
        let at = used + queue::ENTRIES + usize::from(count % SIZE) * 8;
        self.memory[ring][at..at + 4].copy_from_slice(&index.to_le_bytes());
        self.memory[ring][at + 4..at + 8].copy_from_slice(&bytes.to_le_bytes());
        let next = count.wrapping_add(1).to_le_bytes();
        self.memory[ring][used + queue::INDEX..used + queue::INDEX + 2].copy_from_slice(&next);
    }
}

impl Window for Shown {
    fn read_u8(&mut self, at: usize) -> u8 {
        self.0.lock().unwrap().read(self.1, at, 1) as u8
    }
    fn read_u16(&mut self, at: usize) -> u16 {
        self.0.lock().unwrap().read(self.1, at, 2) as u16
    }
    fn read_u32(&mut self, at: usize) -> u32 {
        self.0.lock().unwrap().read(self.1, at, 4)
    }
    fn write_u8(&mut self, at: usize, value: u8) {
        self.0.lock().unwrap().write(self.1, at, 1, value.into());
    }
    fn write_u16(&mut self, at: usize, value: u16) {
        self.0.lock().unwrap().write(self.1, at, 2, value.into());
    }
    fn write_u32(&mut self, at: usize, value: u32) {
        self.0.lock().unwrap().write(self.1, at, 4, value);
    }
}

/// A pool whose memory can be looked at by address.
fn pool(count: usize) -> &'static Pool {
    let buffer = |index| {
        let bytes: &'static mut [u8] = vec![0; 2176].leak();
        (bytes, BUFFERS_AT + 0x1000 * index as u64)
    };
    Pool::leak((0..count).map(buffer).collect())
}

fn chip() -> Chip {
    Chip {
        offered: OFFERED.bits(),
        sizes: [SIZE; 3],
        link: config::LINK_UP,
        answer: Some(0),
        ..Chip::default()
    }
}

type Card<T> = VirtioNet<T, Shown>;

fn shelf(chip: Chip) -> (Shelf, [Shared<Shown>; 2], Shared<Shown>) {
    let shelf = Arc::new(Mutex::new(Chip {
        memory: array::from_fn(|_| vec![0; control::SHARED_BYTES]),
        ..chip
    }));
    let [receive, transmit, commands] = array::from_fn(|index| Shared {
        window: Shown(shelf.clone(), Part::Ring(index)),
        dma: RINGS_AT + 0x1_0000 * index as u64,
    });
    (shelf, [receive, transmit], commands)
}

fn start(chip: Chip, pool: &'static Pool) -> (Shelf, Result<Card<Modern<Shown>>, Failure>) {
    let (shelf, rings, commands) = shelf(chip);
    let parts = [Part::Common, Part::Notify, Part::Interrupt, Part::Device];
    let parts = parts.map(|part| Shown(shelf.clone(), part));
    let card = VirtioNet::start(
        Modern::new(parts, 4),
        rings,
        commands,
        pool,
        sizes(USUAL_MTU),
        &mut |_| {},
    );
    (shelf, card)
}

#[test]
fn a_card_is_started() {
    let pool = pool(20);
    let (shelf, card) = start(chip(), pool);
    let mut card = card.unwrap();
    assert_eq!((card.address(), card.link()), (ADDRESS, Link::Up));
    let chip = shelf.lock().unwrap();
    assert_eq!(chip.status, 1 | 2 | 4 | 8);
    assert_eq!(chip.accepted, OFFERED.bits());
    assert_eq!(chip.places[&(0, 0x20)], RINGS_AT);
    assert_eq!(chip.places[&(0, 0x30)], RINGS_AT + 4096);
    assert_eq!(chip.places[&(1, 0x28)], RINGS_AT + 0x1_0000 + 128);
    assert_eq!(chip.notified, [0]);
    let buffers = chip.available(0);
    assert_eq!(buffers.len(), usize::from(SIZE));
    // The header fits in front of where frames start.
    assert!(
        buffers
            .iter()
            .all(|(_, address, _)| address % 0x1000 == 64 - 12)
    );
}

#[test]
fn what_cannot_be_used_is_refused() {
    let refused = |chip| start(chip, pool(1)).1.err().unwrap();
    assert_eq!(
        refused(Chip {
            hangs: true,
            ..chip()
        }),
        Failure::Reset { limit_ms: 100 }
    );
    let old = OFFERED - Features::VERSION_1;
    let old = Chip {
        offered: old.bits(),
        ..chip()
    };
    assert_eq!(refused(old), Failure::Features);
    assert_eq!(
        refused(Chip {
            sizes: [8, 0, 8],
            ..chip()
        }),
        Failure::Queue {
            size: 0,
            most: MAX_SIZE
        }
    );
}

#[test]
fn the_legacy_interface_does_as_well() {
    let (shelf, rings, commands) = shelf(chip());
    let registers = Shown(shelf.clone(), Part::Legacy);
    let card = VirtioNet::start(
        Legacy(registers),
        rings,
        commands,
        pool(20),
        sizes(USUAL_MTU),
        &mut |_| {},
    );
    let mut card = card.unwrap();
    assert_eq!(card.address(), ADDRESS);
    let packet = pool(1).copy_of(&[7; 60]).unwrap();
    card.send(packet).unwrap();
    card.start();
    card.settle();
    let chip = shelf.lock().unwrap();
    assert_eq!(chip.places[&(1, 0)], RINGS_AT + 0x1_0000);
    assert_eq!(chip.notified, [0, 1]);
    assert_eq!(chip.available(1)[0].2, 60 + 10);
}

#[test]
fn frames_come_with_what_is_known_of_them() {
    let (shelf, card) = start(chip(), pool(20));
    let mut card = card.unwrap();
    shelf.lock().unwrap().give_back(0, 2, 12 + 60);
    let packet = card.receive().unwrap();
    assert_eq!((packet.len(), packet.offload()), (60, Offload::default()));
    assert!(card.receive().is_none());
    // Shorter than a header, and longer than its buffer, which is cut.
    shelf.lock().unwrap().give_back(0, 3, 11);
    shelf.lock().unwrap().give_back(0, 4, u32::MAX);
    assert_eq!(card.receive().unwrap().len(), 2176 - 64);
    assert_eq!(card.faults(), 1);
    drop(packet);
    card.start();
    card.settle();
    assert_eq!(card.receiving.outstanding(), usize::from(SIZE));
    // Twice the same, and one that there is not.
    for index in [0, 0, 1000] {
        shelf.lock().unwrap().give_back(0, index, 72);
    }
    assert!(card.receive().is_some());
    assert_eq!(card.progress().stopped, None);
    for _ in 0..2 {
        assert!(card.receive().is_none());
        assert_eq!(card.faults(), 2);
    }
    // That does not pass by itself.
    assert!(card.progress().stopped.is_some());
    card.restart(&mut |_| {}).unwrap();
    assert_eq!(card.progress().stopped, None);
    shelf.lock().unwrap().give_back(0, 0, 72);
    assert!(card.receive().is_some());
}

#[test]
fn a_device_that_sends_what_it_was_not_given_is_given_up() {
    let (shelf, card) = start(chip(), pool(20));
    let mut card = card.unwrap();
    card.send(pool(1).copy_of(&[0; 60]).unwrap()).unwrap();
    card.start();
    shelf.lock().unwrap().give_back(1, 1, 0);
    card.settle();
    assert!(card.progress().stopped.is_some());
    assert_eq!(card.progress().outstanding, 1);
}

#[test]
fn frames_go_with_what_is_to_be_done() {
    let (shelf, card) = start(chip(), pool(20));
    let mut card = card.unwrap();
    let own = pool(20);
    let mut packet = own.copy_of(&[9; 100]).unwrap();
    packet.set_offload(Offload {
        checksum: Checksum::Partial(PartialChecksum {
            start: 34,
            offset: 16,
        }),
        segmentation: Some(Segmentation {
            cut: Cut::Tcp4,
            segment_bytes: 1448,
            header_bytes: 66,
        }),
    });
    assert!(card.can_sum(&packet) && card.can_cut(&packet));
    let header = packet.dma() - 12;
    card.send(packet).unwrap();
    card.start();
    card.settle();
    assert_eq!(shelf.lock().unwrap().available(1)[0].1, header);
    assert_eq!(shelf.lock().unwrap().available(1)[0].2, 112);
    let sent = card.sending.take().unwrap();
    assert!(sent.is_none(), "the device has it");
    shelf.lock().unwrap().give_back(1, 0, 0);
    let (packet, _) = card.sending.take().unwrap().unwrap();
    let words = [1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0, 0, 0];
    assert_eq!(packet.frame()[..12], words);
    drop(packet);
    for _ in 0..SIZE {
        card.send(own.copy_of(&[0; 60]).unwrap()).unwrap();
    }
    assert!(card.send(own.copy_of(&[0; 60]).unwrap()).is_err());
    shelf.lock().unwrap().give_back(1, 1, 0);
    assert_eq!(card.room(), 0);
    card.start();
    card.settle();
    assert_eq!(card.room(), 1);
}

const STATIONS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 7], [2, 0, 0, 0, 0, 8]];

/// The orders that name these stations: all groups, the table, nobody else.
fn named(stations: &[[u8; 6]]) -> [Vec<u8>; 3] {
    let mut table = Vec::from([1, 0, stations.len() as u8, 0, 0, 0]);
    table.extend(stations.iter().flatten());
    table.extend([0; 4]);
    [vec![0, 1, 1], table, vec![0, 0, 0]]
}

#[test]
fn who_is_let_in_is_told_also_after_a_reset() {
    let (shelf, card) = start(chip(), pool(20));
    let mut card = card.unwrap();
    let told = || core::mem::take(&mut shelf.lock().unwrap().commands);
    assert_eq!(told(), [[0, 0, 1]], "everybody");
    let filter = Filter::Only(STATIONS.to_vec());
    assert_eq!(card.set_filter(&filter), Admits::Named);
    assert_eq!(told(), named(&STATIONS));
    card.restart(&mut |_| {}).unwrap();
    assert_eq!(told(), named(&STATIONS));
    assert_eq!(card.set_filter(&Filter::Everybody), Admits::Everybody);
    assert_eq!(told(), [[0, 0, 1]]);
    let many = Filter::Only(vec![STATIONS[0]; control::MOST_STATIONS + 1]);
    assert_eq!(card.set_filter(&many), Admits::Everybody);
    // Around the ring.
    for _ in 0..3 * SIZE {
        assert_eq!(card.set_filter(&filter), Admits::Named);
    }
}

#[test]
fn a_device_that_is_not_told_lets_everybody_in() {
    let filter = Filter::Only(STATIONS.to_vec());
    let admits = |chip| {
        let (shelf, card) = start(chip, pool(20));
        let mut card = card.unwrap();
        let admits = card.set_filter(&filter);
        let commands = shelf.lock().unwrap().commands.len();
        assert_eq!(card.set_filter(&filter), admits);
        let again = shelf.lock().unwrap().commands.len() - commands;
        (admits, again)
    };
    // It refuses, is silent, has too short a queue, or none that takes stations.
    for (answer, asked_again) in [(Some(1), 2), (None, 0)] {
        let chip = Chip { answer, ..chip() };
        assert_eq!(admits(chip), (Admits::Everybody, asked_again));
    }
    let short = Chip {
        sizes: [SIZE, SIZE, 1],
        ..chip()
    };
    assert_eq!(admits(short), (Admits::Everybody, 0));
    for feature in [Features::CONTROL, Features::CONTROL_RX] {
        let chip = Chip {
            offered: (OFFERED - feature).bits(),
            ..chip()
        };
        assert_eq!(admits(chip), (Admits::Everybody, 0));
    }
}

#[test]
fn the_link_is_seen() {
    let (shelf, card) = start(chip(), pool(20));
    let mut card = card.unwrap();
    assert_eq!(card.acknowledge(), LinkNews::Same);
    shelf.lock().unwrap().link = 0;
    assert_eq!(card.acknowledge(), LinkNews::Changed);
    assert_eq!(card.link(), Link::Down);
}

proptest! {
    /// Whatever the device writes into the used ring, no packet comes twice and none is lost.
    #[test]
    fn any_answer_is_taken(answers in prop::collection::vec((0_u32..12, any::<u32>()), 0..40)) {
        let pool = pool(20);
        let (shelf, card) = start(chip(), pool);
        let mut card = card.unwrap();
        for (index, bytes) in answers {
            shelf.lock().unwrap().give_back(0, index, bytes);
            let _ = card.receive();
            card.start();
            card.settle();
            prop_assert_eq!(pool.available() + card.receiving.outstanding(), 20);
        }
    }
}

#[test]
fn a_queue_that_hangs_is_found_and_the_device_starts_anew() {
    let own = pool(20);
    let (shelf, card) = start(chip(), own);
    let mut card = card.unwrap();
    crate::nic::testing::hangs(&mut card, own);
    shelf.lock().unwrap().give_back(0, 0, 12 + 60);
    assert_eq!(card.receive().unwrap().len(), 60);
}

#[test]
fn a_device_that_needs_a_reset_gets_one() {
    let own = pool(20);
    let (shelf, card) = start(chip(), own);
    let mut card = card.unwrap();
    card.send(own.copy_of(&[9; 60]).unwrap()).unwrap();
    card.start();
    card.settle();
    let progress = card.progress();
    assert_eq!((progress.outstanding, progress.stopped), (1, None));
    shelf.lock().unwrap().status |= Status::NEEDS_RESET.bits();
    assert!(card.progress().stopped.is_some());
    let before = own.available();
    card.restart(&mut |_| {}).unwrap();
    let progress = card.progress();
    assert_eq!((progress.outstanding, progress.stopped), (0, None));
    assert_eq!(own.available(), before + 1);
    // Both rings begin anew.
    shelf.lock().unwrap().give_back(0, 0, 12 + 60);
    assert_eq!(card.receive().unwrap().len(), 60);
    shelf.lock().unwrap().hangs = true;
    let limit_ms = 100;
    let failure = card.restart(&mut |_| {});
    assert_eq!(failure, Err(Failure::Reset { limit_ms }));
}

#[test]
fn what_is_lent_is_a_chain_whose_descriptors_come_back() {
    let (shelf, card) = start(chip(), pool(600));
    let mut card = card.unwrap();
    let own = pool(1);
    for _ in 0..3 {
        let room = card.room();
        card.send(crate::nic::testing::lent(own)).unwrap();
        assert_eq!(card.room(), room - 3);
        card.start();
        card.settle();
        let mut chip = shelf.lock().unwrap();
        let (mut index, _, bytes) = *chip.available(1).last().unwrap();
        let first = index;
        assert_eq!(bytes, 112);
        for (dma, bytes) in crate::nic::testing::LENT {
            let at = usize::from(index) * queue::DESCRIPTOR_BYTES;
            assert_eq!(chip.word(1, at + 12), queue::NEXT);
            index = chip.word(1, at + 14);
            let descriptor = &chip.memory[1][usize::from(index) * queue::DESCRIPTOR_BYTES..];
            let address = u64::from_le_bytes(*descriptor.first_chunk().unwrap());
            let length = u32::from_le_bytes(*descriptor[8..].first_chunk().unwrap());
            assert_eq!((address, length), (dma, bytes));
        }
        let at = usize::from(index) * queue::DESCRIPTOR_BYTES;
        assert_eq!(chip.word(1, at + 12), 0);
        chip.give_back(1, first.into(), 0);
        drop(chip);
        card.settle();
        assert_eq!((card.room(), own.available()), (room, 1));
    }
}
