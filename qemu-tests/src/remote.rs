//! Somebody on the network: TCP connections to the machine under test, through ports of this computer's loopback interface.

use anyhow::{Context, Result, bail};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long one read waits before the time limit is looked at.
const TICK: Duration = Duration::from_millis(100);

/// QEMU's own network, with ports that lead to the machine.
#[derive(Clone, Debug)]
pub struct Network {
    /// A port of this computer, and the machine's.
    ports: Vec<(u16, u16)>,
}

impl Network {
    /// Reaches these ports of the machine.
    pub fn new(ports: &[u16]) -> Result<Self> {
        // All are held until all are found, so that they differ.
        let listeners: Vec<_> = ports
            .iter()
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<Result<_, _>>()?;
        let own = listeners
            .iter()
            .map(|listener| Ok(listener.local_addr()?.port()));
        let own = own.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            ports: own.into_iter().zip(ports.iter().copied()).collect(),
        })
    }

    /// QEMU's arguments, with a card of this model.
    pub fn arguments(&self, card: &str) -> Vec<String> {
        let network = format!("user,id=network,restrict=on{}", self.options());
        let card = format!("{card},netdev=network");
        ["-netdev", &network, "-device", &card]
            .map(str::to_owned)
            .into()
    }

    /// Options of QEMU's network that lead there, each behind a comma.
    pub fn options(&self) -> String {
        let ports = self.ports.iter();
        ports
            .map(|(own, port)| format!(",hostfwd=tcp:127.0.0.1:{own}-:{port}"))
            .collect()
    }

    /// The port of this computer that leads to the machine's `port`.
    pub fn port(&self, port: u16) -> Result<u16> {
        let found = self.ports.iter().find(|(_, machine)| *machine == port);
        found
            .map(|(own, _)| *own)
            .with_context(|| format!("nothing leads to port {port}"))
    }

    /// Connects to it.
    pub fn connect(&self, port: u16) -> Result<Connection> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port(port)?))?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            unread: Vec::new(),
        })
    }
}

/// A connection.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Says something.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("cannot send")
    }

    /// Waits until the machine has said `text`; returns everything up to and with it.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            let found = self
                .unread
                .windows(text.len())
                .position(|window| window == text.as_bytes());
            if let Some(start) = found {
                let rest = self.unread.split_off(start + text.len());
                let said = std::mem::replace(&mut self.unread, rest);
                return Ok(String::from_utf8_lossy(&said).into_owned());
            }
            if !self.receive(deadline)? {
                bail!("it ended, and had not said {text:?} but {}", self.heard());
            }
            if Instant::now() >= deadline {
                bail!(
                    "it did not say {text:?} within {} s, but {}",
                    limit.as_secs(),
                    self.heard()
                );
            }
        }
    }

    /// Waits until the machine has closed it; returns what it said before.
    pub fn ended(&mut self, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        while self.receive(deadline)? {
            if Instant::now() >= deadline {
                bail!("it goes on after {} s", limit.as_secs());
            }
        }
        Ok(self.heard())
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// Waits for bytes until `deadline`; false if there will be none.
    fn receive(&mut self, deadline: Instant) -> Result<bool> {
        let mut bytes = [0; 4096];
        while Instant::now() < deadline {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(false),
                Ok(length) => {
                    self.unread.extend(&bytes[..length]);
                    return Ok(true);
                }
                Err(error) if is_timeout(error.kind()) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error).context("cannot read"),
            }
        }
        Ok(true)
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
