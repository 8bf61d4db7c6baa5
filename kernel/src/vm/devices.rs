//! The guest's board, with its paravirtual devices plugged in.

use super::host::Rdrand;
use super::line;
use crate::console::bytes::GuestEnd;
use crate::mem::{PAGE_BYTES, frames, phys_to_virt};
use crate::warn;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use appliance::Bundle;
use appliance::config::{Access, BlobName, Bus, Config, DiskSpec, Format, Medium, Serial};
use guest_mem::Hpa;
use hvm::backend::SECTOR_BYTES;
use pc::board::{Board, BoardConfig};
use virtio_pv::pci::{Transport, TransportMode};
use virtio_pv::{block, console, entropy, ram};

/// The first PCI slot for virtio devices; 0 is the host bridge, 1 the south bridge, 2 is where a display will be.
const FIRST_SLOT: u8 = 3;
/// The last PCI slot.
const LAST_SLOT: u8 = 31;

/// Builds the board for `config`.
pub fn build(config: &Config, bundle: &Bundle<'_>, end: GuestEnd) -> Result<Board, String> {
    let (first_serial, virtio_console) = line::share(end);
    let com1 = match config.serial {
        Serial::Console => Some(Box::new(first_serial) as _),
        Serial::None => None,
    };
    let mut board = Board::new(BoardConfig {
        com1,
        com2: None,
        ide: [const { None }; 4],
        epoch_seconds: super::wall::seconds(),
    });
    let mut slots = FIRST_SLOT..=LAST_SLOT;
    let mut plug = |device: Box<dyn virtio_pv::device::Device>| -> Result<(), String> {
        let slot = slots
            .next()
            .ok_or("more devices than the PCI bus has slots for (29)")?;
        let function = Box::new(Transport::new(device, TransportMode::Transitional));
        board
            .attach(slot, function)
            .map_err(|error| format!("PCI slot {slot}: {error:?}"))
    };
    let size = console::TerminalSize {
        columns: 80,
        rows: 25,
    };
    plug(Box::new(console::Console::new(
        Box::new(virtio_console),
        size,
    )))?;
    match Rdrand::find() {
        Some(source) => plug(Box::new(entropy::Rng::new(Box::new(source))))?,
        None => warn!("this CPU has no RDRAND: the guest gets no virtio entropy device"),
    }
    for disk in &config.disks {
        if let Some(target) = &disk.target {
            plug(Box::new(self::disk(disk, target, bundle)?))?;
        }
    }
    Ok(board)
}

/// A disk in RAM, filled from the bundle.
fn disk(spec: &DiskSpec, target: &BlobName, bundle: &Bundle<'_>) -> Result<block::Disk, String> {
    let place = || format!("monovisor.toml, {}: disk `{}`", target.place, target.name);
    if spec.format != Format::Raw {
        return Err(format!(
            "{}: its format is {:?}; this version takes raw images",
            place(),
            spec.format
        ));
    }
    if matches!(spec.vdev.bus, Bus::Ide | Bus::Scsi) || spec.medium == Medium::Cdrom {
        warn!(
            "{}: there is no IDE or SCSI controller yet, so the guest sees a virtio disk",
            place()
        );
    }
    let image = bundle.blob(target).map_err(|error| error.to_string())?;
    let bytes = (image.len() as u64).next_multiple_of(SECTOR_BYTES);
    let storage = storage(image, bytes).ok_or_else(|| {
        format!(
            "{}: no room for its {} KiB in host memory beside the guest",
            place(),
            bytes / 1024
        )
    })?;
    let access = match (spec.access, spec.medium) {
        (Access::ReadWrite, Medium::Disk) => ram::Access::ReadWrite,
        _ => ram::Access::ReadOnly,
    };
    Ok(block::Disk::new(
        Box::new(ram::RamDisk::new(storage, access)),
        &target.name,
    ))
}

/// Host memory that holds a copy of `image`, padded with zeros to `bytes`.
fn storage(image: &[u8], bytes: u64) -> Option<&'static mut [u8]> {
    if bytes == 0 {
        return Some(&mut []);
    }
    let range = frames::alloc_contiguous(bytes, PAGE_BYTES)?;
    // SAFETY: the range was just taken from the frame allocator for good, is mapped writable, and nothing else refers to
    // it; bytes of any value are valid `u8`s.
    let storage =
        unsafe { core::slice::from_raw_parts_mut(phys_to_virt(Hpa(range.base)), bytes as usize) };
    let (copy, padding) = storage.split_at_mut(image.len());
    copy.copy_from_slice(image);
    padding.fill(0);
    Some(storage)
}
