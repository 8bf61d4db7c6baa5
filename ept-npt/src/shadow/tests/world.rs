//! Around the shadow: its tables, the guest's memory and the map of it.

use super::*;

#[derive(Clone)]
pub(super) struct Frames(pub(super) Rc<RefCell<Vec<u64>>>);

impl Frames {
    pub(super) fn new(tables: u32) -> Self {
        Self(Rc::new(RefCell::new(std::vec![0; tables as usize * 512])))
    }

    pub(super) fn at(&self, hpa: u64) -> u64 {
        self.0.borrow()[((hpa - STORE_AT) / 8) as usize]
    }
}

impl Store for Frames {
    fn base(&self) -> Hpa {
        Hpa(STORE_AT)
    }

    fn read(&self, slot: Slot) -> u64 {
        self.0.borrow()[slot as usize]
    }

    fn write(&mut self, slot: Slot, entry: u64) {
        self.0.borrow_mut()[slot as usize] = entry;
    }
}

/// What a TLB knows of a page.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) hpa: u64,
    pub(super) write: bool,
    pub(super) user: bool,
    pub(super) execute: bool,
}

pub(super) type Tlb = BTreeMap<u64, Known>;

pub(super) struct World {
    pub(super) memory: GuestMemory,
    pub(super) tlbs: Vec<Tlb>,
    pub(super) at_work: usize,
    pub(super) has_rom: bool,
    pub(super) random: Random,
    pub(super) now: u64,
    /// Values that entries had until some moment.
    pub(super) history: BTreeMap<u64, Vec<(u64, u64)>>,
}

impl World {
    /// Writes an entry, as a device does, or a vCPU that has a way to it.
    pub(super) fn write(&mut self, at: u64, value: u64) {
        self.write_at(at, value, self.now);
    }

    /// The same after what the step at hand may have flushed.
    pub(super) fn write_late(&mut self, at: u64, value: u64) {
        self.write_at(at, value, self.now + 1);
    }

    pub(super) fn write_at(&mut self, at: u64, value: u64, until: u64) {
        let before: u64 = self.memory.load(Gpa(at)).unwrap();
        self.history.entry(at).or_default().push((until, before));
        self.memory.store(Gpa(at), &value).unwrap();
    }
}

impl Host for World {
    fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    fn translate(&mut self, gpa: Gpa) -> Option<Mapping> {
        let memory_type = MemoryType::WriteBack;
        match gpa.0 {
            // The first piece is in small pages.
            at if at < RAM => Some(Mapping {
                hpa: Hpa(RAM_AT + at),
                level: if at < 2 << 20 {
                    Level::Page
                } else {
                    Level::Large
                },
                rights: MapRights::ReadWriteExecute,
                memory_type,
            }),
            at if self.has_rom && at & !0xfff == ROM => Some(Mapping {
                hpa: Hpa(RAM_AT + at),
                level: Level::Page,
                rights: MapRights::ReadExecute,
                memory_type,
            }),
            _ => None,
        }
    }

    fn flush_others(&mut self) {
        for index in (0..self.tlbs.len()).filter(|&index| index != self.at_work) {
            let tlb = core::mem::take(&mut self.tlbs[index]);
            // At the last moment the guest may still write where its TLB knows a way.
            let tables = tlb.values().filter(|known| known.write);
            let table = tables
                .map(|known| known.hpa - RAM_AT)
                .find(|gpa| gpa >> 12 < TABLES);
            if let Some(table) = table {
                let at = table & !0xfff | self.random.slot();
                let before: u64 = self.memory.load(Gpa(at)).unwrap();
                // Who flushes at this moment began before.
                let until = self.now + 1;
                self.history.entry(at).or_default().push((until, before));
                let value = self.random.entry();
                // Nobody is told.
                let log = self.memory.table_log().unwrap();
                let was = log.is_protected(table >> 12);
                log.release(table >> 12);
                self.memory.store(Gpa(at), &value).unwrap();
                if was {
                    log.protect(table >> 12);
                }
            }
        }
    }
}
