//! A machine of one PCI function and some RAM.

use guest_mem::{Gpa, GuestMemory};
use hvm::apic::ApicMessage;
use hvm::device::{Context, PowerEvent, Signals};
use hvm::pci::Function;
use hvm::pci_config::offset;
use hvm::{Instant, Width};
use virtio_pv::device::Device;
use virtio_pv::pci::{Transport, TransportMode};

/// Bytes of RAM, from 0 on.
pub const RAM_BYTES: u64 = 0x10_0000;

/// The interrupt messages that were sent.
#[derive(Default)]
pub struct Sent(pub Vec<u8>);

impl Signals for Sent {
    fn interrupt(&mut self, message: ApicMessage) {
        self.0.push(message.vector);
    }
    fn end_of_interrupt(&mut self, _: u8) {}
    fn power(&mut self, _: PowerEvent) {}
}

pub struct Machine {
    pub memory: GuestMemory,
    pub function: Transport,
    pub sent: Sent,
    pub now: Instant,
}

/// The context of one call, from fields so that the function stays free.
macro_rules! context {
    ($machine:expr) => {
        &mut Context {
            memory: &$machine.memory,
            now: $machine.now,
            signals: &mut $machine.sent,
        }
    };
}

impl Machine {
    /// A machine whose firmware has assigned the BARs and turned decoding and bus mastering on.
    pub fn new(device: Box<dyn Device>, mode: TransportMode) -> Self {
        Self::with_memory(device, mode, GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]))
    }

    /// The same with RAM from elsewhere.
    pub fn with_memory(device: Box<dyn Device>, mode: TransportMode, memory: GuestMemory) -> Self {
        let mut machine = Self {
            memory,
            function: Transport::new(device, mode),
            sent: Sent::default(),
            now: Instant::ZERO,
        };
        machine.config_write(offset::BAR0, Width::Dword, 0xc000);
        machine.config_write(offset::BAR0 + 4, Width::Dword, 0xfeb0_0000);
        machine.config_write(offset::BAR0 + 16, Width::Dword, 0xfeb1_0000);
        machine.config_write(offset::COMMAND, Width::Word, 7);
        machine
    }

    pub fn config_read(&self, offset: u8, width: Width) -> u32 {
        self.function.config_read(offset, width)
    }

    pub fn config_write(&mut self, offset: u8, width: Width, value: u32) {
        self.function
            .config_write(offset, width, value, context!(self));
    }

    pub fn read(&mut self, bar: usize, offset: u64, width: Width) -> u64 {
        self.function.bar_read(bar, offset, width, context!(self))
    }

    pub fn write(&mut self, bar: usize, offset: u64, width: Width, value: u64) {
        self.function
            .bar_write(bar, offset, width, value, context!(self));
    }

    pub fn poll(&mut self) {
        self.function.poll(context!(self));
    }

    /// The processor halts.
    pub fn idle(&mut self) {
        self.function.idle(context!(self));
    }

    /// The level of INTx.
    pub fn function_line(&self) -> bool {
        self.function.interrupt_line()
    }

    /// Turns MSI-X on, vector `n` sending interrupt `40h + n`.
    pub fn enable_msix(&mut self) {
        let capability = self.capabilities().find(|&(id, _)| id == 0x11).unwrap().1;
        self.config_write(capability + 2, Width::Word, 0x8000);
        for vector in 0..8 {
            self.write(1, 16 * vector, Width::Dword, 0xfee0_0000);
            self.write(1, 16 * vector + 8, Width::Dword, 0x40 + vector);
            self.write(1, 16 * vector + 12, Width::Dword, 0);
        }
    }

    /// The capability list: ids and offsets.
    pub fn capabilities(&self) -> impl Iterator<Item = (u8, u8)> + '_ {
        let byte = |offset| self.config_read(offset, Width::Byte) as u8;
        let first = byte(offset::CAPABILITIES);
        let next = move |&at: &u8| Some(byte(at + 1)).filter(|&next| next != 0);
        std::iter::successors(Some(first).filter(|&at| at != 0), next).map(move |at| (byte(at), at))
    }
}
