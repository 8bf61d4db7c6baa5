//! What goes into a bundle: the configuration as it is, and the files that it names.

use crate::Error;
use appliance::config::{BlobName, Boot, Config, Firmware, Loaded};
use appliance::newc::MAX_FILE_BYTES;
use appliance::{CONFIG_NAME, entry_name};
use guest_bios::linux::Image;
use guest_bios::user;
use std::fs;
use std::path::{Path, PathBuf};

/// A file to pack.
#[derive(Debug)]
pub struct PlannedFile {
    /// Its name in the bundle.
    pub name: String,
    /// Where it is on the host.
    pub path: PathBuf,
    /// Its length when it was planned.
    pub bytes: u64,
}

/// A bundle to be: everything in it was found and is of the right kind.
#[derive(Debug)]
pub struct Plan {
    /// The configuration's text, which goes into the bundle byte for byte.
    pub text: String,
    /// What it means, and the notes on it.
    pub loaded: Loaded,
    /// The files, each name once.
    pub files: Vec<PlannedFile>,
}

impl Plan {
    /// Reads the configuration at `config`; paths in it are relative to its folder.
    pub fn read(config: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(config).map_err(Error::read(config))?;
        let loaded =
            Config::load(&text, "").map_err(|error| Error::Config(config.to_owned(), error))?;
        let mut plan = Self {
            text,
            loaded,
            files: Vec::new(),
        };
        check_firmware(config, &plan.loaded.config)?;
        for blob in blobs(&plan.loaded.config) {
            let file = plan_file(config, &blob).map_err(|problem| Error::Blob {
                config: config.to_owned(),
                blob: Box::new(blob.clone()),
                problem,
            })?;
            if !plan.files.iter().any(|other| other.name == file.name) {
                plan.files.push(file);
            }
        }
        Ok(plan)
    }
}

/// Judges firmware of the user's own as the hypervisor will; files that are missing are found missing later.
fn check_firmware(path: &Path, config: &Config) -> Result<(), Error> {
    let Boot::Firmware {
        firmware: Firmware::Image(image),
        ..
    } = &config.boot
    else {
        return Ok(());
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let Ok(code) = fs::read(folder.join(&image.code.name)) else {
        return Ok(());
    };
    let variables = image
        .variables
        .as_ref()
        .and_then(|blob| fs::read(folder.join(&blob.name)).ok());
    user::Image::parse(&code, variables.as_deref())
        .map(drop)
        .map_err(|error| Error::Blob {
            config: path.to_owned(),
            blob: Box::new(image.code.clone()),
            problem: error.0,
        })
}

/// All files that a configuration names.
fn blobs(config: &Config) -> Vec<BlobName> {
    let mut blobs = Vec::new();
    match &config.boot {
        Boot::Linux { kernel, initrd, .. } => {
            blobs.push(kernel.clone());
            blobs.extend(initrd.clone());
        }
        Boot::Firmware {
            firmware: Firmware::Image(image),
            ..
        } => {
            blobs.push(image.code.clone());
            blobs.extend(image.variables.clone());
            blobs.extend(image.video_rom.clone());
        }
        Boot::Firmware { .. } => {}
    }
    blobs.extend(config.disks.iter().filter_map(|disk| disk.target.clone()));
    blobs.extend(config.media.clone());
    blobs
}

/// Finds a file, or says why it cannot be packed.
fn plan_file(config: &Path, blob: &BlobName) -> Result<PlannedFile, String> {
    let folder = config.parent().unwrap_or(Path::new(""));
    let path = folder.join(&blob.name);
    let metadata =
        fs::metadata(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if !metadata.is_file() {
        return Err(format!(
            "{} is no regular file: copy what it holds into one",
            path.display()
        ));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(format!(
            "{} has {} bytes; a bundle holds files of up to 4 GiB",
            path.display(),
            metadata.len()
        ));
    }
    let name = entry_name(&blob.name);
    if name == CONFIG_NAME {
        return Err(format!(
            "`{CONFIG_NAME}` is the configuration's own name in a bundle"
        ));
    }
    if blob.key == "kernel" {
        let kernel = fs::read(&path).map_err(|error| error.to_string())?;
        Image::parse(&kernel).map_err(|error| error.to_string())?;
    }
    Ok(PlannedFile {
        name,
        path,
        bytes: metadata.len(),
    })
}
