//! The guest's network interface, as xl-network-configuration(5) writes it.
//!
//! A specification is a list of `keyword=value` and flags with commas between them; the empty text is the default
//! interface. Every keyword of the manual page is known: it lands in a field, or in [`Vif::ignored`] with the reason.

use crate::Mac;
use crate::cable::Gathering;
use crate::nat::forward::Forward;
use crate::rate::Rate;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

/// What the guest finds on its bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// Realtek RTL8139C+, which xl.cfg has by default.
    #[default]
    Rtl8139,
    /// Realtek RTL8139C, without the C+ mode.
    Rtl8139C,
    /// Intel 82540EM.
    E1000,
    /// virtio-net; also what `type=vif`, xl.cfg's paravirtual interface, means here.
    Virtio,
}

/// How the guest's frames reach the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attachment {
    /// On the L2 switch with the uplink, under the guest's own address. A bridge's name says nothing more: there is one.
    #[default]
    Bridge,
    /// Behind the host's address.
    Nat,
}

/// Whose addresses frames of the guest may come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Senders {
    /// Any: guests bridge, too.
    #[default]
    Any,
    /// The interface's own.
    Own,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vif {
    /// Its address; `None`: derive it, see [`Mac::of_guest`].
    pub mac: Option<Mac>,
    /// The device.
    pub model: Model,
    /// The way out.
    pub attachment: Attachment,
    /// Limit on what the guest sends.
    pub rate: Option<Rate>,
    /// Addresses that the guest may use; empty: any. Behind the host's address, the one that it is given.
    pub ip: Vec<IpAddr>,
    /// Ports of the host's that lead to it, behind the host's address.
    pub forwards: Vec<Forward>,
    /// The VLAN that the switch puts the guest in, without the guest knowing; `None`: none, and tags pass.
    pub vlan: Option<u16>,
    /// Whose frames the guest may send.
    pub senders: Senders,
    /// Whether frames for the guest are joined on their way.
    pub gathering: Gathering,
    /// Largest IP packet in bytes; `None`: the uplink's.
    pub mtu_bytes: Option<u16>,
    /// Keywords that have no meaning here, and why.
    pub ignored: Vec<(String, &'static str)>,
}

/// One part of a specification that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VifError {
    /// The part as written.
    pub found: String,
    /// What would be right.
    pub expected: &'static str,
}

impl fmt::Display for VifError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: expected {}", self.found, self.expected)
    }
}

const KEYWORDS: &str = "one of mac, bridge, nat, forward, model, type, rate, ip, mtu, antispoof, gather (or another keyword of xl-network-configuration(5))";

/// Keywords of the manual page (and of xm) that have no meaning without a dom0.
const NOT_HERE: &[(&str, &str)] = &[
    ("backend", "there is no driver domain"),
    ("devid", "interfaces are numbered in their order"),
    ("forwarddev", "there are no hotplug scripts"),
    (
        "gatewaydev",
        "there are no hotplug scripts: the switch has one uplink",
    ),
    (
        "netdev",
        "there are no hotplug scripts: the switch has one uplink",
    ),
    ("script", "there are no hotplug scripts"),
    ("trusted", "it concerns Xen's own front ends only"),
    ("untrusted", "it concerns Xen's own front ends only"),
    ("vifname", "the host side has no named devices"),
];

