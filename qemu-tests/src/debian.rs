//! Debian's own kernels, as packaged.

use crate::command;
use crate::package::{self, Architecture};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The metapackage whose dependency is the kernel that guests run where nothing else is asked for.
const METAPACKAGE: &str = "linux-image-cloud-amd64";

/// An unpacked kernel package.
#[derive(Clone, Debug)]
pub struct Kernel {
    root: PathBuf,
    release: String,
}

impl Kernel {
    /// The newest cloud kernel that apt offers; fetched and unpacked once, then kept. Should apt be out of reach, a copy
    /// from an earlier run is taken.
    pub fn fetch() -> Result<Self> {
        Self::behind(METAPACKAGE, Architecture::Amd64)
            .or_else(|error| kept(&package::store()?).ok_or(error))
    }

    /// The kernel that a metapackage stands for.
    pub fn behind(metapackage: &str, architecture: Architecture) -> Result<Self> {
        let package = package::dependency(metapackage, PREFIX, architecture)?;
        let root = package::fetch(&package, architecture)?;
        Ok(Self::of(root, &package))
    }

    fn of(root: PathBuf, package: &str) -> Self {
        let release = package.trim_start_matches(PREFIX).to_owned();
        Self { root, release }
    }

    /// The bzImage.
    pub fn image(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// What `uname -r` prints in the guest.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The modules of these names and what they need, in the order in which to load them. Names that the kernel has
    /// built in are skipped; a name that it does not have at all is an error.
    pub fn modules(&self, names: &[&str]) -> Result<Vec<Module>> {
        let library = self.root.join("lib/modules").join(&self.release);
        let mut files = Vec::new();
        find_modules(&library.join("kernel"), &mut files)?;
        let built_in = fs::read_to_string(library.join("modules.builtin")).unwrap_or_default();
        let built_in = built_in
            .lines()
            .map(|line| module_name(Path::new(line)))
            .collect();
        let mut loading = Loading {
            files,
            built_in,
            order: Vec::new(),
        };
        for name in names {
            loading.load(name)?;
        }
        Ok(loading.order)
    }
}

/// How the names of kernels' packages start.
const PREFIX: &str = "linux-image-";

/// A cloud kernel that an earlier run unpacked.
fn kept(store: &Path) -> Option<Kernel> {
    let entries = fs::read_dir(store).ok()?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let newest = names
        .filter(|name| name.starts_with(PREFIX) && name.ends_with("-cloud-amd64"))
        .max()?;
    Some(Kernel::of(store.join(&newest), &newest))
}

/// A kernel module, plain.
pub struct Module {
    /// Its file's name, without directories and compression.
    pub file: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Module {
    /// Debian compresses modules from version 13 on.
    fn read(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut bytes =
            fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        if name.ends_with(".xz") {
            bytes = command::filter(Command::new("xz").arg("-dc"), &bytes)?;
        }
        Ok(Self {
            file: name.trim_end_matches(".xz").to_owned(),
            bytes,
        })
    }

    fn name(&self) -> String {
        module_name(Path::new(&self.file))
    }
}

struct Loading {
    files: Vec<PathBuf>,
    built_in: BTreeSet<String>,
    order: Vec<Module>,
}

impl Loading {
    fn load(&mut self, name: &str) -> Result<()> {
        let name = name.replace('-', "_");
        if self.built_in.contains(&name) || self.order.iter().any(|module| module.name() == name) {
            return Ok(());
        }
        let Some(file) = self
            .files
            .iter()
            .find(|file| module_name(file) == name)
            .cloned()
        else {
            bail!("the packaged kernel has no module `{name}`");
        };
        let module = Module::read(&file)?;
        for dependency in dependencies(&module.bytes) {
            self.load(&dependency)?;
        }
        self.order.push(module);
        Ok(())
    }
}

/// `lib/x/virtio-rng.ko` is the module `virtio_rng`: the kernel treats both dashes alike.
fn module_name(file: &Path) -> String {
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    let name = file.split('.').next().unwrap_or_default();
    name.replace('-', "_")
}

fn find_modules(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            find_modules(&path, found)?;
        } else if is_module(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_module(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.ends_with(".ko") || name.ends_with(".ko.xz")
}

/// The `depends=` entry of a module's `.modinfo` section: NUL-terminated, comma-separated.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(start) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module[start + KEY.len()..]
        .split(|&byte| byte == 0)
        .next()
        .unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    value
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_from_modinfo() {
        let module = b"\x7fELF\0license=GPL\0depends=virtio,virtio_ring\0retpoline=Y\0";
        assert_eq!(dependencies(module), ["virtio", "virtio_ring"]);
        assert!(dependencies(b"\x7fELF\0depends=\0name=x\0").is_empty());
        assert!(dependencies(b"").is_empty());
    }

    #[test]
    fn dashes_in_file_names_are_underscores_in_module_names() {
        assert_eq!(
            module_name(Path::new("kernel/drivers/char/hw_random/virtio-rng.ko")),
            "virtio_rng"
        );
        assert_eq!(
            module_name(Path::new("drivers/ata/ata-piix.ko.xz")),
            "ata_piix"
        );
    }
}
