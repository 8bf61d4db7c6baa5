//! The source of random numbers.

use crate::driver::{Buffer, Modern, VERSION_1};
use crate::machine::Machine;
use guest_mem::Gpa;
use hvm::backend::Entropy;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use virtio_pv::entropy::Rng;
use virtio_pv::pci::TransportMode;

/// Hands out bytes of 5Ah while its stock lasts.
struct Stock(Arc<AtomicUsize>);

impl Entropy for Stock {
    fn fill(&mut self, into: &mut [u8]) -> usize {
        let bytes = into.len().min(self.0.load(Relaxed));
        into[..bytes].fill(0x5a);
        self.0.fetch_sub(bytes, Relaxed);
        bytes
    }
}

#[test]
fn buffers_come_back_filled_or_wait() {
    let stock = Arc::new(AtomicUsize::new(100));
    let device = Box::new(Rng::new(Box::new(Stock(stock.clone()))));
    let mut machine = Machine::new(device, TransportMode::Transitional);
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1, 1);
    let ring = &mut rings[0];
    for part in 0..3 {
        ring.add(&machine.memory, &[Buffer::Out(0x8000 + 64 * part, 64)]);
    }
    driver.kick(&mut machine, ring);
    assert_eq!(ring.pop(&machine.memory), Some((0, 64)));
    assert_eq!(ring.pop(&machine.memory), Some((1, 36)));
    assert_eq!(ring.pop(&machine.memory), None);
    assert_eq!(
        machine.memory.load::<u16>(Gpa(0x8000 + 64 + 35)),
        Ok(0x005a)
    );
    stock.store(1, Relaxed);
    machine.poll();
    assert_eq!(ring.pop(&machine.memory), Some((2, 1)));
}

#[test]
fn a_huge_buffer_comes_back_partly_filled() {
    let stock = Arc::new(AtomicUsize::new(usize::MAX));
    let device = Box::new(Rng::new(Box::new(Stock(stock))));
    let mut machine = Machine::new(device, TransportMode::Modern);
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1, 1);
    rings[0].add(&machine.memory, &[Buffer::Out(0x8000, u32::MAX)]);
    driver.kick(&mut machine, &rings[0]);
    assert_eq!(rings[0].pop(&machine.memory), Some((0, 1024)));
}
