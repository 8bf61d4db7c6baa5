//! Doors between two stacks, frame by frame.

use super::door::{Counters, Door, Shape};
use super::login::Login;
use super::terminal::{Line, Terminal};
use crate::Mac;
use crate::host::Host;
use crate::host::address::Setup;
use crate::switch::Outlet;
use hvm::packet::Pool;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::vec::Vec;

const PORT: u16 = 23;
const SHAPE: Shape = Shape {
    places: 3,
    receive_bytes: 64,
    send_bytes: 128,
};

#[derive(Default)]
struct Echo(VecDeque<u8>);

impl Line for Echo {
    fn open(&mut self) {
        self.0.extend(b"hello ");
    }
    fn is_ready(&self) -> bool {
        self.0.len() < 200
    }
    fn typed(&mut self, byte: u8) {
        self.0.push_back(byte);
    }
    fn next(&mut self) -> Option<u8> {
        self.0.pop_front()
    }
    fn is_over(&self) -> bool {
        false
    }
    fn close(&mut self) {}
}

/// A host with a door, and a client, on one cable.
struct Pair {
    server: Host,
    client: Host,
    pool: &'static Pool,
    door: Door<Terminal<Echo>>,
    password: Option<&'static [u8]>,
    now_ms: u64,
}

fn host(number: u8, pool: &'static Pool) -> Host {
    let setup = std::format!("10.0.0.{number}:::255.255.255.0");
    let mac = Mac([2, 0, 0, 0, 0, number]);
    let mut host = Host::new(mac, Setup::parse(&setup).unwrap(), pool, number.into(), 0);
    host.link_came_up(0);
    host
}

impl Pair {
    fn new(password: Option<&'static [u8]>) -> Self {
        let pool = Pool::ordinary(256, 2048);
        let mut server = host(1, pool);
        let door = Door::new(&mut server, None, PORT, SHAPE);
        let mut pair = Self {
            server,
            client: host(2, pool),
            pool,
            door,
            password,
            now_ms: 0,
        };
        // Until both have their addresses.
        pair.pass(1500);
        pair
    }

    /// Lets both work, and time pass, for so many milliseconds.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now_ms += 1;
            let (now_ms, password) = (self.now_ms, self.password);
            self.server.poll(now_ms);
            self.door.poll(&mut self.server, now_ms, &mut (), |(), _| {
                let login = password.map(|password| Login::new(password, now_ms));
                Terminal::new(None, login, Echo::default())
            });
            self.server.poll(now_ms);
            self.client.poll(now_ms);
            while let Some(packet) = self.server.take() {
                let _ = self.client.send(packet);
            }
            while let Some(packet) = self.client.take() {
                let _ = self.server.send(packet);
            }
        }
    }

    fn connect(&mut self, own_port: u16) -> SocketHandle {
        let socket = self.client.add_tcp(512, 512);
        let server = SocketAddr::from(([10, 0, 0, 1], PORT));
        self.client.connect(socket, server, own_port);
        self.pass(20);
        socket
    }

    fn hear(&mut self, socket: SocketHandle) -> Vec<u8> {
        self.pass(50);
        let mut heard = std::vec![0; 512];
        let count = self.client.tcp(socket).recv_slice(&mut heard).unwrap_or(0);
        heard.truncate(count);
        heard
    }

    fn say(&mut self, socket: SocketHandle, bytes: &[u8]) {
        let said = self.client.tcp(socket).send_slice(bytes);
        assert_eq!(said, Ok(bytes.len()));
    }

    fn state(&mut self, socket: SocketHandle) -> State {
        self.client.tcp(socket).state()
    }

    /// The first segment of a connection from an address that is nobody's.
    fn flood(&mut self, number: u16) {
        let [high, low] = number.to_be_bytes();
        let mut ip = Vec::from([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        ip.extend([10, 0, 0, 100 + low % 100, 10, 0, 0, 1]);
        let check = sum(&ip).to_be_bytes();
        ip[10..12].copy_from_slice(&check);
        let mut tcp = Vec::from([
            high | 4,
            low,
            0,
            PORT as u8,
            1,
            2,
            3,
            4,
            0,
            0,
            0,
            0,
            0x50,
            2,
            4,
            0,
            0,
            0,
            0,
            0,
        ]);
        let mut pseudo = ip[12..20].to_vec();
        pseudo.extend([0, 6, 0, 20]);
        pseudo.extend(&tcp);
        let check = sum(&pseudo).to_be_bytes();
        tcp[16..18].copy_from_slice(&check);
        let mut frame = Vec::from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0]);
        frame.extend(ip);
        frame.extend(tcp);
        let _ = self.server.send(self.pool.copy_of(&frame).unwrap());
    }
}

