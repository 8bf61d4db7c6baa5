//! Which pages the guest writes, by what its CPU leaves in the tables.
//!
//! Two ways. Where the CPU keeps dirty bits, a page is *clean* once its bit was cleared, and the CPU sets the bit again at the
//! first write. Where it keeps none, a page is *protected*: its leaf loses the right to write, and the first write faults. A large
//! leaf says only that something in it was written, so tracking begins with a split into the smallest pages, and ends by joining
//! them again.

use super::{MapError, TableMemory, Tables};
use crate::format::{Entry, Format, Leaf, Level};
use guest_mem::{Gpa, Hpa};

/// What one leaf maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its first byte.
    pub gpa: Gpa,
    /// Its length.
    pub bytes: u64,
}

/// What became of a write fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// The piece was protected, and may be written from now on.
    First(Piece),
    /// The page may be written: the fault came from an older translation in the TLB.
    Stale,
    /// Nothing that the guest may write is mapped there.
    Refused,
}

/// Tables that tell what was written.
///
/// **The TLB.** A CPU that has a translation cached neither looks at the entry nor writes to it. After each of these calls the
/// translations that it touched must be dropped on every CPU that runs the guest, before guest code runs there again (AMD64 APM
/// vol. 2, 5.5.3 and 15.16; SDM vol. 3C, 29.4.3.4); and what was said to be written must be read only afterwards.
/// [`Tracked::admit`] needs that only when it says [`WriteFault::Stale`].
///
/// **Other CPUs.** [`Tracked::split`] and [`Tracked::join`] are for the time in which none runs the guest. All others may be called
/// while the guest runs elsewhere: they change entries atomically, so no bit that a CPU sets is lost.
pub trait Tracked {
    /// Replaces every leaf by leaves of 4 KiB that say the same. If there is not enough memory for the tables, it stays as it was.
    fn split(&mut self) -> Result<(), MapError>;

    /// Puts together what [`Tracked::split`] took apart, and lifts all protection.
    fn join(&mut self);

    /// Makes the leaf of `gpa` clean; what it maps, if it was dirty.
    fn clean(&mut self, gpa: Gpa) -> Option<Piece>;

    /// Makes every leaf clean, and tells those that were dirty.
    fn clean_all(&mut self, dirty: &mut dyn FnMut(Piece));

    /// Protects the leaf of `gpa`; what it maps, if it could be written before.
    fn protect(&mut self, gpa: Gpa) -> Option<Piece>;

    /// Protects every leaf that can be written.
    fn protect_all(&mut self);

    /// A write to `gpa` faulted: lifts the protection, if that was the reason.
    fn admit(&mut self, gpa: Gpa) -> WriteFault;
}

impl<M: TableMemory, F: Format> Tracked for Tables<M, F> {
    fn split(&mut self) -> Result<(), MapError> {
        let done = self.split_table(self.root, Level::Top);
        if done.is_err() {
            self.join();
        }
        done
    }

    fn join(&mut self) {
        self.join_table(self.root, Level::Top);
    }

    fn clean(&mut self, gpa: Gpa) -> Option<Piece> {
        let (table, index, piece) = self.leaf_of(gpa)?;
        self.change(table, index, cleaned::<F>).then_some(piece)
    }

    fn clean_all(&mut self, dirty: &mut dyn FnMut(Piece)) {
        self.change_leaves((self.root, Level::Top, 0), cleaned::<F>, dirty);
    }

    fn protect(&mut self, gpa: Gpa) -> Option<Piece> {
        let (table, index, piece) = self.leaf_of(gpa)?;
        self.change(table, index, protected::<F>).then_some(piece)
    }

    fn protect_all(&mut self) {
        self.change_leaves((self.root, Level::Top, 0), protected::<F>, &mut |_| ());
    }

    fn admit(&mut self, gpa: Gpa) -> WriteFault {
        let Some((table, index, piece)) = self.leaf_of(gpa) else {
            return WriteFault::Refused;
        };
        if self.change(table, index, lifted::<F>) {
            WriteFault::First(piece)
        } else if self.memory.read(table, index) & F::WRITE != 0 {
            WriteFault::Stale
        } else {
            WriteFault::Refused
        }
    }
}

/// A leaf that says nothing of writes.
fn cleaned<F: Format>(entry: u64) -> u64 {
    entry & !F::DIRTY
}

/// A leaf without the right to write; the mark says that it had it.
fn protected<F: Format>(entry: u64) -> u64 {
    match entry & F::WRITE {
        0 => entry,
        _ => entry & !F::WRITE | F::MARK,
    }
}

