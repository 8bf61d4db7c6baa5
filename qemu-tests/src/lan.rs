//! A network with a real station on it: Linux in a name space of its own, with a DHCP and name server (dnsmasq) and a web server.
//!
//! The name space has a tap, which `socat` joins with a socket; this process carries frames between that socket and the machine's, and may
//! lose some and change their order, the same ones in every run. Nothing of it needs more rights than user name spaces, and nothing of
//! this computer's own network changes.

mod wire;

use crate::{bochs, command, initramfs};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use wire::Wire;

/// The station's address; its DHCP server gives out 10.9.0.50 and up.
pub const ADDRESS: &str = "10.9.0.1";
/// A name that its name server knows.
pub const NAME: &str = "station.lan.test";
/// How often the carriers look whether they are still wanted.
const TICK: Duration = Duration::from_millis(100);
/// The longest frame.
const FRAME_BYTES: usize = 65_536;

/// What happens to frames on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Of a thousand frames, how many are lost.
    pub lost_per_mille: u64,
    /// Of a thousand frames, how many come after the one behind them.
    pub late_per_mille: u64,
}

/// What the carriers have done to frames.
#[derive(Debug, Default)]
struct Damage {
    lost: AtomicU64,
    late: AtomicU64,
}

/// The network.
pub struct Lan {
    child: Child,
    /// The process to enter the name space by.
    inside: u32,
    /// Where Bochs' card receives, if it is such a network.
    port: Option<u16>,
    directory: PathBuf,
    over: Arc<AtomicBool>,
    damage: Arc<Damage>,
    carriers: Vec<JoinHandle<()>>,
}

impl Lan {
    /// A network whose files are in `directory`.
    pub fn start(directory: &Path, weather: Weather) -> Result<Self> {
        Self::start_with(directory, weather, "")
    }

    /// The same with further options of dnsmasq's, in a shell's words.
    pub fn start_with(directory: &Path, weather: Weather, options: &str) -> Result<Self> {
        let near = Wire::in_directory(directory, "wire", "hub")?;
        Self::join(directory, weather, options, near)
    }

    /// A network for a machine in Bochs. There time is not ours, so the server does not wait to see whether anybody has an address.
    pub fn start_for_bochs(directory: &Path) -> Result<Self> {
        let (near, port) = Wire::next_to_a_port()?;
        let mut lan = Self::join(directory, Weather::default(), "--no-ping", near)?;
        lan.port = Some(port);
        Ok(lan)
    }

