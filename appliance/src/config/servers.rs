//! Servers on the network that the host itself uses.

use super::error::ConfigError;
use super::interpret::Reader;
use core::net::{IpAddr, SocketAddr};
use net::host::syslog;

/// Which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// `ntp`: who knows the time. Without it, whom a DHCP server names.
    pub time: Option<IpAddr>,
    /// `syslog`: who takes the log.
    pub log: Option<SocketAddr>,
}

impl Servers {
    /// Reads their keys.
    pub(super) fn read(reader: &Reader) -> Result<Self, ConfigError> {
        let time = match reader.get("ntp") {
            Some(setting) => {
                let address = setting.text()?.parse().ok().filter(|it| is_station(*it));
                Some(address.ok_or_else(|| setting.error("expected an address of IPv4 or IPv6"))?)
            }
            None => None,
        };
        let log = match reader.get("syslog") {
            Some(setting) => Some(endpoint(setting.text()?).ok_or_else(|| {
                setting.error("expected ADDRESS or ADDRESS:PORT, an IPv6 address in brackets")
            })?),
            None => None,
        };
        Ok(Self { time, log })
    }
}

fn endpoint(text: &str) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let whole = text.parse::<SocketAddr>();
    let endpoint = whole.or_else(|_| {
        let address = bare.parse::<IpAddr>();
        address.map(|address| SocketAddr::new(address, syslog::PORT))
    });
    endpoint
        .ok()
        .filter(|it| is_station(it.ip()) && it.port() != 0)
}

fn is_station(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() && !is_broadcast
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Servers};

    fn servers(toml: &str) -> Result<Servers, crate::config::ConfigError> {
        Config::load(toml, "").map(|loaded| loaded.config.servers)
    }

    #[test]
    fn addresses_with_and_without_ports() {
        let both = servers("ntp = '10.0.0.1'\nsyslog = '10.0.0.2'").unwrap();
        assert_eq!(both.time, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(both.log, Some("10.0.0.2:514".parse().unwrap()));
        for (text, expected) in [
            ("10.0.0.2:1514", "10.0.0.2:1514"),
            ("fd00::2", "[fd00::2]:514"),
            ("[fd00::2]", "[fd00::2]:514"),
            ("[fd00::2]:5", "[fd00::2]:5"),
        ] {
            let servers = servers(&alloc::format!("syslog = '{text}'")).unwrap();
            assert_eq!(servers.log, Some(expected.parse().unwrap()), "{text}");
        }
        assert_eq!(servers("").unwrap(), Servers::default());
    }

    #[test]
    fn names_and_groups_are_errors() {
        for toml in [
            "ntp = 'pool.ntp.org'",
            "ntp = '224.0.1.1'",
            "syslog = '127.0.0.1'",
            "syslog = '10.0.0.1:0'",
            "syslog = '255.255.255.255'",
        ] {
            assert!(servers(toml).is_err(), "{toml}");
        }
    }
}
