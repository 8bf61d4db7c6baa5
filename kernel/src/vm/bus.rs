//! The machine as the emulator reaches it.

use super::local::Local;
use crate::cpu::live;
use guest_bios::rom;
use guest_mem::{Gpa, GuestMemory};
use hvm::Width;
use hvm::emulate::{self, Bus, Invalidation, XsaveImage};
use hvm::event::Exception;
use hvm::pci::WindowCopy;
use pc::board::Board;

/// The surroundings of the vCPU that executes.
///
/// Where the CPU serves the local APIC, an access to another device page than the expected one recalls it: it may be the APIC's.
///
/// Registers that only the control block holds are not here: the time-stamp counter's offset, and the debug registers but where
/// `Local::debug` has them. Elsewhere instructions that reach them exit by name, or not at all, and never come to the emulator.
pub struct LocalBus<'a> {
    pub local: &'a mut Local,
    /// A page that the exit has shown not to be RAM: no need to look, unless an area is there.
    pub device_page: Option<Gpa>,
}

impl LocalBus<'_> {
    #[inline]
    fn is_device(&self, gpa: Gpa) -> bool {
        self.device_page == Some(gpa.page_base()) && !self.memory().is_area(gpa)
    }

    /// A read of a device that the exit did not name.
    #[cold]
    fn read_elsewhere(&mut self, gpa: Gpa, width: Width) -> u64 {
        self.local.recall();
        self.local.mmio_read(gpa, width)
    }

    /// Has the board do something with many bytes; false if it cannot, or the local APIC is there.
    fn on_board(&mut self, gpa: Gpa, work: impl FnOnce(&mut Board) -> bool) -> bool {
        self.local.lapic.mmio_base() != Some(gpa.page_base())
            && self.local.with_board(|board, _| work(board))
    }

    /// Writes to memory; returns true if there is a device instead, which the exit did not name.
    #[inline]
    fn lies_elsewhere(&mut self, gpa: Gpa, bytes: &[u8]) -> bool {
        let device = self.memory().write(gpa, bytes).is_err();
        if device {
            self.local.recall();
        }
        device
    }
}

impl Bus for LocalBus<'_> {
    #[inline]
    fn memory(&self) -> &GuestMemory {
        &self.local.machine.memory
    }

    #[inline]
    fn physical_bits(&self) -> u8 {
        self.local.physical_bits
    }

    #[inline]
    fn read(&mut self, gpa: Gpa, width: Width) -> u64 {
        if self.is_device(gpa) {
            return self.local.mmio_read(gpa, width);
        }
        let mut bytes = [0; 8];
        match self.memory().read(gpa, &mut bytes[..width.bytes()]) {
            Ok(()) => u64::from_le_bytes(bytes),
            Err(_) => self.read_elsewhere(gpa, width),
        }
    }

    #[inline]
    fn write(&mut self, gpa: Gpa, width: Width, value: u64) {
        let bytes = value.to_le_bytes();
        let device = self.is_device(gpa) || self.lies_elsewhere(gpa, &bytes[..width.bytes()]);
        if device {
            self.local.mmio_write(gpa, width, value);
        }
    }

    fn exchange(&mut self, gpa: Gpa, width: Width, current: u64, new: u64) -> bool {
        emulate::compare_exchange(self.memory(), gpa, width, current, new).unwrap_or_else(|| {
            self.local.recall();
            self.local.mmio_write(gpa, width, new);
            true
        })
    }

    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        self.local.port_read(port, width)
    }

    fn port_out(&mut self, port: u16, width: Width, value: u32) {
        self.local.trapped |= port == rom::TRAP_PORT;
        self.local.port_write(port, width, value);
    }

    fn read_bytes(&mut self, gpa: Gpa, into: &mut [u8]) -> bool {
        self.memory().read(gpa, into).is_ok()
            || self.on_board(gpa, |board| board.mmio_read_bytes(gpa, into))
    }

    fn write_bytes(&mut self, gpa: Gpa, from: &[u8]) -> bool {
        self.memory().write(gpa, from).is_ok()
            || self.on_board(gpa, |board| board.mmio_write_bytes(gpa, from))
    }

    fn copy(&mut self, copy: WindowCopy) -> bool {
        !self.memory().contains(Gpa(copy.from), 1)
            && !self.memory().contains(Gpa(copy.to), 1)
            && self.on_board(Gpa(copy.from), |board| board.mmio_copy(copy))
    }

    fn port_in_bytes(&mut self, port: u16, width: Width, into: &mut [u8]) -> bool {
        self.local
            .with_board(|board, context| board.port_read_string(port, width, into, context));
        true
    }

    fn port_out_bytes(&mut self, port: u16, width: Width, from: &[u8]) -> bool {
        self.local.trapped |= port == rom::TRAP_PORT;
        self.local
            .with_board(|board, context| board.port_write_string(port, width, from, context));
        true
    }

    fn read_msr(&mut self, msr: u32) -> Result<u64, Exception> {
        self.local
            .read_msr(msr)
            .map_err(|_| Exception::GENERAL_PROTECTION)
    }

    fn write_msr(&mut self, msr: u32, value: u64) -> Result<(), Exception> {
        self.local
            .write_msr(msr, value)
            .map_err(|_| Exception::GENERAL_PROTECTION)
    }

    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> [u32; 4] {
        self.local.cpuid(leaf, subleaf, 0)
    }

    fn read_tsc(&mut self) -> u64 {
        self.local.clock.guest_tsc()
    }

    /// All that our CPUID can offer; the CPU checks the rest at the next entry.
    fn cr4_allowed(&self) -> u64 {
        const PCIDE: u64 = 1 << 17;
        match self.local.machine.shadow {
            None => 0x0077_0fff,
            Some(_) => 0x0077_0fff & !PCIDE,
        }
    }

    fn read_cr8(&mut self) -> u64 {
        u64::from(self.local.lapic.tpr() >> 4)
    }

    fn write_cr8(&mut self, value: u64) {
        self.local.lapic.set_tpr((value as u8) << 4);
        self.local.attention = true;
    }

    fn read_debug(&mut self, index: u8) -> u64 {
        match (index, self.local.debug) {
            (6, Some(debug)) => debug.status,
            (7, Some(debug)) => debug.control,
            (0..=3, Some(_)) => live::breakpoints()[usize::from(index)],
            _ => 0,
        }
    }

    fn write_debug(&mut self, index: u8, value: u64) {
        let Some(debug) = &mut self.local.debug else {
            return;
        };
        match index {
            6 => debug.status = value,
            7 => debug.control = value,
            _ => {
                let mut breakpoints = live::breakpoints();
                if let Some(breakpoint) = breakpoints.get_mut(usize::from(index)) {
                    *breakpoint = value;
                    live::set_breakpoints(breakpoints);
                }
            }
        }
    }

    /// The register setters of the vCPU flush where the architecture asks for it. INVLPG comes here only where tables are shadowed.
    fn invalidate(&mut self, what: Invalidation) {
        if let Invalidation::Page(gva) = what {
            self.local.machine.invalidate_page(self.local.index, gva);
        }
    }

    fn xcr0(&self) -> u64 {
        live::xcr0()
    }

    fn xsave_image(&mut self) -> Option<XsaveImage<'_>> {
        self.local.vectors.show()
    }
}
