//! Virtio over PCI (virtio 1.2, section 4.1), for legacy and modern drivers.
//!
//! [`Transport`] guarantees to the bus that it is a well-behaved [`Function`] whatever a driver writes, and to the
//! [`Device`] behind it that only a driver which may use it does.
//!
//! | BAR | holds |
//! | --- | --- |
//! | 0, ports | legacy registers; the fast kick port of modern drivers |
//! | 1, memory | MSI-X table and pending bits |
//! | 4, memory | modern registers: common, ISR, device, notify, a page each |

mod bits;
mod common;
mod header;
mod interrupts;
mod legacy;
mod saved;
mod window;

use crate::device::Device;
use crate::endpoint::{Endpoint, Interface, Reset};
use crate::queue::{Notice, Patience, RingFault, Wait};
use alloc::boxed::Box;
use bits::bar;
use header::Header;
use hvm::device::Context;
use hvm::pci::{Function, Window};
use hvm::pci_config::{Command, ConfigSpace};
use hvm::{Instant, Width};
use interrupts::Interrupts;
use serde::{Deserialize, Serialize};

/// Which drivers a function serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportMode {
    /// Legacy and modern ones: a 1000h…103Fh device id.
    Transitional,
    /// Modern ones only: a 1040h… device id.
    Modern,
}

/// What the driver's select registers hold.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Selectors {
    device_feature: u32,
    driver_feature: u32,
    queue: u16,
}

/// Whether the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    Running,
    Paused,
}

/// A virtio device as a PCI function.
pub struct Transport {
    mode: TransportMode,
    config: ConfigSpace,
    /// Offset of the "PCI configuration access" capability.
    window: u8,
    interrupts: Interrupts,
    endpoint: Endpoint,
    selectors: Selectors,
    activity: Activity,
    /// Queues, a bit each, of which a notice is held, and when those go out.
    held: u64,
    held_until: Option<Instant>,
    /// Since when the first of them is.
    held_from: Instant,
    /// When queues are looked at that linger.
    look_at: Option<Instant>,
}

/// What may wait is done at multiples of this: shorter than what people or timers notice. They are the same for everything, so that the timer
/// is not set for each.
const TICK_NS: u64 = 1 << 17;
/// How long notices wait at least; and queues that linger, before they are looked at: about as long as a wire of a gigabit needs for the long
/// frame that went before.
const NOTICE_NS: u64 = TICK_NS / 2;
const LOOK_NS: u64 = TICK_NS;
/// How long a notice waits at most while the driver is interrupted for other things.
const LONGEST_HOLD_NS: u64 = 1_000_000;

/// The first tick at least so long from now.
#[inline]
fn tick_after(now: Instant, least_ns: u64) -> Instant {
    Instant::from_ns((now.ns + least_ns) | (TICK_NS - 1))
}

impl Transport {
    /// Attaches `device`.
    pub fn new(device: Box<dyn Device>, mode: TransportMode) -> Self {
        let header = Header::new(&*device, mode).expect("the capabilities take 120 of 192 bytes");
        let endpoint = Endpoint::new(device);
        Self {
            mode,
            config: header.config,
            window: header.window,
            interrupts: Interrupts::new(header.msix, endpoint.queues().count()),
            endpoint,
            selectors: Selectors::default(),
            activity: Activity::Running,
            held: 0,
            held_until: None,
            held_from: Instant::ZERO,
            look_at: None,
        }
    }

    /// Why the device asks for a reset, if a ring or request was malformed.
    pub fn fault(&self) -> Option<RingFault> {
        self.endpoint.queues().fault()
    }

    /// A modern driver must let the function master the bus first; legacy drivers often forget to.
    #[inline]
    fn may_run(&self) -> bool {
        self.activity == Activity::Running
            && (self.endpoint.interface() == Interface::Legacy
                || self.config.command().contains(Command::BUS_MASTER))
    }

    /// Queue `index` was kicked.
    #[inline]
    fn kick(&mut self, index: u64, context: &mut Context<'_>) {
        self.endpoint.kick(index);
        self.run(context);
    }

    /// Serves what was kicked, and tells the driver what came of it.
    #[inline]
    fn run(&mut self, context: &mut Context<'_>) {
        if self.may_run() {
            self.endpoint.run(context);
            self.look_at =
                (self.endpoint.lingering() != 0).then(|| tick_after(context.now, LOOK_NS));
            self.deliver(context);
        }
    }

    /// Looks at queues of which the driver kicks later.
    #[cold]
    fn look(&mut self, context: &mut Context<'_>) {
        let mut lingering = self.endpoint.lingering();
        while lingering != 0 {
            self.endpoint.kick(lingering.trailing_zeros().into());
            lingering &= lingering - 1;
        }
        self.run(context);
    }

