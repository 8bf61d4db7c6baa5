//! The registers: dwords, of which an access touches some bytes.

use super::Chip;
use super::Revision;
use super::bits::{self, CPlus, Command, Interrupt, register};
use super::eeprom::Mode;
use super::receive::WhenFull;
use hvm::Width;
use hvm::backend::Link;
use hvm::device::Context;

/// Media status: no link.
const LINK_BAD: u8 = 1 << 2;
/// Media status: what may be written.
const MEDIA_WRITABLE: u8 = 0xc0;
/// What may be written of CONFIG0, 1, 3, 4, 5 (data sheet, "Configuration Register").
const CONFIG_WRITABLE: [u8; 5] = [0x00, 0xf3, 0x70, 0xf5, 0x7f];
/// The place of CONFIG5 in them, which alone is never locked.
const CONFIG5: usize = 4;
/// What may be written of PHY1_PARM, TW_PARM, PHY2_PARM, whose last is a byte.
const TUNING_WRITABLE: [u32; 3] = [u32::MAX, u32::MAX, 0xff];
/// Interrupts that there are: bits between are reserved and read zero.
const INTERRUPTS: u16 = 0xe07f;
/// Those that the C+ mode adds.
const CPLUS_INTERRUPTS: u16 = 0x0180;

/// A write to a dword: the bytes, and which of them there are.
#[derive(Clone, Copy)]
struct Write {
    value: u32,
    mask: u32,
}

impl Write {
    fn merge(self, old: u32) -> u32 {
        old & !self.mask | self.value & self.mask
    }

    /// Byte `index`, if it is written.
    fn byte(self, index: u32) -> Option<u8> {
        (self.mask >> (8 * index) & 0xff != 0).then_some((self.value >> (8 * index)) as u8)
    }

    /// The half from byte `index` on, over what it was.
    fn half(self, index: u32, old: u16) -> u16 {
        (self.merge(u32::from(old) << (8 * index)) >> (8 * index)) as u16
    }

    /// Whether any byte from `index` on for two is written.
    fn touches_half(self, index: u32) -> bool {
        self.mask >> (8 * index) & 0xffff != 0
    }
}

fn half_of(quad: &mut u64, write: Write, shift: u32) {
    let dword = write.merge((*quad >> shift) as u32);
    *quad = *quad & !(0xffff_ffff << shift) | u64::from(dword) << shift;
}

impl Chip {
    /// Reads at `offset`; what is behind the last register reads zero.
    pub fn read(&mut self, offset: u64, width: Width, context: &Context<'_>) -> u64 {
        let offset = offset.min(u64::from(bits::REGISTER_BYTES)) as u32;
        let first = offset & !3;
        let last = (offset + width.bytes() as u32 - 1) & !3;
        let mut value = 0_u128;
        for (place, at) in (first..=last).step_by(4).enumerate() {
            let dword = u8::try_from(at).map_or(0, |at| self.dword(at, context));
            value |= u128::from(dword) << (32 * place);
        }
        width.cut((value >> (8 * (offset % 4))) as u64)
    }

    /// Writes at `offset`.
    pub fn write(&mut self, offset: u64, width: Width, value: u64, context: &mut Context<'_>) {
        let Ok(offset) = u8::try_from(offset) else {
            return;
        };
        let shift = 8 * u32::from(offset % 4);
        let mut value = u128::from(width.cut(value)) << shift;
        let mut mask = u128::from(width.mask()) << shift;
        let mut at = Some(offset & !3);
        while let (Some(dword), true) = (at, mask != 0) {
            let write = Write {
                value: value as u32,
                mask: mask as u32,
            };
            self.set_dword(dword, write, context);
            (value, mask, at) = (value >> 32, mask >> 32, dword.checked_add(4));
        }
    }

