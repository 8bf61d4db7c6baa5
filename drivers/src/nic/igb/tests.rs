use super::super::USUAL_MTU;
use super::super::intel::testing::{ADDRESS, RINGS_AT, power_on};
use super::super::testing::{self, Memory, Piece, Registers, pool as buffers};
use super::*;
use hvm::packet::{Cut, PartialChecksum, Segmentation};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::vec;
use std::vec::Vec;

/// The card's side: registers as they were written, and the rings' memory.
#[derive(Default)]
struct Chip {
    registers: BTreeMap<usize, u32>,
    memory: Vec<u8>,
    /// It does not turn rings on.
    stuck: bool,
    /// Firmware keeps the transceiver.
    firmware: bool,
    negotiations: u32,
}

impl testing::Chip for Chip {
    fn read(&mut self, at: usize, bytes: usize) -> u32 {
        assert_eq!(bytes, 4);
        let value = self.register(at);
        match at {
            ICR | CRCERRS | MPC => {
                self.registers.insert(at, 0);
            }
            // Reading takes the driver's mark.
            SWSM => {
                self.registers.insert(at, value | 1);
            }
            _ => {}
        }
        value
    }

    fn write(&mut self, at: usize, bytes: usize, value: u32) {
        assert_eq!(bytes, 4);
        let value = match at {
            CTRL if value & Ctrl::RESET.bits() != 0 => {
                self.registers = power_on();
                let kept = if self.firmware { 1 << 17 } else { 0 };
                self.registers.insert(SW_FW_SYNC, kept);
                return;
            }
            IMS => self.register(IMS) | value,
            IMC => {
                let mask = self.register(IMS) & !value;
                self.registers.insert(IMS, mask);
                return;
            }
            RXDCTL | TXDCTL if self.stuck => 0,
            RDT if self.register(RXDCTL) & RING_ENABLE == 0 => 0,
            MDIC => {
                assert_eq!(self.register(SW_FW_SYNC) & 2, 2, "without the mark");
                self.negotiations += u32::from(value & 1 << 26 != 0);
                // A read finds a transceiver that was left off.
                1 << 28 | 0x1940
            }
            _ => value,
        };
        self.registers.insert(at, value);
    }

    fn memory(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }
}

impl testing::Sends for Chip {
    fn send(&mut self) -> Vec<Piece> {
        let sent = self.transmit().into_iter();
        sent.map(|[low, high, words, _]| Piece {
            dma: u64::from(low) | u64::from(high) << 32,
            bytes: words & 0xffff,
            is_last: words & DATA_END == DATA_END,
        })
        .collect()
    }

    fn tells(&self) -> Option<bool> {
        let mask = self.register(IMS);
        (mask != 0).then_some(mask & 1 != 0)
    }
}

impl Chip {
    fn register(&self, at: usize) -> u32 {
        self.registers.get(&at).copied().unwrap_or(0)
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(*self.memory[at..].first_chunk().unwrap())
    }

    /// Receives a frame of `length` into the descriptor at the head; false if there is none.
    fn receive(&mut self, length: u16, status: u32) -> bool {
        let (head, tail) = (self.register(RDH), self.register(RDT));
        if head == tail {
            return false;
        }
        let at = head as usize * DESCRIPTOR_BYTES;
        // Written back, a descriptor has nothing of what the driver wrote.
        self.memory[at..at + 16].fill(0xee);
        self.memory[at + RX_STATUS..at + 12].copy_from_slice(&status.to_le_bytes());
        self.memory[at + RX_LENGTH..at + 14].copy_from_slice(&length.to_le_bytes());
        self.registers.insert(RDH, (head + 1) % RING as u32);
        true
    }

    /// Sends what lies between head and tail: the descriptors as they were.
    fn transmit(&mut self) -> Vec<Words> {
        let mut sent = vec![];
        while self.register(TDH) != self.register(TDT) {
            let head = self.register(TDH);
            let at = TX_RING + head as usize * DESCRIPTOR_BYTES;
            let words: Words = core::array::from_fn(|index| self.word(at + 4 * index));
            if words[2] & 1 << 27 != 0 {
                self.memory[at..at + 16].fill(0);
                self.memory[at + TX_STATUS] = 1;
            }
            sent.push(words);
            self.registers.insert(TDH, (head + 1) % RING as u32);
        }
        sent
    }
}

type Card = Igb<Registers<Chip>, Memory<Chip>>;

fn start(chip: Chip, pool: &'static Pool, mtu: usize) -> (Arc<Mutex<Chip>>, Result<Card, Failure>) {
    let chip = Arc::new(Mutex::new(Chip {
        registers: power_on(),
        memory: vec![0; SHARED_BYTES],
        ..chip
    }));
    let rings = Shared {
        window: Memory(chip.clone()),
        dma: RINGS_AT,
    };
    let model = model(0x1533).unwrap();
    let sizes = model.sizes(mtu);
    let registers = Registers(chip.clone());
    let card = Igb::start(registers, rings, model, pool, sizes, &mut |_| {});
    (chip, card)
}

