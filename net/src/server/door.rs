//! A port that is listened at.

use super::{Session, Stage};
use crate::host::Host;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::Duration;
use smoltcp::wire::{IpEndpoint, IpListenEndpoint};

/// How long a peer may take to complete its handshake before its place is given to another: so a flood of first segments (RFC 4987)
/// keeps others out no longer than it lasts.
const HANDSHAKE_MS: u64 = 1000;
/// How long a peer may take over the end of a connection.
const FAREWELL_MS: u64 = 5000;
/// How long somebody who is not let in yet keeps a place while there is none for others: those who say nothing do not keep out who knows
/// the password.
const HESITATION_MS: u64 = 10_000;
/// A silent peer is asked whether it is still there, and given up.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_secs(60);
/// Pieces of a ring buffer.
const PIECES: usize = 2;

/// What a door is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Connections at once.
    pub places: usize,
    /// What each keeps of what came.
    pub receive_bytes: usize,
    /// What each keeps of what is to go.
    pub send_bytes: usize,
}

/// What happened at a door since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that came about.
    pub connections: u64,
    /// Handshakes that were not completed in time.
    pub unfinished: u64,
    /// Peers that were not let in, and had to make room.
    pub displaced: u64,
}

/// The door.
pub struct Door<S> {
    endpoint: IpListenEndpoint,
    places: Vec<Place<S>>,
    counters: Counters,
}

struct Place<S> {
    socket: SocketHandle,
    session: Option<S>,
    /// Since when there is one.
    opened_ms: u64,
    /// Since when it waits for the peer to complete a handshake or a farewell.
    waits_since_ms: Option<u64>,
}

impl<S> Door<S> {
    /// A door of the host at a port, of one address or of all.
    pub fn new(host: &mut Host, address: Option<IpAddr>, port: u16, shape: Shape) -> Self {
        let places = (0..shape.places).map(|_| {
            let socket = host.add_tcp(shape.receive_bytes, shape.send_bytes);
            let tcp = host.tcp(socket);
            tcp.set_keep_alive(Some(KEEP_ALIVE));
            tcp.set_timeout(Some(TIMEOUT));
            Place {
                socket,
                session: None,
                opened_ms: 0,
                waits_since_ms: None,
            }
        });
        Self {
            endpoint: IpListenEndpoint {
                addr: address.map(Into::into),
                port,
            },
            places: places.collect(),
            counters: Counters::default(),
        }
    }

    /// What happened.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Those who are connected.
    pub fn sessions(&self) -> impl Iterator<Item = &S> {
        self.places.iter().filter_map(|it| it.session.as_ref())
    }

    /// The same, to be told something.
    pub fn sessions_mut(&mut self) -> impl Iterator<Item = &mut S> {
        self.places.iter_mut().filter_map(|it| it.session.as_mut())
    }

    /// Serves everybody once. `open` makes the session of somebody new. Returns in how many milliseconds there is something to do
    /// without anything having come.
    pub fn poll<W: ?Sized>(
        &mut self,
        host: &mut Host,
        now_ms: u64,
        world: &mut W,
        mut open: impl FnMut(&mut W, SocketAddr) -> S,
    ) -> Option<u64>
    where
        S: Session<W>,
    {
        let mut next_ms = None;
        for place in &mut self.places {
            let socket = host.tcp(place.socket);
            let wait_ms = match socket.state() {
                State::Listen => None,
                State::Closed | State::TimeWait => {
                    place.leave(world);
                    place.waits_since_ms = None;
                    // A reset that is still to be sent goes first. A port of 0 is the only one that is refused.
                    if socket.state() == State::TimeWait || socket.remote_endpoint().is_none() {
                        socket.abort();
                        let _ = socket.listen(self.endpoint);
                    }
                    None
                }
                State::SynReceived => {
                    let left_ms = place.left_ms(HANDSHAKE_MS, now_ms);
                    if left_ms == 0 {
                        self.counters.unfinished += 1;
                        place.waits_since_ms = None;
                        socket.abort();
                        // As above.
                        let _ = socket.listen(self.endpoint);
                    }
                    (left_ms > 0).then_some(left_ms)
                }
                State::Established | State::CloseWait => {
                    if place.session.is_none() {
                        self.counters.connections += 1;
                        place.waits_since_ms = None;
                        let peer = socket.remote_endpoint().map(address);
                        place.session = peer.map(|peer| open(world, peer));
                        place.opened_ms = now_ms;
                    }
                    place.serve(socket, world, now_ms)
                }
                _ => {
                    place.leave(world);
                    let left_ms = place.left_ms(FAREWELL_MS, now_ms);
                    if left_ms == 0 {
                        socket.abort();
                    }
                    Some(left_ms.max(1))
                }
            };
            next_ms = next_ms.into_iter().chain(wait_ms).min();
        }
        let wait_ms = self.make_room(host, now_ms, world);
        next_ms.into_iter().chain(wait_ms).min()
    }

    /// Where nobody else could come in, who hesitates longest has to go; in how many milliseconds, if there is somebody.
    fn make_room<W: ?Sized>(&mut self, host: &mut Host, now_ms: u64, world: &mut W) -> Option<u64>
    where
        S: Session<W>,
    {
        let is_free = |place: &Place<S>| place.session.is_none();
        if self.places.iter().any(is_free) {
            return None;
        }
        let entering = self.places.iter_mut().filter(|place| {
            let stage = place.session.as_ref().map(S::stage);
            stage == Some(Stage::Entering)
        });
        let place = entering.min_by_key(|place| place.opened_ms)?;
        let left_ms = (place.opened_ms + HESITATION_MS).saturating_sub(now_ms);
        if left_ms == 0 {
            self.counters.displaced += 1;
            place.leave(world);
            host.tcp(place.socket).abort();
        }
        Some(left_ms)
    }
}

fn address(endpoint: IpEndpoint) -> SocketAddr {
    SocketAddr::new(endpoint.addr.into(), endpoint.port)
}

impl<S> Place<S> {
    /// How much of `limit_ms` is left.
    fn left_ms(&mut self, limit_ms: u64, now_ms: u64) -> u64 {
        let since_ms = *self.waits_since_ms.get_or_insert(now_ms);
        (since_ms + limit_ms).saturating_sub(now_ms)
    }

    fn leave<W: ?Sized>(&mut self, world: &mut W)
    where
        S: Session<W>,
    {
        if let Some(mut session) = self.session.take() {
            session.close(world);
        }
    }

    fn serve<W: ?Sized>(
        &mut self,
        socket: &mut Socket<'_>,
        world: &mut W,
        now_ms: u64,
    ) -> Option<u64>
    where
        S: Session<W>,
    {
        let session = self.session.as_mut()?;
        for _ in 0..PIECES {
            if !socket.can_recv() {
                break;
            }
            let taken = socket.recv(|bytes| {
                let taken = session.receive(bytes, world, now_ms).min(bytes.len());
                (taken, taken)
            });
            if !matches!(taken, Ok(taken) if taken > 0) {
                break;
            }
        }
        for _ in 0..PIECES {
            if !socket.can_send() {
                break;
            }
            let put = socket.send(|room| {
                let put = session.send(room, world, now_ms).min(room.len());
                (put, put)
            });
            if !matches!(put, Ok(put) if put > 0) {
                break;
            }
        }
        let has_ended = !socket.may_recv();
        if session.stage() == Stage::Over || has_ended {
            self.leave(world);
            socket.close();
            return Some(FAREWELL_MS);
        }
        session.next_ms(now_ms)
    }
}
