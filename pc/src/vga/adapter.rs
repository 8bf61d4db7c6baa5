//! The chip on a PCI card: QEMU's 1234h:1111h (`docs/specs/standard-vga`), which firmware and drivers of many systems know.
//!
//! | window | holds |
//! | --- | --- |
//! | BAR 0, prefetchable memory | the linear framebuffer: all of video memory |
//! | BAR 2, memory | registers, a page of them |
//! | ROM | the image that the adapter was given, if any |
//! | ports 3B0h…3BBh, 3C0h…3DFh, 1CEh…1D0h, memory A0000h…BFFFFh | what a VGA decodes ever since |
//!
//! The legacy ranges are decoded whatever the command register says: software from before PCI does not write it.

use super::edid::{EDID_BYTES, edid};
use super::mmio::PAGE_BYTES;
use super::window::RANGE_BYTES;
use super::{Vga, VideoMemory};
use crate::saved;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hvm::Width;
use hvm::device::{Context, Lifecycle, RestoreError};
use hvm::display::{Display, Size};
use hvm::pci::{Function, ROM_WINDOW, Window, WindowCopy};
use hvm::pci_config::{Bar, Command, ConfigSpace, Identity, offset};

/// Version of the saved state.
const SAVED_VERSION: u16 = 1;

const IDENTITY: Identity = Identity {
    vendor: 0x1234,
    device: 0x1111,
    // From revision 2 on, BAR 2 has the adapter's own registers.
    revision: 2,
    class: 0x03_00_00,
    subsystem_vendor: 0x1af4,
    subsystem: 0x1100,
};
/// Bit 3 of a memory BAR (PCI Local Bus 3.0, 6.2.5.1): reads have no side effects.
const PREFETCHABLE: u8 = 1 << 3;
/// The expansion ROM's base address register (6.2.5.2), its decode bit, and the least that it can ask for.
const ROM_BASE: u8 = 0x30;
const ROM_ENABLE: u32 = 1;
const ROM_MINIMUM_BYTES: u32 = 0x800;

/// Windows.
mod window {
    pub const FRAMEBUFFER: usize = 0;
    pub const REGISTERS: usize = 2;
    pub const MONOCHROME_PORTS: usize = 7;
    pub const PORTS: usize = 8;
    pub const DISPI_PORTS: usize = 9;
    pub const LEGACY: usize = 10;
}

/// Windows that do not move. Ports 3BCh to 3BFh belong to a printer.
const MONOCHROME_PORTS: (u16, u16) = (0x3b0, 12);
const PORTS: (u16, u16) = (0x3c0, 32);
const DISPI_PORTS: (u16, u16) = (0x1ce, 3);
const LEGACY: Window = Window::Memory {
    base: 0xa_0000,
    bytes: RANGE_BYTES as u64,
};

/// What an adapter is made from.
pub struct AdapterConfig {
    /// Video memory; the BAR has the next power of two.
    pub memory: Arc<dyn VideoMemory>,
    /// The expansion ROM's image, up to 16 MiB; empty for none.
    pub rom: Vec<u8>,
    /// The resolution that the monitor asks for.
    pub preferred: Size,
}

impl AdapterConfig {
    /// Video memory of its own, 16 MiB, no ROM, and a monitor of 1280 by 800.
    pub fn new() -> Self {
        Self {
            memory: Arc::new(super::VideoRam::new(16 << 20)),
            rom: Vec::new(),
            preferred: Size {
                width: 1280,
                height: 800,
            },
        }
    }
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// A VGA as a PCI function.
pub struct Adapter {
    vga: Vga,
    config: ConfigSpace,
    rom: Vec<u8>,
    edid: [u8; EDID_BYTES],
}

impl Adapter {
    /// An adapter in reset state.
    pub fn new(config: AdapterConfig) -> Self {
        let AdapterConfig {
            memory,
            rom,
            preferred,
        } = config;
        let mut space = ConfigSpace::new(IDENTITY);
        let bytes = memory.bytes();
        space.add_bar(window::FRAMEBUFFER, Bar::Memory32 { bytes });
        space.set(offset::BAR0, &[PREFETCHABLE]);
        space.add_bar(window::REGISTERS, Bar::Memory32 { bytes: PAGE_BYTES });
        if let Some(bytes) = rom_bytes(&rom) {
            space.open(ROM_BASE, &(!(bytes - 1) | ROM_ENABLE).to_le_bytes());
        }
        Self {
            vga: Vga::new(memory),
            config: space,
            rom,
            edid: edid(preferred),
        }
    }

    /// The chip.
    pub fn vga(&mut self) -> &mut Vga {
        &mut self.vga
    }

    fn rom_window(&self) -> Option<Window> {
        let bytes = rom_bytes(&self.rom)?;
        let register = self.config.read(ROM_BASE, Width::Dword);
        let base = register & !(bytes - 1);
        let decoded = self.config.command().contains(Command::MEMORY) && register & ROM_ENABLE != 0;
        (decoded && base != 0).then_some(Window::Memory {
            base: base.into(),
            bytes: bytes.into(),
        })
    }

