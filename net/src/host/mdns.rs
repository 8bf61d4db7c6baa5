//! The host's name on the link: `<name>.local` by multicast DNS (RFC 6762), its addresses and nothing else.
//!
//! A name is probed for before it is used, and given up where somebody else has it ([`Claim`]).

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt::Write;
use core::net::IpAddr;
use heapless::{String, Vec as Few};

/// The port of both ends.
pub const PORT: u16 = 5353;
/// The longest label (RFC 1035, 2.3.4).
const LABEL_BYTES: usize = 63;
/// Questions that are looked at.
const QUESTIONS: u16 = 16;
/// Records that are looked at, for names that are ours.
const RECORDS: usize = 64;
/// Addresses that are told.
const ADDRESSES: usize = 8;
/// How long an answer holds (RFC 6762, 10), and for those who ask once (6.7).
const TTL_S: u32 = 120;
const LEGACY_TTL_S: u32 = 10;

mod bits {
    //! RFC 1035, 3.2 and 4.1; RFC 6762, 18.
    pub const HEADER_BYTES: usize = 12;
    pub const RESPONSE: u16 = 1 << 15;
    pub const AUTHORITATIVE: u16 = 1 << 10;
    pub const OPCODE: u16 = 0xf << 11;
    pub const TYPE_A: u16 = 1;
    pub const TYPE_AAAA: u16 = 28;
    pub const TYPE_ANY: u16 = 255;
    pub const CLASS_IN: u16 = 1;
    pub const CLASS_ANY: u16 = 255;
    /// In a question: an answer to the asker alone will do. In an answer: forget what others said.
    pub const TOP_OF_CLASS: u16 = 1 << 15;
    pub const POINTER: u8 = 0xc0;
}
use bits::*;

/// A host's name: one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String<LABEL_BYTES>);

impl Name {
    /// What of `text` may be in a name (RFC 1123, 2.1), in lower case, other characters as hyphens; `None` if nothing remains.
    pub fn of(text: &str) -> Option<Self> {
        let mut name = String::new();
        for character in text.chars() {
            let character = match character.to_ascii_lowercase() {
                letter @ ('a'..='z' | '0'..='9') => letter,
                _ if name.is_empty() => continue,
                _ => '-',
            };
            if name.push(character).is_err() {
                break;
            }
        }
        while name.ends_with('-') {
            name.pop();
        }
        (!name.is_empty()).then_some(Self(name))
    }

    /// The next one to try when it is taken (RFC 6762, 9): `name-2` behind `name`, `name-3` behind `name-2`.
    pub fn next(&self) -> Self {
        let (stem, number) = match self.0.rsplit_once('-') {
            Some((stem, digits)) if !stem.is_empty() => match digits.parse::<u32>() {
                Ok(number) if number > 1 => (stem, number.saturating_add(1)),
                _ => (&*self.0, 2),
            },
            _ => (&*self.0, 2),
        };
        let mut suffix: String<11> = String::new();
        // A hyphen and ten digits fit.
        let _ = write!(suffix, "-{number}");
        let mut name = String::new();
        // Names are ASCII.
        let _ = name.push_str(&stem[..stem.len().min(LABEL_BYTES - suffix.len())]);
        let _ = name.push_str(&suffix);
        Self(name)
    }

    /// Without `.local`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.0.len() as u8);
        out.extend_from_slice(self.0.as_bytes());
        out.extend_from_slice(b"\x05local\0");
    }
}

/// Whom an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody on the link.
    Link,
    /// The one who asked.
    Asker,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wanted {
    v4: bool,
    v6: bool,
    /// Somebody wants everybody to hear.
    link: bool,
}

