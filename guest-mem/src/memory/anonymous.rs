//! Guest RAM on the heap, for tests and host tools. It goes with the value that it was made for.

use super::{GuestMemory, Region};
use crate::area::{Area, Attributes, Backing};
use crate::{Gpa, Hpa, PAGE_BYTES};
use alloc::alloc::{alloc_zeroed, dealloc, handle_alloc_error};
use core::alloc::Layout;
use core::ptr::NonNull;

/// Zeroed pages of the heap.
pub(super) struct HeapPages {
    at: NonNull<u8>,
    layout: Layout,
}

impl HeapPages {
    fn new(bytes: u64) -> Self {
        let layout = usize::try_from(bytes)
            .ok()
            .filter(|&bytes| bytes != 0)
            .and_then(|bytes| Layout::from_size_align(bytes, PAGE_BYTES as usize).ok())
            .expect("a piece has pages, and no more than the heap could hold");
        // SAFETY: the layout is not empty.
        let at = unsafe { alloc_zeroed(layout) };
        let at = NonNull::new(at).unwrap_or_else(|| handle_alloc_error(layout));
        Self { at, layout }
    }

    /// As they lie in the test's own memory.
    fn backing(&self) -> Backing {
        Backing {
            hpa: Hpa(self.at.addr().get() as u64),
            host: self.at.as_ptr(),
        }
    }
}

impl Drop for HeapPages {
    fn drop(&mut self) {
        // SAFETY: they were allocated so, once; the guest memory that reaches them goes at the same moment.
        unsafe { dealloc(self.at.as_ptr(), self.layout) }
    }
}

impl GuestMemory {
    /// RAM on the heap, for tests and host tools: `(gpa, bytes)` pairs, whole pages, sorted. Its `hpa` is the host address.
    ///
    /// # Panics
    /// If the pairs are not page-aligned, sorted and disjoint.
    pub fn anonymous(pieces: &[(Gpa, u64)]) -> Self {
        Self::on_heap(pieces, |_, backing| backing.hpa)
    }

    /// As [`Self::anonymous`], and as if the memory lay at host-physical addresses of the test's choice.
    ///
    /// # Panics
    /// As there.
    pub fn anonymous_at(pieces: &[(Gpa, u64, Hpa)]) -> Self {
        let places = pieces.iter().map(|&(gpa, bytes, _)| (gpa, bytes));
        let places: alloc::vec::Vec<_> = places.collect();
        Self::on_heap(&places, |index, _| pieces[index].2)
    }

    fn on_heap(pieces: &[(Gpa, u64)], hpa: impl Fn(usize, Backing) -> Hpa) -> Self {
        let mut own = alloc::vec::Vec::new();
        let regions = pieces.iter().enumerate().map(|(index, &(gpa, bytes))| {
            let pages = HeapPages::new(bytes);
            let backing = pages.backing();
            own.push(pages);
            Region {
                gpa,
                bytes,
                hpa: hpa(index, backing),
                host: backing.host,
            }
        });
        // SAFETY: the pieces were just allocated, live as long as the value, and no reference to them exists. Nobody maps an `hpa` of a
        // test's choice.
        let memory = unsafe { Self::from_regions(regions.collect()) };
        let mut memory = memory.expect("pieces are page-aligned, sorted and disjoint");
        memory.own = own;
        memory
    }

    /// Adds areas on the heap, for tests: place and length, each with RAM and ROM of its own, and RAM at first.
    ///
    /// # Panics
    /// As [`Self::anonymous`], and if they overlap its pieces.
    pub fn with_anonymous_areas(mut self, areas: &[(Gpa, u64)]) -> Self {
        let mut backing = |bytes: u64| {
            let pages = HeapPages::new(bytes);
            let backing = pages.backing();
            self.own.push(pages);
            Some(backing)
        };
        let areas = areas.iter().map(|&(gpa, bytes)| {
            let (ram, rom) = (backing(bytes), backing(bytes));
            Area::new((gpa, bytes), ram, rom, Attributes::RAM)
        });
        let areas = areas.collect();
        // SAFETY: the memory was just allocated, lives as long as the value, and no reference to it exists.
        unsafe { self.with_areas(areas) }.expect("areas are page-aligned, sorted and disjoint")
    }
}
