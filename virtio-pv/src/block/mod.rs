//! The block device (virtio 1.2, section 5.2), on any [`Block`] back end.
//!
//! It guarantees to the driver that a request is answered once its data has moved, and to the back end that it sees
//! only whole sectors on the medium. Data moves between medium and guest memory with no copy in between. Discard and write-zeroes
//! are not offered.

mod bits;
mod flight;
mod request;

use crate::device::{Device, DeviceType};
use crate::features::Features;
use crate::queue::{Chain, Head, MAX_SIZE, Queues, RingFault};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use bits::{Config, ID_BYTES, Status};
use flight::{Flight, Flights, Then};
use guest_mem::GuestMemory;
use hvm::backend::{Block, BlockError, SECTOR_BYTES, Submitted, Transfer};
use hvm::device::{Context, RestoreError};
use request::{Operation, Request, extent};
use serde::{Deserialize, Serialize};
use zerocopy::{FromZeros, IntoBytes};

/// The one queue.
const REQUESTS: usize = 0;
/// Version of [`Saved`].
const VERSION: u16 = 1;

/// Whether a finished write is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Cache {
    /// After a flush.
    WriteBack,
    /// At once: each write is followed by a flush.
    WriteThrough,
}

/// A disk.
pub struct Disk {
    medium: Box<dyn Block>,
    id: [u8; ID_BYTES],
    negotiated: Features,
    cache: Cache,
    chain: Chain,
    flights: Flights,
    /// Heads that were under way when the state was saved; to be started over.
    replay: Vec<u16>,
}

impl Disk {
    /// A disk on `medium`. `id` is what the driver reads as its serial number: its first 20 bytes.
    pub fn new(medium: Box<dyn Block>, id: &str) -> Self {
        let mut bytes = [0; ID_BYTES];
        for (into, from) in bytes.iter_mut().zip(id.bytes()) {
            *into = from;
        }
        Self {
            medium,
            id: bytes,
            negotiated: Features::empty(),
            cache: Cache::WriteBack,
            chain: Chain::new(),
            flights: Flights::new(),
            replay: Vec::new(),
        }
    }

    /// Carries out the request in `self.chain`.
    fn serve(&mut self, head: Head, queues: &mut Queues, memory: &GuestMemory) {
        let request = match Request::parse(&mut self.chain, memory) {
            Ok(request) => request,
            Err(fault) => return queues.fail(fault),
        };
        let mut flight = Flight {
            head,
            status: request.status,
            room: u32::try_from(self.chain.writable_bytes()).unwrap_or(u32::MAX),
            written: 0,
            then: Then::Answer,
        };
        let submitted = match request.operation {
            Operation::Read => self.transfer(Transfer::Read, request.sector, &mut flight, memory),
            Operation::Write => self.transfer(Transfer::Write, request.sector, &mut flight, memory),
            Operation::Flush => self.medium.flush(self.flights.token(&flight.head)),
            Operation::Identify => match self.chain.write(memory, 0, &self.id) {
                Ok(bytes) => {
                    flight.written = bytes as u32;
                    Submitted::Done(Ok(()))
                }
                Err(_) => Submitted::Done(Err(BlockError::BadMemory)),
            },
            Operation::Unknown => return answer(flight, Status::Unsupported, queues, memory),
        };
        self.advance(flight, submitted, queues, memory);
    }

    #[inline]
    fn transfer(
        &mut self,
        direction: Transfer,
        sector: u64,
        flight: &mut Flight,
        memory: &GuestMemory,
    ) -> Submitted {
        let (bytes, segments) = match direction {
            Transfer::Read => (self.chain.writable_bytes(), self.chain.writable()),
            Transfer::Write => (self.chain.readable_bytes(), self.chain.readable()),
        };
        let Some(bytes) = extent(sector, bytes, self.medium.sectors()) else {
            return Submitted::Done(Err(BlockError::OutOfRange));
        };
        match direction {
            Transfer::Read => flight.written = bytes,
            Transfer::Write if self.medium.read_only() => {
                return Submitted::Done(Err(BlockError::ReadOnly));
            }
            Transfer::Write if self.cache == Cache::WriteThrough => flight.then = Then::Flush,
            Transfer::Write => {}
        }
        let token = self.flights.token(&flight.head);
        self.medium
            .transfer(direction, sector, segments, memory, token)
    }

    /// Takes a request on from what the back end said, to its answer or until the back end says more.
    fn advance(
        &mut self,
        mut flight: Flight,
        mut submitted: Submitted,
        queues: &mut Queues,
        memory: &GuestMemory,
    ) {
        if submitted == Submitted::Done(Ok(())) && flight.then == Then::Flush {
            flight.then = Then::Answer;
            submitted = self.medium.flush(self.flights.token(&flight.head));
        }
        match submitted {
            Submitted::Done(Ok(())) => answer(flight, Status::Ok, queues, memory),
            Submitted::Done(Err(_)) => answer(flight, Status::IoError, queues, memory),
            Submitted::Pending => {
                if self.flights.depart(flight).is_err() {
                    queues.fail(RingFault::Request("a disk request while it was under way"));
                }
            }
        }
    }