/// Appends the answer to a query from port `from_port`, if there is one to give.
pub fn answer(
    query: &[u8],
    from_port: u16,
    name: &Name,
    addresses: &[IpAddr],
    out: &mut Vec<u8>,
) -> Option<Audience> {
    let word = |at: usize| Some(u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]));
    let flags = word(2)?;
    if flags & (RESPONSE | OPCODE) != 0 {
        return None;
    }
    let is_legacy = from_port != PORT;
    let mut wanted = Wanted::default();
    let mut at = HEADER_BYTES;
    let questions = word(4)?.min(QUESTIONS);
    for _ in 0..questions {
        let (is_ours, behind) = is_name(query, at, name)?;
        let (kind, class) = (word(behind)?, word(behind + 2)?);
        at = behind + 4;
        let is_internet = matches!(class & !TOP_OF_CLASS, CLASS_IN | CLASS_ANY);
        if !is_ours || !is_internet {
            continue;
        }
        wanted.v4 |= matches!(kind, TYPE_A | TYPE_ANY);
        wanted.v6 |= matches!(kind, TYPE_AAAA | TYPE_ANY);
        wanted.link |= class & TOP_OF_CLASS == 0;
    }
    let told: Few<IpAddr, ADDRESSES> = addresses
        .iter()
        .copied()
        .filter(|address| match address {
            IpAddr::V4(_) => wanted.v4,
            IpAddr::V6(_) => wanted.v6,
        })
        .take(ADDRESSES)
        .collect();
    if told.is_empty() {
        return None;
    }
    // RFC 6762, 6.7: who asks from another port knows nothing of multicast, and gets what a name server would say.
    put(
        match is_legacy {
            true => Some((word(0)?, query.get(HEADER_BYTES..at)?, questions)),
            false => None,
        },
        name,
        &told,
        out,
    );
    match is_legacy || !wanted.link {
        true => Some(Audience::Asker),
        false => Some(Audience::Link),
    }
}

/// What a message says of a name that we have, or want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Somebody else has it.
    Theirs,
    /// Somebody else wants it, too: who of us comes first (RFC 6762, 8.2), `Greater` being us.
    Wanted(Ordering),
}

/// Whether a message from port `from_port` claims `name` for somebody with other addresses than these.
pub fn claim(message: &[u8], from_port: u16, name: &Name, addresses: &[IpAddr]) -> Option<Claim> {
    let word = |at: usize| {
        Some(u16::from_be_bytes([
            *message.get(at)?,
            *message.get(at + 1)?,
        ]))
    };
    let is_response = word(2)? & RESPONSE != 0;
    // RFC 6762, 6.
    if is_response && from_port != PORT {
        return None;
    }
    let mut at = HEADER_BYTES;
    for _ in 0..word(4)?.min(QUESTIONS) {
        let (_, behind) = is_name(message, at, name)?;
        at = behind + 4;
    }
    let (answers, authorities, others) = (word(6)?, word(8)?, word(10)?);
    // A probe has what its sender wants in the second section.
    let counts = match is_response {
        true => [answers, authorities, others].map(usize::from),
        false => [0, authorities.into(), 0],
    };
    if !is_response && answers != 0 {
        return None;
    }
    let mut theirs: Few<Record, ADDRESSES> = Few::new();
    for _ in 0..counts.iter().sum::<usize>().min(RECORDS) {
        let (is_ours, behind) = is_name(message, at, name)?;
        let (kind, class, bytes) = (
            word(behind)?,
            word(behind + 2)?,
            usize::from(word(behind + 8)?),
        );
        let data = message.get(behind + 10..behind + 10 + bytes)?;
        at = behind + 10 + bytes;
        if is_ours
            && class & !TOP_OF_CLASS == CLASS_IN
            && let Some(record) = Record::read(kind, data)
        {
            // More than we could have ourselves decide nothing.
            let _ = theirs.push(record);
        }
    }
    let mut ours: Few<Record, ADDRESSES> = addresses
        .iter()
        .take(ADDRESSES)
        .map(|it| Record::of(*it))
        .collect();
    // Who says what we would is ourselves, by another way.
    if theirs.iter().all(|record| ours.contains(record)) {
        return None;
    }
    if is_response {
        return Some(Claim::Theirs);
    }
    ours.sort_unstable();
    theirs.sort_unstable();
    Some(Claim::Wanted(ours.cmp(&theirs)))
}

/// A record of an address, ordered by type and then by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Record(u16, Few<u8, 16>);

impl Record {
    fn read(kind: u16, data: &[u8]) -> Option<Self> {
        let is_address = matches!((kind, data.len()), (TYPE_A, 4) | (TYPE_AAAA, 16));
        is_address.then(|| Few::from_slice(data).ok().map(|data| Self(kind, data)))?
    }

    fn of(address: IpAddr) -> Self {
        let (kind, data) = match address {
            IpAddr::V4(address) => (TYPE_A, Few::from_slice(&address.octets())),
            IpAddr::V6(address) => (TYPE_AAAA, Few::from_slice(&address.octets())),
        };
        // 16 bytes fit.
        Self(kind, data.unwrap_or_default())
    }
}

