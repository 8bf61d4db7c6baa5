//! From PCI Local Bus 3.0 and the 82441FX, 82371SB and 82371AB data sheets.

use super::*;
use crate::testing::{Sent, at};
use hvm::device::RestoreError;
use hvm::pci::Window;
use hvm::pci_config::{Bar, ConfigSpace, Identity};

/// A card with 16 ports and 4 KiB of memory; it remembers the last write and asserts its pin while that is nonzero.
pub(crate) struct Card {
    config: ConfigSpace,
    last: u64,
}

impl Card {
    pub(crate) fn boxed() -> Box<Self> {
        let mut config = ConfigSpace::new(Identity {
            vendor: 0x1af4,
            device: 0x1000,
            revision: 0,
            class: 0x02_00_00,
            subsystem_vendor: 0,
            subsystem: 0,
        })
        .with_interrupt_pin();
        config.add_bar(0, Bar::Port { bytes: 16 });
        config.add_bar(1, Bar::Memory32 { bytes: 0x1000 });
        Box::new(Self { config, last: 0 })
    }
}

impl Lifecycle for Card {
    fn kind(&self) -> &'static str {
        "card"
    }
    fn reset(&mut self) {
        self.config.reset();
        self.last = 0;
    }
    fn save(&self) -> Vec<u8> {
        crate::saved::write(1, &(self.config.save(), self.last))
    }
    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let (config, last): (Vec<u8>, u64) = crate::saved::read("card", 1, saved)?;
        self.config.restore(&config)?;
        self.last = last;
        Ok(())
    }
}

impl Function for Card {
    fn config_read(&self, offset: u8, width: Width) -> u32 {
        self.config.read(offset, width)
    }
    fn config_write(&mut self, offset: u8, width: Width, value: u32, _: &mut Context<'_>) {
        self.config.write(offset, width, value);
    }
    fn window(&self, index: usize) -> Option<Window> {
        self.config.window(index)
    }
    fn bar_read(&mut self, index: usize, offset: u64, _: Width, _: &mut Context<'_>) -> u64 {
        self.last + offset + ((index as u64) << 32)
    }
    fn bar_write(&mut self, _: usize, _: u64, _: Width, value: u64, _: &mut Context<'_>) {
        self.last = value;
    }
    fn interrupt_line(&self) -> bool {
        self.last != 0
    }
    fn poll(&mut self, _: &mut Context<'_>) {}
}

fn address(slot: u32, function: u32, register: u32) -> u32 {
    ADDRESS_ENABLE | slot << 11 | function << 8 | register
}

fn read(bus: &mut Bus, slot: u32, function: u32, register: u32) -> u32 {
    bus.set_address(address(slot, function, register));
    bus.config_read(0, Width::Dword)
}

fn write(bus: &mut Bus, slot: u32, function: u32, register: u32, value: u32) {
    bus.set_address(address(slot, function, register));
    at(0, &mut Sent::default(), |context| {
        bus.config_write(0, Width::Dword, value, context);
    });
}

#[test]
fn the_chipset_is_where_kernels_look() {
    let mut bus = Bus::new();
    assert_eq!(read(&mut bus, 0, 0, 0), 0x1237_8086);
    assert_eq!(read(&mut bus, 1, 0, 0), 0x7000_8086);
    assert_eq!(read(&mut bus, 1, 3, 0), 0x7113_8086);
    assert_eq!(
        read(&mut bus, 1, 0, 0x0c) >> 16 & 0xff,
        0x80,
        "multifunction"
    );
    assert_eq!(read(&mut bus, 1, 0, 0x60), 0x0b0b_0a0a);
    assert_eq!(read(&mut bus, 1, 3, 0x40), 0x601);
    write(&mut bus, 0, 0, 0x58, u32::MAX);
    assert_eq!(read(&mut bus, 0, 0, 0x58), 0x3333_3000);
}

#[test]
fn nobody_reads_all_ones() {
    let mut bus = Bus::new();
    bus.attach(3, Card::boxed()).unwrap();
    for (slot, function) in [(0, 1), (1, 1), (2, 0), (3, 1), (31, 7)] {
        assert_eq!(read(&mut bus, slot, function, 0), u32::MAX);
    }
    bus.set_address(address(0, 0, 0) | 1 << 16);
    assert_eq!(bus.config_read(0, Width::Dword), u32::MAX, "another bus");
    bus.set_address(0);
    assert_eq!(bus.config_read(0, Width::Word), 0xffff, "not enabled");
}

#[test]
fn bytes_and_words_of_the_data_port() {
    let mut bus = Bus::new();
    bus.set_address(u32::MAX);
    assert_eq!(bus.address(), 0x80ff_fffc);
    bus.set_address(address(1, 0, 0));
    assert_eq!(bus.config_read(1, Width::Byte), 0x80);
    assert_eq!(bus.config_read(2, Width::Word), 0x7000);
    assert_eq!(bus.config_read(3, Width::Word), 0xffff, "crosses the dword");
}

#[test]
fn slots() {
    let mut bus = Bus::new();
    assert_eq!(bus.attach(1, Card::boxed()), Err(AttachError::Slot(1)));
    assert_eq!(bus.attach(32, Card::boxed()), Err(AttachError::Slot(32)));
    assert_eq!(bus.attach(4, Card::boxed()), Ok(()));
    assert_eq!(bus.attach(4, Card::boxed()), Err(AttachError::Slot(4)));
}

#[test]
fn windows_follow_the_bars() {
    let mut bus = Bus::new();
    bus.attach(4, Card::boxed()).unwrap();
    bus.attach(3, Card::boxed()).unwrap();
    assert_eq!(bus.find_port(0xc000), None);
    write(&mut bus, 4, 0, 0x10, 0xc000);
    write(&mut bus, 4, 0, 0x14, 0xe000_0000);
    write(&mut bus, 4, 0, 4, 3);
    write(&mut bus, 3, 0, 0x10, 0xc010);
    write(&mut bus, 3, 0, 4, 1);
    let target = |function, bar, offset| {
        Some(Target {
            function,
            bar,
            offset,
        })
    };
    assert_eq!(bus.find_port(0xc00f), target(1, 0, 15));
    assert_eq!(bus.find_port(0xc010), target(0, 0, 0));
    assert_eq!(bus.find_port(0xc020), None);
    assert_eq!(bus.find_memory(0xe000_0fff), target(1, 1, 0xfff));
    assert_eq!(bus.find_memory(0xe000_1000), None);
    write(&mut bus, 4, 0, 4, 0);
    assert_eq!(
        (bus.find_port(0xc000), bus.find_memory(0xe000_0000)),
        (None, None)
    );
}

#[test]
fn routes_that_do_not_exist_go_nowhere() {
    let mut bus = Bus::new();
    assert_eq!(bus.pirqs().routes, [Some(10), Some(10), Some(11), Some(11)]);
    write(&mut bus, 1, 0, 0x60, 0x0d_80_02_05);
    assert_eq!(bus.pirqs().routes, [Some(5), None, None, None]);
}
