//! The services on a machine of tests: RAM, video memory, ports that only remember, and disks in memory.

mod boot;
mod disk;
mod input;
mod network;
mod robust;
mod system;
mod vbe;
mod video;

use super::machine::{ChangeLine, Drive, DriveKind, Machine, Medium, Protection};
use super::{Bios, BootDevice, Drives, Service, Setup};
use crate::memory::memory_layout;
use crate::mp::Signature;
use crate::platform::{Console, Platform};
use crate::rom;
use core::fmt;
use guest_mem::{Gpa, GuestMemory};
use hvm::apic::ApicMessage;
use hvm::backend::{BlockError, Segment, Transfer};
use hvm::device::{Context, PowerEvent, Signals};
use hvm::pci::{Function, Window};
use hvm::regs::{Gpr, Registers, Rflags, Segment as SegmentRegister, SegmentName, State};
use hvm::{Instant, Width};
use std::boxed::Box;
use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

/// Where the caller's stack is: IP, CS and flags of an INT lie on it.
const STACK: u16 = 0x7000;
const VIDEO: std::ops::Range<u64> = 0xa_0000..0xc_0000;

pub struct Board {
    pub memory: GuestMemory,
    pub video: Vec<u8>,
    /// What its first BAR shows.
    pub frame: Vec<u8>,
    /// Ports that were written read back, others read as all ones.
    pub ports: BTreeMap<u16, u8>,
    /// Every byte written to a port, in order.
    pub written: Vec<(u16, u8)>,
    pub cmos: [u8; 128],
    pub media: Vec<(Drive, Vec<u8>, Protection)>,
    /// Drives whose change line is up.
    pub changed: Vec<Drive>,
    pub now: Instant,
    pub lines: Vec<String>,
    /// The Bochs display interface: its index, then its registers.
    pub dispi: (u16, [u16; 11]),
    /// The adapter's configuration space in slot 2, and the address register.
    pub config: [u32; 64],
    pub address: u32,
    /// What is in slot 3.
    pub card: Option<Box<dyn Function>>,
}

/// Nobody hears the card's messages; its pin is asked for.
struct Unheard;

impl Signals for Unheard {
    fn interrupt(&mut self, _: ApicMessage) {}
    fn end_of_interrupt(&mut self, _: u8) {}
    fn power(&mut self, _: PowerEvent) {}
}

/// What an access to the card wants.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write(u32),
}

/// The bits of the adapter's BARs that do not take a one: 16 MiB of memory, a page of it, and 16 ports.
const BAR_MASKS: [u32; 6] = [0xff00_0008, 0, 0xffff_f000, 0, 0xffff_fff1, 0];
/// EDID's header, at the start of that page.
const EDID: [u8; 8] = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];

impl Board {
    fn new() -> Self {
        let mut cmos = [0; 128];
        cmos[..10].copy_from_slice(&[0x30, 0, 0x15, 0, 0x12, 0, 1, 0x22, 0x11, 0x26]);
        cmos[0x32] = 0x20;
        Self {
            memory: GuestMemory::anonymous(&memory_layout(16)),
            video: std::vec![0; (VIDEO.end - VIDEO.start) as usize],
            frame: std::vec![0; 4 << 20],
            ports: BTreeMap::from([(0x3cc, 0x67)]),
            written: Vec::new(),
            cmos,
            media: Vec::new(),
            changed: Vec::new(),
            now: Instant::ZERO,
            lines: Vec::new(),
            dispi: (0, [0xb0c5, 640, 480, 8, 0, 0, 640, 0, 0, 0, 256]),
            config: {
                let mut config = [0; 64];
                config[0] = 0x1111_1234;
                config[2] = 0x0300_0002;
                config[15] = 0x0100;
                config
            },
            address: 0,
            card: None,
        }
    }