    /// Tells the driver what was completed and what changed.
    #[inline(always)]
    fn deliver(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        let completed = self.endpoint.take_completed();
        let due = self.held_until.is_some_and(|until| until <= now);
        let mut left = if due {
            completed | self.held
        } else {
            completed
        };
        // Drivers that are interrupted for something else most often look at the rest as well: an interrupt of its own would cost more exits
        // than one.
        let mut told = false;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            let queue = 1 << index;
            left &= left - 1;
            let waits = !due || told && !self.is_overdue(now);
            let patience = match waits && self.endpoint.device().may_hold(index) {
                true => Patience::Some,
                false => Patience::None,
            };
            match self.endpoint.publish(index, context.memory, patience) {
                Notice::Held(wait) => {
                    self.held |= queue;
                    if self.held == queue && wait == Wait::Begins {
                        self.held_from = now;
                        self.held_until = Some(tick_after(now, NOTICE_NS));
                    }
                    continue;
                }
                Notice::Interrupt => {
                    told = true;
                    self.interrupts.queue(index, context.signals);
                }
                Notice::Quiet => {}
            }
            self.held &= !queue;
            if self.held == 0 {
                self.held_until = None;
            }
        }
        if told && self.held != 0 && !self.is_overdue(now) {
            self.held_until = Some(tick_after(now, NOTICE_NS));
        }
        if self.endpoint.take_change() == Notice::Interrupt {
            self.interrupts.config(context.signals);
        }
    }

    /// Whether the notices that are held have waited long enough.
    fn is_overdue(&self, now: Instant) -> bool {
        now.ns.saturating_sub(self.held_from.ns) >= LONGEST_HOLD_NS
    }

    fn set_status(&mut self, value: u8, context: &mut Context<'_>) {
        if self.endpoint.set_status(value) == Reset::Yes {
            self.interrupts.reset();
            self.selectors = Selectors::default();
        }
        self.run(context);
    }

    /// Reads a register. A read changes nothing, but that it acknowledges ISR status.
    fn register(&self, index: usize, offset: u64, width: Width) -> u64 {
        match index as u8 {
            bar::LEGACY => self.legacy_read(offset, width),
            bar::MSIX if offset < u64::from(bar::MSIX_PENDING) => {
                self.interrupts.msix.table_read(offset, width)
            }
            bar::MSIX => {
                let offset = offset - u64::from(bar::MSIX_PENDING);
                self.interrupts.msix.pending_read(offset, width)
            }
            bar::MODERN => self.modern_read(offset, width),
            _ => width.mask(),
        }
    }

    /// Reads the device's configuration space.
    fn device_config(&self, offset: u64, width: Width) -> u64 {
        let mut bytes = [0; 8];
        let into = &mut bytes[..width.bytes()];
        self.endpoint.device().config_read(offset, into);
        u64::from_le_bytes(bytes)
    }

    /// Writes it.
    fn set_device_config(&mut self, offset: u64, width: Width, value: u64) {
        let bytes = value.to_le_bytes();
        let from = &bytes[..width.bytes()];
        self.endpoint.device_mut().config_write(offset, from);
    }

    /// Brings the interrupt bit of the PCI status register up to date.
    #[inline]
    fn drive_pin(&mut self) {
        let wanted = self.interrupts.intx();
        self.config.drive_interrupt(wanted);
    }
}

impl Function for Transport {
    fn config_read(&self, offset: u8, width: Width) -> u32 {
        match self.window_read(offset, width) {
            Some(value) => value,
            None => self.config.read(offset, width),
        }
    }

    fn config_write(&mut self, offset: u8, width: Width, value: u32, context: &mut Context<'_>) {
        self.config.write(offset, width, value);
        self.interrupts
            .msix
            .config_written(&self.config, context.signals);
        self.window_written(offset, width, context);
        // The write may have let the function master the bus: kicks from before are served now.
        self.run(context);
        self.drive_pin();
    }

    fn window(&self, index: usize) -> Option<Window> {
        self.config.window(index)
    }

    fn bar_read(&mut self, index: usize, offset: u64, width: Width, _: &mut Context<'_>) -> u64 {
        let value = width.cut(self.register(index, offset, width));
        self.drive_pin();
        value
    }

    fn bar_write(
        &mut self,
        index: usize,
        offset: u64,
        width: Width,
        value: u64,
        context: &mut Context<'_>,
    ) {
        let value = width.cut(value);
        match index as u8 {
            bar::LEGACY => self.legacy_write(offset, width, value, context),
            bar::MSIX => {
                let table = offset < u64::from(bar::MSIX_PENDING);
                if table {
                    let msix = &mut self.interrupts.msix;
                    msix.table_write(offset, width, value, context.signals);
                }
            }
            bar::MODERN => self.modern_write(offset, width, value, context),
            _ => {}
        }
        self.drive_pin();
    }

    fn interrupt_line(&self) -> bool {
        let disabled = self.config.command().contains(Command::INTERRUPT_DISABLE);
        self.interrupts.intx() && !disabled
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        if self.look_at.is_some_and(|at| at <= context.now) {
            self.look(context);
        }
        if self.may_run() {
            self.endpoint.poll(context);
            self.deliver(context);
            self.drive_pin();
        }
    }

    fn idle(&mut self, context: &mut Context<'_>) {
        if self.look_at.is_some() {
            self.look(context);
            self.drive_pin();
        }
    }

    fn has_timer(&self) -> bool {
        self.endpoint.device().holds()
    }

    fn deadline(&self) -> Option<Instant> {
        let first = match (self.held_until, self.look_at) {
            (Some(held_until), Some(look_at)) => Some(held_until.min(look_at)),
            (held_until, look_at) => held_until.or(look_at),
        };
        first.filter(|_| self.may_run())
    }
}
