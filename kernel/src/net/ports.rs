//! The switch's ports: the card, the host's stack, and the cables of the guest's cards.

use crate::vm;
use alloc::boxed::Box;
use alloc::vec::Vec;
use drivers::nic::{Nic, Sizes};
use hvm::packet::{Packet, Pool};
use hvm::segment::{Cutter, Pieces};
use net::cable::SwitchEnd;
use net::credit::Credit;
use net::host::Host;
use net::nat::{Face, Router};
use net::stations::Stations;
use net::switch::{Outlet, Outlets, Port, Refusal};

/// The card's port, the host's, that of the network behind the host's address, and the first of the guest's.
pub const UPLINK: Port = 0;
/// See [`UPLINK`].
pub const HOST: Port = 1;
/// See [`UPLINK`].
pub const ROUTER: Port = 2;
/// See [`UPLINK`].
pub const FIRST_GUEST: Port = 3;
/// Most pieces that a long frame is cut into: an IP packet of 64 KiB in frames of the shortest that everybody takes (RFC 9293, 3.7.1).
const MOST_PIECES: usize = 0x1_0000 / 536;

/// What is at the ports.
pub struct Ports {
    /// The card.
    pub uplink: Uplink,
    /// The host's stack.
    pub host: Host,
    /// For cards that are behind the host's address.
    pub router: Option<Router>,
    /// The cables.
    pub guests: Vec<GuestPort>,
    /// Who is behind them.
    pub stations: Stations,
}

/// A cable of the guest's.
pub struct GuestPort {
    /// Our end.
    pub end: SwitchEnd,
    /// What it may still send, where that is limited.
    pub credit: Option<Credit>,
}

impl Ports {
    /// The next frame that a port brings.
    #[inline]
    pub fn fetch(&mut self, from: Port, now_ms: u64) -> Option<Packet> {
        match from {
            UPLINK => self.uplink.nic.receive(),
            HOST => self.host.take().or_else(|| self.routed(Face::Outside)),
            ROUTER => self.routed(Face::Inside),
            guest => {
                let packet = self.guests.get_mut(guest - FIRST_GUEST)?.fetch(now_ms)?;
                self.stations.note(packet.frame());
                Some(packet)
            }
        }
    }

    /// A frame as those take it whom it goes to: with nothing lent, but where it goes to the card alone. Back while there is no buffer
    /// for it, `None` where it is lost.
    #[inline]
    pub fn fit(
        &mut self,
        from: Port,
        packet: Packet,
        goes_out: impl FnOnce(&Packet) -> bool,
    ) -> Result<Option<Packet>, Packet> {
        if !packet.is_lent() || goes_out(&packet) && self.uplink.takes_lent(&packet) {
            return Ok(Some(packet));
        }
        match self.guests.get_mut(from.wrapping_sub(FIRST_GUEST)) {
            Some(guest) => guest.end.take_in(packet, vm::read_memory),
            None => Ok(None),
        }
    }

    /// The next frame that the router sends to a side.
    fn routed(&mut self, face: Face) -> Option<Packet> {
        self.router.as_mut()?.take(face)
    }

    /// When the first cable that is out of credit has some again.
    pub fn credit_ms(&mut self, now_ms: u64) -> Option<u64> {
        let limits = self.guests.iter_mut().flat_map(|guest| &mut guest.credit);
        let waits = limits.map(|credit| credit.wait_us(now_ms * 1000));
        let waits = waits.filter(|wait_us| *wait_us > 0);
        waits.min().map(|wait_us| wait_us.div_ceil(1000))
    }
}

impl Outlets for Ports {
    #[inline(always)]
    fn send(&mut self, to: Port, packet: Packet) -> Result<(), Refusal> {
        match to {
            UPLINK => self.uplink.send(packet),
            // The router looks at what is for the host's address before the host does.
            HOST => match &mut self.router {
                Some(router) => router.ends().0.send(packet),
                None => self.host.send(packet),
            },
            ROUTER => match &mut self.router {
                Some(router) => router.ends().1.send(packet),
                None => Err(Refusal::Never),
            },
            guest => match self.guests.get_mut(guest - FIRST_GUEST) {
                Some(guest) => guest.end.send(packet),
                None => Err(Refusal::Never),
            },
        }
    }
}

impl GuestPort {
    /// One that has sent all that it may waits: its cable fills, and its driver sees that.
    fn fetch(&mut self, now_ms: u64) -> Option<Packet> {
        let Some(credit) = &mut self.credit else {
            return self.end.receive();
        };
        if credit.wait_us(now_ms * 1000) > 0 {
            return None;
        }
        let packet = self.end.receive()?;
        credit.spend(packet.whole_len());
        Some(packet)
    }
}

/// The card as a port.
pub struct Uplink {
    /// Its driver.
    pub nic: Box<dyn Nic>,
    /// Where pieces of long frames come from, if the card does not cut.
    pub pool: &'static Pool,
    /// How long its frames may be.
    pub sizes: Sizes,
}

/// What has to be done to a frame before the card takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remains {
    /// Nothing: the card does all.
    Nothing,
    /// Its checksum is to be completed.
    Sum,
    /// It is to be cut.
    Cut,
    /// It is too long, and nobody said how to cut it.
    Impossible,
}

impl Outlet for Uplink {
    fn send(&mut self, mut packet: Packet) -> Result<(), Refusal> {
        match self.remains(&packet) {
            Remains::Nothing => {}
            Remains::Sum if packet.finish_checksum() => {}
            Remains::Cut => return self.send_cut(packet),
            Remains::Sum | Remains::Impossible => return Err(Refusal::Never),
        }
        self.nic.send(packet).map_err(Refusal::Later)
    }
}

impl Uplink {
    #[inline]
    fn remains(&self, packet: &Packet) -> Remains {
        match packet.offload().segmentation {
            Some(_) if !self.nic.can_cut(packet) => Remains::Cut,
            None if packet.whole_len() > self.sizes.frame_bytes() => Remains::Impossible,
            _ if self.nic.can_sum(packet) => Remains::Nothing,
            _ => Remains::Sum,
        }
    }

    /// Whether the card itself does all that is to be done to a frame of which parts are lent.
    fn takes_lent(&self, packet: &Packet) -> bool {
        let reaches = packet.last_lent() <= self.nic.reach();
        reaches && self.nic.gathers() && self.remains(packet) == Remains::Nothing
    }

    /// Sends a frame in pieces, all of them or none.
    fn send_cut(&mut self, packet: Packet) -> Result<(), Refusal> {
        let Some(cutter) = Cutter::of(&packet) else {
            return Err(Refusal::Never);
        };
        let longest = cutter.header_bytes() + cutter.piece_bytes(0).unwrap_or(0);
        if longest > self.sizes.frame_bytes() || cutter.pieces() > MOST_PIECES {
            return Err(Refusal::Never);
        }
        if cutter.pieces() > self.nic.room().min(self.pool.available()) {
            return Err(Refusal::Later(packet));
        }
        for mut piece in Pieces::new(&packet, &cutter, self.pool) {
            if !self.nic.can_sum(&piece) {
                piece.finish_checksum();
            }
            // There is room: it was asked for.
            if self.nic.send(piece).is_err() {
                break;
            }
        }
        Ok(())
    }
}
