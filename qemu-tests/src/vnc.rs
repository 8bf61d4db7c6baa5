//! Viewers of others' making: vncdotool, and TigerVNC on a screen without glass.

use crate::desk::Image;
use crate::remote::Network;
use crate::turn::Turn;
use crate::{command, package};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The version that is tested with.
const VNCDOTOOL: &str = "vncdotool==1.4.2";
/// Between keys: a BIOS keeps fifteen for a program that is busy.
const KEY_PAUSE_MS: u32 = 40;

/// vncdotool in a Python environment of its own, made when it is first wanted.
pub struct Robot {
    environment: PathBuf,
    server: String,
    password: String,
}

impl Robot {
    /// One that will look at the machine's `port`.
    pub fn new(network: &Network, port: u16, password: &str) -> Result<Self> {
        Ok(Self {
            environment: environment()?,
            server: format!("127.0.0.1::{}", network.port(port)?),
            password: password.to_owned(),
        })
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let mut robot = Command::new(self.environment.join("bin/vncdo"));
        robot.args(["-s", &self.server, "-p", &self.password, "--timeout=60"]);
        robot.arg(format!("--delay={KEY_PAUSE_MS}")).args(words);
        command::output(&mut robot)
    }

    /// Does what vncdotool's words say, one after the other.
    pub fn act(&self, words: &[&str]) -> Result<()> {
        self.run(words).map(drop)
    }

    /// Types a line.
    pub fn type_line(&self, line: &str) -> Result<()> {
        self.run(&["type", line, "key", "enter"]).map(drop)
    }

    /// The picture; also kept as `name`.png in `directory`.
    pub fn capture(&self, directory: &Path, name: &str) -> Result<Image> {
        let path = |kind: &str| directory.join(format!("{name}.{kind}"));
        let text = |path: &Path| path.to_str().map(str::to_owned);
        let (png, ppm) = (path("png"), path("ppm"));
        let png = text(&png).context("the path is no UTF-8")?;
        self.run(&["capture", &png])?;
        let mut convert = Command::new(self.environment.join("bin/python"));
        let program = "import sys; from PIL import Image; Image.open(sys.argv[1]).convert('RGB').save(sys.argv[2])";
        command::run(convert.args(["-c", program, &png]).arg(&ppm))?;
        let bytes = fs::read(&ppm)?;
        fs::remove_file(&ppm)?;
        Image::parse(&bytes).context("the capture is no picture")
    }
}

fn environment() -> Result<PathBuf> {
    let _turn = Turn::take()?;
    let place = package::store()?.join("vncdotool");
    if place.join("bin/vncdo").exists() {
        return Ok(place);
    }
    command::run(Command::new("python3").args(["-m", "venv"]).arg(&place))
        .context("Debian's package python3-venv is needed")?;
    command::output(Command::new(place.join("bin/pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        VNCDOTOOL,
    ]))?;
    Ok(place)
}

/// Where somebody sits before a viewer.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// Pixels of the screen, all of which the viewer takes.
    pub size: (usize, usize),
    /// X's name for the keyboard's layout.
    pub layout: &'static str,
    /// Options of the viewer's, beside those of any.
    pub options: &'static [&'static str],
}

impl Seat {
    /// A screen of just the size of the guest's with text.
    pub const TEXT: Self = Self {
        size: (720, 400),
        layout: "us",
        options: &[],
    };
}

/// An X server without glass.
struct Screen {
    server: Child,
    /// X's name for it.
    name: String,
    /// Its picture.
    memory: PathBuf,
}

