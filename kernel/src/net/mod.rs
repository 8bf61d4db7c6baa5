//! The network: one card, a switch, the host's stack, and the guest's cables.
//!
//! All of it is one task on the service CPU. Without a card that has a driver there is none, and nothing is kept for it.

mod card;
mod consoles;
mod errands;
mod interrupt;
mod lines;
mod ports;
mod service;
mod status;
mod viewers;
mod window;

pub use consoles::wake as wake_consoles;
pub use service::{Service, new_lines, serve, wall_seconds, write_status};

use crate::service::signal::Signal;
use alloc::vec::Vec;
use boot::BootInfo;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use drivers::nic::{MOST_MTU, USUAL_MTU};
use drivers::pci::Function;
use hvm::backend::Link;
use hvm::packet::HEADROOM_BYTES;
use net::Mac;
use net::cable::{self, Gathering, GuestEnd, SwitchEnd, Wakers, cable};
use net::host::address::Setup;
use net::rate::Rate;
use net::switch::{PortSetup, Sources, Vlans, WhenFull};
use spin::Mutex;

/// Raised by the card's interrupt, by what guests send, and by the alarm.
pub static WORK: Signal = Signal::new();

/// There is more to do than to pass frames on: see [`ask`].
static ERRANDS: AtomicBool = AtomicBool::new(false);

/// Bytes of a buffer for a frame that the card takes; 0: there is no card.
static BUFFER_BYTES: AtomicUsize = AtomicUsize::new(0);
/// What cards of the guest have at least: they send frames that are longer than the network's, too.
const LEAST_BUFFER_BYTES: usize = 2176;
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
    /// The address that it has at first.
    pub mac: Mac,
    /// Whose frames it may send.
    pub sources: Sources,
    /// Which VLANs it is in.
    pub vlans: Vlans,
    /// How fast it may send.
    pub rate: Option<Rate>,
    /// Whether frames for it are joined on their way.
    pub gathering: Gathering,
}

/// A cable that is to be plugged in.
struct Plug {
    setup: PortSetup,
    rate: Option<Rate>,
    mac: Mac,
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
    let card = card::start(functions, mtu(boot))?;
    let setup = match boot.command_line.value("ip").map(Setup::parse) {
        None => Setup::default(),
        Some(Ok(setup)) => setup,
        Some(Err(bad)) => {
            crate::warn!("command line: `ip=`: {bad}; the host has no address");
            Setup::Off
        }
    };
    let bytes = card.nic.sizes().with_headroom().max(LEAST_BUFFER_BYTES);
    BUFFER_BYTES.store(bytes, Ordering::Release);
    Some(Service::new(card, setup))
}

/// Has the service see to all that it has to do, not to frames alone.
fn ask() {
    ERRANDS.store(true, Ordering::Release);
    WORK.raise();
}

/// How much a frame is to carry, by `mtu=` of the command line.
fn mtu(boot: &BootInfo) -> usize {
    let Some(word) = boot.command_line.value("mtu") else {
        return USUAL_MTU;
    };
    match word.parse() {
        Ok(mtu) if (USUAL_MTU..=MOST_MTU).contains(&mtu) => mtu,
        _ => {
            crate::warn!(
                "command line: `mtu={word}` is no number from {USUAL_MTU} to {MOST_MTU}; frames carry up to {USUAL_MTU} bytes"
            );
            USUAL_MTU
        }
    }
}

/// A cable from a card of the guest to the switch. `wake_guest` has the board polled. Where there is no network its link is down for
/// ever. Not on the exit path.
pub fn plug(port: GuestPort, frames: Frames, wake_guest: fn()) -> GuestEnd {
    let wakers = Wakers {
        switch: || WORK.raise(),
        guest: wake_guest,
    };
    let plain = match BUFFER_BYTES.load(Ordering::Acquire) {
        0 => None,
        bytes => window::pool(GUEST_BUFFERS, bytes),
    };
    let long = match (frames, plain) {
        (Frames::Long, Some(_)) => window::pool(LONG_BUFFERS, LONG_BUFFER_BYTES),
        _ => None,
    };
    let pools: Vec<_> = plain.into_iter().chain(long).collect();
    let (guest, mut switch) = cable(&pools, wakers);
    switch.set_gathering(port.gathering);
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
        mac: port.mac,
        end: switch,
    });
    ask();
    guest
}
