//! A disk of the guest, which the firmware and a chip both reach.

use alloc::boxed::Box;
use alloc::sync::Arc;
use guest_mem::GuestMemory;
use hvm::backend::{Block, BlockError, Segment, Submitted, Transfer};
use spin::Mutex;

/// One of the ways to a disk. Only vCPUs take the lock, for the time of a request, and take no other one while they hold it.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Box<dyn Block>>>);

impl Shared {
    /// Makes a disk shareable.
    pub fn new(disk: Box<dyn Block>) -> Self {
        Self(Arc::new(Mutex::new(disk)))
    }
}

impl Block for Shared {
    fn sectors(&self) -> u64 {
        self.0.lock().sectors()
    }

    fn read_only(&self) -> bool {
        self.0.lock().read_only()
    }

    fn transfer(
        &mut self,
        direction: Transfer,
        sector: u64,
        segments: &[Segment],
        memory: &GuestMemory,
        token: u64,
    ) -> Submitted {
        let mut disk = self.0.lock();
        disk.transfer(direction, sector, segments, memory, token)
    }

    fn read(&mut self, sector: u64, into: &mut [u8], token: u64) -> Submitted {
        self.0.lock().read(sector, into, token)
    }

    fn write(&mut self, sector: u64, from: &[u8], token: u64) -> Submitted {
        self.0.lock().write(sector, from, token)
    }

    fn flush(&mut self, token: u64) -> Submitted {
        self.0.lock().flush(token)
    }

    fn completed(&mut self) -> Option<(u64, Result<(), BlockError>)> {
        self.0.lock().completed()
    }
}
