//! The display's linear framebuffer within the guest's reach: pages of video memory, mapped where the guest has placed it.
//!
//! A page is mapped at the guest's first access to it, and counts as written from then on. Before somebody looks at the screen,
//! [`Framebuffer::withdraw`] unmaps those pages and [`Pages::tell`] names them to the display, so that the next access to each is noticed
//! again. Drawing costs an exit for each page and look, and none while nobody looks. This needs no dirty bits, so it is the
//! same on every CPU.

use super::memory::{PageTables, backing};
use crate::mem::frames;
use alloc::sync::Arc;
use alloc::vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use guest_mem::{DirtyLog, Gpa, GuestMemory, Hpa, PAGE_BYTES, Region};
use hvm::pci::Window;
use pc::board::IOAPIC_BASE;
use pc::vga::VideoMemory;

/// Video memory.
const BYTES: u64 = 16 << 20;
/// Where the framebuffer is while the guest has it nowhere: an address that no guest has, with room behind it.
const NOWHERE: u64 = 1 << 63;

/// Video memory in whole pages of the host's.
pub struct Pages {
    memory: GuestMemory,
    host: Hpa,
    /// Pages that the guest has mapped.
    mapped: DirtyLog,
    /// Pages that the guest may have written by itself since the display asked.
    written: DirtyLog,
}

impl Pages {
    /// Takes host memory for good, and clears it; `None` if there is too little.
    pub fn allocate() -> Option<Arc<Self>> {
        let range = frames::alloc_contiguous(BYTES, PAGE_BYTES)?;
        let at = backing(Hpa(range.base));
        let region = Region {
            gpa: Gpa(0),
            bytes: BYTES,
            hpa: at.hpa,
            host: at.host,
        };
        // SAFETY: the range was just taken from the frame allocator for good, all RAM is mapped writable, and nothing else refers to it.
        let memory = unsafe { GuestMemory::from_regions(vec![region]) }?;
        memory.fill(Gpa(0), BYTES, 0).ok()?;
        Self::new(memory, at.hpa)
    }

    fn new(memory: GuestMemory, host: Hpa) -> Option<Arc<Self>> {
        Some(Arc::new(Self {
            memory,
            host,
            mapped: DirtyLog::new(BYTES)?,
            written: DirtyLog::new(BYTES)?,
        }))
    }
}

impl VideoMemory for Pages {
    fn bytes(&self) -> u32 {
        BYTES as u32
    }

    fn read(&self, offset: u32, into: &mut [u8]) {
        VideoMemory::read(&self.memory, offset, into);
    }

    fn write(&self, offset: u32, from: &[u8]) {
        VideoMemory::write(&self.memory, offset, from);
    }

    fn fill(&self, offset: u32, bytes: u32, value: u8) {
        VideoMemory::fill(&self.memory, offset, bytes, value);
    }

    fn take_written(&self, written: &mut dyn FnMut(Range<u32>)) {
        self.written.take(&mut |page| {
            let start = (page * PAGE_BYTES) as u32;
            written(start..start + PAGE_BYTES as u32);
        });
    }
}

/// Pages that were taken from the guest, a bit for each.
pub struct Withdrawn([u64; (BYTES / PAGE_BYTES / 64) as usize]);

impl Withdrawn {
    /// Names them to the display, now that no vCPU reaches them any more.
    pub fn tell(self, framebuffer: &Framebuffer) {
        let Some(pages) = &framebuffer.pages else {
            return;
        };
        for (base, word) in (0..).step_by(64).zip(self.0) {
            let mut bits = word;
            while bits != 0 {
                pages.written.mark(base + u64::from(bits.trailing_zeros()));
                bits &= bits - 1;
            }
        }
    }
}

/// Where the guest sees video memory. Its methods that take the tables are called under their lock.
pub struct Framebuffer {
    pages: Option<Arc<Pages>>,
    base: AtomicU64,
}

