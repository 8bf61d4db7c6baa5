//! The entropy device (virtio 1.2, section 5.4).
//!
//! It guarantees that a buffer comes back with at least one fresh random byte, or not until there is one.

use crate::device::{Device, DeviceType};
use crate::features::Features;
use crate::queue::{Chain, Queues};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use guest_mem::{GuestMemory, Unmapped};
use hvm::backend::Entropy;
use hvm::device::{Context, RestoreError};

/// The one queue.
const REQUESTS: usize = 0;
/// Bytes that move at once, over the stack.
const CHUNK_BYTES: usize = 64;
/// Most bytes for one buffer: a longer one comes back shorter, as 5.4.6.1 allows, so a call's work is bounded.
const MAX_BYTES: u64 = 1024;
/// The device has no state of its own but this version number.
const SAVED: [u8; 1] = [1];

/// A source of random numbers.
pub struct Rng {
    source: Box<dyn Entropy>,
    chain: Chain,
}

impl Rng {
    /// One that draws on `source`.
    pub fn new(source: Box<dyn Entropy>) -> Self {
        Self {
            source,
            chain: Chain::new(),
        }
    }

    fn serve(&mut self, queues: &mut Queues, memory: &GuestMemory) {
        while let Some(head) = queues.take(REQUESTS, memory, &mut self.chain) {
            let room = self.chain.writable_bytes().min(MAX_BYTES);
            match self.fill(room, memory) {
                Ok(0) if room != 0 => return queues.put_back(REQUESTS, head),
                Ok(bytes) => queues.complete(REQUESTS, memory, head, bytes as u32),
                Err(unmapped) => return queues.fail(unmapped.into()),
            }
        }
    }

    fn fill(&mut self, room: u64, memory: &GuestMemory) -> Result<u64, Unmapped> {
        let mut done = 0;
        while done < room {
            let mut chunk = [0; CHUNK_BYTES];
            let want = (room - done).min(CHUNK_BYTES as u64) as usize;
            let bytes = self.source.fill(&mut chunk[..want]).min(want);
            if bytes == 0 {
                break;
            }
            done += self.chain.write(memory, done, &chunk[..bytes])? as u64;
        }
        Ok(done)
    }
}

impl Device for Rng {
    fn device_type(&self) -> DeviceType {
        DeviceType::Entropy
    }

    fn kind(&self) -> &'static str {
        "virtio-rng"
    }

    fn features(&self) -> Features {
        Features::empty()
    }

    fn queue_sizes(&self) -> &[u16] {
        &[8]
    }

    fn config_read(&self, _: u64, _: &mut [u8]) {}

    fn queue_notify(&mut self, _: usize, queues: &mut Queues, context: &mut Context<'_>) {
        queues.open(REQUESTS, context.memory);
        self.serve(queues, context.memory);
    }

    fn poll(&mut self, queues: &mut Queues, context: &mut Context<'_>) {
        self.serve(queues, context.memory);
    }

    fn reset(&mut self) {}

    fn save(&self) -> Vec<u8> {
        SAVED.to_vec()
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        if saved == SAVED {
            return Ok(());
        }
        Err(RestoreError(format!(
            "virtio-rng: found state {saved:02x?}, want {SAVED:02x?}"
        )))
    }
}
