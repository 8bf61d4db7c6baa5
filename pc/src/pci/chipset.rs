//! The board's own functions: they have configuration space and nothing else.

use super::Routes;
use super::bits::*;
use super::shadow::ShadowRam;
use crate::acpi_pm::PM_BASE;
use alloc::vec::Vec;
use hvm::Width;
use hvm::device::{Context, Lifecycle, RestoreError};
use hvm::pci::{Function, Window};
use hvm::pci_config::{ConfigSpace, Identity, offset};

/// A function without BARs.
pub(crate) struct Chipset {
    kind: &'static str,
    config: ConfigSpace,
}

const INTEL: u16 = 0x8086;
/// Vendor and device by which firmware knows that it runs on QEMU's machine, with its configuration device (SeaBIOS looks at the
/// host bridge's).
const SUBSYSTEM: (u16, u16) = (0x1af4, 0x1100);

fn intel(device: u16, revision: u8, class: u32) -> ConfigSpace {
    ConfigSpace::new(Identity {
        vendor: INTEL,
        device,
        revision,
        class,
        subsystem_vendor: SUBSYSTEM.0,
        subsystem: SUBSYSTEM.1,
    })
}

impl Chipset {
    /// The 440FX host bridge (Intel 82441FX data sheet, order 290549, "PCI configuration space mapped registers"). The
    /// SMRAM register is stored: there is no system management mode.
    pub(super) fn host_bridge() -> Self {
        let mut config = intel(0x1237, 2, 0x06_00_00);
        config.set(offset::COMMAND, &[0x06, 0]);
        config.open(offset::COMMAND, &[0, 1]);
        config.set(PAM, &ShadowRam::Open.registers());
        config.open(PAM, &PAM_WRITABLE);
        config.open(SMRAM, &[0x78]);
        Self {
            kind: "i440fx",
            config,
        }
    }

    /// The PIIX3 ISA bridge (Intel 82371SB data sheet, order 290550, "PCI to ISA bridge"). Interrupt routing is set as firmware would.
    pub(super) fn isa_bridge() -> Self {
        let mut config = intel(0x7000, 0, 0x06_01_00).with_multifunction();
        config.set(offset::COMMAND, &[0x07, 0]);
        config.open(offset::COMMAND, &[0x08, 1]);
        config.set(PIRQ_ROUTE, &PIRQ_ROUTE_FIRMWARE);
        config.open(PIRQ_ROUTE, &[0x8f; 4]);
        config.open(ISA_TIMING, &[0x7f, 0, 0xff, 0x01]);
        Self {
            kind: "piix3",
            config,
        }
    }

    /// The PIIX4 power management function (Intel 82371AB data sheet, order 290562, "Power management", function 3), with its block where the board
    /// decodes it. SCI is wired to IRQ 9.
    pub(super) fn power_management() -> Self {
        // From revision 3 on, the timer needs to be read only once.
        let mut config = intel(0x7113, 3, 0x06_80_00).with_interrupt_pin();
        config.set(offset::COMMAND, &[0x01, 0]);
        config.open(offset::COMMAND, &[0, 0]);
        config.set(offset::INTERRUPT_LINE, &[9]);
        config.set(PM_BASE_REGISTER, &(u32::from(PM_BASE) | 1).to_le_bytes());
        config.set(PM_MISCELLANEOUS, &[1]);
        config.set(DEVICE_ACTIVITY_B, &SMI_BY_PORT.to_le_bytes());
        Self {
            kind: "piix4_pm",
            config,
        }
    }

    /// Sets what the host bridge's memory attributes are, now and after each reset.
    pub(super) fn set_shadow_ram(&mut self, shadow: ShadowRam) {
        self.config.set(PAM, &shadow.registers());
    }

    /// The host bridge's memory attribute registers.
    pub(super) fn memory_attributes(&self) -> [u8; PAM_REGISTERS] {
        core::array::from_fn(|index| self.config.read(PAM + index as u8, Width::Byte) as u8)
    }

    /// Which IRQs PIRQ A to D go to, if they are routed to one that exists for them (82371SB data sheet, "PIRQRC").
    pub(super) fn routes(&self) -> Routes {
        self.config
            .read(PIRQ_ROUTE, Width::Dword)
            .to_le_bytes()
            .map(|route| {
                let irq = route & 0xf;
                let routed = route & PIRQ_OFF == 0 && PIRQ_ROUTABLE & 1 << irq != 0;
                routed.then_some(irq)
            })
    }
}

impl Lifecycle for Chipset {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn reset(&mut self) {
        self.config.reset();
    }

    fn save(&self) -> Vec<u8> {
        self.config.save()
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        self.config.restore(saved)
    }
}

impl Function for Chipset {
    fn config_read(&self, offset: u8, width: Width) -> u32 {
        self.config.read(offset, width)
    }

    fn config_write(&mut self, offset: u8, width: Width, value: u32, _: &mut Context<'_>) {
        self.config.write(offset, width, value);
    }

    fn window(&self, _: usize) -> Option<Window> {
        None
    }

    fn bar_read(&mut self, _: usize, _: u64, width: Width, _: &mut Context<'_>) -> u64 {
        width.mask()
    }

    fn bar_write(&mut self, _: usize, _: u64, _: Width, _: u64, _: &mut Context<'_>) {}

    fn interrupt_line(&self) -> bool {
        false
    }

    fn poll(&mut self, _: &mut Context<'_>) {}
}
