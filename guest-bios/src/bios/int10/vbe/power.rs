//! The display's power states (VBE/PM 1.0, function 4F10h): on, or dark.

use super::super::super::call::Call;
use super::super::registers::{self, Picture};
use super::{Answer, FAILED};

/// Serves a call: BL = 0 tells what there is, 1 sets the state in BH, 2 tells it.
pub fn serve(call: &mut Call<'_>) -> Answer {
    const VERSION: u8 = 0x10;
    const STANDBY_SUSPEND_OFF: u8 = 7;
    const OFF: u8 = 4;
    match (call.bl(), call.bh()) {
        (0, _) => {
            call.set_bl(VERSION);
            call.set_bh(STANDBY_SUSPEND_OFF);
        }
        (1, 0) => registers::set_picture(call, Picture::Shown),
        (1, 1 | 2 | OFF) => registers::set_picture(call, Picture::Dark),
        (2, _) => {
            let state = match registers::picture(call) {
                Picture::Shown => 0,
                Picture::Dark => OFF,
            };
            call.set_bh(state);
        }
        _ => return Err(FAILED),
    }
    Ok(())
}
