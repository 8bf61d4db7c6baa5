//! What a user's own firmware finds on the board: its configuration device and its flash.

use super::Board;
use crate::fw_cfg::FwCfg;
use crate::pci::ShadowRam;
use crate::pflash::Flash;
use guest_mem::{Attributes, GuestMemory};
use hvm::device::{Context, Lifecycle};
use hvm::{Gpa, Width};

/// The configuration device's ports.
const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
const ADDRESS_HIGH: u16 = 0x514;
const ADDRESS_LOW: u16 = 0x518;
pub(super) const FW_CFG_FIRST: u16 = SELECTOR;
pub(super) const FW_CFG_LAST: u16 = 0x51b;

/// A part of flash and where it is.
pub(super) struct Part {
    base: Gpa,
    flash: Flash,
}

impl Board {
    /// Plugs the firmware configuration device in, at ports 510h to 51Bh.
    pub fn attach_fw_cfg(&mut self, fw_cfg: FwCfg) {
        self.fw_cfg = Some(fw_cfg);
    }

    /// Sets how shadow RAM is after each reset, and with the next [`Board::refresh_memory`].
    pub fn set_shadow_ram(&mut self, shadow: ShadowRam) {
        self.bus.set_shadow_ram(shadow);
    }

    /// Has memory show what the chips say: shadow RAM, flash that shows its contents, the linear framebuffer. To be called once, and after each reset and
    /// restore, which do not reach memory; every other change is made with what causes it.
    pub fn refresh_memory(&mut self, memory: &GuestMemory) {
        self.bus.apply_shadow_ram(memory);
        self.announce_framebuffer(memory);
        for part in &mut self.flash {
            part.flash.take_changed();
            // Without an area there, each access exits to the chip.
            let _ = memory.program(part.base, part.flash.contents());
            part.show(memory);
        }
    }

    /// Puts flash at `base`. Where parts overlap, the first one answers. It shows in an area of guest memory at its place, if there is one.
    pub fn attach_flash(&mut self, base: Gpa, flash: Flash) {
        self.flash.push(Part { base, flash });
    }

    /// The parts of flash, in the order in which they came, and where they are.
    pub fn flash(&mut self) -> impl Iterator<Item = (Gpa, &mut Flash)> {
        self.flash
            .iter_mut()
            .map(|part| (part.base, &mut part.flash))
    }

    /// Reads a byte of the configuration device.
    pub(super) fn read_fw_cfg(&mut self, port: u16) -> Option<u8> {
        let device = self.fw_cfg.as_mut()?;
        match port {
            SELECTOR | DATA => Some(device.read_data()),
            ADDRESS_HIGH..=FW_CFG_LAST => Some(device.read_address((port - ADDRESS_HIGH).into())),
            _ => None,
        }
    }

    /// Writes it: a word to the selector, a dword to either half of the address.
    pub(super) fn write_fw_cfg(
        &mut self,
        port: u16,
        width: Width,
        value: u32,
        context: &mut Context<'_>,
    ) {
        let Some(device) = &mut self.fw_cfg else {
            return;
        };
        match (port, width) {
            (SELECTOR, Width::Word) => device.select(value as u16),
            (ADDRESS_HIGH, Width::Dword) => device.write_address_high(value),
            (ADDRESS_LOW, Width::Dword) => device.write_address_low(value, context.memory),
            _ => {}
        }
    }

    /// Reads flash; `None` if there is none at that address.
    pub(super) fn read_flash(&mut self, gpa: Gpa, width: Width) -> Option<u64> {
        let (part, offset) = self.find_flash(gpa)?;
        Some(part.flash.read(offset, width))
    }

    /// Writes flash; false if there is none at that address.
    pub(super) fn write_flash(
        &mut self,
        gpa: Gpa,
        width: Width,
        value: u64,
        memory: &GuestMemory,
    ) -> bool {
        let Some((part, offset)) = self.find_flash(gpa) else {
            return false;
        };
        part.flash.write(offset, width, value);
        part.show(memory);
        true
    }

    fn find_flash(&mut self, gpa: Gpa) -> Option<(&mut Part, u64)> {
        self.flash.iter_mut().find_map(|part| {
            let offset = gpa.0.checked_sub(part.base.0)?;
            (offset < part.flash.contents().len() as u64).then_some((part, offset))
        })
    }
}

impl Part {
    /// Has memory show the contents as they are, or nothing.
    fn show(&mut self, memory: &GuestMemory) {
        let attributes = if self.flash.shows_contents() {
            Attributes::FLASH
        } else {
            Attributes::DEVICE
        };
        if let Some(changed) = self.flash.take_changed() {
            let place = self.base.wrapping_add(changed.start as u64);
            if let Some(bytes) = self.flash.contents().get(changed) {
                // Without an area there, each access exits to the chip.
                let _ = memory.program(place, bytes);
            }
        }
        memory.switch(self.base, self.flash.contents().len() as u64, attributes);
    }

    pub(super) fn as_lifecycle(&self) -> &dyn Lifecycle {
        &self.flash
    }

    pub(super) fn as_lifecycle_mut(&mut self) -> &mut dyn Lifecycle {
        &mut self.flash
    }
}
