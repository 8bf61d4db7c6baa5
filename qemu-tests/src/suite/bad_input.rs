//! Bundles that cannot run: each gives one error that names the file and the value, and the prompt stays.

use super::session::Lab;
use super::{Case, Machines, Scope, Tier};
use crate::bundle::Guest;
use anyhow::{Result, ensure};
use std::fs;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "bad-bundle",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: bad_bundle,
    },
    Case {
        name: "bad-config",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: bad_config,
    },
    Case {
        name: "bad-guest",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: bad_guest,
    },
];

/// The machine says every one of `words` on one line, and its prompt answers.
fn refused(lab: &mut Lab, name: &str, bundle: Option<&[u8]>, words: &[&str]) -> Result<()> {
    lab.step(name, |lab| {
        let mut session = lab.start_bundle(&lab.machine(), bundle)?;
        let said = session.offered_prompt()?;
        let complete = |line: &str| words.iter().all(|word| line.contains(word));
        ensure!(said.lines().any(complete), "no line says all of {words:?}");
        session.prompt_is_alive()
    })
}

fn bad_bundle(lab: &mut Lab) -> Result<()> {
    let good = lab.bundle(&lab.guest())?;
    refused(lab, "missing", None, &["initrd"])?;
    refused(
        lab,
        "truncated",
        Some(&good[..good.len() / 2]),
        &["bundle", "initrd"],
    )?;
    refused(
        lab,
        "foreign",
        Some(&b"PK\x03\x04 no archive of ours ".repeat(64)),
        &["bundle", "initrd"],
    )?;
    let mut other = crate::cpio::Archive::default();
    other.file("init", 0o755, b"#!/bin/sh\n");
    refused(
        lab,
        "an initramfs without monovisor.toml",
        Some(&other.finish()),
        &["monovisor.toml", "init"],
    )
}

/// `change` spoils the default guest's bundle.
fn spoilt(
    lab: &mut Lab,
    name: &str,
    change: impl FnOnce(&mut Guest),
    words: &[&str],
) -> Result<()> {
    let mut guest = lab.guest();
    change(&mut guest);
    let bundle = lab.bundle(&guest)?;
    refused(lab, name, Some(&bundle), words)
}

fn bad_config(lab: &mut Lab) -> Result<()> {
    // The default guest's own settings take lines 1 to 7.
    let line = format!("line {}", lab.guest().config().lines().count() + 1);
    let setting = |text: &'static str| move |guest: &mut Guest| guest.settings.push_str(text);
    spoilt(
        lab,
        "unknown key",
        setting("florizel = 1\n"),
        &["monovisor.toml", &line, "florizel"],
    )?;
    spoilt(
        lab,
        "wrong type",
        setting("on_crash = 7\n"),
        &["monovisor.toml", &line, "on_crash", "7"],
    )?;
    spoilt(
        lab,
        "no TOML",
        setting("on_crash = = \n"),
        &["monovisor.toml", &line],
    )?;
    spoilt(
        lab,
        "zero vCPUs",
        |guest| guest.vcpus = 0,
        &["monovisor.toml", "vcpus", "0"],
    )?;
    spoilt(
        lab,
        "more vCPUs than there can be",
        |guest| guest.vcpus = 65,
        &["monovisor.toml", "`vcpus = 65`", "64"],
    )?;
    spoilt(
        lab,
        "CPUs that the host does not have",
        setting("cpus = \"5-7\"\n"),
        &["monovisor.toml", &line, "cpus", "5"],
    )
}

fn bad_guest(lab: &mut Lab) -> Result<()> {
    let memory = |guest: &mut Guest| guest.memory_mib = 100_000;
    spoilt(
        lab,
        "more memory than the host has",
        memory,
        &["monovisor.toml", "memory", "100000", "MiB"],
    )?;
    let text = lab.directory().join("no-kernel");
    fs::write(&text, "This is a text, and no bzImage.\n".repeat(64))?;
    spoilt(
        lab,
        "kernel that is no bzImage",
        |guest| guest.kernel = text,
        &["kernel", "bzImage"],
    )
}
