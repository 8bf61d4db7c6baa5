//! From a bundle to a guest that can be powered on.

use super::clock::Timeline;
use super::devices::{self, Devices};
use super::dirty::Tracker;
use super::firmware;
use super::framebuffer::Framebuffer;
use super::gate::{Gate, Order};
use super::hyperv::{self, HyperV};
use super::machine::{Face, Machine, Watch};
use super::mailbox::Mailbox;
use super::media::Removable;
use super::memory;
use super::placement;
use super::processor::{Duty, Outcome};
use super::rom::Roms;
use super::seat::{Ending, Seat};
use super::shadow::{self, ShadowPaging};
use super::user_firmware::UserFirmware;
use super::vendor::{self, Vendor};
use crate::console::GuestEnds;
use crate::cpu::percpu;
use crate::info;
use crate::mem::{frames, phys_to_virt};
use crate::service::control::CONTROL;
use crate::{net, time};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use appliance::Bundle;
use appliance::config::{Actions, Boot, Config};
use boot::BootInfo;
use core::sync::atomic::AtomicU32;
use guest_bios::bios;
use guest_bios::linux::{self, EntryState, Image};
use guest_bios::platform::{Console, PCI_MMIO, Platform};
use guest_mem::{Attributes, Hpa};
use hvm::capability::{Features, NestedPaging, Options};
use hvm::cpuid::Kvm;
use hvm::regs::{Gpr, Segment, SegmentName, State, TableRegister};
use hvm::tsc::Scale;
use pc::board::HPET_BASE;
use spin::Mutex;

/// Everything that a guest is made of, and stays made of across its resets.
pub struct Guest<V: Vendor> {
    /// Its vCPUs on this CPU, of which the first of all is one.
    pub seat: Seat<V>,
    /// What all its vCPUs share.
    pub machine: &'static Machine,
    /// What to do when it stops.
    pub actions: Actions,
    /// Its name.
    pub name: String,
    /// Its memory.
    pub memory_mib: u64,
    /// Its drives whose media can be changed.
    pub media: Removable,
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
const fn platform(console: Console, vcpus: u32) -> Platform {
    Platform {
        vcpus,
        hpet: Some(HPET_BASE),
        console,
        pci_memory: PCI_MMIO,
    }
}

/// A guest as it is described, and where its vCPUs go.
pub struct Plan {
    bundle: Bundle<'static>,
    config: Config,
    /// The CPU for each vCPU.
    pub places: Vec<usize>,
}

/// Reads the bundle; the error is for people.
pub fn read(boot: &BootInfo) -> Result<Plan, String> {
    let bundle = open(boot)?;
    let loaded = bundle
        .load(boot.command_line.as_str())
        .map_err(|error| error.to_string())?;
    for note in &loaded.notes {
        info!("monovisor.toml, {note}");
    }
    let config = loaded.config;
    net::serve(&config);
    let cpus = percpu::count();
    let places = match &config.cpus {
        None => placement::spread(config.vcpus as usize, cpus),
        Some(pins) => {
            let sets = pins.resolve(config.vcpus, cpus as u32);
            placement::pinned(&sets.map_err(|error| format!("monovisor.toml, {error}"))?)
        }
    };
    Ok(Plan {
        bundle,
        config,
        places,
    })
}

/// Builds the guest, with the vCPUs that are placed here, on the CPU of the first; the others' CPUs take their seats. `features` are this
/// CPU's. The error is for people.
pub fn build<V: Vendor>(
    plan: Plan,
    ends: GuestEnds,
    duty: Duty,
    features: &Features,
) -> Result<Guest<V>, String> {
    let Plan {
        bundle,
        config,
        places,
    } = plan;
    let GuestEnds { line, input, view } = ends;
    let features = &shadow::choose(&without(features, &config)?, &config)?;
    let shadows = features.nested_paging == NestedPaging::Absent;
    let start = start(&config.boot, &bundle)?;
    let user_firmware = UserFirmware::open(&config.boot, &bundle)?;
    let video_rom = user_firmware.as_ref().and_then(|own| own.video_rom);
    let Devices {
        mut board,
        media,
        bays,
        shelf,
        paths,
        epoch_seconds,
        video,
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
    let memory_mib = match config.memory {
        Some(memory) => memory.mib,
        None if shadows => ShadowPaging::leaves_mib(available_mib, &config),
        None => available_mib,
    };
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
            let platform = platform(Console::Screen, config.vcpus);
            own.attach(&mut board, platform, &guest_memory, order, &paths)?;
            None
        }
        (Boot::Firmware { order, menu_s, .. }, None) => {
            let platform = platform(Console::Screen, config.vcpus);
            let firmware = firmware::Firmware::new(media, order, *menu_s, platform);
            Some(Box::new(firmware))
        }
    };
    let tables = memory::map::<V::Format>(&guest_memory, vendor::largest_page(features))
        .map_err(|error| error.to_string())?;
    let shadow = match shadows {
        true => Some(ShadowPaging::build(&config, &guest_memory)?),
        false => None,
    };
    let mut others: Vec<usize> = places.clone();
    others.sort_unstable();
    others.dedup();
    others.retain(|&cpu| cpu != places[0]);
    let mailbox = |(id, &cpu)| Mailbox::new(id, cpu);
    let machine: &'static Machine = Box::leak(Box::new(Machine {
        memory: guest_memory,
        board: Mutex::new(board),
        view: Mutex::new(view),
        timeline: Timeline::start(tsc_scale(&config, features)?, epoch_seconds, config.vcpus),
        hyperv: HyperV::new(
            hyperv::offered(config.viridian),
            if config.kvm { Kvm::Shown } else { Kvm::Hidden },
        ),
        root: tables.root(),
        paging: match shadow {
            Some(_) => "shadow paging",
            None => V::NESTED_PAGING,
        },
        shadow,
        framebuffer: Framebuffer::new(video),
        tracker: Mutex::new(Tracker::new(Box::new(tables), features)),
        watch: Watch::default(),
        firmware: Mutex::new(firmware),
        mailboxes: (0..).zip(&places).map(mailbox).collect(),
        gate: Gate::new(others.into()),
        access_pages: AtomicU32::new(0),
        face: Face::default(),
        turn: AtomicU32::new(0),
    }));
    let seat = Seat::new(machine, places[0], duty, features)?;
    super::take_seats::<V>(machine, *features)?;
    Ok(Guest {
        seat,
        machine,
        actions: config.actions,
        memory_mib,
        media: Removable::new(bays, shelf, bundle),
        start,
        name: config.name,
    })
}

