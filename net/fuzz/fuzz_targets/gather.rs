//! Frames of any bytes, some of them as TCP's begin, are gathered: each is answered, no buffer is lost, and what comes out is no longer than IP takes.
#![no_main]

use hvm::backend::Cuts;
use hvm::packet::{Packet, Pool};
use libfuzzer_sys::fuzz_target;
use net::gather::{Gathered, Gatherer};
use std::sync::OnceLock;

const BUFFERS: usize = 64;
/// Fronts that frames are given in turn, so that they get past the first look.
const FRONTS: [&[u8]; 3] = [
    &[],
    &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0],
    &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0],
];

fn pool() -> &'static Pool {
    static POOL: OnceLock<&Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::ordinary(BUFFERS, 2048))
}

fn look(packet: &Packet) {
    assert!(packet.whole_len() <= 14 + 0xffff + 2048);
    let cut = packet.offload().segmentation.is_some();
    assert_eq!(cut, !packet.rest().is_empty());
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&takes, mut bytes)) = bytes.split_first() else {
        return;
    };
    let mut gatherer = Gatherer::default();
    while let [kind, length, rest @ ..] = bytes {
        let (payload, later) = rest.split_at(rest.len().min(usize::from(*length) * 4));
        bytes = later;
        let front = FRONTS[usize::from(*kind) % FRONTS.len()];
        let frame = [front, payload].concat();
        let Some(mut packet) = pool().copy_of(&frame) else {
            break;
        };
        loop {
            packet = match gatherer.offer(packet, Cuts::from_bits_truncate(takes)) {
                Gathered::Single(packet) => break look(&packet),
                Gathered::Kept => break,
                Gathered::After { packet, train } => {
                    look(&train);
                    packet
                }
            };
        }
    }
    while let Some(train) = gatherer.take() {
        look(&train);
    }
    assert_eq!(pool().available(), BUFFERS);
});
