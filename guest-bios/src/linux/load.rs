//! Placing a kernel and what it needs in guest memory.

use super::entry::{self, EntryState};
use super::header as at;
use super::image::Image;
use crate::memory::{self, Range, RangeKind};
use crate::platform::{ABOVE_4G, HIGH_MEMORY};
use core::fmt;
use core::ops::Range as Span;
use guest_mem::{Gpa, GuestMemory, PAGE_BYTES, Unmapped};

/// The boot parameters ("zero page"). With the GDT and the page tables below the kernel's earliest place, 1 MiB.
const BOOT_PARAMS: Gpa = Gpa(0x2000);
const COMMAND_LINE: Gpa = Gpa(0x1_0000);
const COMMAND_LINE_ROOM_BYTES: u64 = 0x1_0000;

/// Why a kernel could not be placed. Guest memory may have been written in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The command line is longer than the kernel takes.
    CommandLineTooLong {
        /// Its length in bytes.
        bytes: u64,
        /// The longest that the kernel takes.
        max_bytes: u64,
    },
    /// The command line has a NUL in it.
    CommandLineHasNul,
    /// No room for the kernel below 4 GiB.
    KernelDoesNotFit {
        /// Bytes that it needs in one piece.
        need_bytes: u64,
        /// Bytes of the largest piece of RAM between 1 MiB and 4 GiB.
        have_bytes: u64,
        /// The only address that it can run at, if it is not relocatable.
        fixed: Option<Gpa>,
    },
    /// No room for the initrd.
    InitrdDoesNotFit {
        /// Its length.
        need_bytes: u64,
        /// Bytes of the largest piece of RAM that it may lie in, the kernel's taken off.
        have_bytes: u64,
    },
    /// RAM is missing in the first 640 KiB.
    Unmapped(Unmapped),
}

impl From<Unmapped> for LoadError {
    fn from(unmapped: Unmapped) -> Self {
        Self::Unmapped(unmapped)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: u64| bytes.div_ceil(1024);
        match *self {
            Self::CommandLineTooLong { bytes, max_bytes } => write!(
                f,
                "the guest's command line has {bytes} bytes, its kernel takes {max_bytes}"
            ),
            Self::CommandLineHasNul => f.write_str("the guest's command line has a NUL in it"),
            Self::KernelDoesNotFit {
                need_bytes,
                have_bytes,
                fixed,
            } => {
                write!(
                    f,
                    "the kernel needs {} KiB of guest memory in one piece above 1 MiB, there are {} KiB",
                    kib(need_bytes),
                    kib(have_bytes)
                )?;
                if let Some(Gpa(fixed)) = fixed {
                    write!(f, " (and it runs only at {fixed:#x})")?;
                }
                f.write_str(": give the guest more `memory`")
            }
            Self::InitrdDoesNotFit {
                need_bytes,
                have_bytes,
            } => write!(
                f,
                "the initrd needs {} KiB of guest memory beside the kernel, there are {} KiB: \
                 give the guest more `memory`",
                kib(need_bytes),
                kib(have_bytes)
            ),
            Self::Unmapped(unmapped) => unmapped.fmt(f),
        }
    }
}

impl core::error::Error for LoadError {}

/// Places `image`, its initrd and its command line in `memory` (laid out as [`memory::memory_layout`] says), tells it the
/// memory map and the ACPI tables' root `rsdp`, and returns the state to enter it with.
pub fn load(
    image: &Image<'_>,
    initrd: Option<&[u8]>,
    command_line: &str,
    memory: &GuestMemory,
    rsdp: Gpa,
) -> Result<EntryState, LoadError> {
    check_command_line(image, command_line)?;
    let map = memory::e820(memory);
    let kernel = place_kernel(image, &map)?;
    let initrd = match initrd {
        Some(data) if !data.is_empty() => Some((place_initrd(image, data, &map, &kernel)?, data)),
        _ => None,
    };

    memory.write(Gpa(kernel.start), image.kernel)?;
    if let Some((place, data)) = initrd {
        memory.write(place, data)?;
    }
    memory.write(COMMAND_LINE, command_line.as_bytes())?;
    memory.store(COMMAND_LINE.wrapping_add(command_line.len() as u64), &0_u8)?;

    let mut params = BootParams::new(image);
    params.put(at::ACPI_RSDP_ADDR, &rsdp.0.to_le_bytes());
    params.put(at::CODE32_START, &(kernel.start as u32).to_le_bytes());
    params.put(at::CMD_LINE_PTR, &(COMMAND_LINE.0 as u32).to_le_bytes());
    if let Some((place, data)) = initrd {
        // Below 4 GiB, so both fit.
        params.put(at::RAMDISK_IMAGE, &(place.0 as u32).to_le_bytes());
        params.put(at::RAMDISK_SIZE, &(data.len() as u32).to_le_bytes());
    }
    params.put_map(&map);
    memory.write(BOOT_PARAMS, &params.0)?;
    Ok(entry::prepare(memory, Gpa(kernel.start), BOOT_PARAMS)?)
}

