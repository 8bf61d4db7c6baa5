use super::super::intel::testing::{ADDRESS, RINGS_AT, power_on};
use super::super::testing::{self, Memory, Piece, Registers, pool as buffers};
use super::*;
use hvm::packet::PartialChecksum;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::vec;
use std::vec::Vec;

/// The card's side: registers as they were written, and the rings' memory.
#[derive(Default)]
struct Chip {
    registers: BTreeMap<usize, u32>,
    memory: Vec<u8>,
    resets: u32,
    hangs: bool,
    order: Vec<usize>,
    /// The EEPROM's first words, where a reset does not load them.
    stored: Option<[u16; 3]>,
}

impl testing::Chip for Chip {
    fn read(&mut self, at: usize, bytes: usize) -> u32 {
        assert_eq!(bytes, 4);
        let value = self.registers.get(&at).copied().unwrap_or(0);
        // Reading clears causes and counters.
        if [ICR, CRCERRS, MPC].contains(&at) {
            self.registers.insert(at, 0);
        }
        value
    }

    fn write(&mut self, at: usize, bytes: usize, value: u32) {
        assert_eq!(bytes, 4);
        self.order.push(at);
        if at == CTRL && value & Ctrl::RESET.bits() != 0 && !self.hangs {
            self.resets += 1;
            self.registers = power_on();
            if self.stored.is_some() {
                self.registers.remove(&RAL0);
                self.registers.remove(&RAH0);
            }
            return;
        }
        let value = match at {
            IMS => self.register(IMS) | value,
            IMC => {
                let mask = self.register(IMS) & !value;
                self.registers.insert(IMS, mask);
                return;
            }
            EERD => match self.stored {
                Some(words) => {
                    u32::from(words[(value >> 8 & 3) as usize]) << 16 | EERD_DONE | value
                }
                None => value,
            },
            _ => value,
        };
        self.registers.insert(at, value);
    }

    fn memory(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }
}

impl testing::Sends for Chip {
    fn send(&mut self) -> Vec<Piece> {
        let sent = self.transmit().into_iter();
        sent.map(|(dma, bytes, command)| Piece {
            dma,
            bytes: bytes.into(),
            is_last: command & 1 != 0,
        })
        .collect()
    }

    fn tells(&self) -> Option<bool> {
        let mask = self.register(IMS);
        (mask != 0).then_some(mask & 1 != 0)
    }
}

impl Chip {
    fn register(&self, at: usize) -> u32 {
        self.registers.get(&at).copied().unwrap_or(0)
    }

    /// Receives a frame of `length` into the descriptor at the head; false if there is none.
    fn receive(&mut self, length: u16, status: u8, errors: u8) -> bool {
        let (head, tail) = (self.register(RDH), self.register(RDT));
        if head == tail {
            return false;
        }
        let at = head as usize * DESCRIPTOR_BYTES;
        self.memory[at + RX_LENGTH..at + RX_LENGTH + 2].copy_from_slice(&length.to_le_bytes());
        self.memory[at + RX_ERRORS] = errors;
        self.memory[at + RX_STATUS] = status;
        self.registers.insert(RDH, (head + 1) % RING as u32);
        true
    }

    /// Sends what lies between head and tail: address, length, command.
    fn transmit(&mut self) -> Vec<(u64, u16, u8)> {
        let mut sent = vec![];
        while self.register(TDH) != self.register(TDT) {
            let head = self.register(TDH);
            let at = TX_RING + head as usize * DESCRIPTOR_BYTES;
            let bytes = &mut self.memory[at..at + DESCRIPTOR_BYTES];
            bytes[TX_STATUS] |= 1;
            sent.push((
                u64::from_le_bytes(*bytes.first_chunk().unwrap()),
                u16::from_le_bytes([bytes[8], bytes[9]]),
                bytes[11],
            ));
            self.registers.insert(TDH, (head + 1) % RING as u32);
        }
        sent
    }
}

fn pool(count: usize) -> &'static Pool {
    buffers(count, BUFFER_BYTES)
}

type Card = E1000<Registers<Chip>, Memory<Chip>>;

fn start(chip: Chip, pool: &'static Pool) -> (Arc<Mutex<Chip>>, Result<Card, Failure>) {
    let chip = Arc::new(Mutex::new(Chip {
        memory: vec![0; SHARED_BYTES],
        ..chip
    }));
    let rings = Shared {
        window: Memory(chip.clone()),
        dma: RINGS_AT,
    };
    let model = model(0x100e).unwrap();
    let sizes = model.sizes(USUAL_MTU);
    let registers = Registers(chip.clone());
    let card = E1000::start(registers, rings, model, pool, sizes, &mut |_| {});
    (chip, card)
}

