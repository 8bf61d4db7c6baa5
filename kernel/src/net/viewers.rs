//! VNC: who looks at the guest's screen over the network.

use crate::info;
use crate::service::control::{CONTROL, GuestState};
use crate::service::input;
use crate::service::screen::{self, Audience};
use alloc::boxed::Box;
use alloc::string::String;
use appliance::config::{Admission, Endpoint, Vnc};
use core::fmt::{self, Write};
use heapless::Vec as Few;
use hvm::display::Picture;
use hvm::input::{KeyEvent, Leds, PointerEvent};
use net::host::Host;
use net::rfb::viewer::Viewer;
use net::rfb::{Desktop, Entrance, Room};
use net::server::door::{Counters, Door, Shape};

const SHAPE: Shape = Shape {
    places: 4,
    receive_bytes: 2048,
    send_bytes: 32 * 1024,
};

/// All of them.
pub struct Viewers {
    place: Vnc,
    door: Door<Viewer>,
    room: Room<Desk>,
}

/// The guest's screen, keyboard and pointer.
struct Desk {
    name: String,
    seen: Seen,
}

/// What is known of the screen.
enum Seen {
    Nothing,
    Picture(Option<Box<dyn Picture>>),
}

impl Desktop for Desk {
    fn picture(&self) -> Option<&dyn Picture> {
        match &self.seen {
            Seen::Picture(Some(picture)) => Some(&**picture),
            _ => None,
        }
    }

    fn is_known(&self) -> bool {
        matches!(self.seen, Seen::Picture(_)) || CONTROL.state() == GuestState::Absent
    }

    fn leds(&self) -> Leds {
        input::leds()
    }

    fn key(&mut self, event: KeyEvent) {
        input::key(event);
    }

    fn pointer(&mut self, event: PointerEvent) {
        input::pointer(event);
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Viewers {
    /// Opens the door; `name` is the guest's.
    pub fn new(place: &Vnc, name: &str, host: &mut Host) -> Self {
        let Endpoint { address, port } = place.endpoint;
        let desk = Desk {
            name: name.into(),
            seen: Seen::Nothing,
        };
        let seed = u64::from_ne_bytes(super::service::unforeseen());
        Self {
            place: place.clone(),
            door: Door::new(host, address, port, SHAPE),
            room: Room::new(desk, SHAPE.places, seed),
        }
    }

    /// Serves everybody once; in how many milliseconds again.
    pub fn poll(&mut self, host: &mut Host, now_ms: u64) -> Option<u64> {
        if let Some(capture) = screen::take_view() {
            self.room.desktop.seen = Seen::Picture(capture.picture);
            for viewer in self.door.sessions_mut() {
                viewer.damage(&capture.changed);
            }
        }
        let place = &self.place;
        let wait_ms = self.door.poll(host, now_ms, &mut self.room, |room, peer| {
            info!("network: {peer} looks at the screen");
            Viewer::new(entrance(&place.admission), room, now_ms)
        });
        let mut audience = Audience::Nobody;
        for viewer in self.door.sessions() {
            if viewer.is_hungry() {
                audience = Audience::Hungry;
            } else if audience == Audience::Nobody {
                audience = Audience::Content;
            }
        }
        if audience == Audience::Nobody {
            self.room.desktop.seen = Seen::Nothing;
        }
        screen::view(audience);
        wait_ms
    }

    /// Name, place, dialect and counters.
    pub fn describe(&self) -> (&'static str, Endpoint, &'static str, Counters) {
        let dialect = match self.place.admission {
            Admission::Password(_) => "VNC with a password",
            Admission::Anybody => "VNC without a password",
        };
        ("screen", self.place.endpoint, dialect, self.door.counters())
    }

    /// A line for each who looks.
    pub fn write(&self, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        self.door
            .sessions()
            .try_for_each(|viewer| writeln!(out, "         viewer: {}", viewer.tally()))
    }
}

fn entrance(admission: &Admission) -> Entrance {
    match admission {
        Admission::Anybody => Entrance::Open,
        Admission::Password(password) => {
            let count = password.len().min(net::server::login::MAX_BYTES);
            Entrance::Password {
                // What the protocol does not look at is left out.
                password: Few::from_slice(&password.as_bytes()[..count]).unwrap_or_default(),
                challenge: super::service::unforeseen(),
            }
        }
    }
}
