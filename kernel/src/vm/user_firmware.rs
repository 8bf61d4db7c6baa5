//! Firmware of the user's own: its files, and the devices by which it learns what machine it is on.

use crate::info;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use appliance::Bundle;
use appliance::config::{BlobName, Boot, BootDevice, Firmware};
use guest_bios::platform::{COM1_PORT, Console, Platform};
use guest_bios::user::{self, BootPath, Facts, Flash, Image, OrderedBy};
use guest_mem::{Gpa, GuestMemory};
use pc::board::Board;
use pc::fw_cfg::{FwCfg, Key};
use pc::pflash;

/// The least address for what the firmware gives to PCI devices: OVMF starts there, SeaBIOS stays above.
const PCI_MEMORY: Gpa = Gpa(0x8000_0000);

/// Its files, found good.
pub struct UserFirmware {
    /// The ROM image, with the variables.
    pub image: Image<'static>,
    /// The display's ROM.
    pub video_rom: Option<&'static [u8]>,
}

impl UserFirmware {
    /// Opens the files that the configuration names; `None` if it names no firmware.
    pub fn open(boot: &Boot, bundle: &Bundle<'static>) -> Result<Option<Self>, String> {
        let Boot::Firmware {
            firmware: Firmware::Image(files),
            ..
        } = boot
        else {
            return Ok(None);
        };
        let open = |blob: &BlobName| bundle.blob(blob).map_err(|error| error.to_string());
        let code = open(&files.code)?;
        let variables = files.variables.as_ref().map(open).transpose()?;
        let video_rom = files.video_rom.as_ref().map(open).transpose()?;
        let place = |blob: &BlobName| {
            format!(
                "monovisor.toml, {}: `{} = {}`",
                blob.place, blob.key, blob.name
            )
        };
        let image = Image::parse(code, variables)
            .map_err(|error| format!("{}: {}", place(&files.code), error.0))?;
        if let (Some(rom), Some(blob)) = (video_rom, &files.video_rom) {
            check_video_rom(rom).map_err(|error| format!("{}: {error}", place(blob)))?;
        }
        match image.flash() {
            Some(Flash { contents, .. }) => info!(
                "firmware `{}`: {} KiB, and {} KiB of variables, which last until the host goes off",
                files.code.name,
                image.code().len() / 1024,
                contents.len() / 1024
            ),
            None => info!(
                "firmware `{}`: {} KiB, no variables",
                files.code.name,
                image.code().len() / 1024
            ),
        }
        Ok(Some(Self { image, video_rom }))
    }

    /// Plugs in what the firmware looks for on `board`, and tells it of the machine. `order` and `paths` are what to boot from.
    pub fn attach(
        &self,
        board: &mut Board,
        platform: Platform,
        memory: &GuestMemory,
        order: &[BootDevice],
        paths: &[BootPath],
    ) -> Result<(), String> {
        let low_end = memory
            .regions()
            .iter()
            .map(|region| Gpa(region.gpa.0 + region.bytes))
            .filter(|end| *end < guest_bios::platform::ABOVE_4G)
            .max();
        let platform = Platform {
            console: Console::Screen,
            pci_memory: low_end.map_or(PCI_MEMORY, |end| end.max(PCI_MEMORY)),
            ..platform
        };
        let order: Vec<_> = order.iter().map(ordered_by).collect();
        let facts = Facts {
            platform: &platform,
            memory,
            order: &order,
            paths,
            screen_port: self.video_rom.is_none().then_some(COM1_PORT),
        };
        for (index, value) in user::cmos(&facts) {
            board.set_cmos(index, value);
        }
        let items = user::items(&facts).into_iter().map(|(key, bytes)| {
            let key = match key {
                user::Key::Selector(selector) => Key::Selector(selector),
                user::Key::File(name) => Key::File(name.to_string()),
            };
            (key, bytes)
        });
        let fw_cfg = FwCfg::new(items.collect())
            .map_err(|error| format!("firmware configuration device: {}", error.0))?;
        board.attach_fw_cfg(fw_cfg);
        if let Some(Flash { base, contents }) = self.image.flash() {
            let flash = pflash::Flash::new(contents.to_vec(), pflash::Protection::Writable)
                .map_err(|error| format!("firmware variables: {}", error.0))?;
            board.attach_flash(base, flash);
        }
        Ok(())
    }
}

/// An option ROM starts with its signature and its length in blocks (PCI Firmware 3.0, 5.1).
fn check_video_rom(rom: &[u8]) -> Result<(), String> {
    const SIGNATURE: [u8; 2] = [0x55, 0xaa];
    const BLOCK_BYTES: usize = 512;
    match rom {
        [first, second, blocks, ..]
            if [*first, *second] == SIGNATURE
                && rom.len() >= usize::from(*blocks) * BLOCK_BYTES
                && rom.len() <= 1 << 20 =>
        {
            Ok(())
        }
        _ => Err(
            "no option ROM: it starts with 55 AA and its length (vgabios-stdvga.bin is one)".into(),
        ),
    }
}

fn ordered_by(device: &BootDevice) -> OrderedBy {
    match device {
        BootDevice::Floppy => OrderedBy::Floppy,
        BootDevice::Disk => OrderedBy::Disk,
        BootDevice::Cdrom => OrderedBy::Cdrom,
        BootDevice::Network => OrderedBy::Network,
    }
}
