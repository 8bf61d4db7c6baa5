//! What of a screen a viewer has not seen: for each tile of 64 × 64 pixels, the rectangle that covers it.

use alloc::vec::Vec;
use hvm::display::{Rect, Size};

/// Pixels of a tile's side, which are ZRLE's.
pub const TILE: u32 = 64;
/// The largest screen that is shown; more is cut off.
pub const MAX_SIZE: Size = Size {
    width: 3840,
    height: 2176,
};
/// Tiles of that.
pub const MAX_TILES: usize = (MAX_SIZE.width / TILE * (MAX_SIZE.height / TILE)) as usize;

/// A part of a tile, from its upper left corner; without extent, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Part {
    left: u8,
    top: u8,
    right: u8,
    bottom: u8,
}

/// A region. Its memory is there from the start.
pub struct Region {
    size: Size,
    columns: u32,
    parts: Vec<Part>,
    /// Tiles with something in them.
    count: usize,
}

impl Region {
    /// Nothing of no screen.
    pub fn new() -> Self {
        Self {
            size: Size::default(),
            columns: 0,
            parts: Vec::with_capacity(MAX_TILES),
            count: 0,
        }
    }

    /// Nothing of a screen of this size, up to [`MAX_SIZE`].
    pub fn resize(&mut self, size: Size) {
        self.size = Size {
            width: size.width.min(MAX_SIZE.width),
            height: size.height.min(MAX_SIZE.height),
        };
        self.columns = self.size.width.div_ceil(TILE);
        let rows = self.size.height.div_ceil(TILE);
        self.parts.clear();
        self.parts
            .resize((self.columns * rows) as usize, Part::default());
        self.count = 0;
    }

    /// Adds what of a rectangle is on the screen.
    pub fn add(&mut self, rect: Rect) {
        let right = rect.x.saturating_add(rect.width).min(self.size.width);
        let bottom = rect.y.saturating_add(rect.height).min(self.size.height);
        if rect.x >= right || rect.y >= bottom {
            return;
        }
        for row in rect.y / TILE..bottom.div_ceil(TILE) {
            for column in rect.x / TILE..right.div_ceil(TILE) {
                let (x, y) = (column * TILE, row * TILE);
                // All within a tile, and so within a byte.
                self.add_part(
                    (row * self.columns + column) as usize,
                    Part {
                        left: rect.x.saturating_sub(x) as u8,
                        top: rect.y.saturating_sub(y) as u8,
                        right: (right - x).min(TILE) as u8,
                        bottom: (bottom - y).min(TILE) as u8,
                    },
                );
            }
        }
    }

    fn add_part(&mut self, tile: usize, new: Part) {
        let Some(part) = self.parts.get_mut(tile) else {
            return;
        };
        if part.right == 0 {
            *part = new;
            self.count += 1;
            return;
        }
        *part = Part {
            left: part.left.min(new.left),
            top: part.top.min(new.top),
            right: part.right.max(new.right),
            bottom: part.bottom.max(new.bottom),
        };
    }

    /// Moves what touches `within` to `other`, which is of the same size; how many tiles that were.
    pub fn drain_to(&mut self, within: Rect, other: &mut Self) -> usize {
        let mut moved = 0;
        for tile in 0..self.parts.len() {
            let rect = self.rect(tile);
            let part = self.parts[tile];
            let touches = part.right != 0
                && rect.x < within.x.saturating_add(within.width)
                && within.x < rect.x + rect.width
                && rect.y < within.y.saturating_add(within.height)
                && within.y < rect.y + rect.height;
            if touches {
                self.parts[tile] = Part::default();
                self.count -= 1;
                other.add_part(tile, part);
                moved += 1;
            }
        }
        moved
    }

    /// Takes the first rectangle from tile `from` on, and tells the tile behind it.
    pub fn take(&mut self, from: usize) -> Option<(Rect, usize)> {
        let parts = self.parts.get(from..)?;
        let tile = from + parts.iter().position(|part| part.right != 0)?;
        let rect = self.rect(tile);
        self.parts[tile] = Part::default();
        self.count -= 1;
        Some((rect, tile + 1))
    }

    /// Tiles with something in them.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Rows of tiles.
    pub fn rows(&self) -> u32 {
        self.size.height.div_ceil(TILE)
    }

    /// Makes all rectangles as wide as their tiles.
    pub fn widen(&mut self) {
        let columns = self.columns.max(1) as usize;
        for (tile, part) in self.parts.iter_mut().enumerate() {
            if part.right != 0 {
                let x = (tile % columns) as u32 * TILE;
                (part.left, part.right) = (0, (self.size.width - x).min(TILE) as u8);
            }
        }
    }

    /// What there is in a tile.
    pub fn part(&self, column: u32, row: u32) -> Rect {
        self.rect((row * self.columns + column) as usize)
    }

