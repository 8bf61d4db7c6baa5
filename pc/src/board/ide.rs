//! The IDE channels' ports and interrupts (82371SB data sheet, "IDE interface": legacy mode).

use super::Board;
use super::interrupts::{PRIMARY_IDE_IRQ, SECONDARY_IDE_IRQ, Source};
use crate::ide::{ChannelName, Ide, Register};
use hvm::Width;
use hvm::device::Context;
use hvm::pci::Function;

/// The command blocks, and the one port of each control block that the function decodes.
const PRIMARY: u16 = 0x1f0;
const SECONDARY: u16 = 0x170;
const PRIMARY_CONTROL: u16 = 0x3f6;
const SECONDARY_CONTROL: u16 = 0x376;
/// The channel and register at a port.
#[inline]
fn decode(port: u16) -> Option<(ChannelName, Register)> {
    let register = Register::ALL[usize::from(port & 7)];
    match port {
        PRIMARY_CONTROL => Some((ChannelName::Primary, Register::Control)),
        SECONDARY_CONTROL => Some((ChannelName::Secondary, Register::Control)),
        _ if port & !7 == PRIMARY => Some((ChannelName::Primary, register)),
        _ if port & !7 == SECONDARY => Some((ChannelName::Secondary, register)),
        _ => None,
    }
}

impl Board {
    /// The IDE function, to change media; `None` if the board has no drives. A change may fail a command of the guest, so
    /// call [`Board::poll`] after it.
    pub fn ide_mut(&mut self) -> Option<&mut Ide> {
        self.bus.ide_mut()
    }

    /// Whether the function may decode a port.
    #[inline]
    fn may_be_ide(&self, port: u16) -> bool {
        self.bus.ide().is_some()
            && (decode(port).is_some() || self.bus.find_bus_master(port).is_some())
    }

    /// Reads a port of the function; `None` if it decodes no such port.
    #[inline]
    pub(super) fn read_ide(
        &mut self,
        port: u16,
        width: Width,
        context: &mut Context<'_>,
    ) -> Option<u32> {
        if self.may_be_ide(port) {
            self.read_ide_port(port, width, context)
        } else {
            None
        }
    }

    #[inline(never)]
    fn read_ide_port(&mut self, port: u16, width: Width, context: &mut Context<'_>) -> Option<u32> {
        let value = if let Some((channel, register)) = decode(port) {
            let ide = self.bus.ide_mut()?;
            if width != Width::Byte && register != Register::Data {
                return Some(self.read_bytes(port, width, context));
            }
            ide.read(channel, register, width, context)
        } else {
            let (bar, offset) = self.bus.find_bus_master(port)?;
            let ide = self.bus.ide_mut()?;
            ide.bar_read(bar, offset, width, context) as u32
        };
        self.drive_ide(context);
        Some(value)
    }

    /// Writes a port of the function; false if it decodes no such port.
    #[inline]
    pub(super) fn write_ide(
        &mut self,
        port: u16,
        width: Width,
        value: u32,
        context: &mut Context<'_>,
    ) -> bool {
        self.may_be_ide(port) && self.write_ide_port(port, width, value, context)
    }

    #[inline(never)]
    fn write_ide_port(
        &mut self,
        port: u16,
        width: Width,
        value: u32,
        context: &mut Context<'_>,
    ) -> bool {
        if let Some((channel, register)) = decode(port) {
            let Some(ide) = self.bus.ide_mut() else {
                return false;
            };
            if width != Width::Byte && register != Register::Data {
                self.write_bytes(port, width, value, context);
                return true;
            }
            ide.write(channel, register, width, value, context);
        } else {
            let target = self.bus.find_bus_master(port);
            let Some((ide, (bar, offset))) = self.bus.ide_mut().zip(target) else {
                return false;
            };
            ide.bar_write(bar, offset, width, u64::from(value), context);
        }
        self.drive_ide(context);
        true
    }

    /// A wide access to 8-bit registers, which the ISA bus takes apart.
    #[cold]
    fn read_bytes(&mut self, port: u16, width: Width, context: &mut Context<'_>) -> u32 {
        (0..width.bytes().min(4) as u16).fold(0, |value, at| {
            let byte = self.port_read(port.wrapping_add(at), Width::Byte, context);
            value | byte << (8 * at)
        })
    }

    #[cold]
    fn write_bytes(&mut self, port: u16, width: Width, value: u32, context: &mut Context<'_>) {
        for (at, byte) in (0..width.bytes() as u16).zip(value.to_le_bytes()) {
            let port = port.wrapping_add(at);
            self.port_write(port, Width::Byte, u32::from(byte), context);
        }
    }

    /// Reads a port again and again, as REP INS does, into elements of `width`: a drive's data in one go.
    pub fn port_read_string(
        &mut self,
        port: u16,
        width: Width,
        into: &mut [u8],
        context: &mut Context<'_>,
    ) {
        if let (Some((channel, Register::Data)), true) = (decode(port), width != Width::Byte)
            && let Some(ide) = self.bus.ide_mut()
        {
            ide.data_in(channel, into, context);
            return self.drive_ide(context);
        }
        for element in into.chunks_mut(width.bytes()) {
            let value = self.port_read(port, width, context).to_le_bytes();
            let bytes = element.len().min(value.len());
            element[..bytes].copy_from_slice(&value[..bytes]);
        }
    }

    /// Writes a port again and again, as REP OUTS does, from elements of `width`.
    pub fn port_write_string(
        &mut self,
        port: u16,
        width: Width,
        from: &[u8],
        context: &mut Context<'_>,
    ) {
        if let (Some((channel, Register::Data)), true) = (decode(port), width != Width::Byte)
            && let Some(ide) = self.bus.ide_mut()
        {
            ide.data_out(channel, from, context);
            return self.drive_ide(context);
        }
        for element in from.chunks(width.bytes()) {
            let mut value = [0; 4];
            let bytes = element.len().min(value.len());
            value[..bytes].copy_from_slice(&element[..bytes]);
            self.port_write(port, width, u32::from_le_bytes(value), context);
        }
    }

    /// Brings the channels' interrupts onto their lines.
    #[inline]
    pub(super) fn drive_ide(&mut self, context: &mut Context<'_>) {
        let Some(ide) = self.bus.ide_mut() else {
            return;
        };
        for (irq, channel) in [
            (PRIMARY_IDE_IRQ, ChannelName::Primary),
            (SECONDARY_IDE_IRQ, ChannelName::Secondary),
        ] {
            if ide.take_fall(channel) {
                self.interrupts
                    .drive(irq, Source::Isa, false, context.signals);
            }
            let level = ide.interrupt(channel);
            self.interrupts
                .drive(irq, Source::Isa, level, context.signals);
        }
    }
}
