//! The console device (virtio 1.2, section 5.3): one port on a stream of bytes.
//!
//! It guarantees that no byte is lost in either direction: input stays in the back end until the driver offers a buffer,
//! output stays in the driver's buffer until the back end has room. Emergency writes alone are best effort.

use crate::device::{Device, DeviceType};
use crate::features::Features;
use crate::queue::{Chain, Queues, RingFault};
use alloc::format;
use alloc::vec::Vec;
use guest_mem::GuestMemory;
use hvm::backend::BoxedBytes;
use hvm::device::{Context, RestoreError};
use serde::{Deserialize, Serialize};
use zerocopy::{Immutable, IntoBytes};

/// The size of the terminal is known.
const SIZE: Features = Features::from_bits_retain(1);
/// One byte may be written through the configuration space, at any time.
const EMERGENCY_WRITE: Features = Features::from_bits_retain(1 << 2);

/// Queue of input, to the driver.
const INPUT: usize = 0;
/// Queue of output, from the driver.
const OUTPUT: usize = 1;
/// Entries of both.
const QUEUE_SIZE: u16 = 64;
/// Bytes that move at once, over the stack.
const CHUNK_BYTES: usize = 256;
/// Most input in one buffer, to bound the work of a call.
const MAX_INPUT_BYTES: u64 = 4096;
/// Most output in one buffer, for the same reason: eight times what Linux's driver ever sends.
const MAX_OUTPUT_BYTES: u64 = 256 * 1024;
/// Offset of the emergency register.
const EMERGENCY_OFFSET: u64 = 8;
/// Version of [`Saved`].
const VERSION: u16 = 1;

/// The configuration space (5.3.4).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Config {
    columns: u16,
    rows: u16,
    max_ports: u32,
    emergency: u32,
}

/// The size of the terminal that shows the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Characters in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// A console.
pub struct Console {
    port: BoxedBytes,
    size: TerminalSize,
    chain: Chain,
    /// How much of the first output buffer is out already.
    sent_bytes: u64,
}

impl Console {
    /// A console on `port`.
    pub fn new(port: BoxedBytes, size: TerminalSize) -> Self {
        Self {
            port,
            size,
            chain: Chain::new(),
            sent_bytes: 0,
        }
    }

    /// Moves input to the driver, as far as there is any and the driver has buffers. Their supply is looked at only when
    /// there is input, so a driver that uses event indices is spared kicks.
    fn receive(&mut self, queues: &mut Queues, memory: &GuestMemory) {
        let mut opened = false;
        while self.has_input() {
            let Some(head) = queues.take(INPUT, memory, &mut self.chain) else {
                if opened {
                    return;
                }
                queues.open(INPUT, memory);
                opened = true;
                continue;
            };
            let room = self.chain.writable_bytes().min(MAX_INPUT_BYTES);
            match self.fill(room, memory) {
                Ok(0) if room != 0 => return queues.put_back(INPUT, head),
                Ok(bytes) => queues.complete(INPUT, memory, head, bytes),
                Err(fault) => return queues.fail(fault),
            }
        }
    }

    /// Fills the buffer in `self.chain` with the input that is there, at most `room` bytes.
    fn fill(&mut self, room: u64, memory: &GuestMemory) -> Result<u32, RingFault> {
        // Input that is read is gone from the back end: first make sure that it has a place to go.
        for segment in self.chain.writable() {
            let bytes = u64::from(segment.bytes).min(room);
            if !memory.contains(segment.gpa, bytes) {
                let gpa = segment.gpa;
                return Err(guest_mem::Unmapped { gpa, bytes }.into());
            }
        }
        let mut done = 0;
        while done < room && self.has_input() {
            let mut chunk = [0; CHUNK_BYTES];
            let want = (room - done).min(CHUNK_BYTES as u64) as usize;
            let Ok(bytes) = self.port.read(&mut chunk[..want]);
            if bytes == 0 {
                break;
            }
            done += self.chain.write(memory, done, &chunk[..bytes])? as u64;
        }
        Ok(done as u32)
    }

