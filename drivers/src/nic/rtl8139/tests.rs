use super::*;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};
use std::vec;
use std::vec::Vec;

const ADDRESS: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];
const RING_AT: u64 = 0x10_0000;

/// The chip's side.
struct Chip {
    registers: [u8; 256],
    ring: Vec<u8>,
    /// Where the chip writes the next frame.
    write: usize,
    /// Slots that were handed over, with their addresses and sizes.
    sent: Vec<(usize, u32, u32)>,
    hangs: bool,
}

#[derive(Clone)]
struct Registers(Arc<Mutex<Chip>>);
struct Memory(Arc<Mutex<Chip>>);

impl Chip {
    fn dword(&self, at: usize) -> u32 {
        u32::from_le_bytes(*self.registers[at..].first_chunk().unwrap())
    }

    fn read_pointer(&self) -> usize {
        let pointer = u16::from_le_bytes([self.registers[0x38], self.registers[0x39]]);
        usize::from(pointer.wrapping_add(POINTER_BIAS)) % RING_BYTES
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        match at {
            COMMAND if bytes[0] & Command::RESET.bits() != 0 => {
                self.registers[COMMAND] = if self.hangs { 0x10 } else { 0 };
                return;
            }
            COMMAND if bytes[0] & Command::RECEIVE.bits() == 0 => self.write = 0,
            INTERRUPT_STATUS => {
                for (index, byte) in bytes.iter().enumerate() {
                    self.registers[at + index] &= !byte;
                }
                return;
            }
            TRANSMIT_STATUS..TRANSMIT_ADDRESS => {
                let slot = (at - TRANSMIT_STATUS) / 4;
                let size = u32::from_le_bytes(bytes.try_into().unwrap());
                self.sent
                    .push((slot, self.dword(TRANSMIT_ADDRESS + 4 * slot), size & 0x1fff));
            }
            _ => {}
        }
        self.registers[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Puts a frame into the ring, with this status.
    fn arrive(&mut self, frame: &[u8], status: u16) {
        let [a, b] = status.to_le_bytes();
        let [c, d] = (frame.len() as u16 + 4).to_le_bytes();
        self.ring[self.write..self.write + 4].copy_from_slice(&[a, b, c, d]);
        let at = self.write + 4;
        self.ring[at..at + frame.len()].copy_from_slice(frame);
        self.write = (at + frame.len() + 4).next_multiple_of(4) % RING_BYTES;
    }

    fn finish(&mut self, slot: usize) {
        let status = self.dword(TRANSMIT_STATUS + 4 * slot) | (Slot::READ | Slot::SENT).bits();
        let at = TRANSMIT_STATUS + 4 * slot;
        self.registers[at..at + 4].copy_from_slice(&status.to_le_bytes());
    }
}

impl Window for Registers {
    fn read_u8(&mut self, at: usize) -> u8 {
        let chip = self.0.lock().unwrap();
        let empty = u8::from(chip.write == chip.read_pointer());
        chip.registers[at] | if at == COMMAND { empty } else { 0 }
    }
    fn read_u16(&mut self, at: usize) -> u16 {
        u16::from_le_bytes([self.read_u8(at), self.read_u8(at + 1)])
    }
    fn read_u32(&mut self, at: usize) -> u32 {
        self.0.lock().unwrap().dword(at)
    }
    fn write_u8(&mut self, at: usize, value: u8) {
        self.0.lock().unwrap().write(at, &[value]);
    }
    fn write_u16(&mut self, at: usize, value: u16) {
        self.0.lock().unwrap().write(at, &value.to_le_bytes());
    }
    fn write_u32(&mut self, at: usize, value: u32) {
        self.0.lock().unwrap().write(at, &value.to_le_bytes());
    }
}

impl Window for Memory {
    fn read_u8(&mut self, at: usize) -> u8 {
        self.0.lock().unwrap().ring[at]
    }
    fn read_u16(&mut self, _: usize) -> u16 {
        unreachable!()
    }
    fn read_u32(&mut self, at: usize) -> u32 {
        let chip = self.0.lock().unwrap();
        u32::from_le_bytes(*chip.ring[at..].first_chunk().unwrap())
    }
    fn write_u8(&mut self, _: usize, _: u8) {
        unreachable!()
    }
    fn write_u16(&mut self, _: usize, _: u16) {
        unreachable!()
    }
    fn write_u32(&mut self, _: usize, _: u32) {
        unreachable!()
    }
}

fn pool(count: usize) -> &'static Pool {
    let buffer = |index| {
        let bytes: &'static mut [u8] = vec![0; 2176].leak();
        (bytes, 0x20_0000 + 0x1000 * index as u64)
    };
    Pool::leak((0..count).map(buffer).collect())
}

type Card = Rtl8139<Registers, Memory>;

fn start(hangs: bool, address: [u8; 6]) -> (Arc<Mutex<Chip>>, Result<Card, Failure>) {
    let mut registers = [0; 256];
    registers[..6].copy_from_slice(&address);
    let chip = Arc::new(Mutex::new(Chip {
        registers,
        ring: vec![0; SHARED_BYTES],
        write: 0,
        sent: vec![],
        hangs,
    }));
    let ring = Shared {
        window: Memory(chip.clone()),
        dma: RING_AT,
    };
    let card = Rtl8139::start(Registers(chip.clone()), ring, pool(8), &mut |_| {});
    (chip, card)
}

#[test]
fn a_card_is_started_or_says_why_not() {
    let (chip, card) = start(false, ADDRESS);
    let mut card = card.unwrap();
    assert_eq!((card.address(), card.link()), (ADDRESS, Link::Up));
    let chip = chip.lock().unwrap();
    assert_eq!(chip.dword(RECEIVE_START), RING_AT as u32);
    assert_eq!(chip.dword(RECEIVE_CONFIG), RECEIVE_CONFIG_ALL);
    assert_eq!(chip.registers[COMMAND], 0x0c);
    assert_eq!(
        start(true, ADDRESS).1.err(),
        Some(Failure::Reset { limit_ms: 10 })
    );
    let nobody = Failure::Address([0; 6]);
    assert_eq!(start(false, [0; 6]).1.err(), Some(nobody));
}

#[test]
fn frames_are_taken_out_of_the_ring_round_its_end() {
    let (chip, card) = start(false, ADDRESS);
    let mut card = card.unwrap();
    assert!(card.receive().is_none());
    for turn in 0..100_usize {
        let frame: Vec<u8> = (0..60 + 14 * turn)
            .map(|index| (index + turn) as u8)
            .collect();
        chip.lock().unwrap().arrive(&frame, 1);
        assert_eq!(card.receive().unwrap().frame(), frame);
        assert!(card.receive().is_none());
    }
    assert_eq!(card.faults(), 0);
}

#[test]
fn a_ring_without_sense_is_started_again() {
    let (chip, card) = start(false, ADDRESS);
    let mut card = card.unwrap();
    chip.lock().unwrap().arrive(&[0; 60], 1);
    chip.lock().unwrap().arrive(&[0; 60], 0);
    assert!(card.receive().is_some());
    assert!(card.receive().is_none());
    assert_eq!(chip.lock().unwrap().write, 0);
    chip.lock().unwrap().arrive(&[5; 60], 1);
    assert_eq!(card.receive().unwrap().frame(), [5; 60]);
    assert_eq!(card.faults(), 1);
}

#[test]
fn slots_are_used_in_turn_and_the_rest_waits() {
    let (chip, card) = start(false, ADDRESS);
    let mut card = card.unwrap();
    let own = pool(8);
    for index in 0..6_u8 {
        let mut packet = own.copy_of(&[index; 50]).unwrap();
        if index == 1 {
            packet.strip(1);
        }
        card.send(packet).unwrap();
    }
    card.start();
    card.settle();
    {
        let mut chip = chip.lock().unwrap();
        let slots: Vec<_> = chip.sent.iter().map(|sent| (sent.0, sent.2)).collect();
        assert_eq!(slots, [(0, 60), (1, 60), (2, 60), (3, 60)]);
        assert!(chip.sent.iter().all(|sent| sent.1 % 4 == 0));
        assert_eq!(chip.registers[INTERRUPT_MASK] & 4, 4);
        chip.finish(0);
        chip.finish(1);
    }
    card.start();
    card.settle();
    assert_eq!(chip.lock().unwrap().sent.len(), 6);
    assert_eq!(chip.lock().unwrap().registers[INTERRUPT_MASK] & 4, 0);
    for slot in [2, 3, 0, 1] {
        chip.lock().unwrap().finish(slot);
    }
    card.start();
    card.settle();
    assert_eq!(own.available(), 8);
    let long = pool(1).copy_of(&[0; MAX_FRAME_BYTES + 1]).unwrap();
    assert!(card.send(long).is_err());
}

#[test]
fn a_frame_that_was_given_up_is_tried_again() {
    let (chip, card) = start(false, ADDRESS);
    let mut card = card.unwrap();
    let own = pool(8);
    card.send(own.copy_of(&[1; 60]).unwrap()).unwrap();
    card.settle();
    let status = |slot: Slot| {
        let mut chip = chip.lock().unwrap();
        let bits = (slot | Slot::READ).bits().to_le_bytes();
        chip.registers[TRANSMIT_STATUS..TRANSMIT_STATUS + 4].copy_from_slice(&bits);
    };
    let clears = || {
        let mut chip = chip.lock().unwrap();
        let config = chip.dword(TRANSMIT_CONFIG);
        chip.registers[TRANSMIT_CONFIG] = 0;
        config & CLEAR_ABORT != 0
    };
    // Read is not sent.
    status(Slot::empty());
    card.settle();
    assert_eq!((own.available(), clears()), (7, false));
    status(Slot::ABORTED);
    chip.lock().unwrap().registers[INTERRUPT_STATUS] = Interrupt::NOT_SENT.bits() as u8;
    card.acknowledge();
    card.settle();
    assert_eq!((own.available(), clears(), card.faults()), (7, true, 1));
    // Not again before it says so again.
    card.settle();
    assert!(!clears());
    status(Slot::UNDERRUN);
    card.settle();
    assert_eq!(own.available(), 8);
}

#[test]
fn the_link_is_seen() {
    let (chip, card) = start(false, ADDRESS);
    let mut card = card.unwrap();
    assert_eq!(card.acknowledge(), LinkNews::Same);
    {
        let mut chip = chip.lock().unwrap();
        chip.registers[MEDIA_STATUS] = LINK_BAD;
        chip.registers[INTERRUPT_STATUS] = Interrupt::LINK.bits() as u8;
    }
    assert_eq!(card.acknowledge(), LinkNews::Changed);
    assert_eq!(card.link(), Link::Down);
}

proptest! {
    /// Whatever stands in the ring, reading it ends.
    #[test]
    fn any_ring_is_read(bytes in prop::collection::vec(any::<u8>(), 0..2000), write in 0_usize..0x2000) {
        let (chip, card) = start(false, ADDRESS);
        let mut card = card.unwrap();
        chip.lock().unwrap().ring[..bytes.len()].copy_from_slice(&bytes);
        chip.lock().unwrap().write = write * 4;
        for _ in 0..10 {
            let _ = card.receive();
        }
    }
}

#[test]
fn a_slot_that_hangs_is_found_and_the_card_starts_anew() {
    let (chip, card) = start(false, ADDRESS);
    let mut card = card.unwrap();
    let only = super::super::Filter::Only(vec![]);
    assert_eq!(card.set_filter(&only), Admits::Named);
    let own = pool(8);
    card.send(own.copy_of(&[0; 60]).unwrap()).unwrap();
    let mut watch = crate::nic::watch::Watch::default();
    // A chip that sends nothing: this slot stays its own.
    let at = TRANSMIT_STATUS;
    let hang = (0..10).find_map(|second| {
        card.start();
        card.settle();
        chip.lock().unwrap().registers[at..at + 4].fill(0);
        watch.look(card.progress(), Link::Up, 1000 * second)
    });
    assert!(hang.is_some());
    card.restart(&mut |_| {}).unwrap();
    assert_eq!(own.available(), 8);
    let config = chip.lock().unwrap().dword(RECEIVE_CONFIG);
    assert_eq!(config, RECEIVE_CONFIG_ALL & !ACCEPT_ALL);
    chip.lock().unwrap().arrive(&[5; 60], 1);
    assert_eq!(card.receive().unwrap().frame(), [5; 60]);
    let one = super::super::Filter::Only(vec![[2; 6]]);
    assert_eq!(card.set_filter(&one), Admits::Everybody);
    chip.lock().unwrap().registers[COMMAND] = 0;
    assert!(card.progress().stopped.is_some());
}
