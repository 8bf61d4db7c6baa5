//! The guest's board, with its paravirtual devices plugged in.

use super::disk::Shared;
use super::firmware::Media;
use super::framebuffer::Pages;
use super::host::Rdrand;
use super::line;
use super::media::{Bay, OnShelf};
use super::nic;
use super::pool::Pool;
use crate::console::{bytes, input};
use crate::warn;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use appliance::config::{
    Access, BlobName, Boot, BootDevice, Bus, Config, DiskSpec, Format, Medium, Serial,
};
use appliance::{Bundle, entry_name};
use guest_bios::bios::{Drive, DriveKind};
use guest_bios::user::BootPath;
use hvm::backend::Block;
use hvm::pci::Function;
use pc::board::{Board, BoardConfig};
use pc::floppy::Place;
use pc::ide;
use pc::vga::{Adapter, AdapterConfig};
use virtio_pv::overlay::{CLUSTER_BYTES, Overlay};
use virtio_pv::pci::{Transport, TransportMode};
use virtio_pv::{block, console, entropy};

/// The PCI slot of the display; 0 is the host bridge, 1 the south bridge.
const DISPLAY_SLOT: u8 = 2;
/// The first PCI slot for virtio devices.
const FIRST_SLOT: u8 = 3;
/// The last PCI slot.
const LAST_SLOT: u8 = 31;

/// A board, and its disks as the firmware numbers them.
pub struct Devices {
    /// The chips and functions.
    pub board: Board,
    /// The drives that a BIOS boots from.
    pub media: Media,
    /// Those whose media can be changed.
    pub bays: Vec<(Bay, Drive)>,
    /// What is in them.
    pub shelf: Vec<OnShelf>,
    /// The same in the order of `boot`, as other firmware finds them.
    pub paths: Vec<BootPath>,
    /// The wall clock at the start of the guest's time, in seconds since 1970.
    pub epoch_seconds: u64,
    /// The display's memory, if there is one.
    pub video: Option<Arc<Pages>>,
}

