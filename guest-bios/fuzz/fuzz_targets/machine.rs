//! A machine for the services: RAM, ports that remember, a CD of any bytes, and perhaps a network card in slot 3.

use guest_bios::bios::{
    Bios, BootDevice, ChangeLine, Drive, DriveKind, Drives, Machine, Medium, Protection, Setup,
};
use guest_bios::memory::memory_layout;
use guest_bios::mp::Signature;
use guest_bios::platform::{Console, Platform};
use guest_mem::{Gpa, GuestMemory};
use hvm::apic::ApicMessage;
use hvm::backend::{BlockError, Segment, Transfer};
use hvm::device::{Context, PowerEvent, Signals};
use hvm::pci::{Function, Window};
use hvm::{Instant, Width};
use std::fmt;
use std::sync::Mutex;

/// The RAM of the machine before, since RAM is leaked and runs are many.
static SPARE: Mutex<Option<GuestMemory>> = Mutex::new(None);
const RAM_MIB: u64 = 2;

pub struct Pc {
    memory: Option<GuestMemory>,
    ports: Vec<u8>,
    address: u32,
    pub cd: Vec<u8>,
    pub card: Option<Box<dyn Function>>,
    pub now: Instant,
}

/// Nobody hears the card's messages.
struct Unheard;

impl Signals for Unheard {
    fn interrupt(&mut self, _: ApicMessage) {}
    fn end_of_interrupt(&mut self, _: u8) {}
    fn power(&mut self, _: PowerEvent) {}
}

impl Pc {
    /// A machine with this CD in its drive, and a BIOS that boots from it.
    pub fn new(cd: Vec<u8>) -> (Self, Bios) {
        let spare = SPARE.lock().unwrap().take();
        let memory = spare.unwrap_or_else(|| GuestMemory::anonymous(&memory_layout(RAM_MIB)));
        let drives = Drives {
            floppies: 0,
            disks: 0,
            cdroms: 1,
        };
        let mut bios = Bios::new(Setup {
            drives,
            order: vec![BootDevice::Network, BootDevice::Cdrom],
            menu_wait_ns: 0,
            platform: Platform {
                vcpus: 1,
                hpet: None,
                console: Console::Screen,
                pci_memory: guest_bios::platform::PCI_MMIO,
            },
            processor: Signature {
                version: 0,
                features: 0,
            },
        });
        bios.install(&memory).unwrap();
        let pc = Self {
            memory: Some(memory),
            ports: vec![0; 1 << 16],
            address: 0,
            cd,
            card: None,
            now: Instant::ZERO,
        };
        (pc, bios)
    }
}

impl Pc {
    /// Whether a port is the card's, and what it answers; with a value it is written.
    fn reach_card(&mut self, port: u16, width: Width, value: Option<u32>) -> Option<u32> {
        let card = self.card.as_mut()?;
        let mut context = Context {
            memory: self.memory.as_ref()?,
            now: self.now,
            signals: &mut Unheard,
        };
        if (0xcfc..=0xcff).contains(&port) {
            if self.address >> 8 & 0xff_ffff != 0x80_0018 {
                return Some(u32::MAX);
            }
            let offset = (self.address & 0xfc) as u8 | (port & 3) as u8;
            return Some(match value {
                None => card.config_read(offset, width),
                Some(value) => {
                    card.config_write(offset, width, value, &mut context);
                    0
                }
            });
        }
        let Some(Window::Port { base, bytes }) = card.window(0) else {
            return None;
        };
        let offset = port.checked_sub(base).filter(|offset| *offset < bytes)?;
        Some(match value {
            None => card.bar_read(0, offset.into(), width, &mut context) as u32,
            Some(value) => {
                card.bar_write(0, offset.into(), width, value.into(), &mut context);
                0
            }
        })
    }

    /// Gives the card its turn.
    #[allow(dead_code)]
    pub fn poll_card(&mut self) {
        if let (Some(card), Some(memory)) = (&mut self.card, &self.memory) {
            card.poll(&mut Context {
                memory,
                now: self.now,
                signals: &mut Unheard,
            });
        }
    }
}

impl Drop for Pc {
    fn drop(&mut self) {
        *SPARE.lock().unwrap() = self.memory.take();
    }
}

impl Machine for Pc {
    fn memory(&self) -> &GuestMemory {
        self.memory.as_ref().unwrap()
    }

    fn physical_bits(&self) -> u8 {
        40
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn read_device(&mut self, _: Gpa, into: &mut [u8]) {
        into.fill(0xff);
    }

    fn write_device(&mut self, _: Gpa, _: &[u8]) {}

    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        if let Some(value) = self.reach_card(port, width, None) {
            return value;
        }
        self.ports[usize::from(port)].into()
    }

    fn port_out(&mut self, port: u16, width: Width, value: u32) {
        if port == 0xcf8 {
            self.address = value;
        }
        if self.reach_card(port, width, Some(value)).is_some() {
            return;
        }
        self.ports[usize::from(port)] = value as u8;
    }

    fn medium(&mut self, drive: Drive) -> Option<Medium> {
        (drive.kind == DriveKind::Cdrom).then_some(Medium {
            sectors: self.cd.len() as u64 / 512,
            protection: Protection::ReadOnly,
        })
    }

    fn take_change(&mut self, _: Drive) -> ChangeLine {
        ChangeLine::Quiet
    }

    fn transfer(
        &mut self,
        _: Drive,
        direction: Transfer,
        sector: u64,
        segments: &[Segment],
    ) -> Result<(), BlockError> {
        if direction == Transfer::Write {
            return Err(BlockError::ReadOnly);
        }
        let start = usize::try_from(sector.saturating_mul(512)).unwrap_or(usize::MAX);
        let mut rest = self.cd.get(start..).ok_or(BlockError::OutOfRange)?;
        for segment in segments {
            let (now, later) = rest
                .split_at_checked(segment.bytes as usize)
                .ok_or(BlockError::OutOfRange)?;
            let result = self.memory().write(segment.gpa, now);
            result.map_err(|_| BlockError::BadMemory)?;
            rest = later;
        }
        Ok(())
    }

    fn read_sectors(&mut self, _: Drive, sector: u64, into: &mut [u8]) -> Result<(), BlockError> {
        let start = usize::try_from(sector.saturating_mul(512)).unwrap_or(usize::MAX);
        let from = self.cd.get(start..).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(from.ok_or(BlockError::OutOfRange)?);
        Ok(())
    }

    fn write_sectors(&mut self, _: Drive, _: u64, _: &[u8]) -> Result<(), BlockError> {
        Err(BlockError::ReadOnly)
    }

    fn log(&mut self, _: fmt::Arguments<'_>) {}
}
