//! Bytes of DHCP messages (RFC 2131, RFC 2132), with what PXE adds (PXE 2.1, chapter 2; RFC 4578).

use super::super::card::Mac;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// Most bytes of a message that is kept: as much as a frame carries.
pub const MOST_BYTES: usize = 1472;

const FIXED_BYTES: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const SERVER_NAME: core::ops::Range<usize> = 44..108;
const FILE: core::ops::Range<usize> = 108..236;
const TO_SERVER: u8 = 1;
const TO_CLIENT: u8 = 2;

/// Option codes.
#[allow(missing_docs)]
pub mod option {
    pub const PAD: u8 = 0;
    pub const MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const VENDOR: u8 = 43;
    pub const ADDRESS: u8 = 50;
    pub const OVERLOAD: u8 = 52;
    pub const KIND: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const WANTED: u8 = 55;
    pub const LONGEST: u8 = 57;
    pub const CLASS: u8 = 60;
    pub const TFTP_SERVER: u8 = 66;
    pub const BOOT_FILE: u8 = 67;
    pub const ARCHITECTURE: u8 = 93;
    pub const INTERFACE: u8 = 94;
    pub const MACHINE: u8 = 97;
    pub const END: u8 = 255;
}

/// Codes in the vendor's option of PXE.
#[allow(missing_docs)]
pub mod vendor {
    pub const CONTROL: u8 = 6;
    pub const SERVERS: u8 = 8;
    pub const MENU: u8 = 9;
    pub const PROMPT: u8 = 10;
    pub const ITEM: u8 = 71;
}

/// Kinds of messages.
#[allow(missing_docs)]
pub mod kind {
    pub const DISCOVER: u8 = 1;
    pub const OFFER: u8 = 2;
    pub const REQUEST: u8 = 3;
    pub const ACK: u8 = 5;
    pub const NAK: u8 = 6;
}

/// What PXE's servers are recognized by.
const PXE_CLIENT: &[u8] = b"PXEClient";
/// The client's class: a PC with a BIOS, UNDI 2.1.
const CLASS: &[u8] = b"PXEClient:Arch:00000:UNDI:002001";

/// A message to a server.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// [`kind::DISCOVER`] or [`kind::REQUEST`].
    pub kind: u8,
    /// Which conversation.
    pub transaction: u32,
    /// Who asks.
    pub mac: Mac,
    /// The address that it has.
    pub address: Ipv4Addr,
    /// Further options, each with code, length and value.
    pub options: &'a [u8],
}

impl Question<'_> {
    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        const ETHERNET: [u8; 3] = [1, 6, 0];
        /// Answers to everybody: the station has no address yet.
        const BROADCAST: [u8; 2] = [0x80, 0];
        let mut bytes = Vec::with_capacity(FIXED_BYTES + 128);
        bytes.push(TO_SERVER);
        bytes.extend(ETHERNET);
        bytes.extend(self.transaction.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(BROADCAST);
        bytes.extend(self.address.octets());
        bytes.resize(28, 0);
        bytes.extend(self.mac);
        bytes.resize(FIXED_BYTES, 0);
        bytes.extend(COOKIE);
        bytes.extend([option::KIND, 1, self.kind]);
        bytes.extend([option::LONGEST, 2]);
        bytes.extend((MOST_BYTES as u16).to_be_bytes());
        bytes.extend([
            option::WANTED,
            8,
            option::MASK,
            option::ROUTER,
            option::VENDOR,
        ]);
        bytes.extend([
            option::SERVER,
            option::CLASS,
            option::TFTP_SERVER,
            option::BOOT_FILE,
            13,
        ]);
        bytes.extend([option::CLASS, CLASS.len() as u8]);
        bytes.extend(CLASS);
        bytes.extend([option::ARCHITECTURE, 2, 0, 0]);
        bytes.extend([option::INTERFACE, 3, 1, 2, 1]);
        // The guest's tables tell no identity of the machine; its card has one.
        bytes.extend([option::MACHINE, 17]);
        bytes.extend([0; 11]);
        bytes.extend(self.mac);
        bytes.extend(self.options);
        bytes.push(option::END);
        // BOOTP's servers want no less (RFC 1542, 2.1).
        bytes.resize(bytes.len().max(300), 0);
        bytes
    }
}

