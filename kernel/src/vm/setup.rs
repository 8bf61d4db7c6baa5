//! From a bundle to a guest that can be powered on.

use super::clock::Timeline;
use super::devices::{self, Devices};
use super::dirty::Tracker;
use super::firmware;
use super::memory;
use super::processor::{Duty, Machine, Processor};
use super::rom::Roms;
use super::user_firmware::UserFirmware;
use super::vendor::{self, Vendor};
use crate::console::GuestEnds;
use crate::mem::{frames, phys_to_virt};
use crate::time;
use crate::{info, warn};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use appliance::Bundle;
use appliance::config::{Actions, Boot, Config, Paging};
use boot::BootInfo;
use guest_bios::bios;
use guest_bios::linux::{self, EntryState, Image};
use guest_bios::platform::{Console, PCI_MMIO, Platform};
use guest_mem::{Attributes, Hpa};
use hvm::capability::Features;
use hvm::regs::{Gpr, Segment, SegmentName, State, TableRegister};
use hvm::tsc::Scale;
use hvm::vcpu::{Hlt, Vcpu};
use pc::board::HPET_BASE;
use spin::Mutex;

/// Everything that a guest is made of, and stays made of across its resets.
pub struct Guest<V: Vendor> {
    /// Its vCPU.
    pub processor: Processor<V::Cpu>,
    /// What to do when it stops.
    pub actions: Actions,
    /// Its name.
    pub name: String,
    /// Its memory.
    pub memory_mib: u64,
    start: Start,
}

/// How it starts.
enum Start {
    /// A Linux kernel, directly.
    Linux {
        kernel: Image<'static>,
        initrd: Option<&'static [u8]>,
        command_line: String,
    },
    /// At the reset vector, with firmware in its ROM; the processor has the BIOS, if it is the one that is built in.
    ResetVector,
}

/// What the tables tell of the machine.
const fn platform(console: Console) -> Platform {
    Platform {
        vcpus: 1,
        hpet: Some(HPET_BASE),
        console,
        pci_memory: PCI_MMIO,
    }
}

/// Reads the bundle and builds the guest that it describes; the error is for people. This CPU, which offers `features`, runs the vCPU.
pub fn build<V: Vendor>(
    boot: &BootInfo,
    ends: GuestEnds,
    duty: Duty,
    hlt: Hlt,
    features: &Features,
) -> Result<Guest<V>, String> {
    let GuestEnds { line, input, view } = ends;
    let bundle = open(boot)?;
    let loaded = bundle
        .load(boot.command_line.as_str())
        .map_err(|error| error.to_string())?;
    for note in &loaded.notes {
        info!("monovisor.toml, {note}");
    }
    let config = loaded.config;
    check(&config)?;
    let features = &without(features, &config)?;
    let start = start(&config.boot, &bundle)?;
    let user_firmware = UserFirmware::open(&config.boot, &bundle)?;
    let video_rom = user_firmware.as_ref().and_then(|own| own.video_rom);
    let Devices {
        mut board,
        media,
        paths,
        epoch_seconds,
    } = devices::build(&config, &bundle, line, input, video_rom)?;
    let roms = match (&config.boot, &user_firmware) {
        (Boot::Linux { .. }, _) => Roms::Empty,
        (Boot::Firmware { .. }, Some(own)) => Roms::load(&own.image)?,
        (Boot::Firmware { .. }, None) => Roms::Builtin,
    };
    let available_mib = memory::available_mib();
    let usable_mib = frames::usable_bytes() >> 20;
    info!(
        "monovisor: memory: {usable_mib} MiB usable, {} MiB kept",
        usable_mib.saturating_sub(available_mib)
    );
    let memory_mib = config.memory.map_or(available_mib, |memory| memory.mib);
    let guest_memory =
        memory::allocate(memory_mib, &roms).map_err(|error| match config.memory {
            Some(memory) => format!(
                "monovisor.toml, {}: `memory = {}`: {error}",
                memory.place, memory.mib
            ),
            None => error.to_string(),
        })?;
    board.set_shadow_ram(roms.shadow_ram());
    let firmware = match (&config.boot, &user_firmware) {
        (Boot::Linux { .. }, _) => None,
        (Boot::Firmware { order, .. }, Some(own)) => {
            let platform = platform(Console::Screen);
            own.attach(&mut board, platform, &guest_memory, order, &paths)?;
            None
        }
        (Boot::Firmware { order, .. }, None) => {
            let firmware = firmware::Firmware::new(media, order, platform(Console::Screen));
            Some(Box::new(firmware))
        }
    };
    let tables = memory::map::<V::Format>(&guest_memory, vendor::largest_page(features))
        .map_err(|error| error.to_string())?;
    // SAFETY: the extension is on, on every CPU, and `features` are of this one, which runs the vCPU from here on.
    let mut cpu = unsafe { V::vcpu(features, hlt) }?;
    cpu.set_nested_root(tables.root());
    let tsc_scale = scale_tsc(&mut cpu, &config)?;
    let machine = Box::leak(Box::new(Machine {
        memory: guest_memory,
        board: Mutex::new(board),
        view: Mutex::new(view),
        timeline: Timeline::start(tsc_scale, epoch_seconds, 1),
    }));
    Ok(Guest {
        processor: Processor::new(
            cpu,
            machine,
            Tracker::new(Box::new(tables), features),
            duty,
            firmware,
        ),
        actions: config.actions,
        memory_mib,
        start,
        name: config.name,
    })
}

