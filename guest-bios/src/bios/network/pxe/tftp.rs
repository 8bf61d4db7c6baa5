//! The TFTP calls (PXE 2.1, 3.4): one file at a time, by blocks or whole.

use super::super::super::Entry;
use super::super::boot;
use super::super::card::FRAME_BYTES;
use super::super::station::Station;
use super::super::tftp::{self, Client, Failure, Phase};
use super::super::wire::Endpoint;
use super::bits::{operation, status};
use super::{Call, Outcome, Parameters, Served, State};
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use guest_mem::Gpa;
use serde::{Deserialize, Serialize};

/// Frames that one call looks at.
const MOST_FRAMES: usize = 32;
const NAME_BYTES: usize = 128;
/// Where answers come if the caller does not say: a port of its own for each file, so that none gets what is left of another.
const LOCAL_PORTS: core::ops::Range<u16> = 2071..3071;

/// What a file is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Purpose {
    /// By blocks, as the program asks for them.
    Blocks,
    /// Its size.
    Size,
    /// All of it, to physical memory.
    File { at: u32, room: u32, read: u32 },
}

/// A file on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transfer {
    client: Client,
    purpose: Purpose,
}

impl Transfer {
    pub fn abort(&mut self, call: &mut Call<'_>, station: &mut Station) {
        self.client.abort(call, station);
    }

    /// Looks at what has come.
    fn listen(&mut self, call: &mut Call<'_>, station: &mut Station) {
        let mut frame = [0; FRAME_BYTES];
        for _ in 0..MOST_FRAMES {
            if self.client.held().is_some() {
                return;
            }
            match station.receive(call, &mut frame) {
                None => break,
                Some(None) => {}
                Some(Some(datagram)) => self.client.hear(call, station, &datagram),
            }
        }
        self.client.tick(call, station);
    }

    /// Moves what has come to where the whole file goes.
    fn store(&mut self, call: &mut Call<'_>, station: &mut Station) {
        for _ in 0..MOST_FRAMES {
            self.listen(call, station);
            let Purpose::File { at, room, read } = &mut self.purpose else {
                return;
            };
            let Some(block) = self.client.held() else {
                return;
            };
            let bytes = block.len() as u32;
            match read.checked_add(bytes).filter(|end| end <= room) {
                Some(end) => {
                    let at = u64::from(*at) + u64::from(*read);
                    call.write_physical(Gpa(at), block);
                    *read = end;
                    self.client.acknowledge(call, station);
                }
                None => return self.client.abort(call, station),
            }
        }
    }
}

pub fn serve(
    state: &mut State,
    station: &mut Station,
    call: &mut Call<'_>,
    operation: u16,
    parameters: Parameters,
    entry: Entry,
) -> Served<Outcome> {
    if entry == Entry::Fresh {
        let begun = match operation {
            operation::TFTP_OPEN => open(state, station, call, parameters, Purpose::Blocks)?,
            operation::TFTP_GET_SIZE => open(state, station, call, parameters, Purpose::Size)?,
            operation::TFTP_READ_FILE | operation::RESTART_TFTP => {
                open_file(state, station, call, operation, parameters)?
            }
            operation::TFTP_CLOSE => {
                if let Some(mut transfer) = state.transfer.take() {
                    transfer.abort(call, station);
                }
                return Ok(Outcome::Over(status::SUCCESS));
            }
            operation::TFTP_READ => status::SUCCESS,
            _ => status::UNSUPPORTED,
        };
        if begun != status::SUCCESS {
            return Ok(Outcome::Over(begun));
        }
    }
    let Some(mut transfer) = state.transfer.take() else {
        return Ok(Outcome::Over(status::TFTP_CLOSED));
    };
    let outcome = proceed(&mut transfer, station, call, operation, parameters)?;
    let keep = matches!(
        (operation, &outcome),
        (_, Outcome::Waits)
            | (
                operation::TFTP_OPEN | operation::TFTP_READ,
                Outcome::Over(status::SUCCESS)
            )
    );
    if keep {
        state.transfer = Some(transfer);
    } else {
        transfer.abort(call, station);
    }
    Ok(outcome)
}

/// PXENV_TFTP_OPEN and PXENV_TFTP_GET_FSIZE: status, server, router, name; for the former port and block size.
fn open(
    state: &mut State,
    station: &mut Station,
    call: &mut Call<'_>,
    parameters: Parameters,
    purpose: Purpose,
) -> Served<u16> {
    const PORT: u16 = 138;
    if state.transfer.is_some() {
        return Ok(status::TFTP_OPEN);
    }
    let server = Ipv4Addr::from(parameters.load::<[u8; 4]>(call, 2)?);
    let router = Ipv4Addr::from(parameters.load::<[u8; 4]>(call, 6)?);
    let name = name(call, parameters, 10)?;
    let (port, block_bytes) = match purpose {
        Purpose::Blocks => {
            let port = u16::from_be_bytes(parameters.load(call, PORT)?);
            (port, parameters.load(call, PORT + 2)?)
        }
        _ => (0, tftp::MOST_BLOCK_BYTES),
    };
    let port = match port {
        0 => tftp::SERVER_PORT,
        port => port,
    };
    let request = tftp::Request {
        server: Endpoint::new(server, port),
        router,
        local_port: state.next_port(),
        name: &name,
        block_bytes,
    };
    state.transfer = Some(Transfer {
        client: Client::open(call, station, request),
        purpose,
    });
    Ok(status::SUCCESS)
}

