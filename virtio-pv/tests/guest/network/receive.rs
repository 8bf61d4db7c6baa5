//! Frames that come in, and the buffers that they are laid into.

use super::*;
use proptest::prelude::*;

#[test]
fn a_received_frame_lies_behind_its_header() {
    let mut guest = Guest::new(GUEST_CHECKSUM);
    guest.offer(RX, 2, 2000);
    let frame = frame(MAC, 80);
    guest.arrive(&frame);
    assert_eq!(guest.rings[RX].pop(&guest.machine.memory), Some((0, 92)));
    assert_eq!(guest.bytes(DATA, 12), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(guest.bytes(DATA + HEADER_BYTES, 80), frame);
    let mut packet = pool().copy_of(&frame).unwrap();
    let checksum = Checksum::Partial(PartialChecksum {
        start: 34,
        offset: 6,
    });
    packet.set_offload(Offload {
        checksum,
        segmentation: None,
    });
    guest.cable.wire().to_card.push_back(packet);
    guest.machine.poll();
    assert_eq!(
        guest.bytes(DATA + 2000, 10),
        [1, 0, 0, 0, 0, 0, 34, 0, 6, 0]
    );
}

#[test]
fn a_long_frame_is_laid_into_several_buffers_or_dropped() {
    let frame = frame(MAC, 5000);
    let mut guest = Guest::new(MERGEABLE);
    guest.offer(RX, 3, 1500);
    guest.arrive(&frame);
    assert_eq!(
        guest.rings[RX].pop(&guest.machine.memory),
        None,
        "5012 bytes need four"
    );
    let buffer = Buffer::Out(DATA + 4500, 1500);
    guest.rings[RX].add(&guest.machine.memory, &[buffer]);
    guest.driver.kick(&mut guest.machine, &guest.rings[RX]);
    let lengths: Vec<_> =
        std::iter::from_fn(|| guest.rings[RX].pop(&guest.machine.memory)).collect();
    assert_eq!(lengths, [(0, 1500), (1, 1500), (2, 1500), (3, 512)]);
    assert_eq!(guest.bytes(DATA + 10, 2), [4, 0]);
    assert_eq!(guest.bytes(DATA + HEADER_BYTES, 5000), frame);

    let mut guest = Guest::new(0);
    guest.offer(RX, 2, 1526);
    guest.arrive(&frame);
    guest.arrive(&frame[..60]);
    assert_eq!(guest.rings[RX].pop(&guest.machine.memory), Some((0, 72)));
}

#[test]
fn frames_wait_for_buffers_in_order() {
    let mut guest = Guest::new(EVENT_INDEX);
    for size in [60, 61, 62] {
        guest.arrive(&frame(MAC, size));
    }
    guest.offer(RX, 2, 2000);
    let mut pop = || guest.rings[RX].pop(&guest.machine.memory);
    assert_eq!([pop(), pop(), pop()], [Some((0, 72)), Some((1, 73)), None]);
    guest.offer(RX, 1, 2000);
    assert_eq!(guest.rings[RX].pop(&guest.machine.memory), Some((2, 74)));
}

proptest! {
    /// Whatever is received comes whole, whatever the buffers are cut into.
    #[test]
    fn frames_come_whole(
        sizes in prop::collection::vec(14_usize..3000, 1..12), buffer_bytes in 100_u64..2000, tso: bool,
    ) {
        let features = MERGEABLE | if tso { GUEST_TSO4 | GUEST_CHECKSUM } else { 0 };
        let mut guest = Guest::new(features);
        let count = 100;
        guest.offer(RX, count, buffer_bytes);
        let frames: Vec<_> = sizes.iter().map(|&size| frame(MAC, size)).collect();
        for frame in &frames {
            guest.arrive(frame);
        }
        let mut at = 0;
        for frame in frames {
            let first = guest.rings[RX].pop(&guest.machine.memory);
            let Some((_, bytes)) = first else {
                // Too many buffers for one frame, or none left.
                prop_assert!(frame.len() as u64 > 60 * buffer_bytes || at + 30 > count);
                break;
            };
            let buffers = guest.bytes(DATA + at * buffer_bytes + 10, 2)[0];
            let mut got = guest.bytes(DATA + at * buffer_bytes + 12, bytes as usize - 12);
            for piece in 1..u64::from(buffers) {
                let (_, bytes) = guest.rings[RX].pop(&guest.machine.memory).unwrap();
                got.extend(guest.bytes(DATA + (at + piece) * buffer_bytes, bytes as usize));
            }
            at += u64::from(buffers);
            prop_assert_eq!(got, frame);
        }
    }
}