impl<V: Vendor> Guest<V> {
    /// Puts kernel, initrd and firmware tables, or the ROMs, into guest memory, and the machine in its reset state.
    pub fn power_on(&mut self) -> Result<(), String> {
        let memory = &self.machine.memory;
        let platform = platform(Console::Serial, self.machine.vcpus() as u32);
        // Where a ROM is to be, it is written.
        memory.switch(bios::ROM_AREA, bios::ROM_AREA_BYTES, Attributes::RAM);
        let state = match &self.start {
            Start::Linux {
                kernel,
                initrd,
                command_line,
            } => {
                let rsdp = guest_bios::acpi::install(&platform, memory)
                    .map_err(|error| error.to_string())?;
                let map = guest_bios::memory::e820(memory);
                guest_bios::tables::install(&platform, super::firmware::signature(), &map, memory)
                    .map_err(|error| error.to_string())?;
                let entry = linux::load(kernel, *initrd, command_line, memory, rsdp)
                    .map_err(|error| error.to_string())?;
                state(&entry)
            }
            Start::ResetVector => {
                self.machine
                    .install_firmware()
                    .map_err(|error| error.to_string())?;
                State::reset()
            }
        };
        self.seat.reset(Some(&state));
        Ok(())
    }

    /// Runs the guest, on all its vCPUs, until something other than an exit has to be done. Nothing of it runs any more then.
    pub fn run(&mut self, order: Order) -> Outcome {
        let gate = &self.machine.gate;
        let mut order = order;
        loop {
            gate.open(core::mem::replace(&mut order, Order::Resume));
            let own = self.seat.run();
            let elsewhere = gate.close(&self.machine.mailboxes);
            match (elsewhere, own) {
                (Some(outcome), Ending::Outcome(Outcome::Request(request))) => {
                    // What was asked for can still be done afterwards, or is settled.
                    CONTROL.request(request);
                    return outcome;
                }
                (Some(outcome), _) | (None, Ending::Outcome(outcome)) => return outcome,
                (None, Ending::Stop) => {}
            }
        }
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

/// The guest's TSC rate, where one is asked for.
fn tsc_scale(config: &Config, features: &Features) -> Result<Scale, String> {
    let Some(wanted) = config.tsc else {
        return Ok(Scale::ONE);
    };
    let can_scale = features.options.contains(Options::TSC_SCALING);
    Scale::new(wanted.mhz * 1_000_000, time::tsc_hz())
        .filter(|&scale| can_scale || scale == Scale::ONE)
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
