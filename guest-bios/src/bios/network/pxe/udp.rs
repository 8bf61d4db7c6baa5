//! The UDP calls (PXE 2.1, 3.5): datagrams of one program.

use super::super::card::FRAME_BYTES;
use super::super::station::{PAYLOAD_BYTES, Station};
use super::super::wire::Endpoint;
use super::bits::{operation, status};
use super::{Call, Parameters, Served, State};
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// Whether a program has opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Port {
    Closed,
    Open,
}

/// Frames that one call looks at.
const MOST_FRAMES: usize = 32;
/// The port that datagrams come from whose sender names none.
const DEFAULT_PORT: u16 = 2069;

pub fn serve(
    state: &mut State,
    station: &mut Station,
    call: &mut Call<'_>,
    operation: u16,
    parameters: Parameters,
) -> Served<u16> {
    match (operation, state.udp) {
        (operation::UDP_OPEN, Port::Open) => Ok(status::UDP_OPEN),
        (operation::UDP_OPEN, Port::Closed) => {
            let address = Ipv4Addr::from(parameters.load::<[u8; 4]>(call, 2)?);
            if !address.is_unspecified() {
                station.address = address;
            }
            state.udp = Port::Open;
            Ok(status::SUCCESS)
        }
        // Loaders close more often than they open, and take an error for a stack that cannot be unloaded.
        (operation::UDP_CLOSE, _) => {
            state.udp = Port::Closed;
            Ok(status::SUCCESS)
        }
        (_, Port::Closed) => Ok(status::UDP_CLOSED),
        (operation::UDP_READ, Port::Open) => read(station, call, parameters),
        _ => write(station, call, parameters),
    }
}

/// PXENV_UDP_WRITE: status, address, router, ports, length, buffer.
fn write(station: &mut Station, call: &mut Call<'_>, parameters: Parameters) -> Served<u16> {
    let address = Ipv4Addr::from(parameters.load::<[u8; 4]>(call, 2)?);
    let router = Ipv4Addr::from(parameters.load::<[u8; 4]>(call, 6)?);
    let [source, destination]: [[u8; 2]; 2] = parameters.load(call, 10)?;
    let source = match u16::from_be_bytes(source) {
        0 => DEFAULT_PORT,
        port => port,
    };
    let bytes = usize::from(parameters.load::<u16>(call, 14)?);
    let mut payload = [0; PAYLOAD_BYTES];
    let Some(payload) = payload.get_mut(..bytes) else {
        return Ok(status::OUT_OF_RESOURCES);
    };
    let Some(buffer) = parameters.pointer(call, 16)? else {
        return Ok(status::FAILURE);
    };
    call.read(buffer, payload)?;
    let to = Endpoint::new(address, u16::from_be_bytes(destination));
    station.send(call, source, to, router, payload);
    Ok(status::SUCCESS)
}

/// PXENV_UDP_READ: status, source, destination, ports, length, buffer. What is not wanted now is lost, as the specification has it.
fn read(station: &mut Station, call: &mut Call<'_>, parameters: Parameters) -> Served<u16> {
    let wanted = Ipv4Addr::from(parameters.load::<[u8; 4]>(call, 6)?);
    let wanted_port = u16::from_be_bytes(parameters.load(call, 12)?);
    let room = usize::from(parameters.load::<u16>(call, 14)?);
    let Some(buffer) = parameters.pointer(call, 16)? else {
        return Ok(status::FAILURE);
    };
    let mut frame = [0; FRAME_BYTES];
    for _ in 0..MOST_FRAMES {
        let Some(datagram) = station.receive(call, &mut frame) else {
            break;
        };
        let Some(datagram) = datagram else {
            continue;
        };
        let (from, to) = (datagram.source, datagram.destination);
        let meant = (wanted.is_unspecified() || to.address == wanted)
            && (wanted_port == 0 || to.port == wanted_port);
        if !meant {
            continue;
        }
        let bytes = datagram.payload.len().min(room);
        call.write(buffer, &datagram.payload[..bytes])?;
        parameters.store(call, 2, &from.address.octets())?;
        parameters.store(call, 6, &to.address.octets())?;
        let ports = [from.port.to_be_bytes(), to.port.to_be_bytes()];
        parameters.store(call, 10, &ports)?;
        parameters.store(call, 14, &(bytes as u16))?;
        return Ok(status::SUCCESS);
    }
    Ok(status::FAILURE)
}
