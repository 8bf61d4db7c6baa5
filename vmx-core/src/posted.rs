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
    use std::sync::atomic::AtomicUsize;
    use std::thread;
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

    /// What the CPU does with the notification in guest mode.
    fn process(descriptor: &Descriptor) -> [u64; 4] {
        descriptor.control.fetch_and(!OUTSTANDING, Ordering::AcqRel);
        [0, 1, 2, 3].map(|index: usize| descriptor.requests[index].swap(0, Ordering::Relaxed))
    }

    fn set(words: &mut [u64; 4], vector: u8) {
        words[usize::from(vector >> 6)] |= 1 << (vector & 63);
    }

    /// In each round another thread posts a few vectors while this one takes what it is notified of; once both are done, all must
    /// have come. Returns the first round in which they did not.
    fn first_loss(rounds: &[Vec<u8>], take: fn(&Descriptor) -> [u64; 4]) -> Option<usize> {
        let descriptor = Descriptor::new();
        let [notifications, posted, taken] = [const { AtomicUsize::new(0) }; 3];
        let wait = |count: &AtomicUsize, wanted| {
            while count.load(Ordering::Acquire) < wanted {
                thread::yield_now();
            }
        };
        let mut loss = None;
        thread::scope(|scope| {
            scope.spawn(|| {
                for (round, vectors) in rounds.iter().enumerate() {
                    wait(&taken, round);
                    for &vector in vectors {
                        if descriptor.post(vector) == Notification::Due {
                            notifications.fetch_add(1, Ordering::Release);
                        }
                    }
                    posted.fetch_add(1, Ordering::Release);
                }
            });
            for (round, vectors) in rounds.iter().enumerate() {
                let (mut found, mut wanted) = ([0; 4], [0; 4]);
                vectors.iter().for_each(|&vector| set(&mut wanted, vector));
                loop {
                    let done = posted.load(Ordering::Acquire) > round;
                    if notifications.swap(0, Ordering::Acquire) > 0 {
                        let words = take(&descriptor);
                        found = [0, 1, 2, 3].map(|index| found[index] | words[index]);
                    } else if done {
                        break;
                    } else {
                        thread::yield_now();
                    }
                }
                if found != wanted {
                    loss = Some(round);
                    taken.store(usize::MAX, Ordering::Release);
                    break;
                }
                taken.store(round + 1, Ordering::Release);
            }
        });
        loss
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]
        #[test]
        fn no_vector_is_lost(
            rounds in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..12), 200..400),
        ) {
            prop_assert_eq!(first_loss(&rounds, Descriptor::take), None);
            prop_assert_eq!(first_loss(&rounds, process), None);
        }
    }
}
