//! The DHCP server's messages as packets.

use super::Router;
use super::dhcp::{self, LONGEST_BYTES, Terms};
use super::wire::{
    ETHERNET_BYTES, Header, IPV4_BYTES, TYPE_IPV4, UDP, UDP_BYTES, put_ethernet, put_ipv4,
};
use hvm::checksum;
use hvm::packet::{Checksum, Packet, PartialChecksum};

impl Router {
    /// A message for the DHCP server.
    pub(super) fn serve(&mut self, mut packet: Packet, header: &Header, now_ms: u64) {
        if !packet.finish_checksum() {
            return self.refuse();
        }
        let message = packet
            .frame()
            .get(ETHERNET_BYTES + header.bytes + UDP_BYTES..ETHERNET_BYTES + header.total_bytes);
        let Some(mut answer) = self.pool.packet() else {
            self.counters.lost += 1;
            return;
        };
        let mut into = [0; LONGEST_BYTES];
        let outside = self.outside.as_ref();
        let terms = Terms {
            own: self.own.1,
            mtu_bytes: self.setup.mtu_bytes,
            name: &self.setup.name,
            domain: outside.map_or(&[], |outside| &outside.told.domain),
            time_server: outside.and_then(|outside| outside.told.time_server),
        };
        let reply =
            message.and_then(|message| self.server.answer(message, &terms, now_ms, &mut into));
        let Some(reply) = reply else {
            return;
        };
        answer.set_len(ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES + reply.bytes);
        let frame = answer.frame_mut();
        put_ethernet(frame, reply.mac, self.own.0, TYPE_IPV4);
        let Some(datagram) = frame
            .get_mut(ETHERNET_BYTES..)
            .filter(|it| it.len() > reply.bytes)
        else {
            return;
        };
        put_ipv4(
            datagram,
            UDP,
            self.own.1,
            reply.address,
            UDP_BYTES + reply.bytes,
        );
        let (head, body) = datagram[IPV4_BYTES..].split_at_mut(UDP_BYTES);
        let length = (UDP_BYTES + reply.bytes) as u16;
        for (place, word) in
            head.chunks_exact_mut(2)
                .zip([dhcp::SERVER_PORT, dhcp::CLIENT_PORT, length, 0])
        {
            place.copy_from_slice(&word.to_be_bytes());
        }
        body.copy_from_slice(&into[..reply.bytes]);
        // The checksum is computed as a guest's would be: from the pseudo-header's sum.
        let addresses = [self.own.1.octets(), reply.address.octets()];
        let pseudo = checksum::pseudo_header(addresses.as_flattened(), UDP, length.into());
        head[6..8].copy_from_slice(&pseudo.to_be_bytes());
        let mut offload = answer.offload();
        offload.checksum = Checksum::Partial(PartialChecksum {
            start: (ETHERNET_BYTES + IPV4_BYTES) as u16,
            offset: 6,
        });
        answer.set_offload(offload);
        answer.finish_checksum();
        self.push_in(answer);
    }
}
