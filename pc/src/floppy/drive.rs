//! A drive and the medium in it.

use alloc::boxed::Box;
use hvm::backend::Block;

/// The shape of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Cylinders.
    pub tracks: u8,
    /// Sides.
    pub heads: u8,
    /// Sectors on each track of one side.
    pub sectors: u8,
    /// The data rate's code in the controller: 0 500 kbit/s, 1 300, 2 250, 3 1000.
    pub rate: u8,
}

const fn geometry(tracks: u8, heads: u8, sectors: u8, rate: u8) -> Geometry {
    Geometry {
        tracks,
        heads,
        sectors,
        rate,
    }
}

/// The usual formats, as PC drives read them: 5¼ inch ones in a 1.2 MB drive, 3½ inch ones in a 2.88 MB drive.
const FORMATS: [Geometry; 9] = [
    geometry(40, 1, 8, 1),
    geometry(40, 1, 9, 1),
    geometry(40, 2, 8, 1),
    geometry(40, 2, 9, 1),
    geometry(80, 2, 9, 2),
    geometry(80, 2, 15, 0),
    HIGH_DENSITY,
    geometry(80, 2, 21, 0),
    EXTRA_DENSITY,
];
const HIGH_DENSITY: Geometry = geometry(80, 2, 18, 0);
const EXTRA_DENSITY: Geometry = geometry(80, 2, 36, 3);

impl Geometry {
    /// The format of an image of `sectors` sectors. An odd size is taken as the start of a 1.44 MB medium, or of a 2.88 MB one
    /// if it is longer: what the image has not cannot be read.
    pub fn of(sectors: u64) -> Self {
        let exact = FORMATS
            .into_iter()
            .find(|format| format.capacity() == sectors);
        exact.unwrap_or(if sectors <= HIGH_DENSITY.capacity() {
            HIGH_DENSITY
        } else {
            EXTRA_DENSITY
        })
    }

    fn capacity(self) -> u64 {
        u64::from(self.tracks) * u64::from(self.heads) * u64::from(self.sectors)
    }

    /// The drive that reads it, by its number in CMOS byte 10h.
    pub fn drive_type(self) -> u8 {
        match (self.tracks, self.sectors) {
            (40, _) | (80, 15) => 2,
            (_, 36) => 5,
            _ => 4,
        }
    }
}

/// What is in a drive.
pub(super) struct Medium {
    pub(super) block: Box<dyn Block>,
    pub(super) geometry: Geometry,
}

/// A drive.
pub(super) struct Drive {
    pub(super) medium: Option<Medium>,
    /// Where the heads are.
    pub(super) track: u8,
    /// The disk change line: up from the change of a medium until the heads step with one in.
    pub(super) changed: bool,
    /// The next sector that passes the head, for READ ID.
    pub(super) passing: u8,
}

/// Steps that RECALIBRATE makes at most, and thus tracks that heads can be on.
const STEPS: u8 = 80;
/// Where the heads of a drive stop.
pub(super) const LAST_TRACK: u8 = 83;

impl Drive {
    pub(super) fn new() -> Self {
        Self {
            medium: None,
            track: 0,
            changed: true,
            passing: 0,
        }
    }

    /// Moves the heads; how far is up to the drive.
    pub(super) fn seek(&mut self, track: u8) {
        let track = track.min(LAST_TRACK);
        if track != self.track && self.medium.is_some() {
            self.changed = false;
        }
        self.track = track;
    }

    /// Moves the heads outwards. False if they had farther to go than the controller steps (data sheet, "Recalibrate").
    pub(super) fn recalibrate(&mut self) -> bool {
        self.seek(self.track.saturating_sub(STEPS));
        self.track == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_size() {
        let shape = |kib: u64| {
            let geometry = Geometry::of(kib * 2);
            (geometry.tracks, geometry.sectors, geometry.drive_type())
        };
        assert_eq!(shape(360), (40, 9, 2));
        assert_eq!(shape(720), (80, 9, 4));
        assert_eq!(shape(1200), (80, 15, 2));
        assert_eq!(shape(1440), (80, 18, 4));
        assert_eq!(shape(2880), (80, 36, 5));
        assert_eq!(shape(1000), (80, 18, 4), "truncated");
        assert_eq!(shape(9999), (80, 36, 5), "too long");
    }
}
