//! The word that describes an event to a control block. Its layout is the same in AMD's EVENTINJ and EXITINTINFO (APM vol. 2, 15.20 and
//! 15.7.2) and in Intel's interruption and IDT-vectoring information (SDM vol. 3C, tables 25-17 and 25-20).

use crate::event::{Event, Exception};

/// Bits 7:0.
pub const VECTOR: u32 = 0xff;
/// Bits 10:8.
pub const TYPE_SHIFT: u32 = 8;
/// See [`TYPE_SHIFT`].
pub const TYPE_MASK: u32 = 7;
/// External interrupt.
pub const TYPE_INTERRUPT: u32 = 0;
/// NMI.
pub const TYPE_NMI: u32 = 2;
/// Fault, trap or abort.
pub const TYPE_EXCEPTION: u32 = 3;
/// INT n.
pub const TYPE_SOFTWARE: u32 = 4;
/// An error code belongs to it.
pub const ERROR_VALID: u32 = 1 << 11;
/// There is an event at all.
pub const VALID: u32 = 1 << 31;

/// The word, and the error code where one is pushed.
pub const fn encode(event: Event) -> (u32, Option<u32>) {
    let (kind, vector, error_code) = match event {
        Event::Interrupt { vector } => (TYPE_INTERRUPT, vector, None),
        Event::Nmi => (TYPE_NMI, 2, None),
        Event::SoftwareInterrupt { vector, .. } => (TYPE_SOFTWARE, vector, None),
        Event::Exception(exception) => (TYPE_EXCEPTION, exception.vector, exception.error_code),
    };
    let word = VALID | kind << TYPE_SHIFT | vector as u32;
    match error_code {
        Some(_) => (word | ERROR_VALID, error_code),
        None => (word, None),
    }
}

/// The event whose delivery was cut short; `error_code` is asked for if there is one. INT n, INT1, INT3 and INTO are left out: RIP
/// still points at the instruction, which simply runs again (SDM vol. 3C, 28.2.4; APM vol. 2, 15.20: their return address is
/// the next RIP, which old CPUs do not save). Out of line: hardly any exit has one, and each would pay for the registers.
#[cold]
#[inline(never)]
pub fn decode(word: u32, error_code: impl FnOnce() -> u32) -> Option<Event> {
    const BREAKPOINT: u8 = 3;
    const OVERFLOW: u8 = 4;
    if word & VALID == 0 {
        return None;
    }
    let vector = (word & VECTOR) as u8;
    match word >> TYPE_SHIFT & TYPE_MASK {
        TYPE_INTERRUPT => Some(Event::Interrupt { vector }),
        TYPE_NMI => Some(Event::Nmi),
        TYPE_EXCEPTION if !matches!(vector, BREAKPOINT | OVERFLOW) => {
            Some(Event::Exception(Exception {
                vector,
                error_code: (word & ERROR_VALID != 0).then(error_code),
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
            let (word, error_code) = encode(event);
            assert_eq!(decode(word, || error_code.unwrap()), Some(event));
        }
        let page_fault = Event::Exception(Exception::with_code(14, 7));
        assert_eq!(encode(page_fault), (0x8000_0b0e, Some(7)));
    }

    #[test]
    fn software_interrupts_run_again_instead() {
        let (soft, _) = encode(Event::SoftwareInterrupt {
            vector: 0x80,
            length: 2,
        });
        assert_eq!(soft, 0x8000_0480);
        for word in [soft, VALID | 5 << 8 | 1, VALID | 6 << 8 | 3, 0] {
            assert_eq!(decode(word, || 0), None, "{word:#x}");
        }
        let (breakpoint, _) = encode(Event::Exception(Exception::plain(3)));
        assert_eq!(decode(breakpoint, || 0), None);
    }
}