    /// The card's answer, if the port is its: in configuration space, or in its first window.
    fn reach_card(&mut self, port: u16, width: Width, access: Access) -> Option<u32> {
        let card = self.card.as_mut()?;
        let mut context = Context {
            memory: &self.memory,
            now: self.now,
            signals: &mut Unheard,
        };
        if (0xcfc..=0xcff).contains(&port) && self.address >> 8 & 0xff_ffff == 0x80_0018 {
            let offset = (self.address & 0xfc) as u8 | (port & 3) as u8;
            return Some(match access {
                Access::Read => card.config_read(offset, width),
                Access::Write(value) => {
                    card.config_write(offset, width, value, &mut context);
                    0
                }
            });
        }
        let Some(Window::Port { base, bytes }) = card.window(0) else {
            return None;
        };
        let offset = port.checked_sub(base).filter(|offset| *offset < bytes)?;
        Some(match access {
            Access::Read => card.bar_read(0, offset.into(), width, &mut context) as u32,
            Access::Write(value) => {
                card.bar_write(0, offset.into(), width, value.into(), &mut context);
                0
            }
        })
    }

    /// Gives the card its turn.
    pub fn poll_card(&mut self) {
        let mut context = Context {
            memory: &self.memory,
            now: self.now,
            signals: &mut Unheard,
        };
        if let Some(card) = &mut self.card {
            card.poll(&mut context);
        }
    }

    /// Where an address is in the framebuffer.
    fn frame_offset(&self, gpa: Gpa) -> Option<usize> {
        let base = u64::from(self.config[4] & !15);
        let offset = gpa.0.checked_sub(base)?;
        (base != 0 && offset < 16 << 20).then_some(offset as usize)
    }

    /// The register that the address register selects, in slot 2.
    fn selected(&self) -> Option<usize> {
        let function = self.address >> 8 & 0xff_ffff;
        (function == 0x80_0010).then_some((self.address >> 2 & 0x3f) as usize)
    }

    fn config_write(&mut self, port: u16, width: Width, value: u32) {
        let Some(register) = self.selected() else {
            return;
        };
        let shift = u32::from(port & 3) * 8;
        let mask = (width.mask() as u32) << shift;
        let value = self.config[register] & !mask | value << shift & mask;
        self.config[register] = match register {
            4..=9 => value & BAR_MASKS[register - 4] | BAR_MASKS[register - 4] & 9,
            1 | 15 => value,
            _ => return,
        };
    }

    fn byte_in(&mut self, port: u16) -> u8 {
        if port == 0x71 {
            let index = self.ports.get(&0x70).copied().unwrap_or(0) & 0x7f;
            return self.cmos[usize::from(index)];
        }
        self.ports.get(&port).copied().unwrap_or(0xff)
    }

    fn byte_out(&mut self, port: u16, value: u8) {
        self.written.push((port, value));
        match port {
            0x71 => {
                let index = self.ports.get(&0x70).copied().unwrap_or(0) & 0x7f;
                self.cmos[usize::from(index)] = value;
            }
            // Nobody has a divisor or scratch register, a keyboard controller or PCI functions.
            0x60 | 0x64 | 0x2f8..=0x2ff | 0x3e8..=0x3ef | 0xcf8..=0xcff => {}
            _ => {
                self.ports.insert(port, value);
            }
        }
    }
}

