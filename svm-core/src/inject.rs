//! Events in EVENTINJ and EXITINTINFO form (APM vol. 2, 15.20 and 15.7.2): the neutral word, and the error code above it.

use crate::bits::event::ERROR_SHIFT;
use hvm::event::Event;
use hvm::interruption;

/// The EVENTINJ word for an event.
pub const fn encode(wanted: Event) -> u64 {
    match interruption::encode(wanted) {
        (word, Some(code)) => word as u64 | (code as u64) << ERROR_SHIFT,
        (word, None) => word as u64,
    }
}

/// The event in an EXITINTINFO word.
#[inline]
pub fn decode(word: u64) -> Option<Event> {
    if word as u32 & interruption::VALID == 0 {
        return None;
    }
    interruption::decode(word as u32, || (word >> ERROR_SHIFT) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::event::Exception;

    #[test]
    fn the_error_code_is_the_upper_half() {
        let fault = Event::Exception(Exception::with_code(14, 7));
        assert_eq!(encode(fault), 0x0000_0007_8000_0b0e);
        assert_eq!(decode(encode(fault)), Some(fault));
        assert_eq!(encode(Event::Nmi), 0x8000_0202);
    }
}
