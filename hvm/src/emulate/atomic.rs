//! Locked writes to guest RAM.

use crate::Width;
use guest_mem::{Gpa, GuestMemory};

/// Stores `new` at `gpa` if memory holds `current`, atomically against the guest's CPUs, and says whether it did;
/// `None` if `gpa` is not RAM. An operand that crosses an 8-byte boundary is compared and written in two steps: such
/// split locks are atomic on hardware and not here.
pub fn compare_exchange(
    memory: &GuestMemory,
    gpa: Gpa,
    width: Width,
    current: u64,
    new: u64,
) -> Option<bool> {
    let word = Gpa(gpa.0 & !7);
    let shift = (gpa.0 - word.0) * 8;
    if shift + u64::from(width.bits()) > 64 {
        return split(memory, gpa, width, current, new);
    }
    let mask = width.mask() << shift;
    let found = memory.load::<u64>(word).ok()?;
    if (found & mask) >> shift != width.cut(current) {
        return Some(false);
    }
    let wanted = found & !mask | width.cut(new) << shift;
    let result = memory.compare_exchange_u64(word, found, wanted).ok()?;
    Some(result.is_ok())
}

fn split(memory: &GuestMemory, gpa: Gpa, width: Width, current: u64, new: u64) -> Option<bool> {
    let mut found = [0; 8];
    memory.read(gpa, found.get_mut(..width.bytes())?).ok()?;
    if u64::from_le_bytes(found) != width.cut(current) {
        return Some(false);
    }
    memory
        .write(gpa, new.to_le_bytes().get(..width.bytes())?)
        .ok()?;
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_the_operand_changes_and_only_if_it_matches(
            before in any::<u128>(),
            new in any::<u64>(),
            at in 0_u64..8,
            width in proptest::sample::select(&[Width::Byte, Width::Word, Width::Dword, Width::Qword][..]),
        ) {
            let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1000)]);
            memory.write(Gpa(0), &before.to_le_bytes()).unwrap();
            let held = width.cut((before >> (at * 8)) as u64);
            prop_assert_eq!(compare_exchange(&memory, Gpa(at), width, !held, new), Some(false));
            prop_assert_eq!(memory.load::<u128>(Gpa(0)), Ok(before));
            prop_assert_eq!(compare_exchange(&memory, Gpa(at), width, held, new), Some(true));
            let mask = u128::from(width.mask()) << (at * 8);
            let expected = before & !mask | u128::from(width.cut(new)) << (at * 8);
            prop_assert_eq!(memory.load::<u128>(Gpa(0)), Ok(expected));
        }
    }

    #[test]
    fn devices_are_left_to_the_bus() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1000)]);
        assert_eq!(
            compare_exchange(&memory, Gpa(0x1000), Width::Dword, 0, 0),
            None
        );
        assert_eq!(
            compare_exchange(&memory, Gpa(0xffd), Width::Dword, 0, 0),
            None
        );
    }
}
