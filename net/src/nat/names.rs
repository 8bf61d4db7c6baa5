//! Packets for the router itself: echoes, and questions for names, which go on to one of the host's servers.

use super::Router;
use super::icmp::{self, Trouble};
use super::wire::{ECHO, ETHERNET_BYTES, Ends, Header, ICMP, Sum, spend_hop};
use core::net::{Ipv4Addr, SocketAddrV4};
use hvm::packet::Packet;

const NAME_PORT: u16 = 53;
/// Questions without an answer after which another server is asked.
const PATIENCE_QUESTIONS: u8 = 2;

impl Router {
    /// A packet for the router itself.
    pub(super) fn visit(&mut self, mut packet: Packet, header: &Header, sum: Sum, now_ms: u64) {
        let bytes = &packet.frame()[ETHERNET_BYTES..];
        let kind = bytes.get(header.bytes).copied();
        if header.protocol == ICMP {
            if kind == Some(ECHO) && !header.is_fragment() && sum == Sum::Whole {
                icmp::answer_echo(&mut packet.frame_mut()[ETHERNET_BYTES..], header);
                let to = header.source;
                self.send_in(packet, to, now_ms);
            }
            return;
        }
        let ends = Ends::of(bytes, header)
            .filter(|ends| header.fragment_offset == 0 && ends.source.port() != 0);
        match (ends, self.next_name_server(ends.as_ref())) {
            (Some(ends), Some(server)) if ends.destination.port() == NAME_PORT => {
                if header.time_to_live > 1 {
                    spend_hop(&mut packet.frame_mut()[ETHERNET_BYTES..]);
                }
                self.translate_out(
                    packet,
                    header,
                    &ends,
                    SocketAddrV4::new(server, NAME_PORT),
                    sum,
                    now_ms,
                );
            }
            _ => self.tell(Trouble::NoPort, &packet, header),
        }
    }

    /// Whom to ask for names: another one if that one keeps silent.
    pub(super) fn next_name_server(&mut self, ends: Option<&Ends>) -> Option<Ipv4Addr> {
        let ends = ends?;
        let count = self.outside.as_ref()?.told.name_servers.len();
        if let Some(slot) = self
            .flows
            .of_inside(ends.protocol, ends.source, ends.destination)
            && let Some(flow) = self.flows.get(slot)
            && flow.unanswered >= PATIENCE_QUESTIONS
            && count > 1
        {
            let asked = *flow.remote.ip();
            self.flows.remove(slot);
            if self.name_server_now() == Some(asked) {
                self.name_server = (self.name_server + 1) % count;
            }
        }
        self.name_server_now()
    }

    pub(super) fn name_server_now(&self) -> Option<Ipv4Addr> {
        let servers = &self.outside.as_ref()?.told.name_servers;
        servers.get(self.name_server).copied()
    }
}