    fn dword(&mut self, at: u8, context: &Context<'_>) -> u32 {
        let rings = self.sends_rings();
        let state = &mut self.state;
        let pair = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
        let quad = u32::from_le_bytes;
        let config = state.config;
        let mut wide = [0; 8];
        wide[..6].copy_from_slice(&state.address);
        let [i0, i1, i2, i3, i4, i5, ..] = wide;
        let [g0, g1, g2, g3, g4, g5, g6, g7] = state.groups;
        match at {
            register::ID_LOW => quad([i0, i1, i2, i3]),
            register::ID_HIGH => quad([i4, i5, 0, 0]),
            register::MULTICAST_LOW => quad([g0, g1, g2, g3]),
            register::MULTICAST_HIGH => quad([g4, g5, g6, g7]),
            register::RECEIVE_START => state.ring.start,
            register::COMMAND => quad([0, 0, 0, self.command()]),
            register::RECEIVE_POINTERS => pair(state.ring.driver, state.ring.chip),
            register::INTERRUPT => pair(state.interrupt_mask, state.interrupt_status),
            register::TRANSMIT_CONFIG => state.transmit_config | self.revision.hardware(),
            register::RECEIVE_CONFIG => state.receive_config,
            register::TIMER => state.timer.count(context.now),
            register::MISSED => state.missed,
            register::EEPROM => quad([state.eeprom.read(), config[0], config[1], 0]),
            register::TIMER_INTERRUPT => state.timer.target(),
            register::MEDIA => {
                let link = match state.phy.link() {
                    Link::Up => 0,
                    Link::Down => LINK_BAD,
                };
                quad([state.media | link, config[2], config[3], 0])
            }
            register::MULTIPLE_INTERRUPT => pair(state.multiple, u16::from(self.revision.pci())),
            register::SUMMARY => pair(self.summary(), self.state.phy.control()),
            register::MODE_STATUS => pair(state.phy.status(), state.phy.advertisement()),
            register::PARTNER => pair(state.phy.partner(), state.phy.expansion()),
            register::NWAY_TEST => u32::from(state.nway_test),
            register::TRANSCEIVER => u32::from(state.phy.transceiver()),
            register::TUNING..register::WAKE => {
                state.tuning[usize::from((at - register::TUNING) / 4)]
            }
            register::WAKE..register::WAKE_END => {
                let index = usize::from((at - register::WAKE) / 4);
                state.wake.get(index).copied().unwrap_or(0)
            }
            register::CONFIG5 => {
                // The largest frame (RMS, DAh) is the RTL8169's: drivers tell the two apart by whether it keeps what they write.
                quad([config[4], state.cplus.polling, 0, 0])
            }
            register::TRANSMIT_STATUS..register::TRANSMIT_ADDRESS if !rings => {
                state.slots[usize::from(at % 16 / 4)].status
            }
            register::TRANSMIT_ADDRESS..register::RECEIVE_START if !rings => {
                state.slots[usize::from(at % 16 / 4)].address
            }
            _ => self.cplus_dword(at),
        }
    }

    /// Registers of C+ mode, which the older chip has not.
    fn cplus_dword(&self, at: u8) -> u32 {
        let cplus = &self.state.cplus;
        match at {
            register::TRANSMIT_STATUS => cplus.tally_address as u32,
            0x14 => (cplus.tally_address >> 32) as u32,
            register::TRANSMIT_ADDRESS => cplus.normal.base as u32,
            0x24 => (cplus.normal.base >> 32) as u32,
            0x28 => cplus.high.base as u32,
            0x2c => (cplus.high.base >> 32) as u32,
            register::CPLUS => u32::from(cplus.command),
            register::RECEIVE_RING => cplus.receive.base as u32,
            register::RECEIVE_RING_HIGH => (cplus.receive.base >> 32) as u32,
            register::EARLY_TRANSMIT => u32::from(cplus.early_transmit),
            _ => 0,
        }
    }

