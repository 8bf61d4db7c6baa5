//! Functions 00h to 07h: ticks, clock and alarm.

use super::super::bda;
use super::super::call::{Call, Served};
use super::super::timer::TICKS_PER_DAY;
use super::super::{pic, rtc};

pub fn serve(call: &mut Call<'_>) -> Served {
    match call.ah() {
        0x00 => {
            let ticks: u32 = call.load(bda::TICKS)?;
            let midnights: u8 = call.load(bda::MIDNIGHTS)?;
            call.store(bda::MIDNIGHTS, &0_u8)?;
            call.set_al(midnights);
            call.set_cx((ticks >> 16) as u16);
            call.set_dx(ticks as u16);
        }
        0x01 => {
            let ticks = u32::from(call.cx()) << 16 | u32::from(call.dx());
            call.store(bda::TICKS, &ticks)?;
            call.store(bda::MIDNIGHTS, &0_u8)?;
        }
        0x02 => {
            let [hours, minutes, seconds] =
                [rtc::HOURS, rtc::MINUTES, rtc::SECONDS].map(|index| rtc::read(call, index));
            let saving = rtc::read(call, rtc::REGISTER_B) & rtc::DAYLIGHT_SAVING;
            call.set_ch(hours);
            call.set_cl(minutes);
            call.set_dh(seconds);
            call.set_dl(saving);
        }
        0x03 => {
            let control = rtc::read(call, rtc::REGISTER_B) & !rtc::DAYLIGHT_SAVING;
            let saving = call.dl() & rtc::DAYLIGHT_SAVING;
            rtc::write(call, rtc::REGISTER_B, control | rtc::HOURS_24 | saving);
            rtc::write(call, rtc::HOURS, call.ch());
            rtc::write(call, rtc::MINUTES, call.cl());
            rtc::write(call, rtc::SECONDS, call.dh());
        }
        0x04 => {
            let [century, year, month, day] =
                [rtc::CENTURY, rtc::YEAR, rtc::MONTH, rtc::DAY].map(|index| rtc::read(call, index));
            call.set_ch(century);
            call.set_cl(year);
            call.set_dh(month);
            call.set_dl(day);
        }
        0x05 => {
            rtc::write(call, rtc::CENTURY, call.ch());
            rtc::write(call, rtc::YEAR, call.cl());
            rtc::write(call, rtc::MONTH, call.dh());
            rtc::write(call, rtc::DAY, call.dl());
        }
        0x06 => return set_alarm(call),
        _ => {
            let control = rtc::read(call, rtc::REGISTER_B);
            rtc::write(call, rtc::REGISTER_B, control & !rtc::ALARM);
        }
    }
    if call.ah() != 0 {
        call.set_ah(0);
    }
    call.succeed();
    Ok(())
}

/// Function 06h: INT 4Ah at CH:CL:DH. An alarm that is set already is an error.
fn set_alarm(call: &mut Call<'_>) -> Served {
    let control = rtc::read(call, rtc::REGISTER_B);
    if control & rtc::ALARM != 0 {
        call.fail();
        return Ok(());
    }
    rtc::write(call, rtc::ALARM_HOURS, call.ch());
    rtc::write(call, rtc::ALARM_MINUTES, call.cl());
    rtc::write(call, rtc::ALARM_SECONDS, call.dh());
    rtc::write(call, rtc::REGISTER_B, control | rtc::ALARM);
    pic::unmask(call, 8);
    call.succeed();
    Ok(())
}

/// The ticks since midnight by the clock.
pub fn ticks_now(call: &mut Call<'_>) -> u32 {
    const PIT_HZ: u64 = 1_193_182;
    let [hours, minutes, seconds] = [rtc::HOURS, rtc::MINUTES, rtc::SECONDS]
        .map(|index| u64::from(rtc::from_decimal(rtc::read(call, index))));
    let seconds = (hours * 60 + minutes) * 60 + seconds;
    (seconds * PIT_HZ / 65536).min(u64::from(TICKS_PER_DAY) - 1) as u32
}
