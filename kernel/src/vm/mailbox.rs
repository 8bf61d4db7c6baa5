//! What others leave for a vCPU: interrupts, start and stop, a flush. Atomics only, for any CPU of the host.
//!
//! Each vCPU has a [`Mailbox`]. Whoever leaves something there sets its bits first and rings afterwards; a vCPU says where it is
//! before it looks. So one of the two sees the other, and nothing waits unseen (both are sequentially consistent):
//!
//! | sender | vCPU |
//! | --- | --- |
//! | leaves a request | says that it enters the guest, or sleeps |
//! | looks where the vCPU is; if not in hypervisor code, interrupts its CPU | looks for requests; if there are any, does not |

use super::ring;
use bitflags::bitflags;
use core::hint;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use hvm::apic::{ApicMessage, Delivery, Trigger};
use pc::lapic::Address;

bitflags! {
    /// What waits in a mailbox.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Requests: u32 {
        /// Interrupt vectors.
        const VECTORS = 1 << 0;
        /// A non-maskable interrupt.
        const NMI = 1 << 1;
        /// INIT.
        const INIT = 1 << 2;
        /// A start-up message.
        const START_UP = 1 << 3;
        /// Forget what the TLB holds of the guest.
        const FLUSH = 1 << 4;
        /// Leave the guest, all vCPUs: somebody has to act on the whole machine.
        const STOP = 1 << 5;
        /// The services have something for the devices.
        const POLL = 1 << 6;
        /// Another vCPU changed the 8259s' output, or the time when the board wants a turn.
        const LOOK = 1 << 7;
        /// The services have something for the network cards.
        const NETWORK = 1 << 8;
    }
}

/// Where a vCPU is, for those that want its attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Whereabouts {
    /// In hypervisor code that looks for requests before it does anything that takes long.
    Hypervisor = 0,
    /// In guest code, or about to enter it: an interrupt of its CPU brings it out.
    Guest = 1,
    /// Its CPU sleeps, or does something else: an interrupt makes it look.
    Away = 2,
}

/// Vectors that were sent to a vCPU, and how they were triggered.
#[derive(Debug, Default)]
struct Vectors {
    requested: [AtomicU64; 4],
    level: [AtomicU64; 4],
}

/// The mailbox of one vCPU.
#[derive(Debug)]
pub struct Mailbox {
    requests: AtomicU32,
    whereabouts: AtomicU8,
    start_page: AtomicU8,
    vectors: Vectors,
    apic_id: u32,
    address: AtomicU32,
    /// The CPU that runs the vCPU.
    cpu_index: usize,
}

impl Mailbox {
    /// For the vCPU with that APIC id on that CPU of the host.
    pub fn new(apic_id: u32, cpu_index: usize) -> Self {
        Self {
            requests: AtomicU32::new(0),
            whereabouts: AtomicU8::new(Whereabouts::Away as u8),
            start_page: AtomicU8::new(0),
            vectors: Vectors::default(),
            apic_id,
            address: AtomicU32::new(0),
            cpu_index,
        }
    }

    /// The host's CPU that runs the vCPU.
    pub fn cpu_index(&self) -> usize {
        self.cpu_index
    }

    /// How messages find the vCPU's local APIC.
    #[inline]
    pub fn address(&self) -> Address {
        Address::unpack(self.apic_id, self.address.load(Ordering::Relaxed))
    }

    /// The vCPU itself: says how.
    #[inline]
    pub fn show_address(&self, address: Address) {
        let word = address.pack();
        if word != self.address.load(Ordering::Relaxed) {
            self.address.store(word, Ordering::Release);
        }
    }

    /// Leaves requests; true if one of them is new.
    pub fn leave(&self, requests: Requests) -> bool {
        let before = self.requests.fetch_or(requests.bits(), Ordering::SeqCst);
        before & requests.bits() != requests.bits()
    }

