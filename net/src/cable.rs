//! The cable between a guest's card and the switch: two bounded queues of packets, without a lock.
//!
//! Neither end waits. What the guest sends waits for the switch, and when it was refused, for want of room or of a buffer, the
//! switch has the board polled once there is some again ([`SwitchEnd::settle`]). The other way round, a refused switch is woken when
//! the guest has fetched something. So who holds up frames holds up at most the two queues.

use crate::gather::{Gathered, Gatherer};
use crate::switch::{Outlet, Refusal};
use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};
use crossbeam_queue::ArrayQueue;
use guest_mem::Gpa;
use heapless::spsc::{Consumer, Producer, Queue};
use hvm::backend::{Cuts, Ethernet, Link, Wants};
use hvm::packet::{Lender, Packet, Pool};
use hvm::segment::{Cutter, Pieces};

/// Tickets of frames of which parts are lent that may be under way: each is an entry of one of a card's transmit queues.
const MAX_TICKETS: usize = 8 * 256;
/// Frames that may wait in either direction.
pub const QUEUE_FRAMES: usize = 128;

/// Whom to wake at the two ends.
#[derive(Clone, Copy, Debug)]
pub struct Wakers {
    /// Called by the guest's end when it has sent something, has room again, or wants some. Runs on the exit path: it may send an interrupt,
    /// and nothing slower.
    pub switch: fn(),
    /// Called by the switch's end when there is something to fetch, when there is room again, and when the link changes: has the board
    /// polled.
    pub guest: fn(),
}

/// A direction's queue; it has one place more than it takes frames.
type Frames = Queue<Packet, { QUEUE_FRAMES + 1 }>;

struct Shared {
    /// Shortest buffers first.
    pools: Box<[&'static Pool]>,
    /// The guest's card was refused: the length of the frame that it wants room for, or [`CONTENT`].
    wanted_bytes: AtomicUsize,
    /// The switch was refused.
    crowded: AtomicBool,
    up: AtomicBool,
    /// Which long frames the guest takes: [`Cuts`].
    long: AtomicU8,
    /// Packets on their way to the guest behind the first of a train.
    behind: AtomicUsize,
    /// The guest wants everybody's frames.
    promiscuous: AtomicBool,
    /// The guest may lend parts of frames, and the tickets of those that are done with.
    borrows: AtomicBool,
    returned: ArrayQueue<u32>,
    wakers: Wakers,
}

/// The guest wants no room.
const CONTENT: usize = usize::MAX;

/// The guest card's end.
pub struct GuestEnd {
    shared: &'static Shared,
    to_switch: Producer<'static, Packet>,
    from_switch: Consumer<'static, Packet>,
}

/// The switch's end.
pub struct SwitchEnd {
    shared: &'static Shared,
    to_guest: Producer<'static, Packet>,
    from_guest: Consumer<'static, Packet>,
    /// Something for the guest to look at since it was woken.
    news: bool,
    gathering: Gathering,
    gatherer: Gatherer,
    /// A train that there was no room for. Nobody else may have it: it is no frame for others.
    waiting: Option<Packet>,
}

/// Whether a guest may lend parts of its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Borrowing {
    /// It may: most of them go to a card that fetches them where they lie.
    Allowed,
    /// They are to be copied.
    Forbidden,
}

/// Whether frames for the guest are joined on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gathering {
    /// Where it takes long frames, and of acknowledgements the last: see [`crate::gather`].
    #[default]
    On,
    /// Each comes as it is.
    Off,
}

/// Whether the guest waits for room that there is not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// It does not.
    Nothing,
    /// It does, and buffers may come home without the switch having done anything.
    Room,
}

/// A new cable, with its link up, for ever. The guest's frames come out of `pools`, given in the order of their buffers' lengths.
pub fn cable(pools: &[&'static Pool], wakers: Wakers) -> (GuestEnd, SwitchEnd) {
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        pools: pools.into(),
        wanted_bytes: AtomicUsize::new(CONTENT),
        crowded: AtomicBool::new(false),
        up: AtomicBool::new(true),
        long: AtomicU8::new(0),
        behind: AtomicUsize::new(0),
        promiscuous: AtomicBool::new(false),
        borrows: AtomicBool::new(false),
        returned: ArrayQueue::new(MAX_TICKETS),
        wakers,
    }));
    let queue = || Box::leak(Box::new(Frames::new())).split();
    let (to_switch, from_guest) = queue();
    let (to_guest, from_switch) = queue();
    let switch_end = SwitchEnd {
        shared,
        to_guest,
        from_guest,
        news: false,
        gathering: Gathering::On,
        gatherer: Gatherer::default(),
        waiting: None,
    };
    let guest_end = GuestEnd {
        shared,
        to_switch,
        from_switch,
    };
    (guest_end, switch_end)
}