    fn set_dword(&mut self, at: u8, write: Write, context: &mut Context<'_>) {
        let rings = self.sends_rings();
        let state = &mut self.state;
        match at {
            // Documented as locked; drivers write it unlocked, and some do not bother.
            register::ID_LOW => set_bytes(&mut state.address[..4], write),
            register::ID_HIGH => set_bytes(&mut state.address[4..], write),
            register::MULTICAST_LOW => set_bytes(&mut state.groups[..4], write),
            register::MULTICAST_HIGH => set_bytes(&mut state.groups[4..], write),
            register::RECEIVE_START => {
                state.ring.start = write.merge(state.ring.start);
            }
            register::COMMAND => {
                if let Some(command) = write.byte(3) {
                    self.set_command(Command::from_bits_truncate(command), context);
                }
            }
            register::RECEIVE_POINTERS => {
                state.ring.driver = write.half(0, state.ring.driver);
                self.receive_behind_pointer(context.memory);
            }
            register::INTERRUPT => {
                let there_are = match self.revision {
                    Revision::C => INTERRUPTS,
                    Revision::CPlus => INTERRUPTS | CPLUS_INTERRUPTS,
                };
                let mask = write.half(0, state.interrupt_mask) & there_are;
                let opened = mask & !state.interrupt_mask;
                state.interrupt_mask = mask;
                state.interrupt_status &= !write.half(2, 0);
                let opened = Interrupt::from_bits_truncate(opened);
                self.receive_behind_interrupt(context.memory, opened);
            }
            register::TRANSMIT_CONFIG => {
                let value = write.merge(state.transmit_config);
                state.transmit_config = value & bits::TRANSMIT_CONFIG_WRITABLE;
            }
            register::RECEIVE_CONFIG => {
                let value = write.merge(state.receive_config);
                state.receive_config = value & bits::RECEIVE_CONFIG_WRITABLE;
                let last = state.receive().ring_bytes() - 1;
                state.ring.chip &= last as u16;
                self.listen();
            }
            register::TIMER => state.timer.restart(context.now),
            register::MISSED => state.missed = 0,
            register::EEPROM => self.set_eeprom(write),
            register::TIMER_INTERRUPT => {
                let target = write.merge(state.timer.target());
                state.timer.set_target(target, context.now);
            }
            register::MEDIA => {
                if let Some(media) = write.byte(0) {
                    state.media = media & MEDIA_WRITABLE;
                }
                self.set_config(2, write.byte(1));
                self.set_config(3, write.byte(2));
            }
            register::MULTIPLE_INTERRUPT => state.multiple = write.half(0, state.multiple) & 0xfff,
            register::SUMMARY if write.touches_half(2) => {
                let control = write.half(2, state.phy.control());
                match state.eeprom.mode() {
                    Mode::Unlocked => state.phy.set_control(control),
                    _ => state.phy.command(control),
                }
            }
            register::MODE_STATUS if write.touches_half(2) => {
                let value = write.half(2, state.phy.advertisement());
                state.phy.set_advertisement(value);
            }
            register::NWAY_TEST => state.nway_test = write.half(0, state.nway_test),
            register::TRANSCEIVER if write.touches_half(0) => {
                let switches = write.half(0, state.phy.switches());
                state.phy.set_switches(switches);
            }
            register::TUNING..register::WAKE => {
                let index = usize::from((at - register::TUNING) / 4);
                let place = &mut state.tuning[index];
                *place = write.merge(*place) & TUNING_WRITABLE[index];
            }
            register::WAKE..register::WAKE_END => {
                let index = usize::from((at - register::WAKE) / 4);
                if let Some(place) = state.wake.get_mut(index) {
                    *place = write.merge(*place);
                }
            }
            register::CONFIG5 => {
                self.set_config(4, write.byte(0));
                self.set_cplus_dword(at, write, context);
            }
            register::TRANSMIT_STATUS..register::TRANSMIT_ADDRESS if !rings => {
                self.set_slot_status(usize::from(at % 16 / 4), write.value, write.mask);
                self.transmit(context.memory);
            }
            register::TRANSMIT_ADDRESS..register::RECEIVE_START if !rings => {
                let slot = &mut state.slots[usize::from(at % 16 / 4)];
                slot.address = write.merge(slot.address);
            }
            _ => self.set_cplus_dword(at, write, context),
        }
    }

