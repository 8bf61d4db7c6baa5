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
                    69 | 5000 => self.tftp(from, payload),
                    _ => self.server.other.push((to, payload.to_vec())),
                }
            }
            _ => {}
        }
    }

    fn dhcp(&mut self, question: &[u8]) {
        let kind = question[242];
        let mut answer = question[..240].to_vec();
        answer[0] = 2;
        answer[16..20].copy_from_slice(&STATION);
        answer[20..24].copy_from_slice(&SERVER);
        let name = self.server.file_name;
        answer[108..108 + name.len()].copy_from_slice(name);
        answer.extend([53, 1, if kind == 1 { 2 } else { 5 }, 54, 4]);
        answer.extend(SERVER);
        answer.extend([1, 4, 255, 255, 255, 0, 255]);
        self.answer(udp(67, 68, [255; 4], &answer));
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
