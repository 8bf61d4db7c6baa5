//! Errors of ICMP (RFC 792): those that we tell, and others' on their way through, which quote a packet as it was on the other side
//! (RFC 5508, 4).

use super::wire::{
    ECHO_REPLY, ETHERNET_BYTES, Ends, Header, ICMP, IPV4_BYTES, Side, Sum, TRANSPORT_BYTES,
};
use super::wire::{put_ipv4, set_address, set_end};
use core::net::{Ipv4Addr, SocketAddrV4};
use hvm::checksum;
use hvm::packet::{Offload, Packet};

const UNREACHABLE: u8 = 3;
const TIME_EXCEEDED: u8 = 11;
const BAD_PARAMETER: u8 = 12;
const MESSAGE_BYTES: usize = 8;

/// What we tell somebody inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The host has no address, or no way there.
    NoWay,
    /// Nobody listens there, for who is inside.
    NoPort,
    /// It is longer than what the way carries, and must not be cut.
    TooLong { most_bytes: u16 },
    /// It has been under way for too long.
    TooOld,
}

impl Trouble {
    /// Type, code, and the most that the way carries (RFC 1191, 4).
    fn message(self) -> (u8, u8, u16) {
        match self {
            Self::NoWay => (UNREACHABLE, 0, 0),
            Self::NoPort => (UNREACHABLE, 3, 0),
            Self::TooLong { most_bytes } => (UNREACHABLE, 4, most_bytes),
            Self::TooOld => (TIME_EXCEEDED, 0, 0),
        }
    }
}

/// Writes an error about the packet that begins with `header` behind the place of an Ethernet header. False: nobody may be told of this one
/// (RFC 1122, 3.2.2), or there is no room.
pub fn write(
    into: &mut Packet,
    own: Ipv4Addr,
    trouble: Trouble,
    packet: &[u8],
    header: &Header,
) -> bool {
    let is_about_error =
        header.protocol == ICMP && packet.get(header.bytes).is_none_or(|kind| is_error(*kind));
    if is_about_error || header.fragment_offset != 0 {
        return false;
    }
    let quoted = &packet[..packet.len().min(header.bytes + TRANSPORT_BYTES)];
    into.set_len(ETHERNET_BYTES + IPV4_BYTES + MESSAGE_BYTES + quoted.len());
    into.set_offload(Offload::default());
    let Some(answer) = into.frame_mut().get_mut(ETHERNET_BYTES..) else {
        return false;
    };
    if answer.len() != IPV4_BYTES + MESSAGE_BYTES + quoted.len() {
        return false;
    }
    let (kind, code, most_bytes) = trouble.message();
    put_ipv4(
        answer,
        ICMP,
        own,
        header.source,
        MESSAGE_BYTES + quoted.len(),
    );
    let message = &mut answer[IPV4_BYTES..];
    message[..MESSAGE_BYTES].copy_from_slice(&[kind, code, 0, 0, 0, 0, 0, 0]);
    message[6..8].copy_from_slice(&most_bytes.to_be_bytes());
    message[MESSAGE_BYTES..].copy_from_slice(quoted);
    put_sum(message);
    true
}

/// Makes the answer to an echo out of it: a whole packet that begins with `header`.
pub fn answer_echo(packet: &mut [u8], header: &Header) {
    set_address(packet, Side::Source, header.destination);
    set_address(packet, Side::Destination, header.source);
    if let Some(message) = packet.get_mut(header.bytes..header.total_bytes) {
        message[0] = ECHO_REPLY;
        put_sum(message);
    }
}

/// Whether a type is that of an error.
pub fn is_error(kind: u8) -> bool {
    matches!(kind, UNREACHABLE | TIME_EXCEEDED | BAD_PARAMETER)
}

/// The packet that an error is about, if the packet with `header` is an error, whole, and quotes enough.
pub fn quoted(packet: &[u8], header: &Header) -> Option<(Header, Ends)> {
    let message = packet.get(header.bytes..header.total_bytes)?;
    let is_whole = !header.is_fragment() && message.len() > MESSAGE_BYTES;
    if header.protocol != ICMP || !is_whole || !is_error(message[0]) || checksum::of(message) != 0 {
        return None;
    }
    let quote = &message[MESSAGE_BYTES..];
    let inner = Header::quoted(quote)?;
    Some((inner, Ends::of(quote, &inner)?))
}

/// Changes both ends of the quoted packet, and an address of the error itself.
pub fn amend(
    packet: &mut [u8],
    header: &Header,
    (inner, ends): (&Header, &Ends),
    (source, destination): (SocketAddrV4, SocketAddrV4),
    (side, address): (Side, Ipv4Addr),
) {
    set_address(packet, side, address);
    let Some(message) = packet.get_mut(header.bytes..header.total_bytes) else {
        return;
    };
    let quote = &mut message[MESSAGE_BYTES..];
    for (side, old, new) in [
        (Side::Source, ends.source, source),
        (Side::Destination, ends.destination, destination),
    ] {
        if old == new {
            continue;
        }
        match new.port() {
            // The other end of an echo, which has no identifier.
            0 => set_address(quote, side, *new.ip()),
            _ => set_end(quote, inner, ends.protocol, side, new, Sum::Whole),
        }
    }
    put_sum(message);
}

fn put_sum(message: &mut [u8]) {
    if message.len() >= MESSAGE_BYTES {
        message[2..4].fill(0);
        let sum = checksum::of(message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}