    /// Moves output from the driver, as far as the back end has room.
    fn send(&mut self, queues: &mut Queues, memory: &GuestMemory) {
        while let Some(head) = queues.take(OUTPUT, memory, &mut self.chain) {
            match self.drain(memory) {
                Ok(Drained::All) => {
                    self.sent_bytes = 0;
                    queues.complete(OUTPUT, memory, head, 0);
                }
                Ok(Drained::Stalled) => return queues.put_back(OUTPUT, head),
                Err(fault) => return queues.fail(fault),
            }
        }
    }

    /// Writes the buffer in `self.chain` out, from `sent_bytes` on.
    fn drain(&mut self, memory: &GuestMemory) -> Result<Drained, RingFault> {
        let total = self.chain.readable_bytes();
        if total > MAX_OUTPUT_BYTES {
            return Err(RingFault::Request(
                "console output of more than 256 KiB at once",
            ));
        }
        while self.sent_bytes < total {
            if !self.has_room() {
                return Ok(Drained::Stalled);
            }
            let mut chunk = [0; CHUNK_BYTES];
            let have = self.chain.read(memory, self.sent_bytes, &mut chunk)?;
            let Ok(bytes) = self.port.write(&chunk[..have]);
            if bytes == 0 {
                return Ok(Drained::Stalled);
            }
            self.sent_bytes += bytes as u64;
        }
        Ok(Drained::All)
    }

    fn has_input(&mut self) -> bool {
        let Ok(ready) = self.port.read_ready();
        ready
    }

    fn has_room(&mut self) -> bool {
        let Ok(ready) = self.port.write_ready();
        ready
    }
}

/// How far the output of a buffer got.
enum Drained {
    All,
    Stalled,
}

impl Device for Console {
    fn device_type(&self) -> DeviceType {
        DeviceType::Console
    }

    fn kind(&self) -> &'static str {
        "virtio-console"
    }

    fn features(&self) -> Features {
        SIZE | EMERGENCY_WRITE
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE, QUEUE_SIZE]
    }

    fn config_read(&self, offset: u64, into: &mut [u8]) {
        let config = Config {
            columns: self.size.columns,
            rows: self.size.rows,
            max_ports: 1,
            emergency: 0,
        };
        let from = config.as_bytes().iter().skip(offset as usize);
        for (into, &from) in into.iter_mut().zip(from) {
            *into = from;
        }
    }

    fn config_write(&mut self, offset: u64, from: &[u8]) {
        if let (EMERGENCY_OFFSET, Some(&byte)) = (offset, from.first())
            && self.has_room()
        {
            let Ok(_) = self.port.write(&[byte]);
        }
    }

    fn queue_notify(&mut self, index: usize, queues: &mut Queues, context: &mut Context<'_>) {
        if index == INPUT {
            self.receive(queues, context.memory);
        } else {
            queues.open(OUTPUT, context.memory);
            self.send(queues, context.memory);
        }
    }

    fn poll(&mut self, queues: &mut Queues, context: &mut Context<'_>) {
        self.send(queues, context.memory);
        self.receive(queues, context.memory);
    }

    fn reset(&mut self) {
        self.sent_bytes = 0;
    }

    fn save(&self) -> Vec<u8> {
        let saved = Saved {
            version: VERSION,
            sent_bytes: self.sent_bytes,
        };
        postcard::to_allocvec(&saved).expect("writing to memory does not fail")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let saved: Saved = postcard::from_bytes(saved)
            .map_err(|error| RestoreError(format!("virtio-console: unreadable state: {error}")))?;
        if saved.version != VERSION {
            return Err(RestoreError(format!(
                "virtio-console: found state version {}, want {VERSION}",
                saved.version
            )));
        }
        self.sent_bytes = saved.sent_bytes;
        Ok(())
    }
}

/// The device's state. Bytes in the back end are the back end's.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u16,
    sent_bytes: u64,
}
