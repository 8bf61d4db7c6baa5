//! The machine, as the `acpi` crate reaches it.

use crate::cpu::interrupts;
use crate::mem::{map_firmware, map_mmio};
use crate::time;
use ::acpi::aml::AmlError;
use ::acpi::{Handle, Handler, PciAddress, PhysicalMapping};
use core::ptr::NonNull;
use guest_mem::Hpa;
use x86::io::{inb, inl, inw, outb, outl, outw};

const PCI_ADDRESS: u16 = 0xcf8;
const PCI_DATA: u16 = 0xcfc;

/// The one machine that we run on.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

/// Stands in for memory that cannot be mapped: what the crate reads there is nothing, instead of a fault.
static NOTHING: [u64; 512] = [0; 512];

impl Machine {
    fn memory<T>(address: usize) -> Option<*mut T> {
        let aligned = address.is_multiple_of(align_of::<T>());
        map_mmio(Hpa(address as u64), size_of::<T>() as u64)
            .filter(|_| aligned)
            .map(<*mut u8>::cast)
    }

    fn read<T: Copy + Default>(address: usize) -> T {
        // SAFETY: mapped and aligned; AML names device registers and its own tables' memory, which Rust code does not use.
        Self::memory::<T>(address).map_or(T::default(), |at| unsafe { at.read_volatile() })
    }

    fn write<T>(address: usize, value: T) {
        if let Some(at) = Self::memory::<T>(address) {
            // SAFETY: as for `read`; a firmware that names other memory could as well have written it itself.
            unsafe { at.write_volatile(value) };
        }
    }

    /// Selects a dword of configuration space by mechanism 1, and gives the data port of the byte.
    fn select(address: PciAddress, offset: u16) -> u16 {
        let selector = 1 << 31
            | u32::from(address.bus()) << 16
            | u32::from(address.device()) << 11
            | u32::from(address.function()) << 8
            | u32::from(offset & 0xfc);
        // SAFETY: the ports belong to the host bridge.
        unsafe { outl(PCI_ADDRESS, selector) };
        PCI_DATA + (offset & 3)
    }
}

impl Handler for Machine {
    unsafe fn map_physical_region<T>(
        &self,
        physical_address: usize,
        size: usize,
    ) -> PhysicalMapping<Self, T> {
        let mapped = map_firmware(Hpa(physical_address as u64), size as u64);
        let pointer = mapped
            .unwrap_or((&raw const NOTHING).cast())
            .cast_mut()
            .cast();
        PhysicalMapping {
            physical_start: physical_address,
            virtual_start: NonNull::new(pointer).expect("the direct map does not reach address 0"),
            region_length: size,
            mapped_length: size,
            handler: *self,
        }
    }

    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}

    fn read_u8(&self, address: usize) -> u8 {
        Self::read(address)
    }
    fn read_u16(&self, address: usize) -> u16 {
        Self::read(address)
    }
    fn read_u32(&self, address: usize) -> u32 {
        Self::read(address)
    }
    fn read_u64(&self, address: usize) -> u64 {
        Self::read(address)
    }
    fn write_u8(&self, address: usize, value: u8) {
        Self::write(address, value);
    }
    fn write_u16(&self, address: usize, value: u16) {
        Self::write(address, value);
    }
    fn write_u32(&self, address: usize, value: u32) {
        Self::write(address, value);
    }
    fn write_u64(&self, address: usize, value: u64) {
        Self::write(address, value);
    }

    // SAFETY (of all six): ports that AML and the FADT name belong to the platform's own devices.
    fn read_io_u8(&self, port: u16) -> u8 {
        // SAFETY: see above.
        unsafe { inb(port) }
    }
    fn read_io_u16(&self, port: u16) -> u16 {
        // SAFETY: see above.
        unsafe { inw(port) }
    }
    fn read_io_u32(&self, port: u16) -> u32 {
        // SAFETY: see above.
        unsafe { inl(port) }
    }
    fn write_io_u8(&self, port: u16, value: u8) {
        // SAFETY: see above.
        unsafe { outb(port, value) }
    }
    fn write_io_u16(&self, port: u16, value: u16) {
        // SAFETY: see above.
        unsafe { outw(port, value) }
    }
    fn write_io_u32(&self, port: u16, value: u32) {
        // SAFETY: see above.
        unsafe { outl(port, value) }
    }

    fn read_pci_u8(&self, address: PciAddress, offset: u16) -> u8 {
        interrupts::without(|| self.read_io_u8(Self::select(address, offset)))
    }
    fn read_pci_u16(&self, address: PciAddress, offset: u16) -> u16 {
        interrupts::without(|| self.read_io_u16(Self::select(address, offset)))
    }
    fn read_pci_u32(&self, address: PciAddress, offset: u16) -> u32 {
        interrupts::without(|| self.read_io_u32(Self::select(address, offset)))
    }
    fn write_pci_u8(&self, address: PciAddress, offset: u16, value: u8) {
        interrupts::without(|| self.write_io_u8(Self::select(address, offset), value));
    }
    fn write_pci_u16(&self, address: PciAddress, offset: u16, value: u16) {
        interrupts::without(|| self.write_io_u16(Self::select(address, offset), value));
    }
    fn write_pci_u32(&self, address: PciAddress, offset: u16, value: u32) {
        interrupts::without(|| self.write_io_u32(Self::select(address, offset), value));
    }

    fn nanos_since_boot(&self) -> u64 {
        time::now_ns()
    }

    fn stall(&self, microseconds: u64) {
        time::poll_for(microseconds.saturating_mul(1000), || false);
    }

    fn sleep(&self, milliseconds: u64) {
        time::poll_for(milliseconds.saturating_mul(1_000_000), || false);
    }

    // One flow at a time interprets AML, so every mutex is free.
    fn create_mutex(&self) -> Handle {
        Handle(0)
    }

    fn acquire(&self, _: Handle, _: u16) -> Result<(), AmlError> {
        Ok(())
    }

    fn release(&self, _: Handle) {}
}
