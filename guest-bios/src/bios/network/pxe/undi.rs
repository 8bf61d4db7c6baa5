//! The calls of the card's driver (PXE 2.1, chapter 4): frames, as they are on the wire.
//!
//! A card that is closed is reset, so that nothing is received behind anybody's back.

use super::super::super::pci;
use super::super::DATA_SEGMENT;
use super::super::card::{FRAME_BYTES, Filter, Interrupts, Mac};
use super::super::station::{Counts, Station};
use super::super::wire::{ETHERNET_BYTES, EVERYBODY};
use super::bits::{SERVICES, isr, operation, protocol, status};
use super::{Call, Parameters, Served, State, structures};
use alloc::vec::Vec;
use hvm::Width;

/// The filter bits of programs: directed, broadcast, promiscuous. The fourth is for token rings.
const FILTERS: u8 = 7;
const HARDWARE_ETHERNET: u16 = 1;

pub fn serve(
    state: &mut State,
    station: &mut Station,
    call: &mut Call<'_>,
    operation: u16,
    parameters: Parameters,
) -> Served<u16> {
    match operation {
        operation::UNDI_STARTUP | operation::UNDI_CLEANUP | operation::UNDI_INITIALIZE => {}
        operation::UNDI_SET_GROUPS => {
            let groups: u16 = parameters.load(call, 2)?;
            state.take_groups(groups);
            station.card.set_filter(call, state.filter);
        }
        operation::UNDI_SHUTDOWN | operation::UNDI_CLOSE => {
            state.interrupts = Interrupts::Masked;
            station.card.close(call);
        }
        operation::UNDI_OPEN => {
            let [filter, groups]: [u16; 2] = parameters.load(call, 4)?;
            state.filter = Filter::from_bits_truncate(filter as u8 & FILTERS);
            state.take_groups(groups);
            state.interrupts = Interrupts::Open;
            return Ok(state.reopen(call, station));
        }
        operation::UNDI_RESET_ADAPTER => return Ok(state.reopen(call, station)),
        operation::UNDI_SET_FILTER => {
            let filter: u8 = parameters.load(call, 2)?;
            let groups = state.filter & Filter::MULTICAST;
            state.filter = Filter::from_bits_truncate(filter & FILTERS) | groups;
            station.card.set_filter(call, state.filter);
        }
        operation::UNDI_SET_STATION => {
            let wanted: Mac = parameters.load(call, 2)?;
            if wanted != station.mac {
                return Ok(status::UNSUPPORTED);
            }
        }
        operation::UNDI_TRANSMIT => return transmit(state, station, call, parameters),
        operation::UNDI_ISR => return interrupt(state, station, call, parameters),
        operation::UNDI_GET_INFORMATION => information(station, call, parameters)?,
        operation::UNDI_GET_NIC_TYPE => nic_type(station, call, parameters)?,
        operation::UNDI_GET_INTERFACE => interface(call, parameters)?,
        operation::UNDI_GET_GROUP => group(call, parameters)?,
        operation::UNDI_GET_STATISTICS => {
            let Counts { sent, received } = station.counts;
            parameters.store(call, 2, &[sent, received, 0, 0])?;
        }
        operation::UNDI_CLEAR_STATISTICS => station.counts = Counts::default(),
        // The card has no self-test, and interrupts by itself only.
        operation::UNDI_DIAGNOSE | operation::UNDI_FORCE_INTERRUPT => {
            return Ok(status::UNSUPPORTED);
        }
        _ => return Ok(status::UNSUPPORTED),
    }
    Ok(status::SUCCESS)
}

impl State {
    /// All groups' frames are taken once any are.
    fn take_groups(&mut self, count: u16) {
        self.filter.set(Filter::MULTICAST, count > 0);
    }

    /// Resets the card, and leaves it as the program has set it.
    fn reopen(&mut self, call: &mut Call<'_>, station: &mut Station) -> u16 {
        self.transmitted = 0;
        if !station.card.open(call) {
            return status::UNDI_INVALID_STATE;
        }
        station.card.set_filter(call, self.filter);
        station.card.set_interrupts(call, self.interrupts);
        status::SUCCESS
    }
}

