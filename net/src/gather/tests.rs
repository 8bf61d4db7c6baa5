use super::*;
use hvm::checksum;
use hvm::packet::{Cut, Pool};
use hvm::segment::{Cutter, Pieces};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const TCP: u8 = 6;

/// What a frame is made of.
#[derive(Clone, Debug)]
struct Plan {
    flow: u8,
    six: bool,
    /// What its sequence number skips, most often nothing.
    skip: u32,
    payload: usize,
    flags: u8,
    acknowledges: u32,
    stamp: Option<u32>,
    service: u8,
    damaged: bool,
    summed: bool,
    /// What its identification skips, most often nothing.
    renumbers: u16,
}

fn plan() -> impl Strategy<Value = Plan> {
    let usually = |value, other: std::ops::Range<u32>| prop_oneof![9 => Just(value), 1 => other];
    let head = (
        0..6_u8,
        usually(0, 0..3000),
        prop_oneof![4 => Just(1000_usize), 2 => Just(0_usize), 1 => 0..1200_usize],
        prop_oneof![8 => Just(0x10_u8), 1 => Just(0x18_u8), 1 => any::<u8>()],
    );
    let tail = (
        prop_oneof![3 => Just(0_u32), 2 => 0..5000_u32],
        prop_oneof![2 => Just(None), 1 => (0..3_u32).prop_map(Some)],
        prop_oneof![19 => Just(0_u8), 1 => Just(3_u8)],
        prop_oneof![19 => Just(false), 1 => Just(true)],
        any::<bool>(),
        prop_oneof![19 => Just(0_u16), 1 => any::<u16>()],
    );
    (head, tail).prop_map(
        |(
            (flow, skip, payload, flags),
            (acknowledges, stamp, service, damaged, summed, renumbers),
        )| Plan {
            flow,
            six: flow % 2 == 1,
            skip,
            payload,
            flags,
            acknowledges,
            stamp,
            service,
            damaged,
            summed,
            renumbers,
        },
    )
}

/// A conversation's numbers so far.
#[derive(Clone, Copy, Default)]
struct Numbers {
    sequence: u32,
    acknowledgement: u32,
    identification: u16,
}

