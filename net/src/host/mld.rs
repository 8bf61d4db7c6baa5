//! What switches and routers are told of the groups that the host listens to (MLDv2, RFC 3810): a switch that looks for listeners (RFC 4541) brings
//! a group's frames to nobody else.
//!
//! smoltcp tells of groups that it joins and answers questions, but as of 0.14 it has two words the wrong way round: it says of a group that it
//! joins that nobody is left who listens, and the opposite of one that it leaves. [`mend`] turns them round.

use super::ndisc::{HEADER_BYTES, TYPE_IPV6, begin};
use crate::Mac;
use crate::nat::wire::ETHERNET_BYTES;
use core::net::Ipv6Addr;
use hvm::packet::Packet;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, MldAddressRecordRepr,
    MldRecordType, MldRepr,
};

/// Where reports go (RFC 3810, 5.2.14).
const REPORTS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// Every router is to look at it, behind it is ICMPv6, and two bytes are filled up (RFC 3810, 5; RFC 2711).
const ALERT: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];
/// A report's type (RFC 3810, 5.2), and its place behind the alert.
const REPORT: u8 = 143;
const REPORT_AT: usize = ETHERNET_BYTES + HEADER_BYTES + ALERT.len();
/// Of a report: its own header, and a record without sources, which has its type first.
const REPORT_BYTES: usize = 8;
const RECORD_BYTES: usize = 20;
/// A group has listeners to nobody any more, or to everybody (RFC 3810, 5.2.12).
const TO_INCLUDE: u8 = 3;
const TO_EXCLUDE: u8 = 4;

/// Makes a report by nobody that this station listens to `group`: nobody, because it comes before the station has an address (RFC 3810, 5.2.13).
pub fn join(packet: &mut Packet, own: Mac, group: Ipv6Addr) {
    let records = [MldAddressRecordRepr::new(
        MldRecordType::ChangeToExclude,
        group,
    )];
    let message = Icmpv6Repr::Mld(MldRepr::ReportRecordReprs(&records));
    let header = Ipv6Repr {
        src_addr: Ipv6Addr::UNSPECIFIED,
        dst_addr: REPORTS,
        next_header: IpProtocol::HopByHop,
        payload_len: ALERT.len() + REPORT_BYTES + RECORD_BYTES,
        hop_limit: 1,
    };
    let Some(payload) = begin(packet, own, &header) else {
        return;
    };
    let (alert, report) = payload.split_at_mut(ALERT.len());
    alert.copy_from_slice(&ALERT);
    message.emit(
        &header.src_addr,
        &REPORTS,
        &mut Icmpv6Packet::new_unchecked(report),
        &ChecksumCapabilities::default(),
    );
}

/// Puts a report of the stack's right; leaves every other frame as it is.
pub fn mend(frame: &mut [u8]) {
    let is_report = frame.len() >= REPORT_AT + REPORT_BYTES
        && frame[REPORT_AT] == REPORT
        && frame[12..ETHERNET_BYTES] == TYPE_IPV6.to_be_bytes()
        && frame[ETHERNET_BYTES + 6] == u8::from(IpProtocol::HopByHop)
        && frame[REPORT_AT - ALERT.len()..REPORT_AT] == ALERT;
    if !is_report {
        return;
    }
    let ip = Ipv6Packet::new_unchecked(&frame[ETHERNET_BYTES..]);
    let (from, to) = (ip.src_addr(), ip.dst_addr());
    let report = &mut frame[REPORT_AT..];
    // No record of the stack's has sources.
    for record in report[REPORT_BYTES..].chunks_exact_mut(RECORD_BYTES) {
        record[0] = match record[0] {
            TO_INCLUDE => TO_EXCLUDE,
            TO_EXCLUDE => TO_INCLUDE,
            other => other,
        };
    }
    Icmpv6Packet::new_unchecked(report).fill_checksum(&from, &to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::packet::Pool;
    use proptest::prelude::*;

    const OWN: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1);

    fn joined() -> std::vec::Vec<u8> {
        let mut packet = Pool::ordinary(1, 2048).packet().unwrap();
        join(&mut packet, OWN, GROUP);
        packet.frame().to_vec()
    }

    fn is_summed(frame: &[u8]) -> bool {
        Icmpv6Packet::new_unchecked(&frame[REPORT_AT..])
            .verify_checksum(&Ipv6Addr::UNSPECIFIED, &REPORTS)
    }

    #[test]
    fn a_report_is_as_the_rfc_has_it() {
        let frame = joined();
        assert_eq!(frame.len(), 90);
        assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 0x16]);
        // Length, next header, hop limit; from nobody.
        assert_eq!(frame[18..22], [0, 36, 0, 1]);
        assert_eq!(frame[22..38], [0; 16]);
        assert_eq!(frame[38..54], REPORTS.octets());
        // One record, which excludes no source.
        assert_eq!(frame[62..64], [143, 0]);
        assert_eq!(frame[66..74], [0, 0, 0, 1, 4, 0, 0, 0]);
        assert_eq!(frame[74..], GROUP.octets());
        assert!(is_summed(&frame));
    }

    #[test]
    fn joining_and_leaving_are_turned_round() {
        let right = joined();
        let mut frame = right.clone();
        mend(&mut frame);
        assert_eq!(frame[70], TO_INCLUDE);
        assert!(is_summed(&frame));
        mend(&mut frame);
        assert_eq!(frame, right);
    }

    proptest! {
        #[test]
        fn any_frame_can_be_mended(mut bytes in prop::collection::vec(any::<u8>(), 0..140)) {
            let before = bytes.clone();
            mend(&mut bytes);
            prop_assert_eq!(&bytes, &before);
            let report = joined();
            let count = bytes.len().min(REPORT_AT + 1);
            bytes[..count].copy_from_slice(&report[..count]);
            mend(&mut bytes);
        }
    }
}
