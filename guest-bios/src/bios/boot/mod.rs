//! INT 19h and INT 18h: what to start, and what to do if nothing starts.
//!
//! Every device of the boot order is tried; one that cannot be started is named with the reason, on the guest's screen
//! and in the hypervisor's log.

mod menu;

pub(super) use menu::say;

use super::call::{Call, Resume, Served};
use super::int13::drives::{Emulation, FIRST_CDROM, FIRST_DISK, Target, read_sector};
use super::int13::eltorito::{self, CD_SECTOR_BYTES, Image, NotBootable};
use super::machine::{Drive, DriveKind};
use super::network::boot as network;
use super::{Bios, Entry, Turn, int10};
use alloc::string::String;
use core::fmt::{self, Write};
use guest_mem::Gpa;
use hvm::Instant;
use hvm::backend::{SECTOR_BYTES, Segment, Transfer};
use hvm::regs::{Rflags, SegmentName};
pub use menu::Key;
use serde::{Deserialize, Serialize};

/// A device to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootDevice {
    /// `a`: the first diskette.
    Floppy,
    /// `c`: the first hard disk.
    Disk,
    /// `d`: the first CD that boots.
    Cdrom,
    /// `n`: the network.
    Network,
}

/// Where a boot sector goes and starts.
const BOOT_ADDRESS: u64 = 0x7c00;

/// Why a device did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    NoDrive,
    Empty,
    Unreadable,
    NoSignature([u8; 2]),
    Cd(NotBootable),
    Network(network::Failure),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDrive => f.write_str("there is none"),
            Self::Empty => f.write_str("no medium is in the drive"),
            Self::Unreadable => f.write_str("its first sector cannot be read"),
            Self::NoSignature([low, high]) => write!(
                f,
                "its boot sector ends in {low:02x} {high:02x}, not 55 aa: nothing was installed there"
            ),
            Self::Cd(error) => error.fmt(f),
            Self::Network(why) => why.fmt(f),
        }
    }
}

/// What to jump to.
struct Start {
    drive: u8,
    segment: u16,
    offset: u16,
}

/// What INT 19h is waiting for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Nothing: it goes through the order.
    #[default]
    Order,
    /// Somebody who wants the menu, until then.
    Offer(Instant),
    /// A choice from the menu.
    Menu,
    /// The network. If that fails, there is the rest of the order.
    Network(Origin),
}

/// Who chose a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Origin {
    /// The boot order.
    Order,
    /// Somebody at the menu.
    Menu,
}

impl Start {
    fn of(image: &Image, emulation: &Emulation) -> Self {
        Self {
            drive: emulation.number,
            segment: image.segment,
            offset: 0,
        }
    }
}

/// INT 19h: from the first device of the order on, or from the menu, if somebody asks for it.
pub fn bootstrap(bios: &mut Bios, call: &mut Call<'_>, entry: Entry) -> Served<Turn> {
    if entry == Entry::Resumed {
        return wait(bios, call);
    }
    bios.next_device = 0;
    bios.stage = Stage::Order;
    if menu::asked_for(call)? {
        return open_menu(bios, call);
    }
    if bios.menu_wait_ns == 0 {
        return try_devices(bios, call);
    }
    menu::offer(bios, call)?;
    bios.stage = Stage::Offer(call.machine.now() + bios.menu_wait_ns);
    Ok(Turn::Wait)
}

/// INT 18h: what was started gave up, and the next device has its turn (BIOS Boot Specification 1.01, 6.5).
pub fn no_boot(bios: &mut Bios, call: &mut Call<'_>, entry: Entry) -> Served<Turn> {
    const TEXT: u8 = 3;
    if entry == Entry::Resumed {
        return wait(bios, call);
    }
    int10::set_mode(call, &bios.fonts, TEXT)?;
    try_devices(bios, call)
}

/// After a halt: a key, or the end of the wait for one.
fn wait(bios: &mut Bios, call: &mut Call<'_>) -> Served<Turn> {
    let key = menu::key(call)?;
    match (bios.stage, key) {
        (Stage::Menu, Some(key)) => choose(bios, call, key),
        (Stage::Menu, None) => Ok(Turn::Wait),
        (Stage::Offer(_), Some(Key::Menu)) => open_menu(bios, call),
        (Stage::Network(origin), key) => proceed(bios, call, origin, key),
        (Stage::Offer(until), None) if call.machine.now() < until => Ok(Turn::Wait),
        // Any other key says that nobody is waiting for the menu.
        _ => try_devices(bios, call),
    }
}