fn frame(plan: &Plan, numbers: &mut Numbers) -> Vec<u8> {
    numbers.sequence = numbers.sequence.wrapping_add(plan.skip);
    numbers.acknowledgement = numbers.acknowledgement.wrapping_add(plan.acknowledges);
    let mut tcp = vec![0, plan.flow, 0, 80];
    tcp.extend(numbers.sequence.to_be_bytes());
    tcp.extend(numbers.acknowledgement.to_be_bytes());
    let options: Vec<u8> = match plan.stamp {
        Some(stamp) => [&[1, 1, 8, 10][..], &stamp.to_be_bytes(), &[0, 0, 0, 7]].concat(),
        None => vec![],
    };
    tcp.extend([
        (5 + options.len() as u8 / 4) << 4,
        plan.flags,
        1,
        0,
        0,
        0,
        0,
        0,
    ]);
    tcp.extend(&options);
    tcp.extend((0..plan.payload).map(|at| (at as u32 ^ numbers.sequence) as u8));
    numbers.sequence = numbers.sequence.wrapping_add(plan.payload as u32);
    let mut frame = vec![2; 12];
    let addresses = if plan.six {
        vec![0xfe; 32]
    } else {
        vec![10; 8]
    };
    let sum = checksum::pseudo_header(&addresses, TCP, tcp.len());
    let sum = !checksum::sum(sum, &tcp);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    if plan.six {
        frame.extend([0x86, 0xdd, 0x60, plan.service, 0, 0]);
        frame.extend((tcp.len() as u16).to_be_bytes());
        frame.extend([TCP, 64]);
        frame.extend(&addresses);
    } else {
        frame.extend([0x08, 0x00, 0x45, plan.service]);
        frame.extend((20 + tcp.len() as u16).to_be_bytes());
        numbers.identification = numbers.identification.wrapping_add(plan.renumbers);
        frame.extend(numbers.identification.to_be_bytes());
        numbers.identification = numbers.identification.wrapping_add(1);
        frame.extend([if plan.flow < 3 { 0x40 } else { 0 }, 0, 64, TCP, 0, 0]);
        frame.extend(&addresses);
        let sum = checksum::of(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    frame.extend(&tcp);
    if plan.damaged {
        let last = frame.len() - 1;
        frame[last] ^= 0x10;
    }
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A packet's bytes, with what hangs behind it.
fn bytes(packet: &Packet) -> Vec<u8> {
    let parts = core::iter::once(packet).chain(packet.rest());
    let bytes: Vec<u8> = parts.flat_map(|part| part.frame().to_vec()).collect();
    assert_eq!(bytes.len(), packet.whole_len());
    bytes
}

/// Frames that a train could be cut of again, by what it says of itself.
fn cut(packet: &Packet, pool: &'static Pool, long: &'static Pool) -> Vec<Vec<u8>> {
    let mut whole = long.packet().unwrap();
    let bytes = bytes(packet);
    whole.room()[..bytes.len()].copy_from_slice(&bytes);
    whole.set_len(bytes.len());
    whole.set_offload(packet.offload());
    let cutter = Cutter::of(&whole).unwrap();
    let pieces = Pieces::new(&whole, &cutter, pool).map(|mut piece| {
        assert!(piece.finish_checksum());
        piece.frame().to_vec()
    });
    pieces.collect()
}

/// A frame's headers without what may differ in a train, and its payload: checksums and lengths, the sequence number, the
/// push flag, and IPv4's identification.
fn halves(frame: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (_, segment) = Segment::read(frame).unwrap();
    let (mut head, payload) = (
        frame[..segment.header_bytes()].to_vec(),
        frame[segment.header_bytes()..][..segment.payload_bytes()].to_vec(),
    );
    match segment.cut {
        Cut::Tcp4 => {
            assert_eq!(checksum::of(&head[14..34]), 0);
            head[16..20].fill(0);
            head[24..26].fill(0);
        }
        Cut::Tcp6 => head[18..20].fill(0),
    }
    let tcp = &mut head[segment.transport..];
    tcp[4..8].fill(0);
    tcp[13] &= !8;
    tcp[16..18].fill(0);
    (head, payload)
}

/// The identification, where it means something.
fn identification(frame: &[u8]) -> Option<u16> {
    (frame[12] == 8 && frame[20] & 0x40 == 0).then(|| u16::from_be_bytes([frame[18], frame[19]]))
}

/// Whether a train says what the frames did that it was made of, in their order.
fn check_train(train: &Packet, originals: &[&Vec<u8>], pool: &'static Pool, long: &'static Pool) {
    let whole = bytes(train);
    let (head, payload) = halves(&whole);
    let segmentation = train.offload().segmentation.unwrap();
    let (mut longest, mut pushes, mut next, mut theirs) =
        (0, false, Segment::read(&whole).unwrap().1.sequence, vec![]);
    for (index, original) in originals.iter().enumerate() {
        let segment = Segment::read(original).unwrap().1;
        let (their_head, their_payload) = halves(original);
        assert_eq!((&their_head, segment.sequence), (&head, next));
        assert_ne!(their_payload.len(), 0);
        let number = identification(&whole).map(|first| first.wrapping_add(index as u16));
        assert_eq!(identification(original), number);
        longest = longest.max(their_payload.len());
        pushes |= segment.pushes();
        next = segment.next();
        theirs.extend(their_payload);
    }
    assert_eq!(theirs, payload);
    assert_eq!(Segment::read(&whole).unwrap().1.pushes(), pushes);
    assert_eq!(usize::from(segmentation.segment_bytes), longest);
    let pieces = cut(train, pool, long);
    assert!(pieces.len() <= originals.len());
    let again: Vec<u8> = pieces.iter().flat_map(|piece| halves(piece).1).collect();
    assert_eq!(again, payload);
}

fn flow(frame: &[u8]) -> u8 {
    frame[if frame[12] == 8 { 35 } else { 55 }]
}

/// Offers frames in turns, and gives what comes out.
fn gather(frames: Vec<Packet>, turn: usize, takes: Cuts) -> Vec<Packet> {
    let mut gatherer = Gatherer::default();
    let mut out = vec![];
    for (index, mut packet) in frames.into_iter().enumerate() {
        loop {
            match gatherer.offer(packet, takes) {
                Gathered::Single(packet) => out.push(packet),
                Gathered::Kept => {}
                Gathered::After {
                    packet: again,
                    train,
                } => {
                    out.push(train);
                    packet = again;
                    continue;
                }
            }
            break;
        }
        if index % turn == turn - 1 {
            out.extend(core::iter::from_fn(|| gatherer.take()));
            assert!(gatherer.is_empty());
        }
    }
    out.extend(core::iter::from_fn(|| gatherer.take()));
    out
}

fn packets(plans: &[Plan], pool: &'static Pool) -> Vec<Packet> {
    let mut numbers = [Numbers {
        sequence: 0xffff_f000,
        ..Numbers::default()
    }; 6];
    let frames = plans.iter().map(|plan| {
        let mut packet = pool
            .copy_of(&frame(plan, &mut numbers[usize::from(plan.flow)]))
            .unwrap();
        if plan.summed && !plan.damaged {
            packet.set_offload(Offload::VALID);
        }
        packet
    });
    frames.collect()
}

/// Whether a frame is an acknowledgement that a later one may stand for.
fn is_droppable(frame: &[u8]) -> bool {
    let (_, segment) = Segment::read(frame).unwrap();
    segment.payload_bytes() == 0 && segment.kind(Cuts::empty()).is_some()
}

proptest! {
    /// What comes out says what came in, in the order of each conversation, but for acknowledgements that a later one stands for.
    #[test]
    fn a_train_says_what_its_frames_did(plans in prop::collection::vec(plan(), 1..80), turn in 1..50_usize, takes in 0..4_u8) {
        let takes = Cuts::from_bits_retain(takes);
        let pool = Pool::ordinary(400, 1500);
        let long = Pool::ordinary(1, 80_000);
        let frames = packets(&plans, pool);
        let originals: Vec<Vec<u8>> = frames.iter().map(|packet| packet.frame().to_vec()).collect();
        let out = gather(frames, turn, takes);
        for packet in &out {
            let cuts = packet.offload().segmentation.map(|it| Cuts::from(it.cut));
            prop_assert!(cuts.is_none_or(|cut| takes.contains(cut)));
            prop_assert_eq!(cuts.is_some(), !packet.rest().is_empty());
            prop_assert!(packet.whole_len() <= 14 + 0xffff);
        }
        for index in 0..6 {
            let mut theirs = originals.iter().filter(|frame| flow(frame) == index);
            for mine in out.iter().filter(|packet| flow(packet.frame()) == index) {
                if !mine.rest().is_empty() {
                    let parts: Vec<_> = theirs.by_ref().take(mine.rest().len() + 1).collect();
                    prop_assert_eq!(parts.len(), mine.rest().len() + 1);
                    check_train(mine, &parts, pool, long);
                    continue;
                }
                let mut dropped = 0;
                loop {
                    let original = theirs.next();
                    prop_assert!(original.is_some(), "a frame from nowhere");
                    let original = original.unwrap();
                    if original == mine.frame() {
                        break;
                    }
                    prop_assert!(is_droppable(original), "{original:02x?} is lost");
                    // The later one says more.
                    let number = |frame: &[u8]| Segment::read(frame).unwrap().1.acknowledgement;
                    prop_assert!(number(mine.frame()).wrapping_sub(number(original)).wrapping_sub(1) < 1 << 31);
                    dropped += 1;
                }
                prop_assert!(dropped < MAX_ACKNOWLEDGEMENTS);
            }
            prop_assert!(theirs.next().is_none(), "the last is never dropped");
        }
        drop(out);
        prop_assert_eq!(pool.available(), 400);
    }

    #[test]
    fn any_frame_is_answered(bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 0..3_u8) {
        let pool = Pool::ordinary(2, 256);
        let mut bytes = bytes;
        let head: &[u8] = match kind {
            0 => &[],
            1 => &[0x08, 0, 0x45],
            _ => &[0x86, 0xdd, 0x60],
        };
        if bytes.len() > 40 {
            bytes[12..12 + head.len()].copy_from_slice(head);
        }
        let twice = [pool.copy_of(&bytes).unwrap(), pool.copy_of(&bytes).unwrap()];
        let out = gather(twice.into(), 9, Cuts::all());
        prop_assert!(!out.is_empty());
    }
}

fn data(flags: u8, payload: usize) -> Plan {
    Plan {
        flow: 0,
        six: false,
        skip: 0,
        payload,
        flags,
        acknowledges: 0,
        stamp: Some(1),
        service: 0,
        damaged: false,
        summed: false,
        renumbers: 0,
    }
}

#[test]
fn a_stream_becomes_long_frames() {
    let pool = Pool::ordinary(200, 1600);
    let plans = vec![data(0x10, 1400); 100];
    let out = gather(packets(&plans, pool), 1000, Cuts::TCP4);
    let lengths: Vec<_> = out.iter().map(Packet::whole_len).collect();
    assert_eq!(lengths, [66 + 45 * 1400, 66 + 45 * 1400, 66 + 10 * 1400]);
    let expected = Segmentation {
        cut: Cut::Tcp4,
        segment_bytes: 1400,
        header_bytes: 66,
    };
    assert_eq!(out[0].offload().segmentation, Some(expected));
}

#[test]
fn pushes_and_segments_of_any_length_go_on() {
    let pool = Pool::ordinary(200, 1500);
    let plans = [
        data(0x10, 999),
        data(0x18, 1000),
        data(0x10, 7),
        data(0x10, 1000),
    ];
    let out = gather(packets(&plans, pool), 1000, Cuts::TCP4);
    let lengths: Vec<_> = out.iter().map(Packet::whole_len).collect();
    assert_eq!(lengths, [66 + 3006]);
    assert_eq!(out[0].frame()[47], 0x18);
    assert_eq!(out[0].offload().segmentation.unwrap().segment_bytes, 1000);
}

#[test]
fn what_says_more_than_data_passes_alone_and_in_its_place() {
    let pool = Pool::ordinary(200, 1500);
    // The end, urgent data, congestion noticed.
    for (flags, service) in [(0x11, 0), (0x30, 0), (0x50, 0), (0x90, 0), (0x10, 3)] {
        let other = Plan {
            service,
            ..data(flags, 1000)
        };
        let plans = [data(0x10, 1000), data(0x10, 1000), other, data(0x10, 1000)];
        let out = gather(packets(&plans, pool), 1000, Cuts::TCP4);
        let lengths: Vec<_> = out.iter().map(Packet::whole_len).collect();
        assert_eq!(lengths, [2066, 1066, 1066], "{flags:#x} {service}");
    }
}

#[test]
fn acknowledgements_are_thinned_and_repeated_ones_are_not() {
    let pool = Pool::ordinary(200, 1500);
    let acknowledgement = |acknowledges| Plan {
        acknowledges,
        ..data(0x10, 0)
    };
    // Cards that take no long frames have this as well.
    let plans = vec![acknowledgement(1448); 20];
    assert_eq!(gather(packets(&plans, pool), 1000, Cuts::empty()).len(), 3);
    let plans = vec![acknowledgement(0); 20];
    assert_eq!(gather(packets(&plans, pool), 1000, Cuts::empty()).len(), 20);
    // SACK.
    let mut frames = packets(&[acknowledgement(1), acknowledgement(1)], pool);
    for frame in &mut frames {
        frame.frame_mut()[54..58].copy_from_slice(&[1, 1, 5, 10]);
        frame.set_offload(Offload::VALID);
    }
    assert_eq!(gather(frames, 1000, Cuts::empty()).len(), 2);
}

#[test]
fn a_frame_with_a_wrong_checksum_passes_alone() {
    let pool = Pool::ordinary(200, 1500);
    let damaged = Plan {
        damaged: true,
        ..data(0x10, 1000)
    };
    let plans = [
        data(0x10, 1000),
        damaged,
        data(0x10, 1000),
        data(0x10, 1000),
    ];
    let out = gather(packets(&plans, pool), 1000, Cuts::TCP4);
    let lengths: Vec<_> = out.iter().map(Packet::whole_len).collect();
    assert_eq!(lengths, [1066, 1066, 2066]);
    assert_eq!(out[1].offload().checksum, Checksum::Unknown);
}
