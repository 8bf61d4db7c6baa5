//! `cargo xtask bench`: figures as a table beside the peers' and the targets, or as JSON.

use crate::{compile, host};
use anyhow::Result;
use qemu_tests::bench::Bench;
use qemu_tests::bench::figures::{self, Figures, KEYS, TWINS};

/// What to show.
#[derive(clap::Args)]
pub struct Options {
    /// One flat JSON object of Monovisor's figures, and nothing else on standard output
    #[arg(long)]
    json: bool,
    /// Only shadow paging beside nested paging, as JSON; with --peers, that of KVM and QEMU
    #[arg(long)]
    paging: bool,
    /// Only network traffic beside the bare machine's, as JSON; with --peers, that of KVM and QEMU
    #[arg(long)]
    network: bool,
    /// Also build and measure KVM with QEMU on the same machine
    #[arg(long)]
    peers: bool,
}

/// Measures and prints.
pub fn bench(options: &Options) -> Result<()> {
    host::prepare(host::Need::Emulator)?;
    compile::image()?;
    let bench = Bench::prepare()?;
    if options.paging {
        let figures = match options.peers {
            true => bench.paging_of_peer()?,
            false => bench.paging()?,
        };
        println!("{}", figures::json(&figures));
        return Ok(());
    }
    if options.network {
        let figures = match options.peers {
            true => bench.network_of_peer()?,
            false => bench.network()?,
        };
        println!("{}", figures::json(&figures));
        return Ok(());
    }
    eprintln!("measuring the bare machine");
    let bare = bench.bare()?;
    eprintln!("measuring Monovisor");
    let mut ours = bench.monovisor(&bare)?;
    eprintln!("measuring AMD-V and VT-x in Bochs (a minute)");
    match bench.twins() {
        Ok(twins) => ours.extend(twins),
        Err(error) => eprintln!("without figures from Bochs: {error:#}"),
    }
    let peer = match options.peers {
        true => {
            eprintln!("measuring KVM and QEMU (a few minutes)");
            Some(bench.peer(&bare)?)
        }
        false => None,
    };
    let ratios = figures::ratios_to_kvm(&ours, peer.as_ref());
    ours.extend(ratios);
    match options.json {
        true => println!("{}", figures::json(&ours)),
        false => {
            table(&bare, &ours, peer.as_ref());
            twins(&ours);
        }
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
            limit(key.target),
            cell(bare.get(key.name).copied()),
            cell(kvm),
            cell(key.xen),
            verdict(key.target, value),
        );
    }
}

fn twins(ours: &Figures) {
    println!("\nInstructions in Bochs, under Monovisor.\n");
    println!(
        "{:<36} {:>12} {:>12} {:>10} {:>12}",
        "", "VT-x", "AMD-V", "ratio", "target"
    );
    for twin in &TWINS {
        let value = |name| ours.get(name).copied();
        println!(
            "{:<36} {:>12} {:>12} {:>10} {:>12}  {}",
            figures::key(twin.exit).map_or(twin.exit, |key| key.what),
            cell(value(twin.vmx)),
            cell(value(twin.svm)),
            cell(value(twin.ratio)),
            limit(twin.target),
            verdict(twin.target, value(twin.ratio)),
        );
    }
}

fn limit(target: Option<f64>) -> String {
    target.map_or_else(String::new, |target| {
        format!("≤ {}", figures::shown(target))
    })
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figures::shown)
}

fn verdict(target: Option<f64>, value: Option<f64>) -> &'static str {
    match (value, target) {
        (Some(value), Some(target)) if value <= target => "met",
        (_, Some(_)) => "MISSED",
        _ => "",
    }
}
