//! Cylinders, heads and sectors (ATA/ATAPI-5, annex B, and INITIALIZE DEVICE PARAMETERS).

use crate::ide::taskfile::Address;
use serde::{Deserialize, Serialize};

/// Heads and sectors on a track that every PC's firmware expects of a drive of any size.
const HEADS: u8 = 16;
const SECTORS: u8 = 63;
/// Cylinders that a drive may show, so that 28-bit software sees 8.4 GB.
const MOST_CYLINDERS: u64 = 16383;

/// How CHS addresses are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Geometry {
    pub(super) heads: u8,
    pub(super) sectors: u8,
}

impl Geometry {
    pub(super) const DEFAULT: Self = Self {
        heads: HEADS,
        sectors: SECTORS,
    };

    /// From the device and count registers; `None` if a track would be empty.
    pub(super) fn from_registers(last_head: u8, sectors: u8) -> Option<Self> {
        (sectors != 0).then_some(Self {
            heads: last_head + 1,
            sectors,
        })
    }

    fn cylinder_sectors(self) -> u64 {
        u64::from(self.heads) * u64::from(self.sectors)
    }

    /// Whole cylinders on a medium, but at least one, and no more than the standard lets a drive show.
    pub(super) fn cylinders(self, medium_sectors: u64) -> u16 {
        let whole = medium_sectors / self.cylinder_sectors().max(1);
        whole.clamp(1, MOST_CYLINDERS) as u16
    }

    /// The block at a CHS address; `None` if there is no such head or sector.
    pub(super) fn block(self, cylinder: u16, head: u8, sector: u8) -> Option<u64> {
        let exists = head < self.heads && (1..=self.sectors).contains(&sector);
        exists.then(|| {
            (u64::from(cylinder) * u64::from(self.heads) + u64::from(head))
                * u64::from(self.sectors)
                + u64::from(sector - 1)
        })
    }

    /// The CHS address of a block; cylinders past the last one that can be written wrap.
    pub(super) fn address(self, block: u64) -> Address {
        let sectors = u64::from(self.sectors.max(1));
        let heads = u64::from(self.heads.max(1));
        Address::Chs {
            cylinder: (block / sectors / heads) as u16,
            head: (block / sectors % heads) as u8,
            sector: (block % sectors) as u8 + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back() {
        let geometry = Geometry::DEFAULT;
        for block in [0, 62, 63, 1007, 1008, 1_000_000] {
            let Address::Chs {
                cylinder,
                head,
                sector,
            } = geometry.address(block)
            else {
                panic!("a geometry gives CHS addresses");
            };
            assert_eq!(geometry.block(cylinder, head, sector), Some(block));
        }
        assert_eq!(geometry.block(0, 16, 1), None);
        assert_eq!(geometry.block(0, 0, 0), None);
        assert_eq!(geometry.block(0, 0, 64), None);
        assert_eq!(Geometry::from_registers(15, 0), None);
    }

    #[test]
    fn cylinders_have_bounds() {
        assert_eq!(Geometry::DEFAULT.cylinders(0), 1);
        assert_eq!(Geometry::DEFAULT.cylinders(2015), 1);
        assert_eq!(Geometry::DEFAULT.cylinders(2016), 2);
        assert_eq!(Geometry::DEFAULT.cylinders(u64::MAX), 16383);
    }
}