/// PXENV_UNDI_TRANSMIT: a frame with its header, or a packet that is given one.
fn transmit(
    state: &mut State,
    station: &mut Station,
    call: &mut Call<'_>,
    parameters: Parameters,
) -> Served<u16> {
    const BROADCAST: u8 = 1;
    let [kind, to]: [u8; 2] = parameters.load(call, 2)?;
    let mut frame = Vec::with_capacity(FRAME_BYTES);
    let header = match kind {
        protocol::UNKNOWN => None,
        protocol::IP => Some([0x08, 0x00]),
        protocol::ARP => Some([0x08, 0x06]),
        protocol::RARP => Some([0x80, 0x35]),
        _ => return Ok(status::UNDI_INVALID_PARAMETER),
    };
    if let Some(header) = header {
        let receiver: Mac = match to {
            BROADCAST => EVERYBODY,
            _ => match parameters.pointer(call, 4)? {
                Some(at) => call.load(at)?,
                None => return Ok(status::UNDI_INVALID_PARAMETER),
            },
        };
        frame.extend(receiver);
        frame.extend(station.mac);
        frame.extend(header);
    }
    let Some(descriptor) = parameters.pointer(call, 8)?.map(Parameters) else {
        return Ok(status::UNDI_INVALID_PARAMETER);
    };
    if !gather(call, descriptor, &mut frame)? || frame.len() < ETHERNET_BYTES {
        return Ok(status::UNDI_INVALID_PARAMETER);
    }
    if !station.send_frame(call, &frame) {
        return Ok(status::UNDI_TRANSMIT_ERROR);
    }
    state.transmitted = state.transmitted.saturating_add(1);
    Ok(status::SUCCESS)
}

/// Puts the pieces of a transmit buffer descriptor together: one at once, then up to eight. False if they are too long.
fn gather(call: &mut Call<'_>, descriptor: Parameters, frame: &mut Vec<u8>) -> Served<bool> {
    const MOST_BLOCKS: u16 = 8;
    const BLOCKS: u16 = 8;
    const BLOCK_BYTES: u16 = 8;
    let immediate: u16 = descriptor.load(call, 0)?;
    if !append(call, descriptor, 2, immediate, frame)? {
        return Ok(false);
    }
    let count: u16 = descriptor.load(call, 6)?;
    for block in 0..count.min(MOST_BLOCKS) {
        let at = BLOCKS + block * BLOCK_BYTES;
        let bytes: u16 = descriptor.load(call, at + 2)?;
        if !append(call, descriptor, at + 4, bytes, frame)? {
            return Ok(false);
        }
    }
    Ok(count <= MOST_BLOCKS)
}

fn append(
    call: &mut Call<'_>,
    descriptor: Parameters,
    pointer: u16,
    bytes: u16,
    frame: &mut Vec<u8>,
) -> Served<bool> {
    if bytes == 0 {
        return Ok(true);
    }
    let start = frame.len();
    let end = start + usize::from(bytes);
    let Some(from) = descriptor.pointer(call, pointer)? else {
        return Ok(false);
    };
    if end > FRAME_BYTES {
        return Ok(false);
    }
    frame.resize(end, 0);
    call.read(from, &mut frame[start..])?;
    Ok(true)
}

/// PXENV_UNDI_ISR: whether the interrupt is the card's, and then what happened, one thing at a time.
fn interrupt(
    state: &mut State,
    station: &mut Station,
    call: &mut Call<'_>,
    parameters: Parameters,
) -> Served<u16> {
    const FUNCTION: u16 = 2;
    let function: u16 = parameters.load(call, FUNCTION)?;
    let answer = match function {
        isr::START => match station.card.take_interrupt(call) {
            true => isr::OURS,
            false => isr::NOT_OURS,
        },
        isr::PROCESS | isr::NEXT => happened(state, station, call, parameters)?,
        _ => return Ok(status::UNDI_INVALID_PARAMETER),
    };
    parameters.store(call, FUNCTION, &answer)?;
    Ok(status::SUCCESS)
}

