//! Monovisor's own prompt. It works without any guest: it needs the console and the control block alone.

mod command;
mod editor;
pub mod info;

use super::control::{Control, GuestState, HostAction, Manner, MediumChange, Request};
use super::screen;
use crate::{log, net, report, time};
use command::{CHANGES, Command, Order, ParseError};
use core::fmt::{self, Write};
use editor::Editor;

const PROMPT: &str = "monovisor> ";

/// The prompt: an editor, and what its lines do to a guest.
pub struct Prompt {
    editor: Editor,
    control: &'static Control,
    answer: Answer,
}

/// How somebody came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Over the line that is the guest's, too.
    Shared,
    /// Over a connection of their own.
    Own,
}

/// Whether a command's answer is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Given,
    /// [`screen::text`] will have it.
    Screen(screen::Ticket),
}

impl Prompt {
    /// A prompt for the guest behind `control`.
    pub fn new(control: &'static Control) -> Self {
        Self {
            editor: Editor::default(),
            control,
            answer: Answer::Given,
        }
    }

    /// True while a command's answer is to come: what is typed meanwhile has to wait.
    pub fn is_busy(&self) -> bool {
        self.answer != Answer::Given
    }

    /// Gives the answer that was waited for, if it is there.
    pub fn resume(&mut self, out: &mut impl Write) -> fmt::Result {
        if let Answer::Screen(ticket) = self.answer
            && let Some(text) = screen::text(ticket)
        {
            self.answer = Answer::Given;
            write!(out, "{text}")?;
            self.redraw(out)?;
        }
        Ok(())
    }

    /// What is shown when the prompt comes to the front.
    pub fn greet(&mut self, way: Way, out: &mut impl Write) -> fmt::Result {
        self.editor.clear();
        let guest = self
            .control
            .facts()
            .map_or("the guest", |facts| facts.name.as_str());
        write!(out, "[Monovisor: `help` lists the commands; ")?;
        match way {
            Way::Shared => writeln!(out, "Ctrl-A twice goes back to {guest}]")?,
            Way::Own => writeln!(out, "Ctrl-D hangs up]")?,
        }
        self.redraw(out)
    }

    /// Shows the prompt and what was typed, after something else was printed.
    pub fn redraw(&self, out: &mut impl Write) -> fmt::Result {
        write!(out, "{PROMPT}{}", self.editor.line())
    }

    /// Takes a typed byte.
    pub fn typed(&mut self, byte: u8, out: &mut impl Write) -> fmt::Result {
        let Some(line) = self.editor.typed(byte, out)? else {
            return Ok(());
        };
        match Order::parse(&line) {
            Ok(Order::Command(command)) => self.obey(command, out)?,
            Ok(Order::Change {
                drive,
                medium,
                manner,
            }) => self.change(drive, medium, manner, out)?,
            Err(ParseError::Empty) => {}
            Err(ParseError::Unknown(word)) => {
                writeln!(out, "`{word}` is no command; `help` lists them")?;
            }
            Err(ParseError::Arguments(word)) => {
                writeln!(
                    out,
                    "`{word}` does not take what follows it; `help` lists the commands"
                )?;
            }
            Err(ParseError::Incomplete(form)) => writeln!(out, "expected `{form}`")?,
        }
        match self.control.host_action() {
            None if self.is_busy() => Ok(()),
            None => self.redraw(out),
            // The host goes away; nothing more can be typed.
            Some(_) => Ok(()),
        }
    }

    fn obey(&mut self, command: Command, out: &mut impl Write) -> fmt::Result {
        match command {
            Command::Help => help(out),
            Command::Info => {
                info::Info::now(self.control).write(out)?;
                net::write_status(out)
            }
            Command::Reset => self.request(Request::Reset, out),
            Command::Start => self.request(Request::Start, out),
            Command::Pause => self.request(Request::Pause, out),
            Command::Resume => self.request(Request::Resume, out),
            Command::Screen => self.show_screen(out),
            Command::Shutdown => self.request(Request::PressPowerButton, out),
            Command::DirtyOn => self.request(Request::TrackWrites, out),
            Command::Dirty => self.request(Request::TellWrites, out),
            Command::DirtyOff => self.request(Request::UntrackWrites, out),
            Command::Dmesg => dmesg(out),
            Command::Report => report::write_last(out),
            Command::Reboot => self.ask_host(HostAction::Reboot, "restarting the host", out),
            Command::PowerOff => self.ask_host(HostAction::PowerOff, "switching the host off", out),
        }
    }

