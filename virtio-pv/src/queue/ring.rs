//! A running ring: who owns which entry, and who is told when.

use super::chain::{Chain, Head, Table};
use super::layout::{UsedElement, available, used};
use super::{Placement, RingFault};
use crate::features::Features;
use core::sync::atomic::{Ordering, fence};
use guest_mem::{Gpa, GuestMemory};

/// Whether the driver asked to be interrupted for what was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It did.
    Interrupt,
    /// It did, and is told later, unless it has found what was published by then.
    Held(Wait),
    /// Nothing new, or it did not.
    Quiet,
}

/// Since when a notice is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The driver had found, or been told, all that was published before.
    Begins,
    /// It is owed another as well.
    GoesOn,
}

/// Whether the driver may be told later of what was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It may.
    Some,
    /// It may not.
    None,
}

/// For which of the entries that come behind a batch a kick is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kick {
    /// The first.
    First,
    /// The second: the first is looked for soon in any case. Of drivers with event indices; others kick for each.
    Second,
}

/// The device's place in a ring. Indices run freely and wrap at 2^16.
///
/// Work comes in batches: [`Ring::open`] fixes how far the driver had got, and asks for a kick for whatever comes
/// later; [`Ring::take`] gives out just that batch. So one kick causes at most one ring's worth of work, and nothing
/// that the driver adds meanwhile is overlooked.
#[derive(Debug)]
pub(super) struct Ring {
    place: Placement,
    features: Features,
    /// The next available entry to take.
    next_available: u16,
    /// One past the last entry of the open batch.
    batch_end: u16,
    /// The next used entry to write.
    next_used: u16,
    /// The used index that the driver was last shown.
    published: u16,
    /// Up to here it has been told, or did not want to be.
    told: u16,
}

impl Ring {
    pub(super) fn new(place: Placement, features: Features) -> Self {
        Self {
            told: 0,
            ..Self::resumed(place, features, 0, 0)
        }
    }

    /// A ring that was saved with these indices. The driver may not have been told of anything in it.
    pub(super) fn resumed(
        place: Placement,
        features: Features,
        next_available: u16,
        next_used: u16,
    ) -> Self {
        Self {
            place,
            features,
            next_available,
            batch_end: next_available,
            next_used,
            published: next_used,
            told: next_used.wrapping_sub(place.size.entries()),
        }
    }

    pub(super) fn indices(&self) -> (u16, u16) {
        (self.next_available, self.next_used)
    }

    /// Opens a batch with everything that the driver has made available.
    #[inline(always)]
    pub(super) fn open(&mut self, memory: &GuestMemory, kick: Kick) -> Result<(), RingFault> {
        let mut end = self.available_index(memory)?;
        if self.features.contains(Features::EVENT_INDEX) {
            end = self.arm(memory, end, kick)?;
        }
        self.batch_end = end;
        // The index first, then the entries that it vouches for (2.7.13.1, seen from this side).
        fence(Ordering::Acquire);
        Ok(())
    }

    /// Asks for a kick for every entry past `end`, or past the next. An entry that arrives before the driver can see the request would
    /// come without a kick, so the index is read again until it stands still. The ring has room for few such entries
    /// while we take none: one that moves longer is not a ring.
    fn arm(&self, memory: &GuestMemory, mut end: u16, kick: Kick) -> Result<u16, RingFault> {
        let spared = u16::from(kick == Kick::Second);
        let size = self.place.size.entries();
        let event = self.place.used.wrapping_add(used::avail_event(size));
        for _ in 0..=size {
            memory.store(event, &end.wrapping_add(spared))?;
            fence(Ordering::SeqCst);
            let now = self.available_index(memory)?;
            if now == end {
                return Ok(end);
            }
            end = now;
        }
        Err(RingFault::Restless)
    }

    /// Takes the next chain of the open batch.
    #[inline(always)]
    pub(super) fn take(
        &mut self,
        memory: &GuestMemory,
        chain: &mut Chain,
    ) -> Result<Option<Head>, RingFault> {
        if self.next_available == self.batch_end {
            return Ok(None);
        }
        if self.next_available.wrapping_sub(self.next_used) >= self.place.size.entries() {
            return Err(RingFault::Overcommitted);
        }
        let slot = self.place.size.slot(self.next_available);
        let head = memory.load(
            self.place
                .available
                .wrapping_add(available::HEADS + available::HEAD_BYTES * slot),
        )?;
        self.walk(memory, head, chain)?;
        self.next_available = self.next_available.wrapping_add(1);
        Ok(Some(Head(head)))
    }