impl Vif {
    /// Reads one specification.
    pub fn parse(text: &str) -> Result<Self, VifError> {
        let mut vif = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (keyword, value) = match part.split_once('=') {
                Some((keyword, value)) => (keyword.trim(), value.trim()),
                None => (part, ""),
            };
            vif.apply(keyword, value).map_err(|expected| VifError {
                found: part.to_string(),
                expected,
            })?;
        }
        vif.check(text)?;
        Ok(vif)
    }

    /// Whether its parts go together.
    fn check(&self, text: &str) -> Result<(), VifError> {
        let bad = |expected| {
            Err(VifError {
                found: text.to_string(),
                expected,
            })
        };
        match self.attachment {
            Attachment::Bridge if !self.forwards.is_empty() => {
                bad("`nat` beside `forward`: a card that is bridged has an address of its own")
            }
            Attachment::Nat if self.vlan.is_some() => {
                bad("no VLAN beside `nat`: the guest is not on the network outside")
            }
            Attachment::Nat if !matches!(self.ip[..], [] | [IpAddr::V4(_)]) => {
                bad("at most one `ip` beside `nat`, of IPv4: the address that the guest is given")
            }
            _ => Ok(()),
        }
    }

    /// Takes one keyword; the error says what was expected.
    fn apply(&mut self, keyword: &str, value: &str) -> Result<(), &'static str> {
        match keyword {
            "mac" => self.mac = Some(station(value)?),
            "bridge" => {
                self.attachment = Attachment::Bridge;
                self.vlan = access_vlan(value)?;
            }
            "antispoof" => {
                self.senders = match value {
                    "" | "1" => Senders::Own,
                    "0" => Senders::Any,
                    _ => return Err("`antispoof` alone, antispoof=1 or antispoof=0"),
                }
            }
            "gather" => {
                self.gathering = match value {
                    "" | "1" => Gathering::On,
                    "0" => Gathering::Off,
                    _ => return Err("`gather` alone, gather=1 or gather=0"),
                }
            }
            "nat" if matches!(value, "" | "1") => self.attachment = Attachment::Nat,
            "nat" => return Err("`nat` alone"),
            "type" => match value {
                "ioemu" => {}
                "vif" => self.model = Model::Virtio,
                _ => return Err("type=ioemu or type=vif"),
            },
            "model" => {
                self.model = match value {
                    "rtl8139" => Model::Rtl8139,
                    "rtl8139-c" => Model::Rtl8139C,
                    "e1000" => Model::E1000,
                    "virtio" | "virtio-net" => Model::Virtio,
                    _ => return Err("model=rtl8139, model=rtl8139-c, model=e1000 or model=virtio"),
                }
            }
            "rate" => {
                let rate = value
                    .parse()
                    .map_err(|_| "a rate such as 10Mb/s or 1MB/s@20ms")?;
                self.rate = Some(rate);
            }
            "ip" => {
                self.ip = value
                    .split_whitespace()
                    .map(str::parse)
                    .collect::<Result<_, _>>()
                    .map_err(|_| "IP addresses with spaces between them")?;
            }
            "forward" => {
                self.forwards = value
                    .split_whitespace()
                    .map(str::parse)
                    .collect::<Result<_, _>>()
                    .map_err(|_| "tcp:PORT:PORT or udp:PORT:PORT, the host's and the guest's, with spaces between several")?;
            }
            "mtu" => {
                let mtu = value.parse().ok().filter(|mtu| (68..=9000).contains(mtu));
                // 68: the least that every IPv4 link carries (RFC 791, 3.2).
                self.mtu_bytes = Some(mtu.ok_or("an MTU from 68 to 9000 bytes")?);
            }
            _ => {
                let &(_, reason) = NOT_HERE
                    .iter()
                    .find(|(name, _)| *name == keyword)
                    .ok_or(KEYWORDS)?;
                self.ignored.push((keyword.to_string(), reason));
            }
        }
        Ok(())
    }
}

/// The VLAN in a bridge's name, as Open vSwitch's scripts have it: `bridge=ovsbr0.10`.
fn access_vlan(bridge: &str) -> Result<Option<u16>, &'static str> {
    const EXPECTED: &str =
        "a bridge's name, perhaps with a VLAN from 1 to 4094 behind a dot, and no trunks";
    if bridge.contains(':') {
        return Err(EXPECTED);
    }
    let Some((_, vlan)) = bridge.rsplit_once('.') else {
        return Ok(None);
    };
    let vlan = vlan.parse().ok().filter(|vlan| (1..=4094).contains(vlan));
    vlan.map(Some).ok_or(EXPECTED)
}

