//! What a user's own firmware finds on the board: its configuration device and its flash.

use super::Board;
use crate::fw_cfg::FwCfg;
use crate::pflash::Flash;
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

    /// Puts flash at `base`. Where parts overlap, the first one answers.
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

    /// The part that answers at an address, and the offset in it.
    pub(super) fn find_flash(&mut self, gpa: Gpa) -> Option<(&mut Flash, u64)> {
        self.flash.iter_mut().find_map(|part| {
            let offset = gpa.0.checked_sub(part.base.0)?;
            (offset < part.flash.contents().len() as u64).then_some((&mut part.flash, offset))
        })
    }
}

impl Part {
    pub(super) fn as_lifecycle(&self) -> &dyn Lifecycle {
        &self.flash
    }

    pub(super) fn as_lifecycle_mut(&mut self) -> &mut dyn Lifecycle {
        &mut self.flash
    }
}
