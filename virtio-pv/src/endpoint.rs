//! The life of a virtio device, whatever bus it is attached by: status, features, queues (virtio 1.2, sections 2 and 3).
//!
//! [`Endpoint`] guarantees that the device behind it runs only for a driver that is ready, and that a driver which breaks
//! the rules stops that one device until it resets it.

use crate::device::Device;
use crate::features::Features;
use crate::queue::{Notice, Patience, Queue, Queues, SavedQueue};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use guest_mem::GuestMemory;
use hvm::device::{Context, RestoreError};
use hvm::virtio::Status;
use serde::{Deserialize, Serialize};

/// Which generation of the interface the driver showed that it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interface {
    /// Virtio 0.9.5: no FEATURES_OK, and the rings may run before DRIVER_OK (3.1.2).
    Legacy,
    /// Virtio 1.0 and later.
    Modern,
}

/// Most queues of one device: as many as a set of kicks holds.
const MAX_QUEUES: usize = 64;

/// A device and the driver's dealings with it.
pub struct Endpoint {
    device: Box<dyn Device>,
    queues: Queues,
    status: Status,
    interface: Interface,
    /// What the driver last wrote.
    driver_features: Features,
    /// What holds.
    negotiated: Features,
    /// Counts changes of the configuration space (2.5).
    generation: u8,
    /// Queues that were kicked and not yet served, a bit each.
    kicked: u64,
    /// The status to show until the back end let go of the buffers of a driver that reset the device.
    resetting: Option<Status>,
    /// The driver has to hear of a change in configuration or status.
    changed: bool,
}

impl Endpoint {
    /// A device in reset. More than 64 queues are cut off.
    pub fn new(device: Box<dyn Device>) -> Self {
        let sizes = device.queue_sizes();
        let queues = Queues::new(&sizes[..sizes.len().min(MAX_QUEUES)]);
        Self {
            device,
            queues,
            status: Status::empty(),
            interface: Interface::Modern,
            driver_features: Features::empty(),
            negotiated: Features::empty(),
            generation: 0,
            kicked: 0,
            resetting: None,
            changed: false,
        }
    }

    /// The device.
    pub fn device(&self) -> &dyn Device {
        &*self.device
    }

    /// The device.
    pub fn device_mut(&mut self) -> &mut dyn Device {
        &mut *self.device
    }

    /// The queues.
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Queue `index`, to program.
    pub fn queue_mut(&mut self, index: u16) -> Option<&mut Queue> {
        self.queues.get_mut(usize::from(index))
    }

    /// What is offered to drivers of `interface`.
    pub fn offered(&self, interface: Interface) -> Features {
        let both = self.device.features() | Features::TRANSPORT;
        match interface {
            Interface::Legacy => {
                let low = Features::from_bits_retain(u64::from(u32::MAX));
                (both | Features::ANY_LAYOUT) & low
            }
            Interface::Modern => both | Features::VERSION_1,
        }
    }

    /// What the driver last wrote as its features.
    pub fn driver_features(&self) -> Features {
        self.driver_features
    }

    /// A modern driver's choice; it counts from FEATURES_OK on, and cannot change after that.
    pub fn set_driver_features(&mut self, select: u32, value: u32) {
        if !self.status.contains(Status::FEATURES_OK) {
            self.driver_features = self.driver_features.with_dword(select, value);
        }
    }

    /// A legacy driver's choice; it counts at once (3.1.2).
    pub fn set_legacy_features(&mut self, value: u32) {
        if self.status.contains(Status::FEATURES_OK) {
            return;
        }
        self.interface = Interface::Legacy;
        self.driver_features = Features::from_bits_retain(u64::from(value));
        self.negotiated = self.driver_features & self.offered(Interface::Legacy);
        self.device.negotiated(self.negotiated);
    }

    /// Which interface the driver uses.
    pub fn interface(&self) -> Interface {
        self.interface
    }

    /// What the driver reads.
    pub fn status(&self) -> Status {
        self.resetting.unwrap_or(self.status)
    }

    /// The driver writes its progress (2.1, 3.1.1).
    pub fn set_status(&mut self, written: u8) -> Reset {
        let before = self.status;
        let mut next = Status::from_bits_truncate(written) - Status::NEEDS_RESET;
        if written == 0 {
            self.reset();
            return Reset::Yes;
        }
        let rising = next - before;
        if rising.contains(Status::FEATURES_OK) && !self.settle_features() {
            next -= Status::FEATURES_OK;
        }
        if rising.contains(Status::DRIVER_OK) {
            // Buffers that were laid out before are served as if kicked; a kick was not allowed so far (3.1.1).
            self.kick_all();
        }
        self.status = next | before & Status::NEEDS_RESET;
        Reset::No
    }

    /// Accepts the driver's features, if they are a subset of ours and a modern set (2.2.2, 6.1).
    fn settle_features(&mut self) -> bool {
        let wanted = self.driver_features;
        let fine = self.offered(Interface::Modern).contains(wanted)
            && wanted.contains(Features::VERSION_1);
        if fine {
            self.interface = Interface::Modern;
            self.negotiated = wanted;
            self.device.negotiated(wanted);
        }
        fine
    }

    /// Reset by the driver, or of the whole machine.
    pub fn reset(&mut self) {
        let shown = self.status();
        self.device.reset();
        self.resetting = (!shown.is_empty() && !self.device.quiescent()).then_some(shown);
        self.queues.reset();
        self.status = Status::empty();
        self.interface = Interface::Modern;
        self.driver_features = Features::empty();
        self.negotiated = Features::empty();
        self.kicked = 0;
        self.changed = false;
    }

