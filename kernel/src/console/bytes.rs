//! The guest's serial line: two byte queues between the vCPU's CPU and the console service.
//!
//! [`line`] makes both ends. Neither ever blocks or takes a lock. The guest's end never loses a byte of output: while the queue is
//! full it is not ready for writing, and the emulated UART shows its transmitter as busy until the service has
//! made room and called the guest's kick.

use alloc::{boxed::Box, sync::Arc};
use core::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering},
};
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use heapless::spsc::{Consumer, Producer, Queue};

/// Bytes of guest output that may wait for the service.
const OUTPUT_BYTES: usize = 4096;
/// Bytes of input that may wait for the guest.
const INPUT_BYTES: usize = 256;

/// Whom to wake at the two ends.
#[derive(Clone, Copy)]
pub struct Wakers {
    /// Called by the guest's end when there is new output, when it found no room for more, or when there is room for
    /// input that was missing. Runs on the exit path: it may send an interrupt, and nothing slower.
    pub service: fn(),
    /// Called by the service's end when there is new input, or room for output that was missing: brings the vCPU out of
    /// the guest to poll its devices.
    pub guest: fn(),
}

/// What each end could not do for lack of room, and whether the service's end still exists.
#[derive(Default)]
struct Shared {
    guest_starved: AtomicBool,
    service_starved: AtomicBool,
    closed: AtomicBool,
}

/// The guest's end, a back end for an emulated serial port.
pub struct GuestEnd {
    output: Producer<'static, u8>,
    input: Consumer<'static, u8>,
    shared: Arc<Shared>,
    wake: fn(),
}

/// The service's end.
pub struct HostEnd {
    output: Consumer<'static, u8>,
    input: Producer<'static, u8>,
    shared: Arc<Shared>,
    wake: fn(),
}

/// A new serial line. Its queues live as long as the machine.
pub fn line(wakers: Wakers) -> (GuestEnd, HostEnd) {
    let (output_in, output_out) = Box::leak(Box::new(Queue::<u8, OUTPUT_BYTES>::new())).split();
    let (input_in, input_out) = Box::leak(Box::new(Queue::<u8, INPUT_BYTES>::new())).split();
    let shared = Arc::new(Shared::default());
    (
        GuestEnd {
            output: output_in,
            input: input_out,
            shared: shared.clone(),
            wake: wakers.service,
        },
        HostEnd {
            output: output_out,
            input: input_in,
            shared,
            wake: wakers.guest,
        },
    )
}

/// Notes that an end found no room, then looks again, so that room made in between is not slept through. The fences
/// order the note before the second look, here, and the room before the look at the note, in [`relieve`].
fn starve(flag: &AtomicBool, ready: impl Fn() -> bool) -> bool {
    flag.store(true, Ordering::SeqCst);
    core::sync::atomic::fence(Ordering::SeqCst);
    ready()
}

fn relieve(flag: &AtomicBool) -> bool {
    core::sync::atomic::fence(Ordering::SeqCst);
    flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::SeqCst)
}

impl GuestEnd {
    /// Whether a byte of output is taken now. If not, a kick will follow.
    #[inline]
    pub fn output_ready(&self) -> bool {
        self.output.ready() || self.output_ready_after_all()
    }

    /// A guest that polls a full queue wakes the service each time. The service must not depend on an interrupt that
    /// breaks into guest code: Bochs 2.7 holds those back while a guest on AMD-V has its own interrupts off.
    #[cold]
    fn output_ready_after_all(&self) -> bool {
        let ready = starve(&self.shared.guest_starved, || {
            self.output.ready() || self.shared.closed.load(Ordering::Relaxed)
        });
        if !ready {
            (self.wake)();
        }
        ready
    }

    /// Puts bytes into the queue, as many as fit; returns how many.
    fn send(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        for &byte in bytes {
            if !self.output_ready() {
                break;
            }
            // Fails only when nobody is there to read it.
            let _ = self.output.enqueue(byte);
            sent += 1;
        }
        if sent > 0 {
            (self.wake)();
        }
        sent
    }

    /// Takes input out of the queue; returns how many bytes.
    fn receive(&mut self, into: &mut [u8]) -> usize {
        let mut received = 0;
        while let Some(place) = into.get_mut(received)
            && let Some(byte) = self.input.dequeue()
        {
            *place = byte;
            received += 1;
        }
        if received > 0 && relieve(&self.shared.service_starved) {
            (self.wake)();
        }
        received
    }
}

impl HostEnd {
    /// The next byte of the guest's output.
    pub fn read_byte(&mut self) -> Option<u8> {
        let byte = self.output.dequeue();
        if byte.is_some() && relieve(&self.shared.guest_starved) {
            (self.wake)();
        }
        byte
    }

    /// Whether there is room for `bytes` bytes of input. If not, the service is woken when the guest takes some.
    pub fn input_ready(&self, bytes: usize) -> bool {
        let ready = || self.input.capacity() - self.input.len() >= bytes;
        ready() || starve(&self.shared.service_starved, ready)
    }

