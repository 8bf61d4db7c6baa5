//! The network: one card, a switch, the host's stack, and the guest's cables.
//!
//! All of it is one task on the service CPU. Without a card that has a driver there is none, and nothing is kept for it.

mod card;
mod consoles;
mod interrupt;
mod lines;
mod ports;
mod service;
mod viewers;
mod window;

pub use consoles::wake as wake_consoles;
pub use service::{Service, new_lines, serve, wall_seconds, write_status};

use crate::service::signal::Signal;
use alloc::vec::Vec;
use boot::BootInfo;
use card::BUFFER_BYTES;
use core::sync::atomic::{AtomicBool, Ordering};
use drivers::pci::Function;
use hvm::backend::Link;
use hvm::packet::HEADROOM_BYTES;
use net::cable::{self, GuestEnd, SwitchEnd, Wakers, cable};
use net::host::address::Setup;
use net::rate::Rate;
use net::switch::{PortSetup, Sources, Vlans, WhenFull};
use spin::Mutex;

/// Raised by the card's interrupt, by what guests send, and by the alarm.
pub static WORK: Signal = Signal::new();

/// There is a card.
static RUNS: AtomicBool = AtomicBool::new(false);
/// Cables that wait to be plugged in. No interrupt handler and no exit takes this lock.
static PLUGS: Mutex<Vec<Plug>> = Mutex::new(Vec::new());

/// Buffers for what one card of the guest sends: its cable full, and as many on their way.
const GUEST_BUFFERS: usize = 2 * cable::QUEUE_FRAMES;
/// Buffers for its long frames, where it sends such: a dozen milliseconds of a gigabit per second.
const LONG_BUFFERS: usize = 24;
/// Bytes of one: headroom, two tags, and an IP packet of 64 KiB, in whole cache lines.
const LONG_BUFFER_BYTES: usize = (HEADROOM_BYTES + 14 + 8 + 0x1_0000).next_multiple_of(64);

/// What a card of the guest may do on the network.
#[derive(Clone, Copy, Debug)]
pub struct GuestPort {
    /// Whose frames it may send.
    pub sources: Sources,
    /// Which VLANs it is in.
    pub vlans: Vlans,
    /// How fast it may send.
    pub rate: Option<Rate>,
}

/// A cable that is to be plugged in.
struct Plug {
    setup: PortSetup,
    rate: Option<Rate>,
    end: SwitchEnd,
}

/// How long the frames are that a card of the guest sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// As the wire takes them.
    Plain,
    /// Also long ones, to be cut on their way.
    Long,
}

/// Starts the card and makes the service, if there is one that can be driven.
pub fn start(boot: &BootInfo, functions: &[Function]) -> Option<Service> {
    let card = card::start(functions)?;
    let setup = match boot.command_line.value("ip").map(Setup::parse) {
        None => Setup::default(),
        Some(Ok(setup)) => setup,
        Some(Err(bad)) => {
            crate::warn!("command line: `ip=`: {bad}; the host has no address");
            Setup::Off
        }
    };
    RUNS.store(true, Ordering::Release);
    Some(Service::new(card, setup))
}

/// A cable from a card of the guest to the switch. `wake_guest` has the board polled. Where there is no network its link is down for
/// ever. Not on the exit path.
pub fn plug(port: GuestPort, frames: Frames, wake_guest: fn()) -> GuestEnd {
    let wakers = Wakers {
        switch: || WORK.raise(),
        guest: wake_guest,
    };
    let plain = match RUNS.load(Ordering::Acquire) {
        true => window::pool(GUEST_BUFFERS, BUFFER_BYTES),
        false => None,
    };
    let long = match (frames, plain) {
        (Frames::Long, Some(_)) => window::pool(LONG_BUFFERS, LONG_BUFFER_BYTES),
        _ => None,
    };
    let pools: Vec<_> = plain.into_iter().chain(long).collect();
    let (guest, mut switch) = cable(&pools, wakers);
    if plain.is_none() {
        switch.set_link(Link::Down);
        return guest;
    }
    let setup = PortSetup {
        station: None,
        sources: port.sources,
        when_full: WhenFull::Wait,
        vlans: port.vlans,
    };
    PLUGS.lock().push(Plug {
        setup,
        rate: port.rate,
        end: switch,
    });
    WORK.raise();
    guest
}
