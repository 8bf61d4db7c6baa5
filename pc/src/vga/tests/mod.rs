//! The adapter as software sees it.

mod changes;
mod dispi;
mod maps;
mod modes;
mod pci;
mod pictures;
mod ports;
mod text;
mod traces;

use super::{Adapter, AdapterConfig, MINIMUM_BYTES, VideoRam};
use crate::testing::{Sent, at};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use hvm::display::{Picture, Rect, Size, Stamp};
use hvm::pci::Function;
use hvm::{Instant, Width};
use modes::Mode;

/// An adapter with so much memory and a short ROM.
fn adapter(memory_bytes: u32) -> Adapter {
    Adapter::new(AdapterConfig {
        memory: Arc::new(VideoRam::new(memory_bytes)),
        rom: vec![0x55, 0xaa, 4],
        preferred: Size {
            width: 1280,
            height: 800,
        },
    })
}

/// An adapter with time at hand.
struct Machine {
    adapter: Adapter,
    now_ns: u64,
}

impl Machine {
    fn new(memory_bytes: u32) -> Self {
        Self {
            adapter: adapter(memory_bytes),
            now_ns: 0,
        }
    }

    /// With the memory of an IBM VGA, in a mode as firmware sets it.
    fn in_mode(mode: &Mode) -> Self {
        let mut machine = Self::new(MINIMUM_BYTES);
        machine.set_mode(mode);
        machine
    }

    fn read(&mut self, window: usize, offset: u64, width: Width) -> u64 {
        let adapter = &mut self.adapter;
        at(self.now_ns, &mut Sent::default(), |context| {
            adapter.bar_read(window, offset, width, context)
        })
    }

    fn write(&mut self, window: usize, offset: u64, width: Width, value: u64) {
        let adapter = &mut self.adapter;
        at(self.now_ns, &mut Sent::default(), |context| {
            adapter.bar_write(window, offset, width, value, context);
        });
    }

    fn inb(&mut self, port: u16) -> u8 {
        let (window, first) = if port < 0x3c0 { (7, 0x3b0) } else { (8, 0x3c0) };
        self.read(window, u64::from(port - first), Width::Byte) as u8
    }

    fn outb(&mut self, port: u16, value: u8) {
        let (window, first) = if port < 0x3c0 { (7, 0x3b0) } else { (8, 0x3c0) };
        self.write(window, u64::from(port - first), Width::Byte, value.into());
    }

    /// Index and data in one, as software usually writes them.
    fn outw(&mut self, port: u16, index: u8, data: u8) {
        let value = u16::from_le_bytes([index, data]);
        self.write(8, u64::from(port - 0x3c0), Width::Word, value.into());
    }

    fn set_attribute(&mut self, index: u8, value: u8) {
        self.inb(0x3da);
        self.outb(0x3c0, index);
        self.outb(0x3c0, value);
    }

    fn set_color(&mut self, address: u8, [red, green, blue]: [u8; 3]) {
        self.outb(0x3c8, address);
        for component in [red, green, blue] {
            self.outb(0x3c9, component);
        }
    }

    fn dispi(&mut self, index: u16, value: u16) {
        self.write(9, 0, Width::Word, index.into());
        self.write(9, 1, Width::Word, value.into());
    }

    fn dispi_read(&mut self, index: u16) -> u16 {
        self.write(9, 0, Width::Word, index.into());
        self.read(9, 1, Width::Word) as u16
    }

    /// Writes at an address of A0000h…BFFFFh.
    fn poke(&mut self, address: u32, bytes: &[u8]) {
        let offset = u64::from(address - 0xa_0000);
        assert!(self.adapter.bar_write_bytes(10, offset, bytes));
    }

    fn peek(&mut self, address: u32) -> u8 {
        self.read(10, u64::from(address - 0xa_0000), Width::Byte) as u8
    }

    fn pixel(&mut self, x: u32, y: u32) -> u32 {
        let mut pixel = [0];
        let rect = Rect {
            x,
            y,
            width: 1,
            height: 1,
        };
        self.adapter.vga().render(rect, &mut pixel);
        pixel[0]
    }

    fn row(&mut self, y: u32) -> Vec<u32> {
        let mut rect = self.adapter.vga().size().whole();
        (rect.y, rect.height) = (y, 1);
        let mut pixels = vec![0; rect.width as usize];
        self.adapter.vga().render(rect, &mut pixels);
        pixels
    }

    fn update(&mut self, since: Stamp) -> (Stamp, Vec<Rect>) {
        let mut rects = Vec::new();
        let now = Instant::from_ns(self.now_ns);
        let display = self.adapter.display().unwrap();
        let stamp = display.update(since, now, &mut |rect| rects.push(rect));
        (stamp, rects)
    }
}