    fn rom_read(&self, offset: u64, width: Width) -> u64 {
        let mut bytes = [0xff; 8];
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let image = self.rom.get(at..).unwrap_or_default();
        for (into, from) in bytes.iter_mut().zip(image) {
            *into = *from;
        }
        width.cut(u64::from_le_bytes(bytes))
    }
}

/// What the ROM asks for, if there is one.
fn rom_bytes(rom: &[u8]) -> Option<u32> {
    let bytes = u32::try_from(rom.len()).ok().filter(|&bytes| bytes != 0)?;
    bytes.max(ROM_MINIMUM_BYTES).checked_next_power_of_two()
}

fn ports((base, bytes): (u16, u16)) -> Option<Window> {
    Some(Window::Port { base, bytes })
}

/// Bytes of a wide access to 8-bit registers, with their ports.
fn split(first: u16, offset: u64, width: Width) -> impl Iterator<Item = (u32, u16)> {
    let port = first.wrapping_add(offset as u16);
    (0..width.bytes() as u16).map(move |byte| (8 * u32::from(byte), port.wrapping_add(byte)))
}

impl Function for Adapter {
    fn config_read(&self, offset: u8, width: Width) -> u32 {
        self.config.read(offset, width)
    }

    fn config_write(&mut self, offset: u8, width: Width, value: u32, _: &mut Context<'_>) {
        self.config.write(offset, width, value);
    }

    fn window(&self, index: usize) -> Option<Window> {
        match index {
            ROM_WINDOW => self.rom_window(),
            window::MONOCHROME_PORTS => ports(MONOCHROME_PORTS),
            window::PORTS => ports(PORTS),
            window::DISPI_PORTS => ports(DISPI_PORTS),
            window::LEGACY => Some(LEGACY),
            _ => self.config.window(index),
        }
    }

    fn bar_read(
        &mut self,
        index: usize,
        offset: u64,
        width: Width,
        context: &mut Context<'_>,
    ) -> u64 {
        let mut ports = |first| {
            split(first, offset, width).fold(0, |value, (shift, port)| {
                value | u64::from(self.vga.port_read(port, context.now)) << shift
            })
        };
        match index {
            window::FRAMEBUFFER => {
                let mut bytes = [0; 8];
                let at = u32::try_from(offset).unwrap_or(u32::MAX);
                self.vga.linear_read(at, &mut bytes[..width.bytes()]);
                u64::from_le_bytes(bytes)
            }
            window::REGISTERS => self.vga.page_read(&self.edid, offset, width, context.now),
            ROM_WINDOW => self.rom_read(offset, width),
            window::MONOCHROME_PORTS => ports(MONOCHROME_PORTS.0),
            window::PORTS => ports(PORTS.0),
            window::DISPI_PORTS => {
                let port = DISPI_PORTS.0.wrapping_add(offset as u16);
                u64::from(self.vga.dispi_port_read(port, width))
            }
            window::LEGACY => self.vga.window_load(offset as u32, width),
            _ => width.mask(),
        }
    }

    fn bar_write(
        &mut self,
        index: usize,
        offset: u64,
        width: Width,
        value: u64,
        _: &mut Context<'_>,
    ) {
        let mut ports = |first| {
            for (shift, port) in split(first, offset, width) {
                self.vga.port_write(port, (value >> shift) as u8);
            }
        };
        match index {
            window::FRAMEBUFFER => {
                let at = u32::try_from(offset).unwrap_or(u32::MAX);
                let bytes = value.to_le_bytes();
                self.vga.linear_write(at, &bytes[..width.bytes()]);
            }
            window::REGISTERS => self.vga.page_write(offset, width, value),
            window::MONOCHROME_PORTS => ports(MONOCHROME_PORTS.0),
            window::PORTS => ports(PORTS.0),
            window::DISPI_PORTS => {
                let port = DISPI_PORTS.0.wrapping_add(offset as u16);
                self.vga.dispi_port_write(port, width, value as u32);
            }
            window::LEGACY => self.vga.window_store(offset as u32, width, value),
            _ => {}
        }
    }

    fn interrupt_line(&self) -> bool {
        false
    }

    fn poll(&mut self, _: &mut Context<'_>) {}

    fn bar_read_bytes(&mut self, index: usize, offset: u64, into: &mut [u8]) -> bool {
        let Ok(offset) = u32::try_from(offset) else {
            return false;
        };
        match index {
            window::FRAMEBUFFER => self.vga.linear_read(offset, into),
            window::LEGACY => self.vga.window_read(offset, into),
            _ => return false,
        }
        true
    }

    fn bar_write_bytes(&mut self, index: usize, offset: u64, from: &[u8]) -> bool {
        let Ok(offset) = u32::try_from(offset) else {
            return false;
        };
        match index {
            window::FRAMEBUFFER => self.vga.linear_write(offset, from),
            window::LEGACY => self.vga.window_write(offset, from),
            _ => return false,
        }
        true
    }

    fn bar_copy(&mut self, index: usize, copy: WindowCopy) -> bool {
        let legacy = index == window::LEGACY;
        if legacy {
            self.vga.window_copy(copy);
        }
        legacy
    }

    fn plain_memory(&self) -> Option<Window> {
        self.config.window(window::FRAMEBUFFER)
    }

    fn display(&mut self) -> Option<&mut dyn Display> {
        Some(&mut self.vga)
    }
}

impl Lifecycle for Adapter {
    fn kind(&self) -> &'static str {
        self.vga.kind()
    }

    fn reset(&mut self) {
        self.vga.reset();
        self.config.reset();
    }

    fn save(&self) -> Vec<u8> {
        saved::write(SAVED_VERSION, &(self.config.save(), self.vga.save()))
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let (config, vga): (Vec<u8>, Vec<u8>) = saved::read(self.kind(), SAVED_VERSION, saved)?;
        let mut space = self.config.clone();
        space.restore(&config)?;
        self.vga.restore(&vga)?;
        self.config = space;
        Ok(())
    }
}
