//! Pages of the guest's that hold tables: protected from writes, or loose.

use super::entry::{PAGE_SIZE, Rights};
use super::pool::place;
use super::role::Role;
use super::{Host, Shadow, Store};

impl<S: Store> Shadow<S> {
    #[inline]
    pub(super) fn is_protected(&self, frame: u64, host: &impl Host) -> bool {
        let log = host.memory().table_log();
        log.is_some_and(|log| log.is_protected(frame))
    }

    /// Closes all ways by which vCPUs write a page, but for what TLBs remember ([`Shadow::settle`]). False if it cannot be.
    pub(super) fn protect(&mut self, frame: u64, host: &impl Host) -> bool {
        let Some(log) = host.memory().table_log() else {
            return false;
        };
        if !self.is_tracked(frame) || log.is_protected(frame) || !log.protect(frame) {
            return false;
        }
        self.counters.protections += 1;
        self.larges[frame as usize / 512].protected += 1;
        loop {
            let mut list = self.frames[frame as usize];
            let writer = self.links.pop(&mut list);
            self.frames[frame as usize] = list;
            let Some(writer) = writer else { break };
            self.strip(writer);
        }
        // What maps all around it goes, and comes back in small pages.
        loop {
            let mut list = self.larges[frame as usize / 512].writable;
            let writer = self.links.pop(&mut list);
            self.larges[frame as usize / 512].writable = list;
            let Some(writer) = writer else { break };
            let (table, index) = place(writer);
            self.remove(table, index);
        }
        if let Some(direct) = self.find(Role::direct(1), frame & !511) {
            let index = (frame & 511) as usize;
            let entry = self.read(direct, index);
            if entry & PAGE_SIZE == 0 && Rights::of(entry).is_writable() {
                self.strip(direct << 9 | index as u32);
            }
        }
        true
    }

    pub(super) fn unprotect(&mut self, frame: u64, host: &impl Host) {
        let Some(log) = host.memory().table_log() else {
            return;
        };
        if log.is_protected(frame) {
            log.release(frame);
            if let Some(large) = self.larges.get_mut(frame as usize / 512) {
                large.protected = large.protected.saturating_sub(1);
            }
        }
    }

    /// A protected page was written, or is about to be. Its tables are loose from now on; or no more, if nothing leads to them.
    pub(super) fn loosen(&mut self, frame: u64, host: &mut impl Host) {
        self.counters.table_writes += 1;
        let is_useless = self
            .shadows(frame)
            .all(|table| self.tables[table as usize].is_orphan());
        self.unprotect(frame, host);
        loop {
            // The chain changes below.
            let next = self
                .shadows(frame)
                .find(|&table| is_useless || !self.tables[table as usize].is_loose);
            let Some(table) = next else { return };
            if is_useless {
                self.release(table);
            } else {
                let known = &mut self.tables[table as usize];
                known.is_loose = true;
                known.quiet = 0;
                self.loose.push(table);
            }
        }
    }
}
