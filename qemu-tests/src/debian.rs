//! Debian's own kernel, as packaged: fetched and unpacked without installing anything.

use crate::{command, tree};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The metapackage whose dependency is the kernel that guests run.
const METAPACKAGE: &str = "linux-image-cloud-amd64";

/// An unpacked kernel package.
#[derive(Clone, Debug)]
pub struct Kernel {
    root: PathBuf,
    release: String,
}

impl Kernel {
    /// The newest cloud kernel that apt offers; fetched and unpacked once, then kept under `target/guests`. Where apt's
    /// lists are missing or too old they are updated, if this user may; should apt be out of reach, a copy from an
    /// earlier run is taken.
    pub fn fetch() -> Result<Self> {
        let store = tree::guests();
        fs::create_dir_all(&store).with_context(|| format!("cannot create {}", store.display()))?;
        let newest = newest(&store).or_else(|error| {
            match command::output(Command::new("apt-get").args(["update", "-q"])) {
                Ok(_) => newest(&store),
                Err(_) => Err(error.context("run `apt-get update` and try again")),
            }
        });
        newest.or_else(|error| kept(&store).ok_or(error))
    }

    fn of(store: &Path, package: &str) -> Self {
        let release = package.trim_start_matches("linux-image-").to_owned();
        Self {
            root: store.join(package),
            release,
        }
    }

    /// The bzImage.
    pub fn image(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// What `uname -r` prints in the guest.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The files of these modules and of what they need, in the order in which to load them. Names that the kernel has
    /// built in are skipped; a name that it does not have at all is an error.
    pub fn modules(&self, names: &[&str]) -> Result<Vec<PathBuf>> {
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

/// The package name that the metapackage depends on today.
fn dependency() -> Result<String> {
    let listing = command::output(Command::new("apt-cache").args(["depends", METAPACKAGE]))?;
    let name = listing
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    name.map(str::to_owned)
        .find(|name| name.starts_with("linux-image-"))
        .with_context(|| format!("apt knows no kernel behind {METAPACKAGE}"))
}

/// The kernel that apt's lists name, unpacked.
fn newest(store: &Path) -> Result<Kernel> {
    let package = dependency()?;
    let kernel = Kernel::of(store, &package);
    if !kernel.image().is_file() {
        unpack(store, &package, &kernel.root)?;
    }
    Ok(kernel)
}

/// A kernel that an earlier run unpacked.
fn kept(store: &Path) -> Option<Kernel> {
    let entries = fs::read_dir(store).ok()?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let newest = names
        .filter(|name| name.starts_with("linux-image-"))
        .max()?;
    Some(Kernel::of(store, &newest))
}

fn unpack(store: &Path, package: &str, root: &Path) -> Result<()> {
    eprintln!("fetching Debian's {package} (about 27 MB, once)");
    let scratch = store.join("fetch");
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    command::output(
        Command::new("apt-get")
            .args(["download", "-q", package])
            .current_dir(&scratch),
    )?;
    let Some(file) = fs::read_dir(&scratch)?.flatten().next() else {
        bail!(
            "`apt-get download {package}` left no file in {}",
            scratch.display()
        );
    };
    let tree = scratch.join("tree");
    command::output(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(file.path())
            .arg(&tree),
    )?;
    fs::rename(&tree, root)
        .with_context(|| format!("cannot move the unpacked kernel to {}", root.display()))?;
    fs::remove_dir_all(&scratch)?;
    Ok(())
}

struct Loading {
    files: Vec<PathBuf>,
    built_in: BTreeSet<String>,
    order: Vec<PathBuf>,
}

impl Loading {
    fn load(&mut self, name: &str) -> Result<()> {
        let name = name.replace('-', "_");
        if self.built_in.contains(&name) || self.order.iter().any(|file| module_name(file) == name)
        {
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
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        for dependency in dependencies(&bytes) {
            self.load(&dependency)?;
        }
        self.order.push(file);
        Ok(())
    }
}

/// `lib/x/virtio-rng.ko` is the module `virtio_rng`: the kernel treats both dashes alike.
fn module_name(file: &Path) -> String {
    file.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .replace('-', "_")
}

fn find_modules(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            find_modules(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            found.push(path);
        }
    }
    Ok(())
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
    }
}
