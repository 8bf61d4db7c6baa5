//! Booting from the network, with the cards of a guest and a server that is written down here.

mod boot;
mod calls;
mod choice;
mod datagram;
mod wire;

use super::*;
use datagram::*;
use hvm::backend::{Ethernet, Link};
use hvm::device::Lifecycle;
use hvm::packet::{Packet, Pool};
use pc::rtl8139::{Revision, Rtl8139};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use virtio_pv::net::{Nic, Settings};
use virtio_pv::pci::{Transport, TransportMode};
use wire::*;

const STATION: [u8; 4] = [10, 0, 0, 9];

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