/// PXENV_TFTP_READ_FILE and PXENV_RESTART_TFTP: status, name, room, physical address, server, router, group, ports. The latter's file goes
/// where boot programs start.
fn open_file(
    state: &mut State,
    station: &mut Station,
    call: &mut Call<'_>,
    operation: u16,
    parameters: Parameters,
) -> Served<u16> {
    if state.transfer.is_some() {
        return Ok(status::TFTP_OPEN);
    }
    let name = name(call, parameters, 2)?;
    let [mut room, mut at]: [u32; 2] = parameters.load(call, 130)?;
    if operation == operation::RESTART_TFTP {
        (at, room) = (boot::PROGRAM as u32, boot::MOST_BYTES as u32);
    }
    let server = Ipv4Addr::from(parameters.load::<[u8; 4]>(call, 138)?);
    let router = Ipv4Addr::from(parameters.load::<[u8; 4]>(call, 142)?);
    let [local, remote] = parameters
        .load::<[[u8; 2]; 2]>(call, 150)?
        .map(u16::from_be_bytes);
    let or = |port: u16, default: u16| if port == 0 { default } else { port };
    let request = tftp::Request {
        server: Endpoint::new(server, or(remote, tftp::SERVER_PORT)),
        router,
        local_port: or(local, state.next_port()),
        name: &name,
        block_bytes: tftp::MOST_BLOCK_BYTES,
    };
    state.transfer = Some(Transfer {
        client: Client::open(call, station, request),
        purpose: Purpose::File { at, room, read: 0 },
    });
    Ok(status::SUCCESS)
}

impl State {
    fn next_port(&mut self) -> u16 {
        let count = LOCAL_PORTS.end - LOCAL_PORTS.start;
        self.files = self.files.wrapping_add(1);
        LOCAL_PORTS.start + self.files % count
    }
}

fn name(call: &mut Call<'_>, parameters: Parameters, offset: u16) -> Served<Vec<u8>> {
    let name: [u8; NAME_BYTES] = parameters.load(call, offset)?;
    Ok(name.into_iter().take_while(|&byte| byte != 0).collect())
}

fn proceed(
    transfer: &mut Transfer,
    station: &mut Station,
    call: &mut Call<'_>,
    operation: u16,
    parameters: Parameters,
) -> Served<Outcome> {
    transfer.store(call, station);
    transfer.listen(call, station);
    if let Phase::Failed(failure) = transfer.client.phase() {
        return Ok(Outcome::Over(status_of(failure, operation)));
    }
    let status = match (operation, transfer.purpose) {
        (operation::TFTP_OPEN, Purpose::Blocks) => {
            if *transfer.client.phase() == Phase::Asking {
                return Ok(Outcome::Waits);
            }
            parameters.store(call, 140, &transfer.client.block_bytes)?;
            status::SUCCESS
        }
        (operation::TFTP_READ, Purpose::Blocks) => {
            return read(transfer, station, call, parameters);
        }
        (operation::TFTP_GET_SIZE, Purpose::Size) => match transfer.client.file_bytes {
            Some(bytes) => {
                parameters.store(call, 138, &bytes)?;
                status::SUCCESS
            }
            None if *transfer.client.phase() == Phase::Asking => return Ok(Outcome::Waits),
            None => status::TFTP_NO_SIZE,
        },
        (_, Purpose::File { room, read, .. }) => {
            let more = transfer.client.held().map_or(0, |block| block.len() as u32);
            match transfer.client.phase() {
                _ if more > room.saturating_sub(read) => status::OUT_OF_RESOURCES,
                Phase::Done if operation == operation::RESTART_TFTP && read > 0 => {
                    return Ok(Outcome::Starts);
                }
                Phase::Done => {
                    parameters.store(call, 130, &read)?;
                    status::SUCCESS
                }
                _ => return Ok(Outcome::Waits),
            }
        }
        _ => status::TFTP_CANNOT_READ,
    };
    Ok(Outcome::Over(status))
}

/// PXENV_TFTP_READ: status, block, length, buffer.
fn read(
    transfer: &mut Transfer,
    station: &mut Station,
    call: &mut Call<'_>,
    parameters: Parameters,
) -> Served<Outcome> {
    let Some(block) = transfer.client.held() else {
        return Ok(match transfer.client.phase() {
            Phase::Done => Outcome::Over(status::TFTP_CANNOT_READ),
            _ => Outcome::Waits,
        });
    };
    let Some(buffer) = parameters.pointer(call, 6)? else {
        return Ok(Outcome::Over(status::TFTP_CANNOT_READ));
    };
    call.write(buffer, block)?;
    let number = transfer.client.block.wrapping_add(1);
    parameters.store(call, 2, &[number, block.len() as u16])?;
    transfer.client.acknowledge(call, station);
    Ok(Outcome::Over(status::SUCCESS))
}

fn status_of(failure: &Failure, operation: u16) -> u16 {
    match failure {
        Failure::Silent if operation == operation::TFTP_READ => status::TFTP_READ_TIMEOUT,
        Failure::Silent => status::TFTP_OPEN_TIMEOUT,
        Failure::Refused { code, .. } if *code == tftp::error::NOT_FOUND => status::TFTP_NOT_FOUND,
        Failure::Refused { code, .. } if *code == tftp::error::ACCESS => status::TFTP_ACCESS,
        Failure::Refused { .. } => status::TFTP_ERROR,
        Failure::Nonsense => status::TFTP_CANNOT_READ,
    }
}