/// Appends a question whether somebody has `name`, with what we want it for (RFC 6762, 8.1).
pub fn probe(name: &Name, addresses: &[IpAddr], out: &mut Vec<u8>) {
    let addresses = &addresses[..addresses.len().min(ADDRESSES)];
    for word in [0, 0, 1, 0, addresses.len() as u16, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    name.put(out);
    for word in [TYPE_ANY, CLASS_IN | TOP_OF_CLASS] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for address in addresses {
        put_record(name, *address, CLASS_IN, TTL_S, out);
    }
}

/// Appends an announcement of all addresses (RFC 6762, 8.3).
pub fn announce(name: &Name, addresses: &[IpAddr], out: &mut Vec<u8>) {
    put(
        None,
        name,
        &addresses[..addresses.len().min(ADDRESSES)],
        out,
    );
}

fn put(legacy: Option<(u16, &[u8], u16)>, name: &Name, addresses: &[IpAddr], out: &mut Vec<u8>) {
    let (id, questions, count) = legacy.unwrap_or((0, &[], 0));
    let answers = addresses.len() as u16;
    for word in [id, RESPONSE | AUTHORITATIVE, count, answers, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(questions);
    let (class, ttl_s) = match legacy {
        Some(_) => (CLASS_IN, LEGACY_TTL_S),
        None => (CLASS_IN | TOP_OF_CLASS, TTL_S),
    };
    for address in addresses {
        put_record(name, *address, class, ttl_s, out);
    }
}

fn put_record(name: &Name, address: IpAddr, class: u16, ttl_s: u32, out: &mut Vec<u8>) {
    name.put(out);
    let Record(kind, data) = Record::of(address);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&class.to_be_bytes());
    out.extend_from_slice(&ttl_s.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(&data);
}

/// Whether the name at `at` is `name.local`, and where what follows it begins. `None` if it is broken. A pointer leads backwards only, so
/// there is an end.
fn is_name(message: &[u8], mut at: usize, name: &Name) -> Option<(bool, usize)> {
    let labels = [name.0.as_bytes(), b"local"];
    let (mut matched, mut is_same) = (0, true);
    let mut behind = None;
    let mut limit = at;
    loop {
        let length = *message.get(at)?;
        match length {
            0 => {
                let is_ours = is_same && matched == labels.len();
                return Some((is_ours, behind.unwrap_or(at + 1)));
            }
            POINTER.. => {
                let low = *message.get(at + 1)?;
                behind.get_or_insert(at + 2);
                at = usize::from(length & !POINTER) << 8 | usize::from(low);
                if at >= limit {
                    return None;
                }
                limit = at;
            }
            1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                is_same &= labels
                    .get(matched)
                    .is_some_and(|ours| ours.eq_ignore_ascii_case(label));
                matched += 1;
                at += 1 + usize::from(length);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> Name {
        Name::of("Florizel").unwrap()
    }

    fn addresses() -> [IpAddr; 2] {
        ["10.0.2.15".parse().unwrap(), "fe80::1".parse().unwrap()]
    }

    fn query(kind: u16, class: u16) -> Vec<u8> {
        let mut query = Vec::from([0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        query.extend(b"\x08FlorIZel\x05local\0");
        query.extend(kind.to_be_bytes());
        query.extend(class.to_be_bytes());
        query
    }

    #[test]
    fn names_are_labels() {
        let of = |text: &str| Name::of(text).map(|name| std::string::String::from(name.as_str()));
        assert_eq!(of("My Guest_1!"), Some("my-guest-1".into()));
        assert_eq!(of("--"), None);
        assert_eq!(of(&"a".repeat(99)).unwrap().len(), LABEL_BYTES);
    }

    #[test]
    fn addresses_are_told_to_the_link() {
        let mut out = Vec::new();
        let audience = answer(&query(1, 1), PORT, &name(), &addresses(), &mut out);
        assert_eq!(audience, Some(Audience::Link));
        let expected = b"\0\0\x84\0\0\0\0\x01\0\0\0\0\x08florizel\x05local\0\0\x01\x80\x01\0\0\0\x78\0\x04\x0a\0\x02\x0f";
        assert_eq!(out, expected);
        out.clear();
        let audience = answer(&query(255, 0x8001), PORT, &name(), &addresses(), &mut out);
        assert_eq!(audience, Some(Audience::Asker));
        assert_eq!(out[7], 2);
    }

    #[test]
    fn who_knows_nothing_of_multicast_is_answered_as_by_a_name_server() {
        let mut out = Vec::new();
        let query = query(28, 1);
        let audience = answer(&query, 40000, &name(), &addresses(), &mut out);
        assert_eq!(audience, Some(Audience::Asker));
        assert_eq!(out[..2], [0x12, 0x34]);
        assert_eq!(out[HEADER_BYTES..query.len()], query[HEADER_BYTES..]);
        // It has as many questions back as it says: those that were looked at.
        let mut many = query.clone();
        many[5] = 200;
        for _ in 1..200 {
            many.extend([0xc0, 12, 0, 12, 0, 1]);
        }
        out.clear();
        assert!(answer(&many, 40000, &name(), &addresses(), &mut out).is_some());
        assert_eq!(out[4..6], QUESTIONS.to_be_bytes());
        let questions = query.len() - HEADER_BYTES + 6 * usize::from(QUESTIONS - 1);
        assert_eq!(
            out[HEADER_BYTES..][..questions],
            many[HEADER_BYTES..][..questions]
        );
    }

    #[test]
    fn others_names_are_others() {
        let mut out = Vec::new();
        let mut wrong = query(1, 1);
        wrong[13] = b'x';
        assert_eq!(answer(&wrong, PORT, &name(), &addresses(), &mut out), None);
        let mut response = query(1, 1);
        response[2] = 0x80;
        assert_eq!(
            answer(&response, PORT, &name(), &addresses(), &mut out),
            None
        );
        assert!(out.is_empty());
    }

    #[test]
    fn a_second_question_may_point_at_the_first() {
        let mut query = query(12, 1);
        query[5] = 2;
        query.extend([0xc0, 12, 0, 1, 0, 1]);
        let mut out = Vec::new();
        let audience = answer(&query, PORT, &name(), &addresses(), &mut out);
        assert_eq!(audience, Some(Audience::Link));
    }

    #[test]
    fn the_next_name_has_the_next_number() {
        let next = |text: &str| std::string::String::from(Name::of(text).unwrap().next().as_str());
        assert_eq!(next("florizel"), "florizel-2");
        assert_eq!(next("florizel-2"), "florizel-3");
        assert_eq!(next("web-01"), "web-01-2");
        assert_eq!(next("7"), "7-2");
        let long = next(&"a".repeat(63));
        assert_eq!((long.len(), &long[60..]), (63, "a-2"));
        assert_eq!(next(&long).len(), 63);
    }

    #[test]
    fn claims_of_others_are_seen_and_our_own_are_not() {
        let own = addresses();
        let others: [IpAddr; 1] = ["10.0.2.99".parse().unwrap()];
        let claim_of = |addresses: &[IpAddr], put: fn(&Name, &[IpAddr], &mut Vec<u8>)| {
            let mut message = Vec::new();
            put(&name(), addresses, &mut message);
            claim(&message, PORT, &name(), &own)
        };
        assert_eq!(claim_of(&own, announce), None);
        assert_eq!(claim_of(&others, announce), Some(Claim::Theirs));
        assert_eq!(claim_of(&own, probe), None);
        // 10.0.2.99 comes behind 10.0.2.15.
        assert_eq!(
            claim_of(&others, probe),
            Some(Claim::Wanted(Ordering::Less))
        );
        let earlier: [IpAddr; 1] = ["10.0.1.200".parse().unwrap()];
        assert_eq!(
            claim_of(&earlier, probe),
            Some(Claim::Wanted(Ordering::Greater))
        );
        let mut message = Vec::new();
        announce(&Name::of("perdita").unwrap(), &others, &mut message);
        assert_eq!(claim(&message, PORT, &name(), &own), None);
        assert_eq!(claim(&query(1, 1), PORT, &name(), &own), None);
        // What is said from another port is no multicast DNS.
        message.clear();
        announce(&name(), &others, &mut message);
        assert_eq!(claim(&message, 40_000, &name(), &own), None);
    }

    proptest! {
        #[test]
        fn any_bytes_claim_something_or_not(bytes in prop::collection::vec(prop_oneof![Just(0xc0_u8), 0_u8..20, any::<u8>()], 0..200)) {
            let _ = claim(&bytes, PORT, &name(), &addresses());
        }

        #[test]
        fn any_bytes_are_answered_shortly_or_not(
            mut bytes in prop::collection::vec(prop_oneof![Just(0xc0_u8), 0_u8..20, any::<u8>()], 0..200),
            port: u16,
        ) {
            let mut out = Vec::new();
            let _ = answer(&bytes, port, &name(), &addresses(), &mut out);
            for (at, byte) in [(2, 0), (3, 0), (4, 0)] {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            let _ = answer(&bytes, port, &name(), &addresses(), &mut out);
            prop_assert!(out.len() <= 2 * (200 + 12 + ADDRESSES * 64));
        }
    }
}
