use super::super::USUAL_MTU;
use super::super::testing::{self, Memory, Piece, Registers, pool as buffers};
use super::*;
use hvm::packet::{Cut, Offload, PartialChecksum, Segmentation};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::vec;
use std::vec::Vec;

const RINGS_AT: u64 = 0x10_0000;
const ADDRESS: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
/// Configurations by which versions are told.
const VERSION_B: u32 = 0x3800_0000;
const VERSION_D: u32 = 0x2810_0000;
const VERSION_H: u32 = 0x5410_0000;

/// The chip's side: registers byte by byte, those behind registers, rings.
#[derive(Default)]
struct Chip {
    bytes: BTreeMap<usize, u8>,
    memory: Vec<u8>,
    extended: BTreeMap<u32, u32>,
    polls: u32,
    hangs: bool,
    /// What was written to the transceiver.
    transceiver: Vec<(usize, u32)>,
    received: usize,
    sent: usize,
}

impl testing::Chip for Chip {
    fn read(&mut self, at: usize, bytes: usize) -> u32 {
        let mut word = [0; 4];
        for (index, byte) in word[..bytes].iter_mut().enumerate() {
            *byte = self.bytes.get(&(at + index)).copied().unwrap_or(0);
        }
        u32::from_le_bytes(word)
    }

    fn write(&mut self, at: usize, bytes: usize, value: u32) {
        let value = match at {
            COMMAND if value & 0x10 != 0 && !self.hangs => 0,
            INTERRUPT_STATUS => self.get(at, 2) & !value,
            // The version cannot be written.
            TRANSMIT_CONFIG => self.get(at, 4) & 0x7cf0_0000 | value & !0x7cf0_0000,
            POLL => {
                self.polls += 1;
                0
            }
            PHY_ACCESS | PHY_ACCESS_G => {
                self.transceiver.push((at, value));
                value & !FLAG
            }
            EXTENDED_ACCESS if value & FLAG != 0 => {
                let data = self.get(EXTENDED_DATA, 4);
                self.extended.insert(value & 0xfff, data);
                value & !FLAG
            }
            EXTENDED_ACCESS => {
                let data = self.extended.get(&(value & 0xfff)).copied().unwrap_or(0);
                self.set(EXTENDED_DATA, 4, data);
                value | FLAG
            }
            _ => value,
        };
        self.set(at, bytes, value);
    }

    fn memory(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }
}

impl testing::Sends for Chip {
    fn send(&mut self) -> Vec<Piece> {
        let sent = self.transmit();
        // A frame begins where the one before has ended.
        let mut begins = true;
        for words in &sent {
            assert_eq!(words[0] & FIRST != 0, begins);
            begins = words[0] & LAST != 0;
        }
        let piece = |words: &[u32; 4]| Piece {
            dma: u64::from(words[2]) | u64::from(words[3]) << 32,
            bytes: words[0] & 0xffff,
            is_last: words[0] & LAST != 0,
        };
        sent.iter().map(piece).collect()
    }

    fn tells(&self) -> Option<bool> {
        let mask = self.get(INTERRUPT_MASK, 2);
        (mask != 0).then_some(mask & 4 != 0)
    }
}

impl Chip {
    fn new(version: u32) -> Self {
        let mut chip = Self {
            memory: vec![0xee; SHARED_BYTES],
            ..Self::default()
        };
        chip.set(TRANSMIT_CONFIG, 4, version);
        for (index, byte) in ADDRESS.into_iter().enumerate() {
            chip.set(ID + index, 1, byte.into());
        }
        chip.set(PHY_STATUS, 1, LINK_OK.into());
        chip.set(MISCELLANEOUS, 4, GATE_SHUT);
        chip
    }

    fn get(&self, at: usize, bytes: usize) -> u32 {
        let byte = |index| u32::from(self.bytes.get(&(at + index)).copied().unwrap_or(0));
        (0..bytes).map(|index| byte(index) << (8 * index)).sum()
    }

    fn set(&mut self, at: usize, bytes: usize, value: u32) {
        for (index, byte) in value.to_le_bytes()[..bytes].iter().enumerate() {
            self.bytes.insert(at + index, *byte);
        }
    }

