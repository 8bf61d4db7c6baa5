//! Bytes of any origin at what listens on the network. Shared by the tests and the fuzz targets.
#![allow(dead_code, reason = "each user takes a part")]

use hvm::display::{Picture, Rect, Size, TextScreen};
use hvm::input::{KeyEvent, Leds, PointerEvent};
use hvm::packet::Pool;
use net::Mac;
use net::host::Host;
use net::host::address::Setup;
use net::rfb::viewer::{Entrance, Viewer};
use net::rfb::{Desktop, Room};
use net::server::Session;
use net::server::door::{Door, Shape};
use net::server::login::Login;
use net::server::telnet::Telnet;
use net::server::terminal::{Line, Terminal};
use net::switch::Outlet;
use std::cell::RefCell;

/// A screen of stripes.
struct Stripes;

impl Picture for Stripes {
    fn size(&self) -> Size {
        Size {
            width: 150,
            height: 100,
        }
    }

    fn render(&self, rect: Rect, into: &mut [u32]) {
        for (at, pixel) in into.iter_mut().enumerate() {
            *pixel = rect.x.wrapping_mul(at as u32);
        }
    }

    fn text(&self) -> Option<TextScreen> {
        None
    }
}

struct Desk;

impl Desktop for Desk {
    fn picture(&self) -> Option<&dyn Picture> {
        Some(&Stripes)
    }
    fn is_known(&self) -> bool {
        true
    }
    fn leds(&self) -> Leds {
        Leds::CAPS
    }
    fn key(&mut self, _: KeyEvent) {}
    fn pointer(&mut self, _: PointerEvent) {}
    fn name(&self) -> &str {
        "stripes"
    }
}

/// A viewer says `bytes`, behind an introduction if the first of them is odd, and reads as much as some of them say.
pub fn viewer(bytes: &[u8]) {
    let mut room = Room::new(Desk, 1);
    let mut viewer = Viewer::new(Entrance::Open, &mut room, 0);
    if bytes.first().is_some_and(|first| first % 2 == 1) {
        viewer.receive(b"RFB 003.008\n\x01\x01", &mut room, 0);
        viewer.send(&mut [0; 100], &mut room, 0);
    }
    let mut into = [0; 256];
    for (now_ms, piece) in (0..).zip(bytes.chunks(40)) {
        viewer.receive(piece, &mut room, now_ms);
        viewer.damage(&[Stripes.size().whole()]);
        let room_bytes = usize::from(piece[0]);
        for _ in 0..8 {
            viewer.send(&mut into[..room_bytes], &mut room, now_ms);
        }
    }
    viewer.close(&mut room);
}

struct Silence;

impl Line for Silence {
    fn open(&mut self) {}
    fn is_ready(&self) -> bool {
        true
    }
    fn typed(&mut self, _: u8) {}
    fn next(&mut self) -> Option<u8> {
        None
    }
    fn is_over(&self) -> bool {
        false
    }
    fn close(&mut self) {}
}

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// Frames whose lengths the bytes tell, at a host that does all that it can do. Each frame comes a moment after the one before; the first
/// bytes of each are its addresses, so that it is not passed over.
pub fn frames(bytes: &[u8]) {
    thread_local! {
        // Buffers are leaked, and runs are many.
        static POOL: &'static Pool = Pool::ordinary(64, 2048);
        static OUT: RefCell<usize> = const { RefCell::new(0) };
    }
    let pool = POOL.with(|pool| *pool);
    let setup = Setup::parse("10.0.0.1::10.0.0.2:255.255.255.0").expect("it is well formed");
    let mut host = Host::new(MAC, setup, pool, 1, 0);
    host.introduce("stripes");
    host.ask_time_of([10, 0, 0, 2].into());
    host.log_to(([10, 0, 0, 2], 514).into());
    let shape = Shape {
        places: 2,
        receive_bytes: 256,
        send_bytes: 256,
    };
    let mut door = Door::new(&mut host, None, 23, shape);
    let (mut rest, mut now_ms) = (bytes, 0);
    while let [length, kind, tail @ ..] = rest {
        let length = usize::from(*length).min(tail.len());
        let (content, behind) = tail.split_at(length);
        rest = behind;
        let mut frame = Vec::from(MAC.0);
        frame.extend([2, 0, 0, 0, 0, 2]);
        frame.extend(match kind % 4 {
            0 => [8, 6],
            1 => [0x86, 0xdd],
            2 => [8, 0],
            _ => [*kind, 0],
        });
        frame.extend(content);
        now_ms += u64::from(*kind);
        if let Some(packet) = pool.copy_of(&frame) {
            let _ = host.send(packet);
        }
        host.poll(now_ms);
        door.poll(&mut host, now_ms, &mut (), |(), _| {
            Terminal::new(Some(Telnet::new()), Some(Login::new(b"x", now_ms)), Silence)
        });
        host.poll(now_ms);
        while host.take().is_some() {
            OUT.with_borrow_mut(|out| *out += 1);
        }
        host.next_ms(now_ms);
    }
}
