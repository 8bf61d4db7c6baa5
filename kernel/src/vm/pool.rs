//! Host memory for what the guest changes on its disks, set aside before the guest runs: its writes allocate nothing.

use crate::mem::{PAGE_BYTES, frames, phys_to_virt};
use crate::{info, warn};
use alloc::boxed::Box;
use alloc::sync::Arc;
use guest_mem::Hpa;
use spin::Mutex;
use virtio_pv::overlay::{CLUSTER_BYTES, Cluster, Clusters};

/// What stays free beside a guest and its disks, for page tables and the heap.
const RESERVE: u64 = 4 << 20;
/// The part of free memory that disks may have where the guest gets all the rest.
const SHARE: u64 = 4;

/// Clusters that no disk has taken yet.
#[derive(Clone)]
pub struct Pool(Arc<Mutex<Free>>);

struct Free {
    bytes: &'static mut [u8],
    told: Told,
}

/// Whether the log says already that nothing is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Yes,
    NotYet,
}

impl Pool {
    /// Room for `wanted` bytes, or for as many as there are beside a guest with memory of `guest` bytes (`None`: all the rest).
    pub fn reserve(wanted: u64, guest: Option<u64>) -> Self {
        let free = frames::free_bytes();
        let most = match guest {
            Some(guest) => free.saturating_sub(guest.saturating_add(RESERVE)),
            None => free / SHARE,
        };
        let bytes = wanted.min(most) / CLUSTER_BYTES as u64 * CLUSTER_BYTES as u64;
        let bytes = lend(bytes);
        let got = bytes.len() as u64;
        if got < wanted {
            warn!(
                "disks: {} of {} KiB that the guest may change have room in host memory; when they are used up, its writes fail",
                got / 1024,
                wanted / 1024
            );
        } else if wanted != 0 {
            info!("monovisor: disks: {} KiB set aside for changes", got / 1024);
        }
        let told = Told::NotYet;
        Self(Arc::new(Mutex::new(Free { bytes, told })))
    }

    /// The same pool, for another disk.
    pub fn share(&self) -> Box<dyn Clusters> {
        Box::new(self.clone())
    }
}

impl Clusters for Pool {
    fn take(&mut self) -> Option<Cluster> {
        let mut free = self.0.lock();
        let bytes = core::mem::take(&mut free.bytes);
        if let Some((cluster, rest)) = bytes.split_first_chunk_mut() {
            free.bytes = rest;
            return Some(cluster);
        }
        if free.told == Told::NotYet {
            free.told = Told::Yes;
            warn!(
                "disks: the memory for changes is used up: a write of the guest failed, and more will. Give the guest less memory or the host more"
            );
        }
        None
    }
}

/// Host memory for good, `bytes` or as much as lies together; a multiple of clusters.
fn lend(bytes: u64) -> &'static mut [u8] {
    let whole = (bytes != 0).then(|| frames::alloc_contiguous(bytes, PAGE_BYTES));
    let range = whole.and_then(|whole| {
        whole.or_else(|| {
            let largest = frames::largest_free(CLUSTER_BYTES as u64)?;
            let most = largest.bytes.min(bytes);
            (most != 0).then(|| frames::alloc_contiguous(most, PAGE_BYTES))?
        })
    });
    let Some(range) = range else {
        return &mut [];
    };
    // SAFETY: the range was just taken from the frame allocator for good, is mapped writable, and nothing else refers to
    // it; bytes of any value are valid `u8`s.
    unsafe { core::slice::from_raw_parts_mut(phys_to_virt(Hpa(range.base)), range.bytes as usize) }
}
