//! El Torito: what a CD boots ("El Torito" Bootable CD-ROM Format Specification 1.0).
//!
//! Bytes apart from meaning: the functions here read sectors that the caller fetched, and check every number against
//! the medium before they give it out.

use core::fmt;

/// Bytes in a sector of a CD.
pub const CD_SECTOR_BYTES: usize = 2048;
/// Where the boot record is (2.0).
pub const BOOT_RECORD_SECTOR: u32 = 17;

/// Bytes of a catalog's entry (2.0).
pub const ENTRY_BYTES: usize = 32;

/// Sectors of 512 bytes in one of a CD.
const VIRTUAL: u64 = 4;

/// What the boot image is taken for (2.3, "boot media type").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// The image is a program.
    NoEmulation,
    /// A diskette of 1.2, 1.44 or 2.88 MB.
    Diskette {
        /// Its sectors of 512 bytes.
        sectors: u16,
    },
    /// A hard disk with one partition.
    Disk,
}

/// A boot image that lies on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// The catalog's sector.
    pub catalog: u32,
    /// What it is taken for.
    pub media: Media,
    /// Its byte in the catalog, which the specification packet shows.
    pub media_byte: u8,
    /// Segment to load it to.
    pub segment: u16,
    /// Sectors of 512 bytes to load.
    pub count: u16,
    /// Its first sector, of 2048 bytes.
    pub start: u32,
}

/// Why a CD does not boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotBootable {
    /// No boot record: a CD with data only.
    NoRecord,
    /// The catalog lies behind the end of the medium.
    CatalogOutside { sector: u32 },
    /// The catalog does not begin with a valid validation entry.
    BadCatalog { sector: u32 },
    /// No entry is marked bootable for PCs.
    NoEntry,
    /// A media type that the specification does not know.
    UnknownMedia { media: u8 },
    /// The image lies behind the end of the medium, or is cut off by it.
    ImageOutside { sector: u32 },
    /// The load segment reaches into what is no RAM of the first 640 KiB.
    BadSegment { segment: u16 },
}

impl fmt::Display for NotBootable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecord => f.write_str("it has no boot record"),
            Self::CatalogOutside { sector } => {
                write!(f, "its boot catalog is at sector {sector}, behind its end")
            }
            Self::BadCatalog { sector } => {
                write!(f, "the boot catalog at sector {sector} is damaged")
            }
            Self::NoEntry => f.write_str("its boot catalog has no bootable entry for a PC"),
            Self::UnknownMedia { media } => write!(f, "its boot medium type is {media}, unknown"),
            Self::ImageOutside { sector } => write!(
                f,
                "its boot image at sector {sector} reaches behind its end: the image is truncated"
            ),
            Self::BadSegment { segment } => {
                write!(f, "its boot image does not fit at segment {segment:04x}h")
            }
        }
    }
}

/// The catalog's sector, from the boot record volume descriptor at [`BOOT_RECORD_SECTOR`].
pub fn catalog_sector(
    record: &[u8; CD_SECTOR_BYTES],
    medium_sectors: u64,
) -> Result<u32, NotBootable> {
    const IDENTIFIER: &[u8] = b"\0CD001\x01EL TORITO SPECIFICATION";
    const CATALOG: usize = 0x47;
    if !record.starts_with(IDENTIFIER) {
        return Err(NotBootable::NoRecord);
    }
    let sector = dword(record, CATALOG);
    if u64::from(sector) >= medium_sectors / VIRTUAL {
        return Err(NotBootable::CatalogOutside { sector });
    }
    Ok(sector)
}

/// The image that the catalog names first for a PC. `medium_sectors` are of 512 bytes.
pub fn image(
    catalog: &[u8; CD_SECTOR_BYTES],
    sector: u32,
    medium_sectors: u64,
) -> Result<Image, NotBootable> {
    const PLATFORM_X86: u8 = 0;
    const BOOTABLE: u8 = 0x88;
    const HEADER: u8 = 0x90;
    const LAST_HEADER: u8 = 0x91;
    let (validation, entries) = catalog.split_at(ENTRY_BYTES);
    if !is_valid(validation) {
        return Err(NotBootable::BadCatalog { sector });
    }
    let mut platform = validation[1];
    let (entries, _) = entries.as_chunks::<ENTRY_BYTES>();
    for (index, entry) in entries.iter().enumerate() {
        match entry[0] {
            BOOTABLE if platform == PLATFORM_X86 => {
                return read_entry(entry, sector, medium_sectors);
            }
            HEADER | LAST_HEADER => platform = entry[1],
            // The first entry is always there; behind it, an empty one ends the catalog.
            0 if index > 0 && entry.iter().all(|&byte| byte == 0) => break,
            _ => {}
        }
    }
    Err(NotBootable::NoEntry)
}

/// Header ID 1, key bytes, and words that add up to zero (2.1).
fn is_valid(entry: &[u8]) -> bool {
    let sum = entry.chunks_exact(2).fold(0_u16, |sum, word| {
        sum.wrapping_add(u16::from_le_bytes([word[0], word[1]]))
    });
    entry[0] == 1 && entry[30..32] == [0x55, 0xaa] && sum == 0
}

/// The image that an entry of the catalog describes, whoever wrote it.
pub fn read_entry(
    entry: &[u8; ENTRY_BYTES],
    catalog: u32,
    medium_sectors: u64,
) -> Result<Image, NotBootable> {
    const MEDIA: u8 = 0x0f;
    const DEFAULT_SEGMENT: u16 = 0x7c0;
    /// First paragraph that is not free for a boot image: the EBDA.
    const END: u64 = 0x9_fc00;
    let media = match entry[1] & MEDIA {
        0 => Media::NoEmulation,
        1 => Media::Diskette { sectors: 2400 },
        2 => Media::Diskette { sectors: 2880 },
        3 => Media::Diskette { sectors: 5760 },
        4 => Media::Disk,
        media => return Err(NotBootable::UnknownMedia { media }),
    };
    let segment = match u16::from_le_bytes([entry[2], entry[3]]) {
        0 => DEFAULT_SEGMENT,
        segment => segment,
    };
    // Emulated drives load their boot sector; a program without length is taken to be one sector of the CD.
    let count = match (media, u16::from_le_bytes([entry[6], entry[7]])) {
        (Media::NoEmulation, 0) => VIRTUAL as u16,
        (_, 0) => 1,
        (_, count) => count,
    };
    let start = dword(entry, 8);
    let present = medium_sectors.saturating_sub(u64::from(start) * VIRTUAL);
    if present < u64::from(count) {
        return Err(NotBootable::ImageOutside { sector: start });
    }
    let (base, bytes) = (u64::from(segment) * 16, u64::from(count) * 512);
    if base < 0x600 || base + bytes > END {
        return Err(NotBootable::BadSegment { segment });
    }
    Ok(Image {
        catalog,
        media,
        media_byte: entry[1],
        segment,
        count,
        start,
    })
}

fn dword(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |&dword| u32::from_le_bytes(dword))
}
