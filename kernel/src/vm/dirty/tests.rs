//! The tracker over a machine that does what silicon does, with a TLB that remembers.

use super::super::memory::PageTables;
use super::*;
use alloc::sync::Arc;
use alloc::vec::Vec;
use ept_npt::{MapError, Mapping, Tracked};
use guest_mem::{Area, Hpa};
use hvm::capability::{ApicVirtualization, NestedPaging};
use proptest::prelude::*;
use spin::Mutex;
use std::collections::BTreeSet;

const PAGES: u64 = 24;
/// Entries of the modification log; few, so that it is often full.
const LOG_PAGES: usize = 3;

/// A page as the tables have it, and as the TLB remembers it.
#[derive(Clone, Copy, Default)]
struct Page {
    writable: bool,
    protected: bool,
    dirty: bool,
    /// Writable, and dirty.
    cached: Option<(bool, bool)>,
}

struct State {
    pages: Vec<Page>,
    means: Means,
    logs: bool,
    log: Vec<Gpa>,
}

/// The machine: both its tables and its CPU.
#[derive(Clone)]
struct Machine(Arc<Mutex<State>>);

/// What guest code comes to when it writes.
enum Write {
    Done,
    Fault,
    LogFull,
}

impl Machine {
    fn new(means: Means) -> Self {
        let page = Page {
            writable: true,
            dirty: true,
            ..Page::default()
        };
        Self(Arc::new(Mutex::new(State {
            pages: std::vec![page; PAGES as usize],
            means,
            logs: false,
            log: Vec::new(),
        })))
    }

    fn read(&self, page: u64) {
        let page = &mut self.0.lock().pages[page as usize];
        page.cached.get_or_insert((page.writable, page.dirty));
    }

    fn write(&self, number: u64) -> Write {
        let state = &mut *self.0.lock();
        let page = &mut state.pages[number as usize];
        match page.cached {
            Some((true, true)) => return Write::Done,
            // An old translation that forbids what the tables allow.
            Some((false, _)) => return Write::Fault,
            _ if !page.writable => return Write::Fault,
            _ => {}
        }
        if state.means != Means::WriteProtection && !page.dirty {
            if state.logs {
                if state.log.len() == LOG_PAGES {
                    return Write::LogFull;
                }
                state.log.push(Gpa(number * PAGE_BYTES + 0x123).page_base());
            }
            page.dirty = true;
        }
        page.cached = Some((true, true));
        Write::Done
    }

    /// Changes one page's entry; it, if that changed anything.
    fn change(&self, gpa: Gpa, change: impl Fn(&mut Page) -> bool) -> Option<Piece> {
        let number = gpa.0 / PAGE_BYTES;
        let changed = change(self.0.lock().pages.get_mut(number as usize)?);
        changed.then_some(Piece {
            gpa: Gpa(number * PAGE_BYTES),
            bytes: PAGE_BYTES,
        })
    }
}

/// Pages that are shown anew are as fresh ones; nothing else is mapped.
impl PageTables for Machine {
    fn map_page(&mut self, _gpa: Gpa, _page: Hpa) -> Result<(), MapError> {
        Err(MapError::OutOfMemory)
    }

    fn unmap_page(&mut self, _gpa: Gpa) {}
}

impl NestedTables for Machine {
    fn translate(&self, _gpa: Gpa) -> Option<Mapping> {
        None
    }

    fn show(&mut self, area: &Area) -> Result<(), MapError> {
        for offset in (0..area.bytes).step_by(PAGE_BYTES as usize) {
            self.change(area.gpa.wrapping_add(offset), |page| {
                page.writable = area.attributes() == Attributes::RAM;
                page.protected = false;
                page.dirty = true;
                true
            });
        }
        Ok(())
    }
}

impl Tracked for Machine {
    fn split(&mut self) -> Result<(), MapError> {
        Ok(())
    }

    fn join(&mut self) {
        for page in &mut self.0.lock().pages {
            page.writable |= core::mem::take(&mut page.protected);
        }
    }

