//! The words that the prompt knows.

use super::super::control::Manner;

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
    /// Presses the guest's power button.
    Shutdown,
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

/// A line that was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order<'a> {
    /// A command of fixed words.
    Command(Command),
    /// Another medium for a drive, or none.
    Change {
        /// The drive.
        drive: &'a str,
        /// A file of the bundle.
        medium: Option<&'a str>,
        /// What if the guest has locked the drive.
        manner: Manner,
    },
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
    /// A known word without what has to follow it.
    Incomplete(&'static str),
}

impl Command {
    /// All of them, with what `help` says.
    pub const ALL: [(Self, &'static str, &'static str); 15] = [
        (Self::Help, "help", "this list"),
        (Self::Info, "info", "the guest and the host at a glance"),
        (Self::Reset, "reset", "reset the guest, whatever it does"),
        (Self::Start, "start", "start a guest that is stopped"),
        (Self::Pause, "pause", "hold the guest"),
        (Self::Resume, "resume", "let it go on"),
        (Self::Screen, "screen", "the text on the guest's screen"),
        (Self::Shutdown, "shutdown", "press the guest's power button"),
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

    fn parse(line: &str) -> Result<Self, ParseError<'_>> {
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

const EJECT: &str = "eject DRIVE";
const INSERT: &str = "insert DRIVE FILE";
/// What may follow both: the guest's lock does not matter.
const FORCE: &str = "force";

/// The commands that name something, and what `help` says.
pub const CHANGES: [(&str, &str); 2] = [
    (EJECT, "take the medium out: of hdc, fda and the like"),
    (
        INSERT,
        "put a file of the bundle in; `force` at the end: locked or not",
    ),
];

impl<'a> Order<'a> {
    /// Reads a line.
    pub fn parse(line: &'a str) -> Result<Self, ParseError<'a>> {
        let mut words = line.split_whitespace();
        let word = words.next().ok_or(ParseError::Empty)?;
        let form = match word {
            "eject" => EJECT,
            "insert" => INSERT,
            _ => return Command::parse(line).map(Self::Command),
        };
        let drive = words.next().ok_or(ParseError::Incomplete(form))?;
        let medium = match form {
            INSERT => Some(words.next().ok_or(ParseError::Incomplete(form))?),
            _ => None,
        };
        let manner = match (words.next(), words.next()) {
            (None, _) => Manner::Ask,
            (Some(FORCE), None) => Manner::Force,
            _ => return Err(ParseError::Arguments(word)),
        };
        Ok(Self::Change {
            drive,
            medium,
            manner,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_by_name() {
        for (command, name, _) in Command::ALL {
            assert_eq!(Order::parse(name), Ok(Order::Command(command)));
        }
        assert_eq!(Command::parse("  info\t"), Ok(Command::Info));
        assert_eq!(Command::parse(" dirty  off"), Ok(Command::DirtyOff));
    }

    #[test]
    fn media_are_changed_by_drive_and_file() {
        let change = |drive, medium, manner| {
            Ok(Order::Change {
                drive,
                medium,
                manner,
            })
        };
        for (line, expected) in [
            ("eject hdc", change("hdc", None, Manner::Ask)),
            (" eject fda  force", change("fda", None, Manner::Force)),
            (
                "insert hdc a.iso",
                change("hdc", Some("a.iso"), Manner::Ask),
            ),
            (
                "insert hdc a.iso force",
                change("hdc", Some("a.iso"), Manner::Force),
            ),
            ("eject", Err(ParseError::Incomplete(EJECT))),
            ("insert hdc", Err(ParseError::Incomplete(INSERT))),
            ("eject hdc now", Err(ParseError::Arguments("eject"))),
            ("insert hdc a b", Err(ParseError::Arguments("insert"))),
            (
                "insert hdc a force force",
                Err(ParseError::Arguments("insert")),
            ),
        ] {
            assert_eq!(Order::parse(line), expected, "{line}");
        }
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