/// A leaf with the rights that it had before it was protected.
fn lifted<F: Format>(entry: u64) -> u64 {
    match entry & F::MARK {
        0 => entry,
        _ => entry & !F::MARK | F::WRITE,
    }
}

impl<M: TableMemory, F: Format> Tables<M, F> {
    /// Changes an entry, whatever a CPU sets in it meanwhile; false if there was nothing to change. A CPU sets accessed and dirty
    /// bits only, each once, so this ends.
    fn change(&mut self, table: Hpa, index: usize, change: fn(u64) -> u64) -> bool {
        let mut old = self.memory.read(table, index);
        while change(old) != old {
            let done = self.memory.compare_exchange(table, index, old, change(old));
            match done {
                Ok(()) => return true,
                Err(found) => old = found,
            }
        }
        false
    }

    /// The leaf that maps `gpa`: where it stands, and what it maps.
    fn leaf_of(&self, gpa: Gpa) -> Option<(Hpa, usize, Piece)> {
        let (level, table, index, entry) = self.walk(gpa.0);
        let piece = Piece {
            gpa: Gpa(gpa.0 & !level.offset_mask()),
            bytes: level.bytes(),
        };
        matches!(entry, Entry::Leaf(_)).then_some((table, index, piece))
    }

    /// Changes the leaves below a table of `level` that maps addresses from `base` on, in ascending order, and tells which changed.
    fn change_leaves(
        &mut self,
        (table, level, base): (Hpa, Level, u64),
        change: fn(u64) -> u64,
        changed: &mut dyn FnMut(Piece),
    ) {
        let bytes = level.bytes();
        for index in 0..512 {
            let gpa = base + index as u64 * bytes;
            let entry = F::decode(self.memory.read(table, index), level);
            match (entry, level.below()) {
                (Entry::Table(next), Some(below)) => {
                    self.change_leaves((next, below, gpa), change, changed);
                }
                (Entry::Leaf(_), _) if self.change(table, index, change) => {
                    let gpa = Gpa(gpa);
                    changed(Piece { gpa, bytes });
                }
                _ => {}
            }
        }
    }

    fn split_table(&mut self, table: Hpa, level: Level) -> Result<(), MapError> {
        let Some(below) = level.below() else {
            return Ok(());
        };
        for index in 0..512 {
            let entry = self.memory.read(table, index);
            let next = match F::decode(entry, level) {
                Entry::Empty => continue,
                Entry::Table(next) => next,
                Entry::Leaf(leaf) => {
                    let next = self.memory.allocate().ok_or(MapError::OutOfMemory)?;
                    self.fill(next, below, leaf, entry);
                    self.memory.write(table, index, F::table(next) | F::MARK);
                    next
                }
            };
            self.split_table(next, below)?;
        }
        Ok(())
    }

    /// Fills a table with leaves of `level` that say together what the entry `whole`, decoded as `leaf`, said.
    fn fill(&mut self, table: Hpa, level: Level, leaf: Leaf, whole: u64) {
        let state = F::WRITE | F::DIRTY | F::MARK;
        for index in 0..512 {
            let page = leaf.page.wrapping_add(index as u64 * level.bytes());
            let entry = F::leaf(Leaf { page, ..leaf }, level);
            self.memory
                .write(table, index, entry & !state | whole & state);
        }
    }

    fn join_table(&mut self, table: Hpa, level: Level) {
        for index in 0..512 {
            let entry = self.memory.read(table, index);
            match (F::decode(entry, level), level.below()) {
                (Entry::Table(next), Some(below)) => {
                    self.join_table(next, below);
                    if entry & F::MARK != 0 {
                        self.join_leaves((table, index, level), (next, below));
                    }
                }
                (Entry::Leaf(_), _) => self.memory.write(table, index, lifted::<F>(entry)),
                _ => {}
            }
        }
    }

    /// Puts one leaf in the place of a table that a split made. It is dirty if any of them is.
    fn join_leaves(
        &mut self,
        (table, index, level): (Hpa, usize, Level),
        (next, below): (Hpa, Level),
    ) {
        let Entry::Leaf(first) = F::decode(self.memory.read(next, 0), below) else {
            return;
        };
        let dirty = (0..512).fold(0, |bits, index| bits | self.memory.read(next, index)) & F::DIRTY;
        let entry = F::leaf(first, level) & !F::DIRTY | dirty;
        self.memory.write(table, index, entry);
        self.memory.release(next);
    }
}
