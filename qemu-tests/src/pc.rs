//! A guest that is a whole PC: it boots from its own media, through a BIOS.

use anyhow::{Context, Result};
use appliance::{CONFIG_NAME, newc::Writer};
use std::fs;
use std::path::PathBuf;

/// Where a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The first floppy drive.
    Floppy,
    /// Master of the first IDE channel, a hard disk.
    Disk,
    /// Master of the second IDE channel, a CD drive.
    Cd,
}

impl Place {
    /// xl-disk-configuration(5) for the bundle's file of that name.
    fn line(self) -> &'static str {
        match self {
            Self::Floppy => "file:floppy,fda,w",
            Self::Disk => "file:disk,hda,w",
            Self::Cd => "file:cd,hdc:cdrom,r",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Floppy => "floppy",
            Self::Disk => "disk",
            Self::Cd => "cd",
        }
    }

    /// QEMU's words for the drive; what is written is dropped at the end, as a RAM disk's content is.
    fn drive(self) -> &'static str {
        match self {
            Self::Floppy => "if=floppy,snapshot=on",
            Self::Disk => "if=ide,index=0,snapshot=on",
            Self::Cd => "if=ide,index=2,media=cdrom",
        }
    }
}

/// A PC.
#[derive(Clone, Debug)]
pub struct Pc {
    /// Its memory.
    pub memory_mib: u32,
    /// The boot order, in xl.cfg's letters.
    pub boot: &'static str,
    /// Its media: raw images.
    pub media: Vec<(Place, PathBuf)>,
    /// Further lines of `monovisor.toml`, as they are.
    pub settings: String,
}

impl Pc {
    /// One with a single medium, which it boots from.
    pub fn with(place: Place, image: PathBuf) -> Self {
        let boot = match place {
            Place::Floppy => "a",
            Place::Disk => "c",
            Place::Cd => "d",
        };
        Self {
            memory_mib: 192,
            boot,
            media: vec![(place, image)],
            settings: String::new(),
        }
    }

    /// The same with a further medium.
    pub fn and(mut self, place: Place, image: PathBuf) -> Self {
        self.media.push((place, image));
        self
    }

    /// The bundle's bytes.
    pub fn bundle(&self) -> Result<Vec<u8>> {
        let disks: Vec<_> = self
            .media
            .iter()
            .map(|(place, _)| format!("\"{}\"", place.line()))
            .collect();
        let config = format!(
            "name = \"guest\"\nmemory = {}\nboot = \"{}\"\ndisk = [{}]\n{}",
            self.memory_mib,
            self.boot,
            disks.join(", "),
            self.settings
        );
        let mut archive = Writer::new();
        let too_long = "too long for cpio";
        archive
            .file(CONFIG_NAME, config.as_bytes())
            .context(too_long)?;
        for (place, image) in &self.media {
            let content =
                fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
            archive.file(place.file(), &content).context(too_long)?;
        }
        Ok(archive.finish())
    }

    /// QEMU's arguments for the same PC without a hypervisor. A reset is one, as a guest's under Monovisor is.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "-boot".to_owned(),
            format!("order={}", self.boot),
            "-action".to_owned(),
            "reboot=reset".to_owned(),
        ];
        for (place, image) in &self.media {
            arguments.push("-drive".to_owned());
            arguments.push(format!(
                "file={},format=raw,{}",
                image.display(),
                place.drive()
            ));
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_names_what_it_holds() {
        let image = std::env::temp_dir().join(format!("pc-{}", std::process::id()));
        fs::write(&image, b"medium").unwrap();
        let pc = Pc::with(Place::Cd, image.clone()).and(Place::Disk, image.clone());
        let bundle = String::from_utf8(pc.bundle().unwrap()).unwrap();
        assert!(
            bundle.contains("boot = \"d\"\ndisk = [\"file:cd,hdc:cdrom,r\", \"file:disk,hda,w\"]")
        );
        assert_eq!(bundle.matches("medium").count(), 2);
        fs::remove_file(&image).unwrap();
        assert!(pc.bundle().is_err());
    }
}
