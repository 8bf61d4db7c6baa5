//! What of a screen has only moved: found by marks, and sent as rectangles to copy.

use super::history::UNKNOWN;
use super::region::TILE;
use super::shift::Finder;
use super::write;
use alloc::vec::Vec;
use heapless::Vec as Few;
use hvm::display::{Rect, Size};

/// Rectangles of an update at most; what more there would be is sent as pixels.
const MAX_MOVES: usize = 128;
/// Lines that have to be new where a rectangle is to go, for it to be shorter than they are.
const WORTH_LINES: usize = 4;

/// Lines that are elsewhere on the viewer's screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Move {
    x: u16,
    width: u16,
    from: u16,
    to: u16,
    height: u16,
}

impl Move {
    fn target(&self) -> Rect {
        Rect {
            x: self.x.into(),
            y: self.to.into(),
            width: self.width.into(),
            height: self.height.into(),
        }
    }

    /// Where it is due among others: what it copies must not have been written over. Those of a column all go the same way.
    fn order(&self) -> i32 {
        let to = i32::from(self.to);
        match self.from > self.to {
            true => to,
            false => -to,
        }
    }
}

/// Those of an update.
#[derive(Default)]
pub struct Moves(Few<Move, MAX_MOVES>);

impl Moves {
    /// Has what of a column moved copied, in `marks` as well: they are those of the viewer's screen, and `now` are those that it shall have.
    pub fn settle(
        &mut self,
        column: u32,
        size: Size,
        marks: &mut [u64],
        now: &[u64],
        finder: &mut Finder,
    ) {
        let Some(distance) = finder.find(marks, now) else {
            return;
        };
        let x = column * TILE;
        let part = Move {
            x: x as u16,
            width: TILE.min(size.width - x) as u16,
            from: 0,
            to: 0,
            height: 0,
        };
        let lines = marks.len();
        let source = |line: usize| {
            let from = line.checked_add_signed(-distance as isize);
            from.filter(|from| *from < lines)
        };
        let is_moved = |line: usize, marks: &[u64]| {
            source(line).is_some_and(|from| marks[from] == now[line] && now[line] != UNKNOWN)
        };
        // Against the motion, so that no line is written before it is read.
        let line_at = |step: usize| match distance < 0 {
            true => step,
            false => lines - 1 - step,
        };
        let mut step = 0;
        while step < lines {
            let (start, mut news) = (step, 0);
            // What is there already goes along: so neighbours have the same rectangles.
            while step < lines && is_moved(line_at(step), marks) {
                news += usize::from(marks[line_at(step)] != now[line_at(step)]);
                step += 1;
            }
            if news >= WORTH_LINES {
                let (to, height) = (line_at(start).min(line_at(step - 1)), step - start);
                let Some(from) = source(to) else {
                    return;
                };
                let is_added = self.add(Move {
                    from: from as u16,
                    to: to as u16,
                    height: height as u16,
                    ..part
                });
                if !is_added {
                    return;
                }
                marks.copy_within(from..from + height, to);
            }
            step += usize::from(step == start);
        }
    }

    /// Adds one, if there is room, to its neighbour's if that is alike.
    fn add(&mut self, new: Move) -> bool {
        let alike = self.0.iter_mut().find(|it| {
            (it.from, it.to, it.height) == (new.from, new.to, new.height)
                && it.x + it.width == new.x
        });
        match alike {
            Some(neighbour) => {
                neighbour.width += new.width;
                true
            }
            None => self.0.push(new).is_ok(),
        }
    }

    /// Appends them all; how many.
    pub fn put(&mut self, out: &mut Vec<u8>) -> usize {
        self.0.sort_unstable_by_key(Move::order);
        for it in &self.0 {
            write::copy((it.x, it.from), it.target(), out);
        }
        let count = self.0.len();
        self.0.clear();
        count
    }

    /// Gives them up, and tells where they were to go.
    pub fn take_back(&mut self, mut told: impl FnMut(Rect)) {
        self.0.iter().for_each(|it| told(it.target()));
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rfb::check::Bytes;
    use proptest::prelude::*;

    const COLUMNS: usize = 4;
    const LINES: usize = 120;

    proptest! {
        #[test]
        fn copies_in_order_give_the_marks_that_are_remembered(
            distances in prop::collection::vec(prop::sample::select(&[-16_i32, -16, -3, 5, 16][..]), COLUMNS),
            gaps in prop::collection::vec((0..COLUMNS, 0..LINES), 0..20),
        ) {
            let size = Size { width: COLUMNS as u32 * TILE - 5, height: LINES as u32 };
            let mut screen: Vec<Vec<u64>> = (0..COLUMNS)
                .map(|column| (0..LINES).map(|line| (1000 * column + line + 1) as u64).collect())
                .collect();
            let (mut finder, mut moves) = (Finder::new(), Moves::default());
            let mut marks = screen.clone();
            for (column, distance) in distances.iter().enumerate() {
                let mut now: Vec<_> = (0..LINES as i32)
                    .map(|line| match usize::try_from(line - distance) {
                        Ok(from) if from < LINES => screen[column][from],
                        _ => 9_000_000 + line as u64,
                    })
                    .collect();
                for (_, line) in gaps.iter().filter(|gap| gap.0 == column) {
                    now[*line] = 8_000_000 + *line as u64;
                }
                moves.settle(column as u32, size, &mut marks[column], &now, &mut finder);
            }
            let mut out = Vec::new();
            let count = moves.put(&mut out);
            let mut bytes = Bytes(&out);
            for _ in 0..count {
                let [x, to, width, height] = [0; 4].map(|_| usize::from(bytes.u16()));
                prop_assert_eq!(bytes.u32(), 1);
                let [from_x, from] = [0; 2].map(|_| usize::from(bytes.u16()));
                prop_assert_eq!(from_x, x);
                prop_assert!(x + width <= size.width as usize);
                for column in &mut screen[x / TILE as usize..(x + width).div_ceil(TILE as usize)] {
                    column.copy_within(from..from + height, to);
                }
            }
            prop_assert!(bytes.0.is_empty());
            prop_assert_eq!(screen, marks);
        }
    }

    #[test]
    fn neighbours_are_copied_together_and_no_more_than_there_is_room_for() {
        let size = Size {
            width: 64 * TILE,
            height: 2000,
        };
        let mut finder = Finder::new();
        let mut moves = Moves::default();
        let line = |at: u64| at + 1;
        for column in 0..10 {
            let mut marks: Vec<_> = (0..100).map(line).collect();
            let now: Vec<_> = (16..116).map(line).collect();
            moves.settle(column, size, &mut marks, &now, &mut finder);
            assert_eq!(marks[..84], now[..84]);
        }
        assert_eq!(moves.put(&mut Vec::new()), 1);
        for column in 0..4 {
            let mut marks: Vec<_> = (0..2000).map(|at| line(at + 5000 * column)).collect();
            // Each tenth line is another one.
            let now: Vec<_> = (0..2000)
                .map(|at| match at % 10 {
                    0 => 1_000_000 + at,
                    _ => line(at + 7 + 5000 * column),
                })
                .collect();
            moves.settle(column as u32, size, &mut marks, &now, &mut finder);
        }
        let mut out = Vec::new();
        assert_eq!(moves.put(&mut out), MAX_MOVES);
        assert_eq!(out.len(), MAX_MOVES * 16);
        assert_eq!(moves.put(&mut out), 0);
    }
}