    fn set_cplus_dword(&mut self, at: u8, write: Write, context: &mut Context<'_>) {
        if self.revision != Revision::CPlus {
            return;
        }
        let cplus = &mut self.state.cplus;
        match at {
            register::TRANSMIT_STATUS => {
                half_of(&mut cplus.tally_address, write, 0);
                self.dump_tally(context.memory);
            }
            0x14 => half_of(&mut cplus.tally_address, write, 32),
            register::TRANSMIT_ADDRESS => half_of(&mut cplus.normal.base, write, 0),
            0x24 => half_of(&mut cplus.normal.base, write, 32),
            0x28 => half_of(&mut cplus.high.base, write, 0),
            0x2c => half_of(&mut cplus.high.base, write, 32),
            register::RECEIVE_RING => {
                half_of(&mut cplus.receive.base, write, 0);
                cplus.receive.next = 0;
            }
            register::RECEIVE_RING_HIGH => half_of(&mut cplus.receive.base, write, 32),
            register::CPLUS => {
                let value = write.half(0, cplus.command);
                cplus.command = CPlus::from_bits_truncate(value).bits();
            }
            register::EARLY_TRANSMIT => {
                cplus.early_transmit = write.byte(0).unwrap_or(cplus.early_transmit)
            }
            register::CONFIG5 => {
                if let Some(poll) = write.byte(1) {
                    cplus.polling |= poll & (bits::POLL_HIGH | bits::POLL_NORMAL);
                    if poll & bits::POLL_SOFTWARE != 0 {
                        self.raise(Interrupt::SOFTWARE);
                    }
                    self.transmit(context.memory);
                }
            }
            _ => {}
        }
        // The first descriptors of rings that were moved.
        match at {
            register::TRANSMIT_ADDRESS | 0x24 => self.state.cplus.normal.next = 0,
            0x28 | 0x2c => self.state.cplus.high.next = 0,
            _ => return,
        }
        self.state.cplus.cut = 0;
    }

    fn command(&self) -> u8 {
        let empty = if self.ring_is_empty() {
            Command::BUFFER_EMPTY
        } else {
            Command::empty()
        };
        self.state.command | empty.bits()
    }

    fn set_command(&mut self, command: Command, context: &mut Context<'_>) {
        if command.contains(Command::RESET) {
            self.soft_reset();
            return;
        }
        let before = Command::from_bits_truncate(self.state.command);
        let now = command & (Command::TRANSMIT | Command::RECEIVE);
        self.state.command = now.bits();
        let rising = now - before;
        if rising.contains(Command::RECEIVE) {
            self.state.ring.chip = 0;
            self.state.ring.driver = 0xfff0;
        }
        if rising.contains(Command::TRANSMIT) {
            self.state.slot = 0;
            self.transmit(context.memory);
        }
        self.receive(context.memory, WhenFull::Tell);
    }

    fn set_eeprom(&mut self, write: Write) {
        if let Some(command) = write.byte(0) {
            self.state.eeprom.write(command);
            if self.state.eeprom.mode() == Mode::Load {
                self.state.address = self.state.eeprom.mac();
                self.state.config = self.state.eeprom.config();
                self.state.eeprom.reset();
            }
        }
        self.set_config(0, write.byte(1));
        self.set_config(1, write.byte(2));
    }

    /// Writes a configuration register, if it is unlocked.
    fn set_config(&mut self, index: usize, value: Option<u8>) {
        let unlocked = index == CONFIG5 || self.state.eeprom.mode() == Mode::Unlocked;
        let Some(value) = value.filter(|_| unlocked) else {
            return;
        };
        let mask = CONFIG_WRITABLE[index];
        let place = &mut self.state.config[index];
        *place = *place & !mask | value & mask;
    }
}

fn set_bytes(bytes: &mut [u8], write: Write) {
    for (index, place) in (0..).zip(bytes) {
        if let Some(byte) = write.byte(index) {
            *place = byte;
        }
    }
}
