//! Ports of the host's that lead to the guest, as a configuration writes them: `tcp:8080:80`.

use super::wire::Protocol;
use core::fmt;
use core::str::FromStr;

/// One.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The host's port.
    pub outside_port: u16,
    /// The guest's.
    pub inside_port: u16,
}

/// The text is not `tcp:PORT:PORT` or `udp:PORT:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadForward;

impl FromStr for Forward {
    type Err = BadForward;

    fn from_str(text: &str) -> Result<Self, BadForward> {
        let mut parts = text.split(':');
        let protocol = match parts.next() {
            Some("tcp") => Protocol::Tcp,
            Some("udp") => Protocol::Udp,
            _ => return Err(BadForward),
        };
        let mut port = || {
            let text = parts.next().ok_or(BadForward)?;
            // `parse` alone would take "+1".
            let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
            let port = text.parse().ok().filter(|port| *port != 0 && is_number);
            port.ok_or(BadForward)
        };
        let (outside_port, inside_port) = (port()?, port()?);
        match parts.next() {
            None => Ok(Self {
                protocol,
                outside_port,
                inside_port,
            }),
            Some(_) => Err(BadForward),
        }
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp | Protocol::Echo => "udp",
        };
        write!(f, "{protocol}:{}:{}", self.outside_port, self.inside_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn ports_are_read() {
        let forward: Forward = "tcp:8080:80".parse().unwrap();
        assert_eq!((forward.outside_port, forward.inside_port), (8080, 80));
        assert_eq!(
            "udp:53:5353".parse::<Forward>().unwrap().to_string(),
            "udp:53:5353"
        );
        for bad in [
            "",
            "tcp",
            "tcp:80",
            "tcp:0:80",
            "tcp:80:65536",
            "sctp:1:1",
            "tcp:1:1:1",
            "tcp:+1:1",
            "tcp::1",
        ] {
            assert_eq!(bad.parse::<Forward>(), Err(BadForward), "{bad}");
        }
    }
}