    fn words(&self, at: usize) -> [u32; 4] {
        core::array::from_fn(|index| {
            u32::from_le_bytes(*self.memory[at + 4 * index..].first_chunk().unwrap())
        })
    }

    /// Receives a frame of `length` with its check sequence; false if there is no descriptor.
    fn receive(&mut self, length: u32, status: u32) -> bool {
        let at = RX_RING + self.received % RING * DESCRIPTOR_BYTES;
        let [options, ..] = self.words(at);
        if options & OWN == 0 {
            return false;
        }
        assert_eq!(options & END != 0, self.received % RING == RING - 1);
        let options = options & END | status | length;
        self.memory[at..at + 4].copy_from_slice(&options.to_le_bytes());
        self.received += 1;
        true
    }

    /// Sends what it was given: the descriptors as they were.
    fn transmit(&mut self) -> Vec<[u32; 4]> {
        let mut sent = vec![];
        loop {
            let at = TX_RING + self.sent % RING * DESCRIPTOR_BYTES;
            let words = self.words(at);
            if words[0] & OWN == 0 {
                return sent;
            }
            self.memory[at + 3] &= 0x7f;
            sent.push(words);
            self.sent += 1;
        }
    }
}

type Card = Rtl8168<Registers<Chip>, Memory<Chip>>;
const WHOLE: u32 = FIRST | LAST;

fn start(chip: Chip, pool: &'static Pool, mtu: usize) -> (Arc<Mutex<Chip>>, Result<Card, Failure>) {
    let chip = Arc::new(Mutex::new(chip));
    let rings = Shared {
        window: Memory(chip.clone()),
        dma: RINGS_AT,
    };
    let version = Version::of(&mut Registers(chip.clone())).unwrap();
    let sizes = version.sizes(mtu);
    let registers = Registers(chip.clone());
    let card = Rtl8168::start(registers, rings, version, pool, sizes, &mut |_| {});
    (chip, card)
}

fn pool(count: usize) -> &'static Pool {
    buffers(count, 1536)
}

fn running(version: u32, pool: &'static Pool) -> (Arc<Mutex<Chip>>, Card) {
    let (chip, card) = start(Chip::new(version), pool, USUAL_MTU);
    (chip, card.unwrap())
}

#[test]
fn versions_are_told_by_their_configuration() {
    let version = |config| {
        let chip = Arc::new(Mutex::new(Chip::new(config)));
        Version::of(&mut Registers(chip))
    };
    let known = [
        (0x3000_0000, Version::B),
        (0x3c90_0000, Version::C),
        (0x2800_0000, Version::D),
        (0x28a0_0000, Version::Dp),
        (0x2c10_0000, Version::E),
        (0x2c80_0000, Version::Evl),
        (0x4810_0000, Version::F),
        (0x4c00_0000, Version::G),
        (0x5020_0000, Version::Ep),
        (0x5410_0000, Version::H),
    ];
    for (config, expected) in known {
        assert_eq!(version(config | 0x700), Ok(expected), "{config:#x}");
    }
    assert_eq!(version(u32::MAX), Err(Failure::Gone));
    assert_eq!(version(0x6090_0000), Err(Failure::Version(0x609)));
}

