use super::*;
use hvm::packet::{Checksum, Cut, Offload, PartialChecksum, Segmentation};
use std::thread;
use std::vec::Vec;

const QUIET: Wakers = Wakers {
    switch: || {},
    guest: || {},
};

/// A waker that counts in this static.
macro_rules! counting {
    ($count:ident) => {
        || {
            $count.fetch_add(1, Ordering::SeqCst);
        }
    };
}

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
    assert_eq!(switch.wants(), Wants::Own);
    guest.listen(Wants::Everybody);
    assert_eq!(switch.wants(), Wants::Everybody);
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

/// 1000 bytes of payload in pieces of 100.
fn long(pool: &'static Pool) -> Packet {
    let mut packet = pool.packet().unwrap();
    packet.set_len(54 + 1000);
    packet.frame_mut().fill(0);
    packet.frame_mut()[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
    packet.set_offload(Offload {
        checksum: Checksum::Partial(PartialChecksum {
            start: 34,
            offset: 16,
        }),
        segmentation: Some(Segmentation {
            cut: Cut::Tcp4,
            segment_bytes: 100,
            header_bytes: 54,
        }),
    });
    packet
}

#[test]
fn a_long_frame_is_cut_for_those_who_do_not_take_it() {
    let short = Pool::ordinary(15, 256);
    let source = Pool::ordinary(2, 2048);
    let (mut guest, mut switch) = cable(&[short], QUIET);
    switch.send(long(source)).unwrap();
    // Five buffers are left, and it needs ten.
    assert!(matches!(
        switch.send(long(source)),
        Err(Refusal::Later(packet)) if packet.len() == 1054
    ));
    let pieces = core::iter::from_fn(|| guest.receive());
    let lengths: Vec<_> = pieces.map(|piece| piece.len()).collect();
    assert_eq!(lengths, [154; 10]);
    guest.accept_long(Cuts::TCP6);
    switch.send(long(source)).unwrap();
    assert_eq!(guest.receive().unwrap().len(), 154);
    while guest.receive().is_some() {}
    guest.accept_long(Cuts::TCP4);
    switch.send(long(source)).unwrap();
    assert_eq!(guest.receive().unwrap().len(), 1054);
    assert!(guest.receive().is_none());
    assert_eq!((short.available(), source.available()), (15, 2));
}

#[test]
fn a_refused_switch_is_woken_when_the_guest_has_fetched() {
    static WAKES: AtomicUsize = AtomicUsize::new(0);
    let wakers = Wakers {
        switch: counting!(WAKES),
        ..QUIET
    };
    let pools = pools(QUEUE_FRAMES + 1);
    let (mut guest, mut switch) = cable(&pools, wakers);
    while switch.send(pools[0].packet().unwrap()).is_ok() {}
    assert_eq!(WAKES.load(Ordering::SeqCst), 0);
    guest.receive();
    guest.receive();
    assert_eq!(WAKES.load(Ordering::SeqCst), 1);
}

#[test]
fn a_refused_guest_is_told_of_room_once() {
    static KICKS: AtomicUsize = AtomicUsize::new(0);
    let wakers = Wakers {
        guest: counting!(KICKS),
        ..QUIET
    };
    let (mut guest, mut switch) = cable(&pools(2), wakers);
    for _ in 0..2 {
        let packet = guest.packet(1).unwrap();
        guest.send(packet).unwrap();
    }
    assert!(guest.packet(1).is_none());
    assert_eq!(switch.settle(), Want::Room);
    assert_eq!(KICKS.load(Ordering::SeqCst), 0);
    drop(switch.receive());
    assert_eq!(switch.settle(), Want::Nothing);
    switch.settle();
    assert_eq!(KICKS.load(Ordering::SeqCst), 1);
    let packet = switch.receive().unwrap();
    switch.send(packet).unwrap();
    switch.settle();
    switch.settle();
    assert_eq!(KICKS.load(Ordering::SeqCst), 2);
}

#[test]
fn what_is_lent_comes_back_and_wakes_the_guest() {
    static KICKS: AtomicUsize = AtomicUsize::new(0);
    let wakers = Wakers {
        guest: counting!(KICKS),
        ..QUIET
    };
    let (mut guest, mut switch) = cable(&pools(2), wakers);
    assert!(!guest.borrows());
    switch.set_borrowing(Borrowing::Allowed);
    assert!(guest.borrows());
    let lent = |guest: &mut GuestEnd, ticket| {
        let mut packet = guest.packet(60).unwrap();
        packet.set_len(8);
        let part = hvm::packet::Lent {
            gpa: Gpa(0x1000),
            dma: 0,
            bytes: 100,
        };
        packet.lend(part).unwrap();
        guest.set_ticket(&mut packet, ticket);
        guest.send(packet).unwrap();
    };
    lent(&mut guest, 7);
    drop(switch.receive());
    switch.settle();
    assert_eq!(
        (KICKS.load(Ordering::SeqCst), guest.returned()),
        (1, Some(7))
    );
    assert_eq!(guest.returned(), None);
    lent(&mut guest, 8);
    let packet = switch.receive().unwrap();
    let whole = switch.take_in(packet, |gpa, into| {
        assert_eq!(gpa, Gpa(0x1000));
        into.fill(5);
        true
    });
    assert_eq!(whole.unwrap().unwrap().frame()[8..], [5; 100]);
    assert_eq!(guest.returned(), Some(8));
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
    let Err(Refusal::Later(packet)) = switch.send(packet) else {
        panic!("a full queue took a frame");
    };
    drop(packet);
    while guest.receive().is_some() || switch.receive().is_some() {}
    assert_eq!(pools[0].available(), 2 * QUEUE_FRAMES + 2);
}

#[test]
fn all_frames_cross_between_two_cpus_without_a_lost_wake() {
    static ROOM: AtomicUsize = AtomicUsize::new(0);
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let wakers = Wakers {
        switch: counting!(SENT),
        guest: counting!(ROOM),
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
