//! What a virtio device is to the transport that carries it.

use crate::features::Features;
use crate::queue::Queues;
use alloc::vec::Vec;
use hvm::device::{Context, RestoreError};

/// Device types (virtio 1.2, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum DeviceType {
    /// Network card.
    Network = 1,
    /// Disk.
    Block = 2,
    /// Console.
    Console = 3,
    /// Source of random numbers.
    Entropy = 4,
}

/// One device. The transport owns status, features, rings and interrupts; the device owns its configuration space and
/// the meaning of what travels through the queues.
///
/// The transport calls `queue_notify` and `poll` only while the driver is ready and the machine is not paused. All
/// methods return promptly; none blocks.
pub trait Device: Send {
    /// Its type.
    fn device_type(&self) -> DeviceType;
    /// A stable name for saved state and logs, such as `"virtio-block"`.
    fn kind(&self) -> &'static str;
    /// The device's own feature bits (0…23 and 50 on).
    fn features(&self) -> Features;
    /// The maximum size of each queue: powers of two up to [`crate::queue::MAX_SIZE`]. At most 64 queues.
    fn queue_sizes(&self) -> &[u16];
    /// Whether the driver waits for nothing that queue `index` completes, but for its buffers: then the notice of it may come a little
    /// later, and later again while there are others. Not for queues alone that are served in turn with others ([`Device::holds`]).
    fn may_hold(&self, _index: usize) -> bool {
        false
    }
    /// True if there is such a queue.
    fn holds(&self) -> bool {
        false
    }
    /// Queues, a bit each, that want to be notified soon though nobody has kicked: their drivers were asked to kick later. Of devices alone
    /// that [hold](Device::holds).
    fn lingering(&self) -> u64 {
        0
    }
    /// The driver accepted these features; called once per negotiation, and again by legacy drivers that change their mind.
    fn negotiated(&mut self, _features: Features) {}
    /// Reads the configuration space; bytes past its end stay as they are in `into`, which is 0.
    fn config_read(&self, offset: u64, into: &mut [u8]);
    /// Writes the configuration space; what is not writable is dropped.
    fn config_write(&mut self, _offset: u64, _from: &[u8]) {}
    /// The driver kicked queue `index`.
    fn queue_notify(&mut self, index: usize, queues: &mut Queues, context: &mut Context<'_>);
    /// A back end has input, room, or finished work.
    fn poll(&mut self, queues: &mut Queues, context: &mut Context<'_>);
    /// Forgets all requests and everything the driver set. The back end stays.
    fn reset(&mut self);
    /// False while a back end may still move data for requests that a reset has forgotten. The driver sees its reset
    /// finished only when this is true (2.4.1), so it can tell when its buffers are its own again.
    fn quiescent(&mut self) -> bool {
        true
    }
    /// The device's own state, a versioned payload. Called while paused.
    fn save(&self) -> Vec<u8>;
    /// Takes it back, all or nothing.
    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError>;
}
