//! The guest's ROMs: where their memory is, and where they show.

use super::memory::backing;
use crate::mem::{PAGE_BYTES, frames, phys_to_virt};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use guest_bios::platform::{ABOVE_4G, HIGH_MEMORY};
use guest_bios::user::{Flash, Image};
use guest_bios::{bios, rom};
use guest_mem::{Area, Attributes, Backing, Gpa, Hpa};
use pc::pci::{ShadowRam, shadow_segments};

/// What is in the ROM sockets of the guest's board.
pub enum Roms {
    /// Nothing: a kernel is started directly.
    Empty,
    /// Monovisor's own BIOS, which lies in the shadow RAM.
    Builtin,
    /// A user's own firmware.
    User(Loaded),
}

/// A user's own firmware in host memory.
pub struct Loaded {
    code: Hpa,
    code_bytes: u64,
    /// Place, memory and length of the flash part with variables.
    flash: Option<(Gpa, Hpa, u64)>,
}

/// At most so much of the code shows below 1 MiB, as the chipset decodes it there (82371SB data sheet, "XBCS": extended BIOS).
const LEGACY_BYTES: u64 = 0x2_0000;

impl Roms {
    /// Puts an image into host memory, for good.
    pub fn load(image: &Image<'_>) -> Result<Self, String> {
        let code = copy(image.code())?;
        let flash = match image.flash() {
            Some(Flash { base, contents }) => Some((base, copy(contents)?, contents.len() as u64)),
            None => None,
        };
        Ok(Self::User(Loaded {
            code,
            code_bytes: image.code().len() as u64,
            flash,
        }))
    }

    /// How the chipset's shadow RAM is after reset.
    pub fn shadow_ram(&self) -> ShadowRam {
        match self {
            // The BIOS protects itself at the end of POST.
            Self::Empty | Self::Builtin => ShadowRam::Open,
            Self::User(_) => ShadowRam::Closed,
        }
    }

    /// The areas of guest memory: shadow segments, whose RAM `shadow` finds, and what shows at the top of the first 4 GiB.
    pub fn areas(&self, shadow: impl Fn(Gpa) -> Option<Backing>) -> Vec<Area> {
        let mut areas: Vec<_> = shadow_segments()
            .map(|(gpa, bytes)| {
                let rom = self.behind_segment(gpa);
                Area::new((gpa, bytes), shadow(gpa), rom, Attributes::RAM)
            })
            .collect();
        match self {
            Self::Empty => {}
            Self::Builtin => areas.push(Area::new(
                (bios::RESET_ALIAS, rom::BYTES as u64),
                None,
                shadow(bios::ROM_SEGMENT),
                Attributes::ROM,
            )),
            Self::User(loaded) => areas.extend(loaded.top()),
        }
        areas
    }

    /// The ROM that shows in a segment below 1 MiB.
    fn behind_segment(&self, gpa: Gpa) -> Option<Backing> {
        let Self::User(loaded) = self else {
            return None;
        };
        let from_end = HIGH_MEMORY.0.checked_sub(gpa.0)?;
        let shown = from_end <= LEGACY_BYTES.min(loaded.code_bytes);
        shown.then(|| backing(Hpa(loaded.code.0 + loaded.code_bytes - from_end)))
    }
}

impl Loaded {
    fn top(&self) -> impl Iterator<Item = Area> {
        let flash = self.flash.map(|(gpa, hpa, bytes)| {
            Area::new((gpa, bytes), None, Some(backing(hpa)), Attributes::FLASH)
        });
        let code = Area::new(
            (Gpa(ABOVE_4G.0 - self.code_bytes), self.code_bytes),
            None,
            Some(backing(self.code)),
            Attributes::ROM,
        );
        flash.into_iter().chain([code])
    }
}

/// Host memory with a copy of whole pages.
fn copy(bytes: &[u8]) -> Result<Hpa, String> {
    let range = frames::alloc_contiguous(bytes.len() as u64, PAGE_BYTES).ok_or_else(|| {
        format!(
            "no host memory left for {} KiB of firmware",
            bytes.len() / 1024
        )
    })?;
    let hpa = Hpa(range.base);
    // SAFETY: the range was just taken from the frame allocator for good, is mapped writable and as long, and nobody else knows it.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), phys_to_virt(hpa), bytes.len()) };
    Ok(hpa)
}
