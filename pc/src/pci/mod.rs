//! PCI bus 0 behind the host bridge: configuration mechanism 1, the chipset's functions, and the slots.
//!
//! [`Bus`] guarantees that its map of BARs is that of the functions after every call, and that an INTx pin moves the PIRQ
//! that the board's wiring gives its slot: INTA of slot 1 moves PIRQ A, and each slot rotates the pins by one.

mod bits;
mod chipset;
mod ide;
mod memory;
mod shadow;
#[cfg(test)]
pub(crate) mod tests;
mod windows;

use crate::ide::Ide;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bits::{ADDRESS_ENABLE, ADDRESS_WRITABLE};
use chipset::Chipset;
use core::fmt;
use guest_mem::GuestMemory;
use hvm::device::{Context, Lifecycle};
use hvm::pci::{Function, WINDOWS};
use hvm::pci_config::offset;
use hvm::{Instant, Width};
use serde::{Deserialize, Serialize};
pub use shadow::{ShadowRam, segments as shadow_segments};
pub(crate) use windows::Target;
use windows::Windows;

/// Slots on the bus.
pub const SLOTS: u8 = 32;
/// The slots that the chipset takes: 0 and 1.
pub const FIRST_FREE_SLOT: u8 = 2;
/// PIRQ lines, A to D.
pub(crate) const PIRQS: u8 = 4;

/// Why a function cannot be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError {
    /// The slot is the chipset's, taken already, or above 31.
    Slot(u8),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Slot(slot) = self;
        let last = SLOTS - 1;
        write!(
            f,
            "PCI slot {slot} is taken or not for cards; use a free one of {FIRST_FREE_SLOT} to {last}"
        )
    }
}

/// A function in a slot.
struct Card {
    slot: u8,
    function: Box<dyn Function>,
    /// Which of the PIRQ lines its pin is wired to.
    pirq: u8,
    /// It has a timer; asked once, since the answer is needed after every access.
    timed: bool,
    /// What it said when it was last asked.
    deadline: Option<Instant>,
}

/// Configuration space: the base class, and that of network controllers (PCI Local Bus 3.0, 6.2.1 and appendix D).
const CLASS: u8 = 0x0b;
const CLASS_NETWORK: u8 = 2;

/// The bus.
pub(crate) struct Bus {
    address: u32,
    host_bridge: Chipset,
    isa_bridge: Chipset,
    power_management: Chipset,
    ide: Option<Ide>,
    cards: Vec<Card>,
    windows: Windows,
    /// For each PIRQ, the slots that assert it.
    asserted: [u32; PIRQS as usize],
    /// Follows from the ISA bridge.
    routes: Routes,
    /// Either may have changed since [`Bus::pirqs_news`] told.
    rewired: bool,
    /// The soonest deadline of the cards.
    deadline: Option<Instant>,
    /// Which cards are network cards.
    network: Vec<usize>,
}

/// Where PIRQ A to D go; `None`: nowhere.
pub(crate) type Routes = [Option<u8>; PIRQS as usize];

/// The state of the PIRQ lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pirqs {
    /// Which are asserted, A in bit 0.
    pub(crate) levels: u8,
    pub(crate) routes: Routes,
}

/// What a configuration address names.
enum Named {
    Chipset,
    Ide,
    Card(usize),
}

impl Bus {
    pub(crate) fn new() -> Self {
        let isa_bridge = Chipset::isa_bridge();
        Self {
            address: 0,
            host_bridge: Chipset::host_bridge(),
            routes: isa_bridge.routes(),
            isa_bridge,
            power_management: Chipset::power_management(),
            ide: None,
            cards: Vec::new(),
            windows: Windows::default(),
            asserted: [0; PIRQS as usize],
            rewired: true,
            deadline: None,
            network: Vec::new(),
        }
    }

    pub(crate) fn attach(
        &mut self,
        slot: u8,
        function: Box<dyn Function>,
    ) -> Result<(), AttachError> {
        let taken = self.cards.iter().any(|card| card.slot == slot);
        if !(FIRST_FREE_SLOT..SLOTS).contains(&slot) || taken {
            return Err(AttachError::Slot(slot));
        }
        let at = self.cards.partition_point(|card| card.slot < slot);
        let timed = function.has_timer();
        let card = Card {
            slot,
            pirq: (slot + function.interrupt_pin()).wrapping_sub(1) & (PIRQS - 1),
            function,
            timed,
            deadline: None,
        };
        self.cards.insert(at, card);
        let class = |card: &Card| card.function.config_read(CLASS, Width::Byte) as u8;
        let network = |index: &usize| class(&self.cards[*index]) == CLASS_NETWORK;
        self.network = (0..self.cards.len()).filter(network).collect();
        self.windows.reserve(self.cards.len());
        self.map_windows();
        Ok(())
    }

