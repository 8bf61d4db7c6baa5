//! What all vCPUs of the guest share.

use super::clock::Timeline;
use super::dirty::Tracker;
use super::firmware::Firmware;
use super::framebuffer::Framebuffer;
use super::gate::Gate;
use super::hyperv::HyperV;
use super::mailbox::{Mailbox, Requests};
use super::shadow::ShadowPaging;
use crate::console::view;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use guest_mem::{GuestMemory, Hpa};
use hvm::Instant;
use pc::board::Board;
use spin::Mutex;

/// The vCPU that the others leave the board's timers, the 8259s and the services' requests to.
pub const KEEPER: usize = 0;

/// The machine that the guest's vCPUs are in.
pub struct Machine {
    /// Guest RAM.
    pub memory: GuestMemory,
    /// The chipset and all devices. Only vCPUs take this lock; services talk to devices through queues.
    pub board: Mutex<Board>,
    /// Where captures of the screen go. Only vCPUs take this lock, before the board's.
    pub view: Mutex<view::GuestEnd>,
    /// What its clocks have in common.
    pub timeline: Timeline,
    /// Hyper-V's interface.
    pub hyperv: HyperV,
    /// The root of the nested tables.
    pub root: Hpa,
    /// The shadow of the guest's tables, where the CPU has no nested paging, or is not to use it.
    pub shadow: Option<ShadowPaging>,
    /// How the guest's memory is translated, for people.
    pub paging: &'static str,
    /// The display's memory within the guest's reach.
    pub framebuffer: Framebuffer,
    /// The nested tables, and who wrote where. Taken for changes of the tables; a vCPU that waits for others' TLBs does not wait for
    /// their locks (see [`Mailbox::flush_and_wait`]).
    pub tracker: Mutex<Tracker>,
    /// Whether [`Tracker::protects`], and whether the CPU's modification log is on: for vCPUs to see without the lock.
    pub watch: Watch,
    /// The guest's BIOS, if it boots through one.
    pub firmware: Mutex<Option<Box<Firmware>>>,
    /// One for each vCPU.
    pub mailboxes: Box<[Mailbox]>,
    /// Where the vCPUs stop for one another.
    pub gate: Gate,
    /// How many vCPUs have the CPU serve their local APIC by an access page.
    pub access_pages: AtomicU32,
    /// What the board shows to the keeper.
    pub face: Face,
    /// Where the search for a lowest-priority interrupt's receiver starts next.
    pub turn: AtomicU32,
}

/// How writes are tracked, as every vCPU has to know it.
#[derive(Debug, Default)]
pub struct Watch {
    /// Write faults may be due to tracking.
    pub protects: AtomicBool,
    /// The CPUs list the pages that they modify.
    pub lists: AtomicBool,
}

/// The board's outputs, as the last vCPU that worked on it left them. Written under the board's lock.
#[derive(Debug)]
pub struct Face {
    pic_output: AtomicBool,
    deadline_ns: AtomicU64,
}

impl Default for Face {
    fn default() -> Self {
        Self {
            pic_output: AtomicBool::new(false),
            deadline_ns: AtomicU64::new(u64::MAX),
        }
    }
}

impl Face {
    /// The 8259s' output, and when the board wants a turn.
    pub fn get(&self) -> (bool, Option<Instant>) {
        let deadline_ns = self.deadline_ns.load(Ordering::Acquire);
        (
            self.pic_output.load(Ordering::Acquire),
            (deadline_ns != u64::MAX).then(|| Instant::from_ns(deadline_ns)),
        )
    }

    /// Tells the keeper's own change of the 8259s' output.
    pub fn set_pic_output(&self, output: bool) {
        self.pic_output.store(output, Ordering::Release);
    }

    /// Tells them; true if that is news.
    pub fn set(&self, pic_output: bool, deadline: Option<Instant>) -> bool {
        let deadline_ns = deadline.map_or(u64::MAX, |at| at.ns);
        let before = self.pic_output.swap(pic_output, Ordering::AcqRel);
        let old_ns = self.deadline_ns.swap(deadline_ns, Ordering::AcqRel);
        before != pic_output || old_ns != deadline_ns
    }
}

impl Machine {
    /// Tells every vCPU how writes are tracked now.
    pub fn show_watch(&self, tracker: &Tracker) {
        let watch = &self.watch;
        watch.protects.store(tracker.protects(), Ordering::Release);
        watch.lists.store(tracker.lists(), Ordering::Release);
    }

    /// How many vCPUs there are.
    pub fn vcpus(&self) -> usize {
        self.mailboxes.len()
    }

    /// The nested tables were changed to allow less, or something else, by vCPU `index`: no other vCPU goes by the old ones any more when
    /// this returns. The caller flushes its own.
    #[cold]
    pub fn flush_others(&self, index: usize) {
        for (_, mailbox) in self.others(index) {
            mailbox.flush_and_wait();
        }
    }

    /// All vCPUs but `index`, with theirs.
    pub fn others(&self, index: usize) -> impl Iterator<Item = (usize, &Mailbox)> {
        let all = self.mailboxes.iter().enumerate();
        all.filter(move |(other, _)| *other != index)
    }

    /// Has the keeper look at the board's outputs.
    #[cold]
    pub fn tell_keeper(&self) {
        self.mailboxes[KEEPER].request(Requests::LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boards_face_is_news_once() {
        let face = Face::default();
        assert_eq!(face.get(), (false, None));
        let at = Some(Instant::from_ns(7));
        assert!(face.set(true, at));
        assert!(!face.set(true, at));
        assert_eq!(face.get(), (true, at));
        assert!(face.set(true, None));
    }
}
