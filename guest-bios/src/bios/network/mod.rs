//! Booting from the network as PXE has it (Preboot Execution Environment Specification 2.1): a driver for each kind of card
//! ([`card`]), a station on the network ([`station`], [`wire`]), what a boot needs of it ([`dhcp`], [`tftp`], [`boot`]), and the
//! calls that boot programs make ([`pxe`]).
//!
//! Nothing here waits: each call of the BIOS looks at what has come, and the ROM halts until the clock's next interrupt. What
//! comes from the network is bytes of a stranger, and what is in the guest's memory is the guest's, also where the BIOS wrote it.

pub mod boot;
mod card;
mod dhcp;
pub mod pxe;
mod station;
mod tftp;
mod wire;

use super::call::{Call, Served};
use super::{bda, rtc};
use crate::platform::EBDA;
use alloc::vec::Vec;
use card::Card;
use guest_mem::Gpa;
use serde::{Deserialize, Serialize};
use station::Station;

/// What is kept in conventional memory while the network is used, right below the EBDA: structures that boot programs look for, and
/// buffers that they are given.
const DATA_BYTES: u16 = 0x2000;
const DATA: Gpa = Gpa(EBDA.0 - DATA_BYTES as u64);
const DATA_SEGMENT: u16 = (DATA.0 >> 4) as u16;
const KIB_WITHOUT: u16 = (EBDA.0 / 1024) as u16;
const KIB_WITH: u16 = (DATA.0 / 1024) as u16;

/// All that the BIOS knows of the network.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Network {
    /// The cards that can be booted from.
    cards: Vec<Card>,
    /// The one that is in use.
    station: Option<Station>,
    boot: Option<boot::Boot>,
    pxe: pxe::State,
}

impl Network {
    /// Looks for cards.
    pub fn find_cards(&mut self, call: &mut Call<'_>) {
        self.cards = Card::find(call);
    }

    /// How many there are.
    pub fn count(&self) -> u8 {
        self.cards.len() as u8
    }

    /// A card's kind and address, for people.
    pub fn describe(&self, call: &mut Call<'_>, index: u8) -> Option<(&'static str, [u8; 6])> {
        let card = self.cards.get(usize::from(index))?;
        Some((card.name(), card.address(call)))
    }

    /// Turns the card off, gives the memory back, and forgets all but which cards there are.
    pub fn leave(&mut self, call: &mut Call<'_>) -> Served {
        self.put_away(call);
        set_conventional(call, KIB_WITH, KIB_WITHOUT)
    }

    /// The same, but for the memory: that is a boot program's to give back, which compares its size with where the segments end (PXE 2.1,
    /// 3.3.6, PXENV_STOP_UNDI).
    fn put_away(&mut self, call: &mut Call<'_>) {
        self.boot = None;
        self.pxe = pxe::State::default();
        if let Some(mut station) = self.station.take() {
            station.card.close(call);
            rtc::stop_periodic(call);
        }
    }
}

/// Changes how much conventional memory programs are told of, if nobody else has changed it.
fn set_conventional(call: &mut Call<'_>, from_kib: u16, to_kib: u16) -> Served {
    let kib: u16 = call.load(bda::MEMORY_KIB)?;
    if kib == from_kib {
        call.store(bda::MEMORY_KIB, &to_kib)?;
    }
    Ok(())
}
