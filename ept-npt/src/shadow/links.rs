//! Back links: from a page, or a table, to the shadow entries that lead there. Lists of bounded length in a pool of bounded size.

use alloc::vec::Vec;

/// The place of an entry: table times 512, plus index.
pub type Slot = u32;

const NONE: u32 = u32::MAX;
/// Set in a [`Head`] that names a node; without it the head is the only slot itself.
const LIST: u32 = 1 << 31;
/// The most links that one list has. One more takes the first one's place.
const LONGEST: usize = 64;

/// The begin of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head(u32);

impl Head {
    pub const EMPTY: Self = Self(NONE);

    pub const fn is_empty(self) -> bool {
        self.0 == NONE
    }
}

#[derive(Clone, Copy)]
struct Node {
    slot: Slot,
    next: u32,
}

/// The pool.
pub struct Links {
    nodes: Vec<Node>,
    free: u32,
}

impl Links {
    /// Bytes that a node takes.
    pub const NODE_BYTES: u64 = size_of::<Node>() as u64;

    /// With room for `count` nodes.
    pub fn new(count: usize) -> Self {
        let nodes = (1..=count).map(|next| Node {
            slot: 0,
            next: if next == count { NONE } else { next as u32 },
        });
        Self {
            nodes: nodes.collect(),
            free: if count == 0 { NONE } else { 0 },
        }
    }

    fn take(&mut self, slot: Slot, next: u32) -> Option<u32> {
        let index = self.free;
        let node = self.nodes.get_mut(index as usize)?;
        self.free = node.next;
        *node = Node { slot, next };
        Some(index)
    }

    fn give(&mut self, index: u32) {
        self.nodes[index as usize].next = self.free;
        self.free = index;
    }

    /// Adds a link. Where there is no room for one more, another leaves the list for it and is returned: the caller closes the way that
    /// it stands for.
    #[inline]
    pub fn add(&mut self, head: &mut Head, slot: Slot) -> Option<Slot> {
        if head.0 == NONE {
            head.0 = slot;
            return None;
        }
        self.add_to_others(head, slot)
    }

    #[inline(never)]
    fn add_to_others(&mut self, head: &mut Head, slot: Slot) -> Option<Slot> {
        if head.0 & LIST == 0 {
            let first = head.0;
            let Some(last) = self.take(first, NONE) else {
                return Some(core::mem::replace(&mut head.0, slot));
            };
            match self.take(slot, last) {
                Some(index) => head.0 = LIST | index,
                None => {
                    self.give(last);
                    head.0 = slot;
                    return Some(first);
                }
            }
            return None;
        }
        let index = head.0 & !LIST;
        let is_full = self.slots(*head).count() >= LONGEST;
        match if is_full {
            None
        } else {
            self.take(slot, index)
        } {
            Some(index) => {
                head.0 = LIST | index;
                None
            }
            None => Some(core::mem::replace(
                &mut self.nodes[index as usize].slot,
                slot,
            )),
        }
    }

    /// Removes a link, if it is there.
    pub fn remove(&mut self, head: &mut Head, slot: Slot) {
        if head.0 == slot {
            head.0 = NONE;
            return;
        }
        if head.is_empty() || head.0 & LIST == 0 {
            return;
        }
        let mut before = NONE;
        let mut at = head.0 & !LIST;
        while at != NONE {
            let node = self.nodes[at as usize];
            if node.slot == slot {
                match (before, node.next) {
                    (NONE, NONE) => head.0 = NONE,
                    (NONE, next) => head.0 = LIST | next,
                    (before, next) => self.nodes[before as usize].next = next,
                }
                self.give(at);
                return;
            }
            before = at;
            at = node.next;
        }
    }

    /// Takes any link out.
    pub fn pop(&mut self, head: &mut Head) -> Option<Slot> {
        let slot = self.slots(*head).next()?;
        self.remove(head, slot);
        Some(slot)
    }

    /// All links of a list.
    pub fn slots(&self, head: Head) -> impl Iterator<Item = Slot> {
        let only = (!head.is_empty() && head.0 & LIST == 0).then_some(head.0);
        let mut at = if head.is_empty() || only.is_some() {
            NONE
        } else {
            head.0 & !LIST
        };
        let nodes = core::iter::from_fn(move || {
            let node = *self.nodes.get(at as usize)?;
            at = node.next;
            Some(node.slot)
        });
        only.into_iter().chain(nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn lists_hold_what_was_added_less_what_left(
            room in 0_usize..40,
            steps in prop::collection::vec((0_usize..3, 0_u32..30, any::<bool>()), 0..300),
        ) {
            let mut links = Links::new(room);
            let mut lists = [(); 3].map(|()| (Head::EMPTY, BTreeSet::new()));
            for (which, slot, adds) in steps {
                let (head, model) = &mut lists[which];
                if adds && !model.contains(&slot) {
                    if let Some(left) = links.add(head, slot) {
                        prop_assert!(model.remove(&left));
                    }
                    model.insert(slot);
                } else if !adds {
                    links.remove(head, slot);
                    model.remove(&slot);
                }
                let found: BTreeSet<_> = links.slots(*head).collect();
                prop_assert_eq!(&found, &*model);
            }
            for (mut head, model) in lists {
                let mut popped = BTreeSet::new();
                while let Some(slot) = links.pop(&mut head) {
                    popped.insert(slot);
                }
                prop_assert_eq!(popped, model);
            }
            // Every node came back.
            let mut head = Head::EMPTY;
            let full = room.clamp(1, LONGEST) as u32;
            for slot in 0..full {
                prop_assert_eq!(links.add(&mut head, slot), if room < 2 && slot > 0 { Some(slot - 1) } else { None });
            }
        }
    }
}
