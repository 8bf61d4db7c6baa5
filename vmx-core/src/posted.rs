//! The posted-interrupt descriptor (SDM vol. 3C, 30.6): where other CPUs, and devices behind an IOMMU, leave interrupts for a
//! vCPU without disturbing it.
//!
//! Guarantees to those who post: a vector that was posted is taken once at least, whoever posts meanwhile, as long as each
//! [`Notification::Due`] is sent. The CPU that runs the guest takes part by the same rules when the notification arrives in
//! guest mode: it clears the outstanding-notification bit, then takes the requests.

use core::sync::atomic::{AtomicU64, Ordering};

/// Outstanding notification: bit 256 of the descriptor.
const OUTSTANDING: u64 = 1;

/// What is left to do after a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Notification {
    /// The vCPU's CPU is to be sent the notification vector.
    Due,
    /// One is on its way, and will find this vector too.
    Outstanding,
}

/// A posted-interrupt descriptor, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Descriptor {
    /// A bit a vector.
    requests: [AtomicU64; 4],
    control: AtomicU64,
    /// Free for software.
    rest: [u64; 3],
}

impl Descriptor {
    /// Nothing posted.
    pub const fn new() -> Self {
        Self {
            requests: [const { AtomicU64::new(0) }; 4],
            control: AtomicU64::new(0),
            rest: [0; 3],
        }
    }

    /// Leaves `vector`; from any CPU.
    pub fn post(&self, vector: u8) -> Notification {
        let word = &self.requests[usize::from(vector >> 6)];
        word.fetch_or(1 << (vector & 63), Ordering::Relaxed);
        // Release: whoever clears the bit that is set here sees the request.
        if self.control.fetch_or(OUTSTANDING, Ordering::AcqRel) & OUTSTANDING == 0 {
            Notification::Due
        } else {
            Notification::Outstanding
        }
    }

    /// Takes what was posted, 64 vectors to the word: on the vCPU's CPU, outside the guest.
    pub fn take(&self) -> [u64; 4] {
        // A plain read first, for nearly always nothing was posted. One that comes later brings a notification.
        if self.control.load(Ordering::Relaxed) & OUTSTANDING == 0 {
            return [0; 4];
        }
        // In this order: a post after the first line asks for a notification again.
        self.control.fetch_and(!OUTSTANDING, Ordering::AcqRel);
        [0, 1, 2, 3].map(|index: usize| self.requests[index].swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread;
    use std::time::{Duration, Instant};
    use std::vec::Vec;

    #[test]
    fn the_layout_is_the_manuals() {
        let descriptor = Descriptor::new();
        assert_eq!(
            (size_of::<Descriptor>(), align_of::<Descriptor>()),
            (64, 64)
        );
        assert_eq!(core::mem::offset_of!(Descriptor, control), 32);
        assert_eq!(descriptor.post(0x41), Notification::Due);
        assert_eq!(descriptor.post(0xff), Notification::Outstanding);
        assert_eq!(descriptor.control.load(Ordering::Relaxed), 1);
        assert_eq!(descriptor.take(), [0, 2, 0, 1 << 63]);
        assert_eq!(descriptor.take(), [0; 4]);
        assert_eq!(descriptor.post(0x41), Notification::Due);
    }

    /// After so long without an arrival a vector is lost.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// What the CPU does with the notification in guest mode.
    fn process(descriptor: &Descriptor) -> [u64; 4] {
        descriptor.control.fetch_and(!OUTSTANDING, Ordering::AcqRel);
        [0, 1, 2, 3].map(|index: usize| descriptor.requests[index].swap(0, Ordering::Relaxed))
    }

    fn vectors(words: [u64; 4]) -> impl Iterator<Item = u8> {
        (0..=255_u8)
            .filter(move |&vector| words[usize::from(vector >> 6)] >> (vector & 63) & 1 != 0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Each thread posts its own vectors one after the other, each only when the last has arrived, as an edge-triggered
        /// source does; the vCPU looks only when it was notified.
        #[test]
        fn no_vector_is_lost(
            posters in prop::collection::vec(prop::collection::vec(0_u8..64, 1..40), 1..4),
            in_guest_mode in any::<bool>(),
        ) {
            let descriptor = Descriptor::new();
            let (notifications, over) = (AtomicUsize::new(0), AtomicBool::new(false));
            let arrived: Vec<AtomicUsize> = (0..256).map(|_| AtomicUsize::new(0)).collect();
            let total: usize = posters.iter().map(Vec::len).sum();
            thread::scope(|scope| {
                for (poster, own) in posters.iter().enumerate() {
                    let (descriptor, notifications, arrived, over) = (&descriptor, &notifications, &arrived, &over);
                    scope.spawn(move || {
                        for &vector in own {
                            let vector = poster as u8 * 64 + vector;
                            let before = arrived[usize::from(vector)].load(Ordering::Acquire);
                            if descriptor.post(vector) == Notification::Due {
                                notifications.fetch_add(1, Ordering::Release);
                            }
                            while arrived[usize::from(vector)].load(Ordering::Acquire) == before && !over.load(Ordering::Relaxed) {
                                thread::yield_now();
                            }
                        }
                    });
                }
                let (mut taken, mut last) = (0, Instant::now());
                while taken < total && last.elapsed() < PATIENCE {
                    if notifications.swap(0, Ordering::Acquire) == 0 {
                        thread::yield_now();
                        continue;
                    }
                    let words = if in_guest_mode { process(&descriptor) } else { descriptor.take() };
                    for vector in vectors(words) {
                        arrived[usize::from(vector)].fetch_add(1, Ordering::Release);
                        (taken, last) = (taken + 1, Instant::now());
                    }
                }
                over.store(true, Ordering::Relaxed);
            });
            prop_assert_eq!(descriptor.take(), [0; 4]);
            let all: usize = arrived.iter().map(|count| count.load(Ordering::Relaxed)).sum();
            prop_assert_eq!(all, total);
        }
    }
}
