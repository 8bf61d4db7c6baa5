use super::*;
use std::thread;

#[test]
fn a_packet_keeps_its_frame_and_goes_home() {
    let pool = Pool::ordinary(2, 128);
    assert_eq!(pool.frame_bytes(), 64);
    let mut packet = pool.copy_of(b"frame").unwrap();
    assert_eq!(packet.frame(), b"frame");
    packet.prepend(4).unwrap()[..4].copy_from_slice(b"pre-");
    assert_eq!(packet.frame(), b"pre-frame");
    packet.strip(6);
    assert_eq!((packet.frame(), packet.dma()), (&b"ame"[..], 66));
    assert_eq!(pool.available(), 1);
    drop(packet);
    assert_eq!(pool.available(), 2);
}

#[test]
fn what_was_gathered_goes_home_with_the_first() {
    let pool = Pool::ordinary(3, 128);
    let mut packet = pool.copy_of(b"head").unwrap();
    packet.append(pool.copy_of(b"one").unwrap());
    packet.append(pool.copy_of(b"three").unwrap());
    assert_eq!((packet.len(), packet.whole_len()), (4, 12));
    let parts: Vec<_> = packet.rest().iter().map(Packet::frame).collect();
    assert_eq!(parts, [&b"one"[..], b"three"]);
    drop(packet);
    assert_eq!(pool.available(), 3);
    assert!(pool.packet().unwrap().rest().is_empty());
}

#[test]
fn what_is_lent_comes_back_once_and_is_taken_in_whole() {
    struct Desk(std::sync::Mutex<Vec<u32>>);
    impl Lender for Desk {
        fn take_back(&self, ticket: u32) {
            self.0.lock().unwrap().push(ticket);
        }
    }
    static DESK: Desk = Desk(std::sync::Mutex::new(Vec::new()));
    let pool = Pool::ordinary(2, 128);
    let lent = |gpa, bytes| Lent {
        gpa: Gpa(gpa),
        dma: gpa + 0x1000,
        bytes,
    };
    let mut packet = pool.copy_of(b"head").unwrap();
    packet.lend(lent(0x10, 5)).unwrap();
    packet.lend(lent(0x20, 2)).unwrap();
    packet.set_lender(&DESK, 7);
    assert!(packet.is_lent() && packet.duplicate().is_none());
    assert_eq!((packet.len(), packet.whole_len()), (4, 11));
    let pieces: Vec<_> = packet.pieces(3).collect();
    assert_eq!(packet.last_lent(), 0x1021);
    let own = packet.dma();
    let expected = [
        (own, 3),
        (own + 3, 1),
        (0x1010, 3),
        (0x1013, 2),
        (0x1020, 2),
    ];
    assert_eq!(pieces, expected);
    let whole = pool.packet().unwrap();
    let whole = packet.take_in(whole, |gpa, into| {
        into.fill(b'0' + (gpa.0 >> 4) as u8);
        true
    });
    assert_eq!(*DESK.0.lock().unwrap(), [7]);
    let whole = whole.unwrap();
    assert_eq!(whole.frame(), b"head1111122");
    assert!(!whole.is_lent());
    drop(whole);
    assert_eq!((pool.available(), DESK.0.lock().unwrap().len()), (2, 1));
    let mut packet = pool.packet().unwrap();
    assert!(!packet.is_lent() && packet.last_lent() == 0);
    for _ in 0..MAX_LENT {
        packet.lend(lent(0, 1)).unwrap();
    }
    assert!(packet.lend(lent(0, 1)).is_err());
}

#[test]
fn what_does_not_fit_is_refused_and_costs_no_buffer() {
    let pool = Pool::ordinary(1, 128);
    assert!(pool.copy_of(&[0; 65]).is_none());
    let mut packet = pool.packet().unwrap();
    packet.set_len(1000);
    assert_eq!(packet.len(), 64);
    packet.strip(1000);
    assert!(packet.is_empty());
    assert!(packet.prepend(129).is_none());
    assert!(pool.packet().is_none());
    drop(packet);
    assert_eq!(pool.available(), 1);
}

#[test]
fn a_checksum_that_was_left_out_is_put_in() {
    let pool = Pool::ordinary(1, 128);
    // Four bytes that do not count, a pseudo-header's sum of 1234h, and data.
    let mut packet = pool.copy_of(&[9, 9, 9, 9, 0x12, 0x34, 1, 2, 3]).unwrap();
    let checksum = |start, offset| Offload {
        checksum: Checksum::Partial(PartialChecksum { start, offset }),
        segmentation: None,
    };
    for (start, offset) in [(10, 0), (4, 4), (0, 8), (u16::MAX, u16::MAX)] {
        packet.set_offload(checksum(start, offset));
        assert!(!packet.finish_checksum(), "{start} {offset}");
    }
    packet.set_offload(checksum(4, 0));
    assert!(packet.finish_checksum());
    // 1234h + 0102h + 0300h = 1636h.
    assert_eq!(packet.frame()[4..6], [0xe9, 0xc9]);
    assert_eq!(packet.offload().checksum, Checksum::Valid);
}

#[test]
fn buffers_survive_many_cpus() {
    let pool = Pool::ordinary(8, 80);
    let workers: Vec<_> = (0..4_u8)
        .map(|worker| {
            thread::spawn(move || {
                for _ in 0..10_000 {
                    if let Some(packet) = pool.copy_of(&[worker; 16]) {
                        assert_eq!(packet.frame(), [worker; 16]);
                    }
                }
            })
        })
        .collect();
    workers
        .into_iter()
        .for_each(|worker| worker.join().unwrap());
    assert_eq!(pool.available(), 8);
}
