//! A boot from the network whose servers send any bytes, and then calls of PXE with any parameters: it ends or waits, without a panic.
#![no_main]

#[path = "../../src/bios/tests/network/datagram.rs"]
mod datagram;
mod machine;

use datagram::{MAC, SERVER, udp};
use guest_bios::bios::Service;
use guest_bios::rom;
use guest_mem::Gpa;
use hvm::backend::{Ethernet, Link};
use hvm::packet::{Packet, Pool};
use hvm::regs::{Gpr, Registers, Segment, SegmentName, State};
use libfuzzer_sys::fuzz_target;
use machine::Pc;
use pc::rtl8139::{Revision, Rtl8139};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use virtio_pv::net::{Nic, Settings};
use virtio_pv::pci::{Transport, TransportMode};

static POOL: OnceLock<&'static Pool> = OnceLock::new();

fn pool() -> &'static Pool {
    POOL.get_or_init(|| Pool::ordinary(64, 2048))
}

/// What the station will receive, and what it sent last.
#[derive(Default)]
struct Wire {
    to_station: VecDeque<Vec<u8>>,
    sent: Vec<u8>,
}

struct Cable(Arc<Mutex<Wire>>);

impl Ethernet for Cable {
    fn packet(&mut self, _: usize) -> Option<Packet> {
        pool().packet()
    }

    fn send(&mut self, packet: Packet) -> Result<(), Packet> {
        self.0.lock().unwrap().sent = packet.frame().to_vec();
        Ok(())
    }

    fn receive(&mut self) -> Option<Packet> {
        let frame = self.0.lock().unwrap().to_station.pop_front()?;
        pool().copy_of(&frame)
    }

    fn link(&self) -> Link {
        Link::Up
    }
}

/// A DHCP message with the conversation's number and these options.
fn dhcp(question: &[u8], kind: u8, options: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[0] = 2;
    if let Some(number) = question.get(46..50) {
        message[4..8].copy_from_slice(number);
    }
    message[16..20].copy_from_slice(&[10, 0, 0, 9]);
    message[20..24].copy_from_slice(&SERVER);
    message[28..34].copy_from_slice(&MAC);
    message[108..112].copy_from_slice(b"file");
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, kind]);
    message.extend(options);
    message
}

fn real_mode(state: &mut State, name: SegmentName, selector: u16) {
    let base = u64::from(selector) << 4;
    state.set_segment(name, Segment::new(selector, 0x93, 0xffff, base));
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, mut rest)) = data.split_first() else {
        return;
    };
    let (mut pc, mut bios) = Pc::new(vec![0; 4096]);
    let wire = Arc::new(Mutex::new(Wire::default()));
    let cable = Box::new(Cable(wire.clone()));
    let mut card: Box<dyn hvm::pci::Function> = match first & 1 {
        0 => Box::new(Rtl8139::new(Revision::CPlus, cable, MAC)),
        _ => {
            let settings = Settings {
                mac: MAC,
                pairs: 1,
                mtu_bytes: None,
                longest_bytes: 1600,
            };
            Box::new(Transport::new(
                Box::new(Nic::new(cable, settings)),
                TransportMode::Transitional,
            ))
        }
    };
    card.resume();
    pc.card = Some(card);
    let mut state = State::reset();
    for name in [
        SegmentName::Cs,
        SegmentName::Ss,
        SegmentName::Ds,
        SegmentName::Es,
    ] {
        real_mode(&mut state, name, 0);
    }
    let trap = |bios: &mut guest_bios::bios::Bios, pc: &mut Pc, state: &mut State, offset: u16| {
        real_mode(state, SegmentName::Cs, rom::SEGMENT);
        state.rip = u64::from(offset) + rom::OUT_BYTES;
        let _ = bios.trapped(state, pc);
    };
    trap(&mut bios, &mut pc, &mut state, 0xe05b + 2);
    let boot = rom::stub(Service::Bootstrap);
    trap(&mut bios, &mut pc, &mut state, boot);
    let calls = rom::stub(Service::Pxe);
    // Records: what, how long, bytes.
    while let [what, length, later @ ..] = rest {
        let (bytes, later) = later.split_at(later.len().min(usize::from(*length)));
        rest = later;
        let question = wire.lock().unwrap().sent.clone();
        let frame = match what >> 4 {
            0 => Some(udp(67, 68, [255; 4], &dhcp(&question, 2, bytes))),
            1 => Some(udp(67, 68, [255; 4], &dhcp(&question, 5, bytes))),
            2 => Some(udp(69, 2070, [255; 4], bytes)),
            3 => Some(udp(69, 2072, [255; 4], bytes)),
            4 => Some(bytes.to_vec()),
            _ => None,
        };
        let mut wire = wire.lock().unwrap();
        wire.to_station
            .extend(frame.filter(|frame| frame.len() >= 14));
        drop(wire);
        pc.now = pc.now + (u64::from(what & 15) << 28);
        pc.poll_card();
        if state.rip == u64::from(boot) + 7 {
            trap(&mut bios, &mut pc, &mut state, boot + 9);
            continue;
        }
        if state.rip == u64::from(calls) + 7 {
            trap(&mut bios, &mut pc, &mut state, calls + 9);
            continue;
        }
        let memory = guest_bios::bios::Machine::memory(&pc);
        let operation = u16::from(*length) & 0x7f;
        let frame = [0_u16, 0, 0x0202, 0, 0x1000, operation, 0x6000, 0];
        memory.store(Gpa(0x7000), &frame).unwrap();
        memory.write(Gpa(0x6000), bytes).unwrap();
        real_mode(&mut state, SegmentName::Ss, 0);
        state.set_gpr(Gpr::Rsp, 0x7000);
        trap(&mut bios, &mut pc, &mut state, calls);
    }
});
