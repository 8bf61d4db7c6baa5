//! Cylinders, heads and sectors.

/// A drive's shape as INT 13h tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub cylinders: u16,
    pub heads: u16,
    /// Sectors of a track, numbered from 1.
    pub sectors: u8,
}

/// An address in a shape, as it stands in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chs {
    pub cylinder: u16,
    pub head: u8,
    pub sector: u8,
}

/// INT 13h names cylinders with ten bits.
const MAX_CYLINDERS: u16 = 1024;

impl Geometry {
    /// The shape of a diskette of that many sectors, and its type as CMOS and function 08h number it.
    pub fn of_diskette(sectors: u64) -> (Self, u8) {
        let (cylinders, heads, per_track, kind) = match sectors {
            0..=320 => (40, 1, 8, 1),
            321..=360 => (40, 1, 9, 1),
            361..=640 => (40, 2, 8, 1),
            641..=720 => (40, 2, 9, 1),
            721..=1440 => (80, 2, 9, 3),
            1441..=2400 => (80, 2, 15, 2),
            2401..=2880 => (80, 2, 18, 4),
            2881..=3360 => (80, 2, 21, 4),
            _ => (80, 2, 36, 5),
        };
        let shape = Self {
            cylinders,
            heads,
            sectors: per_track,
        };
        (shape, kind)
    }

    /// The shape of a disk: the one that its partition table was written with, if all its entries agree on one, or else
    /// the usual one for its size (63 sectors; 16 heads, doubled up to 255 until ten bits of cylinder suffice).
    pub fn of_disk(sectors: u64, boot_sector: &[u8; 512]) -> Self {
        let (heads, per_track) = from_partitions(sectors, boot_sector).unwrap_or_else(|| {
            let fits = |heads: u64| sectors <= 63 * heads * u64::from(MAX_CYLINDERS);
            let heads = [16, 32, 64, 128].into_iter().find(|&heads| fits(heads));
            (heads.unwrap_or(255) as u16, 63)
        });
        Self::with(sectors, heads, per_track)
    }

    /// The shape by which a drive of that many sectors is addressed itself: 16 heads, 63 sectors, and at most as many cylinders as an
    /// identity tells (ATA/ATAPI-6, 6.2).
    pub fn of_drive(sectors: u64) -> Self {
        const MOST_CYLINDERS: u64 = 16_383;
        const HEADS: u16 = 16;
        const PER_TRACK: u8 = 63;
        let cylinders = sectors / (u64::from(HEADS) * u64::from(PER_TRACK));
        Self {
            cylinders: cylinders.clamp(1, MOST_CYLINDERS) as u16,
            heads: HEADS,
            sectors: PER_TRACK,
        }
    }

    /// The shape with those heads and sectors that holds no more than the medium.
    pub fn with(sectors: u64, heads: u16, per_track: u8) -> Self {
        let cylinder = u64::from(heads) * u64::from(per_track);
        let cylinders = sectors.checked_div(cylinder).unwrap_or(0);
        Self {
            cylinders: cylinders.clamp(1, MAX_CYLINDERS.into()) as u16,
            heads,
            sectors: per_track,
        }
    }

    /// The sector's number, if the shape has it.
    pub fn sector(&self, at: Chs) -> Option<u64> {
        let inside = at.cylinder < self.cylinders
            && u16::from(at.head) < self.heads
            && (1..=self.sectors).contains(&at.sector);
        let track = u64::from(at.cylinder) * u64::from(self.heads) + u64::from(at.head);
        inside.then(|| track * u64::from(self.sectors) + u64::from(at.sector) - 1)
    }
}

impl Chs {
    /// From CX and DH: the sector in the low six bits of CL, above them the cylinder's bits 9:8.
    pub fn from_registers(cx: u16, dh: u8) -> Self {
        let [cl, ch] = cx.to_le_bytes();
        Self {
            cylinder: u16::from(ch) | u16::from(cl & 0xc0) << 2,
            head: dh,
            sector: cl & 0x3f,
        }
    }