fn station(text: &str) -> Result<Mac, &'static str> {
    let mac: Mac = text
        .parse()
        .map_err(|_| "six pairs of hexadecimal digits, as in mac=00:16:3e:74:3d:76")?;
    if mac.is_station() {
        Ok(mac)
    } else {
        Err("an address of one station, neither a group address nor all zeroes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_empty_text_is_the_default_interface() {
        assert_eq!(Vif::parse(""), Ok(Vif::default()));
    }

    #[test]
    fn gathering_can_be_turned_off() {
        let gathering = |text| Vif::parse(text).map(|vif| vif.gathering);
        assert_eq!(gathering("model=virtio"), Ok(Gathering::On));
        assert_eq!(gathering("gather=0"), Ok(Gathering::Off));
        assert!(gathering("gather=maybe").is_err());
    }

    #[test]
    fn the_seed_texts_interfaces_load() {
        let vif = Vif::parse("type=ioemu, bridge=xenbr0").unwrap();
        assert_eq!(vif.model, Model::Rtl8139);
        let older = Vif::parse("type=ioemu, model=rtl8139-c").unwrap();
        assert_eq!(older.model, Model::Rtl8139C);
        assert_eq!(vif.attachment, Attachment::Bridge);
        let vif = Vif::parse(
            "mac=00:16:3E:74:3d:76,model=e1000,rate=1MB/s@20ms,ip=10.0.0.7 fe80::7,mtu=1400",
        )
        .unwrap();
        assert_eq!(vif.mac, Some(Mac([0, 0x16, 0x3e, 0x74, 0x3d, 0x76])));
        assert_eq!(vif.model, Model::E1000);
        assert_eq!(vif.rate.unwrap().bytes_per_second, 1_000_000);
        assert_eq!(vif.ip.len(), 2);
        assert_eq!(vif.mtu_bytes, Some(1400));
    }

    #[test]
    fn a_vlan_and_a_guard_are_taken() {
        let vif = Vif::parse("bridge=ovsbr0.10,antispoof").unwrap();
        assert_eq!((vif.vlan, vif.senders), (Some(10), Senders::Own));
    }

    #[test]
    fn translation_has_an_address_and_ports() {
        let vif = Vif::parse("nat, ip=10.5.0.9, forward=tcp:8080:80 udp:53:53").unwrap();
        assert_eq!(vif.attachment, Attachment::Nat);
        assert_eq!(vif.forwards.len(), 2);
        for (text, what) in [
            ("forward=tcp:80:80", "nat"),
            ("nat,ip=10.0.0.1 10.0.0.2", "one"),
            ("nat,ip=fe80::1", "IPv4"),
            ("bridge=br0.7,nat", "VLAN"),
            ("nat,forward=80", "tcp:PORT:PORT"),
        ] {
            let error = Vif::parse(text).unwrap_err();
            assert!(error.expected.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn dom0_keywords_are_ignored_with_a_reason() {
        let vif = Vif::parse("script=vif-nat,nat,vifname=web").unwrap();
        assert_eq!(vif.attachment, Attachment::Nat);
        assert_eq!(vif.ignored.len(), 2);
        assert!(vif.ignored[0].1.contains("hotplug"));
    }

    #[test]
    fn a_bad_part_is_named_with_what_was_expected() {
        for (text, part) in [
            ("mac=00:16:3e:74:3d", "mac=00:16:3e:74:3d"),
            (
                "model=rtl8139,mac=01:00:5e:00:00:01",
                "mac=01:00:5e:00:00:01",
            ),
            ("mac=00:00:00:00:00:00", "mac=00:00:00:00:00:00"),
            ("model=ne2k_pci", "model=ne2k_pci"),
            ("brigde=xenbr0", "brigde=xenbr0"),
            ("rate=fast", "rate=fast"),
            ("mtu=20", "mtu=20"),
            ("nat=0", "nat=0"),
            ("bridge=br0.4095", "bridge=br0.4095"),
            ("bridge=br0:10", "bridge=br0:10"),
            ("antispoof=2", "antispoof=2"),
            ("ip=10.0.0.300", "ip=10.0.0.300"),
        ] {
            assert_eq!(Vif::parse(text).unwrap_err().found, part);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text: String) {
            let _ = Vif::parse(&text);
        }

        #[test]
        fn any_keywords_and_values_are_answered(
            text in "((mac|bridge|nat|type|model|rate|ip|mtu|script)(=[0-9a-fMB:/.@]{0,18})?,? ?){0,6}"
        ) {
            let _ = Vif::parse(&text);
        }
    }
}
