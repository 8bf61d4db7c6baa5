//! Address-space identifiers: a fresh one instead of a flush, until they run out (APM vol. 2, 15.16).

use crate::bits::tlb;

/// The ASIDs of one CPU. 0 is the host's.
#[derive(Debug)]
pub struct Asids {
    next: u32,
    last: u32,
}

/// The ASID for the next entry, with the TLB control byte that must go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    pub asid: u32,
    pub tlb_control: u8,
}

impl Asids {
    /// `tags` is how many identifiers may be used beside the host's: 1…tags.
    pub const fn new(tags: u32) -> Self {
        // Where the CPU counts none there is at least ASID 1 (15.5.1 only forbids 0).
        Self {
            next: 1,
            last: if tags == 0 { 1 } else { tags },
        }
    }

    /// Others have used ASIDs of this CPU: the next one comes with a flush of all.
    pub fn restart(&mut self) {
        self.next = 1;
    }

    /// An ASID of which the TLB holds nothing. The first round starts with a flush too: firmware or a hypervisor before
    /// us may have used any of them.
    pub fn fresh(&mut self) -> Tag {
        if self.next > self.last {
            self.next = 1;
        }
        let asid = self.next;
        self.next += 1;
        Tag {
            asid,
            tlb_control: if asid == 1 {
                tlb::FLUSH_ALL
            } else {
                tlb::NOTHING
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_starts_with_a_flush_and_none_uses_the_hosts_tag() {
        let mut asids = Asids::new(2);
        let tags: std::vec::Vec<Tag> = (0..5).map(|_| asids.fresh()).collect();
        assert!(tags.iter().all(|tag| tag.asid != 0 && tag.asid < 3));
        let flushes: std::vec::Vec<u8> = tags.iter().map(|tag| tag.tlb_control).collect();
        assert_eq!(flushes, [1, 0, 1, 0, 1]);
        assert_eq!(Asids::new(0).fresh().asid, 1);
    }

    #[test]
    fn after_others_the_next_one_flushes_all() {
        let mut asids = Asids::new(8);
        asids.fresh();
        asids.fresh();
        asids.restart();
        let tag = asids.fresh();
        assert_eq!((tag.asid, tag.tlb_control), (1, tlb::FLUSH_ALL));
        assert_eq!(asids.fresh().tlb_control, tlb::NOTHING);
    }
}