fn running(pool: &'static Pool) -> (Arc<Mutex<Chip>>, Card) {
    let registers = power_on();
    let chip = Chip {
        registers,
        ..Chip::default()
    };
    let (chip, card) = start(chip, pool);
    (chip, card.unwrap())
}

#[test]
fn a_card_that_was_left_running_is_reset_and_set_up() {
    let pool = pool(600);
    let mut registers = power_on();
    registers.extend([(IMS, 0xff), (RCTL, 0x8002), (RDT, 7), (ICR, 0x80)]);
    let chip = Chip {
        registers,
        ..Chip::default()
    };
    let (chip, card) = start(chip, pool);
    let mut card = card.unwrap();
    assert_eq!(card.address(), ADDRESS);
    assert_eq!(card.link(), Link::Up);
    let chip = chip.lock().unwrap();
    assert_eq!(chip.resets, 1);
    // It takes no frame into old buffers while it is reset.
    let first = |register| chip.order.iter().position(|it| *it == register);
    assert!(first(IMC) < first(RCTL) && first(RCTL) < first(CTRL));
    assert_eq!(u64::from(chip.register(RDBAL)), RINGS_AT);
    assert_eq!(u64::from(chip.register(TDBAL)), RINGS_AT + 4096);
    assert_eq!(chip.register(RDT), RING as u32 - 1);
    assert_eq!(chip.register(IMS) & 0x80, 0x80);
    let rctl = Rctl::from_bits_retain(chip.register(RCTL));
    assert!(rctl.contains(Rctl::ENABLE | Rctl::ALL_UNICAST | Rctl::STRIP_CHECK));
    assert_eq!(pool.available(), 600 - (RING - 1));
}

#[test]
fn cards_that_do_not_work_are_refused() {
    let gone = Chip {
        registers: BTreeMap::from([(STATUS, u32::MAX)]),
        ..Chip::default()
    };
    assert_eq!(start(gone, pool(1)).1.unwrap_err(), Failure::Gone);
    let hung = Chip {
        registers: power_on(),
        hangs: true,
        ..Chip::default()
    };
    assert_eq!(
        start(hung, pool(1)).1.unwrap_err(),
        Failure::Reset { limit_ms: 50 }
    );
}

#[test]
fn frames_come_in_order_and_the_ring_is_kept_full() {
    let pool = pool(600);
    let (chip, mut card) = running(pool);
    for round in 0..5 * RING {
        let length = 60 + (round % 1000) as u16;
        assert!(chip.lock().unwrap().receive(length, 3, 0));
        card.acknowledge();
        let packet = card.receive().unwrap();
        assert_eq!(packet.len(), usize::from(length));
        assert!(card.receive().is_none());
        drop(packet);
        card.start();
        card.settle();
    }
    assert_eq!(pool.available(), 600 - (RING - 1));
    // All that the ring holds at once, and one more, which the card misses.
    for _ in 0..RING - 1 {
        assert!(chip.lock().unwrap().receive(60, 3, 0));
    }
    assert!(!chip.lock().unwrap().receive(60, 3, 0));
    assert_eq!(core::iter::from_fn(|| card.receive()).count(), RING - 1);
    card.start();
    card.settle();
    assert!(chip.lock().unwrap().receive(60, 3, 0));
}

#[test]
fn interrupts_are_apart_as_the_traffic_wants_also_after_a_reset() {
    let pool = pool(600);
    let (chip, mut card) = running(pool);
    let after = |card: &mut Card, frames: usize| {
        testing::receives_in_turns(card, frames, || chip.lock().unwrap().receive(60, 3, 0));
        chip.lock().unwrap().register(ITR)
    };
    // 8254x, 13.4.18: units of 256 ns.
    assert_eq!(after(&mut card, 1), 195);
    assert_eq!(after(&mut card, 10), 976);
    card.restart(&mut |_| {}).unwrap();
    assert_eq!(after(&mut card, 1), 195);
}

#[test]
fn damaged_and_cut_frames_are_dropped_and_counted() {
    let (chip, mut card) = running(pool(300));
    let chip_receives = |length, status, errors| {
        assert!(chip.lock().unwrap().receive(length, status, errors));
    };
    chip_receives(60, 3, 1);
    chip_receives(2048, 1, 0);
    chip_receives(100, 3, 0);
    chip_receives(4000, 3, 0);
    // A wrong TCP checksum is the receiver's business.
    chip_receives(61, 3, 0x20);
    assert_eq!(card.receive().unwrap().len(), 61);
    assert!(card.receive().is_none());
    assert_eq!(card.faults(), 3);
}

