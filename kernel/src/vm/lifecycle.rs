//! The life of the one guest: power-on, stops, and what the owner wants done about them.

use super::gate::Order;
use super::processor::{Duty, Outcome};
use super::setup::Guest;
use super::vendor::Vendor;
use super::written;
use crate::cpu::interrupts;
use crate::service::alarm;
use crate::service::control::{CONTROL, GuestState, HostAction, Request};
use crate::time;
use crate::{error, info, net, service, warn};
use appliance::config::Action;
use hvm::device::PowerEvent;

/// What happens next.
enum Turn {
    /// Power on, from the bundle.
    Start,
    /// Let the vCPUs run.
    Run(Order),
    /// Leave it as it is until the owner says something.
    Wait,
}

/// Lives it.
pub fn live<V: Vendor>(mut guest: Guest<V>, entry_tsc: u64, duty: Duty) -> ! {
    let mut turn = Turn::Start;
    loop {
        turn = match turn {
            Turn::Start => start(&mut guest, entry_tsc),
            Turn::Run(order) => run(&mut guest, order),
            Turn::Wait => wait(&mut guest, duty),
        };
    }
}

fn start<V: Vendor>(guest: &mut Guest<V>, entry_tsc: u64) -> Turn {
    if let Err(reason) = guest.power_on() {
        error!("guest `{}` cannot start: {reason}", guest.name);
        CONTROL.set_state(GuestState::Crashed);
        service::offer_prompt();
        return Turn::Wait;
    }
    info!(
        "monovisor: guest starts at TSC {}, entered at TSC {entry_tsc}",
        time::tsc()
    );
    CONTROL.set_state(GuestState::Running);
    Turn::Run(Order::Reset)
}

fn run<V: Vendor>(guest: &mut Guest<V>, order: Order) -> Turn {
    match guest.run(order) {
        Outcome::Power(PowerEvent::Reset) => {
            info!("guest `{}` reboots", guest.name);
            act(guest.actions.reboot, GuestState::Stopped)
        }
        Outcome::Power(PowerEvent::PowerOff) => {
            info!("guest `{}` powered off", guest.name);
            act(guest.actions.poweroff, GuestState::Stopped)
        }
        Outcome::Power(PowerEvent::Sleep(kind)) => {
            warn!(
                "guest `{}` asks for ACPI sleep type {kind}, which its tables do not offer; it goes on",
                guest.name
            );
            Turn::Run(Order::Resume)
        }
        Outcome::Crash(crash) => {
            crash.report();
            act(guest.actions.crash, GuestState::Crashed)
        }
        Outcome::Request(request) => obey(request, guest),
    }
}

/// Does what the configuration says of a stop.
fn act(action: Action, state: GuestState) -> Turn {
    match action {
        Action::Restart => Turn::Start,
        Action::Destroy => {
            CONTROL.set_state(state);
            CONTROL.ask_host(HostAction::PowerOff);
            Turn::Wait
        }
        Action::Preserve => {
            info!("the guest is kept as it stopped; `start` starts it anew");
            CONTROL.set_state(state);
            service::offer_prompt();
            Turn::Wait
        }
    }
}

/// Does what the owner asks of a guest that runs.
fn obey<V: Vendor>(request: Request, guest: &mut Guest<V>) -> Turn {
    match request {
        Request::Reset => {
            info!("guest `{}` is reset", guest.name);
            Turn::Start
        }
        Request::Pause => {
            CONTROL.set_state(GuestState::Paused);
            Turn::Wait
        }
        Request::Start | Request::Resume => Turn::Run(Order::Resume),
        Request::TrackWrites
        | Request::TellWrites
        | Request::UntrackWrites
        | Request::PressPowerButton
        | Request::ChangeMedia
        | Request::FollowClock => {
            attend(request, guest);
            Turn::Run(Order::Resume)
        }
    }
}

/// Does what can be done whether the guest runs or not.
fn attend<V: Vendor>(request: Request, guest: &mut Guest<V>) {
    match request {
        Request::PressPowerButton => guest.seat.current().press_power_button(),
        Request::ChangeMedia => {
            while let Some(change) = CONTROL.next_change() {
                guest.media.change(&change, guest.seat.current());
            }
        }
        Request::TrackWrites => written::start(guest.seat.current()),
        Request::TellWrites => written::tell(guest.seat.current()),
        Request::UntrackWrites => written::stop(guest.seat.current()),
        // The time of a guest that is held stands still; it follows when it goes on.
        Request::FollowClock if CONTROL.state() == GuestState::Paused => {}
        Request::FollowClock => follow_clock(guest),
        Request::Reset | Request::Start | Request::Pause | Request::Resume => {}
    }
}

/// Moves the guest's wall clock to where the network's is, if that is known.
fn follow_clock<V: Vendor>(guest: &mut Guest<V>) {
    if let Some(seconds) = net::wall_seconds() {
        guest.seat.current().set_wall_clock(seconds);
    }
}

/// Sleeps until the owner asks for something that ends the wait.
fn wait<V: Vendor>(guest: &mut Guest<V>, duty: Duty) -> Turn {
    let since = time::tsc();
    loop {
        // Events first: a kick that comes after this ends the sleep below.
        alarm::take_events();
        duty.serve();
        guest.seat.current().show();
        match CONTROL.take() {
            Some(Request::Reset | Request::Start) => return Turn::Start,
            Some(Request::Resume) if CONTROL.state() == GuestState::Paused => {
                guest.machine.timeline.skip(since, time::tsc());
                follow_clock(guest);
                CONTROL.set_state(GuestState::Running);
                return Turn::Run(Order::Resume);
            }
            Some(Request::Pause | Request::Resume) => {}
            Some(request) => attend(request, guest),
            None => {
                if !CONTROL.requested() && !duty.has_services_to_run() {
                    interrupts::wait();
                }
            }
        }
    }
}