/// The boot from the network goes on, unless Esc stops it.
fn proceed(bios: &mut Bios, call: &mut Call<'_>, origin: Origin, key: Option<Key>) -> Served<Turn> {
    let state = match key {
        Some(Key::Menu) => network::State::Failed(network::Failure::Cancelled),
        key => network::proceed(bios, call, key)?,
    };
    match state {
        network::State::Waiting => Ok(Turn::Wait),
        network::State::Loaded => {
            bios.stage = Stage::Order;
            network::start(bios, call)?;
            Ok(Turn::Done)
        }
        network::State::Failed(why) => {
            bios.network.leave(call)?;
            tell(
                bios,
                call,
                name(BootDevice::Network),
                &Failure::Network(why),
            )?;
            match origin {
                Origin::Order => try_devices(bios, call),
                Origin::Menu => open_menu(bios, call),
            }
        }
    }
}

fn open_menu(bios: &mut Bios, call: &mut Call<'_>) -> Served<Turn> {
    bios.stage = Stage::Menu;
    menu::show(bios, call)?;
    Ok(Turn::Wait)
}

fn try_devices(bios: &mut Bios, call: &mut Call<'_>) -> Served<Turn> {
    bios.emulation = None;
    bios.stage = Stage::Order;
    bios.network.leave(call)?;
    while let Some(&device) = bios.order.get(bios.next_device) {
        bios.next_device += 1;
        match try_device(bios, call, Choice::of(device), Origin::Order)? {
            Tried::Started => return Ok(Turn::Done),
            Tried::Waits => return Ok(Turn::Wait),
            Tried::Failed => {}
        }
    }
    menu::say(bios, call, "No device could be started.\n")?;
    call.machine.log(format_args!(
        "BIOS: no boot device could be started; the guest waits for a key"
    ));
    open_menu(bios, call)
}

/// One drive to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Choice {
    device: BootDevice,
    /// Which of its kind; without one, the first that will do.
    index: Option<u8>,
}

impl Choice {
    const fn of(device: BootDevice) -> Self {
        Self {
            device,
            index: None,
        }
    }
}

/// What became of a device.
enum Tried {
    Started,
    /// It is yet to be seen.
    Waits,
    Failed,
}

/// Starts a device, or tells why not.
fn try_device(
    bios: &mut Bios,
    call: &mut Call<'_>,
    choice: Choice,
    origin: Origin,
) -> Served<Tried> {
    let failure = if choice.device == BootDevice::Network {
        match network::begin(bios, call, choice.index.unwrap_or(0))? {
            Ok(()) => {
                bios.stage = Stage::Network(origin);
                return Ok(Tried::Waits);
            }
            Err(failure) => Failure::Network(failure),
        }
    } else {
        match start(bios, call, choice) {
            Ok(start) => {
                bios.stage = Stage::Order;
                hand_over(call, &start);
                return Ok(Tried::Started);
            }
            Err(failure) => failure,
        }
    };
    tell(bios, call, name(choice.device), &failure)?;
    Ok(Tried::Failed)
}

/// The menu's answer: a key names a device, or starts over.
fn choose(bios: &mut Bios, call: &mut Call<'_>, key: Key) -> Served<Turn> {
    let choice = match key {
        Key::Letter(device) => Some(Choice::of(device)),
        Key::Digit(number) => menu::entry(bios, number),
        Key::Menu | Key::Choices | Key::Other => {
            bios.next_device = 0;
            return try_devices(bios, call);
        }
    };
    let Some(choice) = choice else {
        return Ok(Turn::Wait);
    };
    bios.emulation = None;
    match try_device(bios, call, choice, Origin::Menu)? {
        Tried::Started => Ok(Turn::Done),
        Tried::Waits | Tried::Failed => Ok(Turn::Wait),
    }
}

fn name(device: BootDevice) -> &'static str {
    match device {
        BootDevice::Floppy => "diskette",
        BootDevice::Disk => "hard disk",
        BootDevice::Cdrom => "CD",
        BootDevice::Network => "network",
    }
}

fn tell(bios: &Bios, call: &mut Call<'_>, device: &str, failure: &Failure) -> Served {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "Boot from {device}: {failure}.");
    menu::say(bios, call, &text)?;
    call.machine
        .log(format_args!("BIOS: boot from {device}: {failure}"));
    Ok(())
}

fn start(bios: &mut Bios, call: &mut Call<'_>, choice: Choice) -> Result<Start, Failure> {
    let index = choice.index.unwrap_or(0);
    match (choice.device, choice.index) {
        (BootDevice::Floppy, _) => from_sector(bios, call, index),
        (BootDevice::Disk, _) => from_sector(bios, call, FIRST_DISK.saturating_add(index)),
        (BootDevice::Cdrom, None) => from_cds(bios, call),
        (BootDevice::Cdrom, Some(cdrom)) => from_cd(bios, call, cdrom),
        (BootDevice::Network, _) => Err(Failure::Network(network::Failure::NoCard)),
    }
}