#[test]
fn sent_frames_go_out_in_order_and_their_buffers_come_back() {
    let pool = pool(1000);
    let (chip, mut card) = running(pool);
    for round in 0..3 * RING {
        let mut packet = pool.packet().unwrap();
        packet.set_len(60 + round % 1000);
        let expected = (packet.dma(), packet.len() as u16, 0x0b);
        card.send(packet).unwrap();
        assert!(chip.lock().unwrap().transmit().is_empty());
        card.start();
        card.settle();
        assert_eq!(chip.lock().unwrap().transmit(), [expected]);
    }
    card.start();
    card.settle();
    assert_eq!(pool.available(), 1000 - (RING - 1));
}

#[test]
fn a_full_ring_gives_back_and_asks_to_be_told() {
    let pool = pool(1000);
    let (chip, mut card) = running(pool);
    testing::fills_up(&chip, &mut card, pool, RING - 1);
    card.acknowledge();
    let mask = chip.lock().unwrap().register(IMS);
    assert_eq!(mask, 0, "silent during a turn");
    card.settle();
    assert_ne!(chip.lock().unwrap().register(IMS), 0);
}

#[test]
fn a_missing_checksum_is_asked_for() {
    let pool = pool(1000);
    let (chip, mut card) = running(pool);
    let with = |start, offset| {
        let mut packet = pool.packet().unwrap();
        packet.set_len(100);
        let sum = PartialChecksum { start, offset };
        packet.set_offload(hvm::packet::Offload {
            checksum: Checksum::Partial(sum),
            segmentation: None,
        });
        packet
    };
    assert!(card.can_sum(&with(34, 16)));
    card.send(with(34, 16)).unwrap();
    card.send(with(34, 16)).unwrap();
    assert!(!card.can_sum(&with(34, 65)));
    assert!(card.send(with(300, 0)).is_err());
    card.start();
    card.settle();
    let mut chip = chip.lock().unwrap();
    // One context: where summing starts, where the sum goes; then two frames.
    assert_eq!(chip.memory[TX_RING + 4..TX_RING + 8], [34, 50, 0, 0]);
    let options = |at: usize| chip.memory[TX_RING + DESCRIPTOR_BYTES * at + 13];
    assert_eq!((options(1), options(2)), (2, 2));
    let sent = chip.transmit();
    let commands: Vec<_> = sent.iter().map(|sent| sent.2).collect();
    assert_eq!(commands, [0x28, 0x2b, 0x2b]);
    assert_eq!(sent[1].1, 100);
}

/// A frame of TCP over IPv4 that is to be cut.
fn long(pool: &'static Pool, bytes: usize) -> Packet {
    let mut packet = pool.packet().unwrap();
    packet.set_len(bytes);
    let frame = packet.frame_mut();
    frame.fill(0);
    frame[12..15].copy_from_slice(&[8, 0, 0x45]);
    frame[23] = 6;
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    let sum = hvm::checksum::pseudo_header(&frame[26..34], 6, bytes - 34);
    frame[50..52].copy_from_slice(&sum.to_be_bytes());
    packet.set_offload(hvm::packet::Offload {
        checksum: Checksum::Partial(PartialChecksum {
            start: 34,
            offset: 16,
        }),
        segmentation: Some(hvm::packet::Segmentation {
            cut: hvm::packet::Cut::Tcp4,
            segment_bytes: 1448,
            header_bytes: 66,
        }),
    });
    packet
}

#[test]
fn a_long_frame_is_given_to_the_card_in_pieces() {
    let (chip, mut card) = running(pool(600));
    let own = Pool::ordinary(2, 20_000);
    let packet = long(own, 10_000);
    assert!(card.can_cut(&packet));
    let dma = packet.dma();
    card.send(packet).unwrap();
    // What the card adds for each piece is the length: the sum that is there has the addresses and the protocol.
    let expected = hvm::checksum::pseudo_header(&[10, 0, 0, 1, 10, 0, 0, 2], 6, 0);
    let sent = card.rings.sending.packets().next().unwrap();
    assert_eq!(sent.frame()[50..52], expected.to_be_bytes());
    card.start();
    card.settle();
    let mut chip = chip.lock().unwrap();
    let context = chip.memory[TX_RING..TX_RING + 16].to_vec();
    let payload = (10_000_u32 - 66).to_le_bytes();
    let expected = [
        14, 24, 33, 0, 34, 50, 0, 0, payload[0], payload[1], 0, 0x2f, 0, 66, 0xa8, 5,
    ];
    assert_eq!(context, expected);
    let sent = chip.transmit();
    let expected = [
        (dma, 4096, 0x2e),
        (dma + 4096, 4096, 0x2e),
        (dma + 8192, 1808, 0x2f),
    ];
    assert_eq!(sent[1..], expected);
    drop(chip);
    card.start();
    card.settle();
    assert_eq!(own.available(), 2);
}