    fn clean(&mut self, gpa: Gpa) -> Option<Piece> {
        self.change(gpa, |page| core::mem::take(&mut page.dirty))
    }

    fn clean_all(&mut self, dirty: &mut dyn FnMut(Piece)) {
        for page in 0..PAGES {
            let piece = self.clean(Gpa(page * PAGE_BYTES));
            piece.into_iter().for_each(&mut *dirty);
        }
    }

    fn protect(&mut self, gpa: Gpa) -> Option<Piece> {
        self.change(gpa, |page| {
            page.protected |= page.writable;
            core::mem::take(&mut page.writable)
        })
    }

    fn protect_all(&mut self) {
        for page in 0..PAGES {
            self.protect(Gpa(page * PAGE_BYTES));
        }
    }

    fn admit(&mut self, gpa: Gpa) -> WriteFault {
        let lifted = self.change(gpa, |page| {
            page.writable |= page.protected;
            // The fault itself has dropped this translation.
            page.cached = None;
            core::mem::take(&mut page.protected)
        });
        match lifted {
            Some(piece) => WriteFault::First(piece),
            None if gpa.0 < PAGES * PAGE_BYTES => WriteFault::Stale,
            None => WriteFault::Refused,
        }
    }
}

impl Watched for Machine {
    fn set_modification_log(&mut self, log: ModificationLog) -> bool {
        let mut state = self.0.lock();
        state.logs = log == ModificationLog::On && state.means == Means::ModificationLog;
        state.logs
    }

    fn drain_modified(&mut self, to: &mut dyn FnMut(Gpa)) {
        self.0.lock().log.drain(..).for_each(to);
    }

    fn flush_tlb(&mut self) {
        for page in &mut self.0.lock().pages {
            page.cached = None;
        }
    }
}

fn tracker(machine: &Machine) -> Tracker {
    let bits = match machine.0.lock().means {
        Means::WriteProtection => Options::empty(),
        Means::DirtyBits | Means::ModificationLog => Options::NESTED_DIRTY_BITS,
    };
    let features = Features {
        nested_paging: NestedPaging::Large,
        tags: 1,
        apic_virtualization: ApicVirtualization::Absent,
        options: bits,
    };
    Tracker::new(Box::new(machine.clone()), &features)
}

/// Guest code that writes, with the hypervisor's help.
fn guest_writes(machine: &mut Machine, tracker: &mut Tracker, page: u64) {
    for _ in 0..4 {
        match machine.write(page) {
            Write::Done => return,
            Write::LogFull => tracker.drain(machine),
            Write::Fault => {
                assert!(tracker.protects());
                assert!(tracker.write_fault(machine, Gpa(page * PAGE_BYTES + 5)));
            }
        }
    }
    panic!("page {page} cannot be written");
}

#[test]
fn pages_of_a_switched_area_count_as_written_and_are_tracked_anew() {
    const AREA: u64 = PAGES - 2;
    for means in [
        Means::ModificationLog,
        Means::DirtyBits,
        Means::WriteProtection,
    ] {
        let ram = [
            (Gpa(0), AREA * PAGE_BYTES),
            (Gpa((AREA + 1) * PAGE_BYTES), PAGE_BYTES),
        ];
        let memory = GuestMemory::anonymous(&ram)
            .with_anonymous_areas(&[(Gpa(AREA * PAGE_BYTES), PAGE_BYTES)]);
        let mut machine = Machine::new(means);
        let mut tracker = tracker(&machine);
        tracker.follow(&mut machine, &memory);
        tracker.start(&mut machine, &memory).unwrap();
        for attributes in [Attributes::PROTECTED_RAM, Attributes::RAM] {
            memory.switch(Gpa(0), u64::MAX, attributes);
            tracker.follow(&mut machine, &memory);
        }
        let mut told = BTreeSet::new();
        tracker.collect(&mut machine, &memory, &mut |_, piece| {
            told.insert(piece.gpa.0 / PAGE_BYTES);
        });
        assert_eq!(told, BTreeSet::from([AREA]), "{means:?}");
        guest_writes(&mut machine, &mut tracker, AREA);
        let mut told = BTreeSet::new();
        tracker.collect(&mut machine, &memory, &mut |_, piece| {
            told.insert(piece.gpa.0 / PAGE_BYTES);
        });
        assert!(told.contains(&AREA), "{means:?}: {told:?}");
    }
}

