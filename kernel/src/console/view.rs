//! The guest's screen on its way to viewers: the services ask, a vCPU captures ([`Display::capture`]) and goes on, and the services
//! draw from the captured registers and the shared video memory, without the board.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering};
use heapless::spsc::{Consumer, Producer, Queue};
use hvm::Instant;
use hvm::display::{Display, Picture, Rect, Stamp};

/// Rectangles of a capture; further changes are told with the last of them.
const RECTS: usize = 32;
/// Captures that may wait: one, and the place that the queue keeps free.
const PLACES: usize = 2;

/// A capture.
pub struct Capture {
    /// The picture; `None` if the guest has no screen.
    pub picture: Option<Box<dyn Picture>>,
    /// What may have changed in it since the capture before.
    pub changed: Vec<Rect>,
}

/// The guest's end. For vCPUs, one at a time.
pub struct GuestEnd {
    captures: Producer<'static, Capture>,
    wanted: Arc<AtomicBool>,
    stamp: Stamp,
    wake: fn(),
}

/// The services' end.
pub struct HostEnd {
    captures: Consumer<'static, Capture>,
    wanted: Arc<AtomicBool>,
    kick: fn(),
}

/// A new pair of ends. `wake` is called after a capture, on the exit path; `kick` brings a vCPU out of the guest to make one.
pub fn channel(wake: fn(), kick: fn()) -> (GuestEnd, HostEnd) {
    let (capture_in, capture_out) = Box::leak(Box::new(Queue::<Capture, PLACES>::new())).split();
    let wanted = Arc::new(AtomicBool::new(false));
    (
        GuestEnd {
            captures: capture_in,
            wanted: wanted.clone(),
            stamp: Stamp::NEVER,
            wake,
        },
        HostEnd {
            captures: capture_out,
            wanted,
            kick,
        },
    )
}

impl GuestEnd {
    /// Whether a capture was asked for.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Makes the capture that was asked for.
    pub fn capture(&mut self, display: Option<&mut dyn Display>, now: Instant) {
        if !self.captures.ready() || !self.wanted.swap(false, Ordering::Acquire) {
            return;
        }
        let mut changed = Vec::new();
        let picture = display.map(|display| {
            self.stamp = display.update(self.stamp, now, &mut |rect| add(&mut changed, rect));
            display.capture()
        });
        // The place was seen to be free, and nobody else fills it.
        let _ = self.captures.enqueue(Capture { picture, changed });
        (self.wake)();
    }
}

/// Adds a rectangle; without room for it, the last one grows over it.
pub fn add(rects: &mut Vec<Rect>, rect: Rect) {
    let is_full = rects.len() == RECTS;
    match rects.last_mut() {
        Some(last) if is_full => *last = union(*last, rect),
        _ => rects.push(rect),
    }
}

fn union(one: Rect, other: Rect) -> Rect {
    let (x, y) = (one.x.min(other.x), one.y.min(other.y));
    let right = (one.x + one.width).max(other.x + other.width);
    let bottom = (one.y + one.height).max(other.y + other.height);
    Rect {
        x,
        y,
        width: right - x,
        height: bottom - y,
    }
}

impl HostEnd {
    /// Asks for a capture; the service is woken when it is there.
    pub fn ask(&mut self) {
        self.wanted.store(true, Ordering::Release);
        (self.kick)();
    }

    /// The capture, once it is there.
    pub fn take(&mut self) -> Option<Capture> {
        self.captures.dequeue()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pc::vga::{Vga, VideoRam};

    #[test]
    fn a_capture_comes_when_it_was_asked_for() {
        let mut vga = Vga::new(Arc::new(VideoRam::new(0)));
        let (mut guest, mut host) = channel(|| (), || ());
        guest.capture(Some(&mut vga), Instant::ZERO);
        assert!(host.take().is_none());
        host.ask();
        assert!(guest.is_wanted());
        guest.capture(Some(&mut vga), Instant::ZERO);
        let first = host.take().unwrap();
        assert_eq!(first.changed, [first.picture.unwrap().size().whole()]);
        host.ask();
        guest.capture(Some(&mut vga), Instant::ZERO);
        assert_eq!(host.take().unwrap().changed, []);
    }

    #[test]
    fn the_last_rectangle_covers_what_has_no_room() {
        let mut rects = Vec::new();
        for y in 0..100 {
            add(
                &mut rects,
                Rect {
                    x: y,
                    y,
                    width: 1,
                    height: 1,
                },
            );
        }
        assert_eq!(rects.len(), RECTS);
        let last = rects[RECTS - 1];
        assert_eq!((last.x, last.y, last.width, last.height), (31, 31, 69, 69));
    }
}
