//! Disks for the tests: one in memory, and one that answers when it is told to.

use guest_mem::GuestMemory;
use hvm::backend::{Block, BlockError, Segment, Submitted, Transfer};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use virtio_pv::block::Disk;
use virtio_pv::ram::{Access, RamDisk};

/// Sectors of every test disk.
pub const SECTORS: u64 = 64;

/// A disk whose sector `n` is filled with `n`.
pub fn ram(access: Access) -> RamDisk<Vec<u8>> {
    let bytes = (0..SECTORS * 512).map(|at| (at / 512) as u8).collect();
    RamDisk::new(bytes, access)
}

pub fn disk(access: Access) -> Box<Disk> {
    Box::new(Disk::new(Box::new(ram(access)), "florizel"))
}

/// What a [`Slow`] disk was asked, and what it shall answer.
#[derive(Default)]
pub struct Desk {
    pub asked: Vec<(&'static str, u64)>,
    pub answers: VecDeque<(u64, Result<(), BlockError>)>,
}

/// A disk that leaves everything pending.
pub struct Slow {
    pub desk: Arc<Mutex<Desk>>,
    storage: RamDisk<Vec<u8>>,
}

impl Slow {
    pub fn new() -> (Self, Arc<Mutex<Desk>>) {
        let desk = Arc::new(Mutex::new(Desk::default()));
        let slow = Self {
            desk: desk.clone(),
            storage: ram(Access::ReadWrite),
        };
        (slow, desk)
    }
}

impl Block for Slow {
    fn sectors(&self) -> u64 {
        SECTORS
    }
    fn read_only(&self) -> bool {
        false
    }
    fn transfer(
        &mut self,
        direction: Transfer,
        sector: u64,
        segments: &[Segment],
        memory: &GuestMemory,
        token: u64,
    ) -> Submitted {
        let name = match direction {
            Transfer::Read => "read",
            Transfer::Write => "write",
        };
        self.desk.lock().unwrap().asked.push((name, token));
        let _ = self
            .storage
            .transfer(direction, sector, segments, memory, token);
        Submitted::Pending
    }
    fn read(&mut self, sector: u64, into: &mut [u8], token: u64) -> Submitted {
        self.storage.read(sector, into, token)
    }
    fn write(&mut self, sector: u64, from: &[u8], token: u64) -> Submitted {
        self.storage.write(sector, from, token)
    }
    fn flush(&mut self, token: u64) -> Submitted {
        self.desk.lock().unwrap().asked.push(("flush", token));
        Submitted::Pending
    }
    fn completed(&mut self) -> Option<(u64, Result<(), BlockError>)> {
        self.desk.lock().unwrap().answers.pop_front()
    }
}
