//! The PC BIOS: a ROM of stubs that trap ([`crate::rom`]), and here the services behind the trap.
//!
//! [`Bios`] guarantees to the vCPU's loop: a call does a bounded amount of work; it changes registers only if it
//! succeeds, so that a page fault in the caller's memory can be given to the guest and the trap run again; no value of
//! the guest's can panic it. A call that is not offered gets the documented error and is logged once.
//!
//! Everything is reached through [`Machine`], so the services run in tests without a vCPU. What the chips know (screen,
//! clock, keyboard) stays in the chips, what programs may look at stays in the BIOS data area, and here is only what
//! neither has.

mod bda;
mod boot;
mod call;
mod int10;
mod int13;
mod int15;
mod int1a;
mod keyboard;
mod layout;
mod machine;
mod mouse;
mod network;
mod pci;
mod pic;
mod post;
mod rtc;
mod saved;
mod serial;
#[cfg(test)]
mod tests;
mod timer;

pub use boot::BootDevice;
pub(crate) use int10::VBE_MODES;
pub use int13::drives::Drives;
pub use machine::{ChangeLine, Drive, DriveKind, Machine, Medium, Protection};

use crate::memory::Range;
use crate::mp::Signature;
use crate::platform::{ABOVE_4G, HIGH_MEMORY, Platform, VGA_END};
use crate::rom;
use crate::rom::font::Fonts;
use alloc::boxed::Box;
use alloc::vec::Vec;
use call::{Call, FlagsAt, Resume, Served};
use guest_mem::{Gpa, GuestMemory, Gva, Unmapped};
use hvm::Instant;
use hvm::device::Lifecycle;
use hvm::event::Exception;
use hvm::regs::{Registers, SegmentName};
use hvm::walk::{self, Access, Paging, Privilege};
use int13::drives::{Emulation, Target};
use network::pxe::{self, Convention};

/// What the stubs ask for, by the number in the trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Service {
    /// After reset.
    Post,
    /// INT 10h.
    Video,
    /// INT 11h.
    Equipment,
    /// INT 12h.
    MemorySize,
    /// INT 13h.
    Disk,
    /// INT 14h.
    Serial,
    /// INT 15h.
    System,
    /// INT 16h.
    Keyboard,
    /// INT 17h.
    Printer,
    /// INT 18h.
    NoBoot,
    /// INT 19h.
    Bootstrap,
    /// INT 1Ah.
    Time,
    /// Any interrupt of a device that nobody handles.
    Hardware,
    /// INT 08h, before INT 1Ch.
    Tick,
    /// INT 08h, after it.
    TickEnd,
    /// INT 09h, before INT 15h.
    KeyboardCode,
    /// INT 09h, after it.
    KeyboardKey,
    /// INT 70h.
    Clock,
    /// The BIOS32 directory.
    Bios32,
    /// The PCI BIOS's 32-bit entry.
    PciBios,
    /// VBE's window function.
    Window,
    /// INT 74h.
    Mouse,
    /// VBE's display start, from 32-bit code.
    DisplayStart,
    /// VBE's palette, from 32-bit code.
    Palette,
    /// INT 09h, while Pause holds the machine.
    Paused,
    /// APM, from 16-bit and 32-bit code.
    Apm,
    /// PXE, by the entry of "!PXE".
    Pxe,
    /// PXE, by that of "PXENV+".
    Pxenv,
}

impl Service {
    /// All of them, by number.
    pub const ALL: [Self; 28] = [
        Self::Post,
        Self::Video,
        Self::Equipment,
        Self::MemorySize,
        Self::Disk,
        Self::Serial,
        Self::System,
        Self::Keyboard,
        Self::Printer,
        Self::NoBoot,
        Self::Bootstrap,
        Self::Time,
        Self::Hardware,
        Self::Tick,
        Self::TickEnd,
        Self::KeyboardCode,
        Self::KeyboardKey,
        Self::Clock,
        Self::Bios32,
        Self::PciBios,
        Self::Window,
        Self::Mouse,
        Self::DisplayStart,
        Self::Palette,
        Self::Paused,
        Self::Apm,
        Self::Pxe,
        Self::Pxenv,
    ];

    /// Stubs that end with IRET answer in the flags on the stack, the others in the register.
    const fn flags(self) -> FlagsAt {
        match self {
            Self::Post
            | Self::Bootstrap
            | Self::NoBoot
            | Self::KeyboardCode
            | Self::KeyboardKey
            | Self::Bios32
            | Self::Window
            | Self::DisplayStart
            | Self::Palette
            | Self::Paused
            | Self::Apm
            | Self::PciBios => FlagsAt::Register,
            _ => FlagsAt::Stack,
        }
    }
}