    /// Reads the chain at `head` once more, for a request that was outstanding when the ring was saved.
    #[inline(always)]
    pub(super) fn walk(
        &self,
        memory: &GuestMemory,
        head: u16,
        chain: &mut Chain,
    ) -> Result<(), RingFault> {
        let table = Table::ring(self.place.descriptors, self.place.size.entries());
        chain.walk(memory, table, head, self.features)
    }

    /// Undoes the last `take`.
    pub(super) fn put_back(&mut self) {
        self.next_available = self.next_available.wrapping_sub(1);
    }

    /// Gives a chain back, unseen by the driver until [`Ring::publish`].
    #[inline]
    pub(super) fn complete(
        &mut self,
        memory: &GuestMemory,
        head: Head,
        bytes: u32,
    ) -> Result<(), RingFault> {
        let slot = self.place.size.slot(self.next_used);
        let element = UsedElement {
            head: u32::from(head.0),
            bytes,
        };
        memory.store(
            self.place
                .used
                .wrapping_add(used::ELEMENTS + used::ELEMENT_BYTES * slot),
            &element,
        )?;
        self.next_used = self.next_used.wrapping_add(1);
        Ok(())
    }

    /// Shows the driver what was completed, and says whether it asked for an interrupt (2.7.7, 2.7.10). A notice that may wait is held
    /// as long as it leaves the driver half a ring.
    #[inline(always)]
    pub(super) fn publish(
        &mut self,
        memory: &GuestMemory,
        patience: Patience,
    ) -> Result<Notice, RingFault> {
        if self.told == self.next_used {
            return Ok(Notice::Quiet);
        }
        let before = core::mem::replace(&mut self.published, self.next_used);
        if before != self.next_used {
            // Data and elements before the index.
            fence(Ordering::Release);
            memory.store(self.place.used.wrapping_add(used::INDEX), &self.next_used)?;
        }
        // The index before the question: the driver asks and looks in the opposite order, so one of us sees the other.
        fence(Ordering::SeqCst);
        let wanted = if self.features.contains(Features::EVENT_INDEX) {
            let event: u16 =
                memory.load(self.available(available::used_event(self.place.size.entries())))?;
            if !passed(event, self.told, before) {
                self.told = before;
            }
            passed(event, self.told, self.next_used)
        } else {
            let flags: u16 = memory.load(self.available(available::FLAGS))?;
            flags & available::NO_INTERRUPT == 0
        };
        let owed = self.next_used.wrapping_sub(self.told);
        if wanted && patience == Patience::Some && owed < self.place.size.entries() / 2 {
            return Ok(Notice::Held(match self.told == before {
                true => Wait::Begins,
                false => Wait::GoesOn,
            }));
        }
        self.told = self.next_used;
        Ok(match wanted {
            true => Notice::Interrupt,
            false => Notice::Quiet,
        })
    }

    /// How far the driver has got; at most one ring's length ahead.
    #[inline]
    fn available_index(&self, memory: &GuestMemory) -> Result<u16, RingFault> {
        let found: u16 = memory.load(self.available(available::INDEX))?;
        if found.wrapping_sub(self.next_available) > self.place.size.entries() {
            return Err(RingFault::AvailableIndex {
                found,
                next: self.next_available,
            });
        }
        Ok(found)
    }

    #[inline]
    fn available(&self, offset: u64) -> Gpa {
        self.place.available.wrapping_add(offset)
    }
}

