//! The interrupt command register: what a CPU sends (SDM vol. 3A, 11.6.1 and 11.12.9).

use super::Lapic;
use super::accept::FIRST_VECTOR;
use super::bits::{ERROR_SEND_VECTOR, ICR_ASSERT, ICR_LEVEL, ICR_LOGICAL};
use hvm::apic::{ApicMessage, Delivery, Destination, DestinationMode, Trigger};
use hvm::device::Signals;

/// The shorthand field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shorthand {
    None,
    Myself,
    All,
    Others,
}

impl Shorthand {
    fn from_command(low: u32) -> Self {
        match low >> 18 & 3 {
            0 => Self::None,
            1 => Self::Myself,
            2 => Self::All,
            _ => Self::Others,
        }
    }
}

/// The delivery mode field; `None` if reserved or an INIT de-assert, which does nothing since the Pentium 4.
fn delivery(low: u32) -> Option<Delivery> {
    Some(match low >> 8 & 7 {
        0 => Delivery::Fixed,
        1 => Delivery::LowestPriority,
        2 => Delivery::Smi,
        4 => Delivery::Nmi,
        5 if low & ICR_LEVEL != 0 && low & ICR_ASSERT == 0 => return None,
        5 => Delivery::Init,
        6 => Delivery::StartUp,
        _ => return None,
    })
}

impl Lapic {
    /// Carries out the command. Interrupts to the sender itself by shorthand are requested at once; all else leaves through
    /// `signals`, also messages whose destination field happens to name the sender. IPIs are edge-triggered (11.6.1).
    #[inline]
    pub(super) fn send(&mut self, low: u32, destination: u32, signals: &mut dyn Signals) {
        let Some(delivery) = delivery(low) else {
            return;
        };
        let vector = low as u8;
        let fixed = delivery == Delivery::Fixed;
        if (fixed || delivery == Delivery::LowestPriority) && vector < FIRST_VECTOR {
            self.error(ERROR_SEND_VECTOR);
            return;
        }
        let destination = match Shorthand::from_command(low) {
            Shorthand::None => Destination::Field {
                value: destination,
                mode: if low & ICR_LOGICAL != 0 {
                    DestinationMode::Logical
                } else {
                    DestinationMode::Physical
                },
            },
            // Table 11-3: with a shorthand that includes the sender, only fixed delivery is valid.
            Shorthand::Myself | Shorthand::All if !fixed => return,
            Shorthand::Myself => {
                self.send_to_self(vector);
                return;
            }
            Shorthand::All => {
                self.send_to_self(vector);
                Destination::Others
            }
            Shorthand::Others => Destination::Others,
        };
        signals.interrupt(ApicMessage {
            destination,
            delivery,
            vector,
            trigger: Trigger::Edge,
        });
    }

    /// Requests `vector` from oneself.
    #[inline]
    pub(super) fn send_to_self(&mut self, vector: u8) {
        if vector < FIRST_VECTOR {
            self.error(ERROR_SEND_VECTOR);
        } else if self.software_enabled() {
            self.request(vector, Trigger::Edge);
        }
    }
}
