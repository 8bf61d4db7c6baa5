//! Guest tables that are wrong on purpose, or change while they are walked: each gives what a CPU gives, and nothing else is reached.

#[path = "guest/world.rs"]
mod world;

use ept_npt::shadow::{Budget, Root, Shadow, Store, Verdict};
use guest_mem::{Gpa, GuestMemory, Gva};
use hvm::regs::{Cr0, Cr4, Efer, State};
use hvm::walk::{Access, Paging, Privilege};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use world::{PHYSICAL_BITS, Pages, RAM_AT, RAM_BYTES, STORE_AT, VCPUS, World};

/// Present, writable, CPL 3's.
const OPEN: u64 = 7;
/// A page whose entry is reserved or broken: the error code's bits for "present" and "reserved".
const RESERVED: u32 = 9;
const READ: Access = Access::read(Privilege::Supervisor);
const WRITE: Access = Access::write(Privilege::Supervisor);
/// The top-level table.
const TOP: u64 = 0x1000;

/// A guest with four levels of tables, and its shadow.
struct Machine<'a> {
    memory: &'a GuestMemory,
    shadow: Shadow<Pages>,
    pages: Pages,
    paging: Paging,
    root: Root,
}

impl<'a> Machine<'a> {
    fn new(memory: &'a GuestMemory) -> Self {
        let least = Budget::least_mib(RAM_BYTES >> 20, VCPUS);
        let budget = Budget::divide(least, memory, VCPUS).expect("the least is enough");
        let pages = Pages::new(budget.tables());
        let shadow = Shadow::new(pages.clone(), &budget, memory, VCPUS, PHYSICAL_BITS);
        let mut machine = Self {
            memory,
            shadow,
            pages,
            paging: Paging::of(&State::reset(), PHYSICAL_BITS),
            root: Root::Pae([0; 4]),
        };
        machine.load_cr3(TOP);
        machine
    }

    /// Sets an entry of a table.
    fn set(&self, table: u64, index: u64, entry: u64) {
        let at = Gpa(table + 8 * index);
        self.memory.store(at, &entry).expect("tables are in RAM");
    }

    /// Tables at 1000h, 2000h, 3000h and 4000h, each behind the other's first entry.
    fn chain(self) -> Self {
        for table in [TOP, 0x2000, 0x3000] {
            self.set(table, 0, (table + 0x1000) | OPEN);
        }
        self
    }

    fn load_cr3(&mut self, cr3: u64) {
        let mut state = State::reset();
        state.cr0 = (Cr0::PE | Cr0::PG | Cr0::WP).bits();
        state.cr4 = Cr4::PAE.bits();
        state.efer = (Efer::LME | Efer::LMA).bits();
        state.cr3 = cr3;
        self.paging = Paging::of(&state, PHYSICAL_BITS);
        self.root = self
            .shadow
            .activate(0, &self.paging, &mut World(self.memory));
    }

    fn fault(&mut self, gva: u64, access: Access) -> Verdict {
        let mut world = World(self.memory);
        self.shadow
            .fault(0, &self.paging, Gva(gva), access, &mut world)
    }

    /// The error code that the guest gets.
    fn code(&mut self, gva: u64, access: Access) -> u32 {
        match self.fault(gva, access) {
            Verdict::Fault(fault) => {
                assert_eq!(fault.address, Gva(gva));
                fault.error_code
            }
            other => panic!("{other:?} instead of a fault at {gva:#x}"),
        }
    }

    /// Where the CPU's own walk ends: a guest-physical page.
    fn leads(&self, gva: u64) -> Option<u64> {
        let Root::Long(root) = self.root else {
            panic!("no four levels")
        };
        let mut table = root.0;
        for shift in [39, 30, 21, 12] {
            let slot = (table - STORE_AT) / 8 + (gva >> shift & 511);
            let entry = self.pages.read(slot as u32);
            if entry & 1 == 0 {
                return None;
            }
            let at = entry & 0xf_ffff_ffff_f000;
            if shift == 12 || entry & 0x80 != 0 {
                let inside = gva & ((1_u64 << shift) - 1) & !0xfff;
                return Some(at + inside - RAM_AT);
            }
            table = at;
        }
        None
    }
}

#[test]
fn tables_outside_memory_read_as_an_open_bus() {
    let memory = world::memory();
    let mut machine = Machine::new(&memory).chain();
    for nowhere in [RAM_BYTES, 0xfee0_0000, (1 << PHYSICAL_BITS) - 0x1000] {
        machine.load_cr3(nowhere);
        assert_eq!(machine.code(0, READ), RESERVED, "{nowhere:#x}");
        machine.load_cr3(TOP);
        for table in [TOP, 0x2000, 0x3000] {
            let before = memory.load::<u64>(Gpa(table)).expect("in RAM");
            machine.set(table, 0, nowhere | OPEN);
            machine.load_cr3(TOP);
            assert_eq!(machine.code(0, WRITE), RESERVED | 2, "{table:#x}");
            assert_eq!(machine.leads(0), None);
            machine.set(table, 0, before);
        }
    }
}

