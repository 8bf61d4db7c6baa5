//! Windows onto a model of a chip, for the drivers' tests, and tests that all of them have.

use super::Nic;
use super::watch::{Hang, Watch};
use crate::window::Window;
use guest_mem::Gpa;
use hvm::backend::Link;
use hvm::packet::{Lent, Packet, Pool};
use std::sync::{Arc, Mutex};
use std::vec;
use std::vec::Vec;

/// Where packets are for a chip: [`BUFFER_STEP`] apart.
pub const BUFFERS_AT: u64 = 0x20_0000;
pub const BUFFER_STEP: u64 = 0x1_0000;

/// A chip, as a driver finds it: registers by width, and rings that it was told of.
pub trait Chip: Send {
    fn read(&mut self, at: usize, bytes: usize) -> u32;
    fn write(&mut self, at: usize, bytes: usize, value: u32);
    fn memory(&mut self) -> &mut Vec<u8>;
}

/// A piece of a frame, as a chip fetches it.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    pub dma: u64,
    pub bytes: u32,
    pub is_last: bool,
}

/// A chip that sends.
pub trait Sends: Chip {
    /// Sends what it was given, and tells what it has fetched.
    fn send(&mut self) -> Vec<Piece>;
    /// Whether it will interrupt for what it has sent; `None` if it will for nothing.
    fn tells(&self) -> Option<bool>;
}

/// Its registers.
pub struct Registers<C>(pub Arc<Mutex<C>>);
/// Its rings.
pub struct Memory<C>(pub Arc<Mutex<C>>);

impl<C: Chip> Registers<C> {
    fn read(&self, at: usize, bytes: usize) -> u32 {
        self.0.lock().unwrap().read(at, bytes)
    }
    fn write(&self, at: usize, bytes: usize, value: u32) {
        self.0.lock().unwrap().write(at, bytes, value);
    }
}

impl<C: Chip> Memory<C> {
    fn read(&self, at: usize, bytes: usize) -> u32 {
        let mut chip = self.0.lock().unwrap();
        let mut word = [0; 4];
        word[..bytes].copy_from_slice(&chip.memory()[at..at + bytes]);
        u32::from_le_bytes(word)
    }
    fn write(&self, at: usize, bytes: usize, value: u32) {
        let mut chip = self.0.lock().unwrap();
        chip.memory()[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }
}

macro_rules! window {
    ($name:ident) => {
        impl<C: Chip> Window for $name<C> {
            fn read_u8(&mut self, at: usize) -> u8 {
                self.read(at, 1) as u8
            }
            fn read_u16(&mut self, at: usize) -> u16 {
                self.read(at, 2) as u16
            }
            fn read_u32(&mut self, at: usize) -> u32 {
                self.read(at, 4)
            }
            fn write_u8(&mut self, at: usize, value: u8) {
                self.write(at, 1, value.into());
            }
            fn write_u16(&mut self, at: usize, value: u16) {
                self.write(at, 2, value.into());
            }
            fn write_u32(&mut self, at: usize, value: u32) {
                self.write(at, 4, value);
            }
        }
    };
}

window!(Registers);
window!(Memory);

/// Packets that have room for `bytes` behind their headroom.
pub fn pool(count: usize, bytes: usize) -> &'static Pool {
    let buffer = |index| {
        let memory: &'static mut [u8] = vec![0; hvm::packet::HEADROOM_BYTES + bytes].leak();
        (memory, BUFFERS_AT + BUFFER_STEP * index as u64)
    };
    Pool::leak((0..count).map(buffer).collect())
}

/// A frame of which 100 bytes are its own, and two parts are lent.
pub fn lent(pool: &'static Pool) -> Packet {
    let mut packet = pool.packet().unwrap();
    packet.set_len(100);
    for (dma, bytes) in LENT {
        let part = Lent {
            gpa: Gpa(0),
            dma,
            bytes,
        };
        packet.lend(part).unwrap();
    }
    packet
}

/// Where they are, and how long.
pub const LENT: [(u64, u32); 2] = [(0x8000_0000, 1000), (0x9_0000_0ffe, 300)];

/// What is lent is fetched where it lies, and waited for until it has been.
pub fn lends(chip: &Mutex<impl Sends>, card: &mut impl Nic, own: &'static Pool) {
    assert!(card.gathers());
    let before = own.available();
    let packet = lent(own);
    let places = [(packet.dma(), 100)].into_iter().chain(LENT);
    let expected: Vec<_> = (1..)
        .zip(places)
        .map(|(count, (dma, bytes))| Piece {
            dma,
            bytes,
            is_last: count == 1 + LENT.len(),
        })
        .collect();
    card.acknowledge();
    card.send(packet).unwrap();
    card.start();
    card.settle();
    assert_eq!((card.lent(), own.available()), (1, before - 1));
    assert_eq!(chip.lock().unwrap().tells(), Some(true));
    assert_eq!(chip.lock().unwrap().send(), expected);
    card.acknowledge();
    card.settle();
    assert_eq!((card.lent(), own.available()), (0, before));
    assert_eq!(chip.lock().unwrap().tells(), Some(false));
}

/// A card that sends nothing of what it was given is found to hang, and lets go of it when it starts anew.
pub fn hangs(card: &mut impl Nic, pool: &'static Pool) {
    let before = pool.available();
    card.send(pool.copy_of(&[9; 60]).unwrap()).unwrap();
    let mut watch = Watch::default();
    let hang = (0..10).find_map(|second| {
        card.start();
        card.settle();
        watch.look(card.progress(), Link::Up, 1000 * second)
    });
    let (outstanding, still_ms) = (1, 5000);
    let expected = Hang::Sending {
        outstanding,
        still_ms,
    };
    assert_eq!(hang, Some(expected));
    assert_eq!(pool.available(), before - 1);
    card.restart(&mut |_| {}).unwrap();
    assert_eq!(card.progress().outstanding, 0);
    assert_eq!(pool.available(), before);
}

/// A ring that takes `most` frames gives back what comes then, and asks to be told when there is room again.
pub fn fills_up(chip: &Mutex<impl Sends>, card: &mut impl Nic, pool: &'static Pool, most: usize) {
    let frame = || {
        let mut packet = pool.packet().unwrap();
        packet.set_len(60);
        packet
    };
    for _ in 0..most {
        card.send(frame()).unwrap();
    }
    let refused = card.send(frame()).unwrap_err();
    card.start();
    card.settle();
    assert_eq!(chip.lock().unwrap().tells(), Some(true));
    assert_eq!(chip.lock().unwrap().send().len(), most);
    card.acknowledge();
    card.send(refused).unwrap();
    card.start();
    card.settle();
    assert_eq!(chip.lock().unwrap().tells(), Some(false));
    assert_eq!(chip.lock().unwrap().send().len(), 1);
}

/// Twenty turns in each of which so many frames `arrive` and are fetched.
pub fn receives_in_turns(card: &mut impl Nic, frames: usize, arrive: impl Fn() -> bool) {
    for _ in 0..20 {
        for _ in 0..frames {
            assert!(arrive());
            card.receive().unwrap();
        }
        card.settle();
    }
}