/// A boot sector.
fn from_sector(bios: &Bios, call: &mut Call<'_>, number: u8) -> Result<Start, Failure> {
    let target = bios.find_drive(number).ok_or(Failure::NoDrive)?;
    target.medium(call.machine).ok_or(Failure::Empty)?;
    let mut sector = [0; SECTOR_BYTES as usize];
    read_sector(call.machine, &target, 0, &mut sector).map_err(|_| Failure::Unreadable)?;
    if sector[510..] != [0x55, 0xaa] {
        return Err(Failure::NoSignature([sector[510], sector[511]]));
    }
    call.write_physical(Gpa(BOOT_ADDRESS), &sector);
    Ok(Start {
        drive: number,
        segment: 0,
        offset: BOOT_ADDRESS as u16,
    })
}

/// The first CD that boots, or why the first does not.
fn from_cds(bios: &mut Bios, call: &mut Call<'_>) -> Result<Start, Failure> {
    let mut first = Failure::NoDrive;
    for cdrom in 0..bios.drives.cdroms {
        match from_cd(bios, call, cdrom) {
            Ok(start) => return Ok(start),
            Err(failure) if cdrom == 0 => first = failure,
            Err(_) => {}
        }
    }
    Err(first)
}

fn from_cd(bios: &mut Bios, call: &mut Call<'_>, cdrom: u8) -> Result<Start, Failure> {
    let number = FIRST_CDROM.checked_add(cdrom).ok_or(Failure::NoDrive)?;
    let target = bios.find_drive(number).ok_or(Failure::NoDrive)?;
    let sectors = target.medium(call.machine).ok_or(Failure::Empty)?.sectors;
    let image = find_image(call, &target, sectors)?;
    load_image(call, cdrom, &image)?;
    let emulation = Emulation::of(&image, cdrom, sectors);
    bios.emulation = Some(emulation);
    Ok(Start::of(&image, &emulation))
}

/// Starts an image of a CD that is emulated already.
pub(super) fn start_image(
    bios: &Bios,
    call: &mut Call<'_>,
    cdrom: u8,
    image: &Image,
) -> Result<(), CannotLoad> {
    load_image(call, cdrom, image).map_err(|_| CannotLoad)?;
    if let Some(emulation) = &bios.emulation {
        hand_over(call, &Start::of(image, emulation));
    }
    Ok(())
}

/// A boot image could not be read.
pub(super) struct CannotLoad;

fn find_image(call: &mut Call<'_>, target: &Target, sectors: u64) -> Result<Image, Failure> {
    let mut sector = [0; CD_SECTOR_BYTES];
    let read = |call: &mut Call<'_>, number: u32, into: &mut [u8; CD_SECTOR_BYTES]| {
        read_sector(call.machine, target, u64::from(number) * 4, into)
            .map_err(|_| Failure::Unreadable)
    };
    if sectors / 4 <= u64::from(eltorito::BOOT_RECORD_SECTOR) {
        return Err(Failure::Cd(NotBootable::NoRecord));
    }
    read(call, eltorito::BOOT_RECORD_SECTOR, &mut sector)?;
    let catalog = eltorito::catalog_sector(&sector, sectors).map_err(Failure::Cd)?;
    read(call, catalog, &mut sector)?;
    eltorito::image(&sector, catalog, sectors).map_err(Failure::Cd)
}

fn load_image(call: &mut Call<'_>, cdrom: u8, image: &Image) -> Result<(), Failure> {
    let drive = Drive {
        kind: DriveKind::Cdrom,
        index: cdrom,
    };
    let segment = Segment {
        gpa: Gpa(u64::from(image.segment) * 16),
        bytes: u32::from(image.count) * SECTOR_BYTES as u32,
    };
    call.machine
        .transfer(
            drive,
            Transfer::Read,
            u64::from(image.start) * 4,
            &[segment],
        )
        .map_err(|_| Failure::Unreadable)
}

/// Leaves the firmware: the drive in DL, interrupts open, a stack below the boot sector.
fn hand_over(call: &mut Call<'_>, start: &Start) {
    call.clear_registers();
    call.set_ax(0xaa55);
    call.set_dx(start.drive.into());
    call.set_sp(BOOT_ADDRESS as u16);
    for segment in [SegmentName::Ss, SegmentName::Ds, SegmentName::Es] {
        call.set_segment(segment, 0);
    }
    call.set_flags(Rflags::IF, Rflags::DF | Rflags::TF);
    call.resume(Resume::Far {
        segment: start.segment,
        offset: start.offset,
    });
    call.machine.log(format_args!(
        "BIOS: starting drive {:02x}h at {:04x}:{:04x}",
        start.drive, start.segment, start.offset
    ));
}