#[test]
fn pages_outside_memory_are_a_devices() {
    let memory = world::memory();
    let mut machine = Machine::new(&memory).chain();
    machine.set(0x4000, 5, 0xfee0_0000 | OPEN);
    for access in [READ, WRITE] {
        let verdict = machine.fault(0x5300, access);
        assert_eq!(verdict, Verdict::Outside(Gpa(0xfee0_0300)));
        assert_eq!(machine.leads(0x5300), None);
    }
}

#[test]
fn reserved_bits_are_the_guests_fault_at_each_level() {
    let memory = world::memory();
    let mut machine = Machine::new(&memory).chain();
    machine.set(0x4000, 0, 0x8000 | OPEN);
    for (table, reserved) in [
        (TOP, 1 << 45),
        (TOP, 1 << 7),
        (0x2000, 1 << 51),
        (0x3000, 1 << 63),
        (0x3000, 1 << 7 | 1 << 13),
        (0x4000, 1 << 40),
    ] {
        let before = memory.load::<u64>(Gpa(table)).expect("in RAM");
        machine.set(table, 0, before | reserved);
        machine.load_cr3(TOP);
        assert_eq!(machine.code(0, READ), RESERVED, "{table:#x} {reserved:#x}");
        machine.set(table, 0, before);
    }
    machine.load_cr3(TOP);
    assert_eq!(machine.fault(0, READ), Verdict::Again);
    assert_eq!(machine.leads(0), Some(0x8000));
}

#[test]
fn a_table_that_maps_itself_shows_itself_and_may_be_written() {
    let memory = world::memory();
    let mut machine = Machine::new(&memory);
    machine.set(TOP, 0, TOP | OPEN);
    // By the same entry four times, the table is its own page.
    assert_eq!(machine.fault(0, WRITE), Verdict::Again);
    assert_eq!(machine.leads(0), Some(TOP));
    // Unchanged for two flushes it would be write-protected; a write through itself takes that back.
    for _ in 0..4 {
        machine.load_cr3(TOP);
        if !machine.shadow.lets_write(0, Gva(0)) {
            assert_eq!(machine.fault(0, WRITE), Verdict::Again);
        }
        assert!(machine.shadow.lets_write(0, Gva(0)));
    }
    // And what is written there takes effect with the next flush: the second GiB of GiBs is the table too, then nothing.
    machine.set(TOP, 1, TOP | OPEN);
    let second = 1 << 39 | 1 << 30 | 1 << 21 | 1 << 12;
    assert_eq!(machine.fault(second, READ), Verdict::Again);
    assert_eq!(machine.leads(second), Some(TOP));
    machine.set(TOP, 1, 0);
    machine.load_cr3(TOP);
    assert_eq!(machine.leads(second), None);
    assert_eq!(machine.code(second, READ), 0);
}

/// Another vCPU changes entries at all levels all the time: each walk finds one of what they were.
#[test]
fn tables_that_change_in_the_middle_of_a_walk_lead_to_old_or_new() {
    const WALKS: u32 = 20_000;
    const PATIENCE: Duration = Duration::from_secs(60);
    let memory = world::memory();
    let mut machine = Machine::new(&memory).chain();
    // A second way: tables at 12000h to 14000h.
    for table in [0x12000, 0x13000] {
        machine.set(table, 0, (table + 0x1000) | OPEN);
    }
    machine.set(0x4000, 0, 0x8000 | OPEN);
    machine.set(0x14000, 0, 0x9000 | OPEN);
    let is_over = AtomicBool::new(false);
    let mut seen = [0_u32; 3];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                turn += 1;
                let table = if turn & 1 == 0 { 0x2000 } else { 0x12000 };
                for (at, entry) in [
                    (TOP, table | OPEN),
                    (table, (table + 0x1000) | OPEN),
                    (
                        table + 0x1000,
                        [(table + 0x2000) | OPEN, u64::MAX, 0][turn as usize % 3],
                    ),
                    (table + 0x1000, (table + 0x2000) | OPEN),
                ] {
                    memory.store(Gpa(at), &entry).expect("tables are in RAM");
                }
            }
        });
        let start = Instant::now();
        for walk in 0_u32.. {
            let is_enough = walk >= WALKS && seen[0] > 0 && seen[1] > 0;
            if is_enough || start.elapsed() > PATIENCE {
                break;
            }
            machine.load_cr3(TOP);
            let access = if walk & 1 == 0 { READ } else { WRITE };
            match machine.fault(0, access) {
                Verdict::Again => match machine.leads(0) {
                    Some(0x8000) => seen[0] += 1,
                    Some(0x9000) => seen[1] += 1,
                    // It was gone again before it could be entered.
                    None => {}
                    other => panic!("the walk led to {other:x?}"),
                },
                Verdict::Fault(fault) => {
                    assert!(matches!(fault.error_code & !2, 0 | 1 | RESERVED));
                    seen[2] += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("old {}, new {}, faults {}", seen[0], seen[1], seen[2]);
    assert!(seen[0] > 0 && seen[1] > 0, "nothing was changed meanwhile");
}
