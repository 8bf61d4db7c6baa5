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

/// Pixels of a screen of text.
const WIDTH: usize = 720;
const HEIGHT: usize = 400;

/// TigerVNC's viewer, and the X server that it is on, which has just the size of a screen of text.
pub struct Tiger {
    screen: Child,
    viewer: Child,
    /// The X server's picture.
    memory: PathBuf,
}

impl Tiger {
    /// Has it look at the machine's `port`.
    pub fn start(network: &Network, port: u16, password: &str, directory: &Path) -> Result<Self> {
        let mut screen = command::dependent("Xvfb");
        screen
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                &format!("{WIDTH}x{HEIGHT}x24"),
                "-nolisten",
                "tcp",
            ])
            .arg("-fbdir")
            .arg(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut screen = screen.spawn().context("Debian's package xvfb is needed")?;
        let mut display = String::new();
        let output = screen.stdout.take().context("no standard output")?;
        BufReader::new(output).read_line(&mut display)?;
        let viewer = command::dependent("xtigervncviewer")
            .env("DISPLAY", format!(":{}", display.trim()))
            .env("VNC_PASSWORD", password)
            .env("HOME", directory)
            .args([
                "-RemoteResize=0",
                "-DotWhenNoCursor=0",
                "-ReconnectOnError=0",
            ])
            .args(["-SecurityTypes=VncAuth", "-FullScreen=1"])
            .arg(format!("127.0.0.1::{}", network.port(port)?))
            .stdout(fs::File::create(directory.join("tigervnc.log"))?)
            .stderr(fs::File::create(directory.join("tigervnc.err"))?)
            .spawn()
            .context("Debian's package tigervnc-viewer is needed");
        let viewer = match viewer {
            Ok(viewer) => viewer,
            Err(error) => {
                // It may have ended already.
                let _ = screen.kill();
                let _ = screen.wait();
                return Err(error);
            }
        };
        Ok(Self {
            screen,
            viewer,
            memory: directory.join("Xvfb_screen0"),
        })
    }

    /// What the X server shows.
    pub fn picture(&mut self) -> Result<Image> {
        if let Some(status) = self.viewer.try_wait()? {
            anyhow::bail!("the viewer ended with {status}");
        }
        let bytes = fs::read(&self.memory).context("the X server has no picture")?;
        read_dump(&bytes).context("the X server's picture cannot be read")
    }
}

impl Drop for Tiger {
    fn drop(&mut self) {
        for child in [&mut self.viewer, &mut self.screen] {
            // They may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
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

/// How long a viewer may take to show something.
pub const SHOWN: Duration = Duration::from_secs(30);
