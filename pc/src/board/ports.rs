//! Who answers at a port. The chipset's fixed ports come first, then the BARs of PCI functions.

use super::firmware::{FW_CFG_FIRST, FW_CFG_LAST};
use super::{Board, Serial};
use crate::acpi_pm::{GPE0_BASE, GPE0_PORTS, PM_BASE, PM_PORTS};
use crate::pic::Register;
use hvm::Width;
use hvm::device::Context;

/// The floppy controller's ports. One between them is the disk controller's, and the first two answer only in PS/2 mode.
const FLOPPY_BASE: u16 = 0x3f0;
const FLOPPY_FIRST: u16 = 0x3f2;
const FLOPPY_FIFO: u16 = 0x3f5;
const FLOPPY_LAST: u16 = 0x3f7;
const PM_LAST: u16 = PM_BASE + PM_PORTS - 1;
/// Where OVMF would put the block if it were not enabled already, and where it turns the machine off whether it did or not
/// (`PIIX4_PMBA_VALUE` in its sources).
const UEFI_PM_BASE: u16 = 0xb000;
const UEFI_PM_LAST: u16 = UEFI_PM_BASE + PM_PORTS - 1;
const GPE0_LAST: u16 = GPE0_BASE + GPE0_PORTS - 1;

impl Board {
    /// Reads a port. Where nobody answers, all ones.
    #[inline]
    pub fn port_read(&mut self, port: u16, width: Width, context: &mut Context<'_>) -> u32 {
        match port {
            0xcf8 if width == Width::Dword => self.bus.address(),
            0xcfc..=0xcff => self.bus.config_read(port as u8 & 3, width),
            PM_BASE..=PM_LAST => {
                self.settle(context);
                self.power.read(port - PM_BASE, width, context.now)
            }
            GPE0_BASE..=GPE0_LAST => self.power.read_gpe(port - GPE0_BASE, width),
            UEFI_PM_BASE..=UEFI_PM_LAST if self.fw_cfg.is_some() => {
                self.port_read(port - UEFI_PM_BASE + PM_BASE, width, context)
            }
            _ => match self.read_byte(port, context) {
                Some(byte) if width == Width::Byte => u32::from(byte),
                Some(byte) => self.read_rest(port, width, byte, context),
                None => self.read_bar(port, width, context),
            },
        }
    }

    /// Writes a port.
    #[inline]
    pub fn port_write(&mut self, port: u16, width: Width, value: u32, context: &mut Context<'_>) {
        match port {
            0xcf8 if width == Width::Dword => self.bus.set_address(value),
            FW_CFG_FIRST..=FW_CFG_LAST if self.fw_cfg.is_some() => {
                self.write_fw_cfg(port, width, value, context);
            }
            0xcfc..=0xcff => {
                self.deadline_is_stale = true;
                self.bus.config_write(port as u8 & 3, width, value, context);
                self.announce_framebuffer(context.memory);
                self.drive_ide(context);
                self.drive_pirqs(context);
            }
            PM_BASE..=PM_LAST => {
                self.power
                    .write(port - PM_BASE, width, value, context.now, context.signals);
                self.advance_timers(context);
            }
            GPE0_BASE..=GPE0_LAST => self.power.write_gpe(port - GPE0_BASE, width, value),
            UEFI_PM_BASE..=UEFI_PM_LAST if self.fw_cfg.is_some() => {
                self.port_write(port - UEFI_PM_BASE + PM_BASE, width, value, context);
            }
            _ => {
                let [byte, rest @ ..] = value.to_le_bytes();
                if !self.write_byte(port, byte, context) {
                    self.write_bar(port, width, value, context);
                    return;
                }
                // The ISA bus splits a wide access to 8-bit chips.
                for (next, &byte) in (1..width.bytes() as u16).zip(&rest) {
                    self.write_byte(port.wrapping_add(next), byte, context);
                }
            }
        }
    }

    /// The other bytes of a wide access to 8-bit chips, one by one as the ISA bus does it.
    #[cold]
    fn read_rest(&mut self, port: u16, width: Width, first: u8, context: &mut Context<'_>) -> u32 {
        let mut value = u32::from(first);
        for next in 1..width.bytes().min(4) as u16 {
            let byte = self.read_byte(port.wrapping_add(next), context);
            value |= u32::from(byte.unwrap_or(0xff)) << (8 * next);
        }
        value
    }

