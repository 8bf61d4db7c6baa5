//! Cards behind the host's address (`nat`): their addresses, and ports of the host's that lead to them.

use super::consoles::Consoles;
use super::error::ConfigError;
use super::interpret::Reader;
use super::{Config, Vnc};
use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use net::Mac;
use net::host::UDP_PORTS;
use net::nat::{DEFAULT_GUEST, MAX_CARDS, MAX_FORWARDS, MTU_BYTES, Protocol, Setup};
use net::vif::{Attachment, Vif};

/// Refuses cards whose addresses or ports do not go together, or which take ports of the consoles.
pub(super) fn check(reader: &Reader, vifs: &[Vif], consoles: &Consoles) -> Result<(), ConfigError> {
    let Some(setting) = reader.get("vif") else {
        return Ok(());
    };
    let items = setting.list()?;
    let addresses = addresses(vifs);
    let mut cards: Vec<Ipv4Addr> = Vec::new();
    let mut taken = Vec::new();
    for ((item, vif), address) in items.iter().zip(vifs).zip(addresses) {
        let Some(address) = address else { continue };
        let first = *cards.first().unwrap_or(&address);
        let network = |address: Ipv4Addr| address.to_bits() >> 8;
        if network(address) != network(first) {
            return Err(item.error(format!(
                "expected `ip` in the network of {first}/24, where the cards before it are"
            )));
        }
        if !is_guests(address) || cards.contains(&address) {
            return Err(item.error(format!(
                "expected another `ip` than {address}: one from 1 to 254 that no other card has"
            )));
        }
        cards.push(address);
        for forward in &vif.forwards {
            let port = (forward.protocol, forward.outside_port);
            if let Some(owner) = owner(consoles, port) {
                return Err(item.error(format!(
                    "expected another port of the host's than {} for {forward}: {owner} has it; change one of the two",
                    forward.outside_port
                )));
            }
            if taken.contains(&port) {
                return Err(item.error(format!(
                    "expected another port of the host's than {} for {forward}: an earlier `forward` has it",
                    forward.outside_port
                )));
            }
            taken.push(port);
        }
    }
    if cards.len() > MAX_CARDS {
        return Err(setting.error(format!("expected at most {MAX_CARDS} cards with `nat`")));
    }
    if taken.len() > MAX_FORWARDS {
        return Err(setting.error(format!("expected at most {MAX_FORWARDS} ports to forward")));
    }
    Ok(())
}

/// Of each card that is behind the host's address, the one that it is given: its `ip`, or the next free one.
fn addresses(vifs: &[Vif]) -> Vec<Option<Ipv4Addr>> {
    let own = |vif: &Vif| match (vif.attachment, vif.ip.first()) {
        (Attachment::Nat, Some(IpAddr::V4(address))) => Some(*address),
        _ => None,
    };
    let chosen: Vec<Ipv4Addr> = vifs.iter().filter_map(own).collect();
    let start = chosen.first().map_or(DEFAULT_GUEST, |address| {
        Ipv4Addr::from_bits(address.to_bits() & !0xff | 2)
    });
    let mut free = (start.to_bits()..)
        .map(Ipv4Addr::from_bits)
        .filter(|address| !chosen.contains(address));
    let given = vifs.iter().map(|vif| match vif.attachment {
        Attachment::Bridge => None,
        Attachment::Nat => own(vif).or_else(|| free.next()),
    });
    given.collect()
}

fn is_guests(address: Ipv4Addr) -> bool {
    let is_one = !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
    is_one && !matches!(address.octets()[3], 0 | 255)
}

/// Who of the host's own has a port.
fn owner(consoles: &Consoles, (protocol, port): (Protocol, u16)) -> Option<&'static str> {
    let own = own_ports(consoles).into_iter();
    let mut found = own.filter(|(theirs, _)| *theirs == (protocol, port));
    found.next().map(|(_, name)| name)
}

