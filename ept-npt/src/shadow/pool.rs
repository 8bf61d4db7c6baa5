//! Shadow tables: where they are found, where new ones come from, and which have to go for them.

use super::entry::{self, ACCESSED, ADDRESS, PAGE_SIZE, PRESENT, Rights};
use super::links::{Head, Slot};
use super::role::{Kind, Role};
use super::{Host, Shadow, Store};
use guest_mem::Hpa;

/// No table.
pub const NO_TABLE: u32 = u32::MAX;
/// How many tables go at a time, because others' TLBs must be flushed for it.
const BATCH: usize = 16;

/// What is known of a table.
pub struct Table {
    /// None while it is free.
    pub role: Option<Role>,
    /// The guest's page that it shadows.
    pub frame: u64,
    /// The next one in the same bucket.
    next: u32,
    /// Entries that lead to it.
    parents: Head,
    /// Which entries are not zero.
    pub filled: [u64; 8],
    pub count: u16,
    /// How many vCPUs start their walks here.
    pub users: u16,
    /// The guest may write the table that it shadows.
    pub is_loose: bool,
    /// At how many flushes in a row nothing had changed.
    pub quiet: u8,
    /// It was used since the hand last came by.
    is_used: bool,
}

impl Table {
    pub const FREE: Self = Self {
        role: None,
        frame: 0,
        next: NO_TABLE,
        parents: Head::EMPTY,
        filled: [0; 8],
        count: 0,
        users: 0,
        is_loose: false,
        quiet: 0,
        is_used: false,
    };

    pub const fn is_free(&self) -> bool {
        self.role.is_none()
    }

    /// No vCPU can come here, as things are.
    pub const fn is_orphan(&self) -> bool {
        self.parents.is_empty() && self.users == 0
    }

    /// No vCPU will, either. The top of an address space that no vCPU uses waits for the next one that does.
    pub fn is_useless(&self) -> bool {
        self.is_orphan() && (self.count == 0 || !self.role.is_some_and(Role::is_top))
    }
}

/// The table that an entry lies in, and its number there.
pub const fn place(slot: Slot) -> (u32, usize) {
    (slot >> 9, (slot & 511) as usize)
}

const fn slot(table: u32, index: usize) -> Slot {
    table << 9 | index as u32
}

impl<S: Store> Shadow<S> {
    pub(super) fn hpa(&self, table: u32) -> Hpa {
        self.store.base().wrapping_add(u64::from(table) << 12)
    }

    #[inline]
    pub(super) fn read(&self, table: u32, index: usize) -> u64 {
        self.store.read(slot(table, index))
    }

    fn write(&mut self, table: u32, index: usize, entry: u64) {
        self.store.write(slot(table, index), entry);
        let known = &mut self.tables[table as usize];
        let (word, bit) = (index / 64, 1 << (index % 64));
        let was = known.filled[word] & bit != 0;
        match (was, entry != 0) {
            (false, true) => {
                known.filled[word] |= bit;
                known.count += 1;
            }
            (true, false) => {
                known.filled[word] &= !bit;
                known.count -= 1;
            }
            _ => {}
        }
    }