impl Screen {
    /// One of so many pixels, which has its picture in `directory`.
    fn start((width, height): (usize, usize), directory: &Path) -> Result<Self> {
        let mut server = command::dependent("Xvfb")
            // What programs have set up there stays when they end.
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset"])
            .args(["-screen", "0", &format!("{width}x{height}x24")])
            .arg("-fbdir")
            .arg(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("Debian's package xvfb is needed")?;
        let output = server.stdout.take();
        let mut screen = Self {
            server,
            name: String::from(":"),
            memory: directory.join("Xvfb_screen0"),
        };
        let output = output.context("no standard output")?;
        // It tells its number when it can be used.
        BufReader::new(output).read_line(&mut screen.name)?;
        screen.name.truncate(screen.name.trim_end().len());
        Ok(screen)
    }

    /// Runs a program there.
    fn run(&self, program: &str, words: &[&str]) -> Result<()> {
        let mut command = Command::new(program);
        command::output(command.args(words).env("DISPLAY", &self.name)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// TigerVNC's viewer on a screen of its own.
pub struct Tiger {
    viewer: Child,
    /// What it tells of itself.
    log: PathBuf,
    screen: Screen,
}

impl Tiger {
    /// Has it look at the machine's `port`; `directory` is for it alone.
    pub fn start(
        network: &Network,
        port: u16,
        password: &str,
        seat: Seat,
        directory: &Path,
    ) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let screen = Screen::start(seat.size, directory)?;
        screen.run("setxkbmap", &[seat.layout])?;
        let log = directory.join("tigervnc.log");
        let words = fs::File::create(&log)?;
        let viewer = command::dependent("xtigervncviewer")
            .env("DISPLAY", &screen.name)
            .env("VNC_PASSWORD", password)
            .env("HOME", directory)
            .args([
                "-RemoteResize=0",
                "-DotWhenNoCursor=0",
                "-ReconnectOnError=0",
            ])
            .args(["-SecurityTypes=VncAuth", "-FullScreen=1"])
            .args(seat.options)
            .arg(format!("127.0.0.1::{}", network.port(port)?))
            .stdout(words.try_clone()?)
            .stderr(words)
            .spawn()
            .context("Debian's package tigervnc-viewer is needed")?;
        Ok(Self {
            viewer,
            log,
            screen,
        })
    }

    /// Types a line, by the keys that have these symbols on the keyboard there.
    pub fn type_line(&self, line: &str) -> Result<()> {
        let delay = KEY_PAUSE_MS.to_string();
        let screen = &self.screen;
        screen.run("xdotool", &["type", "--delay", &delay, line])?;
        screen.run("xdotool", &["key", "Return"])
    }

    /// What the viewer has told of itself.
    pub fn said(&self) -> Result<String> {
        fs::read_to_string(&self.log).context("the viewer's log cannot be read")
    }

    /// What the screen shows.
    pub fn picture(&mut self) -> Result<Image> {
        if let Some(status) = self.viewer.try_wait()? {
            anyhow::bail!("the viewer ended with {status}: {}", self.said()?);
        }
        let bytes = fs::read(&self.screen.memory).context("the X server has no picture")?;
        read_dump(&bytes).context("the X server's picture cannot be read")
    }
}

impl Drop for Tiger {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.viewer.kill();
        let _ = self.viewer.wait();
    }
}

/// A picture in X's format for window dumps (XWDFile.h, version 7) with 32 bits a pixel.
fn read_dump(bytes: &[u8]) -> Option<Image> {
    const COLOUR_BYTES: usize = 12;
    let word = |index: usize| {
        let word = bytes.get(4 * index..4 * index + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(word) as usize)
    };
    let (header_bytes, line_bytes, colours) = (word(0)?, word(12)?, word(19)?);
    if word(1)? != 7 || word(11)? != 32 {
        return None;
    }
    let (width, height) = (word(4)?, word(5)?);
    let start = header_bytes + colours * COLOUR_BYTES;
    let mut pixels = Vec::new();
    for line in 0..height {
        let from = start + line * line_bytes;
        let (line, _) = bytes.get(from..from + 4 * width)?.as_chunks::<4>();
        pixels.extend(line.iter().map(|&[blue, green, red, _]| [red, green, blue]));
    }
    Some(Image {
        width,
        height,
        pixels,
    })
}

/// Whether two pictures are the same, but for a cursor.
pub fn same(one: &Image, other: &Image) -> Result<()> {
    let sizes = [one, other].map(|picture| (picture.width, picture.height));
    ensure!(sizes[0] == sizes[1], "pictures of {sizes:?} pixels");
    let pairs = one.pixels.iter().zip(&other.pixels);
    let differences = pairs.filter(|(one, other)| one != other).count();
    ensure!(
        differences <= CURSOR_PIXELS,
        "{differences} pixels of the pictures differ"
    );
    Ok(())
}

/// Whether a picture of 80 by 25 characters shows what `screen` says, a line a row.
pub fn shows(picture: &Image, screen: &str) -> Result<()> {
    let seen = picture.text(picture.width / 80);
    let told: Vec<_> = screen.lines().skip(1).collect();
    // The cursor blinks over one character.
    let differences = seen.lines().zip(&told).filter(|(seen, told)| {
        let told: String = told
            .chars()
            .map(|character| match character {
                ' '..='~' => character,
                _ => ' ',
            })
            .collect();
        seen.trim_end() != told.trim_end()
    });
    let differences = differences.count();
    ensure!(
        differences <= 1,
        "the picture shows\n{seen}and the guest's screen\n{screen}"
    );
    Ok(())
}

/// A cursor's, of a character of GRUB's on a screen of graphics.
const CURSOR_PIXELS: usize = 8 * 16;

/// How long a viewer may take to show something.
pub const SHOWN: Duration = Duration::from_secs(30);