    /// A vCPU answers, also one that is held; without one nobody would.
    fn show_screen(&mut self, out: &mut impl Write) -> fmt::Result {
        if self.control.state() == GuestState::Absent {
            return writeln!(out, "there is no guest; `dmesg` says why");
        }
        self.answer = Answer::Screen(screen::ask_text());
        Ok(())
    }

    /// What comes of it is for the one who has the drives to say.
    fn change(
        &self,
        drive: &str,
        medium: Option<&str>,
        manner: Manner,
        out: &mut impl Write,
    ) -> fmt::Result {
        if let Err(why) = answer(Request::ChangeMedia, self.control.state_to_come()) {
            return writeln!(out, "{why}");
        }
        let taken = self.control.request_change(MediumChange {
            drive: drive.into(),
            medium: medium.map(Into::into),
            manner,
        });
        match taken {
            true => Ok(()),
            false => writeln!(out, "changes of media wait to be made; try again"),
        }
    }

    fn request(&self, request: Request, out: &mut impl Write) -> fmt::Result {
        let state = self.control.state_to_come();
        match answer(request, state) {
            Ok(text) => {
                self.control.request(request);
                writeln!(out, "{text}")
            }
            Err(why) => writeln!(out, "{why} (guest: {})", state.name()),
        }
    }

    fn ask_host(&self, action: HostAction, text: &str, out: &mut impl Write) -> fmt::Result {
        writeln!(out, "{text}")?;
        self.control.ask_host(action);
        Ok(())
    }
}

/// What to say to a request in a state, and whether to make it.
fn answer(request: Request, state: GuestState) -> Result<&'static str, &'static str> {
    use GuestState::{Absent, Crashed, Paused, Ready, Running, Stopped};
    match (request, state) {
        (_, Absent) => Err("there is no guest; `dmesg` says why"),
        (Request::Reset, _) => Ok("the guest is reset"),
        (Request::Start, Ready | Stopped | Crashed) => Ok("the guest starts"),
        (Request::Start, Running | Paused) => {
            Err("the guest has been started; `reset` starts it anew")
        }
        (Request::Pause, Running) => Ok("the guest is held; `resume` lets it go on"),
        (Request::Pause, _) => Err("only a running guest can be held"),
        (Request::Resume, Paused) => Ok("the guest goes on"),
        (Request::Resume, _) => Err("the guest is not held"),
        (Request::TrackWrites, _) => Ok("tracking starts"),
        (Request::TellWrites, _) => Ok("counting"),
        (Request::UntrackWrites, _) => Ok("tracking ends"),
        (Request::PressPowerButton, Running) => {
            Ok("the guest's power button is pressed; what follows is its own affair")
        }
        (Request::PressPowerButton, _) => Err("only a running guest heeds its power button"),
        (Request::ChangeMedia | Request::FollowClock, _) => Ok(""),
    }
}

fn help(out: &mut impl Write) -> fmt::Result {
    for (_, name, text) in Command::ALL {
        writeln!(out, "  {name:<10}{text}")?;
    }
    for (form, text) in CHANGES {
        writeln!(out, "  {form:<18}{text}")?;
    }
    writeln!(
        out,
        "  Ctrl-A twice switches between this prompt and the guest's console"
    )
}