    /// Reads CF8h.
    pub(crate) fn address(&self) -> u32 {
        self.address
    }

    /// Writes CF8h; only dwords reach it (PCI Local Bus 3.0, 3.2.2.3.2).
    pub(crate) fn set_address(&mut self, value: u32) {
        self.address = value & ADDRESS_WRITABLE;
    }

    /// Reads CFCh + `byte`.
    pub(crate) fn config_read(&self, byte: u8, width: Width) -> u32 {
        let absent = width.mask() as u32;
        let Some(offset) = self.offset(byte, width) else {
            return absent;
        };
        match self.named() {
            Some(Named::Card(index)) => self.cards[index].function.config_read(offset, width),
            Some(Named::Ide) => self
                .ide()
                .map_or(absent, |ide| ide.config_read(offset, width)),
            Some(Named::Chipset) => self
                .chipset()
                .map_or(absent, |function| function.config_read(offset, width)),
            None => absent,
        }
    }

    /// Writes CFCh + `byte`.
    pub(crate) fn config_write(
        &mut self,
        byte: u8,
        width: Width,
        value: u32,
        context: &mut Context<'_>,
    ) {
        let Some(offset) = self.offset(byte, width) else {
            return;
        };
        match self.named() {
            Some(Named::Card(index)) => {
                let function = &mut self.cards[index].function;
                function.config_write(offset, width, value, context);
                self.refresh(index);
                // Command register, BARs and the ROM's base are what moves windows.
                if (offset::COMMAND..offset::CAPABILITIES).contains(&offset) {
                    self.map_windows();
                }
            }
            Some(Named::Ide) => {
                if let Some(ide) = &mut self.ide {
                    ide.config_write(offset, width, value, context);
                }
            }
            Some(Named::Chipset) => {
                if let Some(function) = self.chipset_mut() {
                    function.config_write(offset, width, value, context);
                }
                self.routes = self.isa_bridge.routes();
                self.rewired = true;
                if self.slot_and_function() == (0, 0) {
                    self.apply_shadow_ram(context.memory);
                }
            }
            None => {}
        }
    }

    /// Sets how shadow RAM is, now and after each reset; [`Bus::apply_shadow_ram`] makes it so.
    pub(crate) fn set_shadow_ram(&mut self, shadow: ShadowRam) {
        self.host_bridge.set_shadow_ram(shadow);
    }

    /// Has memory follow the host bridge's attributes.
    pub(crate) fn apply_shadow_ram(&self, memory: &GuestMemory) {
        shadow::apply(self.host_bridge.memory_attributes(), memory);
    }

    /// The register that CF8h and the byte in CFCh name, if the access stays in one dword.
    fn offset(&self, byte: u8, width: Width) -> Option<u8> {
        let fits = usize::from(byte) + width.bytes() <= 4;
        fits.then_some(self.address as u8 & 0xfc | byte)
    }

    /// The function that CF8h names; there is only bus 0, and cards have one function.
    fn named(&self) -> Option<Named> {
        if self.address & ADDRESS_ENABLE == 0 || self.address >> 16 & 0xff != 0 {
            return None;
        }
        let (slot, function) = self.slot_and_function();
        if (slot, function) == ide::ADDRESS {
            return Some(Named::Ide);
        }
        if slot < FIRST_FREE_SLOT {
            return Some(Named::Chipset);
        }
        let index = self.cards.iter().position(|card| card.slot == slot)?;
        (function == 0).then_some(Named::Card(index))
    }

    fn slot_and_function(&self) -> (u8, u8) {
        (
            (self.address >> 11 & 0x1f) as u8,
            (self.address >> 8 & 7) as u8,
        )
    }

    fn chipset(&self) -> Option<&Chipset> {
        match self.slot_and_function() {
            (0, 0) => Some(&self.host_bridge),
            (1, 0) => Some(&self.isa_bridge),
            (1, 3) => Some(&self.power_management),
            _ => None,
        }
    }

    fn chipset_mut(&mut self) -> Option<&mut Chipset> {
        match self.slot_and_function() {
            (0, 0) => Some(&mut self.host_bridge),
            (1, 0) => Some(&mut self.isa_bridge),
            (1, 3) => Some(&mut self.power_management),
            _ => None,
        }
    }

    /// Who decodes the port.
    #[inline]
    pub(crate) fn find_port(&self, port: u16) -> Option<Target> {
        self.windows.ports.find(u64::from(port))
    }

    /// Who decodes the address.
    #[inline]
    pub(crate) fn find_memory(&self, gpa: u64) -> Option<Target> {
        self.windows.memory.find(gpa)
    }