/// Whether a stub traps for the first time, or after a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Fresh,
    Resumed,
}

/// How a service ends its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The call is over.
    Done,
    /// Halt until an interrupt, then ask again.
    Wait,
    /// Ask again at once.
    Spin,
}

/// What the guest must not be able to write: from the video ROM on. The ROM's last segment also shows below 4 GiB, where
/// CPUs start ([`RESET_ALIAS`]).
pub const ROM_AREA: Gpa = VGA_END;
/// Up to 1 MiB.
pub const ROM_AREA_BYTES: u64 = HIGH_MEMORY.0 - VGA_END.0;
/// Where [`ROM_SEGMENT`] shows a second time.
pub const RESET_ALIAS: Gpa = Gpa(ABOVE_4G.0 - rom::BYTES as u64);
/// The last 64 KiB of the ROM area.
pub const ROM_SEGMENT: Gpa = Gpa((rom::SEGMENT as u64) << 4);

/// What varies between machines.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which drives there are.
    pub drives: Drives,
    /// What to start from.
    pub order: Vec<BootDevice>,
    /// How long to wait for somebody who wants the boot menu.
    pub menu_wait_ns: u64,
    /// For the tables.
    pub platform: Platform,
    /// For the MP table.
    pub processor: Signature,
}

/// The BIOS of one machine.
pub struct Bios {
    drives: Drives,
    order: Vec<BootDevice>,
    menu_wait_ns: u64,
    platform: Platform,
    processor: Signature,
    fonts: Box<Fonts>,
    memory_map: Vec<Range>,
    emulation: Option<Emulation>,
    network: network::Network,
    /// The place in the boot order of what is tried next.
    next_device: usize,
    /// What INT 19h waits for.
    stage: boot::Stage,
    /// How the system talks to APM.
    apm: int15::Connection,
    /// When the wait of INT 15h function 86h ends.
    waiting_until: Option<Instant>,
    /// Calls that were logged as missing: interrupt and function.
    missing: [Option<(u8, u8)>; 32],
}

impl Bios {
    /// A BIOS that has not run yet.
    pub fn new(setup: Setup) -> Self {
        Self {
            drives: setup.drives,
            order: setup.order,
            menu_wait_ns: setup.menu_wait_ns,
            platform: setup.platform,
            processor: setup.processor,
            fonts: Fonts::new(),
            memory_map: Vec::new(),
            emulation: None,
            network: network::Network::default(),
            next_device: 0,
            stage: boot::Stage::default(),
            apm: int15::Connection::default(),
            waiting_until: None,
            missing: [None; 32],
        }
    }

    /// Power-on: puts the ROMs into guest memory. Between them is nothing, which reads as all ones. This is to come before the
    /// first trap.
    pub fn install(&mut self, memory: &GuestMemory) -> Result<(), Unmapped> {
        self.reset();
        self.memory_map = layout::memory_map(memory);
        let at = |segment: u16| Gpa(u64::from(segment) << 4);
        memory.fill(ROM_AREA, ROM_AREA_BYTES, 0xff)?;
        memory.write(at(rom::SEGMENT), &rom::image())?;
        memory.write(at(rom::video::SEGMENT), &rom::video::image(&self.fonts))
    }

    /// The CPU wrote to [`rom::TRAP_PORT`], and RIP is behind that instruction. `None` if it was not one of the ROM's
    /// traps; otherwise the call was served, or ends in an exception of the instruction, at which RIP then is again.
    pub fn trapped(
        &mut self,
        cpu: &mut dyn Registers,
        machine: &mut dyn Machine,
    ) -> Option<Result<(), Exception>> {
        let number = trap_number(cpu, machine)?;
        let service = *Service::ALL.get(usize::from(number & !rom::RESUMED))?;
        let entry = if number & rom::RESUMED != 0 {
            Entry::Resumed
        } else {
            Entry::Fresh
        };
        let mut call = Call::new(cpu, machine, service.flags());
        let served = self.serve(&mut call, service, entry).and_then(|turn| {
            resume(&mut call, turn, entry);
            call.finish()
        });
        Some(served.map_err(|fault| {
            cpu.set_rip(cpu.rip().wrapping_sub(rom::OUT_BYTES));
            fault.into()
        }))
    }