/// A message from a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    /// Recognizes one to this station, in this conversation.
    pub fn parse(bytes: &[u8], transaction: u32, mac: Mac) -> Option<Self> {
        let bytes = &bytes[..bytes.len().min(MOST_BYTES)];
        let fits = *bytes.first()? == TO_CLIENT
            && bytes.get(4..8)? == transaction.to_be_bytes()
            && bytes.get(28..34)? == mac
            && bytes.get(FIXED_BYTES..FIXED_BYTES + 4)? == COOKIE;
        fits.then(|| Self {
            bytes: bytes.to_vec(),
        })
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// An option, wherever in the message it stands.
    pub fn option(&self, code: u8) -> Option<&[u8]> {
        let own = self.bytes.get(FIXED_BYTES + 4..).unwrap_or(&[]);
        let overload = find(own, option::OVERLOAD).and_then(|value| value.first().copied());
        let overload = overload.unwrap_or(0);
        let file = self.bytes.get(FILE).filter(|_| overload & 1 != 0);
        let name = self.bytes.get(SERVER_NAME).filter(|_| overload & 2 != 0);
        let mut places = [Some(own), file, name].into_iter().flatten();
        places.find_map(|options| find(options, code))
    }

    fn address_option(&self, code: u8) -> Option<Ipv4Addr> {
        let value = self.option(code)?;
        let address = Ipv4Addr::from(*value.first_chunk::<4>()?);
        (!address.is_unspecified()).then_some(address)
    }

    fn address_field(&self, at: usize) -> Ipv4Addr {
        let field = self.bytes.get(at..).and_then(<[u8]>::first_chunk::<4>);
        field.map_or(Ipv4Addr::UNSPECIFIED, |octets| Ipv4Addr::from(*octets))
    }

    /// Which kind it is; 0 for one of BOOTP.
    pub fn kind(&self) -> u8 {
        let value = self.option(option::KIND);
        value.and_then(|value| value.first().copied()).unwrap_or(0)
    }

    /// The address that it gives; unspecified if it gives none.
    pub fn address(&self) -> Ipv4Addr {
        self.address_field(16)
    }

    /// The network's mask: if none is told, the class's.
    pub fn mask(&self) -> Ipv4Addr {
        self.address_option(option::MASK).unwrap_or_else(|| {
            let bits: u32 = match self.address().octets()[0] {
                0..128 => 0xff00_0000,
                128..192 => 0xffff_0000,
                _ => 0xffff_ff00,
            };
            bits.into()
        })
    }

    /// Who leads elsewhere.
    pub fn router(&self) -> Ipv4Addr {
        self.address_option(option::ROUTER)
            .unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// The server that speaks.
    pub fn server(&self) -> Option<Ipv4Addr> {
        self.address_option(option::SERVER)
    }

    /// The server that has the boot file: the field, else an address in the option, else who speaks.
    pub fn file_server(&self) -> Option<Ipv4Addr> {
        let field = self.address_field(20);
        if !field.is_unspecified() {
            return Some(field);
        }
        let text = self.option(option::TFTP_SERVER).map(trimmed);
        let named = text.and_then(|text| core::str::from_utf8(text).ok()?.parse().ok());
        named.or_else(|| self.server())
    }

    /// The boot file: the option, else the field. Empty if none is named.
    pub fn file(&self) -> &[u8] {
        if let Some(name) = self.option(option::BOOT_FILE) {
            return trimmed(name);
        }
        let own = self.bytes.get(FIXED_BYTES + 4..).unwrap_or(&[]);
        match find(own, option::OVERLOAD) {
            Some(&[overload, ..]) if overload & 1 != 0 => &[],
            _ => trimmed(self.bytes.get(FILE).unwrap_or(&[])),
        }
    }

    /// Whether it is from one who knows PXE.
    pub fn is_pxe(&self) -> bool {
        self.option(option::CLASS)
            .is_some_and(|class| class.starts_with(PXE_CLIENT))
    }

    /// An option of PXE's own.
    pub fn vendor(&self, code: u8) -> Option<&[u8]> {
        find(self.option(option::VENDOR)?, code)
    }
}

/// Up to the first NUL.
fn trimmed(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or(&[])
}

/// A value in a list of codes, lengths and values.
fn find(options: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = options;
    loop {
        match rest {
            [option::PAD, later @ ..] => rest = later,
            [option::END, ..] => return None,
            [code, length, later @ ..] => {
                let (value, later) = later.split_at_checked((*length).into())?;
                if *code == wanted {
                    return Some(value);
                }
                rest = later;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An answer as servers make them.
    pub fn answer(
        question: &[u8],
        kind: u8,
        address: [u8; 4],
        file: &[u8],
        options: &[u8],
    ) -> Vec<u8> {
        let mut bytes = question[..FIXED_BYTES].to_vec();
        bytes[0] = TO_CLIENT;
        bytes[16..20].copy_from_slice(&address);
        bytes[108..108 + file.len()].copy_from_slice(file);
        bytes.extend(COOKIE);
        bytes.extend([option::KIND, 1, kind]);
        bytes.extend(options);
        bytes.push(option::END);
        bytes
    }

    fn question() -> Vec<u8> {
        let question = Question {
            kind: kind::DISCOVER,
            transaction: 0x1234_5678,
            mac: [2, 0, 0, 0, 0, 1],
            address: Ipv4Addr::UNSPECIFIED,
            options: &[],
        };
        question.bytes()
    }

    #[test]
    fn options_are_found_wherever_they_stand() {
        let mut bytes = answer(
            &question(),
            kind::OFFER,
            [10, 0, 0, 9],
            b"",
            &[
                option::OVERLOAD,
                1,
                3,
                option::PAD,
                option::SERVER,
                4,
                10,
                0,
                0,
                1,
            ],
        );
        bytes[108..114].copy_from_slice(&[option::BOOT_FILE, 3, b'n', b'b', b'p', option::END]);
        bytes[44..57].copy_from_slice(b"\x42\x0810.0.0.2\0\xff\0");
        let found = Answer::parse(&bytes, 0x1234_5678, [2, 0, 0, 0, 0, 1]).unwrap();
        assert_eq!((found.kind(), found.file()), (kind::OFFER, &b"nbp"[..]));
        assert_eq!(found.file_server(), Some(Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!(found.mask(), Ipv4Addr::new(255, 0, 0, 0));
        assert_eq!(Answer::parse(&bytes, 1, [2, 0, 0, 0, 0, 1]), None);
    }

    #[test]
    fn a_name_in_the_field_is_no_option() {
        let bytes = answer(&question(), kind::ACK, [10, 0, 0, 9], b"pxelinux.0", &[]);
        let found = Answer::parse(&bytes, 0x1234_5678, [2, 0, 0, 0, 0, 1]).unwrap();
        assert_eq!(
            (found.file(), found.file_server()),
            (&b"pxelinux.0"[..], None)
        );
    }

    proptest! {
        #[test]
        fn any_options_are_read_to_their_end(options in proptest::collection::vec(any::<u8>(), 0..300), code: u8) {
            let bytes = answer(&question(), kind::ACK, [0; 4], b"", &options);
            let found = Answer::parse(&bytes, 0x1234_5678, [2, 0, 0, 0, 0, 1]).unwrap();
            let _ = (found.option(code), found.vendor(code), found.file(), found.file_server(), found.mask());
        }
    }
}