/// True if an index that moved from `old` to `new` passed `event` (2.7.10).
#[inline]
pub(super) fn passed(event: u16, old: u16, new: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MEMORY_BYTES: u64 = 0x4000;

    /// A ring of 8 with nothing in it, and its memory.
    fn ring(features: Features) -> (GuestMemory, Ring) {
        let memory = GuestMemory::anonymous(&[(Gpa(0), MEMORY_BYTES)]);
        let place = Placement::new(8, Gpa(0x1000), Gpa(0x2000), Gpa(0x3000)).unwrap();
        (memory, Ring::new(place, features))
    }

    fn offer(memory: &GuestMemory, index: u16) {
        memory
            .store(Gpa(0x2000 + available::INDEX), &index)
            .unwrap();
    }

    #[test]
    fn a_batch_ends_where_the_driver_was_when_it_was_opened() {
        let (memory, mut ring) = ring(Features::EVENT_INDEX);
        let mut chain = Chain::new();
        offer(&memory, 2);
        assert_eq!(ring.take(&memory, &mut chain), Ok(None), "not opened");
        ring.open(&memory, Kick::First).unwrap();
        let event = Gpa(0x3000 + used::avail_event(8));
        assert_eq!(
            memory.load(event),
            Ok(2_u16),
            "a kick is wanted for the third"
        );
        offer(&memory, 3);
        assert!(ring.take(&memory, &mut chain).unwrap().is_some());
        assert!(ring.take(&memory, &mut chain).unwrap().is_some());
        assert_eq!(ring.take(&memory, &mut chain), Ok(None));
        ring.put_back();
        assert!(ring.take(&memory, &mut chain).unwrap().is_some());
        ring.open(&memory, Kick::Second).unwrap();
        assert_eq!(memory.load(event), Ok(4_u16), "or for the second");
    }

    #[test]
    fn a_driver_cannot_have_more_under_way_than_the_ring_holds() {
        let (memory, mut ring) = ring(Features::empty());
        let mut chain = Chain::new();
        offer(&memory, 8);
        ring.open(&memory, Kick::First).unwrap();
        for _ in 0..8 {
            assert!(ring.take(&memory, &mut chain).unwrap().is_some());
        }
        offer(&memory, 16);
        ring.open(&memory, Kick::First).unwrap();
        assert_eq!(
            ring.take(&memory, &mut chain),
            Err(RingFault::Overcommitted)
        );
    }

    #[test]
    fn elements_show_only_when_published() {
        let (memory, mut ring) = ring(Features::empty());
        ring.complete(&memory, Head(5), 7).unwrap();
        assert_eq!(memory.load(Gpa(0x3000 + used::INDEX)), Ok(0_u16));
        assert_eq!(ring.publish(&memory, Patience::None), Ok(Notice::Interrupt));
        assert_eq!(memory.load(Gpa(0x3000 + used::INDEX)), Ok(1_u16));
        let element: UsedElement = memory.load(Gpa(0x3000 + used::ELEMENTS)).unwrap();
        assert_eq!((element.head, element.bytes), (5, 7));
        assert_eq!(
            ring.publish(&memory, Patience::None),
            Ok(Notice::Quiet),
            "nothing new"
        );
    }

    #[test]
    fn a_notice_that_may_wait_is_held_until_the_driver_has_looked() {
        let (memory, mut ring) = ring(Features::EVENT_INDEX);
        let event = Gpa(0x2000 + available::used_event(8));
        let shown = |memory: &GuestMemory| memory.load::<u16>(Gpa(0x3000 + used::INDEX)).unwrap();
        ring.complete(&memory, Head(0), 0).unwrap();
        assert_eq!(
            ring.publish(&memory, Patience::Some),
            Ok(Notice::Held(Wait::Begins))
        );
        assert_eq!(shown(&memory), 1, "shown at once");
        ring.complete(&memory, Head(1), 0).unwrap();
        assert_eq!(
            ring.publish(&memory, Patience::Some),
            Ok(Notice::Held(Wait::GoesOn))
        );
        // The driver has found both, and wants to hear of the next.
        memory.store(event, &2_u16).unwrap();
        assert_eq!(ring.publish(&memory, Patience::Some), Ok(Notice::Quiet));
        ring.complete(&memory, Head(2), 0).unwrap();
        assert_eq!(
            ring.publish(&memory, Patience::Some),
            Ok(Notice::Held(Wait::Begins))
        );
        assert_eq!(
            ring.publish(&memory, Patience::None),
            Ok(Notice::Interrupt),
            "time is up"
        );
        assert_eq!(ring.publish(&memory, Patience::None), Ok(Notice::Quiet));
        // Half a ring is not held.
        memory.store(event, &3_u16).unwrap();
        for (head, wait) in [(3, Wait::Begins), (4, Wait::GoesOn), (5, Wait::GoesOn)] {
            ring.complete(&memory, Head(head), 0).unwrap();
            assert_eq!(
                ring.publish(&memory, Patience::Some),
                Ok(Notice::Held(wait))
            );
        }
        ring.complete(&memory, Head(6), 0).unwrap();
        assert_eq!(ring.publish(&memory, Patience::Some), Ok(Notice::Interrupt));
    }

    #[test]
    fn what_was_held_when_it_was_saved_is_told_afterwards() {
        let (memory, ring) = ring(Features::EVENT_INDEX);
        memory
            .store(Gpa(0x2000 + available::used_event(8)), &3_u16)
            .unwrap();
        let mut ring = Ring::resumed(ring.place, Features::EVENT_INDEX, 5, 5);
        assert_eq!(ring.publish(&memory, Patience::None), Ok(Notice::Interrupt));
    }

    proptest! {
        #[test]
        fn an_event_is_passed_when_the_index_steps_over_it(event: u16, old: u16, moved in 0_u16..257) {
            let steps = (0..moved).map(|step| old.wrapping_add(step));
            prop_assert_eq!(passed(event, old, old.wrapping_add(moved)), steps.into_iter().any(|index| index == event));
        }
    }
}
