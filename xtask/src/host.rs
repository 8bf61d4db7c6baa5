//! What this computer must have: Debian packages and the bare-metal Rust target. Installs what is missing where it may.

use anyhow::{Context, Result, bail};
use qemu_tests::command;
use std::fs;
use std::process::Command;

/// The target that `kernel` and `boot` are built for.
pub const TARGET: &str = "x86_64-unknown-none";

/// How much a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Enough to build.
    Toolchain,
    /// Enough to build and to boot it every way.
    Emulator,
    /// Enough to build, and for the checks that need no machine.
    Checks,
    /// All of that.
    Everything,
}

/// Debian packages for booting in an emulator: QEMU and Bochs with their firmware, tools for media, the guest's user space, viewers, a network with a DHCP server. Bochs
/// wants one of its screens installed; that for terminals is the smallest.
const PACKAGES: [&str; 24] = [
    "qemu-system-x86",
    "seabios",
    "ovmf",
    "ipxe-qemu",
    "bochs",
    "bochs-term",
    "bochsbios",
    "vgabios",
    "grub-common",
    "grub-pc-bin",
    "grub-efi-amd64-bin",
    "isolinux",
    "syslinux-common",
    "xorriso",
    "mtools",
    "e2fsprogs",
    "busybox-static",
    "python3-venv",
    "tigervnc-viewer",
    "xvfb",
    "x11-xkb-utils",
    "xdotool",
    "dnsmasq-base",
    "socat",
];

/// Sees to it that everything is there, or says in one line what to install.
pub fn prepare(need: Need) -> Result<()> {
    rustup("target", TARGET)?;
    if matches!(need, Need::Checks | Need::Everything) {
        rustup("component", "clippy")?;
        rustup("component", "rustfmt")?;
    }
    if matches!(need, Need::Emulator | Need::Everything) {
        packages()?;
    }
    Ok(())
}

/// Adds a target or component that rustup does not list as installed.
fn rustup(kind: &str, name: &str) -> Result<()> {
    let listed = command::output(Command::new("rustup").args([kind, "list", "--installed"]));
    let listed = listed.context("Monovisor is built with rustup's stable toolchain")?;
    // Components are listed with the host's triple behind their name.
    if listed
        .lines()
        .any(|line| line == name || line.starts_with(&format!("{name}-x86_64")))
    {
        return Ok(());
    }
    eprintln!("adding rustup {kind} {name}");
    command::run(Command::new("rustup").args([kind, "add", name]))
}

fn packages() -> Result<()> {
    let missing = missing_packages()?;
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let Some(prefix) = privilege() else {
        bail!(
            "packages are missing; install them with\n    sudo apt-get install --no-install-recommends {list}"
        );
    };
    eprintln!("installing {list}");
    if lists_are_empty() {
        apt(prefix, &["update"])?;
    }
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(missing);
    // Old lists name versions that the mirrors no longer hold.
    apt(prefix, &install).or_else(|_| apt(prefix, &["update"]).and_then(|()| apt(prefix, &install)))
}

fn missing_packages() -> Result<Vec<&'static str>> {
    let mut query = Command::new("dpkg-query");
    query
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(PACKAGES);
    // It fails when it knows none of some package, yet lists the others.
    let output = query
        .output()
        .context("cannot start dpkg-query; only Debian and its kin are served")?;
    let listing = String::from_utf8_lossy(&output.stdout).into_owned();
    let installed = |name: &&str| {
        listing
            .lines()
            .any(|line| line == format!("{name} installed"))
    };
    Ok(PACKAGES
        .into_iter()
        .filter(|name| !installed(name))
        .collect())
}

/// The words to put before `apt-get`, where this user may install packages without being asked.
fn privilege() -> Option<&'static [&'static str]> {
    let root = command::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if root {
        return Some(&[]);
    }
    command::output(Command::new("sudo").args(["-n", "true"]))
        .ok()
        .map(|_| ["sudo", "-n"].as_slice())
}

fn lists_are_empty() -> bool {
    let lists = fs::read_dir("/var/lib/apt/lists")
        .into_iter()
        .flatten()
        .flatten();
    !lists
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Result<()> {
    let mut words = prefix.to_vec();
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]);
    words.extend(arguments);
    command::run(Command::new(words[0]).args(&words[1..]))
}