impl Framebuffer {
    /// Of a display with these pages, if there is one.
    pub const fn new(pages: Option<Arc<Pages>>) -> Self {
        Self {
            pages,
            base: AtomicU64::new(NOWHERE),
        }
    }

    /// True if `gpa` lies in the framebuffer, where the guest has placed it.
    #[inline]
    pub fn covers(&self, gpa: Gpa) -> bool {
        gpa.0.wrapping_sub(self.base.load(Ordering::Relaxed)) < BYTES
    }

    /// The guest has placed it at `window`, or turned it off. True if pages were unmapped: then all vCPUs must flush.
    pub fn follow(
        &self,
        tables: &mut dyn PageTables,
        window: Option<Window>,
        memory: &GuestMemory,
    ) -> bool {
        let base = match window {
            Some(Window::Memory { base, bytes }) if bytes == BYTES && is_free(memory, base) => base,
            _ => NOWHERE,
        };
        if base == self.base.load(Ordering::Relaxed) {
            return false;
        }
        // What the guest may have drawn there is told with the rest.
        let withdrawn = self.withdraw(tables);
        self.base.store(base, Ordering::Relaxed);
        let Some(withdrawn) = withdrawn else {
            return false;
        };
        withdrawn.tell(self);
        true
    }

    /// The guest accessed a page that is not mapped, or not for writes: it is from now on. False if it cannot be; then the access is
    /// the display's.
    pub fn admit(&self, tables: &mut dyn PageTables, gpa: Gpa) -> bool {
        let Some(pages) = self.pages.as_ref().filter(|_| self.covers(gpa)) else {
            return false;
        };
        let page = gpa.page_base();
        let offset = page.0 - self.base.load(Ordering::Relaxed);
        // Another vCPU may have been here before, or dirty tracking.
        tables.unmap_page(page);
        let is_mapped = tables.map_page(page, Hpa(pages.host.0 + offset)).is_ok();
        if is_mapped {
            pages.mapped.mark(offset / PAGE_BYTES);
        }
        is_mapped
    }

    /// Unmaps all pages, for somebody who is about to look. If there were any, all vCPUs must flush before the pages are told to the
    /// display.
    pub fn withdraw(&self, tables: &mut dyn PageTables) -> Option<Withdrawn> {
        let base = self.base.load(Ordering::Relaxed);
        let mut withdrawn = None;
        self.pages.as_ref()?.mapped.take(&mut |page| {
            tables.unmap_page(Gpa(base.wrapping_add(page * PAGE_BYTES)));
            let Withdrawn(words) = withdrawn.get_or_insert(Withdrawn([0; _]));
            words[(page / 64) as usize % words.len()] |= 1 << (page % 64);
        });
        withdrawn
    }
}