    /// Leaves requests, and sees to it that the vCPU looks soon.
    pub fn request(&self, requests: Requests) {
        // Whoever left the same before has rung, and the vCPU has not looked since.
        if self.leave(requests)
            && self.whereabouts.load(Ordering::SeqCst) != Whereabouts::Hypervisor as u8
        {
            ring(self.cpu_index);
        }
    }

    /// Leaves an interrupt message.
    pub fn send(&self, message: &ApicMessage) {
        match message.delivery {
            Delivery::Fixed | Delivery::LowestPriority => {
                let (word, bit) = place(message.vector);
                match message.trigger {
                    Trigger::Level => self.vectors.level[word].fetch_or(bit, Ordering::Relaxed),
                    Trigger::Edge => self.vectors.level[word].fetch_and(!bit, Ordering::Relaxed),
                };
                self.vectors.requested[word].fetch_or(bit, Ordering::Release);
                self.request(Requests::VECTORS);
            }
            Delivery::Nmi => self.request(Requests::NMI),
            Delivery::Init => {
                // A start-up message that came before finds no vCPU that waits for it.
                self.requests
                    .fetch_and(!Requests::START_UP.bits(), Ordering::SeqCst);
                self.request(Requests::INIT);
            }
            Delivery::StartUp => {
                self.start_page.store(message.vector, Ordering::Relaxed);
                self.request(Requests::START_UP);
            }
            // There is no SMM, and the 8259s are wired to LINT0.
            Delivery::Smi | Delivery::ExtInt => {}
        }
    }

    /// The vCPU itself: whether anything waits, one plain load.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
    }

    /// The vCPU itself: takes what waits.
    pub fn take(&self) -> Requests {
        Requests::from_bits_retain(self.requests.swap(0, Ordering::SeqCst))
    }

    /// The vCPU itself: takes the vectors of [`Requests::VECTORS`], with how they were triggered.
    pub fn take_vectors(&self, mut to: impl FnMut(u8, Trigger)) {
        for (word, requested) in (0..).zip(&self.vectors.requested) {
            let mut left = requested.swap(0, Ordering::Acquire);
            let level = self.vectors.level[usize::from(word)].load(Ordering::Relaxed);
            while left != 0 {
                let bit = left.trailing_zeros() as u8;
                left &= left - 1;
                let trigger = if level >> bit & 1 != 0 {
                    Trigger::Level
                } else {
                    Trigger::Edge
                };
                to(word << 6 | bit, trigger);
            }
        }
    }

    /// The vCPU itself: the page of the last start-up message.
    pub fn start_page(&self) -> u8 {
        self.start_page.load(Ordering::Relaxed)
    }

    /// The vCPU itself: forgets everything that waits but a stop, as a reset does.
    pub fn clear(&self) {
        self.requests
            .fetch_and(Requests::STOP.bits(), Ordering::SeqCst);
        for requested in &self.vectors.requested {
            requested.store(0, Ordering::Relaxed);
        }
    }

    /// The vCPU itself: it is about to enter the guest or to sleep. False if something waits, and it must not.
    #[inline]
    pub fn leave_to(&self, whereabouts: Whereabouts) -> bool {
        self.whereabouts.store(whereabouts as u8, Ordering::SeqCst);
        if self.requests.load(Ordering::SeqCst) == 0 {
            return true;
        }
        self.come_back();
        false
    }

    /// The vCPU itself: it is in hypervisor code again.
    #[inline]
    pub fn come_back(&self) {
        self.whereabouts
            .store(Whereabouts::Hypervisor as u8, Ordering::Release);
    }

    /// The vCPU itself: its CPU turns to something else, and will look for requests before it sleeps.
    pub fn be_away(&self) {
        self.whereabouts
            .store(Whereabouts::Away as u8, Ordering::SeqCst);
    }

    /// Has the vCPU forget what its TLB holds, and waits until it is not in guest code with the old. That takes an interrupt of its CPU,
    /// and no lock.
    pub fn flush_and_wait(&self) {
        self.request(Requests::FLUSH);
        while self.whereabouts.load(Ordering::SeqCst) == Whereabouts::Guest as u8
            && self.requests.load(Ordering::SeqCst) & Requests::FLUSH.bits() != 0
        {
            hint::spin_loop();
        }
    }
}

