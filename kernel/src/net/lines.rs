//! The host's ends of lines to people on the network.

use crate::console::fanout::Follower;
use crate::service::callers::Caller;
use crate::service::console::LINE;
use net::server::terminal::Line;

/// The guest's serial line.
#[derive(Default)]
pub struct Serial(Option<Follower>);

impl Line for Serial {
    fn open(&mut self) {
        self.0 = Some(LINE.follow());
    }

    fn is_ready(&self) -> bool {
        self.0.as_ref().is_some_and(Follower::is_ready)
    }

    fn typed(&mut self, byte: u8) {
        if let Some(follower) = &mut self.0 {
            follower.typed(byte);
        }
    }

    fn next(&mut self) -> Option<u8> {
        self.0.as_mut()?.next_byte()
    }

    fn is_over(&self) -> bool {
        false
    }

    fn close(&mut self) {
        self.0 = None;
    }
}

/// A prompt of the peer's own.
#[derive(Default)]
pub struct Own(Option<Caller>);

impl Line for Own {
    fn open(&mut self) {
        self.0 = Some(Caller::new());
    }

    fn is_ready(&self) -> bool {
        self.0.as_ref().is_some_and(Caller::is_ready)
    }

    fn typed(&mut self, byte: u8) {
        if let Some(caller) = &mut self.0 {
            caller.typed(byte);
        }
    }

    fn next(&mut self) -> Option<u8> {
        self.0.as_mut()?.next_byte()
    }

    fn is_over(&self) -> bool {
        self.0.as_ref().is_some_and(Caller::is_over)
    }

    fn close(&mut self) {
        self.0 = None;
    }
}