    /// Reads in a BAR.
    #[inline]
    pub(crate) fn bar_read(
        &mut self,
        target: Target,
        width: Width,
        context: &mut Context<'_>,
    ) -> u64 {
        let Some(card) = self.cards.get_mut(target.function) else {
            return width.mask();
        };
        let value = card
            .function
            .bar_read(target.bar, target.offset, width, context);
        self.refresh(target.function);
        width.cut(value)
    }

    /// Writes in a BAR.
    #[inline]
    pub(crate) fn bar_write(
        &mut self,
        target: Target,
        width: Width,
        value: u64,
        context: &mut Context<'_>,
    ) {
        if let Some(card) = self.cards.get_mut(target.function) {
            card.function
                .bar_write(target.bar, target.offset, width, value, context);
            self.refresh(target.function);
        }
    }

    /// Gives every function a turn.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(ide) = &mut self.ide {
            ide.poll(context);
        }
        for index in 0..self.cards.len() {
            self.poll_card(index, context);
        }
    }

    fn poll_card(&mut self, index: usize, context: &mut Context<'_>) {
        self.cards[index].function.poll(context);
        self.refresh(index);
    }

    /// The same for network cards alone.
    pub(crate) fn poll_network(&mut self, context: &mut Context<'_>) {
        for at in 0..self.network.len() {
            self.poll_card(self.network[at], context);
        }
    }

    /// Tells network cards that the guest waits.
    pub(crate) fn idle(&mut self, context: &mut Context<'_>) {
        for at in 0..self.network.len() {
            let index = self.network[at];
            self.cards[index].function.idle(context);
            self.refresh(index);
        }
    }

    /// The PIRQ lines, if they may have changed since the last call.
    #[inline]
    pub(crate) fn pirqs_news(&mut self) -> Option<Pirqs> {
        core::mem::take(&mut self.rewired).then(|| self.pirqs())
    }

    fn pirqs(&self) -> Pirqs {
        let level = |pirq: usize| u8::from(self.asserted[pirq] != 0) << pirq;
        Pirqs {
            levels: level(0) | level(1) | level(2) | level(3),
            routes: self.routes,
        }
    }

    /// Takes over the level of a card's pin.
    #[inline(always)]
    fn refresh(&mut self, index: usize) {
        let Some(card) = self.cards.get_mut(index) else {
            return;
        };
        let slots = &mut self.asserted[usize::from(card.pirq)];
        let others = *slots & !(1 << card.slot);
        let now = others | u32::from(card.function.interrupt_line()) << card.slot;
        self.rewired |= core::mem::replace(slots, now) != now;
        if card.timed {
            let deadline = card.function.deadline();
            if core::mem::replace(&mut card.deadline, deadline) != deadline {
                self.deadline = self.cards.iter().filter_map(|card| card.deadline).min();
            }
        }
    }

    /// When a card wants to be polled for time's sake.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn map_windows(&mut self) {
        self.windows.clear();
        for (index, card) in self.cards.iter().enumerate() {
            for bar in 0..WINDOWS {
                if let Some(window) = card.function.window(bar) {
                    self.windows.add(index, bar, window);
                }
            }
        }
    }

    /// After a reset or restore of its functions: all that follows from them.
    pub(crate) fn rebuild(&mut self) {
        self.map_windows();
        self.routes = self.isa_bridge.routes();
        self.asserted = [0; PIRQS as usize];
        self.rewired = true;
        for index in 0..self.cards.len() {
            self.refresh(index);
        }
    }

    /// All functions, in the order of their addresses.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &dyn Lifecycle> {
        let chipset: [&dyn Lifecycle; 3] =
            [&self.host_bridge, &self.isa_bridge, &self.power_management];
        let ide = self.ide.iter().map(|ide| -> &dyn Lifecycle { ide });
        let cards = self.cards.iter().map(|card| {
            let function: &dyn Lifecycle = &*card.function;
            function
        });
        chipset.into_iter().chain(ide).chain(cards)
    }

    /// The same, to change them; call [`Bus::rebuild`] afterwards.
    pub(crate) fn functions_mut(&mut self) -> impl Iterator<Item = &mut dyn Lifecycle> {
        let chipset: [&mut dyn Lifecycle; 3] = [
            &mut self.host_bridge,
            &mut self.isa_bridge,
            &mut self.power_management,
        ];
        let ide = self.ide.iter_mut().map(|ide| -> &mut dyn Lifecycle { ide });
        let cards = self.cards.iter_mut().map(|card| {
            let function: &mut dyn Lifecycle = &mut *card.function;
            function
        });
        chipset.into_iter().chain(ide).chain(cards)
    }
}