fn own_ports(consoles: &Consoles) -> Vec<((Protocol, u16), &'static str)> {
    let terminals = [
        (&consoles.serial, "the serial line (`serial`)"),
        (&consoles.prompt, "the prompt (`prompt`)"),
    ];
    let terminals = terminals
        .into_iter()
        .filter_map(|(it, name)| Some((it.as_ref()?.endpoint.port, name)));
    let screen = consoles
        .vnc
        .as_ref()
        .map(|Vnc { endpoint, .. }| (endpoint.port, "the screen (`vnc`)"));
    let tcp = terminals
        .chain(screen)
        .map(|(port, name)| ((Protocol::Tcp, port), name));
    let udp = UDP_PORTS
        .iter()
        .map(|port| ((Protocol::Udp, *port), "Monovisor itself"));
    tcp.chain(udp).collect()
}

impl Config {
    /// The router for the cards that are behind the host's address, if there are any.
    pub fn translation(&self) -> Option<Setup> {
        let mut setup = Setup {
            name: self.name.clone(),
            mtu_bytes: MTU_BYTES,
            reserved: own_ports(&self.consoles)
                .into_iter()
                .map(|(port, _)| port)
                .collect(),
            ..Setup::default()
        };
        for ((index, vif), address) in (0..).zip(&self.vifs).zip(addresses(&self.vifs)) {
            let Some(address) = address else { continue };
            let mac = vif.mac.unwrap_or_else(|| Mac::of_guest(&self.name, index));
            setup.cards.push((mac, address));
            setup
                .forwards
                .extend(vif.forwards.iter().map(|forward| (*forward, address)));
            let mtu_bytes = vif.mtu_bytes.unwrap_or(MTU_BYTES);
            setup.mtu_bytes = setup.mtu_bytes.min(mtu_bytes);
        }
        (!setup.cards.is_empty()).then_some(setup)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use alloc::string::{String, ToString};
    use net::nat::Protocol;

    fn load(text: &str) -> Result<Config, String> {
        let loaded = Config::load(text, "");
        loaded
            .map(|loaded| loaded.config)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn cards_get_addresses_and_ports() {
        let config = load(
            "vif = ['nat', '', 'nat,forward=tcp:8080:80 udp:53:53']\nserial = 'tcp::4001,server'\ninsecure = 1\n",
        );
        let setup = config.unwrap().translation().unwrap();
        let addresses = setup.cards.iter().map(|(_, address)| address.octets());
        assert!(addresses.eq([[10, 77, 86, 2], [10, 77, 86, 3]]));
        assert_eq!(setup.forwards.len(), 2);
        assert_eq!(setup.forwards[0].1.octets(), [10, 77, 86, 3]);
        assert!(setup.reserved.contains(&(Protocol::Tcp, 4001)));
        assert_eq!(load("vif = ['']").unwrap().translation(), None);
        let setup = load("vif = ['nat', 'nat,ip=192.168.9.2']")
            .unwrap()
            .translation()
            .unwrap();
        assert_eq!(setup.cards[0].1.octets(), [192, 168, 9, 3]);
    }

    #[test]
    fn what_does_not_go_together_is_named() {
        for (text, said) in [
            (
                "vif = ['nat,ip=10.0.0.2', 'nat,ip=10.0.1.2']",
                "the network of 10.0.0.2/24",
            ),
            (
                "vif = ['nat,ip=10.0.0.2', 'nat,ip=10.0.0.2']",
                "another `ip`",
            ),
            ("vif = ['nat,ip=10.0.0.255']", "another `ip`"),
            (
                "vif = ['nat,forward=tcp:80:80 tcp:80:81']",
                "an earlier `forward`",
            ),
            ("vif = ['nat,forward=udp:68:68']", "Monovisor itself"),
            (
                "vif = ['nat,forward=tcp:4000:80']\nprompt = 'tcp::4000,server'\ninsecure = 1",
                "the prompt",
            ),
            (
                "vif = ['nat,forward=tcp:5900:80']\nvnc = 1\ninsecure = 1",
                "the screen",
            ),
        ] {
            let error = load(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