#[test]
fn it_starts_awake_with_what_its_version_needs() {
    let pool = pool(600);
    let mut chip = Chip::new(VERSION_H);
    chip.extended.extend([(0xe0, 0x1200_5452), (0xe4, 0x9934)]);
    let (chip, card) = start(chip, pool, USUAL_MTU);
    let mut card = card.unwrap();
    // What its maker put in, and not what somebody wrote since.
    assert_eq!(card.address(), [0x52, 0x54, 0, 0x12, 0x34, 0x99]);
    assert_eq!(card.link(), Link::Up);
    let chip = chip.lock().unwrap();
    assert_eq!(chip.get(ID, 4), 0x1200_5452);
    assert_eq!(chip.get(RECEIVE_RING, 4), RINGS_AT as u32);
    assert_eq!(chip.get(TRANSMIT_RING, 4), RINGS_AT as u32 + 4096);
    assert_eq!(chip.get(MISCELLANEOUS, 4) & GATE_SHUT, 0);
    assert_eq!(chip.get(COMMAND, 1), 0x0c);
    assert_eq!(chip.get(RECEIVE_CONFIG, 4), 0xcf0f);
    assert_eq!(chip.get(INTERRUPT_MASK, 2), 0x8073);
    assert_eq!(chip.transceiver, [(PHY_ACCESS_G, 0xd200_1200)]);
    assert_eq!(chip.extended[&0xc8], 0x08_0002);
    assert_eq!(chip.extended[&0xdc], 1);
    assert_eq!(pool.available(), 600 - RING);
    drop(chip);
    let (chip, _card) = running(VERSION_B, buffers(300, 1536));
    let chip = chip.lock().unwrap();
    assert_eq!(chip.transceiver, [(PHY_ACCESS, 0x8000_1200)]);
    assert_eq!(chip.get(TRANSMIT_MOST, 1), 0x3f);
    assert_eq!(chip.get(RECEIVE_CONFIG, 4), 0xe70f);
}

#[test]
fn a_chip_that_does_not_work_is_refused() {
    let mut hung = Chip::new(VERSION_D);
    hung.hangs = true;
    let failure = start(hung, pool(300), USUAL_MTU).1.unwrap_err();
    assert_eq!(failure, Failure::Reset { limit_ms: 100 });
    let mut blank = Chip::new(VERSION_D);
    blank.set(ID, 4, 0);
    blank.set(ID + 4, 2, 0);
    let failure = start(blank, pool(300), USUAL_MTU).1.unwrap_err();
    assert_eq!(failure, Failure::Address([0; 6]));
}

#[test]
fn frames_come_in_order_and_the_ring_is_kept_full() {
    let pool = pool(600);
    let (chip, mut card) = running(VERSION_H, pool);
    for round in 0..3 * RING as u32 {
        let length = 64 + round % 1000;
        assert!(chip.lock().unwrap().receive(length, WHOLE));
        assert_eq!(card.receive().unwrap().len() as u32, length - 4);
        assert!(card.receive().is_none());
        card.start();
        card.settle();
    }
    for _ in 0..RING {
        assert!(chip.lock().unwrap().receive(64, WHOLE));
    }
    assert!(!chip.lock().unwrap().receive(64, WHOLE));
    assert_eq!(core::iter::from_fn(|| card.receive()).count(), RING);
    card.start();
    card.settle();
    // Damaged, in pieces, of nonsense length.
    let frames = [
        (64, WHOLE | DAMAGED),
        (1536, FIRST),
        (64, LAST),
        (2, WHOLE),
        (3000, WHOLE),
    ];
    for (length, status) in frames {
        assert!(chip.lock().unwrap().receive(length, status));
    }
    for sums in [IS_TCP, IS_TCP | 1 << 14, IS_UDP, 0] {
        assert!(chip.lock().unwrap().receive(64, WHOLE | sums));
    }
    let sums: Vec<_> = core::iter::from_fn(|| card.receive())
        .map(|packet| packet.offload().checksum == Checksum::Valid)
        .collect();
    assert_eq!(sums, [true, false, true, false]);
    assert_eq!(card.faults(), 4);
}

fn with(pool: &'static Pool, bytes: usize, version: u8, offset: u16) -> Packet {
    let mut packet = pool.packet().unwrap();
    packet.set_len(bytes);
    let frame = packet.frame_mut();
    frame.fill(0);
    let start = if version == 4 { 34 } else { 54 };
    frame[14] = version << 4 | 5;
    frame[if version == 4 { 23 } else { 20 }] = 6;
    packet.set_offload(Offload {
        checksum: Checksum::Partial(PartialChecksum { start, offset }),
        segmentation: None,
    });
    packet
}