fn pool(count: usize) -> &'static Pool {
    buffers(count, BUFFER_BYTES)
}

fn running(pool: &'static Pool) -> (Arc<Mutex<Chip>>, Card) {
    let (chip, card) = start(Chip::default(), pool, USUAL_MTU);
    (chip, card.unwrap())
}

#[test]
fn it_starts_with_rings_that_are_on_and_a_transceiver_that_negotiates() {
    let pool = pool(600);
    let (chip, mut card) = running(pool);
    assert_eq!((card.name(), card.address()), ("Intel I210", ADDRESS));
    assert_eq!(card.link(), Link::Up);
    let chip = chip.lock().unwrap();
    assert_eq!(u64::from(chip.register(RDBAL)), RINGS_AT);
    assert_eq!(u64::from(chip.register(TDBAL)), RINGS_AT + 4096);
    assert_eq!(chip.register(SRRCTL), 1 << 25 | 2);
    assert_eq!(chip.register(RLPML), 1526);
    assert_eq!(chip.register(RDT), RING as u32 - 1);
    assert_eq!(chip.register(IMS) & 0x85, 0x84);
    assert_eq!(chip.negotiations, 1);
    assert_eq!(chip.register(SW_FW_SYNC), 0);
    assert_eq!(chip.register(SWSM), 0);
    assert_eq!(pool.available(), 600 - (RING - 1));
}

#[test]
fn a_ring_that_does_not_start_is_told_and_firmware_is_left_alone() {
    let stuck = Chip {
        stuck: true,
        ..Chip::default()
    };
    assert_eq!(start(stuck, pool(300), 1500).1.unwrap_err(), Failure::Ring);
    let busy = Chip {
        firmware: true,
        ..Chip::default()
    };
    let (chip, card) = start(busy, pool(300), 1500);
    assert!(card.is_ok());
    assert_eq!(chip.lock().unwrap().negotiations, 0);
}

#[test]
fn frames_come_in_order_with_what_the_card_says_of_their_sums() {
    let pool = pool(600);
    let (chip, mut card) = running(pool);
    for round in 0..3 * RING {
        let length = 60 + (round % 1000) as u16;
        assert!(chip.lock().unwrap().receive(length, 3));
        assert_eq!(card.receive().unwrap().len(), usize::from(length));
        card.start();
        card.settle();
    }
    let summed = |status| {
        assert!(chip.lock().unwrap().receive(60, 3 | status));
        card.receive().unwrap().offload().checksum
    };
    let checks = [0, RX_SUMMED, RX_SUMMED | RX_SUM_WRONG].map(summed);
    use Checksum::{Unknown, Valid};
    assert_eq!(checks, [Unknown, Valid, Unknown]);
    for (length, status) in [(60, 3 | RX_DAMAGED), (2048, 1), (100, 3), (2049, 3)] {
        assert!(chip.lock().unwrap().receive(length, status));
    }
    assert!(card.receive().is_none());
    assert_eq!(card.faults(), 3);
    assert_eq!(pool.available(), 600 - (RING - 1) + 7);
}

#[test]
fn interrupts_are_apart_as_the_traffic_wants_also_after_a_reset() {
    let pool = pool(600);
    let (chip, mut card) = running(pool);
    let after = |card: &mut Card, frames: usize| {
        testing::receives_in_turns(card, frames, || chip.lock().unwrap().receive(60, 3));
        chip.lock().unwrap().register(EITR)
    };
    // 82576, 8.8.14: microseconds from bit 2 on.
    let (brisk, bulk) = (50 << 2 | 1 << 31, 250 << 2 | 1 << 31);
    assert_eq!(after(&mut card, 1), brisk);
    assert_eq!(after(&mut card, 10), bulk);
    card.restart(&mut |_| {}).unwrap();
    assert_eq!(after(&mut card, 1), brisk);
    card.model = super::model(0x10a7).unwrap();
    assert_eq!(after(&mut card, 10), 250 << 2 | 250 << 18);
}

fn with(pool: &'static Pool, bytes: usize, start: u16, offset: u16) -> Packet {
    let mut packet = pool.packet().unwrap();
    packet.set_len(bytes);
    packet.frame_mut().fill(0);
    packet.frame_mut()[12..15].copy_from_slice(&[8, 0, 0x45]);
    packet.frame_mut()[23] = 6;
    let sum = PartialChecksum { start, offset };
    packet.set_offload(Offload {
        checksum: Checksum::Partial(sum),
        segmentation: None,
    });
    packet
}