impl Shared {
    fn fitting(&self, bytes: usize) -> impl Iterator<Item = &'static Pool> {
        let pools = self.pools.iter().copied();
        pools.filter(move |pool| pool.frame_bytes() >= bytes)
    }

    /// A free buffer that holds `bytes`.
    fn buffer(&self, bytes: usize) -> Option<Packet> {
        self.fitting(bytes).find_map(Pool::packet)
    }

    /// Whether there is a free buffer that holds `bytes`.
    fn has_buffer(&self, bytes: usize) -> bool {
        self.fitting(bytes).any(|pool| pool.available() > 0)
    }

    /// Notes what the guest found no room for, before it looks once more, so that what came in between is not slept through. The fence
    /// orders the note before that look; its counterpart is in [`SwitchEnd::settle`].
    fn starve(&self, bytes: usize) {
        self.wanted_bytes.store(bytes, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

impl Lender for Shared {
    /// The guest's end is woken by [`SwitchEnd::settle`].
    fn take_back(&self, ticket: u32) {
        // The queue has room for all that there are.
        let returned = self.returned.push(ticket);
        debug_assert!(returned.is_ok());
    }
}

impl GuestEnd {
    /// The longest frame that there are buffers for.
    pub fn longest_bytes(&self) -> usize {
        self.shared
            .pools
            .last()
            .map_or(0, |pool| pool.frame_bytes())
    }
}

impl Ethernet for GuestEnd {
    fn packet(&mut self, bytes: usize) -> Option<Packet> {
        self.shared.buffer(bytes).or_else(|| {
            self.shared.starve(bytes);
            let second = self.shared.buffer(bytes);
            (self.shared.wakers.switch)();
            second
        })
    }

    fn send(&mut self, packet: Packet) -> Result<(), Packet> {
        let shared = self.shared;
        let sent = self.to_switch.enqueue(packet).or_else(|packet| {
            shared.starve(0);
            self.to_switch.enqueue(packet)
        });
        (shared.wakers.switch)();
        sent
    }

    fn receive(&mut self) -> Option<Packet> {
        let packet = self.from_switch.dequeue();
        // Pairs with the fence in `SwitchEnd::push`.
        fence(Ordering::SeqCst);
        if self.shared.crowded.load(Ordering::Relaxed)
            && self.shared.crowded.swap(false, Ordering::Relaxed)
        {
            (self.shared.wakers.switch)();
        }
        if let Some(packet) = &packet
            && !packet.rest().is_empty()
        {
            let behind = packet.rest().len();
            self.shared.behind.fetch_sub(behind, Ordering::Relaxed);
        }
        packet
    }

    fn link(&self) -> Link {
        match self.shared.up.load(Ordering::Relaxed) {
            true => Link::Up,
            false => Link::Down,
        }
    }

    fn accept_long(&mut self, cuts: Cuts) {
        self.shared.long.store(cuts.bits(), Ordering::Relaxed);
    }

    fn borrows(&self) -> bool {
        self.shared.borrows.load(Ordering::Relaxed)
    }

    fn set_ticket(&self, packet: &mut Packet, ticket: u32) {
        packet.set_lender(self.shared, ticket);
    }

    fn returned(&mut self) -> Option<u32> {
        self.shared.returned.pop()
    }

    fn listen(&mut self, wants: Wants) {
        let everybody = wants == Wants::Everybody;
        if self.shared.promiscuous.swap(everybody, Ordering::Relaxed) != everybody {
            (self.shared.wakers.switch)();
        }
    }
}

impl SwitchEnd {
    /// The next frame from the guest.
    pub fn receive(&mut self) -> Option<Packet> {
        self.from_guest.dequeue()
    }

    /// Whose frames the guest wants.
    pub fn wants(&self) -> Wants {
        match self.shared.promiscuous.load(Ordering::Relaxed) {
            true => Wants::Everybody,
            false => Wants::Own,
        }
    }

    /// Sets whether frames for the guest are joined.
    pub fn set_gathering(&mut self, gathering: Gathering) {
        self.gathering = gathering;
    }

    /// Sets whether the guest may lend parts of its frames.
    pub fn set_borrowing(&mut self, borrowing: Borrowing) {
        let borrows = borrowing == Borrowing::Allowed;
        self.shared.borrows.store(borrows, Ordering::Relaxed);
    }

    /// The same frame with nothing lent, for those who do not fetch frames from several places; `read` copies out of guest memory. Back
    /// where there is no buffer for it now, and lost where there never is.
    pub fn take_in(
        &mut self,
        packet: Packet,
        read: impl FnMut(Gpa, &mut [u8]) -> bool,
    ) -> Result<Option<Packet>, Packet> {
        let bytes = packet.whole_len();
        match self.shared.buffer(bytes) {
            Some(whole) => Ok(packet.take_in(whole, read)),
            None if self.shared.fitting(bytes).next().is_none() => Ok(None),
            None => Err(packet),
        }
    }

    /// Plugs the cable in or out at the far side.
    pub fn set_link(&mut self, link: Link) {
        let up = link == Link::Up;
        self.news |= self.shared.up.swap(up, Ordering::Relaxed) != up;
    }

    /// Wakes the guest if there is a reason: after each turn, when packets have gone home. Says whether it still wants something.
    pub fn settle(&mut self) -> Want {
        self.send_trains();
        self.news |= !self.shared.returned.is_empty();
        fence(Ordering::SeqCst);
        let wanted = self.shared.wanted_bytes.load(Ordering::Relaxed);
        let has_room = || self.from_guest.len() < QUEUE_FRAMES && self.shared.has_buffer(wanted);
        let waits = wanted != CONTENT && !has_room();
        let relieved = wanted != CONTENT
            && !waits
            && self.shared.wanted_bytes.swap(CONTENT, Ordering::SeqCst) != CONTENT;
        if core::mem::take(&mut self.news) || relieved {
            (self.shared.wakers.guest)();
        }
        match waits {
            true => Want::Room,
            false => Want::Nothing,
        }
    }

    /// Ends all trains; one for which there is no room waits.
    fn send_trains(&mut self) {
        while let Some(train) = self.waiting.take().or_else(|| self.gatherer.take()) {
            if !self.send_train(train) {
                return;
            }
        }
    }

    /// False if it waits.
    fn send_train(&mut self, train: Packet) -> bool {
        self.waiting = self.push(train).err();
        self.waiting.is_none()
    }

    /// Whether a train is more than the guest's end is to hold now: as many packets as a full queue of single ones.
    #[cold]
    fn is_too_long(&self, behind: usize) -> bool {
        let there = || self.to_guest.len() + self.shared.behind.load(Ordering::Relaxed);
        if self.to_guest.is_empty() || there() + behind < QUEUE_FRAMES {
            return false;
        }
        self.shared.crowded.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        !self.to_guest.is_empty() && there() + behind >= QUEUE_FRAMES
    }

    fn push(&mut self, packet: Packet) -> Result<(), Packet> {
        let behind = packet.rest().len();
        if behind > 0 {
            if self.is_too_long(behind) {
                return Err(packet);
            }
            // Before the guest can see it, and take it off.
            self.shared.behind.fetch_add(behind, Ordering::Relaxed);
        }
        let queue = &mut self.to_guest;
        let pushed = queue.enqueue(packet).or_else(|packet| {
            // Noted before it is tried again, so that what the guest fetches in between is not overlooked.
            self.shared.crowded.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            queue.enqueue(packet)
        });
        self.news |= pushed.is_ok();
        if behind > 0 && pushed.is_err() {
            self.shared.behind.fetch_sub(behind, Ordering::Relaxed);
        }
        pushed
    }

    /// Sends a frame that is in no train.
    #[inline]
    fn send_single(&mut self, packet: Packet) -> Result<(), Refusal> {
        let takes = self.takes();
        match packet.offload().segmentation {
            Some(segmentation) if !takes.contains(segmentation.cut.into()) => self.send_cut(packet),
            _ => self.push(packet).map_err(Refusal::Later),
        }
    }

    #[inline]
    fn takes(&self) -> Cuts {
        Cuts::from_bits_retain(self.shared.long.load(Ordering::Relaxed))
    }

    /// Sends a frame in pieces, all of them or none.
    fn send_cut(&mut self, packet: Packet) -> Result<(), Refusal> {
        let (Some(cutter), Some(&pool)) = (Cutter::of(&packet), self.shared.pools.first()) else {
            return Err(Refusal::Never);
        };
        let longest = cutter.header_bytes() + cutter.piece_bytes(0).unwrap_or(0);
        if longest > pool.frame_bytes() || cutter.pieces() > QUEUE_FRAMES {
            return Err(Refusal::Never);
        }
        let room = || (QUEUE_FRAMES - self.to_guest.len()).min(pool.available());
        if cutter.pieces() > room() {
            self.shared.crowded.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if cutter.pieces() > room() {
                return Err(Refusal::Later(packet));
            }
        }
        for piece in Pieces::new(&packet, &cutter, pool) {
            // There is room: nobody else puts anything there.
            if self.push(piece).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl Outlet for SwitchEnd {
    /// A frame for the guest. [`SwitchEnd::settle`] tells it.
    #[inline]
    fn send(&mut self, packet: Packet) -> Result<(), Refusal> {
        if self.gathering == Gathering::Off
            || self.waiting.is_none() && self.gatherer.passes(&packet, self.takes())
        {
            return self.send_single(packet);
        }
        self.gather(packet)
    }
}

impl SwitchEnd {
    /// Sends a frame that may be one of a train.
    #[inline(never)]
    fn gather(&mut self, mut packet: Packet) -> Result<(), Refusal> {
        if let Some(train) = self.waiting.take()
            && !self.send_train(train)
        {
            return Err(Refusal::Later(packet));
        }
        loop {
            packet = match self.gatherer.offer(packet, self.takes()) {
                Gathered::Single(packet) => return self.send_single(packet),
                Gathered::Kept => return Ok(()),
                Gathered::After { packet, train } => match self.send_train(train) {
                    true => packet,
                    false => return Err(Refusal::Later(packet)),
                },
            };
        }
    }
}

#[cfg(test)]
mod tests;