#[test]
fn sums_are_asked_for_as_the_version_understands_it() {
    let pool = pool(600);
    let send = |version, ip, offset| {
        let (chip, mut card) = running(version, buffers(300, 1536));
        let packet = with(pool, 100, ip, offset);
        let can = card.can_sum(&packet);
        if !can {
            assert!(card.send(packet).is_err());
            return None;
        }
        card.send(packet).unwrap();
        assert_eq!(chip.lock().unwrap().polls, 0);
        card.start();
        card.settle();
        assert_eq!(chip.lock().unwrap().polls, 1);
        let sent = chip.lock().unwrap().transmit();
        Some((sent[0][0] & !(OWN | END), sent[0][1]))
    };
    let whole = WHOLE | 100;
    assert_eq!(send(VERSION_B, 4, 16), Some((whole | 5 << 16, 0)));
    assert_eq!(send(VERSION_B, 4, 6), Some((whole | 6 << 16, 0)));
    assert_eq!(send(VERSION_B, 6, 16), None);
    assert_eq!(
        send(VERSION_H, 4, 16),
        Some((whole, 0x6000_0000 | 34 << 18))
    );
    assert_eq!(send(VERSION_H, 6, 6), Some((whole, 0x9000_0000 | 54 << 18)));
    assert_eq!(send(VERSION_H, 4, 2), None);
    assert_eq!(send(VERSION_H, 5, 16), None);
}

#[test]
fn long_frames_are_cut_by_the_chip() {
    let own = Pool::ordinary(4, 40_000);
    let long = |bytes, ip: u8| {
        let mut packet = with(own, bytes, ip, 16);
        let (cut, header_bytes) = match ip {
            4 => (Cut::Tcp4, 54),
            _ => (Cut::Tcp6, 74),
        };
        let offload = Offload {
            segmentation: Some(Segmentation {
                cut,
                segment_bytes: 1400,
                header_bytes,
            }),
            ..packet.offload()
        };
        packet.set_offload(offload);
        packet
    };
    let (chip, mut card) = running(VERSION_H, pool(300));
    let packet = long(20_000, 4);
    let dma = packet.dma() as u32;
    assert!(card.can_cut(&packet));
    card.send(packet).unwrap();
    card.start();
    card.settle();
    let cut = OWN | CUT_4 | 34 << 18;
    assert_eq!(
        chip.lock().unwrap().transmit(),
        [
            [cut | FIRST | 16384, 1400 << 18, dma, 0],
            [cut | LAST | 3616, 1400 << 18, dma + 16384, 0],
        ]
    );
    card.start();
    card.settle();
    assert_eq!(own.available(), 4);
    let packet = long(3000, 6);
    card.send(packet).unwrap();
    let words = chip.lock().unwrap().transmit()[0];
    assert_eq!(
        words[..2],
        [OWN | CUT_6 | 54 << 18 | WHOLE | 3000, 1400 << 18]
    );
    // More pieces than the older one makes.
    let (chip, mut card) = running(VERSION_B, pool(300));
    assert!(!card.can_cut(&long(33_700, 4)));
    card.send(long(3000, 4)).unwrap();
    let words = chip.lock().unwrap().transmit()[0];
    assert_eq!(words[..2], [OWN | OLD_CUT | 1400 << 16 | WHOLE | 3000, 0]);
}

#[test]
fn short_frames_are_padded_and_a_full_ring_gives_back() {
    let pool = pool(1000);
    let (chip, mut card) = running(VERSION_D, pool);
    for _ in 0..RING {
        let mut packet = pool.packet().unwrap();
        packet.set_len(14);
        card.send(packet).unwrap();
    }
    assert!(card.send(pool.copy_of(&[0; 60]).unwrap()).is_err());
    card.start();
    card.settle();
    assert_eq!(chip.lock().unwrap().get(INTERRUPT_MASK, 2) & 4, 4);
    let sent = chip.lock().unwrap().transmit();
    assert!(sent.iter().all(|words| words[0] & 0xffff == 60));
    assert_eq!((sent[0][0] & END, sent[RING - 1][0] & END), (0, END));
    card.start();
    card.settle();
    assert_eq!(chip.lock().unwrap().get(INTERRUPT_MASK, 2) & 4, 0);
    assert_eq!(pool.available(), 1000 - RING);
}

