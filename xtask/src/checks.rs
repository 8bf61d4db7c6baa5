//! What is checked without a machine: format, lints, unit and property tests.

use crate::compile;
use anyhow::{Context, Result, bail};
use qemu_tests::{command, tree};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// One check, by name.
pub struct Check {
    /// Its name, as `--list` shows it.
    pub name: &'static str,
    /// Runs it.
    pub run: fn() -> Result<Counts>,
}

/// How many tests a check ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// As they should be.
    pub passed: u32,
    /// Not so.
    pub failed: u32,
    /// Not run.
    pub skipped: u32,
}

impl Counts {
    /// One test that passed.
    pub const ONE: Self = Self {
        passed: 1,
        failed: 0,
        skipped: 0,
    };
    /// One test that failed.
    pub const FAILURE: Self = Self {
        passed: 0,
        failed: 1,
        skipped: 0,
    };

    /// Takes in another's numbers.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// Every check, in the order in which to run them.
pub const CHECKS: [Check; 4] = [
    Check {
        name: "unit/format",
        run: format,
    },
    Check {
        name: "unit/lints",
        run: lints,
    },
    Check {
        name: "unit/lints-image",
        run: image_lints,
    },
    Check {
        name: "unit/tests",
        run: tests,
    },
];

fn cargo(verb: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(tree::root()).arg(verb);
    cargo
}

fn format() -> Result<Counts> {
    command::run(cargo("fmt").args(["--all", "--check"]))?;
    Ok(Counts::ONE)
}

fn lints() -> Result<Counts> {
    command::run(cargo("clippy").args(["--quiet", "--all-targets", "--", "--deny", "warnings"]))?;
    Ok(Counts::ONE)
}

/// The code that only the bare machine runs; the rest has been looked at for the host.
fn image_lints() -> Result<Counts> {
    // The boot binary embeds the kernel, so there must be one.
    compile::image()?;
    // Apart: what the kernel's dependencies ask of a shared crate must not reach the boot binary, which has no heap.
    let boot: &[&str] = &["--package=boot", "--features=boot/image"];
    let kernel: &[&str] = &[
        "--package=kernel",
        "--package=svm-core",
        "--package=vmx-core",
    ];
    lint(boot)?;
    lint(kernel)?;
    // Either vendor's code can be left out.
    for vendor in compile::Vendor::SINGLE {
        let features = format!("--features={}", vendor.features());
        lint(&["--package=kernel", "--no-default-features", &features])?;
    }
    Ok(Counts::ONE)
}

fn lint(packages: &[&str]) -> Result<()> {
    let mut clippy = compile::bare_metal_cargo("clippy");
    clippy.args(["--quiet", "--no-deps"]).args(packages);
    clippy.env("MONOVISOR_KERNEL", compile::embedded_kernel());
    command::run(clippy.args(["--", "--deny", "warnings"]))
}

/// `cargo test` of every package, its own words told in ours; what failed is shown as it comes.
fn tests() -> Result<Counts> {
    let mut cargo = cargo("test");
    cargo
        .args(["--workspace", "--no-fail-fast"])
        .stdout(Stdio::piped());
    let mut child = cargo.spawn().context("cannot start cargo")?;
    let lines = BufReader::new(
        child
            .stdout
            .take()
            .context("cargo has no standard output")?,
    )
    .lines();
    let mut sum = Counts::default();
    for line in lines {
        let line = line.context("cannot read what cargo says")?;
        match counts(&line) {
            Some(counts) => {
                sum.add(counts);
                if counts != Counts::default() {
                    println!("     unit/tests: {sum}");
                }
            }
            None if uninteresting(&line) => {}
            None => println!("{line}"),
        }
    }
    let status = child.wait()?;
    if !status.success() && sum.failed == 0 {
        bail!("cargo test ended with {status}");
    }
    Ok(sum)
}

fn uninteresting(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("running ")
        || line.ends_with(" ... ok")
        || line.ends_with(" - should panic ... ok")
}

/// Reads libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn counts(line: &str) -> Option<Counts> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |what: &str| {
        let field = rest
            .split("; ")
            .find_map(|field| field.strip_suffix(what))?;
        field.trim().parse().ok()
    };
    Some(Counts {
        passed: number("passed")?,
        failed: number("failed")?,
        skipped: number("ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_results_are_read() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.1s";
        assert_eq!(
            counts(line),
            Some(Counts {
                passed: 12,
                failed: 3,
                skipped: 1
            })
        );
        assert_eq!(counts("test frames::test result: ok"), None);
        assert_eq!(counts("test result: ok. nonsense"), None);
    }
}
