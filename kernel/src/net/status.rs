//! What `info` tells of the network.

use super::interrupt;
use super::ports::{FIRST_GUEST, HOST, ROUTER, UPLINK};
use super::service::State;
use core::fmt::{self, Write};
use drivers::nic::Admits;
use hvm::backend::Link;
use net::Mac;
use net::switch::Counters;

impl State {
    /// Writes what there is, a line a thing.
    pub(super) fn write(&mut self, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        let nic = &mut self.ports.uplink.nic;
        write!(
            out,
            "network: {}, {}, link ",
            nic.name(),
            Mac(nic.address())
        )?;
        out.write_str(match self.link {
            Link::Up => "up, host at ",
            Link::Down => "down, host at ",
        })?;
        match self.lease {
            Some(lease) => writeln!(out, "{lease}")?,
            None => writeln!(out, "no address")?,
        }
        self.write_names(out)?;
        self.consoles.write(self.lease, out)?;
        for port in 0..FIRST_GUEST + self.ports.guests.len() {
            let counters = self.switch.counters(port);
            match port {
                UPLINK => write!(out, "         uplink: ")?,
                HOST => write!(out, "         host:   ")?,
                ROUTER => {
                    self.write_router(out)?;
                    continue;
                }
                guest => write!(out, "         vif {}:  ", guest - FIRST_GUEST)?,
            }
            write_counters(counters, out)?;
        }
        writeln!(
            out,
            "         {} interrupts, {} frames damaged or missed by the card, {} resets, {}, {} of {} buffers free",
            interrupt::count(),
            self.ports.uplink.nic.faults(),
            self.resets,
            match self.admits {
                Admits::Everybody => "promiscuous",
                Admits::Named => "filtered",
            },
            self.ports.uplink.pool.available(),
            self.ports.uplink.pool.count()
        )
    }

    /// The host's name on the link and its IPv6 addresses, as far as there are any.
    fn write_names(&self, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        let host = &self.ports.host;
        let mut before = "         ";
        if let Some(name) = host.name() {
            write!(out, "{before}{}.local", name.as_str())?;
            before = ", ";
        }
        for address in host.v6_addresses() {
            write!(out, "{before}{address}")?;
            before = ", ";
        }
        match before {
            ", " => writeln!(out),
            _ => Ok(()),
        }
    }

    fn write_router(&self, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        let Some(router) = &self.ports.router else {
            return Ok(());
        };
        let (counters, flows) = router.counters();
        writeln!(
            out,
            "         nat:    {}/24, {flows} conversations, {counters}",
            router.address()
        )?;
        router
            .forwards()
            .try_for_each(|(forward, to)| writeln!(out, "         forward {forward} to {to}"))
    }
}

fn write_counters(counters: Counters, out: &mut (impl Write + ?Sized)) -> fmt::Result {
    let Counters {
        received,
        received_bytes,
        sent,
        sent_bytes,
        refused,
        lost,
    } = counters;
    writeln!(
        out,
        "{received} frames in ({received_bytes} bytes), {sent} out ({sent_bytes} bytes), {refused} refused, {lost} lost"
    )
}
