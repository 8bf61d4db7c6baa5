//! Frames for developers: one encoder and one ring per CPU and [`Level`], so that no context ever waits for another.
//!
//! A channel's writer is the one context of its CPU and level; its reader is the service that drains to COM2. A frame appears to the reader
//! when it is complete, and not at all if it did not fit. Nothing here locks or allocates but [`add_cpu`].

use super::level::{self, LEVELS, Level, MAX_CPUS};
use alloc::boxed::Box;
use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
};
use defmt::Encoder;
use spin::Once;

/// Bytes of encoded frames that wait in a channel at most.
const CHANNEL_BYTES: usize = 2048;

/// One context's frames.
struct Channel {
    bytes: [AtomicU8; CHANNEL_BYTES],
    /// How many bytes the reader has taken so far.
    taken: AtomicUsize,
    /// How many bytes of complete frames were written so far.
    complete: AtomicUsize,
    /// How many bytes were written so far. Only the writer's.
    written: AtomicUsize,
    /// How many frames are open: more than one only if the writer was cut off in the middle by an exception of its own.
    open: AtomicU8,
    /// The open frame did not fit.
    spoiled: AtomicBool,
    lost_frames: AtomicU64,
    encoder: UnsafeCell<Encoder>,
}

// SAFETY: all fields are atomic but `encoder`. Only the writer touches that, the one context of this CPU and level; `open` keeps a
// second frame of that context, begun inside the first, away from it.
unsafe impl Sync for Channel {}

impl Channel {
    const fn new() -> Self {
        Self {
            bytes: [const { AtomicU8::new(0) }; CHANNEL_BYTES],
            taken: AtomicUsize::new(0),
            complete: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            open: AtomicU8::new(0),
            spoiled: AtomicBool::new(false),
            lost_frames: AtomicU64::new(0),
            encoder: UnsafeCell::new(Encoder::new()),
        }
    }

    /// Gives the encoder to `encode`, with a way to put encoded bytes into the ring.
    fn encode(&self, encode: impl FnOnce(&mut Encoder, &mut dyn FnMut(&[u8]))) {
        // SAFETY: called by the writer alone, while exactly one frame is open.
        let encoder = unsafe { &mut *self.encoder.get() };
        encode(encoder, &mut |bytes| {
            bytes.iter().for_each(|byte| self.put(*byte))
        });
    }

    fn put(&self, byte: u8) {
        let written = self.written.load(Ordering::Relaxed);
        if written.wrapping_sub(self.taken.load(Ordering::Acquire)) == CHANNEL_BYTES {
            self.spoiled.store(true, Ordering::Relaxed);
            return;
        }
        self.bytes[written % CHANNEL_BYTES].store(byte, Ordering::Relaxed);
        self.written
            .store(written.wrapping_add(1), Ordering::Relaxed);
    }

    fn begin(&self) {
        if self.open.fetch_add(1, Ordering::Relaxed) == 0 {
            self.encode(|encoder, put| encoder.start_frame(put));
        }
    }

    fn write(&self, bytes: &[u8]) {
        if self.open.load(Ordering::Relaxed) == 1 {
            self.encode(|encoder, put| encoder.write(bytes, put));
        }
    }

    fn end(&self) {
        if self.open.load(Ordering::Relaxed) == 1 {
            self.encode(|encoder, put| encoder.end_frame(put));
            if self.spoiled.swap(false, Ordering::Relaxed) {
                self.written
                    .store(self.complete.load(Ordering::Relaxed), Ordering::Relaxed);
                self.lost_frames.fetch_add(1, Ordering::Relaxed);
            } else {
                self.complete
                    .store(self.written.load(Ordering::Relaxed), Ordering::Release);
            }
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Reader: how far complete frames go.
    fn complete(&self) -> usize {
        self.complete.load(Ordering::Acquire)
    }

    /// Reader: the next byte before `end`.
    fn take(&self, end: usize) -> Option<u8> {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken == end {
            return None;
        }
        let byte = self.bytes[taken % CHANNEL_BYTES].load(Ordering::Relaxed);
        self.taken.store(taken.wrapping_add(1), Ordering::Release);
        Some(byte)
    }
}

/// The channels of one CPU, by level.
struct Channels([Channel; LEVELS]);

impl Channels {
    const fn new() -> Self {
        Self([const { Channel::new() }; LEVELS])
    }
}

/// The boot CPU logs before there is a heap.
static BOOT_CPU: Channels = Channels::new();
static OTHERS: [Once<Box<Channels>>; MAX_CPUS] = [const { Once::new() }; MAX_CPUS];
static NEW_FRAMES: Once<fn()> = Once::new();

fn of_cpu(cpu: usize) -> Option<&'static Channels> {
    match cpu {
        0 => Some(&BOOT_CPU),
        _ => OTHERS.get(cpu)?.get().map(|channels| &**channels),
    }
}

fn current() -> Option<&'static Channel> {
    let cpu = super::cpu();
    of_cpu(cpu)?.0.get(level::of(cpu) as usize)
}

