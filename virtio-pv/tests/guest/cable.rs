//! The network card for the tests, on a cable whose other end is in the test's hand.

use hvm::packet::Pool;
pub use hvm::testing::Cable;
use std::sync::OnceLock;
use virtio_pv::device::Device;
use virtio_pv::net::{Nic, Settings};

/// The card's address.
pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Bytes of the longest frame that the cable takes.
pub const LONGEST_BYTES: usize = 70_000;

/// The packets of all tests.
pub fn pool() -> &'static Pool {
    static POOL: OnceLock<&Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::ordinary(1024, LONGEST_BYTES + 64))
}

/// A cable for them.
pub fn cable() -> Cable {
    Cable::new(pool())
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