/// True if a framebuffer at `base` hides nothing: neither memory nor the chipset's own addresses.
fn is_free(memory: &GuestMemory, base: u64) -> bool {
    let end = base.saturating_add(BYTES);
    let taken = |gpa: Gpa, bytes: u64| gpa.0 < end && base < gpa.0 + bytes;
    let regions = memory.regions().iter();
    let areas = memory.areas().iter();
    end <= IOAPIC_BASE.0
        && base.is_multiple_of(PAGE_BYTES)
        && !regions
            .clone()
            .any(|region| taken(region.gpa, region.bytes))
        && !areas.clone().any(|area| taken(area.gpa, area.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use ept_npt::MapError;

    const RAM_BYTES: u64 = 4 << 20;
    const BASE: u64 = 0xfd00_0000;

    /// Tables with room for so many pages.
    struct Few(BTreeMap<u64, u64>, usize);

    impl PageTables for Few {
        fn map_page(&mut self, gpa: Gpa, page: Hpa) -> Result<(), MapError> {
            assert!(!self.0.contains_key(&gpa.0), "{gpa:?} is mapped already");
            if self.0.len() == self.1 {
                return Err(MapError::OutOfMemory);
            }
            self.0.insert(gpa.0, page.0);
            Ok(())
        }

        fn unmap_page(&mut self, gpa: Gpa) {
            self.0.remove(&gpa.page_base().0);
        }
    }

    fn at(base: u64) -> Option<Window> {
        let bytes = BYTES;
        Some(Window::Memory { base, bytes })
    }

    struct Machine {
        framebuffer: Framebuffer,
        pages: Arc<Pages>,
        tables: Few,
        ram: GuestMemory,
    }

    fn machine() -> Machine {
        let memory = GuestMemory::anonymous(&[(Gpa(0), BYTES)]);
        let pages = Pages::new(memory, Hpa(1 << 32)).unwrap();
        Machine {
            framebuffer: Framebuffer::new(Some(pages.clone())),
            pages,
            tables: Few(BTreeMap::new(), 3),
            ram: GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]),
        }
    }

    impl Machine {
        fn place(&mut self, window: Option<Window>) -> bool {
            self.framebuffer.follow(&mut self.tables, window, &self.ram)
        }

        fn access(&mut self, gpa: u64) -> bool {
            self.framebuffer.admit(&mut self.tables, Gpa(gpa))
        }

        fn written(&self) -> Vec<u32> {
            let mut found = Vec::new();
            self.pages
                .take_written(&mut |range| found.push(range.start));
            found
        }
    }

    #[test]
    fn a_page_is_mapped_at_its_first_access_and_told_to_who_looks() {
        let mut machine = machine();
        assert!(!machine.access(BASE), "nobody has placed it");
        assert!(!machine.place(at(BASE)), "nothing was mapped");
        assert!(machine.access(BASE + 0x5123));
        assert!(
            machine.access(BASE + 0x5ff8),
            "again, as after write protection"
        );
        assert!(machine.access(BASE + BYTES - 1));
        assert!(!machine.access(BASE + BYTES));
        assert!(!machine.access(BASE - 1));
        let last = BYTES - PAGE_BYTES;
        assert_eq!(
            Vec::from_iter(machine.tables.0.clone()),
            [
                (BASE + 0x5000, (1 << 32) + 0x5000),
                (BASE + last, (1 << 32) + last)
            ]
        );
        assert_eq!(machine.written(), [], "not before it is withdrawn");
        let withdrawn = machine.framebuffer.withdraw(&mut machine.tables).unwrap();
        assert!(machine.tables.0.is_empty());
        withdrawn.tell(&machine.framebuffer);
        assert_eq!(machine.written(), [0x5000, last as u32]);
        assert!(machine.framebuffer.withdraw(&mut machine.tables).is_none());
    }

    #[test]
    fn pages_leave_the_place_where_the_framebuffer_was() {
        let mut machine = machine();
        machine.place(at(BASE));
        assert!(machine.access(BASE));
        assert!(!machine.place(at(BASE)), "where it was");
        assert!(machine.place(at(BASE - BYTES)));
        assert!(machine.tables.0.is_empty());
        assert_eq!(machine.written(), [0]);
        assert!(!machine.access(BASE));
        assert!(machine.access(BASE - BYTES));
        assert!(machine.place(None));
        assert!(machine.tables.0.is_empty());
        assert!(!machine.access(BASE - BYTES));
    }

    #[test]
    fn nothing_is_hidden_and_no_table_is_taken_for_granted() {
        let mut machine = machine();
        for base in [
            0,
            RAM_BYTES - PAGE_BYTES,
            IOAPIC_BASE.0 - BYTES + 1,
            u64::MAX - 0xfff,
        ] {
            machine.place(at(base));
            assert!(!machine.framebuffer.covers(Gpa(base)), "{base:#x}");
        }
        machine.place(at(RAM_BYTES));
        for page in 0..3 {
            assert!(machine.access(RAM_BYTES + page * PAGE_BYTES));
        }
        assert!(
            !machine.access(RAM_BYTES + BYTES / 2),
            "the display serves it"
        );
    }
}
