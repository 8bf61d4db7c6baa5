//! The services: async tasks on the service CPU, CPU 0.
//!
//! [`start`] makes them; then either [`poll`] is called between guest slices, or [`run_forever`] takes the CPU. They need no guest:
//! without one the prompt is all there is.

pub mod alarm;
pub(crate) mod callers;
pub(crate) mod console;
pub mod control;
pub mod executor;
mod frames;
pub(crate) mod input;
mod lifecycle;
pub(crate) mod prompt;
pub(crate) mod screen;
pub mod signal;

pub use console::offer_prompt;
pub use executor::{pending, poll, run_forever};

use crate::{
    apic::{io, vector},
    console::{
        GuestEnds,
        bytes::{Wakers, line},
        fanout::Tap,
        input as typed,
        ports::CpuPorts,
        view,
    },
    cpu::percpu,
    log, net, warn,
};
use console::{Console, Turn, WORK};
use control::CONTROL;
use drivers::uart::{COM2, Uart};
use executor::SERVICE_CPU;
use frames::Frames;
use spin::Mutex;

/// ISA interrupt of COM1.
const COM1_IRQ: u8 = 4;
/// ISA interrupt of COM2.
const COM2_IRQ: u8 = 3;

/// The console service's state. Only tasks touch it, so it is never contended.
static CONSOLE: Mutex<Option<Console<CpuPorts>>> = Mutex::new(None);

/// Starts the services, on the service CPU, once everything that [`crate::init`] makes is there. COM1 passes from the log to the
/// console service. Returns the guest's ends of all that leads to people; `kick_guest` is called when something came for it.
pub fn start(kick_guest: fn(), network: Option<net::Service>) -> GuestEnds {
    let (line, host) = line(Wakers {
        service: wake_console,
        guest: kick_guest,
    });
    let (input, desk) = typed::channel(|| input::WORK.raise(), kick_guest);
    let (view, viewed) = view::channel(|| screen::WORK.raise(), kick_guest);
    let headless = start_console(Tap::new(host, &console::LINE));
    let desk = input::start(desk);
    let frames = start_frames();
    CONTROL.on_change(|| {
        lifecycle::CHANGED.raise();
        screen::WORK.raise();
    });
    executor::start(|spawner| {
        match headless {
            None => spawn(spawner, console_task()),
            Some(guest) => spawn(spawner, headless_task(guest)),
        }
        spawn(spawner, callers_task());
        spawn(spawner, lifecycle_task());
        spawn(spawner, screen_task(viewed));
        if let Some(desk) = desk {
            spawn(spawner, input_task(desk));
        }
        if let Some(network) = network {
            spawn(spawner, network_task(network));
        }
        if let Some(frames) = frames {
            spawn(spawner, frames_task(frames));
        }
    });
    GuestEnds { line, input, view }
}

/// Starts one of the tasks above; each has one place in its pool, and is started once.
fn spawn<S>(
    spawner: embassy_executor::Spawner,
    task: Result<embassy_executor::SpawnToken<S>, embassy_executor::SpawnError>,
) {
    match task {
        Ok(token) => spawner.spawn(token),
        Err(_) => warn!("a service was to be started twice"),
    }
}

fn wake_console() {
    WORK.raise();
    net::new_lines();
}

/// Gives COM1 to the console service. Without a COM1 the guest's line comes back.
fn start_console(guest: Tap) -> Option<Tap> {
    let Some((serial, lines)) = log::detach_serial() else {
        warn!("no UART at COM1: prompt and guest's console are to be had over the network alone");
        return Some(guest);
    };
    log::on_new_lines(wake_console);
    *CONSOLE.lock() = Some(Console::new(serial.into_uart(), guest, lines));
    route(COM1_IRQ, "COM1", |_| WORK.raise());
    WORK.raise();
    None
}

/// Readies COM2 for frames. Without a COM2 they stay in their rings.
fn start_frames() -> Option<Frames<CpuPorts>> {
    percpu::all().for_each(|cpu| log::frames::add_cpu(cpu.index()));
    // SAFETY: a UART's ports reach no memory, and nothing else drives COM2.
    let uart = Uart::probe(unsafe { CpuPorts::new() }, COM2)?;
    log::frames::on_new_frames(|| frames::WORK.raise());
    route(COM2_IRQ, "COM2", |_| frames::WORK.raise());
    Some(Frames::new(uart))
}

/// Sends an ISA interrupt of `device` to a handler on the service CPU.
fn route(irq: u8, device: &str, handler: vector::Handler) {
    let target = percpu::get(SERVICE_CPU).map(|cpu| cpu.apic_id());
    let routed = match (target, vector::register(handler)) {
        (Some(apic_id), Some(vector)) => {
            io::route_isa(irq, apic_id, vector).map_err(|error| error.0)
        }
        _ => Err(u32::from(irq)),
    };
    if let Err(line) = routed {
        warn!(
            "interrupt line {line} cannot be routed; {device} is served only when something else wakes us"
        );
    }
}

#[embassy_executor::task]
async fn console_task() {
    loop {
        let turn = match CONSOLE.lock().as_mut() {
            Some(console) => console.turn(),
            None => return,
        };
        // A signal raised by ourselves lets the other tasks have their turn first.
        if turn == Turn::Busy {
            WORK.raise();
        }
        WORK.wait().await;
    }
}

#[embassy_executor::task]
async fn headless_task(guest: Tap) {
    console::run_without_uart(guest).await;
}

#[embassy_executor::task]
async fn callers_task() {
    callers::run().await;
}

#[embassy_executor::task]
async fn lifecycle_task() {
    lifecycle::run().await;
}

#[embassy_executor::task]
async fn network_task(network: net::Service) {
    network.run().await;
}

#[embassy_executor::task]
async fn frames_task(frames: Frames<CpuPorts>) {
    frames.run().await;
}

#[embassy_executor::task]
async fn screen_task(view: view::HostEnd) {
    screen::Service::new(view).run().await;
}

#[embassy_executor::task]
async fn input_task(desk: input::Desk<CpuPorts>) {
    desk.run().await;
}
