//! The functions that address sectors by cylinder, head and sector.

use super::super::Bios;
use super::super::call::{Call, Served};
use super::super::machine::{DriveKind, Protection};
use super::Answer;
use super::drives::Target;
use super::geometry::Chs;
use super::status::Status;
use super::transfer;
use crate::rom;
use guest_mem::Gva;
use hvm::backend::{SECTOR_BYTES, Transfer};
use hvm::regs::SegmentName;

/// Functions 02h, 03h, 04h: AL sectors from CX, DH on, to or from ES:BX, or only looked for.
pub fn transfer(call: &mut Call<'_>, target: &Target) -> Served<Answer> {
    const WRITE: u8 = 3;
    const VERIFY: u8 = 4;
    let count = call.al();
    let Some(medium) = target.medium(call.machine) else {
        return Ok(Err(Status::NoMedium));
    };
    // Sectors of a CD are larger than a track of these functions can say.
    if count == 0 || target.kind == DriveKind::Cdrom {
        return Ok(Err(Status::Invalid));
    }
    if let Err(changed) = target.notice_change(call.machine) {
        call.set_al(0);
        return Ok(Err(changed));
    }
    let Some((geometry, _)) = target.geometry(call.machine) else {
        return Ok(Err(Status::NoMedium));
    };
    let address = Chs::from_registers(call.cx(), call.dh());
    let end = |sector: u64| sector + u64::from(count);
    let Some(sector) = geometry
        .sector(address)
        .filter(|&sector| end(sector) <= medium.sectors)
    else {
        call.set_al(0);
        return Ok(Err(Status::NotFound));
    };
    let direction = match call.ah() {
        VERIFY => return Ok(Ok(())),
        WRITE if medium.protection == Protection::ReadOnly => {
            call.set_al(0);
            return Ok(Err(Status::WriteProtected));
        }
        WRITE => Transfer::Write,
        _ => Transfer::Read,
    };
    let buffer = call.linear(SegmentName::Es, call.bx().into());
    let bytes = u64::from(count) * SECTOR_BYTES;
    let answer = transfer::transfer(call, target, direction, sector, buffer, bytes)?;
    if answer.is_err() {
        call.set_al(0);
    }
    Ok(answer)
}

/// Function 05h: formats the track of CH and DH on a diskette, which fills its sectors with the byte that the diskette
/// parameter table names. The caller's list of sectors at ES:BX cannot change what the medium is divided into.
pub fn format(call: &mut Call<'_>, target: &Target) -> Served<Answer> {
    const PARAMETER_TABLE: u64 = 4 * 0x1e;
    const FILLER: u16 = 8;
    if target.kind != DriveKind::Floppy {
        return Ok(Err(Status::Invalid));
    }
    let Some(medium) = target.medium(call.machine) else {
        return Ok(Err(Status::NoMedium));
    };
    let Some((geometry, _)) = target.geometry(call.machine) else {
        return Ok(Err(Status::NoMedium));
    };
    if let Err(changed) = target.notice_change(call.machine) {
        return Ok(Err(changed));
    }
    if medium.protection == Protection::ReadOnly {
        return Ok(Err(Status::WriteProtected));
    }
    let track = Chs {
        sector: 1,
        ..Chs::from_registers(call.cx(), call.dh())
    };
    let sectors = u64::from(geometry.sectors);
    let Some(first) = geometry
        .sector(track)
        .filter(|&first| first + sectors <= medium.sectors)
    else {
        return Ok(Err(Status::NotFound));
    };
    let [offset, segment]: [u16; 2] = call.load(Gva(PARAMETER_TABLE))?;
    let filler = Gva(u64::from(segment) * 16 + u64::from(offset.wrapping_add(FILLER)));
    let sector = [call.load::<u8>(call.wrap(filler))?; SECTOR_BYTES as usize];
    for number in first..first + sectors {
        let written = call.machine.write_sectors(target.drive, number, &sector);
        if let Err(error) = written {
            return Ok(Err(transfer::status(error)));
        }
    }
    Ok(Ok(()))
}

/// Function 08h: the greatest cylinder and sector in CX, head in DH, the number of drives in DL, and for diskettes
/// the type in BL and the parameter table at ES:DI.
pub fn parameters(bios: &Bios, call: &mut Call<'_>, target: &Target) -> Served<Answer> {
    let drives = bios.count_drives(call.dl());
    let shape = match (target.geometry(call.machine), target.kind) {
        (Some(shape), DriveKind::Floppy | DriveKind::Disk) => shape,
        // An empty drive is told by its kind alone.
        (None, DriveKind::Floppy) => super::geometry::Geometry::of_diskette(2880),
        (None, _) => return Ok(Err(Status::NoMedium)),
        (_, DriveKind::Cdrom) => return Ok(Err(Status::Invalid)),
    };
    let (geometry, kind) = shape;
    let last = Chs {
        cylinder: geometry.cylinders - 1,
        head: 0,
        sector: geometry.sectors,
    };
    call.set_al(0);
    call.set_cx(last.cx());
    call.set_dh((geometry.heads - 1) as u8);
    call.set_dl(drives);
    if target.kind == DriveKind::Floppy {
        call.set_bx(kind.into());
        call.set_di(rom::DISKETTE_TABLE);
        call.set_segment(SegmentName::Es, rom::SEGMENT);
    }
    Ok(Ok(()))
}

/// Function 15h: AH 2 for a diskette drive with change line; 3 for a disk, with its sectors in CX:DX.
pub fn kind(call: &mut Call<'_>, target: &Target) -> Served<Answer> {
    const DISKETTE_WITH_CHANGE_LINE: u8 = 2;
    const DISK: u8 = 3;
    match target.kind {
        DriveKind::Floppy => call.set_ah(DISKETTE_WITH_CHANGE_LINE),
        DriveKind::Disk => {
            let sectors = target
                .medium(call.machine)
                .map_or(0, |medium| medium.sectors.min(u32::MAX.into()) as u32);
            call.set_ah(DISK);
            call.set_cx((sectors >> 16) as u16);
            call.set_dx(sectors as u16);
        }
        DriveKind::Cdrom => return Ok(Err(Status::Invalid)),
    }
    Ok(Ok(()))
}

/// Function 16h: whether the diskette was changed.
pub fn changed(call: &mut Call<'_>, target: &Target) -> Served<Answer> {
    Ok(match (target.kind, target.medium(call.machine)) {
        (DriveKind::Floppy, Some(_)) => target.notice_change(call.machine),
        (DriveKind::Floppy, None) => Err(Status::NoMedium),
        _ => Err(Status::Invalid),
    })
}

/// Functions 17h and 18h: the medium to be formatted, which is as it is; 18h tells the table at ES:DI.
pub fn set_medium(call: &mut Call<'_>, target: &Target, function: u8) -> Served<Answer> {
    if target.kind != DriveKind::Floppy {
        return Ok(Err(Status::Invalid));
    }
    if function == 0x18 {
        let Some((geometry, _)) = target.geometry(call.machine) else {
            return Ok(Err(Status::NoMedium));
        };
        let asked = Chs::from_registers(call.cx(), 0);
        if asked.cylinder + 1 != geometry.cylinders || asked.sector != geometry.sectors {
            return Ok(Err(Status::Invalid));
        }
        call.set_di(rom::DISKETTE_TABLE);
        call.set_segment(SegmentName::Es, rom::SEGMENT);
    }
    Ok(Ok(()))
}
