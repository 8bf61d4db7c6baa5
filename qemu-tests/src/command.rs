//! Running other programs, with errors that say what was run and what it said.

use anyhow::{Context, Result, bail};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

/// A command whose process is killed when the thread that started it is no more: an emulator would outlive a run that is killed, and go on
/// for ever. That is a property that a process sets for itself, so `setpriv` (util-linux) does, and becomes `program`. What `program` starts in
/// its turn is its own affair.
pub fn dependent(program: impl AsRef<OsStr>) -> Command {
    dependent_on(&std::process::id().to_string(), program.as_ref())
}

/// Who is killed before `setpriv` has asked for the signal causes none. So then a shell looks whether its parent still is `parent`, the
/// process with this number, and only then becomes `program`.
fn dependent_on(parent: &str, program: &OsStr) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "sh", "-c"]);
    command.args([UNLESS_ORPHANED, parent]).arg(program);
    command
}

/// The shell's words for that.
const UNLESS_ORPHANED: &str = r#"[ "$PPID" = "$0" ] && exec "$@""#;

/// The command as a person would type it, who is there until it ends.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    let own = match words.iter().position(|word| word == UNLESS_ORPHANED) {
        // Its parent's number comes between.
        Some(shell) => &words[shell + 2..],
        None => &words[..],
    };
    line(own)
}

fn line(words: &[Cow<'_, str>]) -> String {
    words
        .iter()
        .map(|word| quoted(word))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Runs `command` and returns what it printed on standard output; anything but success is an error that quotes
/// standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let line = shown(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!(
            "`{line}` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` with `input` as its standard input, and returns what it wrote.
pub fn filter(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let line = shown(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let mut to = child.stdin.take().context("no standard input")?;
    let output = std::thread::scope(|scope| {
        // A program that ends early is judged by its exit code.
        scope.spawn(move || to.write_all(input));
        child.wait_with_output()
    })?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => bail!("`{line}` ended with {}", output.status),
    }
}

/// Runs `command` with the terminal as its own; anything but success is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    match status.success() {
        true => Ok(()),
        false => bail!("`{line}` ended with {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Child, ChildStdout};
    use std::time::{Duration, Instant};

    /// A shell that is killed with whoever starts it, with what it says.
    fn shell(line: &str) -> (Child, BufReader<ChildStdout>) {
        let mut child = dependent("sh")
            .args(["-c", line])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        (child, BufReader::new(output))
    }

    /// A line for a shell that runs `script`, killed with the process of this number, in the shell's words.
    fn words(parent: &str, script: &str) -> String {
        let command = dependent_on("PARENT", "sh".as_ref());
        let own = std::iter::once(command.get_program()).chain(command.get_args());
        let own = own.map(OsStr::to_string_lossy);
        let script = ["-c", script].map(Cow::from);
        line(&own.chain(script).collect::<Vec<_>>()).replace("PARENT", parent)
    }

    #[test]
    fn a_dependent_program_is_killed_with_its_parent() {
        // This process' child has a child of its own, which would wait for a minute, and keeps the pipe open.
        let grandchild = words("$$", "echo ready; exec sleep 60");
        let (mut child, mut output) = shell(&format!("{grandchild} & wait"));
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let start = Instant::now();
        child.kill().unwrap();
        child.wait().unwrap();
        // The pipe ends when the grandchild does.
        assert_eq!(output.read_line(&mut line).unwrap(), 0);
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_dependent_program_whose_parent_was_gone_at_once_does_not_start() {
        // The grandchild's parent is the shell, and not this process, which is as if this one were gone.
        let parent = std::process::id().to_string();
        let grandchild = words(&parent, "echo started");
        let (mut child, mut output) = shell(&format!("{grandchild}; echo $?"));
        let mut said = String::new();
        output.read_to_string(&mut said).unwrap();
        assert_eq!(said, "1\n");
        child.wait().unwrap();
    }

    #[test]
    fn a_dependent_program_is_shown_as_it_would_be_typed() {
        let mut command = dependent("emulator");
        command.args(["-m", "512", "a b"]);
        assert_eq!(shown(&command), "emulator -m 512 'a b'");
        assert_eq!(shown(Command::new("tar").arg("x")), "tar x");
    }

    #[test]
    fn a_dependent_program_has_its_own_exit_code_and_arguments() {
        let (mut child, mut output) = shell("echo -- $0; exit 3");
        let mut said = String::new();
        output.read_line(&mut said).unwrap();
        assert_eq!(said, "-- sh\n");
        assert_eq!(child.wait().unwrap().code(), Some(3));
    }
}
