//! The PCI interrupt routing table (Microsoft, "PCI IRQ Routing Table Specification" 1.0; its entries are those of PCI
//! BIOS 2.1, function 0Eh).

use crate::platform::{PCI_SLOTS, PIRQ_IRQ, pirq};
use alloc::vec::Vec;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

/// An entry: link and possible interrupts of the four pins of a slot.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C, packed)]
pub struct Route {
    bus: u8,
    slot: u8,
    pins: [Pin; 4],
    external_slot: u8,
    reserved: u8,
}

#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C, packed)]
struct Pin {
    link: u8,
    irqs: U16,
}

/// The south bridge's register for PIRQ A (82371SB data sheet, PIRQRC); the links are numbered by these.
const FIRST_LINK: u8 = 0x60;

/// Interrupts that a link may be put on: the one that it is on.
const fn possible(link: usize) -> u16 {
    1 << PIRQ_IRQ[link]
}

/// The interrupts that only PCI uses.
pub fn exclusive() -> u16 {
    (0..PIRQ_IRQ.len()).fold(0, |irqs, link| irqs | possible(link))
}

/// The routes of all slots of bus 0 but the first, the host bridge's, which has no pins.
pub fn routes() -> impl ExactSizeIterator<Item = Route> {
    (1..PCI_SLOTS).map(|slot| Route {
        bus: 0,
        slot: slot << 3,
        pins: core::array::from_fn(|pin| {
            let link = pirq(slot, pin as u8);
            Pin {
                link: FIRST_LINK + link as u8,
                irqs: possible(link).into(),
            }
        }),
        external_slot: 0,
        reserved: 0,
    })
}

#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C, packed)]
struct Header {
    signature: [u8; 4],
    version: U16,
    bytes: U16,
    router_bus: u8,
    router: u8,
    exclusive: U16,
    router_id: U32,
    miniport: U32,
    reserved: [u8; 11],
    checksum: u8,
}

/// The table, to lie at a multiple of 16 in the F segment.
pub fn table() -> Vec<u8> {
    const SOUTH_BRIDGE: u8 = 1 << 3;
    const PIIX3: u32 = 0x7000_8086;
    let routes = routes();
    let bytes = size_of::<Header>() + routes.len() * size_of::<Route>();
    let header = Header {
        signature: *b"$PIR",
        version: 0x0100.into(),
        bytes: (bytes as u16).into(),
        router_bus: 0,
        router: SOUTH_BRIDGE,
        exclusive: exclusive().into(),
        router_id: PIIX3.into(),
        miniport: 0.into(),
        reserved: [0; 11],
        checksum: 0,
    };
    let mut table = header.as_bytes().to_vec();
    for route in routes {
        table.extend(route.as_bytes());
    }
    crate::sum::balance(&mut table, size_of::<Header>() - 1);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_its_links_and_the_bytes_add_up() {
        let table = table();
        assert_eq!(crate::sum::of(&table), 0);
        assert_eq!(&table[..8], [b'$', b'P', b'I', b'R', 0, 1, 0x10, 2]);
        // Slot 3, INTA: the second link after A, on IRQ 11.
        assert_eq!(table[32 + 2 * 16..][..5], [0, 3 << 3, 0x62, 0, 8]);
        assert_eq!(exclusive(), 1 << 10 | 1 << 11);
    }
}