impl Machine for Board {
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    fn physical_bits(&self) -> u8 {
        40
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn read_device(&mut self, gpa: Gpa, into: &mut [u8]) {
        if gpa.0 == u64::from(self.config[6]) && gpa.0 != 0 {
            into[..8].copy_from_slice(&EDID);
            return;
        }
        if let Some(start) = self.frame_offset(gpa) {
            into.copy_from_slice(&self.frame[start..start + into.len()]);
            return;
        }
        for (offset, byte) in (0..).zip(into) {
            let at = gpa.0.wrapping_add(offset).wrapping_sub(VIDEO.start);
            *byte = self.video.get(at as usize).copied().unwrap_or(0xff);
        }
    }

    fn write_device(&mut self, gpa: Gpa, from: &[u8]) {
        if let Some(start) = self.frame_offset(gpa) {
            self.frame[start..start + from.len()].copy_from_slice(from);
            return;
        }
        for (offset, byte) in (0..).zip(from) {
            let at = gpa.0.wrapping_add(offset).wrapping_sub(VIDEO.start);
            if let Some(place) = self.video.get_mut(at as usize) {
                *place = *byte;
            }
        }
    }

    fn port_in(&mut self, port: u16, width: Width) -> u32 {
        if let Some(value) = self.reach_card(port, width, Access::Read) {
            return value;
        }
        match port {
            0x1cf => {
                return self
                    .dispi
                    .1
                    .get(usize::from(self.dispi.0))
                    .copied()
                    .unwrap_or(0)
                    .into();
            }
            0xcfc..=0xcff => {
                let register = self.selected().map(|register| self.config[register]);
                let value = register.unwrap_or(u32::MAX) >> (u32::from(port & 3) * 8);
                return width.cut(value.into()) as u32;
            }
            _ => {}
        }
        (0..width.bytes() as u16).fold(0, |value, index| {
            value | u32::from(self.byte_in(port.wrapping_add(index))) << (8 * index)
        })
    }

    fn port_out(&mut self, port: u16, width: Width, value: u32) {
        if self.reach_card(port, width, Access::Write(value)).is_some() {
            return;
        }
        match port {
            0x1ce => self.dispi.0 = value as u16,
            0x1cf => {
                if let Some(register) = self.dispi.1.get_mut(usize::from(self.dispi.0)) {
                    *register = value as u16;
                }
            }
            0xcf8 => self.address = value,
            0xcfc..=0xcff => self.config_write(port, width, value),
            _ => {}
        }
        if matches!(port, 0x1ce | 0x1cf) {
            return;
        }
        for (index, byte) in (0..width.bytes() as u16).zip(value.to_le_bytes()) {
            self.byte_out(port.wrapping_add(index), byte);
        }
    }

    fn medium(&mut self, drive: Drive) -> Option<Medium> {
        let (_, bytes, protection) = self.media.iter().find(|medium| medium.0 == drive)?;
        Some(Medium {
            sectors: bytes.len() as u64 / 512,
            protection: *protection,
        })
    }

    fn take_change(&mut self, drive: Drive) -> ChangeLine {
        let before = self.changed.len();
        self.changed.retain(|other| *other != drive);
        match self.changed.len() == before {
            true => ChangeLine::Quiet,
            false => ChangeLine::Active,
        }
    }

    fn transfer(
        &mut self,
        drive: Drive,
        direction: Transfer,
        sector: u64,
        segments: &[Segment],
    ) -> Result<(), BlockError> {
        let medium = self.media.iter_mut().find(|medium| medium.0 == drive);
        let (_, bytes, _) = medium.ok_or(BlockError::Medium)?;
        let start = usize::try_from(sector.saturating_mul(512)).unwrap_or(usize::MAX);
        let mut rest = bytes.get_mut(start..).ok_or(BlockError::OutOfRange)?;
        for segment in segments {
            let (now, later) = rest
                .split_at_mut_checked(segment.bytes as usize)
                .ok_or(BlockError::OutOfRange)?;
            match direction {
                Transfer::Read => self.memory.write(segment.gpa, now),
                Transfer::Write => self.memory.read(segment.gpa, now),
            }
            .map_err(|_| BlockError::BadMemory)?;
            rest = later;
        }
        Ok(())
    }

    fn read_sectors(
        &mut self,
        drive: Drive,
        sector: u64,
        into: &mut [u8],
    ) -> Result<(), BlockError> {
        let medium = self.media.iter().find(|medium| medium.0 == drive);
        let (_, bytes, _) = medium.ok_or(BlockError::Medium)?;
        let start = usize::try_from(sector.saturating_mul(512)).unwrap_or(usize::MAX);
        let from = bytes.get(start..).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(from.ok_or(BlockError::OutOfRange)?);
        Ok(())
    }

    fn write_sectors(&mut self, drive: Drive, sector: u64, from: &[u8]) -> Result<(), BlockError> {
        let medium = self.media.iter_mut().find(|medium| medium.0 == drive);
        let (_, bytes, _) = medium.ok_or(BlockError::Medium)?;
        let start = usize::try_from(sector.saturating_mul(512)).unwrap_or(usize::MAX);
        let into = bytes
            .get_mut(start..)
            .and_then(|rest| rest.get_mut(..from.len()));
        into.ok_or(BlockError::OutOfRange)?.copy_from_slice(from);
        Ok(())
    }

    fn log(&mut self, line: fmt::Arguments<'_>) {
        self.lines.push(line.to_string());
    }
}

/// A machine with its BIOS, and the registers of a caller in real mode.
pub struct Pc {
    pub bios: Bios,
    pub board: Board,
    pub cpu: State,
}

impl Pc {
    /// Just reset, with these media.
    pub fn off(media: Vec<(Drive, Vec<u8>, Protection)>, order: &[BootDevice]) -> Self {
        let count = |kind| media.iter().filter(|medium| medium.0.kind == kind).count() as u8;
        let drives = Drives {
            floppies: count(DriveKind::Floppy),
            disks: count(DriveKind::Disk),
            cdroms: count(DriveKind::Cdrom),
        };
        let mut bios = Bios::new(Setup {
            drives,
            order: order.to_vec(),
            menu_wait_ns: 0,
            platform: Platform {
                vcpus: 1,
                hpet: None,
                console: Console::Screen,
                pci_memory: crate::platform::PCI_MMIO,
            },
            processor: Signature {
                version: 0x60f01,
                features: 0,
            },
        });
        let mut board = Board::new();
        board.media = media;
        bios.install(&board.memory).unwrap();
        let mut pc = Self {
            bios,
            board,
            cpu: State::reset(),
        };
        for name in [SegmentName::Ds, SegmentName::Es, SegmentName::Ss] {
            pc.set_segment(name, 0);
        }
        pc
    }

