//! Events in the form of VM-entry interruption information and IDT-vectoring information (SDM vol. 3C, tables 25-17 and 25-20).

use crate::bits::interruption as info;
use hvm::event::{Event, Exception};
use hvm::regs::Cr0;

/// What VM entry is told to deliver: interruption information, error code, instruction length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injection {
    pub information: u64,
    pub error_code: u64,
    pub length: u64,
}

/// The fields for an event. In real mode exceptions push no error code, and VM entry insists on that (27.2.1.3).
pub const fn encode(wanted: Event, cr0: u64) -> Injection {
    let (kind, vector, error_code, length) = match wanted {
        Event::Interrupt { vector } => (info::TYPE_EXTERNAL, vector, None, 0),
        Event::Nmi => (info::TYPE_NMI, 2, None, 0),
        Event::SoftwareInterrupt { vector, length } => {
            (info::TYPE_SOFTWARE_INTERRUPT, vector, None, length as u64)
        }
        Event::Exception(exception) => (
            info::TYPE_HARDWARE_EXCEPTION,
            exception.vector,
            exception.error_code,
            0,
        ),
    };
    let word = info::VALID | kind << info::TYPE_SHIFT | vector as u64;
    match error_code {
        Some(code) if cr0 & Cr0::PE.bits() != 0 => Injection {
            information: word | info::ERROR_VALID,
            error_code: code as u64,
            length,
        },
        _ => Injection {
            information: word,
            error_code: 0,
            length,
        },
    }
}

/// The event in an IDT-vectoring word, with its error code. INT n, INT1, INT3 and INTO are left out: RIP still points at the
/// instruction, which simply runs again (28.2.4).
#[inline]
pub fn decode(word: u64, error_code: impl FnOnce() -> u64) -> Option<Event> {
    if word & info::VALID == 0 {
        return None;
    }
    let vector = (word & info::VECTOR) as u8;
    match word >> info::TYPE_SHIFT & info::TYPE_MASK {
        info::TYPE_EXTERNAL => Some(Event::Interrupt { vector }),
        info::TYPE_NMI => Some(Event::Nmi),
        info::TYPE_HARDWARE_EXCEPTION => Some(Event::Exception(Exception {
            vector,
            error_code: (word & info::ERROR_VALID != 0).then(|| error_code() as u32),
            cr2: None,
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_is_injected_again_unchanged() {
        for event in [
            Event::Interrupt { vector: 0xec },
            Event::Nmi,
            Event::Exception(Exception::with_code(13, 0x18)),
            Event::Exception(Exception::plain(7)),
        ] {
            let fields = encode(event, 1);
            assert_eq!(
                decode(fields.information, || fields.error_code),
                Some(event)
            );
        }
        let fields = encode(Event::Exception(Exception::with_code(14, 7)), 1);
        assert_eq!((fields.information, fields.error_code), (0x8000_0b0e, 7));
    }

    #[test]
    fn real_mode_takes_no_error_code() {
        let fields = encode(Event::Exception(Exception::GENERAL_PROTECTION), 0);
        assert_eq!(fields.information, 0x8000_030d);
    }

    #[test]
    fn software_interrupts_run_again_instead() {
        let soft = encode(
            Event::SoftwareInterrupt {
                vector: 0x80,
                length: 2,
            },
            1,
        );
        assert_eq!((soft.information, soft.length), (0x8000_0480, 2));
        for kind in [
            info::TYPE_SOFTWARE_INTERRUPT,
            info::TYPE_PRIVILEGED_SOFTWARE_EXCEPTION,
            info::TYPE_SOFTWARE_EXCEPTION,
        ] {
            assert_eq!(decode(info::VALID | kind << 8 | 3, || 0), None);
        }
        assert_eq!(decode(0, || 0), None);
    }
}