    /// Reads a byte of the chipset.
    #[inline]
    fn read_byte(&mut self, port: u16, context: &mut Context<'_>) -> Option<u8> {
        Some(match port {
            0x00..=0x0f => self.dma.read_bytes(port as u8),
            0x80..=0x8f => self.dma.read_page(port as u8),
            0xc0..=0xdf => self.dma.read_words((port as u8 & 0x1f) >> 1),
            0x20 => self.read_pic(Register::MasterCommand, context),
            0x21 => self.read_pic(Register::MasterData, context),
            0xa0 => self.read_pic(Register::SlaveCommand, context),
            0xa1 => self.read_pic(Register::SlaveData, context),
            0x4d0 => self.read_pic(Register::MasterElcr, context),
            0x4d1 => self.read_pic(Register::SlaveElcr, context),
            0x40..=0x43 => self.pit.read(port - 0x40, context.now),
            0x61 => self.pit.read_control(context.now),
            0x60 => self.with_kbc(context, |board, context| board.kbc.read_data(context.now)),
            0x64 => self.with_kbc(context, |board, _| board.kbc.read_status()),
            0x71 => {
                let value = self.rtc.read(context.now);
                self.advance_timers(context);
                value
            }
            0x92 => self.reset.read_92(self.a20),
            0xcf9 => self.reset.read_control(),
            0x3f8..=0x3ff => {
                let value = self.com1.as_mut()?.uart.read(port - 0x3f8);
                self.drive_serial(context);
                value
            }
            0x2f8..=0x2ff => {
                let value = self.com2.as_mut()?.uart.read(port - 0x2f8);
                self.drive_serial(context);
                value
            }
            FLOPPY_FIRST..=FLOPPY_FIFO | FLOPPY_LAST => {
                let register = port - FLOPPY_BASE;
                self.with_floppy(context, |floppy, channel| floppy.read(register, channel))?
            }
            FW_CFG_FIRST..=FW_CFG_LAST => self.read_fw_cfg(port)?,
            // Index of the clock, delay port: nothing to read.
            0x70 | 0xed => 0xff,
            _ => return None,
        })
    }

    /// Writes a byte of the chipset; false if it has no such port.
    #[inline]
    fn write_byte(&mut self, port: u16, value: u8, context: &mut Context<'_>) -> bool {
        match port {
            0x00..=0x0f => self.dma.write_bytes(port as u8, value),
            0x80..=0x8f => self.dma.write_page(port as u8, value),
            0xc0..=0xdf => self.dma.write_words((port as u8 & 0x1f) >> 1, value),
            0x20 => self.write_pic(Register::MasterCommand, value, context),
            0x21 => self.write_pic(Register::MasterData, value, context),
            0xa0 => self.write_pic(Register::SlaveCommand, value, context),
            0xa1 => self.write_pic(Register::SlaveData, value, context),
            0x4d0 => self.write_pic(Register::MasterElcr, value, context),
            0x4d1 => self.write_pic(Register::SlaveElcr, value, context),
            0x40..=0x43 => {
                self.advance_timers(context);
                self.pit.write(port - 0x40, value, context.now);
                self.advance_timers(context);
            }
            0x61 => {
                self.pit.write_control(value, context.now);
                self.deadline_is_stale = true;
            }
            0x60 => self.with_kbc(context, |board, context| {
                board.kbc.write_data(value, &mut board.a20, context.signals);
            }),
            0x64 => self.with_kbc(context, |board, context| {
                board
                    .kbc
                    .write_command(value, &mut board.a20, context.signals);
            }),
            0x70 => self.rtc.select(value),
            0x71 => {
                self.rtc.write(value, context.now);
                self.advance_timers(context);
            }
            0x92 => self.reset.write_92(value, &mut self.a20, context.signals),
            0xcf9 => self.reset.write_control(value, context.signals),
            0x3f8..=0x3ff if write_serial(&mut self.com1, port - 0x3f8, value) => {
                self.drive_serial(context);
            }
            0x2f8..=0x2ff if write_serial(&mut self.com2, port - 0x2f8, value) => {
                self.drive_serial(context);
            }
            FLOPPY_FIRST..=FLOPPY_FIFO | FLOPPY_LAST => {
                let register = port - FLOPPY_BASE;
                return self.with_floppy(context, |floppy, channel| {
                    floppy.write(register, value, channel)
                });
            }
            0xed => {}
            _ => return false,
        }
        true
    }

    #[inline]
    fn read_pic(&mut self, register: Register, context: &mut Context<'_>) -> u8 {
        self.settle(context);
        self.interrupts.pic.read(register)
    }

    #[inline]
    fn write_pic(&mut self, register: Register, value: u8, context: &mut Context<'_>) {
        self.settle(context);
        self.deadline_is_stale = true;
        self.interrupts.pic.write(register, value);
    }

    fn read_bar(&mut self, port: u16, width: Width, context: &mut Context<'_>) -> u32 {
        let Some(target) = self.bus.find_port(port) else {
            let ide = self.read_ide(port, width, context);
            return ide.unwrap_or(width.mask() as u32);
        };
        let value = self.bus.bar_read(target, width, context);
        self.drive_pirqs(context);
        value as u32
    }

    fn write_bar(&mut self, port: u16, width: Width, value: u32, context: &mut Context<'_>) {
        if let Some(target) = self.bus.find_port(port) {
            let value = width.cut(u64::from(value));
            self.bus.bar_write(target, width, value, context);
            self.drive_pirqs(context);
        } else {
            self.write_ide(port, width, value, context);
        }
    }
}

/// Writes a serial port's register; false if the port is not there.
fn write_serial(serial: &mut Option<Serial>, offset: u16, value: u8) -> bool {
    let Some(serial) = serial else {
        return false;
    };
    serial.uart.write(offset, value);
    true
}