fn check_command_line(image: &Image<'_>, command_line: &str) -> Result<(), LoadError> {
    let bytes = command_line.len() as u64;
    let max_bytes = image.command_line_bytes.min(COMMAND_LINE_ROOM_BYTES - 1);
    if bytes > max_bytes {
        return Err(LoadError::CommandLineTooLong { bytes, max_bytes });
    }
    if command_line.contains('\0') {
        return Err(LoadError::CommandLineHasNul);
    }
    Ok(())
}

/// The pieces of RAM from 1 MiB up to `limit`.
fn free_pieces(map: &[Range], limit: u64) -> impl Iterator<Item = Span<u64>> {
    map.iter()
        .filter(|range| range.kind == RangeKind::Ram)
        .map(move |range| range.base.max(HIGH_MEMORY).0..(range.base.0 + range.bytes).min(limit))
        .filter(|piece| piece.start < piece.end)
}

fn largest(pieces: impl Iterator<Item = Span<u64>>) -> u64 {
    pieces
        .map(|piece| piece.end - piece.start)
        .max()
        .unwrap_or(0)
}

/// Where the kernel goes, with the room that it uses before it knows the memory map: where it wants to be, or else the
/// lowest place that it can be moved to.
fn place_kernel(image: &Image<'_>, map: &[Range]) -> Result<Span<u64>, LoadError> {
    let at_in = |start: u64, piece: &Span<u64>| {
        let end = start.checked_add(image.init_bytes)?;
        (start >= piece.start && end <= piece.end).then_some(start..end)
    };
    let low = || free_pieces(map, ABOVE_4G.0);
    let preferred = low().find_map(|piece| at_in(image.preferred, &piece));
    let moved = || {
        let alignment = image.alignment?;
        low().find_map(|piece| at_in(piece.start.checked_next_multiple_of(alignment)?, &piece))
    };
    preferred
        .or_else(moved)
        .ok_or_else(|| LoadError::KernelDoesNotFit {
            need_bytes: image.init_bytes,
            have_bytes: largest(low()),
            fixed: image.alignment.is_none().then_some(Gpa(image.preferred)),
        })
}

/// As high as the kernel allows, on a page, beside the kernel: there it is least in the way.
fn place_initrd(
    image: &Image<'_>,
    data: &[u8],
    map: &[Range],
    kernel: &Span<u64>,
) -> Result<Gpa, LoadError> {
    let bytes = data.len() as u64;
    let limit = image.initrd_max.saturating_add(1).min(ABOVE_4G.0);
    let pieces = || {
        free_pieces(map, limit).flat_map(|piece| {
            let below = piece.start..piece.end.min(kernel.start);
            let above = piece.start.max(kernel.end)..piece.end;
            [below, above]
                .into_iter()
                .filter(|part| part.start < part.end)
        })
    };
    pieces()
        .filter_map(|piece| {
            let start = piece.end.checked_sub(bytes)? & !(PAGE_BYTES - 1);
            (start >= piece.start).then_some(Gpa(start))
        })
        .max()
        .ok_or_else(|| LoadError::InitrdDoesNotFit {
            need_bytes: bytes,
            have_bytes: largest(pieces()),
        })
}

/// `struct boot_params` under construction.
struct BootParams([u8; at::BOOT_PARAMS_BYTES]);

impl BootParams {
    /// All zero but the setup header, which is the file's.
    fn new(image: &Image<'_>) -> Self {
        let mut params = Self([0; at::BOOT_PARAMS_BYTES]);
        params.put(at::SETUP_SECTS, image.header);
        params.put(at::VID_MODE, &at::VID_MODE_NORMAL.to_le_bytes());
        params.put(at::TYPE_OF_LOADER, &[at::LOADER_UNKNOWN]);
        params
    }

    /// Sets the bytes of a field; `offset` is one of the constants of [`at`], so they fit.
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        if let Some(field) = self.0.get_mut(offset..offset + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    }

