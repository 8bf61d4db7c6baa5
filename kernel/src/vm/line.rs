//! The guest's console line, shared by its first serial port and its virtio console.
//!
//! What either writes goes to the one console of the host. What is typed goes to the one that wrote last: that is where the guest's prompt
//! stands.

use crate::console::bytes::GuestEnd;
use alloc::sync::Arc;
use core::convert::Infallible;
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use spin::Mutex;

struct Shared {
    end: GuestEnd,
    speaker: u8,
}

/// One user of the line. Its devices are called under the board's lock, so the lock here is never contended.
pub struct Share {
    shared: Arc<Mutex<Shared>>,
    number: u8,
}

/// Two shares of a line; the first one has the input until the second writes.
pub fn share(end: GuestEnd) -> (Share, Share) {
    let shared = Arc::new(Mutex::new(Shared { end, speaker: 0 }));
    (
        Share {
            shared: shared.clone(),
            number: 0,
        },
        Share { shared, number: 1 },
    )
}

impl ErrorType for Share {
    type Error = Infallible;
}

impl Read for Share {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        let mut shared = self.shared.lock();
        if shared.speaker == self.number {
            shared.end.read(into)
        } else {
            Ok(0)
        }
    }
}

impl ReadReady for Share {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        let mut shared = self.shared.lock();
        Ok(shared.speaker == self.number && shared.end.read_ready()?)
    }
}

impl Write for Share {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let mut shared = self.shared.lock();
        shared.speaker = self.number;
        shared.end.write(bytes)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        self.shared.lock().end.flush()
    }
}

impl WriteReady for Share {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        self.shared.lock().end.write_ready()
    }
}
