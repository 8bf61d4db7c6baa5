//! INT 13h: diskettes, disks, CDs (IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 13h"; BIOS Enhanced
//! Disk Drive Specification 3.0; El Torito 1.0, chapter 4).
//!
//! A transfer is a copy between the drive's back end and the caller's memory: no ports, no controller.

pub mod drives;
mod edd;
pub mod eltorito;
mod emulation;
pub(in crate::bios) mod geometry;
mod legacy;
mod status;
mod transfer;

use super::Bios;
use super::bda;
use super::call::{Call, Served};
use drives::{FIRST_DISK, Target};
use status::Status;

/// The end of a call: AH, CF and the data area's status byte.
pub(super) type Answer = Result<(), Status>;

/// Serves a call.
pub(super) fn serve(bios: &mut Bios, call: &mut Call<'_>) -> Served {
    let number = call.dl();
    let function = call.ah();
    let place = if number < FIRST_DISK {
        bda::DISKETTE_STATUS
    } else {
        bda::DISK_STATUS
    };
    if function == 0x01 {
        let last: u8 = call.load(place)?;
        call.set_ah(last);
        if last == 0 {
            call.succeed();
        } else {
            call.fail();
        }
        return Ok(());
    }
    let answer = match function {
        0x4a..=0x4d => emulation::serve(bios, call, function)?,
        _ => match bios.find_drive(number) {
            Some(target) => on_drive(bios, call, function, &target)?,
            None if function == 0x15 => {
                // No such drive.
                call.set_ah(0);
                call.succeed();
                return Ok(());
            }
            None => Err(Status::Invalid),
        },
    };
    match answer {
        Ok(()) => {
            if !matches!(function, 0x15 | 0x41) {
                call.set_ah(0);
            }
            call.succeed();
            call.store(place, &0_u8)
        }
        Err(status) => {
            call.set_ah(status as u8);
            call.fail();
            call.store(place, &(status as u8))
        }
    }
}

fn on_drive(bios: &mut Bios, call: &mut Call<'_>, function: u8, target: &Target) -> Served<Answer> {
    match function {
        // Reset, initialize, seek, recalibrate, drive ready, diagnostics: there is nothing to move or to test.
        0x00 | 0x09 | 0x0c | 0x0d | 0x10 | 0x11 | 0x14 => Ok(Ok(())),
        0x05 => legacy::format(call, target),
        0x02..=0x04 => legacy::transfer(call, target),
        0x08 => legacy::parameters(bios, call, target),
        0x15 => legacy::kind(call, target),
        0x16 => legacy::changed(call, target),
        0x17 | 0x18 => legacy::set_medium(call, target, function),
        0x41..=0x49 | 0x4e => edd::serve(call, target, function),
        _ => {
            bios.log_missing(call, 0x13);
            Ok(Err(Status::Invalid))
        }
    }
}
