//! Finding the network card, and starting its driver.

use super::interrupt::Interrupt;
use super::window::{self, Mapped, PortWindow};
use crate::console::ports::CpuPorts;
use crate::{info, time, warn};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use drivers::nic::rtl8168::version::Version;
use drivers::nic::virtio::bits::structure;
use drivers::nic::virtio::transport::{Legacy, Modern, Transport};
use drivers::nic::virtio::{self, VirtioNet, control, ring};
use drivers::nic::{Nic, Sizes, USUAL_MTU, e1000, igb, intel, rtl8139, rtl8168};
use drivers::pci::setup::{Base, Setup, Structure};
use drivers::pci::{ConfigPorts, Function, Kind};
use guest_mem::Hpa;
use hvm::packet::Pool;
use net::Mac;

/// Buffers of the card's pool: its rings full, the host's queues and those to three cards of the guest.
const BUFFERS: usize = 1024;
/// Bytes of an entry of a table of messages.
const MESSAGE_BYTES: u64 = 16;
/// Ports of a legacy virtio device that are used.
const LEGACY_PORTS: u16 = 0x20;

type Access<'a> = Setup<'a, ConfigPorts<CpuPorts>>;

/// The drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    E1000(e1000::Model),
    Igb(igb::Model),
    Rtl8139,
    Rtl8168,
    Virtio,
}

