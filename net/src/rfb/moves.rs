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

    /// Where they go.
    pub fn targets(&self) -> impl Iterator<Item = Rect> {
        self.0.iter().map(Move::target)
    }
}