/// Makes channels for a CPU; its frames are dropped until then. CPU 0 has them from the start.
pub fn add_cpu(cpu: usize) {
    if let Some(slot) = OTHERS.get(cpu)
        && cpu > 0
    {
        slot.call_once(|| Box::new(Channels::new()));
    }
}

/// Sets the function that is called, outside NMIs, when there is a new frame. Only the first call counts.
pub fn on_new_frames(hook: fn()) {
    NEW_FRAMES.call_once(|| hook);
}

/// How many frames did not fit into their channels.
pub fn lost_frames() -> u64 {
    let channels = (0..MAX_CPUS)
        .filter_map(of_cpu)
        .flat_map(|channels| &channels.0);
    channels
        .map(|channel| channel.lost_frames.load(Ordering::Relaxed))
        .sum()
}

#[defmt::global_logger]
struct Logger;

defmt::timestamp!("{=u64}", crate::time::tsc());

// SAFETY: each context writes to a channel of its own (`current`), and what interrupts it to another.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        if let Some(channel) = current() {
            channel.begin();
        }
    }

    /// Nothing waits for COM2.
    unsafe fn flush() {}

    unsafe fn release() {
        let Some(channel) = current() else { return };
        channel.end();
        // The hook may send an interrupt, as the code that an NMI interrupted may be doing.
        if level::of(super::cpu()) != Level::Nmi
            && let Some(hook) = NEW_FRAMES.get()
        {
            hook();
        }
    }

    unsafe fn write(bytes: &[u8]) {
        if let Some(channel) = current() {
            channel.write(bytes);
        }
    }
}

/// Reads all channels as one stream that changes channels only between frames. There must be one only.
#[derive(Debug, Default)]
pub struct Drain {
    /// Channels are numbered by CPU, then level.
    channel: usize,
    /// How far to read in this one before the next.
    end: usize,
}

impl Drain {
    /// The next byte, if any frame is complete.
    pub fn next_byte(&mut self) -> Option<u8> {
        for _ in 0..=MAX_CPUS * LEVELS {
            if let Some(channel) = self.channel() {
                if let Some(byte) = channel.take(self.end) {
                    return Some(byte);
                }
                self.end = channel.complete();
                if let Some(byte) = channel.take(self.end) {
                    return Some(byte);
                }
            }
            self.go_on();
        }
        None
    }

    fn channel(&self) -> Option<&'static Channel> {
        of_cpu(self.channel / LEVELS)?.0.get(self.channel % LEVELS)
    }

    /// Goes on with the next channel, at which nothing is known to be complete yet.
    fn go_on(&mut self) {
        let cpu = self.channel / LEVELS;
        // CPUs count up without gaps.
        self.channel = if of_cpu(cpu).is_some() {
            self.channel + 1
        } else {
            0
        };
        self.end = self
            .channel()
            .map_or(0, |channel| channel.taken.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn frame(channel: &Channel, bytes: &[u8]) {
        channel.begin();
        channel.write(bytes);
        channel.end();
    }

    fn all(channel: &Channel) -> Vec<u8> {
        let end = channel.complete();
        core::iter::from_fn(|| channel.take(end)).collect()
    }

    #[test]
    fn a_frame_appears_when_it_is_complete() {
        let channel = Channel::new();
        channel.begin();
        channel.write(&[1, 2]);
        assert_eq!(all(&channel), []);
        channel.end();
        let bytes = all(&channel);
        assert_eq!((bytes.first(), bytes.last()), (Some(&0), Some(&0)));
        assert!(bytes.len() > 3);
    }

    #[test]
    fn a_frame_that_does_not_fit_leaves_the_others_whole() {
        let channel = Channel::new();
        frame(&channel, &[7; 100]);
        let first = channel.complete();
        frame(&channel, &[8; CHANNEL_BYTES]);
        assert_eq!(channel.complete(), first);
        assert_eq!(channel.lost_frames.load(Ordering::Relaxed), 1);
        frame(&channel, &[9; 100]);
        let bytes = all(&channel);
        assert!(bytes.contains(&7) && !bytes.contains(&8) && bytes.contains(&9));
    }

    #[test]
    fn a_frame_inside_a_frame_is_dropped() {
        let channel = Channel::new();
        channel.begin();
        channel.write(&[1]);
        frame(&channel, &[2]);
        channel.write(&[3]);
        channel.end();
        let bytes = all(&channel);
        assert!(
            bytes.contains(&1) && !bytes.contains(&2) && bytes.contains(&3),
            "{bytes:?}"
        );
        frame(&channel, &[4]);
        assert!(all(&channel).contains(&4));
    }

    #[test]
    fn the_ring_goes_round() {
        let channel = Channel::new();
        for round in 0..100 {
            frame(&channel, &[round % 5 + 1; 200]);
            let bytes = all(&channel);
            assert_eq!(
                bytes.iter().filter(|byte| **byte == round % 5 + 1).count(),
                200,
                "round {round}"
            );
        }
        assert_eq!(channel.lost_frames.load(Ordering::Relaxed), 0);
    }
}