#[test]
fn a_lost_request_to_look_at_the_ring_is_repeated() {
    let pool = pool(1000);
    let (chip, mut card) = running(VERSION_D, pool);
    for _ in 0..2 {
        card.send(pool.copy_of(&[0; 60]).unwrap()).unwrap();
    }
    card.start();
    card.settle();
    // It has sent one, and looks no further.
    let at = TX_RING;
    chip.lock().unwrap().memory[at + 3] &= 0x7f;
    card.start();
    card.settle();
    assert_eq!(chip.lock().unwrap().polls, 2);
    card.start();
    card.settle();
    assert_eq!(chip.lock().unwrap().polls, 2);
}

#[test]
fn long_frames_by_version() {
    let mtu = |config| {
        let chip = Arc::new(Mutex::new(Chip::new(config)));
        Version::of(&mut Registers(chip)).unwrap().sizes(9000).mtu
    };
    let mtus = [VERSION_B, 0x3c00_0000, VERSION_D, VERSION_H].map(mtu);
    assert_eq!(mtus, [4074, 6122, 9000, 9000]);
    let (chip, card) = start(Chip::new(VERSION_D), buffers(300, 9216), 9000);
    let mut card = card.unwrap();
    assert_eq!(chip.lock().unwrap().get(CONFIG3, 1), 4);
    assert_eq!(chip.lock().unwrap().get(CONFIG4, 1), 2);
    assert_eq!(chip.lock().unwrap().get(RECEIVE_MOST, 2), 9027);
    assert!(chip.lock().unwrap().receive(9018, WHOLE));
    assert_eq!(card.receive().unwrap().len(), 9014);
    // With long frames it completes no sums.
    assert!(!card.can_sum(&with(buffers(1, 1536), 100, 4, 16)));
}

#[test]
fn a_ring_that_hangs_is_found_and_the_card_starts_anew() {
    for version in [VERSION_B, VERSION_D, VERSION_H] {
        let pool = pool(600);
        let (chip, mut card) = running(version, pool);
        testing::hangs(&mut card, pool);
        chip.lock().unwrap().received = 0;
        assert!(chip.lock().unwrap().receive(64, WHOLE));
        assert_eq!(card.receive().unwrap().len(), 60);
    }
}

#[test]
fn what_only_a_reset_mends_is_told_and_mended() {
    let pool = pool(600);
    let (chip, mut card) = running(VERSION_B, pool);
    card.send(pool.copy_of(&[0; 60]).unwrap()).unwrap();
    assert_eq!(card.progress().stopped, None);
    chip.lock().unwrap().set(INTERRUPT_STATUS, 2, 0x60);
    assert_eq!(card.acknowledge(), LinkNews::Changed);
    assert!(card.progress().stopped.is_some());
    let only = Filter::Only(vec![]);
    assert_eq!(card.set_filter(&only), Admits::Named);
    chip.lock().unwrap().received = 0;
    card.restart(&mut |_| {}).unwrap();
    assert_eq!(card.progress().stopped, None);
    assert_eq!(pool.available(), 600 - RING);
    assert_eq!(chip.lock().unwrap().get(RECEIVE_CONFIG, 4) & 0x3f, 0x0e);
    assert!(chip.lock().unwrap().receive(64, WHOLE));
    assert_eq!(card.receive().unwrap().len(), 60);
    let one = Filter::Only(vec![[2; 6]]);
    assert_eq!(card.set_filter(&one), Admits::Everybody);
    chip.lock().unwrap().set(COMMAND, 1, 0);
    assert!(card.progress().stopped.is_some());
    chip.lock().unwrap().set(TRANSMIT_CONFIG, 4, u32::MAX);
    assert_eq!(card.restart(&mut |_| {}), Err(Failure::Gone));
}

#[test]
fn what_is_lent_is_fetched_where_it_lies_and_waited_for() {
    let (chip, mut card) = running(VERSION_H, pool(600));
    testing::lends(&chip, &mut card, pool(1));
}