    /// Joins the machine's end with the name space.
    fn join(directory: &Path, weather: Weather, options: &str, near: Wire) -> Result<Self> {
        fs::create_dir_all(directory.join("www"))?;
        let over = Arc::new(AtomicBool::new(false));
        let damage = Arc::new(Damage::default());
        let far = Wire::in_directory(directory, "far", "tap")?;
        near.set_patience(TICK)?;
        far.set_patience(TICK)?;
        let ways = [(near.share()?, far.share()?, 1), (far, near, 2)];
        let carriers = ways.map(|(from, to, seed)| {
            let (over, damage) = (over.clone(), damage.clone());
            thread::spawn(move || carry(&from, &to, weather, seed, &over, &damage))
        });
        // If this process is killed, so is all of it: a name space ends with its first process, that with `unshare`, and that with us.
        let mut child = command::dependent("unshare")
            .args([
                "--map-root-user",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                &script(directory, options),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(directory.join("lan.log"))?)
            .spawn()
            .context("cannot start `unshare`")?;
        let output = child.stdout.take().context("no output")?;
        let is_ready = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .any(|line| line == "ready");
        let mut lan = Self {
            inside: 0,
            port: None,
            child,
            directory: directory.to_owned(),
            over,
            damage,
            carriers: carriers.into(),
        };
        if !is_ready {
            bail!(
                "there is no network in a name space (it needs user name spaces and /dev/net/tun): {}",
                ["lan.log", "dnsmasq.log"]
                    .map(|log| fs::read_to_string(directory.join(log)).unwrap_or_default())
                    .concat()
            );
        }
        let unshare = lan.child.id();
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"))?;
        let inside = children
            .trim()
            .parse()
            .with_context(|| format!("{children:?} is no process"))?;
        lan.inside = inside;
        Ok(lan)
    }

    /// The emulator's arguments for a card of this model on it; Bochs has one model.
    pub fn arguments(&self, card: &str) -> Vec<String> {
        if let Some(port) = self.port {
            let mut lines = bochs::card(&format!("ethmod=socket, ethdev={port}"));
            lines.push(bochs::no_faster_than_others());
            return lines;
        }
        let wire = format!(
            "dgram,id=wire,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            self.directory.join("hub").display(),
            self.directory.join("wire").display()
        );
        [
            "-netdev",
            &wire,
            "-device",
            &format!("{card},id=card,netdev=wire"),
        ]
        .map(str::to_owned)
        .into()
    }

    /// Runs a shell's command in the name space, and returns what it says.
    pub fn run(&self, line: &str) -> Result<String> {
        command::output(&mut self.enter(line)).map(|said| said.trim().to_owned())
    }

    /// The command that does so.
    pub fn enter(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "-t",
            &self.inside.to_string(),
            "-U",
            "-n",
            "--preserve-credentials",
            "sh",
            "-c",
            line,
        ]);
        command
    }

    /// A file that the web server has.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join("www").join(name)
    }

    /// The address that its DHCP server gave to the card with this MAC address.
    pub fn lease_of(&self, mac: &str) -> Result<String> {
        let leases = fs::read_to_string(self.directory.join("leases"))?;
        // Time, MAC address, address, name, client.
        let mut lines = leases.lines().map(|line| line.split(' '));
        let found = lines
            .find_map(|mut words| (words.nth(1)? == mac).then(|| words.next().map(str::to_owned)));
        found
            .flatten()
            .with_context(|| format!("{mac} has no lease: {leases}"))
    }

    /// Frames that were lost on the way, and those that came late.
    pub fn damage(&self) -> (u64, u64) {
        (
            self.damage.lost.load(Ordering::Relaxed),
            self.damage.late.load(Ordering::Relaxed),
        )
    }

    /// That frames were lost and late.
    pub fn ensure_damage(&self) -> Result<()> {
        let (lost, late) = self.damage();
        ensure!(
            lost > 0 && late > 0,
            "{lost} frames were lost and {late} late: nothing was tested"
        );
        Ok(())
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Its end is the end of all that runs in the name space.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for carrier in self.carriers.drain(..) {
            let _ = carrier.join();
        }
    }
}

fn script(directory: &Path, options: &str) -> String {
    let (directory, busybox) = (directory.display(), initramfs::BUSYBOX);
    format!(
        "ip link set lo up
        socat UNIX-SENDTO:{directory}/far,bind={directory}/tap \
            TUN:{ADDRESS}/24,tun-type=tap,iff-no-pi,iff-up,tun-name=lan0 >&2 &
        until ip -4 addr show lan0 2>/dev/null | grep -q {ADDRESS}; do
            kill -0 $! || exit 1
            sleep 0.05
        done
        dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --no-poll \
            --interface=lan0 --bind-interfaces --dhcp-range=10.9.0.50,10.9.0.99,255.255.255.0,120s --dhcp-authoritative \
            --dhcp-leasefile={directory}/leases --pid-file={directory}/dnsmasq.pid --address=/{NAME}/{ADDRESS} \
            --domain=lan.test --local=/lan.test/ --log-dhcp --log-queries --log-facility={directory}/dnsmasq.log \
            {options} >&2 &
        names=$!
        {busybox} httpd -f -p 80 -h {directory}/www >&2 &
        until {busybox} netstat -ltn | grep -q ':80 ' && {busybox} netstat -lun | grep -q ':67 '; do
            kill -0 $! && kill -0 $names || exit 1
            sleep 0.05
        done
        echo ready
        exec >&2
        wait"
    )
}

/// Carries frames one way until it is over.
fn carry(from: &Wire, to: &Wire, weather: Weather, seed: u64, over: &AtomicBool, damage: &Damage) {
    let mut dice = seed;
    let mut roll = move || {
        // Steele, Lea and Flood's generator (SplitMix64).
        dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (dice ^ dice >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ mixed >> 29) % 1000
    };
    let mut frame = vec![0; FRAME_BYTES];
    let mut late: Option<Vec<u8>> = None;
    while !over.load(Ordering::Relaxed) {
        let Ok(length) = from.receive(&mut frame) else {
            // Nothing comes after it.
            if let Some(late) = late.take() {
                to.send(&late);
            }
            continue;
        };
        let frame = &frame[..length];
        if roll() < weather.lost_per_mille {
            damage.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        if late.is_none() && roll() < weather.late_per_mille {
            damage.late.fetch_add(1, Ordering::Relaxed);
            late = Some(frame.to_vec());
            continue;
        }
        to.send(frame);
        if let Some(late) = late.take() {
            to.send(&late);
        }
    }
}