    fn serve(&mut self, call: &mut Call<'_>, service: Service, entry: Entry) -> Served<Turn> {
        match service {
            Service::Post => post::run(self, call)?,
            Service::Video => int10::serve(call, &self.fonts)?,
            Service::Equipment => {
                let equipment = call.load(bda::EQUIPMENT)?;
                call.set_ax(equipment);
            }
            Service::MemorySize => {
                let kib = call.load(bda::MEMORY_KIB)?;
                call.set_ax(kib);
            }
            Service::Disk => int13::serve(self, call)?,
            Service::Serial => serial::serve(call)?,
            Service::System => return int15::serve(self, call, entry),
            Service::Keyboard => return keyboard::int16::serve(self, call),
            Service::Printer => serial::printer(call),
            Service::Bootstrap => return boot::bootstrap(self, call, entry),
            Service::NoBoot => return boot::no_boot(self, call, entry),
            Service::Time => int1a::serve(self, call)?,
            Service::Hardware => pic::dismiss(call),
            Service::Tick => timer::tick(call)?,
            Service::TickEnd => pic::end(call, 0),
            Service::KeyboardCode => keyboard::int09::fetch(call)?,
            Service::KeyboardKey => keyboard::int09::take(call)?,
            Service::Clock => timer::clock(self, call)?,
            Service::Mouse => mouse::interrupt(call)?,
            Service::Window => int10::window(call),
            Service::DisplayStart => int10::display_start_32(call),
            Service::Palette => int10::palette_32(call)?,
            Service::Paused => keyboard::int09::paused(call)?,
            Service::Apm => int15::apm(self, call),
            Service::Pxe => return pxe::serve(self, call, Convention::Stack, entry),
            Service::Pxenv => return pxe::serve(self, call, Convention::Registers, entry),
            Service::Bios32 => bios32(call),
            Service::PciBios => int1a::pci_bios(call)?,
        }
        Ok(Turn::Done)
    }

    fn find_drive(&self, number: u8) -> Option<Target> {
        self.drives.find(number, self.emulation.as_ref())
    }

    fn count_drives(&self, number: u8) -> u8 {
        self.drives.count(number, self.emulation.as_ref())
    }

    /// Logs a call that is not offered, once for each function.
    fn log_missing(&mut self, call: &mut Call<'_>, interrupt: u8) {
        if self.is_news((interrupt, call.ah())) {
            let ax = call.ax();
            call.machine.log(format_args!(
                "BIOS: INT {interrupt:02X}h with AX = {ax:04X}h is not offered"
            ));
        }
    }

    /// Whether a function was not logged as missing yet, and there is room to note that it is now.
    fn is_news(&mut self, function: (u8, u8)) -> bool {
        let known = self
            .missing
            .iter()
            .flatten()
            .any(|logged| *logged == function);
        match self.missing.iter_mut().find(|place| place.is_none()) {
            Some(place) if !known => {
                *place = Some(function);
                true
            }
            _ => false,
        }
    }
}

/// The number of the trap at RIP, if it is one of the ROM's.
fn trap_number(cpu: &dyn Registers, machine: &dyn Machine) -> Option<u8> {
    let paging = Paging::of(cpu, machine.physical_bits());
    let access = Access::execute(Privilege::of_cpl(cpu.cpl()));
    let start = Gva(cpu.segment(SegmentName::Cs).base).wrapping_add(cpu.rip());
    let mut bytes = [0; 4];
    for (offset, byte) in (0..).zip(&mut bytes) {
        let at = paging.wrap(start.wrapping_add(offset));
        let found = walk::peek(&paging, machine.memory(), at, access).ok()?;
        *byte = machine.memory().load(found.gpa).ok()?;
    }
    rom::trap(bytes)
}

/// Where the stub goes on.
fn resume(call: &mut Call<'_>, turn: Turn, entry: Entry) {
    let distance = match (turn, entry) {
        (Turn::Done, _) => return,
        (Turn::Wait, Entry::Fresh) => rom::WAIT,
        (Turn::Wait, Entry::Resumed) => rom::WAIT_AGAIN,
        (Turn::Spin, Entry::Fresh) => rom::SPIN,
        (Turn::Spin, Entry::Resumed) => rom::SPIN_AGAIN,
    };
    call.resume(Resume::Near(distance));
}

/// The BIOS32 directory (Standard BIOS 32-bit Service Directory 0.4): which entry serves "$PCI".
fn bios32(call: &mut Call<'_>) {
    use hvm::regs::Gpr;
    const PCI: u32 = u32::from_le_bytes(*b"$PCI");
    const NOT_PRESENT: u8 = 0x80;
    const BAD_SELECTOR: u8 = 0x81;
    let base = (rom::SEGMENT as u32) << 4;
    let answer = match (call.dword(Gpr::Rax), call.bl()) {
        (PCI, 0) => {
            call.set_dword(Gpr::Rbx, base);
            call.set_dword(Gpr::Rcx, rom::BYTES as u32);
            call.set_dword(Gpr::Rdx, rom::bios32::PCI.into());
            0
        }
        (_, 0) => NOT_PRESENT,
        _ => BAD_SELECTOR,
    };
    call.set_al(answer);
}
