//! The guest's serial line for those who follow it over the network, beside COM1.
//!
//! What the guest writes goes into a ring as COM1 takes it; each follower has a place in it. One who is slow loses what the ring no
//! longer has, and is told how much: nobody holds up the guest or another. What they type waits for the guest in one short queue.

use super::bytes::HostEnd;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use heapless::Deque;
use spin::Mutex;

/// Bytes that a follower may be behind.
const RING_BYTES: usize = 16 * 1024;
/// Typed bytes that may wait.
const TYPED_BYTES: usize = 256;

/// A line that many follow. Only tasks touch it, so its lock is never contended.
pub struct Fanout {
    followers: AtomicUsize,
    state: Mutex<State>,
    wakers: Wakers,
}

/// Whom to wake.
#[derive(Clone, Copy)]
pub struct Wakers {
    /// Those who follow: there is more.
    pub followers: fn(),
    /// The console service: somebody typed.
    pub console: fn(),
}

struct State {
    /// Empty before there may be followers.
    ring: Vec<u8>,
    /// Bytes that were ever put in.
    end: u64,
    typed: Deque<u8, TYPED_BYTES>,
}

impl Fanout {
    /// A line that nobody can follow yet.
    pub const fn new(wakers: Wakers) -> Self {
        Self {
            followers: AtomicUsize::new(0),
            state: Mutex::new(State {
                ring: Vec::new(),
                end: 0,
                typed: Deque::new(),
            }),
            wakers,
        }
    }

    /// Takes the memory that followers need.
    pub fn prepare(&self) {
        self.state.lock().ring.resize(RING_BYTES, 0);
    }

    /// Somebody follows from now on.
    pub fn follow(&'static self) -> Follower {
        self.followers.fetch_add(1, Ordering::Relaxed);
        Follower {
            line: self,
            at: self.state.lock().end,
            notice: Notice::default(),
        }
    }

    /// The guest wrote this.
    fn put(&self, byte: u8) {
        if self.followers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut state = self.state.lock();
        let length = state.ring.len() as u64;
        if length > 0 {
            let place = (state.end % length) as usize;
            state.ring[place] = byte;
            state.end += 1;
        }
    }

    fn take_typed(&self) -> Option<u8> {
        if self.followers.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.state.lock().typed.pop_front()
    }
}

/// Somebody who follows.
pub struct Follower {
    line: &'static Fanout,
    /// The number of the byte that comes next.
    at: u64,
    notice: Notice,
}

/// Text about bytes that are lost, on its way.
type Notice = Deque<u8, 48>;

impl Follower {
    /// Whether there is room for a typed byte.
    pub fn is_ready(&self) -> bool {
        !self.line.state.lock().typed.is_full()
    }

    /// Types a byte; without room it is lost.
    pub fn typed(&mut self, byte: u8) {
        // As said.
        let _ = self.line.state.lock().typed.push_back(byte);
        (self.line.wakers.console)();
    }

    /// The next byte.
    pub fn next_byte(&mut self) -> Option<u8> {
        if let Some(byte) = self.notice.pop_front() {
            return Some(byte);
        }
        let state = self.line.state.lock();
        let oldest = state.end.saturating_sub(state.ring.len() as u64);
        if self.at < oldest {
            let lost = oldest - self.at;
            self.at = oldest;
            drop(state);
            let text = alloc::format!("\r\n[{lost} bytes were not kept]\r\n");
            // Shorter than the room for it.
            text.bytes()
                .for_each(|byte| _ = self.notice.push_back(byte));
            return self.notice.pop_front();
        }
        if self.at == state.end {
            return None;
        }
        let byte = state.ring[(self.at % state.ring.len() as u64) as usize];
        self.at += 1;
        Some(byte)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if self.line.followers.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Nobody answers for what the last one left behind.
            self.line.state.lock().typed.clear();
        }
    }
}