    fn bucket(&self, frame: u64) -> usize {
        (frame.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & (self.buckets.len() - 1)
    }

    /// The tables that shadow a page of the guest's.
    pub(super) fn shadows(&self, frame: u64) -> impl Iterator<Item = u32> {
        let mut at = self.buckets[self.bucket(frame)];
        core::iter::from_fn(move || {
            while let Some(table) = self.tables.get(at as usize) {
                let found = at;
                at = table.next;
                if table.frame == frame && table.role.is_some_and(|role| role.kind != Kind::Direct)
                {
                    return Some(found);
                }
            }
            None
        })
    }

    pub(super) fn find(&self, role: Role, frame: u64) -> Option<u32> {
        let mut at = self.buckets[self.bucket(frame)];
        while let Some(table) = self.tables.get(at as usize) {
            if table.frame == frame && table.role == Some(role) {
                return Some(at);
            }
            at = table.next;
        }
        None
    }

    /// The table of that role, new if need be, with nothing in it that is no longer so. `None` if all are in use at this very moment.
    pub(super) fn obtain(&mut self, role: Role, frame: u64, host: &mut impl Host) -> Option<u32> {
        if let Some(table) = self.find(role, frame) {
            self.tables[table as usize].is_used = true;
            if self.tables[table as usize].is_loose {
                // It may not have been reachable when its entries changed.
                self.compare(table, host);
            }
            return Some(table);
        }
        let table = self.allocate(host)?;
        let bucket = self.bucket(frame);
        let is_loose = role.kind != Kind::Direct && !self.is_protected(frame, host);
        self.tables[table as usize] = Table {
            role: Some(role),
            frame,
            next: core::mem::replace(&mut self.buckets[bucket], table),
            is_loose,
            is_used: true,
            ..Table::FREE
        };
        if is_loose {
            self.loose.push(table);
        }
        self.counters.peak_tables = self.counters.peak_tables.max(self.tables_in_use());
        Some(table)
    }

    fn allocate(&mut self, host: &mut impl Host) -> Option<u32> {
        if let Some(table) = self.free.pop() {
            return Some(table);
        }
        if self.limbo.is_empty() {
            self.evict(host);
        }
        self.settle(host);
        self.free.append(&mut self.limbo);
        self.free.pop()
    }

    /// Frees a few tables that have not been used lately: a hand goes round, and what was used since it last came by is spared once.
    fn evict(&mut self, host: &mut impl Host) {
        let count = self.tables.len() as u32;
        for step in 0..3 * count {
            let table = self.hand;
            self.hand = (self.hand + 1) % count;
            let known = &self.tables[table as usize];
            if known.is_free() || known.users != 0 || self.path.contains(&table) {
                continue;
            }
            // The third time round nothing is spared: CPUs may use all of them all the time.
            if self.take_use(table) && step < 2 * count {
                continue;
            }
            self.counters.evictions += 1;
            self.free_table(table, host);
            if self.limbo.len() >= BATCH {
                return;
            }
        }
    }

    /// True if the table was used since this was last asked.
    fn take_use(&mut self, table: u32) -> bool {
        let known = &mut self.tables[table as usize];
        let mut used = core::mem::take(&mut known.is_used);
        for parent in self.links.slots(known.parents) {
            let entry = self.store.read(parent);
            if entry & ACCESSED != 0 {
                used = true;
                self.store.write(parent, entry & !ACCESSED);
            }
        }
        used
    }

    /// Takes a table out, with all ways that lead to it.
    pub(super) fn free_table(&mut self, table: u32, host: &mut impl Host) {
        let (frame, is_loose) = (
            self.tables[table as usize].frame,
            self.tables[table as usize].is_loose,
        );
        let is_direct = self.tables[table as usize]
            .role
            .is_none_or(|role| role.kind == Kind::Direct);
        self.release(table);
        if !is_direct && !is_loose && self.shadows(frame).next().is_none() {
            self.unprotect(frame, host);
        }
    }

    /// The same, without a look at the protection of the page that it shadowed.
    pub(super) fn release(&mut self, table: u32) {
        self.empty(table);
        loop {
            let mut parents = self.tables[table as usize].parents;
            let parent = self.links.pop(&mut parents);
            self.tables[table as usize].parents = parents;
            let Some(parent) = parent else { break };
            let (above, index) = place(parent);
            self.write(above, index, 0);
            self.exceed();
        }
        let bucket = self.bucket(self.tables[table as usize].frame);
        let next = self.tables[table as usize].next;
        if self.buckets[bucket] == table {
            self.buckets[bucket] = next;
        } else {
            let mut at = self.buckets[bucket];
            while let Some(before) = self.tables.get_mut(at as usize) {
                if before.next == table {
                    before.next = next;
                    break;
                }
                at = before.next;
            }
        }
        if self.tables[table as usize].is_loose {
            self.loose.retain(|&loose| loose != table);
        }
        self.tables[table as usize] = Table::FREE;
        self.limbo.push(table);
    }

    /// Removes all entries of a table.
    pub(super) fn empty(&mut self, table: u32) {
        for word in 0..8 {
            let mut bits = self.tables[table as usize].filled[word];
            while bits != 0 {
                self.remove(table, word * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, table: u32, index: usize) {
        let old = self.read(table, index);
        if old == 0 {
            return;
        }
        self.unlink(table, index, old);
        self.write(table, index, 0);
        self.exceed();
    }

    /// What an entry of this table maps or leads to, if it is a table.
    pub(super) fn child(&self, table: u32, entry: u64) -> Option<u32> {
        let level = self.tables[table as usize].role?.level;
        if entry & PRESENT == 0 || level == 1 || entry & PAGE_SIZE != 0 {
            return None;
        }
        Some(self.table_at(entry))
    }

    /// The table that an entry which leads to one leads to.
    #[inline]
    pub(super) fn table_at(&self, entry: u64) -> u32 {
        ((entry & ADDRESS).wrapping_sub(self.store.base().0) >> 12) as u32
    }

    fn unlink(&mut self, table: u32, index: usize, old: u64) {
        let at = slot(table, index);
        if let Some(child) = self.child(table, old) {
            let child = &mut self.tables[child as usize];
            self.links.remove(&mut child.parents, at);
        } else if Rights::of(old).is_writable()
            && let Some(head) = self.writers(table, old)
        {
            let mut list = *head;
            self.links.remove(&mut list, at);
            if let Some(head) = self.writers(table, old) {
                *head = list;
            }
        }
    }

    /// The list of the page that an entry maps. Entries of direct tables of the last level are found without.
    fn writers(&mut self, table: u32, entry: u64) -> Option<&mut Head> {
        let role = self.tables[table as usize].role?;
        if role.level == 1 && role.kind == Kind::Direct {
            return None;
        }
        let frame = self.guest_frame(Hpa(entry & ADDRESS))?;
        if role.level == 1 {
            self.frames.get_mut(frame)
        } else {
            self.larges
                .get_mut(frame / 512)
                .map(|large| &mut large.writable)
        }
    }

    /// Has an entry lead to a table.
    pub(super) fn lead(&mut self, table: u32, index: usize, child: u32, rights: Rights) {
        let old = self.read(table, index);
        if self.child(table, old) == Some(child) {
            let before = Rights::of(old);
            if before != rights {
                self.write(
                    table,
                    index,
                    entry::table(self.hpa(child), rights) | old & ACCESSED,
                );
                if before.exceed(rights) {
                    self.exceed();
                }
            }
            return;
        }
        self.remove(table, index);
        let mut parents = self.tables[child as usize].parents;
        let left = self.links.add(&mut parents, slot(table, index));
        self.tables[child as usize].parents = parents;
        if let Some(left) = left {
            let (above, index) = place(left);
            self.write(above, index, 0);
            self.exceed();
        }
        self.write(table, index, entry::table(self.hpa(child), rights));
    }

    /// Has an empty entry of the last level map a page of RAM, as `new` says. The same as [`Self::map`], and quicker.
    #[inline]
    pub(super) fn enter(&mut self, table: u32, index: usize, new: u64, frame: u64) {
        let Some(known) = self.tables.get_mut(table as usize) else {
            return;
        };
        known.filled[index / 64 % 8] |= 1 << (index % 64);
        known.count += 1;
        let is_direct = known.role.is_none_or(|role| role.kind == Kind::Direct);
        self.store.write(slot(table, index), new);
        if Rights::of(new).is_writable()
            && !is_direct
            && let Some(head) = self.frames.get_mut(frame as usize)
            && let Some(left) = self.links.add(head, slot(table, index))
        {
            self.strip(left);
        }
    }

    /// Has an entry map a page, as `new` says.
    pub(super) fn map(&mut self, table: u32, index: usize, new: u64) {
        let old = self.read(table, index);
        if old == new {
            return;
        }
        let (before, after) = (Rights::of(old), Rights::of(new));
        let same = (old ^ new) & (ADDRESS | PAGE_SIZE) == 0 && old & PRESENT != 0;
        if !same {
            self.remove(table, index);
        } else if before.exceed(after) {
            self.exceed();
        }
        let at = slot(table, index);
        match (same && before.is_writable(), after.is_writable()) {
            (true, false) => self.unlink(table, index, old),
            (false, true) => {
                let left = self.writers(table, new).map(|head| *head).map(|mut list| {
                    let left = self.links.add(&mut list, at);
                    (list, left)
                });
                if let Some((list, left)) = left {
                    if let Some(head) = self.writers(table, new) {
                        *head = list;
                    }
                    if let Some(left) = left {
                        self.strip(left);
                    }
                }
            }
            _ => {}
        }
        self.write(table, index, new);
    }

    /// Takes the right to write from an entry whose link is gone already.
    pub(super) fn strip(&mut self, at: Slot) {
        let (table, index) = place(at);
        let old = self.store.read(at);
        if Rights::of(old).is_writable() {
            self.write(table, index, old & !entry::WRITE);
            self.exceed();
        }
    }
}