#[test]
fn sums_are_asked_for_by_a_context_that_is_told_once() {
    let pool = pool(600);
    let (chip, mut card) = running(pool);
    let mut plain = pool.packet().unwrap();
    plain.set_len(60);
    card.send(plain).unwrap();
    card.send(with(pool, 100, 34, 16)).unwrap();
    card.send(with(pool, 101, 34, 16)).unwrap();
    card.send(with(pool, 102, 34, 6)).unwrap();
    // Neither TCP nor UDP; no room for an IP header; outside.
    for (start, offset) in [(34, 2), (20, 16), (90, 16)] {
        assert!(!card.can_sum(&with(pool, 100, start, offset)));
        assert!(card.send(with(pool, 100, start, offset)).is_err());
    }
    card.start();
    card.settle();
    let sent = chip.lock().unwrap().transmit();
    let context = 20 | 14 << 9;
    let tail: Vec<_> = sent.iter().map(|words| (words[2], words[3])).collect();
    let data = |bytes: u32| 0x2b30_0000 | bytes;
    assert_eq!(sent[1][..2], [context, 0]);
    assert_eq!(
        tail,
        [
            (data(60), 60 << 14),
            (0x2020_0c00, 0),
            (data(100), 100 << 14 | 0x200),
            (data(101), 101 << 14 | 0x200),
            (0x2020_0400, 0),
            (data(102), 102 << 14 | 0x200),
        ]
    );
    card.start();
    card.settle();
    assert_eq!(card.progress().outstanding, 0);
    assert_eq!(pool.available(), 600 - (RING - 1));
}

#[test]
fn a_long_frame_is_cut_by_the_card() {
    let (chip, mut card) = running(pool(600));
    let own = Pool::ordinary(1, 40_000);
    let mut packet = with(own, 30_066, 34, 16);
    let addresses = [10, 0, 0, 1, 10, 0, 0, 2];
    packet.frame_mut()[26..34].copy_from_slice(&addresses);
    let sum = hvm::checksum::pseudo_header(&addresses, 6, 30_066 - 34);
    packet.frame_mut()[50..52].copy_from_slice(&sum.to_be_bytes());
    packet.frame_mut()[16..18].copy_from_slice(&1234_u16.to_be_bytes());
    let offload = Offload {
        segmentation: Some(Segmentation {
            cut: Cut::Tcp4,
            segment_bytes: 1448,
            header_bytes: 66,
        }),
        ..packet.offload()
    };
    packet.set_offload(offload);
    assert!(card.can_cut(&packet));
    let dma = packet.dma();
    card.send(packet).unwrap();
    let frame = card.rings.sending.packets().next().unwrap().frame();
    let expected = hvm::checksum::pseudo_header(&addresses, 6, 0);
    assert_eq!(frame[50..52], expected.to_be_bytes());
    assert_eq!(frame[16..18], [0, 0]);
    card.start();
    card.settle();
    let sent = chip.lock().unwrap().transmit();
    let payload = 30_000_u32 << 14 | 0x300;
    assert_eq!(
        sent,
        [
            [20 | 14 << 9, 0, 0x2020_0c00, 32 << 8 | 1448 << 16],
            [dma as u32, 0, 0xa230_0000 | 16384, payload],
            [dma as u32 + 16384, 0, 0xab30_0000 | 13682, payload],
        ]
    );
    card.start();
    card.settle();
    assert_eq!(own.available(), 1);
}

#[test]
fn a_full_ring_gives_back_and_asks_to_be_told() {
    let pool = pool(1000);
    let (chip, mut card) = running(pool);
    testing::fills_up(&chip, &mut card, pool, RING - 1);
    card.acknowledge();
    let mask = chip.lock().unwrap().register(IMS);
    assert_eq!(mask, 0, "silent during a turn");
    card.settle();
    assert_ne!(chip.lock().unwrap().register(IMS), 0);
    assert_eq!(card.room(), (RING - 1) / 2);
}

#[test]
fn a_ring_that_hangs_is_found_and_the_card_starts_anew() {
    let pool = pool(1000);
    let (chip, mut card) = running(pool);
    testing::hangs(&mut card, pool);
    assert!(chip.lock().unwrap().receive(60, 3));
    assert_eq!(card.receive().unwrap().len(), 60);
}

#[test]
fn frames_that_are_missed_with_buffers_to_fill_are_a_hang() {
    let (chip, mut card) = running(pool(300));
    let mut watch = crate::nic::watch::Watch::default();
    let hang = (0..10).find_map(|second| {
        chip.lock().unwrap().registers.insert(MPC, 3);
        watch.look(card.progress(), Link::Up, 1000 * second)
    });
    let (missed, buffers) = (15, RING - 1);
    let expected = crate::nic::watch::Hang::Receiving { missed, buffers };
    assert_eq!(hang, Some(expected));
}

#[test]
fn long_frames_have_buffers_that_hold_them() {
    let sizes = model(0x10c9).unwrap().sizes(9000);
    let (chip, card) = start(Chip::default(), buffers(300, sizes.buffer_bytes), 9000);
    let mut card = card.unwrap();
    assert_eq!(chip.lock().unwrap().register(SRRCTL), 1 << 25 | 10);
    assert_eq!(chip.lock().unwrap().register(RLPML), 9026);
    assert!(chip.lock().unwrap().receive(9014, 3));
    assert_eq!(card.receive().unwrap().len(), 9014);
}

#[test]
fn what_is_lent_is_fetched_where_it_lies_and_waited_for() {
    let (chip, mut card) = running(pool(600));
    testing::lends(&chip, &mut card, pool(1));
}
