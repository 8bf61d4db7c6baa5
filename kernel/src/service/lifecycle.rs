//! The lifecycle service: what is to become of the host.

use super::{CONSOLE, control::CONTROL, control::HostAction, signal::Signal};
use crate::power;

/// Raised when the guest's state or the wish for the host changes.
pub static CHANGED: Signal = Signal::new();

/// Waits for the wish, sends what the consoles still hold, and does it.
pub async fn run() {
    let action = loop {
        if let Some(action) = CONTROL.host_action() {
            break action;
        }
        CHANGED.wait().await;
    };
    if let Some(console) = CONSOLE.lock().take() {
        console.hand_back();
    }
    match action {
        HostAction::PowerOff => power::power_off(),
        HostAction::Reboot => power::reboot(),
    }
}