/// Builds the board for `config`. A guest that boots through firmware has a display, perhaps with a ROM on it, a keyboard and a mouse.
pub fn build(
    config: &Config,
    bundle: &Bundle<'static>,
    line: bytes::GuestEnd,
    input: input::GuestEnd,
    video_rom: Option<&[u8]>,
) -> Result<Devices, String> {
    let (first_serial, virtio_console) = line::share(line);
    let com1 = match config.serial {
        Serial::Console => Some(Box::new(first_serial) as _),
        Serial::None => None,
    };
    let mut disks = Disks::default();
    let pool = pool(config, bundle)?;
    for spec in &config.disks {
        disks.add(spec, bundle, &pool)?;
    }
    let epoch_seconds = crate::net::wall_seconds().unwrap_or_else(super::wall::seconds);
    let has_screen = matches!(config.boot, Boot::Firmware { .. });
    // A kernel that is started directly probes no drives that it has not.
    let has_ide = has_screen || disks.ide.iter().any(Option::is_some);
    let mut board = Board::new(BoardConfig {
        com1,
        com2: None,
        ide: has_ide.then_some(disks.ide),
        epoch_seconds,
    });
    if has_screen {
        board.connect_input(Box::new(input));
    }
    let mut media = disks.media;
    let mut paths = disks.paths;
    let mut bays = disks.bays;
    for ((index, place), floppy) in (0..).zip([Place::A, Place::B]).zip(disks.floppies) {
        let Some(medium) = floppy else {
            continue;
        };
        match &medium {
            Some(medium) => drop(board.insert_floppy(place, Box::new(medium.clone()))),
            None => board.add_floppy_drive(place),
        }
        let drive = Drive {
            kind: DriveKind::Floppy,
            index,
        };
        media.push((drive, medium));
        bays.push((Bay::Floppy(place), drive));
        paths.push((drive.kind, BootPath::Floppy(index)));
    }
    let mut attach = |slot: u8, function: Box<dyn Function>| {
        board
            .attach(slot, function)
            .map_err(|error| format!("PCI slot {slot}: {error:?}"))
    };
    let mut video = None;
    if has_screen {
        let pages = Pages::allocate()
            .ok_or("this host has no 16 MiB of memory in one piece for the guest's screen")?;
        let adapter = Adapter::new(AdapterConfig {
            memory: pages.clone(),
            rom: video_rom.unwrap_or_default().to_vec(),
            ..AdapterConfig::new()
        });
        video = Some(pages);
        attach(DISPLAY_SLOT, Box::new(adapter))?;
    }
    let size = console::TerminalSize {
        columns: 80,
        rows: 25,
    };
    let mut functions: Vec<Box<dyn virtio_pv::device::Device>> = vec![Box::new(
        console::Console::new(Box::new(virtio_console), size),
    )];
    match Rdrand::find() {
        Some(source) => functions.push(Box::new(entropy::Rng::new(Box::new(source)))),
        None => warn!("this CPU has no RDRAND: the guest gets no virtio entropy device"),
    }
    let mut slot_of_next = FIRST_SLOT + functions.len() as u8;
    for (kind, disk) in disks.virtio {
        functions.push(Box::new(disk));
        paths.push((kind, BootPath::Virtio(slot_of_next)));
        slot_of_next = slot_of_next.saturating_add(1);
    }
    let mut slots = FIRST_SLOT..=LAST_SLOT;
    for device in functions {
        let slot = slots
            .next()
            .ok_or("more devices than the PCI bus has slots for (29)")?;
        let transport = Transport::new(device, TransportMode::Transitional);
        attach(slot, Box::new(transport))?;
    }
    // Behind the disks, whose slots firmware knows.
    for (slot, card) in nic::cards(config)
        .zip(&mut slots)
        .map(|(card, slot)| (slot, card))
    {
        attach(slot, card)?;
    }
    Ok(Devices {
        board,
        media,
        bays,
        shelf: disks.shelf,
        paths: in_order(&config.boot, &paths),
        epoch_seconds,
        video,
    })
}

/// What to boot from, first things first.
fn in_order(boot: &Boot, paths: &[(DriveKind, BootPath)]) -> Vec<BootPath> {
    let Boot::Firmware { order, .. } = boot else {
        return Vec::new();
    };
    let of_kind = |device: &BootDevice| {
        let kind = match device {
            BootDevice::Floppy => Some(DriveKind::Floppy),
            BootDevice::Disk => Some(DriveKind::Disk),
            BootDevice::Cdrom => Some(DriveKind::Cdrom),
            BootDevice::Network => None,
        };
        let same = paths.iter().filter(move |(other, _)| Some(*other) == kind);
        same.map(|(_, path)| *path)
    };
    order.iter().flat_map(of_kind).collect()
}

/// The disks of a configuration, by what they hang on.
#[derive(Default)]
struct Disks {
    ide: [Option<ide::Drive>; 4],
    virtio: Vec<(DriveKind, block::Disk)>,
    paths: Vec<(DriveKind, BootPath)>,
    /// Drives, and what is in them.
    floppies: [Option<Option<Shared>>; 2],
    media: Media,
    bays: Vec<(Bay, Drive)>,
    shelf: Vec<OnShelf>,
}