/// The services' end of the guest's line, with a share for those who follow.
pub struct Tap {
    end: HostEnd,
    line: &'static Fanout,
    /// Something was put in since followers were woken.
    news: bool,
}

impl Tap {
    /// Taps a line.
    pub fn new(end: HostEnd, line: &'static Fanout) -> Self {
        Self {
            end,
            line,
            news: false,
        }
    }

    /// The next byte of the guest's output.
    pub fn read_byte(&mut self) -> Option<u8> {
        let byte = self.end.read_byte()?;
        self.line.put(byte);
        self.news = true;
        Some(byte)
    }

    /// As [`HostEnd::input_ready`].
    pub fn input_ready(&self, bytes: usize) -> bool {
        self.end.input_ready(bytes)
    }

    /// As [`HostEnd::write_byte`].
    pub fn write_byte(&mut self, byte: u8) -> bool {
        self.end.write_byte(byte)
    }

    /// Gives the guest what followers typed, as far as there is room, and wakes them for what it wrote, and for the room.
    pub fn settle(&mut self) {
        let mut taken = false;
        while self.end.input_ready(2)
            && let Some(byte) = self.line.take_typed()
        {
            // There is room.
            let _ = self.end.write_byte(byte);
            taken = true;
        }
        if core::mem::take(&mut self.news) | taken
            && self.line.followers.load(Ordering::Relaxed) > 0
        {
            (self.line.wakers.followers)();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::bytes;
    use embedded_io::{Read, Write};
    use std::boxed::Box;

    fn bench() -> (bytes::GuestEnd, Tap, &'static Fanout) {
        let nobody = || ();
        let (guest, host) = bytes::line(bytes::Wakers {
            service: nobody,
            guest: nobody,
        });
        let line: &'static Fanout = Box::leak(Box::new(Fanout::new(Wakers {
            followers: nobody,
            console: nobody,
        })));
        line.prepare();
        (guest, Tap::new(host, line), line)
    }

    fn drain(follower: &mut Follower) -> Vec<u8> {
        core::iter::from_fn(|| follower.next_byte()).collect()
    }

    #[test]
    fn followers_see_what_comes_after_them() {
        let (mut guest, mut tap, line) = bench();
        guest.write_all(b"before").unwrap();
        while tap.read_byte().is_some() {}
        let mut one = line.follow();
        guest.write_all(b"login: ").unwrap();
        let mut seen = Vec::new();
        while let Some(byte) = tap.read_byte() {
            seen.push(byte);
        }
        assert_eq!(seen, b"login: ");
        let mut late = line.follow();
        assert_eq!(drain(&mut one), b"login: ");
        assert_eq!(drain(&mut late), b"");
    }

    #[test]
    fn one_who_does_not_read_loses_and_holds_up_nobody() {
        let (mut guest, mut tap, line) = bench();
        let mut slow = line.follow();
        for _ in 0..2 * RING_BYTES {
            assert_eq!(guest.write(b"x"), Ok(1));
            assert_eq!(tap.read_byte(), Some(b'x'));
        }
        let seen = drain(&mut slow);
        assert!(seen.starts_with(b"\r\n[16384 bytes were not kept]\r\nx"));
        assert!(seen.len() < RING_BYTES + 48);
    }

    #[test]
    fn what_is_typed_waits_for_the_guest() {
        let (mut guest, mut tap, line) = bench();
        let mut follower = line.follow();
        let mut typed = 0;
        for _ in 0..10 {
            while follower.is_ready() {
                follower.typed(b'k');
                typed += 1;
            }
            tap.settle();
        }
        let mut got = [0; 4096];
        let mut read = 0;
        while read < typed {
            let length = guest.read(&mut got).unwrap();
            assert!(length > 0, "{read} of {typed}");
            read += length;
            tap.settle();
        }
        follower.typed(b'k');
        drop(follower);
        tap.settle();
        assert_eq!(guest.read(&mut got), Ok(0));
    }
}
