//! How a virtio device is reached: by the structures that its capabilities point to, or by the legacy interface's ports.

use super::bits::{Features, common, legacy};
use super::ring::Place;
use crate::window::Window;
use hvm::virtio::Status;

/// Which interface a device is driven by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// Virtio 0.9.5.
    Legacy,
    /// Virtio 1.0 and later.
    Modern,
}

/// The way to a device.
pub trait Transport: Send {
    /// Which one it is.
    fn interface(&self) -> Interface;
    /// Device status; it reads as empty once a reset is done.
    fn status(&mut self) -> Status;
    /// Writes it; empty resets the device.
    fn set_status(&mut self, status: Status);
    /// What it offers.
    fn offered(&mut self) -> Features;
    /// What is used of it.
    fn accept(&mut self, features: Features);
    /// The largest size of a queue, 0 if it does not exist.
    fn queue_size(&mut self, index: u16) -> u16;
    /// Starts a queue.
    fn start_queue(&mut self, index: u16, place: Place);
    /// Tells the device that something waits in a queue that was started.
    fn notify(&mut self, index: u16);
    /// Interrupt status; reading clears it.
    fn interrupt(&mut self) -> u8;
    /// A byte of the device's own configuration.
    fn config(&mut self, at: usize) -> u8;
}

/// Structures in memory (4.1.4).
pub struct Modern<R> {
    /// Common configuration.
    pub common: R,
    /// Notifications.
    pub notify: R,
    /// How far apart queues' notifications are, times their offsets.
    pub notify_step: u32,
    /// Interrupt status.
    pub interrupt: R,
    /// The device's own configuration.
    pub device: R,
    /// Where each queue is notified.
    notify_at: [usize; 3],
}

impl<R: Window> Modern<R> {
    /// From the structures, in the order of their kinds.
    pub fn new([common, notify, interrupt, device]: [R; 4], notify_step: u32) -> Self {
        Self {
            common,
            notify,
            notify_step,
            interrupt,
            device,
            notify_at: [0; 3],
        }
    }

    fn select(&mut self, index: u16) {
        self.common.write_u16(common::QUEUE_SELECT, index);
    }
}

impl<R: Window> Transport for Modern<R> {
    fn interface(&self) -> Interface {
        Interface::Modern
    }

    fn status(&mut self) -> Status {
        Status::from_bits_retain(self.common.read_u8(common::STATUS))
    }

    fn set_status(&mut self, status: Status) {
        self.common.write_u8(common::STATUS, status.bits());
    }

    fn offered(&mut self) -> Features {
        let [low, high] = [0, 1].map(|half| {
            self.common.write_u32(common::DEVICE_FEATURE_SELECT, half);
            self.common.read_u32(common::DEVICE_FEATURE)
        });
        Features::from_bits_truncate(u64::from(high) << 32 | u64::from(low))
    }

    fn accept(&mut self, features: Features) {
        for (half, bits) in [
            (0, features.bits() as u32),
            (1, (features.bits() >> 32) as u32),
        ] {
            self.common.write_u32(common::DRIVER_FEATURE_SELECT, half);
            self.common.write_u32(common::DRIVER_FEATURE, bits);
        }
    }

    fn queue_size(&mut self, index: u16) -> u16 {
        self.select(index);
        self.common.read_u16(common::QUEUE_SIZE)
    }

    fn start_queue(&mut self, index: u16, place: Place) {
        self.common.write_u16(common::CONFIG_VECTOR, 0);
        self.select(index);
        self.common.write_u16(common::QUEUE_SIZE, place.size);
        // The only message, if messages are used.
        self.common.write_u16(common::QUEUE_VECTOR, 0);
        for (at, address) in [
            (common::QUEUE_DESCRIPTORS, place.descriptors),
            (common::QUEUE_AVAILABLE, place.available),
            (common::QUEUE_USED, place.used),
        ] {
            self.common.write_u64(at, address);
        }
        let offset = u32::from(self.common.read_u16(common::QUEUE_NOTIFY_OFFSET));
        if let Some(at) = self.notify_at.get_mut(usize::from(index)) {
            *at = (offset.saturating_mul(self.notify_step)) as usize;
        }
        self.common.write_u16(common::QUEUE_ENABLE, 1);
    }

    fn notify(&mut self, index: u16) {
        if let Some(&at) = self.notify_at.get(usize::from(index)) {
            self.notify.write_u16(at, index);
        }
    }

    fn interrupt(&mut self) -> u8 {
        self.interrupt.read_u8(0)
    }

    fn config(&mut self, at: usize) -> u8 {
        self.device.read_u8(at)
    }
}

/// The legacy interface's registers (4.1.4.10).
pub struct Legacy<R>(pub R);

impl<R: Window> Transport for Legacy<R> {
    fn interface(&self) -> Interface {
        Interface::Legacy
    }

    fn status(&mut self) -> Status {
        Status::from_bits_retain(self.0.read_u8(legacy::STATUS))
    }

    fn set_status(&mut self, status: Status) {
        self.0.write_u8(legacy::STATUS, status.bits());
    }

    fn offered(&mut self) -> Features {
        Features::from_bits_truncate(self.0.read_u32(legacy::DEVICE_FEATURES).into())
    }

    fn accept(&mut self, features: Features) {
        self.0
            .write_u32(legacy::DRIVER_FEATURES, features.bits() as u32);
    }

    fn queue_size(&mut self, index: u16) -> u16 {
        self.0.write_u16(legacy::QUEUE_SELECT, index);
        self.0.read_u16(legacy::QUEUE_SIZE)
    }

    /// The device knows the size, and where the rings follow from it.
    fn start_queue(&mut self, index: u16, place: Place) {
        self.0.write_u16(legacy::QUEUE_SELECT, index);
        let page = (place.descriptors >> legacy::PAGE_SHIFT) as u32;
        self.0.write_u32(legacy::QUEUE_ADDRESS, page);
    }

    fn notify(&mut self, index: u16) {
        self.0.write_u16(legacy::QUEUE_NOTIFY, index);
    }

    fn interrupt(&mut self) -> u8 {
        self.0.read_u8(legacy::INTERRUPT)
    }

    fn config(&mut self, at: usize) -> u8 {
        self.0.read_u8(legacy::DEVICE + at)
    }
}
