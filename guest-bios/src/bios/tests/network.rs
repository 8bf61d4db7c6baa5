//! Booting from the network, with the cards of a guest and a server that is written down here.

use super::*;
use hvm::backend::{Ethernet, Link};
use hvm::checksum;
use hvm::device::Lifecycle;
use hvm::packet::{Packet, Pool};
use pc::rtl8139::{Revision, Rtl8139};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use virtio_pv::net::{Nic, Settings};
use virtio_pv::pci::{Transport, TransportMode};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 1];
const STATION: [u8; 4] = [10, 0, 0, 9];

/// The wire, and the server at its other end.
struct Wire {
    pool: &'static Pool,
    to_station: VecDeque<Vec<u8>>,
    link: Link,
    server: Server,
}

/// What the server has.
struct Server {
    offers: bool,
    file_name: &'static [u8],
    file: Vec<u8>,
    /// A proxy beside the DHCP server names the file, and has these options of PXE's.
    proxy: Option<&'static [u8]>,
    /// What the boot server was asked for: options of PXE's.
    asked: Vec<Vec<u8>>,
    knows_options: bool,
    block_bytes: usize,
    /// Datagrams from the station to other ports: port and payload.
    other: Vec<(u16, Vec<u8>)>,
    /// Every how manieth answer is lost.
    loses_every: usize,
    answers: usize,
}

struct Cable(Arc<Mutex<Wire>>);

impl Ethernet for Cable {
    fn packet(&mut self, _: usize) -> Option<Packet> {
        self.0.lock().unwrap().pool.packet()
    }

    fn send(&mut self, packet: Packet) -> Result<(), Packet> {
        self.0.lock().unwrap().take(packet.frame());
        Ok(())
    }

    fn receive(&mut self) -> Option<Packet> {
        let mut wire = self.0.lock().unwrap();
        let frame = wire.to_station.pop_front()?;
        wire.pool.copy_of(&frame)
    }

    fn link(&self) -> Link {
        self.0.lock().unwrap().link
    }
}

