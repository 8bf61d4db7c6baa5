//! Bytes of any origin at what listens on the network. Shared by the tests and the fuzz targets.
#![allow(dead_code, reason = "each user takes a part")]

mod desk;

use desk::Desk;
use hvm::display::{Picture, Rect, Size, TextScreen};
use hvm::packet::{Packet, Pool};
use net::Mac;
use net::host::address::Setup;
use net::host::{Host, Lease, Surroundings, mdns, sntp};
use net::nat::{DEFAULT_GUEST, Face, Outside, Protocol, Router, Setup as Setting};
use net::rfb::viewer::Viewer;
use net::rfb::{Entrance, Room};
use net::server::Session;
use net::server::door::{Door, Shape};
use net::server::login::Login;
use net::server::telnet::Telnet;
use net::server::terminal::{Line, Terminal};
use net::switch::{Outlet, PortSetup, Refusal, Sources, Switch, Vlans, WhenFull};
use std::cell::RefCell;

/// A screen of stripes, which have moved up by so many lines.
struct Stripes(u32);

impl Picture for Stripes {
    fn size(&self) -> Size {
        Size {
            width: 150,
            height: 100,
        }
    }

    fn render(&self, rect: Rect, into: &mut [u32]) {
        for (at, pixel) in (0..).zip(into) {
            let (x, y) = (rect.x + at % rect.width, rect.y + at / rect.width);
            let stripe = (y + self.0).wrapping_mul(0x9e37_79b9);
            *pixel = (stripe ^ (stripe >> 7).wrapping_mul(x / 9)) & 0xff_ffff;
        }
    }

    fn text(&self) -> Option<TextScreen> {
        None
    }
}

