//! A cable for the network card, whose other end is in the test's hand.

use hvm::backend::{Ethernet, Link};
use hvm::packet::{Lender, Packet, Pool};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use virtio_pv::device::Device;
use virtio_pv::net::{Nic, Settings};

/// The card's address.
pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Bytes of the longest frame that the cable takes.
pub const LONGEST_BYTES: usize = 70_000;

/// What is on its way in both directions, and how many more frames of the card there is room for.
pub struct Wire {
    pub to_card: VecDeque<Packet>,
    pub from_card: Vec<Packet>,
    pub room: usize,
    pub link: Link,
    /// Whether the card may lend, and the tickets that came back.
    pub borrows: bool,
    pub returned: Arc<Mutex<VecDeque<u32>>>,
}

/// Where tickets come back.
struct Desk(Arc<Mutex<VecDeque<u32>>>);

impl Lender for Desk {
    fn take_back(&self, ticket: u32) {
        self.0.lock().unwrap().push_back(ticket);
    }
}

#[derive(Clone)]
pub struct Cable(pub Arc<Mutex<Wire>>);

impl Default for Cable {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Wire {
            to_card: VecDeque::new(),
            from_card: Vec::new(),
            room: usize::MAX,
            link: Link::Up,
            borrows: false,
            returned: Arc::default(),
        })))
    }
}

impl Cable {
    /// The packets of all tests.
    pub fn pool() -> &'static Pool {
        static POOL: OnceLock<&Pool> = OnceLock::new();
        POOL.get_or_init(|| Pool::ordinary(1024, LONGEST_BYTES + 64))
    }

    /// Sends a frame to the card; the board is to be polled then.
    pub fn put(&self, frame: &[u8]) {
        let packet = Self::pool().copy_of(frame).unwrap();
        self.0.lock().unwrap().to_card.push_back(packet);
    }

    /// The frames that the card sent.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        let sent = self.0.lock().unwrap().from_card.split_off(0);
        sent.iter().map(|packet| packet.frame().to_vec()).collect()
    }
}

impl Ethernet for Cable {
    fn packet(&mut self, _: usize) -> Option<Packet> {
        Self::pool().packet()
    }

    fn send(&mut self, packet: Packet) -> Result<(), Packet> {
        let mut wire = self.0.lock().unwrap();
        if wire.room == 0 {
            return Err(packet);
        }
        wire.room -= 1;
        wire.from_card.push(packet);
        Ok(())
    }

    fn receive(&mut self) -> Option<Packet> {
        self.0.lock().unwrap().to_card.pop_front()
    }

    fn link(&self) -> Link {
        self.0.lock().unwrap().link
    }

    fn borrows(&self) -> bool {
        self.0.lock().unwrap().borrows
    }

    fn set_ticket(&self, packet: &mut Packet, ticket: u32) {
        let desk = Desk(self.0.lock().unwrap().returned.clone());
        packet.set_lender(Box::leak(Box::new(desk)), ticket);
    }

    fn returned(&mut self) -> Option<u32> {
        let returned = self.0.lock().unwrap().returned.clone();
        returned.lock().unwrap().pop_front()
    }
}

/// A card of two pairs of queues.
pub fn card(cable: &Cable) -> Box<dyn Device> {
    let settings = Settings {
        mac: MAC,
        pairs: 2,
        mtu_bytes: Some(1500),
        longest_bytes: LONGEST_BYTES,
    };
    Box::new(Nic::new(Box::new(cable.clone()), settings))
}
