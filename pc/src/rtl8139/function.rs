//! The chip on the PCI bus.

use super::bits;
use super::state::State;
use super::{Chip, Mastery, Revision};
use crate::saved;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use hvm::backend::Ethernet;
use hvm::device::{Context, Lifecycle, RestoreError};
use hvm::pci::{Function, Window};
use hvm::pci_config::{Bar, Command, ConfigSpace, Identity, offset};
use hvm::{Instant, Width};
use serde::{Deserialize, Serialize};

/// Version of [`Saved`].
const VERSION: u16 = 3;
/// The class of an Ethernet controller.
const CLASS: u32 = 0x02_00_00;
/// Least grant and most latency, in 250 ns, as the EEPROM holds them.
const LATENCIES: [u8; 2] = [0x20, 0x40];
/// Power management (PCI Power Management 1.2): its id; version 2, D1 and D2; and what may be written of control: state, PME enable.
const POWER_CAPABILITY: u8 = 1;
const POWER_ABILITIES: u16 = 0x0602;
const POWER_WRITABLE: u16 = 0x0103;
/// No reset of the configuration on the way from D3 to D0.
const POWER_KEEPS: u16 = 1 << 3;
/// Offset of the control register from the capability.
const POWER_CONTROL: u8 = 4;

/// Whether the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    Running,
    Paused,
}

/// The chip as a PCI function.
pub struct Rtl8139 {
    pub(super) chip: Chip,
    config: ConfigSpace,
    /// Offset of the power management capability.
    power: u8,
    activity: Activity,
}

impl Rtl8139 {
    /// A card on `cable` with the address `mac`.
    pub fn new(revision: Revision, cable: Box<dyn Ethernet>, mac: [u8; 6]) -> Self {
        let identity = Identity {
            vendor: bits::VENDOR,
            device: bits::DEVICE,
            revision: revision.pci(),
            class: CLASS,
            subsystem_vendor: bits::VENDOR,
            subsystem: bits::DEVICE,
        };
        let mut config = ConfigSpace::new(identity).with_interrupt_pin();
        let bytes = bits::REGISTER_BYTES;
        config.add_bar(
            0,
            Bar::Port {
                bytes: bytes as u16,
            },
        );
        config.add_bar(1, Bar::Memory32 { bytes });
        config.set(offset::INTERRUPT_PIN + 1, &LATENCIES);
        let [a, b] = POWER_ABILITIES.to_le_bytes();
        let [c, d] = POWER_KEEPS.to_le_bytes();
        let [e, f] = POWER_WRITABLE.to_le_bytes();
        let power = config
            .append_capability(POWER_CAPABILITY, &[a, b, c, d, 0, 0], &[0, 0, e, f])
            .expect("an empty list has room for one");
        Self {
            chip: Chip::new(revision, cable, mac),
            config,
            power,
            activity: Activity::Running,
        }
    }

    /// The power state, D0 to D3.
    fn power_state(&self) -> u32 {
        self.config.read(self.power + POWER_CONTROL, Width::Word) & 3
    }

    /// Whether the chip may move frames: it runs, in D0, and may master the bus.
    fn mastery(&self) -> Mastery {
        let allowed = self.activity == Activity::Running
            && self.power_state() == 0
            && self.config.command().contains(Command::BUS_MASTER);
        if allowed {
            Mastery::Allowed
        } else {
            Mastery::Denied
        }
    }

    fn drive_pin(&mut self) {
        let wanted = self.chip.interrupt();
        self.config.drive_interrupt(wanted);
    }
}

impl Function for Rtl8139 {
    fn config_read(&self, offset: u8, width: Width) -> u32 {
        self.config.read(offset, width)
    }

    fn config_write(&mut self, offset: u8, width: Width, value: u32, context: &mut Context<'_>) {
        let before = self.power_state();
        self.config.write(offset, width, value);
        if before == 3 && self.power_state() == 0 {
            // PCI Power Management 1.2, 5.4.1: the function comes back initialized.
            self.chip.reset();
        }
        self.poll(context);
        self.drive_pin();
    }

    fn window(&self, index: usize) -> Option<Window> {
        self.config
            .window(index)
            .filter(|_| self.power_state() == 0)
    }

    fn bar_read(&mut self, _: usize, offset: u64, width: Width, context: &mut Context<'_>) -> u64 {
        self.chip.advance(context.now);
        let value = self.chip.read(offset, width, context);
        self.drive_pin();
        value
    }

    fn bar_write(
        &mut self,
        _: usize,
        offset: u64,
        width: Width,
        value: u64,
        context: &mut Context<'_>,
    ) {
        self.chip.advance(context.now);
        self.chip.set_mastery(self.mastery());
        self.chip.write(offset, width, value, context);
        self.drive_pin();
    }

    fn interrupt_line(&self) -> bool {
        let disabled = self.config.command().contains(Command::INTERRUPT_DISABLE);
        self.chip.interrupt() && !disabled
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        if self.activity == Activity::Running {
            self.chip.set_mastery(self.mastery());
            self.chip.poll(context);
            self.drive_pin();
        }
    }

    fn has_timer(&self) -> bool {
        true
    }

    fn deadline(&self) -> Option<Instant> {
        self.chip.deadline()
    }
}

impl Lifecycle for Rtl8139 {
    fn kind(&self) -> &'static str {
        "rtl8139"
    }

    fn reset(&mut self) {
        self.config.reset();
        self.chip.reset();
    }

    fn pause(&mut self) {
        self.activity = Activity::Paused;
    }

    fn resume(&mut self) {
        self.activity = Activity::Running;
    }

    /// Frames between guest memory and the cable are lost, as on any wire.
    fn save(&self) -> Vec<u8> {
        let saved = Saved {
            revision: self.chip.revision.pci(),
            config: self.config.save(),
            state: self.chip.state.clone(),
        };
        saved::write(VERSION, &saved)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let saved: Saved = saved::read(self.kind(), VERSION, saved)?;
        let revision = self.chip.revision.pci();
        if saved.revision != revision {
            return Err(RestoreError(format!(
                "rtl8139: the state is of revision {:#x}, this card is revision {revision:#x}",
                saved.revision
            )));
        }
        if !saved.state.is_sound() {
            return Err(RestoreError("rtl8139: the state contradicts itself".into()));
        }
        self.config.restore(&saved.config)?;
        self.chip.resume_from(saved.state);
        Ok(())
    }
}

/// The card's state.
#[derive(Serialize, Deserialize)]
struct Saved {
    revision: u8,
    config: Vec<u8>,
    state: State,
}