const fn place(vector: u8) -> (usize, u64) {
    ((vector >> 6) as usize, 1 << (vector & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use hvm::apic::Destination;
    use std::sync::Arc;
    use std::thread;

    fn message(vector: u8, trigger: Trigger) -> ApicMessage {
        ApicMessage {
            destination: Destination::All,
            delivery: Delivery::Fixed,
            vector,
            trigger,
        }
    }

    #[test]
    fn vectors_arrive_once_with_their_trigger() {
        let mailbox = Mailbox::new(3, 0);
        mailbox.send(&message(0x31, Trigger::Edge));
        mailbox.send(&message(0xfe, Trigger::Level));
        mailbox.send(&message(0x31, Trigger::Edge));
        assert_eq!(mailbox.take(), Requests::VECTORS);
        let mut seen = Vec::new();
        mailbox.take_vectors(|vector, trigger| seen.push((vector, trigger)));
        assert_eq!(seen, [(0x31, Trigger::Edge), (0xfe, Trigger::Level)]);
        assert!(mailbox.is_empty());
        mailbox.take_vectors(|_, _| panic!("taken before"));
    }

    #[test]
    fn init_undoes_the_start_up_before_it_and_not_the_one_behind() {
        let of = |delivery| ApicMessage {
            delivery,
            ..message(0x9a, Trigger::Edge)
        };
        let mailbox = Mailbox::new(0, 0);
        mailbox.send(&of(Delivery::StartUp));
        mailbox.send(&of(Delivery::Init));
        assert_eq!(mailbox.take(), Requests::INIT);
        mailbox.send(&of(Delivery::Init));
        mailbox.send(&of(Delivery::StartUp));
        assert_eq!(mailbox.take(), Requests::INIT | Requests::START_UP);
        assert_eq!(mailbox.start_page(), 0x9a);
    }

    #[test]
    fn nobody_leaves_while_something_waits() {
        let mailbox = Mailbox::new(0, 0);
        mailbox.request(Requests::NMI);
        assert!(!mailbox.leave_to(Whereabouts::Guest));
        assert_eq!(mailbox.take(), Requests::NMI);
        assert!(mailbox.leave_to(Whereabouts::Guest));
    }

    #[test]
    fn a_reset_forgets_all_but_the_stop() {
        let mailbox = Mailbox::new(0, 0);
        mailbox.request(Requests::STOP | Requests::INIT | Requests::START_UP);
        mailbox.send(&message(0x50, Trigger::Edge));
        mailbox.clear();
        assert_eq!(mailbox.take(), Requests::STOP);
        mailbox.take_vectors(|_, _| panic!("forgotten"));
    }

    #[test]
    fn every_vector_of_many_senders_is_seen() {
        const ROUNDS: u32 = 20_000;
        let mailbox = Arc::new(Mailbox::new(0, 0));
        let counts: Arc<[AtomicU32; 2]> = Arc::default();
        let senders: Vec<_> = [0x41_u8, 0x42]
            .into_iter()
            .enumerate()
            .map(|(index, vector)| {
                let (mailbox, counts) = (mailbox.clone(), counts.clone());
                thread::spawn(move || {
                    for round in 0..ROUNDS {
                        mailbox.send(&message(vector, Trigger::Edge));
                        while counts[index].load(Ordering::Acquire) <= round {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        while counts
            .iter()
            .any(|count| count.load(Ordering::Relaxed) < ROUNDS)
        {
            if mailbox.take().contains(Requests::VECTORS) {
                mailbox.take_vectors(|vector, _| {
                    counts[usize::from(vector - 0x41)].fetch_add(1, Ordering::Release);
                });
            } else {
                thread::yield_now();
            }
        }
        senders
            .into_iter()
            .for_each(|sender| sender.join().unwrap());
    }
}
