//! `cargo xtask bench`: figures as a table beside the peers' and the targets, or as JSON.

use crate::{compile, host};
use anyhow::Result;
use qemu_tests::bench::Bench;
use qemu_tests::bench::figures::{self, Figures, KEYS, Key};

/// What to show.
#[derive(clap::Args)]
pub struct Options {
    /// One flat JSON object of Monovisor's figures, and nothing else on standard output
    #[arg(long)]
    json: bool,
    /// Also build and measure KVM with QEMU on the same machine
    #[arg(long)]
    peers: bool,
}

/// Measures and prints.
pub fn bench(options: &Options) -> Result<()> {
    host::prepare(host::Need::Emulator)?;
    compile::image()?;
    let bench = Bench::prepare()?;
    eprintln!("measuring the bare machine");
    let bare = bench.bare()?;
    eprintln!("measuring Monovisor");
    let ours = bench.monovisor(&bare)?;
    let peer = match options.peers {
        true => {
            eprintln!("measuring KVM and QEMU (a few minutes)");
            Some(bench.peer(&bare)?)
        }
        false => None,
    };
    match options.json {
        true => println!("{}", figures::json(&ours)),
        false => table(&bare, &ours, peer.as_ref()),
    }
    Ok(())
}

fn table(bare: &Figures, ours: &Figures, peer: Option<&Figures>) {
    println!(
        "Instructions on QEMU's counted machine; KVM and Xen as published, or measured here with --peers.\n"
    );
    println!(
        "{:<36} {:>12} {:>12} {:>10} {:>12} {:>12}",
        "", "Monovisor", "target", "bare", "KVM+QEMU", "Xen HVM"
    );
    for key in &KEYS {
        let kvm = match peer {
            Some(peer) => peer.get(key.name).copied(),
            None => key.kvm,
        };
        let value = ours.get(key.name).copied();
        println!(
            "{:<36} {:>12} {:>12} {:>10} {:>12} {:>12}  {}",
            key.what,
            cell(value),
            key.target.map_or_else(String::new, |target| format!(
                "≤ {}",
                figures::shown(target)
            )),
            cell(bare.get(key.name).copied()),
            cell(kvm),
            cell(key.xen),
            verdict(key, value),
        );
    }
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figures::shown)
}

fn verdict(key: &Key, value: Option<f64>) -> &'static str {
    match (value, key.target) {
        (Some(value), Some(target)) if value <= target => "met",
        (_, Some(_)) => "MISSED",
        _ => "",
    }
}