fn udp(from: u16, to: u16, to_address: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = [MAC, SERVER_MAC].concat();
    frame.extend([8, 0, 0x45, 0]);
    frame.extend((28 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(SERVER);
    frame.extend(to_address);
    let sum = checksum::of(&frame[14..34]).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
    for word in [from, to, 8 + payload.len() as u16, 0] {
        frame.extend(word.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

/// A message of the server's.
fn dhcp_answer(
    question: &[u8],
    kind: u8,
    address: [u8; 4],
    name: &[u8],
    options: &[u8],
) -> Vec<u8> {
    let mut answer = question[..240].to_vec();
    answer[0] = 2;
    answer[16..20].copy_from_slice(&address);
    answer[20..24].copy_from_slice(&SERVER);
    answer[108..108 + name.len()].copy_from_slice(name);
    answer.extend([53, 1, kind, 54, 4]);
    answer.extend(SERVER);
    answer.extend(options);
    answer.push(255);
    answer
}

impl Wire {
    fn answer(&mut self, frame: Vec<u8>) {
        self.server.answers += 1;
        if self.server.loses_every == 0
            || !self.server.answers.is_multiple_of(self.server.loses_every)
        {
            self.to_station.push_back(frame);
        }
    }

    fn take(&mut self, frame: &[u8]) {
        match frame[12..14] {
            [8, 6] if frame[38..42] == SERVER => {
                let mut answer = [MAC, SERVER_MAC].concat();
                answer.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
                answer.extend(SERVER_MAC);
                answer.extend(SERVER);
                answer.extend(&frame[22..32]);
                self.answer(answer);
            }
            [8, 0] => {
                let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
                let end = 34 + usize::from(word(38));
                let (from, to, payload) = (word(34), word(36), &frame[42..end]);
                match to {
                    67 if self.server.offers => self.dhcp(payload),
                    4011 => self.boot_server(payload),
                    69 | 5000 => self.tftp(from, payload),
                    _ => self.server.other.push((to, payload.to_vec())),
                }
            }
            _ => {}
        }
    }

    fn dhcp(&mut self, question: &[u8]) {
        let kind = if question[242] == 1 { 2 } else { 5 };
        let name: &[u8] = match self.server.proxy {
            None => self.server.file_name,
            Some(_) => b"",
        };
        let network = [1, 4, 255, 255, 255, 0];
        let answer = dhcp_answer(question, kind, STATION, name, &network);
        self.answer(udp(67, 68, [255; 4], &answer));
        if let (Some(vendor), 2) = (self.server.proxy, kind) {
            let options = [b"\x3c\x09PXEClient\x2b", &[vendor.len() as u8][..], vendor].concat();
            let answer = dhcp_answer(question, kind, [0; 4], b"", &options);
            self.answer(udp(67, 68, [255; 4], &answer));
        }
    }

    fn boot_server(&mut self, question: &[u8]) {
        let start = question.windows(2).position(|window| window == [43, 7]);
        let item = start.map(|start| question[start + 2..start + 9].to_vec());
        self.server.asked.push(item.unwrap_or_default());
        let answer = dhcp_answer(question, 5, [0; 4], self.server.file_name, &[]);
        self.answer(udp(4011, 68, STATION, &answer));
    }

    fn tftp(&mut self, from: u16, payload: &[u8]) {
        let word = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
        let reply = match word(0) {
            1 if !payload[2..].starts_with(self.server.file_name) => {
                [&[0, 5, 0, 1][..], b"no such thing\0"].concat()
            }
            1 if self.server.knows_options => {
                self.server.block_bytes = 1024;
                let size =
                    std::format!("\0\x06tsize\0{}\0blksize\0001024\0", self.server.file.len());
                size.into_bytes()
            }
            1 => {
                self.server.block_bytes = 512;
                self.block(1)
            }
            4 => {
                let start = usize::from(word(2)) * self.server.block_bytes;
                if start > self.server.file.len() {
                    return;
                }
                self.block(word(2) + 1)
            }
            _ => return,
        };
        self.answer(udp(5000, from, STATION, &reply));
    }

    fn block(&self, number: u16) -> Vec<u8> {
        let bytes = self.server.block_bytes;
        let start = usize::from(number - 1) * bytes;
        let data = &self.server.file[start..self.server.file.len().min(start + bytes)];
        [&[0, 3], &number.to_be_bytes()[..], data].concat()
    }
}

#[derive(Clone, Copy, Debug)]
enum Model {
    Rtl8139,
    Virtio,
}

/// A machine with a card on such a wire, after INT 19h with only the network in its order.
struct Lan {
    pc: Pc,
    wire: Arc<Mutex<Wire>>,
}

fn program() -> Vec<u8> {
    (0..3000_u32).map(|index| index as u8 ^ 0x5a).collect()
}

impl Lan {
    fn new(model: Model, change: impl FnOnce(&mut Wire)) -> Self {
        let mut wire = Wire {
            pool: Pool::ordinary(64, 2048),
            to_station: VecDeque::new(),
            link: Link::Up,
            server: Server {
                offers: true,
                file_name: b"boot.0",
                file: program(),
                proxy: None,
                asked: Vec::new(),
                knows_options: true,
                block_bytes: 512,
                other: Vec::new(),
                loses_every: 0,
                answers: 0,
            },
        };
        change(&mut wire);
        let wire = Arc::new(Mutex::new(wire));
        let cable = Box::new(Cable(wire.clone()));
        let card: Box<dyn Function> = match model {
            Model::Rtl8139 => Box::new(Rtl8139::new(Revision::CPlus, cable, MAC)),
            Model::Virtio => {
                let settings = Settings {
                    mac: MAC,
                    pairs: 1,
                    mtu_bytes: None,
                    longest_bytes: 1600,
                };
                let nic = Box::new(Nic::new(cable, settings));
                Box::new(Transport::new(nic, TransportMode::Transitional))
            }
        };
        let mut pc = Pc::off(Vec::new(), &[BootDevice::Network]);
        pc.board.card = Some(card);
        pc.board.card.as_mut().unwrap().resume();
        pc.trap(0xe05b + 2).unwrap();
        Self { pc, wire }
    }

    /// Lets time pass, as halts until the clock's next interrupt.
    fn wait(&mut self, stub: u16, limit_ms: u64) {
        for _ in 0..limit_ms {
            if self.pc.cpu.rip != u64::from(stub) + 7 {
                return;
            }
            self.pc.board.now = self.pc.board.now + 1_000_000;
            self.pc.board.poll_card();
            self.pc.trap(stub + 9).unwrap();
        }
    }

    fn boot(&mut self) {
        let stub = rom::stub(Service::Bootstrap);
        self.pc.trap(stub).unwrap();
        self.wait(stub, 60_000);
    }

    fn booted(model: Model) -> Self {
        let mut lan = Self::new(model, |_| {});
        lan.boot();
        assert_eq!(lan.pc.cpu.rip, 0x7c00, "{}", lan.pc.screen());
        lan
    }

    /// A call by "!PXE", with parameters at 6000h; its status.
    fn call(&mut self, operation: u16, parameters: &[u8]) -> u16 {
        let pc = &mut self.pc;
        pc.board.memory.write(Gpa(0x6000), parameters).unwrap();
        pc.set_segment(SegmentName::Ss, 0);
        pc.cpu.set_gpr(Gpr::Rsp, STACK.into());
        // The stub's frame, the far return, and the caller's words.
        let frame = [0x95_u16, 0x9dc0, 0x0202, 0, 0x1000, operation, 0x6000, 0];
        pc.board.memory.store(Gpa(STACK.into()), &frame).unwrap();
        let stub = rom::stub(Service::Pxe);
        pc.trap(stub).unwrap();
        self.wait(stub, 60_000);
        let status = self.pc.load(0x6000);
        let failed = self.pc.load::<u16>(u64::from(STACK) + 4) & 1 == 1;
        assert_eq!(
            (self.pc.get(Gpr::Rax) == 1, failed),
            (status != 0, status != 0)
        );
        status
    }
}

#[test]
fn a_program_comes_by_tftp_and_finds_the_calls() {
    for model in [Model::Rtl8139, Model::Virtio] {
        let lan = Lan::booted(model);
        let pc = &lan.pc;
        let mut loaded = std::vec![0; 3000];
        pc.board.memory.read(Gpa(0x7c00), &mut loaded).unwrap();
        assert_eq!(loaded, program());
        let base = |name| pc.cpu.segment(name).base;
        let pxenv = base(SegmentName::Es) + u64::from(pc.get(Gpr::Rbx));
        assert_eq!(pc.load::<[u8; 6]>(pxenv), *b"PXENV+");
        let top = base(SegmentName::Ss) + u64::from(pc.get(Gpr::Rsp));
        let [back, back_segment, offset, segment]: [u16; 4] = pc.load(top);
        let pxe = u64::from(segment) * 16 + u64::from(offset);
        assert_eq!(pc.load::<[u8; 4]>(pxe), *b"!PXE");
        let back = u64::from(back_segment) * 16 + u64::from(back);
        assert_eq!(pc.load::<[u8; 2]>(back), [0xcd, 0x18], "INT 18h");
        assert_eq!(pc.load::<u16>(0x413), 631);
        let screen = pc.screen();
        assert!(screen.contains("DHCP ... 10.0.0.9"), "{screen}");
        assert!(
            screen.contains("TFTP 10.0.0.1:boot.0  3000 bytes"),
            "{screen}"
        );
    }
}

#[test]
fn losses_and_servers_without_options_only_cost_time() {
    for knows_options in [true, false] {
        let mut lan = Lan::new(Model::Rtl8139, |wire| {
            wire.server.knows_options = knows_options;
            wire.server.loses_every = 3;
            // The last block is empty.
            wire.server.file.resize(3072, 7);
        });
        lan.boot();
        assert_eq!(lan.pc.cpu.rip, 0x7c00, "{}", lan.pc.screen());
        assert_eq!(lan.pc.load::<u8>(0x7c00 + 3071), 7);
    }
}

/// A boot that fails, which the screen and the log tell, and the menu comes.
fn fails(change: impl FnOnce(&mut Wire), reason: &str) {
    let mut lan = Lan::new(Model::Virtio, change);
    lan.boot();
    let screen = lan.pc.screen().replace('\n', "");
    assert!(screen.contains(reason), "{reason}: {screen}");
    let lines = &lan.pc.board.lines;
    assert!(lines.iter().any(|line| line.contains(reason)), "{lines:?}");
    assert!(
        screen.contains("network 1: virtio 02:00:00:00:00:09"),
        "{screen}"
    );
    assert_eq!(lan.pc.load::<u16>(0x413), 639, "the memory is given back");
}

#[test]
fn what_fails_is_told_and_the_menu_comes() {
    fails(|wire| wire.link = Link::Down, "no cable is plugged in");
    fails(|wire| wire.server.offers = false, "no DHCP server answered");
    fails(|wire| wire.server.file_name = b"", "names no boot file");
    fails(|wire| wire.server.file.clear(), "is empty");
    fails(
        |wire| wire.server.file.resize(700_000, 0),
        "longer than the",
    );
    fails(
        |wire| wire.server.loses_every = 1,
        "no DHCP server answered",
    );
}

#[test]
fn escape_stops_it_and_the_next_device_has_its_turn() {
    let mut lan = Lan::new(Model::Rtl8139, |wire| wire.server.offers = false);
    let stub = rom::stub(Service::Bootstrap);
    lan.pc.trap(stub).unwrap();
    lan.wait(stub, 100);
    lan.pc.board.memory.store(Gpa(0x41e), &0x011b_u16).unwrap();
    lan.pc.board.memory.store(Gpa(0x41c), &0x20_u16).unwrap();
    lan.wait(stub, 1);
    let screen = lan.pc.screen();
    assert!(
        screen.contains("Boot from network: stopped by a key."),
        "{screen}"
    );
    assert!(screen.contains("No device could be started"), "{screen}");
}

#[test]
fn a_boot_goes_on_in_a_restored_machine() {
    let mut lan = Lan::new(Model::Rtl8139, |_| {});
    let stub = rom::stub(Service::Bootstrap);
    lan.pc.trap(stub).unwrap();
    while lan.pc.load::<u8>(0x7c00 + 1500) == 0 {
        lan.wait(stub, 1);
    }
    let saved = lan.pc.bios.save();
    lan.pc.bios.reset();
    lan.pc.bios.restore(&saved).unwrap();
    lan.wait(stub, 60_000);
    assert_eq!(lan.pc.cpu.rip, 0x7c00);
    assert_eq!(lan.pc.load::<u8>(0x7c00 + 2999), program()[2999]);
}

#[test]
fn a_proxy_names_the_file() {
    // Without a menu the boot server is asked for the file, with one for its first item, at the server that is listed for it.
    let menu = b"\x09\x09\x80\x01\x03one\0\0\0\x08\x07\x80\x01\x01\x0a\0\0\x01\xff";
    let menu: &[u8] = menu;
    for (vendor, item) in [(&b""[..], &b""[..]), (menu, b"\x47\x04\x80\x01\0\0\xff")] {
        let mut lan = Lan::new(Model::Virtio, |wire| wire.server.proxy = Some(vendor));
        lan.boot();
        assert_eq!(lan.pc.cpu.rip, 0x7c00, "{}", lan.pc.screen());
        assert_eq!(lan.wire.lock().unwrap().server.asked, [item]);
    }
    fails(
        |wire| wire.server.proxy = Some(b"\x09\x05\0\0\x02me"),
        "boot from this machine",
    );
}

/// A menu of two items with a prompt of three seconds, and their servers.
const CHOICES: &[u8] = b"\x09\x0c\x80\x01\x03one\x80\x02\x03two\x0a\x06\x03Press\x08\x0e\x80\x01\x01\x0a\0\0\x01\x80\x02\x01\x0a\0\0\x01\xff";

/// A boot whose server has such a menu, as far as its prompt.
fn prompted(vendor: &'static [u8], shows: &str) -> Lan {
    let mut lan = Lan::new(Model::Virtio, |wire| wire.server.proxy = Some(vendor));
    let stub = rom::stub(Service::Bootstrap);
    lan.pc.trap(stub).unwrap();
    for _ in 0..10_000 {
        if lan.pc.screen().contains(shows) {
            return lan;
        }
        lan.wait(stub, 1);
    }
    panic!("{}", lan.pc.screen());
}

/// Presses a key, by its word of INT 16h.
fn press(lan: &mut Lan, word: u16) {
    lan.pc.board.memory.store(Gpa(0x41e), &word).unwrap();
    lan.pc
        .board
        .memory
        .store(Gpa(0x41a), &[0x1e_u16, 0x20])
        .unwrap();
    lan.wait(rom::stub(Service::Bootstrap), 1);
}

#[test]
fn somebody_may_choose_of_a_servers_menu() {
    let stub = rom::stub(Service::Bootstrap);
    // Nobody is there: the first one, once the time is over.
    let mut lan = prompted(CHOICES, "Press (F8 or m, within 3 s)");
    lan.wait(stub, 1000);
    assert!(lan.wire.lock().unwrap().server.asked.is_empty());
    lan.wait(stub, 60_000);
    assert_eq!(lan.pc.cpu.rip, 0x7c00, "{}", lan.pc.screen());
    assert_eq!(
        lan.wire.lock().unwrap().server.asked,
        [b"\x47\x04\x80\x01\0\0\xff"]
    );
    // Somebody asks for the menu, takes their time, and the second.
    let mut lan = prompted(CHOICES, "Press (F8");
    press(&mut lan, 0x4200);
    assert!(
        lan.pc.screen().contains("  1  one\n  2  two"),
        "{}",
        lan.pc.screen()
    );
    lan.wait(stub, 10_000);
    press(&mut lan, 0x0a39);
    assert!(
        lan.wire.lock().unwrap().server.asked.is_empty(),
        "there is no ninth"
    );
    press(&mut lan, 0x0332);
    lan.wait(stub, 60_000);
    assert_eq!(lan.pc.cpu.rip, 0x7c00, "{}", lan.pc.screen());
    assert_eq!(
        lan.wire.lock().unwrap().server.asked,
        [b"\x47\x04\x80\x02\0\0\xff"]
    );
    // One that is shown without being asked for, and an item that is this machine.
    let mut lan = prompted(b"\x09\x07\0\0\x04disk\x0a\x03\xff##\xff", "  1  disk");
    lan.wait(stub, 10_000);
    press(&mut lan, 0x0231);
    lan.wait(stub, 10);
    assert!(
        lan.pc
            .screen()
            .replace('\n', "")
            .contains("boot from this machine")
    );
}

#[test]
fn the_packets_of_dhcp_are_kept() {
    let mut lan = Lan::booted(Model::Virtio);
    // A copy, and where it lies.
    let mut parameters = [0, 0, 2, 0, 0, 1, 0, 0x20, 0, 0x20, 0, 0];
    assert_eq!(lan.call(0x71, &parameters), 0);
    assert_eq!(lan.pc.load::<[u8; 2]>(0x6004), [0, 1]);
    assert_eq!(lan.pc.load::<[u8; 4]>(0x2_2010), STATION);
    parameters[4..10].fill(0);
    assert_eq!(lan.call(0x71, &parameters), 0);
    let [bytes, offset, segment]: [u16; 3] = lan.pc.load(0x6004);
    assert!(bytes > 240);
    let at = u64::from(segment) * 16 + u64::from(offset);
    assert_eq!(lan.pc.load::<[u8; 10]>(at + 108), *b"boot.0\0\0\0\0");
    parameters[2] = 4;
    assert_ne!(lan.call(0x71, &parameters), 0);
}

/// Parameters of TFTP_OPEN and of TFTP_GET_FSIZE.
fn open(name: &[u8]) -> [u8; 142] {
    let mut parameters = [0; 142];
    parameters[2..6].copy_from_slice(&SERVER);
    parameters[10..10 + name.len()].copy_from_slice(name);
    parameters[138..].copy_from_slice(&[0, 69, 0, 4]);
    parameters
}

#[test]
fn files_are_read_by_blocks_whole_and_measured() {
    for model in [Model::Rtl8139, Model::Virtio] {
        let mut lan = Lan::booted(model);
        assert_eq!(lan.call(0x25, &open(b"boot.0")), 0);
        assert_eq!(lan.pc.load::<u32>(0x6000 + 138), 3000);
        assert_eq!(lan.call(0x20, &open(b"nothing")), 0x3b);
        assert_eq!(lan.call(0x22, &[0; 10]), 0x1a, "nothing is open");
        assert_eq!(lan.call(0x20, &open(b"boot.0")), 0);
        assert_eq!(lan.pc.load::<u16>(0x6000 + 140), 1024);
        assert_eq!(lan.call(0x20, &open(b"boot.0")), 0x1b, "one is open");
        let mut file = Vec::new();
        for number in 1..=3_u16 {
            assert_eq!(lan.call(0x22, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0x30]), 0);
            let [block, bytes]: [u16; 2] = lan.pc.load(0x6002);
            assert_eq!(block, number);
            let mut data = std::vec![0; bytes.into()];
            lan.pc.board.memory.read(Gpa(0x3_0000), &mut data).unwrap();
            file.extend(data);
        }
        assert_eq!(file, program());
        assert_ne!(lan.call(0x22, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0x30]), 0);
        assert_eq!(lan.call(0x21, &[0; 2]), 0);
        let mut whole = [0; 160];
        whole[2..8].copy_from_slice(b"boot.0");
        whole[130..138].copy_from_slice(&[0, 0, 1, 0, 0, 0, 0x40, 0]);
        whole[138..142].copy_from_slice(&SERVER);
        assert_eq!(lan.call(0x23, &whole), 0);
        assert_eq!(lan.pc.load::<u32>(0x6000 + 130), 3000);
        let mut file = std::vec![0; 3000];
        lan.pc.board.memory.read(Gpa(0x40_0000), &mut file).unwrap();
        assert_eq!(file, program());
        whole[130..134].copy_from_slice(&2000_u32.to_le_bytes());
        assert_eq!(lan.call(0x23, &whole), 6, "there is no room");
    }
}

#[test]
fn datagrams_go_and_come() {
    let mut lan = Lan::booted(Model::Rtl8139);
    let mut write = [0; 20];
    write[2..6].copy_from_slice(&SERVER);
    write[10..].copy_from_slice(&[0x12, 0x34, 0x43, 0x21, 5, 0, 0, 0, 0, 0x20]);
    lan.pc.board.memory.write(Gpa(0x2_0000), b"hello").unwrap();
    assert_eq!(lan.call(0x33, &write), 0x18, "it is closed");
    assert_eq!(lan.call(0x30, &[0; 6]), 0);
    assert_eq!(lan.call(0x30, &[0; 6]), 0x19);
    assert_eq!(lan.call(0x33, &write), 0);
    let wire = lan.wire.clone();
    assert_eq!(
        wire.lock().unwrap().server.other,
        [(0x4321, b"hello".to_vec())]
    );
    let mut read = [0; 20];
    read[12..].copy_from_slice(&[0x12, 0x34, 100, 0, 0, 0, 0, 0x30]);
    assert_eq!(lan.call(0x32, &read), 1, "nothing came");
    {
        let mut wire = wire.lock().unwrap();
        wire.answer(udp(1, 2, STATION, b"for somebody else"));
        wire.answer(udp(0x4321, 0x1234, STATION, b"world"));
    }
    lan.pc.board.poll_card();
    assert_eq!(lan.call(0x32, &read), 0);
    assert_eq!(lan.pc.load::<[u8; 5]>(0x3_0000), *b"world");
    assert_eq!(lan.pc.load::<[u8; 4]>(0x6002), SERVER);
    assert_eq!(lan.pc.load::<[u8; 4]>(0x600a), [0x43, 0x21, 0x12, 0x34]);
    assert_eq!(lan.pc.load::<u16>(0x600e), 5);
    write[14..16].copy_from_slice(&2000_u16.to_le_bytes());
    assert_eq!(lan.call(0x33, &write), 6, "it is too long");
    assert_eq!(lan.call(0x31, &[0; 2]), 0);
}

#[test]
fn frames_go_and_come_with_interrupts() {
    for model in [Model::Rtl8139, Model::Virtio] {
        let mut lan = Lan::booted(model);
        assert_eq!(lan.call(0x70, &[0; 12]), 0);
        assert_eq!(lan.call(0x30, &[0; 6]), 3, "the base code is unloaded");
        assert_eq!(lan.call(0x0c, &[0; 64]), 0);
        assert_eq!(lan.pc.load::<[u8; 6]>(0x600c), MAC);
        assert_eq!(lan.call(0x12, &[0; 32]), 0);
        assert_eq!(lan.pc.load::<u8>(0x6002), 2);
        assert_eq!(lan.pc.load::<[u8; 2]>(0x600b), [0x18, 0]);
        assert_eq!(lan.call(0x06, &[0, 0, 0, 0, 3, 0, 0, 0]), 0);
        let pin = |lan: &Lan| lan.pc.board.card.as_ref().unwrap().interrupt_line();
        let isr = |function: u8| [0, 0, function, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(!pin(&lan));
        assert_eq!(lan.call(0x14, &isr(1)), 0);
        assert_eq!(lan.pc.load::<u16>(0x6002), 1, "not its interrupt");
        let memory = &lan.pc.board.memory;
        // An IP packet to the server, in two pieces.
        memory.write(Gpa(0x2_0000), &SERVER_MAC).unwrap();
        let datagram = udp(7, 9, SERVER, b"hello");
        memory.write(Gpa(0x2_0100), &datagram[14..]).unwrap();
        let mut descriptor = [0; 16];
        descriptor[..8].copy_from_slice(&[20, 0, 0, 1, 0, 0x20, 1, 0]);
        descriptor[10..].copy_from_slice(&[13, 0, 0x14, 1, 0, 0x20]);
        memory.write(Gpa(0x2_0200), &descriptor).unwrap();
        let transmit = [0, 0, 1, 0, 0, 0, 0, 0x20, 0, 2, 0, 0x20];
        assert_eq!(lan.call(0x08, &transmit), 0);
        let other = lan.wire.lock().unwrap().server.other.clone();
        assert_eq!(other, [(9, b"hello".to_vec())]);
        lan.wire
            .lock()
            .unwrap()
            .answer(udp(9, 7, STATION, b"world"));
        lan.pc.board.poll_card();
        assert!(pin(&lan));
        assert_eq!(lan.call(0x14, &isr(1)), 0);
        assert_eq!((lan.pc.load::<u16>(0x6002), pin(&lan)), (0, false));
        assert_eq!(lan.call(0x14, &isr(2)), 0);
        assert_eq!(lan.pc.load::<u16>(0x6002), 2, "sent");
        assert_eq!(lan.call(0x14, &isr(3)), 0);
        assert_eq!(lan.pc.load::<u16>(0x6002), 3, "received");
        let [bytes, whole, header, offset, segment]: [u16; 5] = lan.pc.load(0x6004);
        assert_eq!((bytes, header), (whole, 14));
        let at = u64::from(segment) * 16 + u64::from(offset);
        assert_eq!(lan.pc.load::<[u8; 5]>(at + 42), *b"world");
        assert_eq!(
            lan.pc.load::<[u8; 2]>(0x600e),
            [1, 0],
            "IP, to this station"
        );
        assert_eq!(lan.call(0x14, &isr(3)), 0);
        assert_eq!(lan.pc.load::<u16>(0x6002), 0, "done");
        lan.wire
            .lock()
            .unwrap()
            .answer(udp(9, 7, STATION, b"again"));
        lan.pc.board.poll_card();
        assert!(pin(&lan), "the interrupt is open again");
        assert_eq!(lan.call(0x0d, &[0; 18]), 0);
        assert!(lan.pc.load::<[u32; 2]>(0x6002)[0] > 0);
        assert_eq!(lan.call(0x07, &[0; 2]), 0);
        assert_eq!(lan.call(0x15, &[0; 2]), 0);
        // The memory is the program's to give back: it sees by this what the calls were taken of.
        assert_eq!(lan.pc.load::<u16>(0x413), 631);
        assert_eq!(lan.call(0x14, &isr(1)), 0x64, "nothing is loaded any more");
    }
}

#[test]
fn the_interrupt_names_the_calls_while_they_are_there() {
    let mut lan = Lan::booted(Model::Rtl8139);
    assert!(!lan.pc.int(Service::Time, 0x5650));
    assert_eq!(lan.pc.get(Gpr::Rax), 0x564e);
    assert_eq!(lan.pc.get(Gpr::Rbx), 0x60);
    let mut pc = Pc::on();
    assert!(pc.int(Service::Time, 0x5650));
}

#[test]
fn protected_mode_callers_name_selectors() {
    let mut lan = Lan::booted(Model::Virtio);
    let pc = &mut lan.pc;
    // A table at 5000h whose second descriptor is a segment at 12_3400h.
    let descriptors = [0, 0x0000_9312_3400_ffff_u64];
    pc.board.memory.store(Gpa(0x5000), &descriptors).unwrap();
    pc.cpu.gdtr.base = 0x5000;
    pc.cpu.gdtr.limit = 15;
    pc.cpu.cr0 |= 1;
    let frame = [0x95_u16, 8, 0x0002, 0, 8, 0x0c, 0x10, 8];
    for (selector, exit) in [(8, 0), (0x10, 1), (0, 1)] {
        let frame = [&frame[..7], &[selector]].concat();
        let bytes: Vec<u8> = frame.iter().flat_map(|word| word.to_le_bytes()).collect();
        pc.set_segment(SegmentName::Ss, 0);
        pc.cpu.set_gpr(Gpr::Rsp, STACK.into());
        pc.board.memory.write(Gpa(STACK.into()), &bytes).unwrap();
        pc.trap(rom::stub(Service::Pxe)).unwrap();
        assert_eq!(pc.get(Gpr::Rax), exit, "{selector:x}");
    }
    assert_eq!(pc.load::<[u8; 6]>(0x12_341c), MAC);
}

mod any {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Whatever a program asks, with whatever in memory and in the card's rings, and whatever the network sends: each call ends or
        /// waits, and nothing panics.
        #[test]
        fn any_calls_and_any_frames_end(
            virtio: bool,
            calls in proptest::collection::vec((0..0x80_u16, proptest::collection::vec(any::<u8>(), 160)), 1..12),
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8),
            spoilt in proptest::option::of(any::<u8>()),
        ) {
            let mut lan = Lan::booted(if virtio { Model::Virtio } else { Model::Rtl8139 });
            for frame in frames {
                lan.wire.lock().unwrap().answer(udp(5000, 2071, STATION, &frame));
                lan.wire.lock().unwrap().answer(frame);
            }
            if let Some(byte) = spoilt {
                let rings = crate::bios::layout::Layout::of(&lan.pc.board.memory).unwrap().network;
                lan.pc.board.memory.fill(rings, 0x1_0000, byte).unwrap();
            }
            for (operation, mut parameters) in calls {
                lan.pc.board.memory.write(Gpa(0x6000), &parameters).unwrap();
                // Files go somewhere harmless to the test.
                parameters[134..138].copy_from_slice(&0x40_0000_u32.to_le_bytes());
                for pointer in [6, 8, 16] {
                    parameters[pointer + 3] &= 0x3f;
                    parameters[pointer + 3] |= 0x20;
                }
                lan.call(operation, &parameters);
                lan.pc.board.poll_card();
            }
        }
    }
}
