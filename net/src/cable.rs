//! The cable between a guest's card and the switch: two bounded queues of packets, without a lock.
//!
//! The guest's end never waits. What it sends waits for the switch, and when it was refused, for want of room or of a buffer, the
//! switch has the board polled once there is some again ([`SwitchEnd::settle`]). What the guest does not fetch in time is lost at the
//! switch's end, as on any cable. So who holds up frames holds up at most the two queues.

use crate::switch::Outlet;
use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::{AtomicBool, Ordering, fence};
use crossbeam_queue::ArrayQueue;
use hvm::backend::{Ethernet, Link};
use hvm::packet::{Packet, Pool};

/// Frames that may wait in either direction.
pub const QUEUE_FRAMES: usize = 128;

/// Whom to wake at the two ends.
#[derive(Clone, Copy, Debug)]
pub struct Wakers {
    /// Called by the guest's end when it has sent something. Runs on the exit path: it may send an interrupt, and nothing slower.
    pub switch: fn(),
    /// Called by the switch's end when there is something to fetch, when there is room again, and when the link changes: has the board
    /// polled.
    pub guest: fn(),
}

struct Shared {
    to_switch: ArrayQueue<Packet>,
    to_guest: ArrayQueue<Packet>,
    /// Shortest buffers first.
    pools: Box<[&'static Pool]>,
    /// The guest's card was refused something.
    starved: AtomicBool,
    up: AtomicBool,
    wakers: Wakers,
}

/// The guest card's end.
pub struct GuestEnd(Arc<Shared>);

/// The switch's end.
pub struct SwitchEnd {
    shared: Arc<Shared>,
    /// Something for the guest to look at since it was woken.
    news: bool,
}

/// A new cable, with its link up. The guest's frames come out of `pools`, given in the order of their buffers' lengths.
pub fn cable(pools: &[&'static Pool], wakers: Wakers) -> (GuestEnd, SwitchEnd) {
    let shared = Arc::new(Shared {
        to_switch: ArrayQueue::new(QUEUE_FRAMES),
        to_guest: ArrayQueue::new(QUEUE_FRAMES),
        pools: pools.into(),
        starved: AtomicBool::new(false),
        up: AtomicBool::new(true),
        wakers,
    });
    let switch_end = SwitchEnd {
        shared: shared.clone(),
        news: false,
    };
    (GuestEnd(shared), switch_end)
}

impl Shared {
    /// A free buffer that holds `bytes`.
    fn buffer(&self, bytes: usize) -> Option<Packet> {
        let mut fitting = self.pools.iter().filter(|pool| pool.frame_bytes() >= bytes);
        fitting.find_map(|pool| pool.packet())
    }

    /// Whether the guest would find room now.
    fn has_room(&self) -> bool {
        !self.to_switch.is_full() && self.pools.iter().any(|pool| pool.available() > 0)
    }

    /// Notes that the guest found nothing, before it looks once more, so that what came in between is not slept through. The fence
    /// orders the note before that look; its counterpart is in [`SwitchEnd::settle`].
    fn starve(&self) {
        self.starved.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

impl Ethernet for GuestEnd {
    fn packet(&mut self, bytes: usize) -> Option<Packet> {
        self.0.buffer(bytes).or_else(|| {
            self.0.starve();
            self.0.buffer(bytes)
        })
    }

    fn send(&mut self, packet: Packet) -> Result<(), Packet> {
        let shared = &*self.0;
        let sent = shared.to_switch.push(packet).or_else(|packet| {
            shared.starve();
            shared.to_switch.push(packet)
        });
        (shared.wakers.switch)();
        sent
    }

    fn receive(&mut self) -> Option<Packet> {
        self.0.to_guest.pop()
    }

    fn link(&self) -> Link {
        match self.0.up.load(Ordering::Relaxed) {
            true => Link::Up,
            false => Link::Down,
        }
    }
}

impl SwitchEnd {
    /// The next frame from the guest.
    pub fn receive(&mut self) -> Option<Packet> {
        self.shared.to_switch.pop()
    }

    /// Plugs the cable in or out at the far side.
    pub fn set_link(&mut self, link: Link) {
        let up = link == Link::Up;
        self.news |= self.shared.up.swap(up, Ordering::Relaxed) != up;
    }

    /// Wakes the guest if there is a reason: after each turn, when packets have gone home.
    pub fn settle(&mut self) {
        fence(Ordering::SeqCst);
        let relieved = self.shared.starved.load(Ordering::Relaxed)
            && self.shared.has_room()
            && self.shared.starved.swap(false, Ordering::SeqCst);
        if core::mem::take(&mut self.news) || relieved {
            (self.shared.wakers.guest)();
        }
    }
}

impl Outlet for SwitchEnd {
    /// A frame for the guest. [`SwitchEnd::settle`] tells it.
    fn send(&mut self, packet: Packet) -> Result<(), Packet> {
        self.shared.to_guest.push(packet)?;
        self.news = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;
    use std::thread;

    const QUIET: Wakers = Wakers {
        switch: || {},
        guest: || {},
    };

    fn pools(count: usize) -> [&'static Pool; 1] {
        [Pool::ordinary(count, 192)]
    }

    #[test]
    fn frames_pass_both_ways_and_the_link_is_seen() {
        let (mut guest, mut switch) = cable(&pools(4), QUIET);
        let mut packet = guest.packet(60).unwrap();
        packet.room()[..4].copy_from_slice(b"ping");
        packet.set_len(4);
        guest.send(packet).unwrap();
        let packet = switch.receive().unwrap();
        assert_eq!(packet.frame(), b"ping");
        switch.send(packet).unwrap();
        assert_eq!(guest.receive().unwrap().frame(), b"ping");
        assert_eq!(guest.link(), Link::Up);
        switch.set_link(Link::Down);
        assert_eq!(guest.link(), Link::Down);
    }

    #[test]
    fn a_long_frame_gets_a_long_buffer() {
        let short = Pool::ordinary(1, 128);
        let long = Pool::ordinary(1, 1024);
        let (mut guest, _switch) = cable(&[short, long], QUIET);
        assert!(guest.packet(2000).is_none());
        let packet = guest.packet(900).unwrap();
        assert_eq!(long.available(), 0);
        assert!(guest.packet(900).is_none());
        drop(packet);
        // The short ones being gone, a long one does.
        let _short = guest.packet(10).unwrap();
        assert!(guest.packet(10).is_some());
    }

    #[test]
    fn a_refused_guest_is_told_of_room_once() {
        static KICKS: AtomicUsize = AtomicUsize::new(0);
        let wakers = Wakers {
            switch: || {},
            guest: || {
                KICKS.fetch_add(1, Ordering::Relaxed);
            },
        };
        let (mut guest, mut switch) = cable(&pools(2), wakers);
        for _ in 0..2 {
            let packet = guest.packet(1).unwrap();
            guest.send(packet).unwrap();
        }
        assert!(guest.packet(1).is_none());
        switch.settle();
        assert_eq!(KICKS.load(Ordering::Relaxed), 0);
        drop(switch.receive());
        switch.settle();
        switch.settle();
        assert_eq!(KICKS.load(Ordering::Relaxed), 1);
        let packet = switch.receive().unwrap();
        switch.send(packet).unwrap();
        switch.settle();
        switch.settle();
        assert_eq!(KICKS.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn full_queues_give_back_and_lose_no_buffer() {
        let pools = pools(2 * QUEUE_FRAMES + 2);
        let (mut guest, mut switch) = cable(&pools, QUIET);
        for _ in 0..QUEUE_FRAMES {
            let packet = guest.packet(1).unwrap();
            guest.send(packet).unwrap();
            switch.send(pools[0].packet().unwrap()).unwrap();
        }
        let packet = guest.packet(1).unwrap();
        let packet = guest.send(packet).unwrap_err();
        let packet = switch.send(packet).unwrap_err();
        drop((packet, guest, switch));
        assert_eq!(pools[0].available(), 2 * QUEUE_FRAMES + 2);
    }

    #[test]
    fn all_frames_cross_between_two_cpus_without_a_lost_wake() {
        static ROOM: AtomicUsize = AtomicUsize::new(0);
        static SENT: AtomicUsize = AtomicUsize::new(0);
        let wakers = Wakers {
            switch: || {
                SENT.fetch_add(1, Ordering::SeqCst);
            },
            guest: || {
                ROOM.fetch_add(1, Ordering::SeqCst);
            },
        };
        const FRAMES: u32 = 20_000;
        let (mut guest, mut switch) = cable(&pools(8), wakers);
        let sender = thread::spawn(move || {
            let mut seen = 0;
            for number in 0..FRAMES {
                // As a card does it: after a refusal nothing more before it is polled.
                let mut packet = loop {
                    if let Some(packet) = guest.packet(4) {
                        break packet;
                    }
                    while ROOM.load(Ordering::SeqCst) == seen {
                        thread::yield_now();
                    }
                    seen = ROOM.load(Ordering::SeqCst);
                };
                packet.room()[..4].copy_from_slice(&number.to_le_bytes());
                packet.set_len(4);
                guest.send(packet).unwrap();
            }
        });
        let (mut next, mut seen) = (0_u32, 0);
        while next < FRAMES {
            while SENT.load(Ordering::SeqCst) == seen {
                thread::yield_now();
            }
            seen = SENT.load(Ordering::SeqCst);
            while let Some(packet) = switch.receive() {
                assert_eq!(packet.frame(), next.to_le_bytes());
                next += 1;
            }
            switch.settle();
        }
        sender.join().unwrap();
    }
}
