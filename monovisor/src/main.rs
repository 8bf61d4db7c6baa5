//! `monovisor`: packs and checks appliances. Exit code 1 for bad input, 2 for bad usage.
#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use monovisor::plan::Plan;
use monovisor::{Error, build};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Packs a guest with its configuration, for the Monovisor hypervisor to boot.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Packs an appliance: a bundle (.cpio), which any Linux boot loader passes as initrd, or a bootable image (.iso).
    Build {
        /// The guest's configuration; paths in it are relative to its folder.
        config: PathBuf,
        /// What to write: NAME.iso or NAME.cpio.
        #[arg(short, long, value_parser = output)]
        output: Output,
        /// The hypervisor, for an ISO image.
        #[arg(long, default_value = "target/monovisor/monovisor")]
        image: PathBuf,
    },
    /// Checks a configuration and the files that it names, and says what has no effect.
    Check {
        /// The guest's configuration.
        config: PathBuf,
    },
}

#[derive(Clone)]
enum Output {
    Cpio(PathBuf),
    Iso(PathBuf),
}

fn output(text: &str) -> Result<Output, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("cpio") => Ok(Output::Cpio(path)),
        Some("iso") => Ok(Output::Iso(path)),
        _ => Err("expected a name that ends in .iso or .cpio".to_string()),
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<(), Error> {
    match verb {
        Verb::Check { config } => {
            let plan = plan(&config)?;
            println!("{}: no errors", config.display());
            summarise(&plan);
            Ok(())
        }
        Verb::Build {
            config,
            output: Output::Cpio(output),
            ..
        } => {
            let plan = plan(&config)?;
            build::pack_cpio(&plan, &output, &build::progress(&plan))?;
            written(&output)
        }
        Verb::Build {
            config,
            output: Output::Iso(output),
            image,
        } => {
            let plan = plan(&config)?;
            build::pack_iso(&plan, &image, &output, &build::progress(&plan))?;
            written(&output)
        }
    }
}

fn plan(config: &Path) -> Result<Plan, Error> {
    let plan = Plan::read(config)?;
    for note in &plan.loaded.notes {
        eprintln!("note: {}, {note}", config.display());
    }
    Ok(plan)
}

fn summarise(plan: &Plan) {
    let config = &plan.loaded.config;
    let memory = match config.memory {
        Some(memory) => format!("{} MiB", memory.mib),
        None => "all memory".to_string(),
    };
    println!("  {}: {} vCPUs, {memory}", config.name, config.vcpus);
    for file in &plan.files {
        println!("  {} ({} bytes)", file.name, file.bytes);
    }
}

fn written(output: &Path) -> Result<(), Error> {
    let bytes = std::fs::metadata(output)
        .map_err(|error| Error::Read(output.to_owned(), error))?
        .len();
    println!("{}: {} KiB", output.display(), bytes.div_ceil(1024));
    Ok(())
}
