//! Addresses on a disc: logical blocks, and minutes, seconds and frames (MMC-3, table 333 and 4.2.3.10).

/// How a command wants addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    Block,
    Msf,
}

const FRAMES: u32 = 75;
const SECONDS: u32 = 60;
/// Block 0 is two seconds into the disc.
const LEAD: u32 = 2 * FRAMES;

/// Minute, second and frame of a block.
pub(super) fn to_msf(block: u32) -> [u8; 3] {
    let frames = block.saturating_add(LEAD);
    let minute = (frames / FRAMES / SECONDS).min(0xff);
    [
        minute as u8,
        (frames / FRAMES % SECONDS) as u8,
        (frames % FRAMES) as u8,
    ]
}

/// The block there; `None` for an address that is none, or lies before block 0.
pub(super) fn from_msf([minute, second, frame]: [u8; 3]) -> Option<u32> {
    let [minute, second, frame] = [minute, second, frame].map(u32::from);
    if second >= SECONDS || frame >= FRAMES {
        return None;
    }
    ((minute * SECONDS + second) * FRAMES + frame).checked_sub(LEAD)
}

/// An address of 4 bytes.
pub(super) fn to_bytes(block: u32, notation: Notation) -> [u8; 4] {
    match notation {
        Notation::Block => block.to_be_bytes(),
        Notation::Msf => {
            let [minute, second, frame] = to_msf(block);
            [0, minute, second, frame]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back() {
        assert_eq!(to_msf(0), [0, 2, 0]);
        assert_eq!(to_msf(359_849), [79, 59, 74]);
        for block in [0, 74, 75, 4349, 4350, 359_849] {
            assert_eq!(from_msf(to_msf(block)), Some(block));
        }
        assert_eq!(from_msf([0, 1, 74]), None);
        assert_eq!(from_msf([0, 60, 0]), None);
        assert_eq!(from_msf([0, 2, 75]), None);
    }
}
