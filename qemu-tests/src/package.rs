//! Debian's packages, fetched and unpacked under `target/guests` without installing anything.
//!
//! Packages of a foreign architecture come from lists of our own, so that this computer's package database stays as it is.

use crate::turn::Turn;
use crate::{command, tree};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whose binaries a package holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// This computer's.
    Amd64,
    /// 32-bit PCs'.
    I386,
}

impl Architecture {
    /// A package's name, as apt is told it.
    fn qualified(self, package: &str) -> String {
        match self {
            Self::Amd64 => package.to_owned(),
            Self::I386 => format!("{package}:i386"),
        }
    }

    /// A package's directory.
    fn directory(self, package: &str) -> String {
        match self {
            Self::Amd64 => package.to_owned(),
            Self::I386 => format!("{package}_i386"),
        }
    }
}

/// The unpacked package: fetched once, then kept.
pub fn fetch(package: &str, architecture: Architecture) -> Result<PathBuf> {
    let store = store()?;
    let root = store.join(architecture.directory(package));
    // It comes into being whole, by a rename.
    if root.is_dir() {
        return Ok(root);
    }
    let _turn = Turn::take()?;
    if !root.is_dir() {
        with_lists(architecture, || {
            unpack(&store, package, architecture, &root)
        })?;
    }
    Ok(root)
}

/// The package that a metapackage depends on today, the first whose name starts with `prefix`.
pub fn dependency(metapackage: &str, prefix: &str, architecture: Architecture) -> Result<String> {
    with_lists(architecture, || {
        let mut ask = apt("apt-cache", architecture)?;
        let listing = command::output(ask.arg("depends").arg(architecture.qualified(metapackage)))?;
        let name = listing
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with(prefix));
        let name = name.and_then(|name| name.split(':').next());
        name.map(str::to_owned)
            .with_context(|| format!("apt knows no {prefix}… behind {metapackage}"))
    })
}

/// Where unpacked packages are.
pub fn store() -> Result<PathBuf> {
    let store = tree::guests();
    fs::create_dir_all(&store).with_context(|| format!("cannot create {}", store.display()))?;
    Ok(store)
}

/// Does something with apt's lists; where they are missing or too old they are updated, if this user may, and it is tried again.
fn with_lists<T>(architecture: Architecture, body: impl Fn() -> Result<T>) -> Result<T> {
    body().or_else(|error| {
        let updated = apt("apt-get", architecture)
            .and_then(|mut apt| command::output(apt.args(["update", "-q"])));
        match updated {
            Ok(_) => body(),
            // A list of another suite may be what failed.
            Err(_) => body().map_err(|_| error.context("run `apt-get update` and try again")),
        }
    })
}

/// One of apt's programs; for a foreign architecture, with lists and a cache of its own.
fn apt(program: &str, architecture: Architecture) -> Result<Command> {
    let mut command = Command::new(program);
    if architecture == Architecture::I386 {
        let root = tree::guests().join("apt");
        for directory in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(root.join(directory))?;
        }
        command.args(["-o", "APT::Architectures::=amd64"]);
        command.args(["-o", "APT::Architectures::=i386"]);
        for (option, directory) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
            let value = format!("{option}={}", root.join(directory).display());
            command.args(["-o", &value]);
        }
    }
    Ok(command)
}

fn unpack(store: &Path, package: &str, architecture: Architecture, root: &Path) -> Result<()> {
    eprintln!("fetching Debian's {package} (once)");
    let scratch = store.join(format!("fetch-{}", std::process::id()));
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    command::output(
        apt("apt-get", architecture)?
            .args(["download", "-q"])
            .arg(architecture.qualified(package))
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
        .with_context(|| format!("cannot move the unpacked package to {}", root.display()))?;
    fs::remove_dir_all(&scratch)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_package_has_a_name_and_a_place_of_its_own() {
        assert_eq!(Architecture::Amd64.qualified("ipxe"), "ipxe");
        assert_eq!(Architecture::I386.qualified("ipxe"), "ipxe:i386");
        assert_ne!(
            Architecture::Amd64.directory("ipxe"),
            Architecture::I386.directory("ipxe")
        );
    }
}
