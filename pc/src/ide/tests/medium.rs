//! A back end in memory that answers at once or when it is told to, and fails on request.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use guest_mem::GuestMemory;
use hvm::backend::{Block, BlockError, SECTOR_BYTES, Segment, Submitted, Transfer};
use std::sync::Mutex;

/// When requests are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pace {
    #[default]
    AtOnce,
    /// When [`Desk::finish`] is called.
    Later,
}

/// The far side of a medium.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) bytes: Vec<u8>,
    pub(super) pace: Pace,
    /// What the next requests fail with.
    pub(super) failure: Option<BlockError>,
    /// Names of all requests so far.
    pub(super) asked: Vec<&'static str>,
    waiting: VecDeque<u64>,
    finished: VecDeque<u64>,
    /// The token of a read whose data is ready.
    ready: Option<u64>,
    read_only: bool,
}

impl Desk {
    /// Finishes the oldest request that waits; false if there is none.
    pub(super) fn finish(&mut self) -> bool {
        let Some(token) = self.waiting.pop_front() else {
            return false;
        };
        self.ready = Some(token);
        self.finished.push_back(token);
        true
    }

    fn answer(
        &mut self,
        name: &'static str,
        token: u64,
        result: Result<(), BlockError>,
    ) -> Submitted {
        self.asked.push(name);
        match self.pace {
            Pace::AtOnce => Submitted::Done(self.failure.map_or(result, Err)),
            Pace::Later => {
                self.waiting.push_back(token);
                Submitted::Pending
            }
        }
    }

    fn extent(&mut self, sector: u64, bytes: usize) -> Result<&mut [u8], BlockError> {
        let start = (sector as usize).saturating_mul(SECTOR_BYTES as usize);
        self.bytes
            .get_mut(start..start.saturating_add(bytes))
            .ok_or(BlockError::OutOfRange)
    }
}

/// The near side.
#[derive(Clone)]
pub(crate) struct Medium(pub(super) Arc<Mutex<Desk>>);

impl Medium {
    /// So many bytes, every one the low byte of its sector's number plus its place in the sector.
    pub(crate) fn new(bytes: usize) -> Self {
        let bytes = (0..bytes).map(|at| expected(at / 512, at % 512)).collect();
        Self(Arc::new(Mutex::new(Desk {
            bytes,
            ..Desk::default()
        })))
    }

    pub(crate) fn read_only(bytes: usize) -> Self {
        let medium = Self::new(bytes);
        medium.0.lock().unwrap().read_only = true;
        medium
    }

    pub(crate) fn boxed(&self) -> Box<dyn Block> {
        Box::new(self.clone())
    }

    pub(super) fn set_pace(&self, pace: Pace) {
        self.0.lock().unwrap().pace = pace;
    }

    pub(super) fn finish(&self) -> bool {
        self.0.lock().unwrap().finish()
    }

    pub(super) fn asked(&self) -> Vec<&'static str> {
        core::mem::take(&mut self.0.lock().unwrap().asked)
    }

    /// Contents from a sector on.
    pub(super) fn contents(&self, sector: usize, bytes: usize) -> Vec<u8> {
        self.0.lock().unwrap().bytes[sector * 512..][..bytes].to_vec()
    }
}

/// What a new medium has at a place.
pub(super) fn expected(sector: usize, at: usize) -> u8 {
    (sector * 3 + at) as u8
}

/// Contents of a new medium from a sector on.
pub(crate) fn pattern(sector: usize, bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|at| expected(sector + at / 512, at % 512))
        .collect()
}

impl Block for Medium {
    fn sectors(&self) -> u64 {
        self.0.lock().unwrap().bytes.len() as u64 / SECTOR_BYTES
    }

    fn read_only(&self) -> bool {
        self.0.lock().unwrap().read_only
    }

    fn transfer(
        &mut self,
        direction: Transfer,
        sector: u64,
        segments: &[Segment],
        memory: &GuestMemory,
        token: u64,
    ) -> Submitted {
        let mut desk = self.0.lock().unwrap();
        let total = segments.iter().map(|segment| segment.bytes as usize).sum();
        assert_eq!(total % 512, 0, "whole sectors");
        let refused = direction == Transfer::Write && desk.read_only;
        let result = desk.extent(sector, total).and_then(|mut rest| {
            for segment in segments {
                let (now, later) = rest.split_at_mut(segment.bytes as usize);
                match direction {
                    _ if refused => return Err(BlockError::ReadOnly),
                    Transfer::Read => memory.write(segment.gpa, now),
                    Transfer::Write => memory.read(segment.gpa, now),
                }
                .map_err(|_| BlockError::BadMemory)?;
                rest = later;
            }
            Ok(())
        });
        desk.answer("transfer", token, result)
    }

    fn read(&mut self, sector: u64, into: &mut [u8], token: u64) -> Submitted {
        let mut desk = self.0.lock().unwrap();
        assert_eq!(into.len() % 512, 0, "whole sectors");
        let ready = desk.ready.take().is_some();
        if desk.pace == Pace::Later && !ready {
            return desk.answer("read", token, Ok(()));
        }
        let result = desk
            .extent(sector, into.len())
            .map(|extent| into.copy_from_slice(extent));
        Submitted::Done(desk.failure.map_or(result, Err))
    }

    fn write(&mut self, sector: u64, from: &[u8], token: u64) -> Submitted {
        let mut desk = self.0.lock().unwrap();
        assert_eq!(from.len() % 512, 0, "whole sectors");
        let result = if desk.read_only {
            Err(BlockError::ReadOnly)
        } else {
            desk.extent(sector, from.len())
                .map(|extent| extent.copy_from_slice(from))
        };
        desk.answer("write", token, result)
    }

    fn flush(&mut self, token: u64) -> Submitted {
        self.0.lock().unwrap().answer("flush", token, Ok(()))
    }

    fn completed(&mut self) -> Option<(u64, Result<(), BlockError>)> {
        let mut desk = self.0.lock().unwrap();
        let token = desk.finished.pop_front()?;
        Some((token, desk.failure.map_or(Ok(()), Err)))
    }
}