    /// Starts over what was under way when the state was saved; mostly nothing.
    #[inline]
    fn replay(&mut self, queues: &mut Queues, memory: &GuestMemory) {
        if !self.replay.is_empty() {
            self.replay_all(queues, memory);
        }
    }

    #[cold]
    fn replay_all(&mut self, queues: &mut Queues, memory: &GuestMemory) {
        for head in core::mem::take(&mut self.replay) {
            if let Some(head) = queues.retake(REQUESTS, memory, head, &mut self.chain) {
                self.serve(head, queues, memory);
            }
        }
    }

    fn config(&self) -> Config {
        Config {
            capacity: self.medium.sectors(),
            seg_max: u32::from(MAX_SIZE) - 2,
            block_bytes: SECTOR_BYTES as u32,
            writeback: u8::from(self.cache == Cache::WriteBack),
            ..Config::new_zeroed()
        }
    }
}

/// Writes the status byte and gives the chain back.
#[inline]
fn answer(flight: Flight, status: Status, queues: &mut Queues, memory: &GuestMemory) {
    if let Err(unmapped) = memory.store(flight.status, &(status as u8)) {
        return queues.fail(unmapped.into());
    }
    let bytes = flight.used_bytes(status);
    queues.complete(REQUESTS, memory, flight.head, bytes);
}

impl Device for Disk {
    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }

    fn kind(&self) -> &'static str {
        "virtio-block"
    }

    fn features(&self) -> Features {
        let all = bits::SEG_MAX | bits::BLOCK_SIZE | bits::FLUSH | bits::CONFIG_CACHE;
        if self.medium.read_only() {
            all | bits::READ_ONLY
        } else {
            all
        }
    }

    fn queue_sizes(&self) -> &[u16] {
        &[MAX_SIZE]
    }

    /// A driver that cannot flush must find every finished write durable (5.2.5.2).
    fn negotiated(&mut self, features: Features) {
        self.negotiated = features;
        self.cache = if features.contains(bits::FLUSH) {
            Cache::WriteBack
        } else {
            Cache::WriteThrough
        };
    }

    fn config_read(&self, offset: u64, into: &mut [u8]) {
        let config = self.config();
        let from = config.as_bytes().iter().skip(offset as usize);
        for (into, &from) in into.iter_mut().zip(from) {
            *into = from;
        }
    }

    fn config_write(&mut self, offset: u64, from: &[u8]) {
        let allowed = self.negotiated.contains(bits::CONFIG_CACHE | bits::FLUSH);
        if let (bits::WRITEBACK_OFFSET, [value], true) = (offset, from, allowed) {
            self.cache = match value {
                0 => Cache::WriteThrough,
                _ => Cache::WriteBack,
            };
        }
    }

    #[inline]
    fn queue_notify(&mut self, _: usize, queues: &mut Queues, context: &mut Context<'_>) {
        let memory = context.memory;
        self.replay(queues, memory);
        queues.open(REQUESTS, memory);
        while let Some(head) = queues.take(REQUESTS, memory, &mut self.chain) {
            self.serve(head, queues, memory);
        }
    }

    fn poll(&mut self, queues: &mut Queues, context: &mut Context<'_>) {
        self.replay(queues, context.memory);
        while let Some((token, result)) = self.medium.completed() {
            if let Some(flight) = self.flights.land(token) {
                self.advance(flight, Submitted::Done(result), queues, context.memory);
            }
        }
    }

    fn reset(&mut self) {
        self.flights.forget();
        self.replay.clear();
        self.negotiated = Features::empty();
        self.cache = Cache::WriteBack;
    }

    fn quiescent(&mut self) -> bool {
        while self.flights.stale()
            && let Some((token, _)) = self.medium.completed()
        {
            self.flights.land(token);
        }
        !self.flights.stale()
    }

    fn save(&self) -> Vec<u8> {
        let saved = Saved {
            version: VERSION,
            sectors: self.medium.sectors(),
            negotiated: self.negotiated.bits(),
            cache: self.cache,
            under_way: self
                .replay
                .iter()
                .copied()
                .chain(self.flights.heads())
                .collect(),
        };
        postcard::to_allocvec(&saved).expect("writing to memory does not fail")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let saved: Saved = postcard::from_bytes(saved)
            .map_err(|error| RestoreError(format!("virtio-block: unreadable state: {error}")))?;
        if saved.version != VERSION {
            return Err(RestoreError(format!(
                "virtio-block: found state version {}, want {VERSION}",
                saved.version
            )));
        }
        if saved.sectors != self.medium.sectors() {
            return Err(RestoreError(format!(
                "virtio-block: the state was saved with a disk of {} sectors, this one has {}",
                saved.sectors,
                self.medium.sectors()
            )));
        }
        if saved.under_way.len() > usize::from(MAX_SIZE) {
            return Err(RestoreError(format!(
                "virtio-block: {} requests under way, the queue holds {MAX_SIZE}",
                saved.under_way.len()
            )));
        }
        self.flights.forget();
        self.negotiated = Features::from_bits_retain(saved.negotiated);
        self.cache = saved.cache;
        self.replay = saved.under_way;
        Ok(())
    }
}

/// The device's state. The medium's contents travel on their own.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u16,
    sectors: u64,
    negotiated: u64,
    cache: Cache,
    under_way: Vec<u16>,
}
