//! RAM, and memory for tables that nothing may lead out of.

use ept_npt::shadow::{Host, Slot, Store};
use ept_npt::{Level, Mapping, MemoryType, Rights};
use guest_mem::{Gpa, GuestMemory, Hpa};
use std::cell::RefCell;
use std::rc::Rc;

pub const RAM_BYTES: u64 = 4 << 20;
pub const RAM_AT: u64 = 1 << 32;
pub const STORE_AT: u64 = 1 << 40;
pub const VCPUS: usize = 2;
pub const PHYSICAL_BITS: u8 = 40;

pub fn memory() -> GuestMemory {
    let memory = GuestMemory::anonymous_at(&[(Gpa(0), RAM_BYTES, Hpa(RAM_AT))]);
    memory.table_log().expect("there is memory for the log");
    memory
}

#[derive(Clone)]
pub struct Pages(Rc<RefCell<Vec<u64>>>);

impl Pages {
    pub fn new(tables: u32) -> Self {
        Self(Rc::new(RefCell::new(vec![0; tables as usize * 512])))
    }
}

impl Store for Pages {
    fn base(&self) -> Hpa {
        Hpa(STORE_AT)
    }

    fn read(&self, slot: Slot) -> u64 {
        self.0.borrow()[slot as usize]
    }

    fn write(&mut self, slot: Slot, entry: u64) {
        // Whatever the guest does, the CPU finds RAM of the guest's, or a table.
        let at = entry & 0xf_ffff_ffff_f000;
        let is_table = (STORE_AT..STORE_AT + self.0.borrow().len() as u64 * 8).contains(&at);
        let is_ram = (RAM_AT..RAM_AT + RAM_BYTES).contains(&at);
        assert!(entry == 0 || is_table || is_ram, "entry {entry:#x}");
        self.0.borrow_mut()[slot as usize] = entry;
    }
}

pub struct World<'a>(pub &'a GuestMemory);

impl Host for World<'_> {
    fn memory(&self) -> &GuestMemory {
        self.0
    }

    fn translate(&mut self, gpa: Gpa) -> Option<Mapping> {
        (gpa.0 < RAM_BYTES).then(|| Mapping {
            hpa: Hpa(RAM_AT + gpa.0),
            level: Level::Large,
            rights: Rights::ReadWriteExecute,
            memory_type: MemoryType::WriteBack,
        })
    }

    fn flush_others(&mut self) {}
}
