//! What a viewer's screen holds, as it was told: not the pixels, but for each column of tiles and each line a mark that follows from them.
//!
//! Marks are compared instead of pixels. They are sums of the pixels, each multiplied by a secret number of 64 bits: whatever two different
//! lines a guest draws without knowing the numbers, they have the same mark once in 2⁴¹ times at most, and by chance once in 2⁶⁴.

use super::region::TILE;
use alloc::vec::Vec;
use hvm::display::{Rect, Size};

/// Marks of a viewer: enough for 1920 × 1080 and for 1600 × 1200.
pub const MARKS: usize = 1 << 15;
/// The mark of a line that is not known.
pub const UNKNOWN: u64 = 0;

/// The secret numbers, one for each pixel of a tile's line.
pub struct Keys([u64; TILE as usize]);

impl Keys {
    /// Those that follow from a number that nobody can foresee.
    pub fn new(mut seed: u64) -> Self {
        // Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014).
        Self(core::array::from_fn(|_| {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        }))
    }

    /// The mark of a tile's line.
    pub fn mark(&self, line: &[u32]) -> u64 {
        let products = line.iter().zip(&self.0);
        let sum = products.fold(0_u64, |sum, (pixel, key)| {
            sum.wrapping_add(u64::from(*pixel).wrapping_mul(*key))
        });
        // A black line's would be that of nothing.
        sum.max(1)
    }
}

/// A viewer's.
pub struct History {
    size: Size,
    /// Column by column; empty if the screen is too large.
    marks: Vec<u64>,
}

impl History {
    /// Of no screen. Its memory is there from the start.
    pub fn new() -> Self {
        Self {
            size: Size::default(),
            marks: Vec::with_capacity(MARKS),
        }
    }

    /// Nothing is known of a screen of this size.
    pub fn resize(&mut self, size: Size) {
        self.size = size;
        self.marks.clear();
        let count = (size.width.div_ceil(TILE) * size.height) as usize;
        if count <= MARKS {
            self.marks.resize(count, UNKNOWN);
        }
    }

    /// Nothing is known any more.
    pub fn forget(&mut self) {
        self.marks.fill(UNKNOWN);
    }

    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.marks.capacity() * size_of::<u64>()
    }

    /// Columns that are kept.
    pub fn columns(&self) -> u32 {
        match self.marks.is_empty() {
            true => 0,
            false => self.size.width.div_ceil(TILE),
        }
    }

    /// The marks of a column, a line each.
    pub fn column(&mut self, column: u32) -> &mut [u64] {
        let lines = self.size.height as usize;
        let start = column as usize * lines;
        self.marks.get_mut(start..start + lines).unwrap_or_default()
    }

    /// These pixels of a tile were sent. Of lines that were sent in part nothing is known.
    pub fn note(&mut self, rect: Rect, pixels: &[u32], keys: &Keys) {
        let end = self.size.width.min((rect.x / TILE + 1) * TILE);
        let is_whole = rect.x.is_multiple_of(TILE) && rect.x + rect.width == end;
        let lines = pixels.chunks(rect.width.max(1) as usize);
        let marks = self.column(rect.x / TILE).iter_mut();
        for (mark, line) in marks.skip(rect.y as usize).zip(lines) {
            *mark = match is_whole {
                true => keys.mark(line),
                false => UNKNOWN,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_sent_in_part_are_unknown() {
        let keys = Keys::new(1);
        let mut history = History::new();
        history.resize(Size {
            width: 100,
            height: 8,
        });
        let rect = |x, width, y| Rect {
            x,
            y,
            width,
            height: 2,
        };
        history.note(rect(0, 64, 2), &[0; 128], &keys);
        history.note(rect(64, 36, 0), &[7; 72], &keys);
        assert_eq!(history.column(0), [0, 0, 1, 1, 0, 0, 0, 0]);
        let mark = keys.mark(&[7; 36]);
        assert_eq!(history.column(1)[..3], [mark, mark, 0]);
        history.note(rect(3, 4, 3), &[0; 8], &keys);
        assert_eq!(history.column(0), [0, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(history.columns(), 2);
        history.forget();
        assert_eq!(history.column(1), [0; 8]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut history = History::new();
        for (width, height, columns) in [(1920, 1080, 30), (1600, 1200, 25), (3840, 2176, 0)] {
            history.resize(Size { width, height });
            assert_eq!(history.columns(), columns);
            assert_eq!(history.column(99), []);
            assert_eq!(history.marks.capacity(), MARKS);
        }
    }

    #[test]
    fn a_pixel_makes_another_mark() {
        let keys = Keys::new(2);
        let mut line = [0_u32; TILE as usize];
        let mut seen = std::collections::BTreeSet::new();
        for at in 0..line.len() {
            for bit in 0..24 {
                line[at] ^= 1 << bit;
                assert!(seen.insert(keys.mark(&line)));
                line[at] = 0;
            }
        }
    }
}