    /// The configuration generation.
    pub fn generation(&self) -> u8 {
        self.generation
    }

    /// Starts a queue as programmed.
    pub fn enable_queue(&mut self, index: u16) {
        self.queues.enable(usize::from(index), self.negotiated);
    }

    /// Starts or stops a queue the legacy way.
    pub fn enable_legacy_queue(&mut self, index: u16, frame: u32) {
        self.interface = Interface::Legacy;
        self.queues
            .enable_legacy(usize::from(index), frame, self.negotiated);
    }

    /// Remembers a kick; [`Endpoint::run`] serves it.
    #[inline]
    pub fn kick(&mut self, index: u64) {
        if index < self.queues.count() as u64 {
            self.kicked |= 1 << index;
        }
    }

    /// As if all queues had been kicked.
    pub fn kick_all(&mut self) {
        for index in 0..self.queues.count() as u64 {
            self.kick(index);
        }
    }

    /// Serves the kicks so far.
    #[inline]
    pub fn run(&mut self, context: &mut Context<'_>) {
        if self.resetting.is_some() && self.device.quiescent() {
            self.resetting = None;
        }
        while self.kicked != 0 && self.live() {
            let index = self.kicked.trailing_zeros();
            self.kicked &= self.kicked - 1;
            self.device
                .queue_notify(index as usize, &mut self.queues, context);
        }
    }

    /// Queues that want to be kicked soon, a bit each.
    #[inline]
    pub fn lingering(&self) -> u64 {
        match self.device.lingering() {
            0 => 0,
            lingering if self.live() => lingering,
            _ => 0,
        }
    }

    /// Gives the device a turn.
    pub fn poll(&mut self, context: &mut Context<'_>) {
        self.run(context);
        if self.live() {
            self.device.poll(&mut self.queues, context);
        }
    }

    /// The queues, a bit each, that have completed something since the last call.
    #[inline]
    pub fn take_completed(&mut self) -> u64 {
        self.queues.take_completed()
    }

    /// Shows the driver what queue `index` completed.
    #[inline(always)]
    pub fn publish(&mut self, index: usize, memory: &GuestMemory, patience: Patience) -> Notice {
        self.queues.publish(index, memory, patience)
    }

    /// Turns a fault into a request for reset; then says whether the driver must hear of a change (2.1.2, 2.5).
    #[inline]
    pub fn take_change(&mut self) -> Notice {
        if self.queues.fault().is_some() && !self.status.contains(Status::NEEDS_RESET) {
            self.status |= Status::NEEDS_RESET;
            self.changed = true;
        }
        self.changed |= self.queues.take_configuration_change();
        if !self.changed {
            return Notice::Quiet;
        }
        self.changed = false;
        self.generation = self.generation.wrapping_add(1);
        if self.status.contains(Status::DRIVER_OK) {
            Notice::Interrupt
        } else {
            Notice::Quiet
        }
    }

    #[inline]
    fn live(&self) -> bool {
        self.resetting.is_none()
            && !self.status.contains(Status::NEEDS_RESET)
            && self.queues.fault().is_none()
            && match self.interface {
                Interface::Legacy => true,
                Interface::Modern => self
                    .status
                    .contains(Status::DRIVER_OK | Status::FEATURES_OK),
            }
    }

    /// The state, device included.
    pub fn save(&self) -> SavedEndpoint {
        SavedEndpoint {
            status: self.status.bits(),
            interface: self.interface,
            driver_features: self.driver_features.bits(),
            negotiated: self.negotiated.bits(),
            generation: self.generation,
            queues: self.queues.save(),
            device: self.device.save(),
        }
    }

    /// Takes a state back, all or nothing. Every queue counts as kicked: a kick may have been lost on the way.
    pub fn restore(&mut self, saved: &SavedEndpoint) -> Result<(), RestoreError> {
        let kind = self.device.kind();
        let negotiated = Features::from_bits_retain(saved.negotiated);
        let ours = self.offered(Interface::Legacy) | self.offered(Interface::Modern);
        if !ours.contains(negotiated) {
            return Err(RestoreError(format!(
                "{kind}: the state was saved with features {:#x}, of which this host lacks {:#x}",
                negotiated,
                negotiated - ours
            )));
        }
        let queues = match self.queues.resumed(&saved.queues, negotiated) {
            Some(Ok(queues)) => queues,
            Some(Err(fault)) => {
                return Err(RestoreError(format!("{kind}: a saved queue: {fault}")));
            }
            None => {
                return Err(RestoreError(format!(
                    "{kind}: found {} saved queues, want {}",
                    saved.queues.len(),
                    self.queues.count()
                )));
            }
        };
        self.device.restore(&saved.device)?;
        self.queues = queues;
        self.status = Status::from_bits_truncate(saved.status);
        self.interface = saved.interface;
        self.driver_features = Features::from_bits_retain(saved.driver_features);
        self.negotiated = negotiated;
        self.generation = saved.generation;
        self.resetting = None;
        self.changed = false;
        self.kick_all();
        Ok(())
    }
}

/// Whether a status write was a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// It was; the transport forgets its own part of the driver's settings.
    Yes,
    /// It was not.
    No,
}

/// The state of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedEndpoint {
    status: u8,
    interface: Interface,
    driver_features: u64,
    negotiated: u64,
    generation: u8,
    queues: Vec<SavedQueue>,
    device: Vec<u8>,
}
