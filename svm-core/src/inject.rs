//! Events in EVENTINJ and EXITINTINFO form (APM vol. 2, 15.20 and 15.7.2).

use crate::bits::event;
use hvm::event::{Event, Exception};

/// The EVENTINJ word for an event.
pub const fn encode(wanted: Event) -> u64 {
    match wanted {
        Event::Interrupt { vector } => {
            event::VALID | event::TYPE_INTERRUPT << event::TYPE_SHIFT | vector as u64
        }
        Event::Nmi => event::VALID | event::TYPE_NMI << event::TYPE_SHIFT | 2,
        Event::SoftwareInterrupt { vector, .. } => {
            event::VALID | event::TYPE_SOFTWARE << event::TYPE_SHIFT | vector as u64
        }
        Event::Exception(exception) => {
            let word =
                event::VALID | event::TYPE_EXCEPTION << event::TYPE_SHIFT | exception.vector as u64;
            match exception.error_code {
                Some(code) => word | event::ERROR_VALID | (code as u64) << event::ERROR_SHIFT,
                None => word,
            }
        }
    }
}

/// The event in an EXITINTINFO word. INT n, INT3 and INTO are left out: RIP still points at the instruction, which
/// simply runs again (15.20: their return address is the next RIP, which old CPUs do not save).
#[inline]
pub const fn decode(word: u64) -> Option<Event> {
    if word & event::VALID == 0 {
        return None;
    }
    let vector = (word & event::VECTOR) as u8;
    match word >> event::TYPE_SHIFT & event::TYPE_MASK {
        event::TYPE_INTERRUPT => Some(Event::Interrupt { vector }),
        event::TYPE_NMI => Some(Event::Nmi),
        event::TYPE_EXCEPTION if vector != 3 && vector != 4 => {
            let error_code = if word & event::ERROR_VALID != 0 {
                Some((word >> event::ERROR_SHIFT) as u32)
            } else {
                None
            };
            Some(Event::Exception(Exception {
                vector,
                error_code,
                cr2: None,
            }))
        }
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
            assert_eq!(decode(encode(event)), Some(event));
        }
        assert_eq!(
            encode(Event::Exception(Exception::with_code(14, 7))),
            0x0000_0007_8000_0b0e
        );
    }

    #[test]
    fn software_interrupts_run_again_instead() {
        assert_eq!(
            decode(encode(Event::SoftwareInterrupt {
                vector: 0x80,
                length: 2
            })),
            None
        );
        assert_eq!(decode(encode(Event::Exception(Exception::plain(3)))), None);
        assert_eq!(decode(0), None);
    }
}
