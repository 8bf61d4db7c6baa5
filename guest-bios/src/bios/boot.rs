//! INT 19h and INT 18h: what to start, and what to do if nothing starts.
//!
//! Every device of the boot order is tried; one that cannot be started is named with the reason, on the guest's screen
//! and in the hypervisor's log.

use super::call::{Call, Resume, Served};
use super::int13::drives::{Emulation, FIRST_CDROM, FIRST_DISK, Target, read_sector};
use super::int13::eltorito::{self, CD_SECTOR_BYTES, Image, NotBootable};
use super::keyboard::buffer;
use super::machine::{Drive, DriveKind};
use super::{Bios, Entry, Turn, int10};
use alloc::string::String;
use core::fmt::{self, Write};
use guest_mem::Gpa;
use hvm::backend::{SECTOR_BYTES, Segment, Transfer};
use hvm::regs::{Rflags, SegmentName};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    NoDrive,
    Empty,
    Unreadable,
    NoSignature([u8; 2]),
    Cd(NotBootable),
    NoNetwork,
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
            Self::NoNetwork => f.write_str("no network card has a boot ROM"),
        }
    }
}

/// What to jump to.
struct Start {
    drive: u8,
    segment: u16,
    offset: u16,
}

/// INT 19h: from the first device of the order on.
pub fn bootstrap(bios: &mut Bios, call: &mut Call<'_>, entry: Entry) -> Served<Turn> {
    if entry == Entry::Resumed {
        return choose(bios, call);
    }
    bios.next_device = 0;
    try_devices(bios, call)
}

/// INT 18h: what was started gave up, and the next device has its turn.
pub fn no_boot(bios: &mut Bios, call: &mut Call<'_>, entry: Entry) -> Served<Turn> {
    const TEXT: u8 = 3;
    if entry == Entry::Resumed {
        return choose(bios, call);
    }
    int10::set_mode(call, &bios.fonts, TEXT)?;
    try_devices(bios, call)
}

fn try_devices(bios: &mut Bios, call: &mut Call<'_>) -> Served<Turn> {
    bios.emulation = None;
    while let Some(&device) = bios.order.get(bios.next_device) {
        bios.next_device += 1;
        if try_device(bios, call, device)? {
            return Ok(Turn::Done);
        }
    }
    let text = "No device could be started. Press a for diskette, c for hard disk, d for CD,
\
                or another key to try them all again.
";
    int10::print(call, &bios.fonts, text)?;
    call.machine.log(format_args!(
        "BIOS: no boot device could be started; the guest waits for a key"
    ));
    Ok(Turn::Wait)
}

/// Starts a device, or tells why not. True if it starts.
fn try_device(bios: &mut Bios, call: &mut Call<'_>, device: BootDevice) -> Served<bool> {
    match start(bios, call, device) {
        Ok(start) => {
            hand_over(call, &start);
            Ok(true)
        }
        Err(failure) => {
            tell(bios, call, name(device), &failure)?;
            Ok(false)
        }
    }
}

/// The menu: a key names a device, or starts over. Without one the ROM waits on.
fn choose(bios: &mut Bios, call: &mut Call<'_>) -> Served<Turn> {
    let Some(key) = buffer::take(call)? else {
        return Ok(Turn::Wait);
    };
    let device = match key as u8 {
        b'a' | b'A' => BootDevice::Floppy,
        b'c' | b'C' => BootDevice::Disk,
        b'd' | b'D' => BootDevice::Cdrom,
        _ => {
            bios.next_device = 0;
            return Ok(Turn::Restart);
        }
    };
    bios.emulation = None;
    if try_device(bios, call, device)? {
        Ok(Turn::Done)
    } else {
        Ok(Turn::Wait)
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
    int10::print(call, &bios.fonts, &text)?;
    call.machine
        .log(format_args!("BIOS: boot from {device}: {failure}"));
    Ok(())
}

fn start(bios: &mut Bios, call: &mut Call<'_>, device: BootDevice) -> Result<Start, Failure> {
    match device {
        BootDevice::Floppy => from_sector(bios, call, 0),
        BootDevice::Disk => from_sector(bios, call, FIRST_DISK),
        BootDevice::Cdrom => from_cds(bios, call),
        BootDevice::Network => Err(Failure::NoNetwork),
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
    Ok(Start {
        drive: emulation.number,
        segment: image.segment,
        offset: 0,
    })
}

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
