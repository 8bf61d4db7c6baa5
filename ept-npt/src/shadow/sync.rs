//! What the guest's flushes ask for: entries that the guest has changed meanwhile go, or follow.

use super::entry::{self, ADDRESS, PAGE_SIZE, Rights};
use super::role::{Meaning, Role, Side};
use super::{Host, Shadow, Store};
use crate::Rights as MapRights;
use guest_mem::{Gpa, Gva};

/// At how many flushes in a row a loose table must have been the same to be protected instead.
const QUIET: u8 = 2;

impl<S: Store> Shadow<S> {
    /// Tables that the hypervisor has written are loose.
    fn take_written(&mut self, host: &mut impl Host) {
        let mut written = [0; 8];
        loop {
            let mut count = 0;
            let mut more = false;
            if let Some(log) = host.memory().table_log() {
                log.take_written(&mut |page| match written.get_mut(count) {
                    Some(place) => {
                        *place = page;
                        count += 1;
                    }
                    None => more = true,
                });
            }
            for &page in written.iter().take(count) {
                self.loosen(page, host);
            }
            if more {
                self.loosen_all(host);
            }
            if count == 0 {
                return;
            }
        }
    }

    /// More tables were written at a time than are worth telling apart.
    #[cold]
    fn loosen_all(&mut self, host: &mut impl Host) {
        for table in 0..self.tables.len() {
            let known = &self.tables[table];
            let is_guests = known
                .role
                .is_some_and(|role| role.kind != super::Kind::Direct);
            if is_guests && !known.is_loose {
                self.loosen(known.frame, host);
            }
        }
    }

    /// Brings all loose tables up to date, and protects those that have not changed for some time.
    pub(super) fn sync(&mut self, host: &mut impl Host) {
        self.take_written(host);
        let mut protected = false;
        let mut at = 0;
        while let Some(&table) = self.loose.get(at) {
            let changed = self.compare(table, host);
            let known = &mut self.tables[table as usize];
            known.quiet = match changed {
                true => 0,
                false => known.quiet.saturating_add(1),
            };
            if known.is_useless() {
                self.loose.swap_remove(at);
                known.is_loose = false;
                self.release(table);
                continue;
            }
            let frame = known.frame;
            if known.count > 0 && known.quiet >= QUIET {
                protected |= self.protect(frame, host);
            }
            at += 1;
        }
        if protected {
            self.settle(host);
            self.tighten(host);
        }
    }

    /// Those of the loose tables that are protected now are compared once more, and are loose no longer.
    fn tighten(&mut self, host: &mut impl Host) {
        let mut at = 0;
        while let Some(&table) = self.loose.get(at) {
            if self.is_protected(self.tables[table as usize].frame, host) {
                self.compare(table, host);
                self.tables[table as usize].is_loose = false;
                self.loose.swap_remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Has every entry of a table allow no more than the guest's does now. True if one had to change.
    pub(super) fn compare(&mut self, table: u32, host: &mut impl Host) -> bool {
        let mut changed = false;
        for word in 0..8 {
            let mut bits = self.tables[table as usize].filled[word];
            while bits != 0 {
                changed |=
                    self.compare_entry(table, word * 64 + bits.trailing_zeros() as usize, host);
                bits &= bits - 1;
            }
        }
        changed
    }

    fn compare_entry(&mut self, table: u32, index: usize, host: &mut impl Host) -> bool {
        let known = &self.tables[table as usize];
        let Some(role) = known.role else { return false };
        let guests = role.load(host.memory(), known.frame, index);
        let old = self.read(table, index);
        match role.meaning(index, guests, role.reserved(self.beyond), Side::of(old)) {
            Meaning::Page { gpa, rights } => self.compare_page(table, index, (gpa, rights), host),
            Meaning::Large { gpa, rights } if old & PAGE_SIZE != 0 => {
                self.compare_page(table, index, (gpa, rights), host)
            }
            Meaning::Large { gpa, rights } => {
                let below = Role::direct(role.level - 1);
                self.compare_link(table, index, (below, gpa.0 >> 12, rights))
            }
            Meaning::Table {
                frame,
                role,
                rights,
            } => self.compare_link(table, index, (role, frame, rights)),
            Meaning::Absent => {
                self.remove(table, index);
                true
            }
        }
    }

    fn compare_page(
        &mut self,
        table: u32,
        index: usize,
        (gpa, rights): (Gpa, Rights),
        host: &mut impl Host,
    ) -> bool {
        let old = self.read(table, index);
        let mapping = self.translate(gpa, host);
        let Some(mapping) = mapping.filter(|mapping| mapping.hpa.0 & ADDRESS == old & ADDRESS)
        else {
            self.remove(table, index);
            return true;
        };
        // The right to write comes back with the next write.
        let kept = Rights::of(old).is_writable() && mapping.rights == MapRights::ReadWriteExecute;
        let rights = if kept { rights } else { rights.read_only() };
        if Rights::of(old) == rights {
            return false;
        }
        self.map(
            table,
            index,
            entry::page(mapping.hpa, rights) | old & PAGE_SIZE,
        );
        true
    }

    fn compare_link(
        &mut self,
        table: u32,
        index: usize,
        (role, frame, rights): (Role, u64, Rights),
    ) -> bool {
        let old = self.read(table, index);
        let child = self.child(table, old).filter(|&child| {
            let child = &self.tables[child as usize];
            child.role == Some(role) && child.frame == frame
        });
        match child {
            Some(_) if Rights::of(old) == rights => false,
            Some(child) => {
                self.lead(table, index, child, rights);
                true
            }
            None => {
                self.remove(table, index);
                true
            }
        }
    }

    /// INVLPG: what is known of pages with this address, and of all tables above the last, is up to date. Not only along the way that the
    /// address takes now: another one may lead to the same tables before the next flush.
    pub fn invalidate(&mut self, gva: Gva, host: &mut impl Host) {
        self.take_written(host);
        for at in 0..self.loose.len() {
            let Some(&table) = self.loose.get(at) else {
                break;
            };
            let known = &self.tables[table as usize];
            let index = Role::direct(1).index(gva.0);
            match known.role {
                Some(role) if role.level > 1 => {
                    self.compare(table, host);
                }
                _ if known.filled[index / 64] >> (index % 64) & 1 != 0 => {
                    self.compare_entry(table, index, host);
                }
                _ => {}
            }
        }
        self.own_exceeds = true;
    }
}