    /// CX for this address.
    pub fn cx(&self) -> u16 {
        let low = self.sector & 0x3f | (self.cylinder >> 2 & 0xc0) as u8;
        u16::from_le_bytes([low, self.cylinder as u8])
    }
}

/// Heads and sectors of a track, from the ends of the partitions: they end at the end of a cylinder.
fn from_partitions(sectors: u64, boot_sector: &[u8; 512]) -> Option<(u16, u8)> {
    const TABLE: usize = 446;
    const ENTRY_BYTES: usize = 16;
    const KIND: usize = 4;
    const END_HEAD: usize = 5;
    const END_SECTOR: usize = 6;
    if boot_sector[510..] != [0x55, 0xaa] {
        return None;
    }
    let mut shape = None;
    for entry in boot_sector[TABLE..510].chunks_exact(ENTRY_BYTES) {
        if entry[KIND] == 0 {
            continue;
        }
        let this = (u16::from(entry[END_HEAD]) + 1, entry[END_SECTOR] & 0x3f);
        if this.1 == 0 || shape.is_some_and(|shape| shape != this) {
            return None;
        }
        shape = Some(this);
    }
    // A shape whose cylinders do not fit ten bits was not this disk's, unless it is the largest that there is.
    shape.filter(|&(heads, per_track)| {
        let cylinder = u64::from(heads) * u64::from(per_track);
        heads >= 255 || (heads >= 2 && sectors <= cylinder * u64::from(MAX_CYLINDERS))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn diskettes_have_their_standard_shapes() {
        let shape = |sectors| {
            let (shape, kind) = Geometry::of_diskette(sectors);
            (shape.cylinders, shape.heads, shape.sectors, kind)
        };
        assert_eq!(shape(720), (40, 2, 9, 1));
        assert_eq!(shape(1440), (80, 2, 9, 3));
        assert_eq!(shape(2400), (80, 2, 15, 2));
        assert_eq!(shape(2880), (80, 2, 18, 4));
        assert_eq!(shape(5760), (80, 2, 36, 5));
    }

    #[test]
    fn a_partition_table_decides_and_otherwise_the_size() {
        let mut sector = [0; 512];
        let mib = |mib: u64| mib * 2048;
        let heads = |sectors, sector: &[u8; 512]| Geometry::of_disk(sectors, sector).heads;
        assert_eq!(heads(mib(100), &sector), 16);
        assert_eq!(heads(mib(600), &sector), 32);
        assert_eq!(heads(mib(1 << 20), &sector), 255);
        sector[446 + 4..446 + 7].copy_from_slice(&[0x83, 63, 32]);
        assert_eq!(heads(mib(100), &sector), 16, "no signature");
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(
            Geometry::of_disk(mib(100), &sector),
            Geometry {
                cylinders: 100,
                heads: 64,
                sectors: 32
            }
        );
        sector[462 + 4..462 + 7].copy_from_slice(&[0x83, 254, 63]);
        assert_eq!(heads(mib(100), &sector), 16, "entries that disagree");
    }

    #[test]
    fn registers_hold_ten_bits_of_cylinder() {
        let at = Chs {
            cylinder: 0x3a5,
            head: 7,
            sector: 0x2f,
        };
        assert_eq!(at.cx(), 0xa5ef);
        assert_eq!(Chs::from_registers(0xa5ef, 7), at);
    }

    proptest! {
        #[test]
        fn every_address_inside_is_a_sector_of_the_disk(
            sectors in 63_u64 * 16..1 << 40,
            table in proptest::array::uniform32(any::<u8>()),
            cx: u16,
            dh: u8,
        ) {
            let mut sector = [0; 512];
            sector[446..478].copy_from_slice(&table);
            sector[510..].copy_from_slice(&[0x55, 0xaa]);
            let shape = Geometry::of_disk(sectors, &sector);
            if let Some(number) = shape.sector(Chs::from_registers(cx, dh)) {
                prop_assert!(number < sectors.max(u64::from(shape.heads) * u64::from(shape.sectors)));
            }
        }
    }
}
