//! The calls about the stack itself (PXE 2.1, 3.3): which packets DHCP brought, and what is still loaded.

use super::super::station::Station;
use super::super::{DATA_SEGMENT, Network};
use super::bits::status;
use super::{Call, Loaded, Parameters, Served, State, structures};

/// PXENV_GET_CACHED_INFO: a copy, or, for a caller without a buffer, where it lies.
pub fn cached(state: &State, call: &mut Call<'_>, parameters: Parameters) -> Served<u16> {
    const TYPE: u16 = 2;
    const BYTES: u16 = 4;
    const BUFFER: u16 = 6;
    const LIMIT: u16 = 10;
    let kind: u16 = parameters.load(call, TYPE)?;
    let place = kind.wrapping_sub(1);
    let Some(packet) = state.packets.get(usize::from(place)) else {
        return Ok(status::UNSUPPORTED);
    };
    let room: u16 = parameters.load(call, BYTES)?;
    match parameters.pointer(call, BUFFER)? {
        Some(buffer) if room > 0 => {
            let bytes = packet.len().min(room.into());
            call.write(buffer, &packet[..bytes])?;
            parameters.store(call, BYTES, &(bytes as u16))?;
        }
        _ => {
            let offset = structures::PACKETS + place * structures::PACKET_ROOM;
            parameters.store(call, BYTES, &(packet.len() as u16))?;
            parameters.store(call, BUFFER, &[offset, DATA_SEGMENT])?;
        }
    }
    parameters.store(call, LIMIT, &structures::PACKET_ROOM)?;
    Ok(status::SUCCESS)
}

/// PXENV_START_UNDI: what is loaded is loaded; nothing else can be, without a boot from the network.
pub fn start_undi(network: &Network) -> Served<u16> {
    Ok(match network.pxe.loaded {
        Loaded::Nothing => status::UNDI_INVALID_STATE,
        Loaded::Undi | Loaded::All => status::SUCCESS,
    })
}

impl State {
    /// PXENV_UNLOAD_STACK: the driver stays.
    pub(super) fn unload_base(&mut self, call: &mut Call<'_>, station: &mut Station) {
        if let Some(transfer) = &mut self.transfer {
            transfer.abort(call, station);
        }
        self.transfer = None;
        self.udp = super::udp::Port::Closed;
        self.loaded = Loaded::Undi;
    }
}
