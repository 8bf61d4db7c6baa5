//! The words that the prompt knows.

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Lists the commands.
    Help,
    /// The guest and the host at a glance.
    Info,
    /// Resets the guest.
    Reset,
    /// Starts a guest that is stopped.
    Start,
    /// Holds the guest.
    Pause,
    /// Lets it go on.
    Resume,
    /// What the guest's screen shows.
    Screen,
    /// Tracks which memory the guest writes.
    DirtyOn,
    /// Tells how much it was.
    Dirty,
    /// Tracks it no longer.
    DirtyOff,
    /// The kept log lines.
    Dmesg,
    /// The capability report.
    Report,
    /// Restarts the host.
    Reboot,
    /// Switches the host off.
    PowerOff,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError<'a> {
    /// Nothing but blanks.
    Empty,
    /// No such word.
    Unknown(&'a str),
    /// A known word with something behind it that does not belong there.
    Arguments(&'a str),
}

impl Command {
    /// All of them, with what `help` says.
    pub const ALL: [(Self, &'static str, &'static str); 14] = [
        (Self::Help, "help", "this list"),
        (Self::Info, "info", "the guest and the host at a glance"),
        (Self::Reset, "reset", "reset the guest, whatever it does"),
        (Self::Start, "start", "start a guest that is stopped"),
        (Self::Pause, "pause", "hold the guest"),
        (Self::Resume, "resume", "let it go on"),
        (Self::Screen, "screen", "the text on the guest's screen"),
        (Self::DirtyOn, "dirty on", "track which memory is written"),
        (
            Self::Dirty,
            "dirty",
            "how much it was since, or since last asked",
        ),
        (Self::DirtyOff, "dirty off", "track it no longer"),
        (Self::Dmesg, "dmesg", "Monovisor's latest log lines"),
        (Self::Report, "report", "the capability report again"),
        (Self::Reboot, "reboot", "restart the host"),
        (Self::PowerOff, "poweroff", "switch the host off"),
    ];

    /// Reads a line.
    pub fn parse(line: &str) -> Result<Self, ParseError<'_>> {
        let word = line.split_whitespace().next().ok_or(ParseError::Empty)?;
        let same = |name: &str| name.split(' ').eq(line.split_whitespace());
        let known = |name: &str| name.split(' ').next() == Some(word);
        match Self::ALL.into_iter().find(|(_, name, _)| same(name)) {
            Some((command, ..)) => Ok(command),
            None if Self::ALL.iter().any(|(_, name, _)| known(name)) => {
                Err(ParseError::Arguments(word))
            }
            None => Err(ParseError::Unknown(word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_by_name() {
        for (command, name, _) in Command::ALL {
            assert_eq!(Command::parse(name), Ok(command));
        }
        assert_eq!(Command::parse("  info\t"), Ok(Command::Info));
        assert_eq!(Command::parse(" dirty  off"), Ok(Command::DirtyOff));
    }

    #[test]
    fn other_lines_are_told_apart() {
        assert_eq!(Command::parse(" "), Err(ParseError::Empty));
        assert_eq!(Command::parse("halp"), Err(ParseError::Unknown("halp")));
        assert_eq!(
            Command::parse("reset now"),
            Err(ParseError::Arguments("reset"))
        );
        assert_eq!(
            Command::parse("dirty of"),
            Err(ParseError::Arguments("dirty"))
        );
        assert_eq!(Command::parse("on"), Err(ParseError::Unknown("on")));
        assert_eq!(Command::parse("INFO"), Err(ParseError::Unknown("INFO")));
    }
}
