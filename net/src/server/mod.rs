//! What the host serves over TCP: connections, and what is spoken on them.
//!
//! A [`door::Door`] listens at a port and has a fixed number of places; a place has its buffers from the start, so who connects costs no
//! memory. A [`Session`] is what is spoken on one connection, without any input or output of its own: bytes are handed in and fetched.
//! So a peer that stops reading holds up its own session and nothing else.

pub mod door;
pub mod login;
pub mod telnet;
pub mod terminal;
#[cfg(test)]
mod tests;

/// One connection's protocol. `W` is what sessions share, and what they are about.
pub trait Session<W: ?Sized> {
    /// Takes what has come; how many bytes of it. What it leaves is offered again, and the peer is held back meanwhile.
    fn receive(&mut self, bytes: &[u8], world: &mut W, now_ms: u64) -> usize;

    /// Puts what is to be sent into `room`, and tells how many bytes. Of what it has for the peer, as much as there is room for.
    fn send(&mut self, room: &mut [u8], world: &mut W, now_ms: u64) -> usize;

    /// Whether it goes on.
    fn stage(&self) -> Stage;

    /// In how many milliseconds it has something to do by itself; 0: at once.
    fn next_ms(&self, now_ms: u64) -> Option<u64>;

    /// The connection is gone, for whatever reason.
    fn close(&mut self, world: &mut W);
}

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The peer has not been let in yet.
    Entering,
    /// It goes on.
    Open,
    /// All is said; what was put into the connection is still to be sent.
    Over,
}