fn happened(
    state: &mut State,
    station: &mut Station,
    call: &mut Call<'_>,
    parameters: Parameters,
) -> Served<u16> {
    if state.transmitted > 0 {
        state.transmitted -= 1;
        return Ok(isr::TRANSMITTED);
    }
    let mut frame = [0; FRAME_BYTES];
    let bytes = match station.receive_frame(call, &mut frame) {
        Some(bytes) => bytes,
        None => {
            station.card.set_interrupts(call, state.interrupts);
            // What came before the interrupt was open brings none.
            match station.receive_frame(call, &mut frame) {
                Some(bytes) => bytes,
                None => return Ok(isr::DONE),
            }
        }
    };
    let frame = &frame[..bytes];
    call.write(structures::at(structures::FRAME), frame)?;
    let length = bytes as u16;
    parameters.store(call, 4, &[length, length, ETHERNET_BYTES as u16])?;
    parameters.store(call, 10, &[structures::FRAME, DATA_SEGMENT])?;
    let protocol = match frame.get(12..14) {
        Some([0x08, 0x00]) => protocol::IP,
        Some([0x08, 0x06]) => protocol::ARP,
        Some([0x80, 0x35]) => protocol::RARP,
        _ => protocol::UNKNOWN,
    };
    let receiver = match frame.first_chunk::<6>() {
        Some(&EVERYBODY) => 1,
        Some([first, ..]) if first & 1 != 0 => 2,
        _ => 0_u8,
    };
    parameters.store(call, 14, &[protocol, receiver])?;
    Ok(isr::RECEIVED)
}

/// PXENV_UNDI_GET_INFORMATION: ports, interrupt, longest packet, kind, addresses, buffers.
fn information(station: &Station, call: &mut Call<'_>, parameters: Parameters) -> Served {
    const PACKET_BYTES: u16 = (FRAME_BYTES - ETHERNET_BYTES) as u16;
    const NO_ROM: u16 = 0;
    const BUFFERS: [u16; 2] = [8, 4];
    let card = &station.card;
    let start = [
        card.ports,
        card.irq.into(),
        PACKET_BYTES,
        HARDWARE_ETHERNET,
        station.mac.len() as u16,
    ];
    parameters.store(call, 2, &start)?;
    let mut address = [0; 16];
    address[..6].copy_from_slice(&station.mac);
    parameters.store(call, 12, &[address, address])?;
    parameters.store(call, 44, &[NO_ROM, BUFFERS[0], BUFFERS[1]])
}

/// PXENV_UNDI_GET_NIC_TYPE: a PCI function's identity.
fn nic_type(station: &Station, call: &mut Call<'_>, parameters: Parameters) -> Served {
    const PCI: u8 = 2;
    const SUBSYSTEM: u8 = 0x2c;
    let function = station.card.function();
    let identity = function.read(call, pci::VENDOR, Width::Dword);
    let class = function.read(call, pci::CLASS, Width::Dword);
    let subsystem = function.read(call, SUBSYSTEM, Width::Dword);
    parameters.store(call, 2, &PCI)?;
    parameters.store(call, 3, &identity)?;
    let [revision, interface, subclass, base] = class.to_le_bytes();
    parameters.store(call, 7, &[base, subclass, interface, revision])?;
    let place = u16::from(function.bus) << 8 | u16::from(function.slot_function);
    parameters.store(call, 11, &place)?;
    parameters.store(call, 13, &subsystem)
}

/// PXENV_UNDI_GET_IFACE_INFO: kind, speed in bits a second, services.
fn interface(call: &mut Call<'_>, parameters: Parameters) -> Served {
    const SPEED: u32 = 100_000_000;
    let mut name = [0; 16];
    name[..8].copy_from_slice(b"Ethernet");
    parameters.store(call, 2, &name)?;
    parameters.store(call, 18, &[SPEED, SERVICES, 0, 0, 0, 0])
}

/// PXENV_UNDI_GET_MCAST_ADDR: the Ethernet address of a group (RFC 1112, 6.4).
fn group(call: &mut Call<'_>, parameters: Parameters) -> Served {
    let [_, b, c, d]: [u8; 4] = parameters.load(call, 2)?;
    let mut address = [0; 16];
    address[..6].copy_from_slice(&[0x01, 0x00, 0x5e, b & 0x7f, c, d]);
    parameters.store(call, 6, &address)
}