#[test]
fn a_card_that_does_not_cut_is_not_asked_to() {
    let (_, mut card) = running(pool(600));
    card.model = super::model(0x10d3).unwrap();
    let packet = long(Pool::ordinary(1, 20_000), 10_000);
    assert!(!card.can_cut(&packet));
    assert!(card.send(packet).is_err());
}

#[test]
fn an_address_that_a_reset_does_not_load_is_in_the_eeprom() {
    let chip = Chip {
        registers: power_on(),
        stored: Some([0x5452, 0x1200, 0x5634]),
        ..Chip::default()
    };
    let (chip, card) = start(chip, pool(300));
    assert_eq!(card.unwrap().address(), ADDRESS);
    assert_eq!(chip.lock().unwrap().register(RAL0), 0x1200_5452);
    let blank = Chip {
        registers: power_on(),
        stored: Some([0; 3]),
        ..Chip::default()
    };
    let failure = start(blank, pool(300)).1.unwrap_err();
    assert_eq!(failure, Failure::Address([0; 6]));
}

#[test]
fn filters_are_exact_as_far_as_there_are_any() {
    let (chip, mut card) = running(pool(300));
    let everybody = |chip: &Arc<Mutex<Chip>>| {
        Rctl::from_bits_retain(chip.lock().unwrap().register(RCTL)).contains(Rctl::ALL_UNICAST)
    };
    assert!(everybody(&chip));
    let two = Filter::Only(vec![[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
    assert_eq!(card.set_filter(&two), Admits::Named);
    assert!(!everybody(&chip));
    let second = RAL0 + 2 * RA_STEP;
    assert_eq!(chip.lock().unwrap().register(second), 2);
    assert_eq!(chip.lock().unwrap().register(second + 4), 0x8000_0200);
    let one = Filter::Only(vec![[2, 0, 0, 0, 0, 1]]);
    assert_eq!(card.set_filter(&one), Admits::Named);
    assert_eq!(chip.lock().unwrap().register(second + 4), 0);
    let many = Filter::Only(vec![[2, 0, 0, 0, 0, 1]; 14]);
    assert_eq!(card.set_filter(&many), Admits::Everybody);
    assert!(everybody(&chip));
    // The card's own stays, whatever is asked for.
    assert_eq!(chip.lock().unwrap().register(RAH0), 0x8000_5634);
}

#[test]
fn a_ring_that_hangs_is_found_and_the_card_starts_anew() {
    let pool = pool(1000);
    let (chip, mut card) = running(pool);
    let only = Filter::Only(vec![[2, 0, 0, 0, 0, 1]]);
    card.set_filter(&only);
    let mut watch = crate::nic::watch::Watch::default();
    for _ in 0..10 {
        let mut packet = pool.packet().unwrap();
        packet.set_len(60);
        card.send(packet).unwrap();
    }
    let mut hang = None;
    for second in 0..10 {
        card.start();
        card.settle();
        hang = hang.or(watch.look(card.progress(), Link::Up, 1000 * second));
    }
    let (outstanding, still_ms) = (10, 5000);
    let expected = crate::nic::watch::Hang::Sending {
        outstanding,
        still_ms,
    };
    assert_eq!(hang, Some(expected));
    chip.lock().unwrap().hangs = true;
    assert!(card.restart(&mut |_| {}).is_err());
    // What it may still write to stays its own.
    assert_eq!(pool.available(), 1000 - (RING - 1) - 10);
    chip.lock().unwrap().hangs = false;
    card.restart(&mut |_| {}).unwrap();
    assert_eq!(pool.available(), 1000 - (RING - 1));
    assert_eq!(card.progress().outstanding, 0);
    assert_eq!(chip.lock().unwrap().register(RAL0 + RA_STEP), 2);
    let receive = Rctl::from_bits_retain(chip.lock().unwrap().register(RCTL));
    assert!(receive.contains(Rctl::ENABLE) && !receive.contains(Rctl::ALL_UNICAST));
    // Both ways.
    assert!(chip.lock().unwrap().receive(60, 3, 0));
    assert_eq!(card.receive().unwrap().len(), 60);
    let mut packet = pool.packet().unwrap();
    packet.set_len(60);
    card.send(packet).unwrap();
    card.start();
    card.settle();
    assert_eq!(chip.lock().unwrap().transmit().len(), 1);
}

#[test]
fn a_card_that_somebody_reset_says_so() {
    let (chip, mut card) = running(pool(300));
    assert_eq!(card.progress().stopped, None);
    chip.lock().unwrap().registers.insert(RCTL, 0);
    assert!(card.progress().stopped.is_some());
    chip.lock().unwrap().registers.insert(STATUS, u32::MAX);
    assert!(card.progress().stopped.is_some());
    assert_eq!(card.restart(&mut |_| {}), Err(Failure::Gone));
}

#[test]
fn long_frames_have_buffers_that_hold_them_and_go_out_in_pieces() {
    let model = model(0x10d3).unwrap();
    let sizes = model.sizes(9000);
    assert_eq!((sizes.mtu, sizes.buffer_bytes), (9000, 16384));
    assert_eq!(super::model(0x150c).unwrap().sizes(9000).mtu, 1500);
    let pool = buffers(300, sizes.buffer_bytes);
    let chip = Arc::new(Mutex::new(Chip {
        registers: power_on(),
        memory: vec![0; SHARED_BYTES],
        ..Chip::default()
    }));
    let rings = Shared {
        window: Memory(chip.clone()),
        dma: RINGS_AT,
    };
    let registers = Registers(chip.clone());
    let mut card = E1000::start(registers, rings, model, pool, sizes, &mut |_| {}).unwrap();
    let receive = chip.lock().unwrap().register(RCTL);
    assert_eq!(
        receive & (Rctl::LONG.bits() | RCTL_BUFFERS_16K),
        0x0201_0020
    );
    assert!(chip.lock().unwrap().receive(9014, 3, 0));
    let mut packet = card.receive().unwrap();
    assert_eq!(packet.len(), 9014);
    packet.set_len(9014);
    card.send(packet).unwrap();
    card.start();
    card.settle();
    let sent = chip.lock().unwrap().transmit();
    let pieces: Vec<_> = sent.iter().map(|piece| (piece.1, piece.2)).collect();
    assert_eq!(pieces, [(4096, 0x0a), (4096, 0x0a), (822, 0x0b)]);
}

/// A controller in a chipset, without firmware.
fn in_chipset() -> (Arc<Mutex<Chip>>, Result<Card, Failure>) {
    let mut registers = power_on();
    registers.insert(FWSM, 1 << 6);
    let chip = Arc::new(Mutex::new(Chip {
        registers,
        memory: vec![0; SHARED_BYTES],
        ..Chip::default()
    }));
    let rings = Shared {
        window: Memory(chip.clone()),
        dma: RINGS_AT,
    };
    let model = model(0x156f).unwrap();
    let sizes = model.sizes(USUAL_MTU);
    let registers = Registers(chip.clone());
    let card = E1000::start(registers, rings, model, pool(600), sizes, &mut |_| {});
    (chip, card)
}

#[test]
fn a_controller_in_a_chipset_starts_and_shares_its_addresses() {
    let (chip, card) = in_chipset();
    let mut card = card.unwrap();
    assert_eq!((card.name(), card.address()), ("Intel I219", ADDRESS));
    // The flag is given back, K1 is off, and the transceiver may be powered down no longer by hand.
    assert_eq!(chip.lock().unwrap().register(0x0f00) & 1 << 5, 0);
    assert_eq!(chip.lock().unwrap().register(0x0034), 7 << 16);
    assert_eq!(chip.lock().unwrap().register(PBECC) & 1 << 16, 1 << 16);
    let filter = Filter::Only(vec![[2, 0, 0, 0, 0, 1]; 11]);
    assert_eq!(card.set_filter(&filter), Admits::Named);
    assert_eq!(chip.lock().unwrap().register(0x5408), 2);
    // The engine keeps all but the first two.
    chip.lock().unwrap().registers.insert(FWSM, 3 << 7);
    assert_eq!(card.set_filter(&filter), Admits::Everybody);
    let filter = Filter::Only(vec![[2, 0, 0, 0, 0, 9]]);
    assert_eq!(card.set_filter(&filter), Admits::Named);
}

const PBECC: usize = 0x100c;

#[test]
fn what_is_lent_is_fetched_where_it_lies_and_waited_for() {
    let (chip, mut card) = running(pool(600));
    testing::lends(&chip, &mut card, pool(1));
}