    /// After POST.
    pub fn with(media: Vec<(Drive, Vec<u8>, Protection)>) -> Self {
        let mut pc = Self::off(media, &[]);
        pc.trap(0xe05b + 2).unwrap();
        pc.cpu.gprs = [0; 16];
        pc
    }

    /// After POST, without drives.
    pub fn on() -> Self {
        Self::with(Vec::new())
    }

    pub fn set_segment(&mut self, name: SegmentName, selector: u16) {
        let segment = SegmentRegister::new(selector, 0x93, 0xffff, u64::from(selector) << 4);
        self.cpu.set_segment(name, segment);
    }

    /// Runs the trap whose OUT is at an offset of the ROM; returns whether it was served.
    pub fn trap(&mut self, offset: u16) -> Result<(), hvm::event::Exception> {
        self.set_segment(SegmentName::Cs, rom::SEGMENT);
        self.cpu.rip = u64::from(offset) + 2;
        self.bios
            .trapped(&mut self.cpu, &mut self.board)
            .expect("the ROM has a trap there")
    }

    /// INT to a service's stub; the flags it returns.
    pub fn call(&mut self, service: Service) -> Rflags {
        self.set_segment(SegmentName::Ss, 0);
        self.cpu.set_gpr(Gpr::Rsp, STACK.into());
        let frame = [0x1234_u16, 0x2000, 0x0202];
        self.board.memory.store(Gpa(STACK.into()), &frame).unwrap();
        let offset = rom::stub(service);
        assert_eq!(self.trap(offset), Ok(()));
        let flags: u16 = self.board.memory.load(Gpa(u64::from(STACK) + 4)).unwrap();
        Rflags::from_bits_retain(flags.into())
    }

    /// INT with AX; CF of the answer.
    pub fn int(&mut self, service: Service, ax: u16) -> bool {
        self.set(Gpr::Rax, ax);
        self.call(service).contains(Rflags::CF)
    }

    pub fn set(&mut self, register: Gpr, value: u16) {
        let upper = self.cpu.gpr(register) & !0xffff;
        self.cpu.set_gpr(register, upper | u64::from(value));
    }

    pub fn get(&self, register: Gpr) -> u16 {
        self.cpu.gpr(register) as u16
    }

    pub fn ah(&self) -> u8 {
        (self.get(Gpr::Rax) >> 8) as u8
    }

    pub fn load<T: zerocopy::FromBytes + zerocopy::IntoBytes>(&self, at: u64) -> T {
        self.board.memory.load(Gpa(at)).unwrap()
    }

    /// Row of the screen's text, without spaces at its end.
    pub fn row(&self, row: usize) -> String {
        let start = 0x1_8000 + row * 160;
        let cells = self.board.video[start..start + 160].chunks(2);
        let text: String = cells.map(|cell| char::from(cell[0])).collect();
        text.trim_end_matches([' ', '\0']).to_string()
    }

    /// All rows of the screen.
    pub fn screen(&self) -> String {
        (0..25).map(|row| self.row(row) + "\n").collect()
    }
}

pub fn drive(kind: DriveKind) -> Drive {
    Drive { kind, index: 0 }
}