    fn put_map(&mut self, map: &[Range]) {
        let map = &map[..map.len().min(at::E820_MAX_ENTRIES)];
        self.put(at::E820_ENTRIES, &[map.len() as u8]);
        for (index, range) in map.iter().enumerate() {
            let entry = at::E820_TABLE + index * at::E820_ENTRY_BYTES;
            self.put(entry, &range.base.0.to_le_bytes());
            self.put(entry + 8, &range.bytes.to_le_bytes());
            self.put(entry + 16, &(range.kind as u32).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::image::tests::{put, synthetic};
    use super::*;
    use crate::memory::memory_layout;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use std::string::ToString;

    const RSDP: Gpa = Gpa(0xe_0000);

    fn guest(memory_mib: u64) -> GuestMemory {
        GuestMemory::anonymous(&memory_layout(memory_mib))
    }

    fn param(memory: &GuestMemory, offset: usize) -> u32 {
        memory
            .load(BOOT_PARAMS.wrapping_add(offset as u64))
            .unwrap()
    }

    #[test]
    fn everything_is_where_the_boot_parameters_say() {
        let file = synthetic();
        let image = Image::parse(&file).unwrap();
        let memory = guest(32);
        // What was there before must not shine through.
        memory.fill(BOOT_PARAMS, 4096, 0xee).unwrap();
        let state = load(&image, Some(&[7; 5000]), "console=ttyS0", &memory, RSDP).unwrap();
        assert_eq!((state.rip, state.rsi), (0x100_0200, BOOT_PARAMS.0));

        let mut kernel = alloc::vec![0; 0x8000];
        memory.read(Gpa(0x100_0000), &mut kernel).unwrap();
        assert_eq!(kernel, file[1024..]);

        assert_eq!(param(&memory, at::MAGIC).to_le_bytes(), *at::MAGIC_VALUE);
        assert_eq!(param(&memory, at::TYPE_OF_LOADER) & 0xff, 0xff);
        assert_eq!(param(&memory, at::ACPI_RSDP_ADDR), RSDP.0 as u32);
        assert_eq!(param(&memory, at::RAMDISK_SIZE), 5000);
        assert_eq!(param(&memory, 0x1ec) >> 24, 0, "the sentinel");
        let initrd = param(&memory, at::RAMDISK_IMAGE);
        assert_eq!(u64::from(initrd), (32 << 20) - 8192);
        assert_eq!(memory.load(Gpa(initrd.into())), Ok([7_u8; 5000]));

        let line = param(&memory, at::CMD_LINE_PTR);
        assert_eq!(memory.load(Gpa(line.into())), Ok(*b"console=ttyS0\0"));

        assert_eq!(param(&memory, at::E820_ENTRIES) & 0xff, 4);
        let last = at::E820_TABLE + 3 * at::E820_ENTRY_BYTES;
        let entry = [0, 8, 16].map(|field| param(&memory, last + field));
        assert_eq!(entry, [0x10_0000, 31 << 20, 1]);
    }

    #[test]
    fn a_relocatable_kernel_moves_and_another_does_not() {
        let mut file = synthetic();
        let memory = guest(8);
        let image = Image::parse(&file).unwrap();
        let state = load(&image, None, "", &memory, RSDP).unwrap();
        assert_eq!(state.rip, 0x20_0200);
        put(&mut file, at::RELOCATABLE_KERNEL, &[0]);
        let image = Image::parse(&file).unwrap();
        let error = load(&image, None, "", &memory, RSDP)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("needs 1024 KiB") && error.contains("7168 KiB"),
            "{error}"
        );
        assert!(error.contains("0x1000000"), "{error}");
    }

    #[test]
    fn what_does_not_fit_says_by_how_much() {
        let file = synthetic();
        let image = Image::parse(&file).unwrap();
        let memory = guest(8);
        let line = "x".repeat(256);
        assert_eq!(
            load(&image, None, &line, &memory, RSDP)
                .unwrap_err()
                .to_string(),
            "the guest's command line has 256 bytes, its kernel takes 255"
        );
        let initrd = alloc::vec![0; 6 << 20];
        assert_eq!(
            load(&image, Some(&initrd), "", &memory, RSDP),
            Err(LoadError::InitrdDoesNotFit {
                need_bytes: 6 << 20,
                have_bytes: 5 << 20
            })
        );
        assert_eq!(
            load(&image, None, "a\0b", &memory, RSDP),
            Err(LoadError::CommandLineHasNul)
        );
    }

    proptest! {
        #[test]
        fn placed_parts_lie_in_ram_and_never_overlap(
            memory_mib in 2_u64..6000,
            preferred: u64,
            init_bytes: u32,
            shift in 0_u32..32,
            initrd_max: u32,
            initrd_pages in 1_usize..600,
        ) {
            let mut file = synthetic();
            put(&mut file, at::PREF_ADDRESS, &(preferred >> shift).to_le_bytes());
            put(&mut file, at::INIT_SIZE, &(init_bytes >> (shift / 2)).to_le_bytes());
            put(&mut file, at::INITRD_ADDR_MAX, &initrd_max.to_le_bytes());
            let image = Image::parse(&file).unwrap();
            let map: Vec<_> = memory_layout(memory_mib)
                .into_iter()
                .skip(1)
                .map(|(base, bytes)| Range { base, bytes, kind: RangeKind::Ram })
                .collect();
            let in_ram = |span: &Span<u64>| map.iter().any(|range| {
                span.start >= range.base.0.max(0x10_0000) && span.end <= range.base.0 + range.bytes
            });
            let Ok(kernel) = place_kernel(&image, &map) else { return Ok(()) };
            prop_assert!(in_ram(&kernel));
            let data = alloc::vec![0; initrd_pages * 4096 - 5];
            let Ok(Gpa(start)) = place_initrd(&image, &data, &map, &kernel) else { return Ok(()) };
            let initrd = start..start + data.len() as u64;
            prop_assert!(in_ram(&initrd) && initrd.end <= u64::from(initrd_max) + 1);
            prop_assert!(initrd.end <= kernel.start || initrd.start >= kernel.end);
        }
    }
}