impl<V: Vendor> Guest<V> {
    /// Puts kernel, initrd and firmware tables, or the ROMs, into guest memory, and the machine in its reset state.
    pub fn power_on(&mut self) -> Result<(), String> {
        let memory = &self.processor.machine().memory;
        // Where a ROM is to be, it is written.
        memory.switch(bios::ROM_AREA, bios::ROM_AREA_BYTES, Attributes::RAM);
        let state = match &self.start {
            Start::Linux {
                kernel,
                initrd,
                command_line,
            } => {
                let rsdp = guest_bios::acpi::install(&platform(Console::Serial), memory)
                    .map_err(|error| error.to_string())?;
                let entry = linux::load(kernel, *initrd, command_line, memory, rsdp)
                    .map_err(|error| error.to_string())?;
                state(&entry)
            }
            Start::ResetVector => {
                self.processor
                    .install_firmware()
                    .map_err(|error| error.to_string())?;
                State::reset()
            }
        };
        self.processor.reset(&state);
        Ok(())
    }
}

/// Opens the bundle where the loader put it. Its memory stays reserved: guests are started from it again and again.
fn open(boot: &BootInfo) -> Result<Bundle<'static>, String> {
    if boot.bundle.bytes == 0 {
        return Err("no bundle: the loader gave no initrd. Pack one with `monovisor build guest.toml -o bundle.cpio` \
                    and load it as the initrd of `monovisor`"
            .into());
    }
    // SAFETY: the loader put the bundle into usable RAM, which is mapped; the frame allocator never gives the range away, and
    // nobody writes to it.
    let bytes = unsafe {
        core::slice::from_raw_parts(
            phys_to_virt(Hpa(boot.bundle.base)).cast_const(),
            boot.bundle.bytes as usize,
        )
    };
    Bundle::open(bytes).map_err(|error| error.to_string())
}

/// Sets the guest's TSC rate, where one is asked for.
fn scale_tsc(cpu: &mut impl Vcpu, config: &Config) -> Result<Scale, String> {
    let Some(wanted) = config.tsc else {
        return Ok(Scale::ONE);
    };
    let scale = Scale::new(wanted.mhz * 1_000_000, time::tsc_hz());
    scale
        .filter(|&scale| cpu.set_tsc_scale(scale))
        .ok_or_else(|| {
            format!(
                "monovisor.toml, {}: `tsc_mhz = {}`: this CPU, whose TSC runs at {} MHz, cannot show its guest another rate, or not this one; leave the key out",
                wanted.place,
                wanted.mhz,
                time::tsc_hz() / 1_000_000
            )
        })
}

/// The CPU's features less those that are not to be used.
fn without(features: &Features, config: &Config) -> Result<Features, String> {
    let mut left = *features;
    for option in &config.without {
        left = left.without(&option.name).map_err(|unknown| {
            format!(
                "monovisor.toml, {}: `without = {}`: {unknown}",
                option.place, option.name
            )
        })?;
        info!("monovisor: the CPU's {} is not used", option.name);
    }
    Ok(left)
}

/// What the configuration may ask for and this version cannot do.
fn check(config: &Config) -> Result<(), String> {
    if config.vcpus > 1 {
        return Err(format!(
            "monovisor.toml: `vcpus = {}`: this version runs guests with one vCPU; write `vcpus = 1`",
            config.vcpus
        ));
    }
    if config.paging == Paging::Shadow {
        return Err("monovisor.toml: `paging = \"shadow\"`: this version has nested paging only; leave the key out".into());
    }
    if config.viridian {
        warn!("monovisor.toml: `viridian`: Hyper-V's interfaces are not offered yet");
    }
    if !config.vifs.is_empty() {
        warn!("monovisor.toml: `vif`: there is no network yet, so the guest gets no interface");
    }
    Ok(())
}

/// How the guest is to start.
fn start(boot: &Boot, bundle: &Bundle<'static>) -> Result<Start, String> {
    let (kernel, initrd, command_line) = match boot {
        Boot::Linux {
            kernel,
            initrd,
            command_line,
        } => (kernel, initrd, command_line),
        Boot::Firmware { .. } => return Ok(Start::ResetVector),
    };
    let image =
        Image::parse(bundle.blob(kernel).map_err(|error| error.to_string())?).map_err(|error| {
            format!(
                "monovisor.toml, {}: `{} = {}`: {error}",
                kernel.place, kernel.key, kernel.name
            )
        })?;
    let initrd = match initrd {
        Some(blob) => Some(bundle.blob(blob).map_err(|error| error.to_string())?),
        None => None,
    };
    Ok(Start::Linux {
        kernel: image,
        initrd,
        command_line: command_line.clone(),
    })
}

/// Firmware's entry state as the vCPU's registers.
fn state(entry: &EntryState) -> State {
    let segment = |from: guest_bios::linux::Segment| {
        Segment::new(from.selector, from.attributes.into(), from.limit, from.base)
    };
    let mut state = State::reset();
    state.gprs[Gpr::Rsi as usize] = entry.rsi;
    state.rip = entry.rip;
    (state.cr0, state.cr3, state.cr4, state.efer) = (entry.cr0, entry.cr3, entry.cr4, entry.efer);
    state.gdtr = TableRegister {
        base: entry.gdt_base,
        limit: entry.gdt_limit,
    };
    state.segments[SegmentName::Cs as usize] = segment(entry.cs);
    for name in [
        SegmentName::Ds,
        SegmentName::Es,
        SegmentName::Ss,
        SegmentName::Fs,
        SegmentName::Gs,
    ] {
        state.segments[name as usize] = segment(entry.ds);
    }
    state
}
