//! What people type and point, on its way to the guest: two bounded queues between the services and the vCPU's CPU.
//!
//! Neither end blocks or takes a lock. A queue that runs full loses whole strokes, never a release ([`hvm::input::Gate`]).

use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::{AtomicU8, Ordering};
use heapless::spsc::{Consumer, Producer, Queue};
use hvm::input::{Gate, Input, KeyEvent, Leds, PointerEvent};

/// Events that may wait for the guest, of each kind.
const EVENTS: usize = 128;

/// The guest's end, a back end for its keyboard and pointer.
pub struct GuestEnd {
    keys: Consumer<'static, KeyEvent>,
    pointer: Consumer<'static, PointerEvent>,
    leds: Arc<AtomicU8>,
    wake: fn(),
}

/// The services' end.
pub struct HostEnd {
    keys: Producer<'static, KeyEvent>,
    pointer: Producer<'static, PointerEvent>,
    gate: Gate,
    leds: Arc<AtomicU8>,
    kick: fn(),
}

/// A new pair of ends. `wake` is called when the guest has set its lamps, on the exit path; `kick` when there are events: it
/// brings the vCPU out of the guest to poll its devices.
pub fn channel(wake: fn(), kick: fn()) -> (GuestEnd, HostEnd) {
    let (key_in, key_out) = Box::leak(Box::new(Queue::<KeyEvent, EVENTS>::new())).split();
    let (pointer_in, pointer_out) =
        Box::leak(Box::new(Queue::<PointerEvent, EVENTS>::new())).split();
    let leds = Arc::new(AtomicU8::new(0));
    (
        GuestEnd {
            keys: key_out,
            pointer: pointer_out,
            leds: leds.clone(),
            wake,
        },
        HostEnd {
            keys: key_in,
            pointer: pointer_in,
            gate: Gate::new(),
            leds,
            kick,
        },
    )
}

impl Input for GuestEnd {
    fn next_key(&mut self) -> Option<KeyEvent> {
        self.keys.dequeue()
    }

    fn next_pointer(&mut self) -> Option<PointerEvent> {
        self.pointer.dequeue()
    }

    fn set_leds(&mut self, leds: Leds) {
        self.leds.store(leds.bits(), Ordering::Relaxed);
        (self.wake)();
    }
}

impl HostEnd {
    /// A key moved.
    pub fn key(&mut self, event: KeyEvent) {
        let room = self.keys.capacity() - self.keys.len();
        if self.gate.key(event, room) {
            // The gate saw the room.
            let _ = self.keys.enqueue(event);
            (self.kick)();
        }
    }

    /// The pointer did something.
    pub fn pointer(&mut self, event: PointerEvent) {
        let room = self.pointer.capacity() - self.pointer.len();
        if self.gate.pointer(event, room) {
            // As above.
            let _ = self.pointer.enqueue(event);
            (self.kick)();
        }
    }

    /// The keyboard turns to somebody else: what is down comes up.
    pub fn release_keys(&mut self) {
        for event in self.gate.release_keys() {
            // The gate kept room for it.
            let _ = self.keys.enqueue(event);
        }
        (self.kick)();
    }

    /// The lamps that the guest has lit.
    pub fn leds(&self) -> Leds {
        Leds::from_bits_truncate(self.leds.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;
    use hvm::input::{Action, Key};
    use std::vec::Vec;

    fn event(key: Key, action: Action) -> KeyEvent {
        KeyEvent { key, action }
    }

    #[test]
    fn strokes_arrive_in_order_and_held_keys_come_up() {
        static KICKS: AtomicUsize = AtomicUsize::new(0);
        let (mut guest, mut host) = channel(
            || (),
            || {
                KICKS.fetch_add(1, Ordering::Relaxed);
            },
        );
        host.key(event(Key::A, Action::Press));
        host.key(event(Key::A, Action::Press));
        host.key(event(Key::LeftAlt, Action::Press));
        host.release_keys();
        let seen: Vec<_> = core::iter::from_fn(|| guest.next_key()).collect();
        assert_eq!(seen.len(), 4);
        assert_eq!(seen[0], event(Key::A, Action::Press));
        assert!(seen[2..].iter().all(|key| key.action == Action::Release));
        assert_eq!(KICKS.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn lamps_come_back() {
        let (mut guest, host) = channel(|| (), || ());
        guest.set_leds(Leds::CAPS);
        assert_eq!(host.leds(), Leds::CAPS);
    }
}
