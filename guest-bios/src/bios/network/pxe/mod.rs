//! The calls of boot programs (PXE 2.1, chapters 3 and 4): operation and parameters by two entries, one call after another.
//!
//! A call that finds its layer closed fails with the documented status. Only TFTP's calls wait.

mod bits;
mod preboot;
pub mod structures;
mod tftp;
mod udp;
mod undi;

use super::super::call::{Call, Served};
use super::super::{Bios, Entry, Turn, rtc};
use super::Network;
use super::card::{Filter, Interrupts};
use alloc::vec::Vec;
use bits::{EXIT_FAILURE, EXIT_SUCCESS, operation, status};
use guest_mem::Gva;
use hvm::regs::SegmentName;
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Beside an operation's number where missing functions are noted by interrupt: nothing calls the BIOS by vector 0.
const NOT_AN_INTERRUPT: u8 = 0;

/// Which entry was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// That of "!PXE": operation and a far pointer on the stack.
    Stack,
    /// That of "PXENV+": BX and ES:DI.
    Registers,
}

/// What of the stack is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Loaded {
    /// Nothing that programs may call.
    #[default]
    Nothing,
    /// The driver alone.
    Undi,
    /// The base code too.
    All,
}

/// What programs have made of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    loaded: Loaded,
    packets: [Vec<u8>; 3],
    /// UDP is a program's.
    udp: udp::Port,
    transfer: Option<tftp::Transfer>,
    /// Files that were asked for.
    files: u16,
    /// What the program set, to be restored when the card is reset.
    filter: Filter,
    interrupts: Interrupts,
    /// Frames that were sent, and not told of yet.
    transmitted: u16,
}

impl Default for State {
    fn default() -> Self {
        Self {
            loaded: Loaded::Nothing,
            packets: Default::default(),
            udp: udp::Port::Closed,
            transfer: None,
            files: 0,
            filter: Filter::DIRECTED | Filter::BROADCAST,
            interrupts: Interrupts::Masked,
            transmitted: 0,
        }
    }
}

/// What becomes of a call.
enum Outcome {
    /// It is over, with this status.
    Over(u16),
    /// It waits for the network.
    Waits,
    /// The program that it loaded starts.
    Starts,
}

/// A call's parameters: bytes of the caller's, the status first.
#[derive(Clone, Copy)]
struct Parameters(Gva);

impl Parameters {
    fn at(self, call: &Call<'_>, offset: u16) -> Gva {
        call.wrap(self.0.wrapping_add(offset.into()))
    }

    fn load<T: FromBytes + IntoBytes>(self, call: &mut Call<'_>, offset: u16) -> Served<T> {
        call.load(self.at(call, offset))
    }

    fn store<T: IntoBytes + Immutable>(
        self,
        call: &mut Call<'_>,
        offset: u16,
        value: &T,
    ) -> Served {
        call.store(self.at(call, offset), value)
    }

    /// The memory that a far pointer in the parameters names; `None` if it is null, or a selector that names none.
    fn pointer(self, call: &mut Call<'_>, offset: u16) -> Served<Option<Gva>> {
        let [offset, selector]: [u16; 2] = self.load(call, offset)?;
        if (offset, selector) == (0, 0) {
            return Ok(None);
        }
        call.far(selector, offset)
    }
}

/// Makes the calls available to a program that is about to start.
pub fn install(network: &mut Network, call: &mut Call<'_>, packets: [Vec<u8>; 3]) -> Served {
    structures::install(call)?;
    for (packet, place) in packets
        .iter()
        .zip((structures::PACKETS..).step_by(structures::PACKET_ROOM.into()))
    {
        call.write(structures::at(place), packet)?;
    }
    network.pxe = State {
        loaded: Loaded::All,
        packets,
        ..State::default()
    };
    Ok(())
}

/// INT 1Ah function 5650h: where "PXENV+" is. False if nothing is loaded.
pub fn find(network: &Network, call: &mut Call<'_>) -> bool {
    const FOUND: u16 = 0x564e;
    if network.pxe.loaded == Loaded::Nothing {
        return false;
    }
    call.set_ax(FOUND);
    call.set_bx(structures::PXENV);
    call.set_segment(SegmentName::Es, super::DATA_SEGMENT);
    call.succeed();
    true
}

/// A call by one of the two entries.
pub fn serve(
    bios: &mut Bios,
    call: &mut Call<'_>,
    convention: Convention,
    entry: Entry,
) -> Served<Turn> {
    let (operation, parameters) = match convention {
        Convention::Registers => {
            let at = call.linear(SegmentName::Es, call.di().into());
            (call.bx(), Some(at))
        }
        Convention::Stack => {
            let at = call.stack(structures::ARGUMENTS);
            let [operation, offset, selector]: [u16; 3] = call.load(at)?;
            (operation, call.far(selector, offset)?)
        }
    };
    let Some(parameters) = parameters.map(Parameters) else {
        return Ok(answer(call, EXIT_FAILURE));
    };
    let waited = entry == Entry::Resumed;
    match perform(&mut bios.network, call, operation, parameters, entry)? {
        Outcome::Waits => {
            rtc::start_periodic(call);
            Ok(Turn::Wait)
        }
        Outcome::Starts => {
            super::boot::start(bios, call)?;
            Ok(Turn::Done)
        }
        Outcome::Over(status) => {
            if waited && bios.waiting_until.is_none() {
                rtc::stop_periodic(call);
            }
            let [number, _] = operation.to_le_bytes();
            if status == status::UNSUPPORTED && bios.is_news((NOT_AN_INTERRUPT, number)) {
                call.machine.log(format_args!(
                    "BIOS: PXE call {operation:02X}h is not offered"
                ));
            }
            parameters.store(call, 0, &status)?;
            let exit = match status {
                status::SUCCESS => EXIT_SUCCESS,
                _ => EXIT_FAILURE,
            };
            Ok(answer(call, exit))
        }
    }
}

fn answer(call: &mut Call<'_>, exit: u16) -> Turn {
    call.set_ax(exit);
    match exit {
        EXIT_SUCCESS => call.succeed(),
        _ => call.fail(),
    }
    Turn::Done
}

fn perform(
    network: &mut Network,
    call: &mut Call<'_>,
    operation: u16,
    parameters: Parameters,
    entry: Entry,
) -> Served<Outcome> {
    use operation::*;
    if operation == START_UNDI {
        return preboot::start_undi(network).map(Outcome::Over);
    }
    let (Some(station), true) = (&mut network.station, network.pxe.loaded != Loaded::Nothing)
    else {
        return Ok(Outcome::Over(status::UNDI_INVALID_STATE));
    };
    let state = &mut network.pxe;
    let base = state.loaded == Loaded::All;
    let status = match operation {
        TFTP_OPEN..=TFTP_GET_SIZE | RESTART_TFTP if base => {
            let outcome = tftp::serve(state, station, call, operation, parameters, entry)?;
            return Ok(outcome);
        }
        UDP_OPEN..=UDP_WRITE if base => udp::serve(state, station, call, operation, parameters)?,
        GET_CACHED_INFO if base => preboot::cached(state, call, parameters)?,
        UNDI_STARTUP..=UNDI_ISR => undi::serve(state, station, call, operation, parameters)?,
        START_BASE | STOP_BASE => status::SUCCESS,
        UNLOAD_STACK => {
            state.unload_base(call, station);
            status::SUCCESS
        }
        STOP_UNDI => {
            structures::remove(call)?;
            network.put_away(call);
            status::SUCCESS
        }
        _ => status::UNSUPPORTED,
    };
    Ok(Outcome::Over(status))
}