impl Disks {
    /// Adds one: on IDE if its name says so, else as a virtio disk.
    fn add(
        &mut self,
        spec: &DiskSpec,
        bundle: &Bundle<'static>,
        pool: &Pool,
    ) -> Result<(), String> {
        let medium = match &spec.target {
            Some(target) => Some(load(spec, target, bundle, pool)?),
            None => None,
        };
        let name = spec.target.as_ref().map_or("", |target| &target.name);
        let mut keep = |kind| {
            self.shelf.extend(medium.as_ref().map(|medium| OnShelf {
                name: entry_name(name),
                kind,
                medium: medium.clone(),
            }));
        };
        if spec.vdev.bus == Bus::Floppy {
            keep(DriveKind::Floppy);
            if let Some(place) = self.floppies.get_mut(spec.vdev.index as usize) {
                *place = Some(medium);
            }
            return Ok(());
        }
        let place = match spec.vdev.bus {
            Bus::Ide => self.ide.get_mut(spec.vdev.index as usize),
            Bus::Scsi => {
                warn!(
                    "disk `{name}`: there is no SCSI controller, so the guest sees a virtio disk"
                );
                None
            }
            Bus::Xen | Bus::Virtio | Bus::Floppy => None,
        };
        let boxed = |disk: &Shared| -> Box<dyn Block> { Box::new(disk.clone()) };
        let kind = match (place, &medium) {
            (Some(place), _) if spec.medium == Medium::Cdrom => {
                keep(DriveKind::Cdrom);
                *place = Some(ide::Drive::cdrom(medium.as_ref().map(boxed), name));
                DriveKind::Cdrom
            }
            (Some(place), Some(medium)) => {
                *place = Some(ide::Drive::disk(boxed(medium), name));
                DriveKind::Disk
            }
            (None, Some(medium)) => {
                let kind = match spec.medium {
                    Medium::Disk => DriveKind::Disk,
                    Medium::Cdrom => DriveKind::Cdrom,
                };
                let disk = block::Disk::new(boxed(medium), name);
                self.virtio.push((kind, disk));
                kind
            }
            // A disk without contents is none.
            (_, None) => return Ok(()),
        };
        if spec.vdev.bus == Bus::Ide {
            let index = spec.vdev.index as u8;
            self.paths.push((kind, BootPath::Ide(index / 2, index % 2)));
        }
        let index = self
            .media
            .iter()
            .filter(|(drive, _)| drive.kind == kind)
            .count() as u8;
        let drive = Drive { kind, index };
        if (spec.vdev.bus, kind) == (Bus::Ide, DriveKind::Cdrom) {
            self.bays.push((Bay::cdrom(spec.vdev.index as u8), drive));
        }
        self.media.push((drive, medium));
        Ok(())
    }
}

/// A disk over its image in the bundle.
fn load(
    spec: &DiskSpec,
    target: &BlobName,
    bundle: &Bundle<'static>,
    pool: &Pool,
) -> Result<Shared, String> {
    let image = image(spec, target, bundle)?;
    let disk = match is_writable(spec) {
        true => Overlay::writable(image, pool.share()),
        false => Overlay::read_only(image),
    };
    Ok(Shared::new(Box::new(disk)))
}

fn is_writable(spec: &DiskSpec) -> bool {
    (spec.access, spec.medium) == (Access::ReadWrite, Medium::Disk)
}

fn image(
    spec: &DiskSpec,
    target: &BlobName,
    bundle: &Bundle<'static>,
) -> Result<&'static [u8], String> {
    if spec.format != Format::Raw {
        return Err(format!(
            "monovisor.toml, {}: disk `{}`: its format is {:?}; this version takes raw images",
            target.place, target.name, spec.format
        ));
    }
    bundle.blob(target).map_err(|error| error.to_string())
}

/// The pool for all that the guest can change.
fn pool(config: &Config, bundle: &Bundle<'static>) -> Result<Pool, String> {
    let mut clusters = 0;
    for spec in config.disks.iter().filter(|spec| is_writable(spec)) {
        if let Some(target) = &spec.target {
            clusters += image(spec, target, bundle)?.len().div_ceil(CLUSTER_BYTES);
        }
    }
    let wanted = (clusters * CLUSTER_BYTES) as u64;
    let guest = config
        .memory
        .map(|memory| memory.mib.saturating_mul(1 << 20));
    Ok(Pool::reserve(wanted, guest))
}
