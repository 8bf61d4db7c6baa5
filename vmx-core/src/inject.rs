//! Events in the form of VM-entry interruption information (SDM vol. 3C, table 25-17): the neutral word, the error code and the
//! instruction's length beside it.

use hvm::event::Event;
use hvm::interruption;
use hvm::regs::Cr0;

/// What VM entry is told to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The interruption information.
    pub information: u32,
    /// The error code, where the information says that there is one.
    pub error_code: u32,
    /// The length of the instruction, for software interrupts.
    pub length: u8,
}

/// The fields for an event. In real mode exceptions push no error code, and VM entry insists on that (27.2.1.3).
pub const fn encode(wanted: Event, cr0: u64) -> Injection {
    let length = match wanted {
        Event::SoftwareInterrupt { length, .. } => length,
        _ => 0,
    };
    match interruption::encode(wanted) {
        (information, Some(error_code)) if cr0 & Cr0::PE.bits() != 0 => Injection {
            information,
            error_code,
            length,
        },
        (information, _) => Injection {
            information: information & !interruption::ERROR_VALID,
            error_code: 0,
            length,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::event::Exception;

    #[test]
    fn real_mode_takes_no_error_code() {
        let fault = Event::Exception(Exception::with_code(13, 0x18));
        let real = encode(fault, 0);
        assert_eq!((real.information, real.error_code), (0x8000_030d, 0));
        let protected = encode(fault, 1);
        assert_eq!(
            (protected.information, protected.error_code),
            (0x8000_0b0d, 0x18)
        );
    }

    #[test]
    fn software_interrupts_have_a_length() {
        let vector = 0x80;
        let soft = encode(Event::SoftwareInterrupt { vector, length: 2 }, 1);
        assert_eq!((soft.information, soft.length), (0x8000_0480, 2));
    }
}
