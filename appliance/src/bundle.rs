//! The bundle: an archive in which the configuration and the blobs that it names are found.

use crate::config::{BlobName, Config, ConfigError, Loaded};
use crate::newc::{ArchiveError, Entries, Entry, Kind};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// The configuration's name in every bundle.
pub const CONFIG_NAME: &str = "monovisor.toml";

/// An opened bundle. Its entries borrow from the bytes it was opened on.
#[derive(Clone, Debug)]
pub struct Bundle<'a> {
    files: Vec<Entry<'a>>,
    config: &'a str,
}

/// Why a bundle, or a blob in it, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// The archive is not one, or is damaged.
    Archive(ArchiveError),
    /// The archive is good but has no configuration; these are its first entries.
    NoConfig {
        /// Names, with commas between them.
        found: String,
    },
    /// The configuration is not UTF-8 from this offset on.
    ConfigNotText {
        /// Offset of the first bad byte.
        offset: usize,
    },
    /// The configuration has an error.
    Config(ConfigError),
    /// The configuration names a blob that the bundle has not.
    Missing {
        /// The name, and the key that holds it.
        blob: BlobName,
        /// The names that there are, with commas between them.
        found: String,
    },
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(error) => write!(f, "bundle (initrd) {error}"),
            Self::NoConfig { found } => write!(
                f,
                "bundle (initrd): no `{CONFIG_NAME}` in it, only: {found}. \
                 Pack one with `monovisor build guest.toml -o bundle.cpio`"
            ),
            Self::ConfigNotText { offset } => {
                write!(f, "{CONFIG_NAME}: byte {offset} is not UTF-8 text")
            }
            Self::Config(error) => write!(f, "{CONFIG_NAME}, {error}"),
            Self::Missing { blob, found } => write!(
                f,
                "{CONFIG_NAME}, {}: `{} = {}`: the bundle has no such file, only: {found}",
                blob.place, blob.key, blob.name
            ),
        }
    }
}

impl core::error::Error for BundleError {}

impl<'a> Bundle<'a> {
    /// Reads the archive's directory and finds the configuration.
    pub fn open(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let mut files = Vec::new();
        for entry in Entries::new(bytes) {
            let entry = entry.map_err(BundleError::Archive)?;
            if entry.kind == Kind::File {
                files.push(entry);
            }
        }
        let config = find(&files, CONFIG_NAME).ok_or_else(|| BundleError::NoConfig {
            found: list(&files),
        })?;
        let config = core::str::from_utf8(config).map_err(|error| BundleError::ConfigNotText {
            offset: error.valid_up_to(),
        })?;
        Ok(Self { files, config })
    }

    /// Reads the configuration, with the hypervisor's command line over it.
    pub fn load(&self, command_line: &str) -> Result<Loaded, BundleError> {
        Config::load(self.config, command_line).map_err(BundleError::Config)
    }

    /// The contents of a file that the configuration names.
    pub fn blob(&self, blob: &BlobName) -> Result<&'a [u8], BundleError> {
        self.file(&blob.name).ok_or_else(|| BundleError::Missing {
            blob: blob.clone(),
            found: list(&self.files),
        })
    }

    /// The contents of the file `name`. Of several the last counts, as when an initramfs is unpacked.
    pub fn file(&self, name: &str) -> Option<&'a [u8]> {
        find(&self.files, name)
    }
}

/// The name under which a bundle holds the file that a configuration calls `path`: the configuration is packed as it is,
/// host paths included, so that its lines keep their numbers. Empty if the path has no components.
pub fn entry_name(path: &str) -> String {
    let mut name = String::new();
    for step in steps(path) {
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(step);
    }
    name
}

fn find<'a>(files: &[Entry<'a>], path: &str) -> Option<&'a [u8]> {
    let same = |entry: &&Entry<'_>| steps(entry.name).eq(steps(path));
    Some(files.iter().rev().find(same)?.data)
}

/// A path's components: `/boot//vmlinuz`, `./boot/vmlinuz` and `boot/vmlinuz` name one file. `..` becomes a name, so that
/// no unpacked archive leaves its folder.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter(|step| !matches!(*step, "" | "."))
        .map(|step| if step == ".." { "up" } else { step })
}

/// The first files' names, for messages.
fn list(files: &[Entry<'_>]) -> String {
    const SHOWN: usize = 8;
    let mut text = String::new();
    for (index, file) in files.iter().take(SHOWN).enumerate() {
        text.push_str(if index == 0 { "" } else { ", " });
        text.extend(file.name.chars().take(60));
    }
    match files.len() {
        0 => "nothing".to_string(),
        len if len > SHOWN => text + ", …",
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Boot, Place};
    use crate::newc::Writer;
    use proptest::prelude::*;

    fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = Writer::new();
        for (name, data) in files {
            writer.file(name, data).unwrap();
        }
        writer.finish()
    }

    #[test]
    fn blobs_are_found_under_every_spelling() {
        let archive = pack(&[
            ("./monovisor.toml", b"kernel = \"/boot/vmlinuz\"\n"),
            ("boot/vmlinuz", b"old"),
            ("./boot/vmlinuz", b"new"),
        ]);
        let bundle = Bundle::open(&archive).unwrap();
        let loaded = bundle.load("").unwrap();
        let Boot::Linux { kernel, .. } = loaded.config.boot else {
            panic!("a kernel is named");
        };
        assert_eq!(bundle.blob(&kernel), Ok(&b"new"[..]));
        assert_eq!(bundle.file("../boot/vmlinuz"), None);
        assert_eq!(entry_name("/../a//./b"), "up/a/b");
    }

    #[test]
    fn a_missing_blob_is_named_with_its_line() {
        let archive = pack(&[
            (CONFIG_NAME, b"name='x'\nkernel = 'vmlinux'\n"),
            ("vmlinuz", b""),
        ]);
        let bundle = Bundle::open(&archive).unwrap();
        let Boot::Linux { kernel, .. } = bundle.load("").unwrap().config.boot else {
            panic!("a kernel is named");
        };
        assert_eq!(kernel.place, Place::Line(2));
        assert_eq!(
            bundle.blob(&kernel).unwrap_err().to_string(),
            "monovisor.toml, line 2: `kernel = vmlinux`: the bundle has no such file, only: monovisor.toml, vmlinuz"
        );
    }

    #[test]
    fn errors_name_the_file() {
        let error = |files: &[(&str, &[u8])]| {
            let archive = pack(files);
            let bundle = Bundle::open(&archive);
            bundle
                .and_then(|bundle| bundle.load(""))
                .unwrap_err()
                .to_string()
        };
        assert!(error(&[("init", b"")]).contains("no `monovisor.toml` in it, only: init"));
        assert!(error(&[(CONFIG_NAME, b"n\xff")]).contains("byte 1"));
        assert_eq!(
            error(&[(CONFIG_NAME, b"kernel='k'\nvcpus = 0")]),
            "monovisor.toml, line 2: `vcpus = 0`: expected a whole number from 1 to 64"
        );
        let foreign = Bundle::open(&[0x1f, 0x8b]).unwrap_err().to_string();
        assert!(foreign.contains("bundle (initrd) at offset 0x0: compressed bundle"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_answered(bytes: Vec<u8>) {
            let _ = Bundle::open(&bytes).map(|bundle| bundle.load("").is_ok());
        }
    }
}
