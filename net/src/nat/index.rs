//! A hash index over the slots of a table of fixed size, with chains: nothing is allocated after it is made.

use alloc::boxed::Box;
use alloc::vec;

const NONE: u32 = u32::MAX;

/// Slots by hash. What hashes alike is told apart by whoever looks.
pub struct Index {
    heads: Box<[u32]>,
    next: Box<[u32]>,
}

impl Index {
    /// For slots up to `count`.
    pub fn new(count: usize) -> Self {
        Self {
            heads: vec![NONE; count.next_power_of_two()].into(),
            next: vec![NONE; count].into(),
        }
    }

    fn bucket(&self, hash: u64) -> usize {
        hash as usize & (self.heads.len() - 1)
    }

    /// Adds a slot, which is not in it.
    pub fn insert(&mut self, hash: u64, slot: usize) {
        let bucket = self.bucket(hash);
        self.next[slot] = self.heads[bucket];
        self.heads[bucket] = slot as u32;
    }

    /// Takes a slot out that was inserted with this hash.
    pub fn remove(&mut self, hash: u64, slot: usize) {
        let bucket = self.bucket(hash);
        let behind = self.next[slot];
        if self.heads[bucket] == slot as u32 {
            self.heads[bucket] = behind;
            return;
        }
        let mut at = self.heads[bucket];
        while at != NONE {
            let next = self.next[at as usize];
            if next == slot as u32 {
                self.next[at as usize] = behind;
                return;
            }
            at = next;
        }
    }

    /// The newest slot with this hash that `is_wanted`.
    pub fn find(&self, hash: u64, mut is_wanted: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut at = self.heads[self.bucket(hash)];
        while at != NONE {
            if is_wanted(at as usize) {
                return Some(at as usize);
            }
            at = self.next[at as usize];
        }
        None
    }
}

/// Slots in the order in which they were used last, oldest first.
pub struct Order {
    ends: (u32, u32),
    links: Box<[(u32, u32)]>,
}

impl Order {
    /// For slots up to `count`.
    pub fn new(count: usize) -> Self {
        Self {
            ends: (NONE, NONE),
            links: vec![(NONE, NONE); count].into(),
        }
    }

    /// The one used longest ago.
    pub fn oldest(&self) -> Option<usize> {
        (self.ends.0 != NONE).then_some(self.ends.0 as usize)
    }

    /// Adds a slot, which is not in it, as the newest.
    pub fn push(&mut self, slot: usize) {
        let newest = core::mem::replace(&mut self.ends.1, slot as u32);
        self.links[slot] = (newest, NONE);
        match newest {
            NONE => self.ends.0 = slot as u32,
            newest => self.links[newest as usize].1 = slot as u32,
        }
    }

    /// Takes a slot out, which is in it.
    pub fn remove(&mut self, slot: usize) {
        let (before, behind) = self.links[slot];
        match before {
            NONE => self.ends.0 = behind,
            before => self.links[before as usize].1 = behind,
        }
        match behind {
            NONE => self.ends.1 = before,
            behind => self.links[behind as usize].0 = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn an_index_finds_what_is_in_it(steps in prop::collection::vec((0_usize..16, 0_u64..8), 0..200)) {
            let mut index = Index::new(16);
            let mut held: [Option<u64>; 16] = [None; 16];
            for (slot, hash) in steps {
                match held[slot].take() {
                    Some(old) => index.remove(old, slot),
                    None => {
                        index.insert(hash, slot);
                        held[slot] = Some(hash);
                    }
                }
                for (slot, hash) in held.iter().enumerate() {
                    let found = hash.and_then(|hash| index.find(hash, |it| it == slot));
                    prop_assert_eq!(found, hash.map(|_| slot));
                }
                let mut all = Vec::new();
                for hash in 0..16 {
                    index.find(hash, |slot| { all.push(slot); false });
                }
                prop_assert_eq!(all.len(), held.iter().flatten().count());
            }
        }

        #[test]
        fn an_order_is_a_queue_with_removal(steps in prop::collection::vec(0_usize..12, 0..200)) {
            let mut order = Order::new(12);
            let mut model = VecDeque::new();
            for slot in steps {
                match model.iter().position(|it| *it == slot) {
                    Some(at) => {
                        model.remove(at);
                        order.remove(slot);
                    }
                    None => {
                        model.push_back(slot);
                        order.push(slot);
                    }
                }
                prop_assert_eq!(order.oldest(), model.front().copied());
            }
        }
    }
}
