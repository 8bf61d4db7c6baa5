//! Requests that a back end has not finished.

use super::bits::Status;
use crate::queue::{Head, MAX_SIZE};
use alloc::boxed::Box;
use alloc::vec;
use guest_mem::Gpa;

/// What is to happen when the current step of a request succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Flush the medium: a write while the cache is off.
    Flush,
    /// Answer the driver.
    Answer,
}

/// One request under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) head: Head,
    /// Where the status byte goes.
    pub(super) status: Gpa,
    /// Writable bytes before the status byte.
    pub(super) room: u32,
    /// How many of them are written if it succeeds.
    pub(super) written: u32,
    pub(super) then: Then,
}

impl Flight {
    /// The used length: how many bytes are written without a gap from the first on (2.7.8.2). The status byte comes last,
    /// so it counts only where all before it was written; a failed request's data was not, as far as we promise.
    #[inline]
    pub(super) fn used_bytes(&self, status: Status) -> u32 {
        let written = match status {
            Status::Ok => self.written,
            Status::IoError | Status::Unsupported => 0,
        };
        if written == self.room {
            written.saturating_add(1)
        } else {
            written
        }
    }
}

/// All of them, by head. A token names the head and the era: a reset starts a new era, so answers to requests that
/// the driver has forgotten are told apart from answers to its new ones.
#[derive(Debug)]
pub(super) struct Flights {
    slots: Box<[Option<Flight>]>,
    era: u64,
    /// Requests of past eras that the back end still has.
    stale: usize,
}

/// Bits of a token that hold the head.
const HEAD_BITS: u32 = 16;

impl Flights {
    pub(super) fn new() -> Self {
        let mut slots = vec![];
        slots.resize_with(usize::from(MAX_SIZE), || None);
        Self {
            slots: slots.into_boxed_slice(),
            era: 0,
            stale: 0,
        }
    }

    /// The token for a request.
    #[inline]
    pub(super) fn token(&self, head: &Head) -> u64 {
        self.era << HEAD_BITS | u64::from(head.index())
    }

    /// Keeps a request until it lands; gives it back if its head is under way already.
    pub(super) fn depart(&mut self, flight: Flight) -> Result<(), Flight> {
        match self.slots.get_mut(usize::from(flight.head.index())) {
            Some(slot @ None) => {
                *slot = Some(flight);
                Ok(())
            }
            _ => Err(flight),
        }
    }

    /// The request that a token names; `None` for one of a past era.
    pub(super) fn land(&mut self, token: u64) -> Option<Flight> {
        if token >> HEAD_BITS != self.era {
            self.stale = self.stale.saturating_sub(1);
            return None;
        }
        self.slots.get_mut(usize::from(token as u16))?.take()
    }

    /// Heads of the requests under way.
    pub(super) fn heads(&self) -> impl Iterator<Item = u16> + '_ {
        self.slots
            .iter()
            .flatten()
            .map(|flight| flight.head.index())
    }

    /// Forgets all requests.
    pub(super) fn forget(&mut self) {
        self.stale += self.heads().count();
        self.slots.fill_with(|| None);
        self.era = self.era.wrapping_add(1);
    }

    /// Whether the back end still has forgotten ones.
    pub(super) fn stale(&self) -> bool {
        self.stale != 0
    }
}
