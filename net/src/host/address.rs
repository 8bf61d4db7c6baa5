//! `ip=` of the command line, as Linux has it (Documentation/admin-guide/nfs/nfsroot.rst):
//! `ip=<client>:<server>:<gateway>:<netmask>:<host name>:<device>:<autoconf>:<name server>:<name server>:…`, or `ip=<autoconf>` alone.

use core::fmt;
use core::net::Ipv4Addr;

/// Where the host's IPv4 address comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Setup {
    /// A DHCP server.
    #[default]
    Dhcp,
    /// Here.
    Static(Address),
    /// The host has none.
    Off,
}

/// A static address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host's.
    pub address: Ipv4Addr,
    /// How many of its leading bits are the network's.
    pub prefix_bits: u8,
    /// The way to everywhere else.
    pub gateway: Option<Ipv4Addr>,
    /// Whom names are asked of.
    pub name_servers: [Option<Ipv4Addr>; 2],
}

/// One part that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSetup {
    /// The client's address.
    Client,
    /// The gateway's.
    Gateway,
    /// The netmask: not ones followed by zeros.
    Netmask,
    /// The protocol.
    Autoconf,
    /// A name server's.
    NameServer,
}

impl fmt::Display for BadSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "the first part is no IPv4 address that one station has",
            Self::Gateway => "the third part, the gateway, is no IPv4 address",
            Self::Netmask => "the fourth part is no netmask, such as 255.255.255.0",
            Self::NameServer => "the eighth or ninth part, a name server, is no IPv4 address",
            Self::Autoconf => {
                "the protocol is none of dhcp, on, any, off, none (bootp and rarp are not there)"
            }
        })
    }
}

impl Setup {
    /// Reads the value of `ip=`.
    pub fn parse(text: &str) -> Result<Self, BadSetup> {
        let mut parts = text.split(':');
        let (first, more) = (parts.next().unwrap_or(""), text.contains(':'));
        if !more {
            return match first.parse::<Ipv4Addr>() {
                Ok(address) => Self::fixed(address, None, None, [None; 2]),
                Err(_) => autoconf(first),
            };
        }
        let (gateway, netmask) = (parts.nth(1).unwrap_or(""), parts.next().unwrap_or(""));
        let protocol = parts.nth(2).unwrap_or("");
        if first.is_empty() || first == "0.0.0.0" {
            return autoconf(protocol);
        }
        let address = first.parse().map_err(|_| BadSetup::Client)?;
        let optional = |text: &str, error| match text {
            "" => Ok(None),
            text => text.parse::<Ipv4Addr>().map(Some).map_err(|_| error),
        };
        let gateway = optional(gateway, BadSetup::Gateway)?;
        let netmask = optional(netmask, BadSetup::Netmask)?;
        // A given address stands, whatever the protocol is; a misspelt one is told all the same.
        autoconf(protocol)?;
        let mut server = || optional(parts.next().unwrap_or(""), BadSetup::NameServer);
        Self::fixed(address, gateway, netmask, [server()?, server()?])
    }

    fn fixed(
        address: Ipv4Addr,
        gateway: Option<Ipv4Addr>,
        netmask: Option<Ipv4Addr>,
        name_servers: [Option<Ipv4Addr>; 2],
    ) -> Result<Self, BadSetup> {
        if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
            return Err(BadSetup::Client);
        }
        let prefix_bits = match netmask {
            Some(mask) => {
                let ones = mask.to_bits().leading_ones();
                if mask.to_bits().count_ones() != ones {
                    return Err(BadSetup::Netmask);
                }
                ones as u8
            }
            None => classful_bits(address),
        };
        Ok(Self::Static(Address {
            address,
            prefix_bits,
            gateway,
            name_servers,
        }))
    }
}

fn autoconf(protocol: &str) -> Result<Setup, BadSetup> {
    match protocol {
        "" | "on" | "any" | "dhcp" | "both" => Ok(Setup::Dhcp),
        "off" | "none" => Ok(Setup::Off),
        _ => Err(BadSetup::Autoconf),
    }
}

/// What Linux takes where no netmask is given: the class's.
fn classful_bits(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        192.. => 24,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fixed(
        address: [u8; 4],
        prefix_bits: u8,
        gateway: Option<[u8; 4]>,
    ) -> Result<Setup, BadSetup> {
        Ok(Setup::Static(Address {
            address: address.into(),
            prefix_bits,
            gateway: gateway.map(Into::into),
            name_servers: [None; 2],
        }))
    }

    #[test]
    fn linuxs_forms() {
        assert_eq!(Setup::parse("dhcp"), Ok(Setup::Dhcp));
        assert_eq!(Setup::parse("off"), Ok(Setup::Off));
        assert_eq!(Setup::parse(":::::eth0:dhcp"), Ok(Setup::Dhcp));
        assert_eq!(
            Setup::parse("10.0.2.15::10.0.2.2:255.255.255.0:florizel:eth0:off"),
            fixed([10, 0, 2, 15], 24, Some([10, 0, 2, 2]))
        );
        assert_eq!(
            Setup::parse("192.168.1.7"),
            fixed([192, 168, 1, 7], 24, None)
        );
        assert_eq!(
            Setup::parse("172.16.0.9:::"),
            fixed([172, 16, 0, 9], 16, None)
        );
    }

    #[test]
    fn name_servers_are_behind_the_protocol() {
        let setup = Setup::parse("10.0.0.1:::255.0.0.0::eth0:off:10.0.0.53::10.0.0.9");
        let Ok(Setup::Static(Address { name_servers, .. })) = setup else {
            panic!("{setup:?}");
        };
        assert_eq!(name_servers, [Some(Ipv4Addr::new(10, 0, 0, 53)), None]);
        let setup = Setup::parse("10.0.0.1:::::::10.0.0.53x");
        assert_eq!(setup, Err(BadSetup::NameServer));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(Setup::parse("bootp"), Err(BadSetup::Autoconf));
        assert_eq!(Setup::parse("10.0.0.256:::"), Err(BadSetup::Client));
        assert_eq!(Setup::parse("224.0.0.1"), Err(BadSetup::Client));
        assert_eq!(Setup::parse("10.0.0.1::x:"), Err(BadSetup::Gateway));
        assert_eq!(
            Setup::parse("10.0.0.1:::255.0.255.0"),
            Err(BadSetup::Netmask)
        );
        assert_eq!(Setup::parse("10.0.0.1::::::dhpc"), Err(BadSetup::Autoconf));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text: std::string::String) {
            let _ = Setup::parse(&text);
        }
    }
}