fn dmesg(out: &mut impl Write) -> fmt::Result {
    let mut lines = log::Reader::from_oldest();
    while let Some(line) = lines.next_line() {
        let microseconds = time::tsc_to_ns(line.tsc) / 1000;
        let (seconds, fraction) = (microseconds / 1_000_000, microseconds % 1_000_000);
        writeln!(
            out,
            "[{seconds:5}.{fraction:06}] {}{}",
            line.severity.prefix(),
            line.text()
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{boxed::Box, string::String};

    fn with_guest(state: GuestState) -> Prompt {
        let control = Box::leak(Box::new(Control::new()));
        control.set_state(state);
        Prompt::new(control)
    }

    fn say(prompt: &mut Prompt, line: &str) -> String {
        let mut out = String::new();
        for byte in line.bytes() {
            prompt.typed(byte, &mut out).unwrap();
        }
        out
    }

    #[test]
    fn help_names_every_command() {
        let text = say(&mut with_guest(GuestState::Running), "help\r");
        for (_, name, _) in Command::ALL {
            assert!(text.contains(name), "{name}");
        }
        assert!(text.ends_with(PROMPT));
    }

    #[test]
    fn an_unknown_command_names_help() {
        let text = say(&mut with_guest(GuestState::Running), "halt\r");
        assert!(text.contains("`halt` is no command; `help`"));
    }

    #[test]
    fn reset_reaches_the_guest() {
        let mut prompt = with_guest(GuestState::Running);
        say(&mut prompt, "reset\r");
        assert_eq!(prompt.control.take(), Some(Request::Reset));
    }

    #[test]
    fn media_and_the_power_button_reach_the_guest() {
        let mut prompt = with_guest(GuestState::Running);
        say(&mut prompt, "insert hdc second.iso\r");
        assert_eq!(prompt.control.take(), Some(Request::ChangeMedia));
        let change = prompt.control.next_change().unwrap();
        assert_eq!(
            (change.drive.as_str(), change.medium.as_deref()),
            ("hdc", Some("second.iso"))
        );
        say(&mut prompt, "shutdown\r");
        assert_eq!(prompt.control.take(), Some(Request::PressPowerButton));
        let text = say(&mut with_guest(GuestState::Stopped), "shutdown\r");
        assert!(text.contains("only a running guest"), "{text}");
        let text = say(&mut prompt, "eject\r");
        assert!(text.contains("expected `eject DRIVE`"), "{text}");
    }

    #[test]
    fn without_a_guest_nothing_is_asked_of_it() {
        let mut prompt = with_guest(GuestState::Absent);
        for line in [
            "reset\r",
            "start\r",
            "pause\r",
            "resume\r",
            "dirty on\r",
            "screen\r",
            "shutdown\r",
            "eject hdc\r",
        ] {
            assert!(say(&mut prompt, line).contains("there is no guest"));
        }
        assert_eq!(prompt.control.take(), None);
    }

    #[test]
    fn only_a_stopped_guest_starts_and_only_a_held_one_goes_on() {
        let asked = |line: &str, state| {
            let mut prompt = with_guest(state);
            say(&mut prompt, line);
            prompt.control.take()
        };
        assert_eq!(asked("start\r", GuestState::Stopped), Some(Request::Start));
        assert_eq!(asked("start\r", GuestState::Running), None);
        assert_eq!(asked("resume\r", GuestState::Paused), Some(Request::Resume));
        assert_eq!(asked("resume\r", GuestState::Running), None);
        assert_eq!(asked("pause\r", GuestState::Running), Some(Request::Pause));
        assert_eq!(asked("pause\r", GuestState::Crashed), None);
    }

    #[test]
    fn commands_typed_ahead_follow_each_other() {
        let mut prompt = with_guest(GuestState::Running);
        let text = say(&mut prompt, "pause\rresume\r");
        assert!(text.contains("the guest goes on"), "{text}");
    }

    #[test]
    fn poweroff_is_for_the_host() {
        let mut prompt = with_guest(GuestState::Running);
        say(&mut prompt, "poweroff\r");
        assert_eq!(prompt.control.host_action(), Some(HostAction::PowerOff));
        assert_eq!(prompt.control.take(), None);
    }

    #[test]
    fn the_greeting_starts_with_an_empty_line() {
        let mut prompt = with_guest(GuestState::Running);
        say(&mut prompt, "half a comm");
        let mut out = String::new();
        prompt.greet(Way::Shared, &mut out).unwrap();
        assert!(out.ends_with(PROMPT));
    }
}