fn sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn several_are_served_and_one_too_many_is_refused() {
    let mut pair = Pair::new(None);
    let clients: Vec<_> = (0..3).map(|number| pair.connect(5000 + number)).collect();
    for client in &clients {
        pair.say(*client, b"there");
        assert_eq!(pair.hear(*client), b"hello there");
    }
    let refused = pair.connect(6000);
    assert_eq!(pair.state(refused), State::Closed);
    pair.client.tcp(clients[0]).close();
    pair.pass(100);
    let next = pair.connect(6001);
    assert_eq!(pair.hear(next), b"hello ");
    assert_eq!(pair.door.counters().connections, 4);
}

#[test]
fn who_is_turned_away_frees_the_place() {
    let mut pair = Pair::new(Some(b"geheim"));
    let stranger = pair.connect(5000);
    for _ in 0..3 {
        pair.say(stranger, b"open\n");
        pair.pass(1100);
    }
    assert!(pair.hear(stranger).ends_with(b"No.\r\n"));
    assert_eq!(pair.state(stranger), State::CloseWait);
    // It never closes its end: its place is taken back all the same.
    pair.pass(6000);
    let friends: Vec<_> = (0..3).map(|number| pair.connect(5001 + number)).collect();
    for friend in friends {
        pair.say(friend, b"geheim\n");
        assert_eq!(pair.hear(friend), b"Password: \r\nhello ");
    }
}

#[test]
fn who_says_nothing_makes_room_for_others() {
    let mut pair = Pair::new(Some(b"geheim"));
    let friend = pair.connect(5000);
    pair.say(friend, b"geheim\n");
    assert_eq!(pair.hear(friend), b"Password: \r\nhello ");
    let silent: Vec<_> = (0..2).map(|number| pair.connect(5001 + number)).collect();
    pair.pass(9000);
    assert_eq!(pair.state(silent[0]), State::Established, "there is time");
    let early = pair.connect(6000);
    assert_eq!(pair.state(early), State::Closed);
    pair.pass(1100);
    assert_eq!(pair.state(silent[0]), State::Closed);
    assert_eq!(pair.state(silent[1]), State::Established, "one is enough");
    let other = pair.connect(6001);
    pair.say(other, b"geheim\n");
    assert_eq!(pair.hear(other), b"Password: \r\nhello ");
    pair.pass(12_000);
    // Those who were let in stay, however long they are silent.
    for known in [friend, other] {
        assert_eq!(pair.state(known), State::Established);
    }
    assert_eq!(pair.door.counters().displaced, 2);
}

#[test]
fn one_who_does_not_read_is_alone_with_that() {
    let mut pair = Pair::new(None);
    let deaf = pair.connect(5000);
    let other = pair.connect(5001);
    for _ in 0..20 {
        let _ = pair.client.tcp(deaf).send_slice(&[b'x'; 200]);
        pair.pass(20);
    }
    pair.say(other, b"there");
    assert_eq!(pair.hear(other), b"hello there");
}

#[test]
fn a_flood_of_first_segments_passes() {
    let mut pair = Pair::new(None);
    let before = pair.connect(5000);
    assert_eq!(pair.hear(before), b"hello ");
    for number in 0..3000 {
        pair.flood(number);
        pair.pass(1);
    }
    pair.say(before, b"still here");
    assert_eq!(pair.hear(before), b"still here");
    pair.pass(1500);
    let after = pair.connect(6000);
    assert_eq!(pair.hear(after), b"hello ");
    let Counters {
        connections,
        unfinished,
        ..
    } = pair.door.counters();
    assert_eq!(connections, 2);
    assert!((4..20).contains(&unfinished), "{unfinished}");
    pair.pass(100);
    assert_eq!(pair.pool.available(), 256, "no buffer is lost");
}
