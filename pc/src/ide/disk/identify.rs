//! IDENTIFY DEVICE (ATA/ATAPI-6, 8.15).

use super::settings::Cache;
use super::{Disk, Geometry, MOST_MULTIPLE};
use crate::ide::identity::{BYTES, Identity, MEANINGFUL};

/// Word 0: a fixed disk.
const FIXED: u16 = 1 << 6;
/// Word 53: words 54 to 58 are valid too.
const VALID: u16 = 0b111;
/// Words 47 and 59.
const MULTIPLE_OFFERED: u16 = 0x80 << 8;
const MULTIPLE_VALID: u16 = 1 << 8;
/// Word 82: NOP, look-ahead, write cache, power management.
const NOP: u16 = 1 << 14;
const LOOK_AHEAD: u16 = 1 << 6;
const WRITE_CACHE: u16 = 1 << 5;
const POWER_MANAGEMENT: u16 = 1 << 3;
/// Word 83: FLUSH CACHE EXT, FLUSH CACHE, 48-bit addresses.
const FLUSH_EXT: u16 = 1 << 13;
const FLUSH: u16 = 1 << 12;
const LBA_48: u16 = 1 << 10;
/// Sectors that 28-bit commands reach.
pub(super) const LBA_28_SECTORS: u64 = (1 << 28) - 1;

/// The answer.
pub(super) fn identify(disk: &Disk) -> [u8; BYTES] {
    let total = disk.medium.sectors();
    let settings = &disk.settings;
    let mut identity = Identity::new("MONOVISOR HARDDISK", &disk.serial, settings.modes);
    identity.set(0, FIXED);
    let geometry = Geometry::DEFAULT;
    identity.set(1, geometry.cylinders(total));
    identity.set(3, u16::from(geometry.heads));
    identity.set(6, u16::from(geometry.sectors));
    identity.set(47, MULTIPLE_OFFERED | MOST_MULTIPLE as u16);
    identity.set(53, VALID);
    let current = settings.geometry;
    let cylinders = current.cylinders(total);
    identity.set(54, cylinders);
    identity.set(55, u16::from(current.heads));
    identity.set(56, u16::from(current.sectors));
    let tracks = u64::from(cylinders) * u64::from(current.heads);
    let reached = (tracks * u64::from(current.sectors)).min(total);
    identity.set_wide(57, 2, reached);
    if settings.multiple != 0 {
        identity.set(59, MULTIPLE_VALID | u16::from(settings.multiple));
    }
    identity.set_wide(60, 2, total.min(LBA_28_SECTORS));
    let cache = match settings.cache {
        Cache::WriteBack => WRITE_CACHE,
        Cache::WriteThrough => 0,
    };
    let sets = NOP | LOOK_AHEAD | POWER_MANAGEMENT;
    let more_sets = FLUSH_EXT | FLUSH | LBA_48;
    identity.set(82, sets | WRITE_CACHE);
    identity.set(83, MEANINGFUL | more_sets);
    identity.set(84, MEANINGFUL);
    identity.set(85, sets | cache);
    identity.set(86, more_sets);
    identity.set(87, MEANINGFUL);
    identity.set_wide(100, 4, total);
    identity.into_bytes()
}
