//! INT 08h, the tick, and INT 70h, the clock's interrupt. The ROM calls INT 1Ch and INT 4Ah in between.

use super::Bios;
use super::bda;
use super::call::{Call, Resume, Served};
use super::{int15, pic, rtc};
use crate::rom::clock::ALARM_TAIL;

/// Ticks of a day: 1193182 / 65536 a second.
pub const TICKS_PER_DAY: u32 = 0x1800b0;

/// INT 08h, first step: the time moves on.
pub fn tick(call: &mut Call<'_>) -> Served {
    let ticks: u32 = call.load(bda::TICKS)?;
    let mut next = ticks.wrapping_add(1);
    if next >= TICKS_PER_DAY {
        next = 0;
        let midnights: u8 = call.load(bda::MIDNIGHTS)?;
        call.store(bda::MIDNIGHTS, &midnights.wrapping_add(1))?;
    }
    call.store(bda::TICKS, &next)?;
    let motor: u8 = call.load(bda::DISKETTE_MOTOR_TICKS)?;
    if motor > 0 {
        call.store(bda::DISKETTE_MOTOR_TICKS, &(motor - 1))?;
    }
    Ok(())
}

/// INT 70h: reading register C makes the clock go on. An alarm goes to INT 4Ah.
pub fn clock(bios: &Bios, call: &mut Call<'_>) -> Served {
    let enabled = rtc::read(call, rtc::REGISTER_B);
    let cause = rtc::read(call, rtc::REGISTER_C) & enabled;
    if cause & rtc::PERIODIC != 0 {
        int15::elapsed(bios, call)?;
    }
    if cause & rtc::ALARM != 0 {
        call.resume(Resume::Near(ALARM_TAIL));
    }
    pic::end(call, 8);
    Ok(())
}