/// A viewer says `bytes`, behind an introduction if the first of them is odd, and reads as much as some of them say; as they say, too, the
/// screen scrolls.
pub fn viewer(bytes: &[u8]) {
    let mut room = Room::new(Desk(Stripes(0)), 1, 0);
    let mut viewer = Viewer::new(Entrance::Open, &mut room, 0);
    if bytes.first().is_some_and(|first| first % 2 == 1) {
        viewer.receive(b"RFB 003.008\n\x01\x01", &mut room, 0);
        viewer.send(&mut [0; 100], &mut room, 0);
        // ZRLE and CopyRect, and updates without a question.
        let wish = b"\x02\0\0\x02\0\0\0\x10\0\0\0\x01\x96\x01\0\0\0\0\0\x96\0\x64";
        viewer.receive(wish, &mut room, 0);
    }
    let mut into = [0; 256];
    for (now_ms, piece) in (0..).zip(bytes.chunks(40)) {
        viewer.receive(piece, &mut room, now_ms);
        room.desktop.0.0 += u32::from(piece.last().map_or(0, |byte| byte % 20));
        viewer.damage(&[room.desktop.0.size().whole()]);
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
    host.link_came_up(0);
    host.introduce("stripes");
    host.ask_time_of([10, 0, 0, 2].into());
    host.log_to(([10, 0, 0, 2], 514).into());
    let shape = Shape {
        places: 2,
        receive_bytes: 256,
        send_bytes: 256,
    };
    let mut door = Door::new(&mut host, None, 23, shape);
    // From before it has its address to long after.
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

/// Frames at a router from both sides: each has a length, a kind, and content. Packets have right headers, so that they go far. Whatever
/// comes, what leaves has the host's address and nobody else's.
pub fn router(bytes: &[u8]) {
    thread_local! {
        // As above. Half of a frame's bytes may be an answer's.
        static POOL: &'static Pool = Pool::ordinary(64, 2048);
    }
    const HOST: [u8; 4] = [192, 0, 2, 5];
    let pool = POOL.with(|pool| *pool);
    let card = Mac([0, 0x16, 0x3e, 0, 0, 1]);
    let setup = Setting {
        cards: vec![(card, DEFAULT_GUEST)],
        forwards: vec![(
            "tcp:80:80".parse().expect("it is well formed"),
            DEFAULT_GUEST,
        )],
        reserved: vec![(Protocol::Tcp, 23)],
        name: "stripes".into(),
        mtu_bytes: 1500,
    };
    let mut router = Router::new(setup, MAC, pool, 1);
    router.set_outside(Some(Outside {
        lease: Lease {
            address: HOST.into(),
            prefix_bits: 24,
            gateway: Some([192, 0, 2, 1].into()),
        },
        told: Surroundings {
            name_servers: [[192, 0, 2, 53].into(), [192, 0, 2, 54].into()]
                .into_iter()
                .collect(),
            ..Surroundings::default()
        },
    }));
    let stations = [
        DEFAULT_GUEST.octets(),
        HOST,
        [192, 0, 2, 1],
        [198, 51, 100, 7],
        router.address().octets(),
        [255; 4],
        [10, 77, 86, 3],
        [192, 0, 2, 53],
    ];
    let mut host = Sink;
    let (mut rest, mut now_ms) = (bytes, 0);
    while let [length, kind, tail @ ..] = rest {
        let (content, behind) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = behind;
        now_ms += u64::from(*length);
        let is_inside = kind & 1 == 0;
        let (to, from) = match is_inside {
            true => (router.mac(), card),
            false => (MAC, Mac([2, 0, 0, 0, 0, 2])),
        };
        let mut frame = [to.0, from.0].concat();
        match kind >> 1 & 3 {
            0 => frame.extend(content),
            1 => frame.extend([&[8, 6, 0, 1, 8, 0, 6, 4, 0], content].concat()),
            _ => frame.extend(packet(&stations, content)),
        }
        let Some(packet) = pool.copy_of(&frame) else {
            return;
        };
        let (outside, inside) = router.ends();
        let inlet = if is_inside { inside } else { outside };
        assert!(inlet.send(packet).is_ok(), "nothing waits");
        router.work(&mut host, now_ms);
        while let Some(packet) = router.take(Face::Outside) {
            let frame = packet.frame();
            assert_eq!(frame[6..12], MAC.0);
            match frame[12..14] {
                [8, 0] => assert_eq!(frame[26..30], HOST),
                [8, 6] => assert_eq!(frame[28..32], HOST),
                _ => panic!("a frame of another kind left"),
            }
        }
        while router.take(Face::Inside).is_some() {}
    }
    drop(router);
    assert_eq!(pool.available(), pool.count());
}

/// A packet between two of these, with the protocol, ports and what else `content` says, and a right header.
fn packet(stations: &[[u8; 4]; 8], content: &[u8]) -> Vec<u8> {
    let [choice, fragment, payload @ ..] = content else {
        return vec![8, 0];
    };
    let protocol = [1, 6, 17, 17][usize::from(choice >> 6)];
    let bytes = (20 + payload.len()) as u16;
    // Most packets are whole.
    let fragment = if fragment & 0xf0 == 0xf0 {
        u16::from(fragment & 1) << 13 | u16::from(fragment >> 1 & 7)
    } else {
        0
    };
    let mut packet = vec![0x45, 0];
    packet.extend(bytes.to_be_bytes());
    packet.extend([0, 7]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(stations[usize::from(choice & 7)]);
    packet.extend(stations[usize::from(choice >> 3 & 7)]);
    let sum = hvm::checksum::of(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    let at = 20;
    if protocol == 1 && payload.len() >= 8 {
        packet[at + 2..at + 4].fill(0);
        let sum = hvm::checksum::of(&packet[at..]);
        packet[at + 2..at + 4].copy_from_slice(&sum.to_be_bytes());
    }
    [&[8, 0], &packet[..]].concat()
}

struct Sink;

impl Outlet for Sink {
    fn send(&mut self, _: Packet) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Messages of the small protocols, without what they travel in.
pub fn messages(bytes: &[u8]) {
    let [first, rest @ ..] = bytes else { return };
    match first % 3 {
        0 => {
            let name = mdns::Name::of("stripes").expect("it is a name");
            let addresses = [[10, 0, 0, 1].into()];
            let mut out = Vec::new();
            let port = if first & 4 == 0 { mdns::PORT } else { 40_000 };
            let _ = mdns::answer(rest, port, &name, &addresses, &mut out);
            assert!(out.len() < rest.len() + 512);
        }
        1 => {
            let mut sntp = sntp::Sntp::default();
            sntp.ask(0, 5);
            let _ = sntp.answer(rest, 6);
        }
        _ => {
            let mut terminal =
                Terminal::new(Some(Telnet::new()), Some(Login::new(b"x", 0)), Silence);
            let mut room = [0; 64];
            for (now_ms, piece) in (0..).zip(rest.chunks(16)) {
                let taken = terminal.receive(piece, &mut (), now_ms);
                assert!(taken <= piece.len());
                let sent = terminal.send(&mut room, &mut (), now_ms);
                assert!(sent <= room.len());
            }
        }
    }
}

/// Frames at a switch with a port of every kind. What is private stays so.
pub fn switch(bytes: &[u8]) {
    thread_local! {
        static POOL: &'static Pool = Pool::ordinary(16, 512);
    }
    let pool = POOL.with(|pool| *pool);
    let port = |station, sources, vlans| PortSetup {
        station,
        sources,
        when_full: WhenFull::Lose,
        vlans,
    };
    let own = Mac([2, 0, 0, 0, 0, 3]);
    let mut switch = Switch::new([
        port(None, Sources::Any, Vlans::All),
        port(Some(MAC), Sources::Only(MAC), Vlans::Access(0)),
        port(None, Sources::Any, Vlans::Private),
        port(None, Sources::Any, Vlans::Private),
        port(None, Sources::Only(own), Vlans::Access(7)),
    ]);
    let mut rest = bytes;
    while let [length, from, tail @ ..] = rest {
        let (content, behind) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = behind;
        let from = usize::from(*from) % 5;
        let mut seen = [Count(0), Count(0), Count(0), Count(0), Count(0)];
        let [a, b, c, d, e] = &mut seen;
        if let Some(packet) = pool.copy_of(content) {
            let _ = switch.pass(from, packet, 1, &mut [a, b, c, d, e]);
        }
        let [a, b, c, d, e] = seen.map(|count| count.0);
        let (others, private) = (a + b + e, c + d);
        match from {
            2 | 3 => assert_eq!(others, 0),
            _ => assert_eq!(private, 0),
        }
        assert_eq!(pool.available(), pool.count());
    }
}

struct Count(usize);

impl Outlet for Count {
    fn send(&mut self, _: Packet) -> Result<(), Refusal> {
        self.0 += 1;
        Ok(())
    }
}
