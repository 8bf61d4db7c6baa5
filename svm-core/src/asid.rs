//! Address-space identifiers: a fresh one instead of a flush, until they run out (APM vol. 2, 15.16).

use crate::bits::tlb;

/// The ASIDs of one CPU. 0 is the host's.
#[derive(Debug)]
pub struct Asids {
    next: u32,
    count: u32,
}

/// The ASID for the next entry, with the TLB control byte that must go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    pub asid: u32,
    pub tlb_control: u8,
}

impl Asids {
    /// `count` is CPUID 8000_000Ah.EBX: identifiers 1…count-1 may be used.
    pub const fn new(count: u32) -> Self {
        // Where the count makes no sense there is at least ASID 1 (15.5.1 only forbids 0).
        Self {
            next: 1,
            count: if count < 2 { 2 } else { count },
        }
    }

    /// An ASID of which the TLB holds nothing. The first round starts with a flush too: firmware or a hypervisor before
    /// us may have used any of them.
    pub fn fresh(&mut self) -> Tag {
        if self.next >= self.count {
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
        let mut asids = Asids::new(3);
        let tags: std::vec::Vec<Tag> = (0..5).map(|_| asids.fresh()).collect();
        assert!(tags.iter().all(|tag| tag.asid != 0 && tag.asid < 3));
        let flushes: std::vec::Vec<u8> = tags.iter().map(|tag| tag.tlb_control).collect();
        assert_eq!(flushes, [1, 0, 1, 0, 1]);
        assert_eq!(Asids::new(0).fresh().asid, 1);
    }
}
