//! Arbitrary register traces, rings and frames: the card stays whole, and its state survives a save.
#![no_main]

use guest_mem::{Gpa, GuestMemory};
use hvm::apic::ApicMessage;
use hvm::backend::{Ethernet, Link};
use hvm::device::{Context, Lifecycle, PowerEvent, Signals};
use hvm::packet::{Packet, Pool};
use hvm::pci::Function;
use hvm::{Instant, Width};
use libfuzzer_sys::fuzz_target;
use pc::rtl8139::{Revision, Rtl8139};
use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock};

const RAM_BYTES: u64 = 0x4_0000;

/// The RAM of the run before, since RAM is leaked and runs are many.
static SPARE: Mutex<Option<GuestMemory>> = Mutex::new(None);

fn pool() -> &'static Pool {
    static POOL: OnceLock<&Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::ordinary(64, 4096))
}

/// A cable that gives back what it is given.
#[derive(Default)]
struct Echo(VecDeque<Packet>);

impl Ethernet for Echo {
    fn packet(&mut self, _: usize) -> Option<Packet> {
        pool().packet()
    }
    fn send(&mut self, packet: Packet) -> Result<(), Packet> {
        if self.0.len() >= 16 {
            return Err(packet);
        }
        self.0.push_back(packet);
        Ok(())
    }
    fn receive(&mut self) -> Option<Packet> {
        self.0.pop_front()
    }
    fn link(&self) -> Link {
        Link::Up
    }
}

struct Quiet;

impl Signals for Quiet {
    fn interrupt(&mut self, _: ApicMessage) {}
    fn end_of_interrupt(&mut self, _: u8) {}
    fn power(&mut self, _: PowerEvent) {}
}

fuzz_target!(|data: &[u8]| {
    let Some((&selector, steps)) = data.split_first() else {
        return;
    };
    let revision = if selector & 1 == 0 {
        Revision::C
    } else {
        Revision::CPlus
    };
    let mac = [2, 0, 0, 0, 0, 1];
    let mut card = Rtl8139::new(revision, Box::new(Echo::default()), mac);
    let spare = SPARE.lock().unwrap().take();
    let memory = spare.unwrap_or_else(|| GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]));
    memory.fill(Gpa(0), RAM_BYTES, 0).unwrap();
    let mut now_ns = 0;
    // One step is 8 bytes: what, width, offset, value.
    for step in steps.chunks_exact(8).take(500) {
        now_ns += u64::from(step[0]) << 12;
        let context = &mut Context {
            memory: &memory,
            now: Instant::from_ns(now_ns),
            signals: &mut Quiet,
        };
        let width =
            [Width::Byte, Width::Word, Width::Dword, Width::Qword][usize::from(step[1] & 3)];
        let offset = u16::from_le_bytes([step[2], step[3]]);
        let value = u32::from_le_bytes([step[4], step[5], step[6], step[7]]);
        match step[0] % 8 {
            0..=3 => card.bar_write(1, u64::from(offset & 0x1ff), width, value.into(), context),
            4 => drop(card.bar_read(1, u64::from(offset & 0x1ff), width, context)),
            5 => memory.store(Gpa(u64::from(offset)), &value).unwrap(),
            6 => card.config_write(step[2] & !3, Width::Dword, value, context),
            _ => card.poll(context),
        }
    }
    let state = card.save();
    let mut twin = Rtl8139::new(revision, Box::new(Echo::default()), mac);
    twin.restore(&state).unwrap();
    assert_eq!(twin.save(), state);
    *SPARE.lock().unwrap() = Some(memory);
});
