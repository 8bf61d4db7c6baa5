//! Finding the network card, and starting its driver.

use super::interrupt::Interrupt;
use super::window::{self, Mapped, PortWindow};
use crate::console::ports::CpuPorts;
use crate::{info, time, warn};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use drivers::nic::virtio::bits::structure;
use drivers::nic::virtio::transport::{Legacy, Modern, Transport};
use drivers::nic::virtio::{self, VirtioNet, ring};
use drivers::nic::{Nic, e1000, rtl8139};
use drivers::pci::setup::{Base, Setup, Structure};
use drivers::pci::{ConfigPorts, Function, Kind};
use guest_mem::Hpa;
use hvm::packet::Pool;
use net::Mac;

/// Buffers of the card's pool: its rings full, the host's queues and those to three cards of the guest.
const BUFFERS: usize = 1024;
/// Bytes of a buffer: headroom and the longest frame that a card may write, in whole cache lines.
pub const BUFFER_BYTES: usize = 2176;
/// Bytes of an entry of a table of messages.
const MESSAGE_BYTES: u64 = 16;
/// Ports of a legacy virtio device that are used.
const LEGACY_PORTS: u16 = 0x20;

type Access<'a> = Setup<'a, ConfigPorts<CpuPorts>>;

/// The drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    E1000(e1000::Model),
    Rtl8139,
    Virtio,
}

impl Driver {
    /// For a function, if there is one.
    fn of(function: &Function) -> Option<Self> {
        match (function.vendor, function.device) {
            (e1000::VENDOR, device) => e1000::model(device).map(Self::E1000),
            (rtl8139::bits::VENDOR, rtl8139::bits::DEVICE) => Some(Self::Rtl8139),
            (virtio::bits::VENDOR, device) if virtio::bits::DEVICES.contains(&device) => {
                Some(Self::Virtio)
            }
            _ => None,
        }
    }
}

/// A driver that runs, and its card's table of messages, if it has it send the first.
struct Started {
    nic: Box<dyn Nic>,
    table: Option<Mapped>,
}

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
    let cards = functions
        .iter()
        .filter(|function| function.class.kind() == Kind::Network);
    let mut drivers = cards.filter_map(|function| Some((function, Driver::of(function)?)));
    drivers.find_map(|(function, driver)| match bring_up(function, driver) {
        Ok(card) => Some(card),
        Err(reason) => {
            warn!("network: {function} cannot be used: {reason}");
            None
        }
    })
}

fn bring_up(function: &Function, driver: Driver) -> Result<Card, String> {
    // SAFETY: the configuration ports reach no memory, and nobody else uses them while this runs; what is set up through them is a
    // function that has no other driver, which may reach memory only once its driver has reset it.
    let mut ports = ConfigPorts(unsafe { CpuPorts::new() });
    let mut setup = Setup::new(&mut ports, function.address);
    setup.quiet();
    let pool = window::pool(BUFFERS, BUFFER_BYTES).ok_or("no memory for its buffers")?;
    let Started { nic, table } = match driver {
        Driver::E1000(model) => start_e1000(model, &mut setup, pool)?,
        Driver::Rtl8139 => start_rtl8139(&mut setup, pool)?,
        Driver::Virtio => start_virtio(&mut setup, pool)?,
    };
    let (interrupt, signalling) = Interrupt::route(&mut setup, table);
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

/// The registers of a function behind a base address register.
fn registers(setup: &mut Access<'_>, index: u8, offset: u32, bytes: u64) -> Result<Mapped, String> {
    let Base::Memory(base) = setup.base(index) else {
        return Err("the firmware gave its registers no address".into());
    };
    // SAFETY: the function has no driver but the one that gets this, which tells it of rings and packets of its own only.
    unsafe { Mapped::registers(Hpa(base + u64::from(offset)), bytes) }
        .ok_or_else(|| "its registers cannot be mapped".into())
}

fn start_e1000(
    model: e1000::Model,
    setup: &mut Access<'_>,
    pool: &'static Pool,
) -> Result<Started, String> {
    let registers = registers(setup, 0, 0, e1000::bits::REGISTER_BYTES)?;
    let rings = Mapped::shared(e1000::SHARED_BYTES).ok_or("no memory for its rings")?;
    setup.master();
    let card = e1000::E1000::start(registers, rings, model, pool, &mut pause)
        .map_err(|failure| failure.to_string())?;
    Ok(Started {
        nic: Box::new(card),
        table: None,
    })
}

fn start_rtl8139(setup: &mut Access<'_>, pool: &'static Pool) -> Result<Started, String> {
    use rtl8139::bits::{REGISTER_BASE, REGISTER_BYTES};
    let registers = registers(setup, REGISTER_BASE, 0, REGISTER_BYTES)?;
    let ring = Mapped::shared(rtl8139::SHARED_BYTES).ok_or("no memory for its ring")?;
    setup.master();
    let card = rtl8139::Rtl8139::start(registers, ring, pool, &mut pause)
        .map_err(|failure| failure.to_string())?;
    Ok(Started {
        nic: Box::new(card),
        table: None,
    })
}

/// By the modern interface, if it has that.
fn start_virtio(setup: &mut Access<'_>, pool: &'static Pool) -> Result<Started, String> {
    let kinds = [
        structure::COMMON,
        structure::NOTIFY,
        structure::INTERRUPT,
        structure::DEVICE,
    ];
    let found = kinds.map(|kind| setup.structure(kind));
    let [Some(common), Some(notify), Some(interrupt), Some(device)] = found else {
        let Base::Ports(base) = setup.base(0) else {
            return Err("it has neither the modern interface nor ports".into());
        };
        // SAFETY: as in `registers`.
        let ports = unsafe { PortWindow::new(base, LEGACY_PORTS) };
        return Ok(Started {
            nic: run_virtio(Legacy(ports), setup, pool)?,
            table: None,
        });
    };
    let mut map = |part: Structure| registers(setup, part.base, part.offset, part.bytes.into());
    let parts = [map(common)?, map(notify)?, map(interrupt)?, map(device)?];
    let table = match setup.message_table() {
        Some((base, offset)) => Some(registers(setup, base, offset, MESSAGE_BYTES)?),
        None => None,
    };
    let nic = run_virtio(Modern::new(parts, notify.extra), setup, pool)?;
    Ok(Started { nic, table })
}

fn run_virtio(
    transport: impl Transport + 'static,
    setup: &mut Access<'_>,
    pool: &'static Pool,
) -> Result<Box<dyn Nic>, String> {
    let ring = || Mapped::shared(ring::SHARED_BYTES).ok_or("no memory for its rings");
    let rings = [ring()?, ring()?];
    setup.master();
    let card = VirtioNet::start(transport, rings, pool, &mut pause)
        .map_err(|failure| failure.to_string())?;
    Ok(Box::new(card))
}

/// Waits for microseconds.
fn pause(us: u32) {
    time::poll_for(u64::from(us) * 1000, || false);
}
