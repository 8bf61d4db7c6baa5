//! The root pointer, where the loader did not hand it over. (ACPI 6.5, 5.2.5.)

use crate::mem::map_firmware;
use guest_mem::Hpa;

/// Bytes of the ACPI 1.0 structure, which its checksum covers.
const BYTES: usize = 20;
const SIGNATURE: &[u8; 8] = b"RSD PTR ";
/// Word in the BIOS data area: segment of the extended area.
const EBDA_SEGMENT: Hpa = Hpa(0x40e);
const BIOS_AREA: Hpa = Hpa(0xe_0000);
const BIOS_AREA_BYTES: usize = 0x2_0000;
const EBDA_SEARCHED_BYTES: usize = 1024;

/// Looks in the first KiB of the extended BIOS data area and in the BIOS area. For machines with a PC BIOS; elsewhere
/// there is nothing to find.
pub(super) fn search() -> Option<Hpa> {
    search_area(ebda()?, EBDA_SEARCHED_BYTES).or_else(|| search_area(BIOS_AREA, BIOS_AREA_BYTES))
}

fn ebda() -> Option<Hpa> {
    let word = map_firmware(EBDA_SEGMENT, 2)?;
    // SAFETY: the word is mapped, and aligned; nothing writes it any more.
    let segment = unsafe { word.cast::<u16>().read_volatile() };
    let base = u64::from(segment) << 4;
    // Below 80000h is nothing that a BIOS would call so, at A0000h begins the screen.
    Some(Hpa(
        if (0x8_0000..0xa_0000 - EBDA_SEARCHED_BYTES as u64).contains(&base) {
            base
        } else {
            0x9_fc00
        },
    ))
}

fn search_area(base: Hpa, bytes: usize) -> Option<Hpa> {
    let pointer = map_firmware(base, bytes as u64)?;
    // SAFETY: the area is mapped; it is ROM, or memory that only the firmware wrote.
    let area = unsafe { core::slice::from_raw_parts(pointer, bytes) };
    find(area).map(|offset| base.wrapping_add(offset as u64))
}

/// Offset of a root pointer with the right checksum; it starts at a multiple of 16.
fn find(area: &[u8]) -> Option<usize> {
    (0..area.len()).step_by(16).find(|&at| {
        area.get(at..at + BYTES).is_some_and(|candidate| {
            candidate.starts_with(SIGNATURE)
                && candidate
                    .iter()
                    .fold(0_u8, |sum, byte| sum.wrapping_add(*byte))
                    == 0
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area() -> [u8; 100] {
        let mut area = [0; 100];
        area[48..56].copy_from_slice(SIGNATURE);
        area[56] = 0_u8.wrapping_sub(
            SIGNATURE
                .iter()
                .fold(0, |sum, byte| sum.wrapping_add(*byte)),
        );
        area
    }

    #[test]
    fn the_pointer_is_found_at_its_alignment() {
        assert_eq!(find(&area()), Some(48));
        assert_eq!(find(&area()[1..]), None);
    }

    #[test]
    fn a_wrong_checksum_is_passed_over() {
        let mut area = area();
        area[60] = 1;
        assert_eq!(find(&area), None);
    }

    #[test]
    fn a_pointer_cut_by_the_end_is_none() {
        assert_eq!(find(&area()[..67]), None);
    }
}