impl Driver {
    /// For a function, if there is one.
    fn of(function: &Function) -> Option<Self> {
        match (function.vendor, function.device) {
            (intel::VENDOR, device) => {
                let igb = || igb::model(device).map(Self::Igb);
                e1000::model(device).map(Self::E1000).or_else(igb)
            }
            (rtl8139::bits::VENDOR, rtl8139::bits::DEVICE) => Some(Self::Rtl8139),
            (rtl8168::bits::VENDOR, device) if rtl8168::bits::DEVICES.contains(&device) => {
                Some(Self::Rtl8168)
            }
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
    pool: &'static Pool,
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

/// Starts the first card with a driver among `functions`, for frames with `mtu` bytes of payload if it can. Others are left as the
/// firmware left them.
pub fn start(functions: &[Function], mtu: usize) -> Option<Card> {
    let cards = functions
        .iter()
        .filter(|function| function.class.kind() == Kind::Network);
    let mut drivers = cards.filter_map(|function| Some((function, Driver::of(function)?)));
    drivers.find_map(|(function, driver)| match bring_up(function, driver, mtu) {
        Ok(card) => Some(card),
        Err(reason) => {
            warn!("network: {function} cannot be used: {reason}");
            None
        }
    })
}

fn bring_up(function: &Function, driver: Driver, mtu: usize) -> Result<Card, String> {
    // SAFETY: the configuration ports reach no memory, and nobody else uses them while this runs; what is set up through them is a
    // function that has no other driver, which may reach memory only once its driver has reset it.
    let mut ports = ConfigPorts(unsafe { CpuPorts::new() });
    let mut setup = Setup::new(&mut ports, function.address);
    setup.quiet();
    let Started { nic, pool, table } = match driver {
        Driver::E1000(model) => start_e1000(model, &mut setup, mtu)?,
        Driver::Igb(model) => start_igb(model, &mut setup, mtu)?,
        Driver::Rtl8139 => start_rtl8139(&mut setup)?,
        Driver::Rtl8168 => start_rtl8168(&mut setup, mtu)?,
        Driver::Virtio => start_virtio(&mut setup, mtu)?,
    };
    let (interrupt, signalling) = Interrupt::route(&mut setup, table);
    info!(
        "network: {} at {}, {}, {signalling}",
        nic.name(),
        function.address,
        Mac(nic.address())
    );
    match nic.sizes().mtu {
        USUAL_MTU if mtu == USUAL_MTU => {}
        taken if taken == mtu => info!("network: frames carry up to {mtu} bytes"),
        taken => warn!("network: frames carry up to {taken} bytes: this card takes no {mtu}"),
    }
    Ok(Card {
        nic,
        interrupt,
        pool,
    })
}

/// Buffers that are long enough for a card.
fn buffers(sizes: Sizes) -> Result<&'static Pool, String> {
    window::pool(BUFFERS, sizes.with_headroom()).ok_or_else(|| "no memory for its buffers".into())
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

fn start_e1000(model: e1000::Model, setup: &mut Access<'_>, mtu: usize) -> Result<Started, String> {
    let registers = registers(setup, 0, 0, intel::bits::REGISTER_BYTES)?;
    let rings = Mapped::shared(e1000::SHARED_BYTES).ok_or("no memory for its rings")?;
    let sizes = model.sizes(mtu);
    let pool = buffers(sizes)?;
    setup.master();
    let card = e1000::E1000::start(registers, rings, model, pool, sizes, &mut pause)
        .map_err(|failure| failure.to_string())?;
    Ok(Started {
        nic: Box::new(card),
        pool,
        table: None,
    })
}

fn start_igb(model: igb::Model, setup: &mut Access<'_>, mtu: usize) -> Result<Started, String> {
    let registers = registers(setup, 0, 0, intel::bits::REGISTER_BYTES)?;
    let rings = Mapped::shared(igb::SHARED_BYTES).ok_or("no memory for its rings")?;
    let sizes = model.sizes(mtu);
    let pool = buffers(sizes)?;
    setup.master();
    let card = igb::Igb::start(registers, rings, model, pool, sizes, &mut pause)
        .map_err(|failure| failure.to_string())?;
    Ok(Started {
        nic: Box::new(card),
        pool,
        table: None,
    })
}

fn start_rtl8139(setup: &mut Access<'_>) -> Result<Started, String> {
    use rtl8139::bits::{REGISTER_BASE, REGISTER_BYTES};
    let registers = registers(setup, REGISTER_BASE, 0, REGISTER_BYTES)?;
    let ring = Mapped::shared(rtl8139::SHARED_BYTES).ok_or("no memory for its ring")?;
    let pool = buffers(rtl8139::sizes())?;
    setup.master();
    let card = rtl8139::Rtl8139::start(registers, ring, pool, &mut pause)
        .map_err(|failure| failure.to_string())?;
    Ok(Started {
        nic: Box::new(card),
        pool,
        table: None,
    })
}

fn start_rtl8168(setup: &mut Access<'_>, mtu: usize) -> Result<Started, String> {
    use rtl8168::bits::{REGISTER_BASE, REGISTER_BYTES};
    let mut registers = registers(setup, REGISTER_BASE, 0, REGISTER_BYTES)?;
    let version = Version::of(&mut registers).map_err(|failure| failure.to_string())?;
    let rings = Mapped::shared(rtl8168::SHARED_BYTES).ok_or("no memory for its rings")?;
    let sizes = version.sizes(mtu);
    let pool = buffers(sizes)?;
    setup.master();
    let card = rtl8168::Rtl8168::start(registers, rings, version, pool, sizes, &mut pause)
        .map_err(|failure| failure.to_string())?;
    Ok(Started {
        nic: Box::new(card),
        pool,
        table: None,
    })
}

/// By the modern interface, if it has that.
fn start_virtio(setup: &mut Access<'_>, mtu: usize) -> Result<Started, String> {
    let sizes = virtio::sizes(mtu);
    let pool = buffers(sizes)?;
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
            nic: run_virtio(Legacy(ports), setup, pool, sizes)?,
            pool,
            table: None,
        });
    };
    let mut map = |part: Structure| registers(setup, part.base, part.offset, part.bytes.into());
    let parts = [map(common)?, map(notify)?, map(interrupt)?, map(device)?];
    let table = match setup.message_table() {
        Some((base, offset)) => Some(registers(setup, base, offset, MESSAGE_BYTES)?),
        None => None,
    };
    let nic = run_virtio(Modern::new(parts, notify.extra), setup, pool, sizes)?;
    Ok(Started { nic, pool, table })
}

fn run_virtio(
    transport: impl Transport + 'static,
    setup: &mut Access<'_>,
    pool: &'static Pool,
    sizes: Sizes,
) -> Result<Box<dyn Nic>, String> {
    let ring = || Mapped::shared(ring::SHARED_BYTES).ok_or("no memory for its rings");
    let rings = [ring()?, ring()?];
    let commands = Mapped::shared(control::SHARED_BYTES).ok_or("no memory for its commands")?;
    setup.master();
    let card = VirtioNet::start(transport, rings, commands, pool, sizes, &mut pause)
        .map_err(|failure| failure.to_string())?;
    Ok(Box::new(card))
}

/// Waits for microseconds.
pub fn pause(us: u32) {
    time::poll_for(u64::from(us) * 1000, || false);
}
