//! The sleep type of S5, by looking for its bytes: for machines whose AML the interpreter cannot take.
//!
//! `Name (_S5, Package () {a, b, …})` is compiled to a fixed prefix almost everywhere. (ACPI 6.5, 20.2.5.)

/// The values for the two PM1 control registers, three bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SleepType {
    /// For PM1a.
    pub a: u8,
    /// For PM1b.
    pub b: u8,
}

const NAME_OP: u8 = 0x08;
const PACKAGE_OP: u8 = 0x12;
const ZERO_OP: u8 = 0x00;
const ONE_OP: u8 = 0x01;
const BYTE_PREFIX: u8 = 0x0a;
const WORD_PREFIX: u8 = 0x0b;
const DWORD_PREFIX: u8 = 0x0c;
const ROOT: u8 = b'\\';

/// Finds the package in a DSDT or SSDT.
pub fn find_s5(table: &[u8]) -> Option<SleepType> {
    (0..table.len()).find_map(|at| s5_at(table, at))
}

fn s5_at(table: &[u8], at: usize) -> Option<SleepType> {
    let mut rest = table.get(at..)?.strip_prefix(&[NAME_OP])?;
    rest = rest.strip_prefix(&[ROOT]).unwrap_or(rest);
    rest = rest.strip_prefix(b"_S5_")?.strip_prefix(&[PACKAGE_OP])?;
    // The length: its first byte says in bits 6-7 how many more follow. Then the number of elements.
    let more = usize::from(*rest.first()? >> 6);
    let elements = rest.get(1 + more..)?;
    let (count, values) = elements.split_first()?;
    let (a, values) = small_integer(values)?;
    let b = if *count >= 2 {
        small_integer(values)?.0
    } else {
        a
    };
    Some(SleepType { a: a & 7, b: b & 7 })
}

/// An integer, of which the low byte is all that matters here, and what follows.
fn small_integer(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&op, rest) = bytes.split_first()?;
    let width = match op {
        ZERO_OP | ONE_OP => return Some((op, rest)),
        BYTE_PREFIX => 1,
        WORD_PREFIX => 2,
        DWORD_PREFIX => 4,
        _ => return None,
    };
    Some((*rest.first()?, rest.get(width..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_encodings_are_found() {
        let qemu = b"....\x08_S5_\x12\x06\x04\x00\x00\x00\x00";
        assert_eq!(find_s5(qemu), Some(SleepType { a: 0, b: 0 }));
        let bytes = b"\x08\\_S5_\x12\x0a\x04\x0a\x05\x0a\x07\x00\x00";
        assert_eq!(find_s5(bytes), Some(SleepType { a: 5, b: 7 }));
        let long = b"\x08_S5_\x12\x48\x00\x02\x0b\x06\x00\x01";
        assert_eq!(find_s5(long), Some(SleepType { a: 6, b: 1 }));
    }

    #[test]
    fn a_use_of_the_name_is_not_its_definition() {
        assert_eq!(find_s5(b"\x70_S5_\x60\x12\x06\x04\x00\x00"), None);
        assert_eq!(find_s5(b"\x08_S5_\x12\x06\x04"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(tail in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut table = b"\x08_S5_\x12".to_vec();
            table.extend(tail);
            if let Some(found) = find_s5(&table) {
                prop_assert!(found.a < 8 && found.b < 8);
            }
        }
    }
}