#[derive(Clone, Debug)]
enum Act {
    Read(u64),
    Write(u64),
    Device(u64),
    Collect,
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..PAGES).prop_map(Act::Read),
        8 => (0..PAGES).prop_map(Act::Write),
        2 => (0..PAGES).prop_map(Act::Device),
        3 => Just(Act::Collect),
        1 => Just(Act::Restart),
    ]
}

fn each_write_is_told_once(means: Means, acts: &[Act]) {
    let memory = GuestMemory::anonymous(&[(Gpa(0), PAGES * PAGE_BYTES)]);
    let mut machine = Machine::new(means);
    let mut tracker = tracker(&machine);
    (0..PAGES).for_each(|page| machine.read(page));
    assert_eq!(
        tracker.start(&mut machine, &memory),
        Ok((means, Grain::Page))
    );
    let (mut by_guest, mut by_device) = (BTreeSet::new(), BTreeSet::new());
    for act in acts.iter().chain([&Act::Collect]) {
        match *act {
            Act::Read(page) => machine.read(page),
            Act::Write(page) => {
                guest_writes(&mut machine, &mut tracker, page);
                by_guest.insert(page);
            }
            Act::Device(page) => {
                memory.store(Gpa(page * PAGE_BYTES + 8), &1_u32).unwrap();
                by_device.insert(page);
            }
            Act::Collect => {
                let (mut guest, mut device) = (Vec::new(), Vec::new());
                let span = tracker.collect(&mut machine, &memory, &mut |writer, piece| {
                    let list = match writer {
                        Writer::Guest => &mut guest,
                        Writer::Hypervisor => &mut device,
                    };
                    list.push(piece.gpa.0 / PAGE_BYTES);
                });
                assert_eq!(span.map(|span| span.means), Some(means));
                assert_eq!(guest, Vec::from_iter(core::mem::take(&mut by_guest)));
                assert_eq!(device, Vec::from_iter(core::mem::take(&mut by_device)));
            }
            Act::Restart => {
                tracker.start(&mut machine, &memory).unwrap();
                by_guest.clear();
                by_device.clear();
            }
        }
    }
    assert!(tracker.stop(&mut machine) && !tracker.stop(&mut machine));
    assert!((0..PAGES).all(|page| matches!(machine.write(page), Write::Done)));
}

proptest! {
    #[test]
    fn by_the_modification_log(acts in prop::collection::vec(act(), 0..60)) {
        each_write_is_told_once(Means::ModificationLog, &acts);
    }

    #[test]
    fn by_dirty_bits(acts in prop::collection::vec(act(), 0..60)) {
        each_write_is_told_once(Means::DirtyBits, &acts);
    }

    #[test]
    fn by_write_protection(acts in prop::collection::vec(act(), 0..60)) {
        each_write_is_told_once(Means::WriteProtection, &acts);
    }
}

#[test]
fn a_fault_that_is_not_ours_is_left_alone() {
    let memory = GuestMemory::anonymous(&[(Gpa(0), PAGES * PAGE_BYTES)]);
    let mut machine = Machine::new(Means::WriteProtection);
    let mut tracker = tracker(&machine);
    assert!(!tracker.write_fault(&mut machine, Gpa(0)));
    tracker.start(&mut machine, &memory).unwrap();
    assert!(!tracker.write_fault(&mut machine, Gpa(0xfee0_0000)));
    assert!(tracker.write_fault(&mut machine, Gpa(0)));
}