    /// Leaves out a rectangle's first and last lines, up to one that `is_wanted`.
    pub fn trim(&mut self, column: u32, row: u32, is_wanted: impl Fn(u32) -> bool) {
        let tile = (row * self.columns + column) as usize;
        let Rect { y, height, .. } = self.rect(tile);
        let mut lines = y..y + height;
        if lines.is_empty() {
            return;
        }
        let top = lines.find(|line| is_wanted(*line));
        let Some(top) = top else {
            self.parts[tile] = Part::default();
            self.count -= 1;
            return;
        };
        let bottom = lines.rfind(|line| is_wanted(*line)).unwrap_or(top) + 1;
        let part = &mut self.parts[tile];
        (part.top, part.bottom) = ((top - row * TILE) as u8, (bottom - row * TILE) as u8);
    }

    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        self.parts.capacity() * size_of::<Part>()
    }

    fn rect(&self, tile: usize) -> Rect {
        let part = self.parts[tile];
        let (column, row) = (
            tile as u32 % self.columns.max(1),
            tile as u32 / self.columns.max(1),
        );
        Rect {
            x: column * TILE + u32::from(part.left),
            y: row * TILE + u32::from(part.top),
            width: u32::from(part.right.saturating_sub(part.left)),
            height: u32::from(part.bottom.saturating_sub(part.top)),
        }
    }
}

impl Default for Region {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTH: u32 = 200;
    const HEIGHT: u32 = 150;

    fn rect() -> impl Strategy<Value = Rect> {
        (0..260_u32, 0..200_u32, 0..260_u32, 0..200_u32).prop_map(|(x, y, width, height)| Rect {
            x,
            y,
            width,
            height,
        })
    }

    proptest! {
        #[test]
        fn what_was_added_comes_out_once(rects in prop::collection::vec(rect(), 0..6), within in rect()) {
            let (mut region, mut sent) = (Region::new(), Region::new());
            let size = Size { width: WIDTH, height: HEIGHT };
            region.resize(size);
            sent.resize(size);
            rects.iter().for_each(|rect| region.add(*rect));
            let moved = region.drain_to(within, &mut sent);
            let mut covered = std::vec![0_u8; (WIDTH * HEIGHT) as usize];
            let mut count = 0;
            for region in [&mut sent, &mut region] {
                let mut next = 0;
                while let Some((rect, behind)) = region.take(next) {
                    prop_assert!(rect.width > 0 && rect.height > 0);
                    prop_assert!(rect.x + rect.width <= WIDTH && rect.y + rect.height <= HEIGHT);
                    for y in rect.y..rect.y + rect.height {
                        for x in rect.x..rect.x + rect.width {
                            covered[(y * WIDTH + x) as usize] += 1;
                        }
                    }
                    next = behind;
                    count += 1;
                }
                prop_assert_eq!(region.count, 0);
            }
            prop_assert!(count >= moved);
            prop_assert!(covered.iter().all(|times| *times <= 1));
            for rect in rects {
                for y in rect.y..(rect.y + rect.height).min(HEIGHT) {
                    for x in rect.x..(rect.x + rect.width).min(WIDTH) {
                        prop_assert_eq!(covered[(y * WIDTH + x) as usize], 1);
                    }
                }
            }
        }
    }

    #[test]
    fn parts_are_widened_and_trimmed() {
        let mut region = Region::new();
        region.resize(Size {
            width: 100,
            height: 100,
        });
        let rect = |x, y, width, height| Rect {
            x,
            y,
            width,
            height,
        };
        region.add(rect(3, 10, 70, 60));
        region.widen();
        assert_eq!(region.part(0, 0), rect(0, 10, 64, 54));
        assert_eq!(region.part(1, 1), rect(64, 64, 36, 6));
        region.trim(0, 0, |line| matches!(line, 5 | 20 | 40 | 70));
        assert_eq!(region.part(0, 0), rect(0, 20, 64, 21));
        region.trim(1, 1, |line| line == 66);
        assert_eq!(region.part(1, 1), rect(64, 66, 36, 1));
        assert_eq!(region.count(), 4);
        region.trim(0, 1, |_| false);
        region.trim(0, 1, |_| true);
        assert_eq!((region.count(), region.part(0, 1).height), (3, 0));
        assert_eq!(region.rows(), 2);
    }

    #[test]
    fn the_largest_screen_fits() {
        let mut region = Region::new();
        let size = Size {
            width: 1 << 16,
            height: 1 << 16,
        };
        region.resize(size);
        region.add(size.whole());
        assert_eq!(region.size, MAX_SIZE);
        assert_eq!(region.count, MAX_TILES);
        assert_eq!(region.parts.capacity(), MAX_TILES);
    }
}
