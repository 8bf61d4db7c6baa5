//! What the tests of this crate share.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt::Debug;
use guest_mem::{Gpa, GuestMemory};
use hvm::Instant;
use hvm::apic::ApicMessage;
use hvm::backend::BoxedBytes;
use hvm::device::{Context, Lifecycle, PowerEvent, Signals};
use hvm::input::{KeyEvent, Leds, PointerEvent};
use std::sync::Mutex;

/// Signals that are kept for inspection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) messages: Vec<ApicMessage>,
    pub(crate) ended: Vec<u8>,
    pub(crate) power: Vec<PowerEvent>,
}

impl Sent {
    /// The vectors sent since the last call.
    pub(crate) fn take_vectors(&mut self) -> Vec<u8> {
        self.messages
            .drain(..)
            .map(|message| message.vector)
            .collect()
    }
}

impl Signals for Sent {
    fn interrupt(&mut self, message: ApicMessage) {
        self.messages.push(message);
    }
    fn end_of_interrupt(&mut self, vector: u8) {
        self.ended.push(vector);
    }
    fn power(&mut self, event: PowerEvent) {
        self.power.push(event);
    }
}

/// Calls `body` with a context at `now_ns`.
pub(crate) fn at<R>(now_ns: u64, sent: &mut Sent, body: impl FnOnce(&mut Context<'_>) -> R) -> R {
    std::thread_local! {
        static MEMORY: Rc<GuestMemory> = Rc::new(GuestMemory::anonymous(&[(Gpa(0), 0x1000)]));
    }
    let memory = MEMORY.with(Rc::clone);
    body(&mut Context {
        memory: &memory,
        now: Instant::from_ns(now_ns),
        signals: sent,
    })
}

/// Runs `operations` on a device. At `cut`, a fresh one takes its state over; from there on both must answer alike.
pub(crate) fn twins<D: Lifecycle, O, R: PartialEq + Debug>(
    make: impl Fn() -> D,
    operations: &[O],
    cut: usize,
    step: impl Fn(&mut D, &O) -> R,
) {
    let cut = cut.min(operations.len());
    let mut device = make();
    for operation in &operations[..cut] {
        step(&mut device, operation);
    }
    let mut twin = make();
    twin.restore(&device.save()).unwrap();
    assert_eq!(twin.save(), device.save());
    for operation in &operations[cut..] {
        assert_eq!(step(&mut twin, operation), step(&mut device, operation));
    }
    assert_eq!(twin.save(), device.save());
    let mut foreign = device.save();
    foreign.push(0);
    assert!(twin.restore(&foreign).is_err(), "one byte too many");
    foreign.truncate(foreign.len() - 2);
    assert!(twin.restore(&foreign).is_err(), "one byte too few");
    assert_eq!(
        twin.save(),
        device.save(),
        "a refused state changes nothing"
    );
}

/// The far end of keyboard and pointer.
#[derive(Clone, Default)]
pub(crate) struct Hands(Arc<Mutex<Input>>);

/// What the hands still have to do, and the lamps that they see.
#[derive(Default)]
pub(crate) struct Input {
    pub(crate) keys: VecDeque<KeyEvent>,
    pub(crate) pointer: VecDeque<PointerEvent>,
    pub(crate) leds: Leds,
}

impl Hands {
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut Input) -> R) -> R {
        body(&mut self.0.lock().unwrap())
    }
}

impl hvm::input::Input for Hands {
    fn next_key(&mut self) -> Option<KeyEvent> {
        self.with(|input| input.keys.pop_front())
    }
    fn next_pointer(&mut self) -> Option<PointerEvent> {
        self.with(|input| input.pointer.pop_front())
    }
    fn set_leds(&mut self, leds: Leds) {
        self.with(|input| input.leds = leds);
    }
}

/// The far end of a byte stream.
#[derive(Clone, Default)]
pub(crate) struct Peer(Arc<Mutex<Stream>>);

#[derive(Default)]
struct Stream {
    /// What the device may read.
    input: VecDeque<u8>,
    output: Vec<u8>,
    /// How many more bytes the device may write.
    room: usize,
}

impl Peer {
    pub(crate) fn with_room(room: usize) -> Self {
        let peer = Self::default();
        peer.set_room(room);
        peer
    }

    pub(crate) fn set_room(&self, room: usize) {
        self.0.lock().unwrap().room = room;
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        self.0.lock().unwrap().input.extend(bytes);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().unwrap().input.len()
    }

    pub(crate) fn received(&self) -> Vec<u8> {
        self.0.lock().unwrap().output.clone()
    }

    /// The device's end.
    pub(crate) fn backend(&self) -> BoxedBytes {
        Box::new(self.clone())
    }
}

impl embedded_io::ErrorType for Peer {
    type Error = Infallible;
}

impl embedded_io::Read for Peer {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        let mut stream = self.0.lock().unwrap();
        let count = into.len().min(stream.input.len());
        for (into, byte) in into.iter_mut().zip(stream.input.drain(..count)) {
            *into = byte;
        }
        Ok(count)
    }
}

impl embedded_io::ReadReady for Peer {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.0.lock().unwrap().input.is_empty())
    }
}

impl embedded_io::Write for Peer {
    fn write(&mut self, from: &[u8]) -> Result<usize, Infallible> {
        let mut stream = self.0.lock().unwrap();
        let count = from.len().min(stream.room);
        stream.room -= count;
        stream.output.extend(&from[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl embedded_io::WriteReady for Peer {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.lock().unwrap().room != 0)
    }
}
