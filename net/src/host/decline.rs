//! The message that tells a DHCP server that an address is somebody else's (RFC 2131, 3.1.5 and 4.4.4).

use crate::Mac;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// The message up to its options, and where things are in it.
const FIXED_BYTES: usize = 236;
const TRANSACTION: usize = 4;
const HARDWARE: usize = 28;
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const DECLINE: u8 = 4;
const IPV4_BYTES: usize = 20;
const UDP_BYTES: usize = 8;

/// The packet by which `own` refuses `address` of `server`'s.
pub fn packet(own: Mac, address: Ipv4Addr, server: Ipv4Addr, transaction: u32) -> Vec<u8> {
    let mut message = alloc::vec![0; FIXED_BYTES];
    // A request, of Ethernet's addresses.
    message[..3].copy_from_slice(&[1, 1, 6]);
    message[TRANSACTION..TRANSACTION + 4].copy_from_slice(&transaction.to_be_bytes());
    message[HARDWARE..HARDWARE + 6].copy_from_slice(&own.0);
    message.extend(COOKIE);
    // Kind; requested address; server; client, as smoltcp names itself; end.
    message.extend([53, 1, DECLINE, 50, 4]);
    message.extend(address.octets());
    message.extend([54, 4]);
    message.extend(server.octets());
    message.extend([61, 7, 1]);
    message.extend(own.0);
    message.push(255);
    let (from, to) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
    let ip = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Udp,
        payload_len: UDP_BYTES + message.len(),
        hop_limit: 64,
    };
    let udp = UdpRepr {
        src_port: CLIENT_PORT,
        dst_port: SERVER_PORT,
    };
    let mut packet = alloc::vec![0; IPV4_BYTES + UDP_BYTES + message.len()];
    let sums = ChecksumCapabilities::default();
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut packet), &sums);
    udp.emit(
        &mut UdpPacket::new_unchecked(&mut packet[IPV4_BYTES..]),
        &from.into(),
        &to.into(),
        message.len(),
        |payload| payload.copy_from_slice(&message),
        &sums,
    );
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr};

    #[test]
    fn it_reads_as_a_refusal() {
        let (address, server) = (Ipv4Addr::new(10, 0, 0, 15), Ipv4Addr::new(10, 0, 0, 2));
        let packet = packet(Mac([2, 0, 0, 0, 0, 1]), address, server, 0x1234_5678);
        let ip = Ipv4Packet::new_checked(&packet).unwrap();
        assert!(ip.verify_checksum());
        let udp = UdpPacket::new_checked(ip.payload()).unwrap();
        assert!(udp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()));
        let dhcp = DhcpPacket::new_checked(udp.payload()).unwrap();
        let repr = DhcpRepr::parse(&dhcp).unwrap();
        assert_eq!(repr.message_type, DhcpMessageType::Decline);
        assert_eq!(repr.transaction_id, 0x1234_5678);
        assert_eq!(repr.requested_ip, Some(address));
        assert_eq!(repr.server_identifier, Some(server));
    }
}
