//! Finding the network card, and starting its driver.

use super::interrupt::Interrupt;
use super::window::{self, Mapped};
use crate::console::ports::CpuPorts;
use crate::{info, time, warn};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use drivers::nic::{Nic, e1000};
use drivers::pci::setup::{Base, Setup};
use drivers::pci::{ConfigPorts, Function, Kind};
use guest_mem::Hpa;
use hvm::packet::Pool;
use net::Mac;

/// Buffers of the card's pool: its rings full, the host's queues and those to three cards of the guest.
const BUFFERS: usize = 1024;
/// Bytes of a buffer: headroom and the longest frame that a card may write, in whole cache lines.
pub const BUFFER_BYTES: usize = 2176;

/// A card that runs.
pub struct Card {
    /// Its driver.
    pub nic: Box<dyn Nic>,
    /// Its interrupt.
    pub interrupt: Interrupt,
    /// Buffers that it reaches.
    pub pool: &'static Pool,
}

/// Starts the first card with a driver among `functions`. Others are left as the firmware left them.
pub fn start(functions: &[Function]) -> Option<Card> {
    let mut cards = functions
        .iter()
        .filter(|function| function.class.kind() == Kind::Network && is_known(function));
    cards.find_map(|function| match bring_up(function) {
        Ok(card) => Some(card),
        Err(reason) => {
            warn!("network: {function} cannot be used: {reason}");
            None
        }
    })
}

fn is_known(function: &Function) -> bool {
    function.vendor == e1000::VENDOR && e1000::model(function.device).is_some()
}

fn bring_up(function: &Function) -> Result<Card, String> {
    // SAFETY: the configuration ports reach no memory, and nobody else uses them while this runs; what is set up through them is a
    // function that has no other driver, which may reach memory only once its driver has reset it.
    let mut ports = ConfigPorts(unsafe { CpuPorts::new() });
    let mut setup = Setup::new(&mut ports, function.address);
    setup.quiet();
    let pool = window::pool(BUFFERS, BUFFER_BYTES).ok_or("no memory for its buffers")?;
    let nic = start_e1000(function, &mut setup, pool)?;
    let (interrupt, signalling) = Interrupt::route(&mut setup);
    info!(
        "network: {} at {}, {}, {signalling}",
        nic.name(),
        function.address,
        Mac(nic.address())
    );
    Ok(Card {
        nic,
        interrupt,
        pool,
    })
}

fn start_e1000(
    function: &Function,
    setup: &mut Setup<'_, ConfigPorts<CpuPorts>>,
    pool: &'static Pool,
) -> Result<Box<dyn Nic>, String> {
    let model = e1000::model(function.device).ok_or("no such model")?;
    let Base::Memory(base) = setup.base(0) else {
        return Err("the firmware gave its registers no address".into());
    };
    // SAFETY: the function is this driver's alone, and the driver tells it of the rings and of packets only.
    let registers = unsafe { Mapped::registers(Hpa(base), e1000::bits::REGISTER_BYTES) }
        .ok_or("its registers cannot be mapped")?;
    let rings = Mapped::shared(e1000::SHARED_BYTES).ok_or("no memory for its rings")?;
    setup.master();
    let card = e1000::E1000::start(registers, rings, model, pool, &mut pause)
        .map_err(|failure| failure.to_string())?;
    Ok(Box::new(card))
}

/// Waits for microseconds.
fn pause(us: u32) {
    time::poll_for(u64::from(us) * 1000, || false);
}