    /// Gives the guest a byte; `false` if there was no room.
    pub fn write_byte(&mut self, byte: u8) -> bool {
        let taken = self.input.enqueue(byte).is_ok();
        if taken {
            (self.wake)();
        }
        taken
    }
}

impl Drop for HostEnd {
    /// Nobody reads any more: the guest's output is dropped from now on.
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        if relieve(&self.shared.guest_starved) {
            (self.wake)();
        }
    }
}

impl ErrorType for GuestEnd {
    type Error = Infallible;
}

impl Read for GuestEnd {
    /// Never blocks: 0 means that there is no input now.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        Ok(self.receive(into))
    }
}

impl ReadReady for GuestEnd {
    #[inline]
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.input.ready())
    }
}

impl Write for GuestEnd {
    /// Never blocks: 0 means that there is no room now.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        Ok(self.send(bytes))
    }

    /// The service drains the queue by itself.
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl WriteReady for GuestEnd {
    #[inline]
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.output_ready())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;
    use std::{thread, vec::Vec};

    fn nobody() {}

    const QUIET: Wakers = Wakers {
        service: nobody,
        guest: nobody,
    };

    #[test]
    fn bytes_pass_in_both_directions() {
        let (mut guest, mut host) = line(QUIET);
        assert_eq!(guest.write(b"login:"), Ok(6));
        assert_eq!(
            core::iter::from_fn(|| host.read_byte()).collect::<Vec<_>>(),
            b"login:"
        );
        assert!(host.write_byte(b'r'));
        assert_eq!(guest.read_ready(), Ok(true));
        let mut buffer = [0; 4];
        assert_eq!(guest.read(&mut buffer), Ok(1));
        assert_eq!(buffer[0], b'r');
        assert_eq!(guest.read(&mut buffer), Ok(0));
    }

    #[test]
    fn a_full_queue_is_not_ready_and_room_kicks_the_guest() {
        static KICKS: AtomicUsize = AtomicUsize::new(0);
        let guest_waker = || {
            KICKS.fetch_add(1, Ordering::Relaxed);
        };
        let (mut guest, mut host) = line(Wakers {
            service: nobody,
            guest: guest_waker,
        });
        let much = [b'x'; 2 * OUTPUT_BYTES];
        let sent = guest.write(&much).unwrap();
        assert!(sent < much.len());
        assert_eq!(guest.write_ready(), Ok(false));
        assert_eq!(KICKS.load(Ordering::Relaxed), 0);
        host.read_byte();
        assert_eq!(KICKS.load(Ordering::Relaxed), 1);
        assert_eq!(guest.write_ready(), Ok(true));
        host.read_byte();
        assert_eq!(KICKS.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_guest_that_polls_a_full_queue_wakes_the_service() {
        static WAKES: AtomicUsize = AtomicUsize::new(0);
        let (mut guest, _host) = line(Wakers {
            service: || {
                WAKES.fetch_add(1, Ordering::Relaxed);
            },
            guest: nobody,
        });
        while guest.write(b"x") == Ok(1) {}
        let before = WAKES.load(Ordering::Relaxed);
        assert_eq!(guest.write_ready(), Ok(false));
        assert_eq!(WAKES.load(Ordering::Relaxed), before + 1);
    }

    #[test]
    fn without_a_reader_the_guest_is_never_held_up() {
        let (mut guest, host) = line(QUIET);
        drop(host);
        let much = [b'x'; 2 * OUTPUT_BYTES];
        assert_eq!(guest.write(&much), Ok(much.len()));
        assert_eq!(guest.write_ready(), Ok(true));
    }

    #[test]
    fn a_full_input_queue_is_told_and_room_wakes_the_service() {
        static WAKES: AtomicUsize = AtomicUsize::new(0);
        let service = || {
            WAKES.fetch_add(1, Ordering::Relaxed);
        };
        let (mut guest, mut host) = line(Wakers {
            service,
            guest: nobody,
        });
        while host.input_ready(2) {
            assert!(host.write_byte(b'i'));
        }
        assert_eq!(WAKES.load(Ordering::Relaxed), 0);
        assert_eq!(guest.read(&mut [0; 8]), Ok(8));
        assert_eq!(WAKES.load(Ordering::Relaxed), 1);
        assert!(host.input_ready(2));
    }

    #[test]
    fn no_byte_is_lost_between_two_cpus() {
        let (mut guest, mut host) = line(QUIET);
        let bytes: Vec<u8> = (0..40_000u32).map(|number| (number % 251) as u8).collect();
        let expected = bytes.clone();
        let writer = thread::spawn(move || {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let sent = guest.write(rest).unwrap();
                rest = &rest[sent..];
                thread::yield_now();
            }
        });
        let mut got = Vec::new();
        while got.len() < expected.len() {
            match host.read_byte() {
                Some(byte) => got.push(byte),
                None => thread::yield_now(),
            }
        }
        writer.join().unwrap();
        assert_eq!(got, expected);
    }
}
