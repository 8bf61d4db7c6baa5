//! Consoles over the network: which are served, where, and who may use them.
//!
//! One that has neither a password nor `insecure = 1` is not served, with a note; `insecure` opens what is asked for, never a screen of which
//! nothing is said. `serial` and `prompt` are written as QEMU's `-serial`
//! is (and so xl.cfg's `serial`): `tcp:[ADDRESS]:PORT,server` or `telnet:[ADDRESS]:PORT,server`; their password is `password`. The
//! screen has xl.cfg's `vnc` keys, with `vncpasswd`.

use super::error::ConfigError;
use super::interpret::Reader;
use super::setting::Setting;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use net::server::login::MAX_BYTES as MAX_PASSWORD_BYTES;

/// The port of VNC's display 0 (RFC 6143, 7.1).
pub const VNC_PORT: u16 = 5900;
/// Displays have ports up to the last one.
const MAX_DISPLAY: u16 = u16::MAX - VNC_PORT;
/// What VNC's authentication uses of a password (RFC 6143, 7.2.2).
const VNC_PASSWORD_BYTES: usize = 8;

/// Who may use a console.
#[derive(Clone, PartialEq, Eq)]
pub enum Admission {
    /// Whoever knows this password.
    Password(String),
    /// Anybody: `insecure = 1`.
    Anybody,
}

/// Passwords are not for logs.
impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password",
            Self::Anybody => "Anybody",
        })
    }
}

/// Where somebody is listened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// One address of the host; `None`: all that it has.
    pub address: Option<IpAddr>,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            None => write!(f, "port {}", self.port),
            Some(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// What is spoken on a line of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Bytes as they are.
    Raw,
    /// RFC 854, with the options that make a terminal of it.
    Telnet,
}

/// A console of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Where.
    pub endpoint: Endpoint,
    /// How.
    pub dialect: Dialect,
    /// For whom.
    pub admission: Admission,
}

/// The screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vnc {
    /// Where.
    pub endpoint: Endpoint,
    /// For whom.
    pub admission: Admission,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consoles {
    /// The guest's serial line.
    pub serial: Option<Terminal>,
    /// Monovisor's prompt.
    pub prompt: Option<Terminal>,
    /// The guest's screen, keyboard and pointer.
    pub vnc: Option<Vnc>,
}

impl Consoles {
    /// Reads their keys.
    pub(super) fn read(reader: &mut Reader) -> Result<Self, ConfigError> {
        let insecure = match reader.get("insecure") {
            Some(setting) => setting.flag()?,
            None => false,
        };
        let password = match reader.get("password") {
            Some(setting) if setting.text()?.len() > MAX_PASSWORD_BYTES => {
                let expected = format!("expected at most {MAX_PASSWORD_BYTES} bytes");
                return Err(setting.error(expected));
            }
            Some(setting) => Some(setting.text()?.to_string()),
            None => None,
        };
        let admission = match (password, insecure) {
            (Some(password), _) => Some(Admission::Password(password)),
            (None, true) => Some(Admission::Anybody),
            (None, false) => None,
        };
        let serial = match reader.get("serial").cloned() {
            Some(setting) => match setting.list()?.first() {
                Some(port) => terminal(reader, port, admission.as_ref())?,
                None => None,
            },
            None => None,
        };
        let prompt = match reader.get("prompt").cloned() {
            Some(setting) => {
                if !names_network(setting.text()?) {
                    return Err(setting.error(EXPECTED));
                }
                terminal(reader, &setting, admission.as_ref())?
            }
            None => None,
        };
        let mut consoles = Self {
            serial,
            prompt,
            vnc: None,
        };
        consoles.vnc = vnc(reader, insecure, &consoles)?;
        if let (Some(serial), Some(prompt)) = (&consoles.serial, &consoles.prompt)
            && serial.endpoint.port == prompt.endpoint.port
            && let Some(setting) = reader.get("prompt")
        {
            return Err(setting.error("expected another port: `serial` has this one"));
        }
        Ok(consoles)
    }

    fn has_port(&self, port: u16) -> bool {
        let terminals = [&self.serial, &self.prompt];
        terminals
            .into_iter()
            .flatten()
            .any(|terminal| terminal.endpoint.port == port)
    }
}

const EXPECTED: &str = "expected tcp:[ADDRESS]:PORT,server or telnet:[ADDRESS]:PORT,server";
const NO_PASSWORD: &str =
    "ignored: nobody may use it, since neither `password` nor `insecure = 1` is given";

const NO_SCREEN_PASSWORD: &str = "ignored: nobody may use it, since neither `vncpasswd` is given nor `vnc = 1` with `insecure = 1`";

/// Whether a serial port of xl.cfg leads to the network.
pub(super) fn names_network(text: &str) -> bool {
    text.starts_with("tcp:") || text.starts_with("telnet:")
}

/// What `setting` names, if it leads to the network and somebody may use it.
fn terminal(
    reader: &mut Reader,
    setting: &Setting,
    admission: Option<&Admission>,
) -> Result<Option<Terminal>, ConfigError> {
    let text = setting.any_text()?;
    let (dialect, rest) = match text.split_once(':') {
        Some(("tcp", rest)) => (Dialect::Raw, rest),
        Some(("telnet", rest)) => (Dialect::Telnet, rest),
        _ => return Ok(None),
    };
    let mut parts = rest.split(',');
    let endpoint = endpoint(parts.next().unwrap_or("")).ok_or_else(|| setting.error(EXPECTED))?;
    let mut waits = false;
    for part in parts {
        match part {
            "server" | "server=on" => waits = true,
            // Those who are served never hold up the guest anyway.
            "nowait" | "wait=off" | "nodelay" => {}
            "wait" | "wait=on" => reader.note(setting, "the guest does not wait for a connection"),
            "telnet" => {}
            _ => return Err(setting.error(EXPECTED)),
        }
    }
    if !waits {
        return Err(setting.error(
            "expected `,server` behind it: Monovisor waits for connections and makes none",
        ));
    }
    if loopback(reader, setting, endpoint) {
        return Ok(None);
    }
    let Some(admission) = admission.cloned() else {
        reader.note(setting, NO_PASSWORD);
        return Ok(None);
    };
    Ok(Some(Terminal {
        endpoint,
        dialect,
        admission,
    }))
}

/// Nobody can be on the host itself: notes that.
fn loopback(reader: &mut Reader, setting: &Setting, endpoint: Endpoint) -> bool {
    let is_loopback = endpoint
        .address
        .is_some_and(|address| address.is_loopback());
    if is_loopback {
        reader.note(
            setting,
            "ignored: there is no dom0 from which somebody could reach a loopback address",
        );
    }
    is_loopback
}

/// `[ADDRESS]:PORT`.
fn endpoint(text: &str) -> Option<Endpoint> {
    let (address, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some(Endpoint {
        address: address_of(address)?,
        port,
    })
}

/// An address, or what stands for all.
fn address_of(text: &str) -> Option<Option<IpAddr>> {
    let text = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    match text {
        "" | "*" => Some(None),
        "localhost" => Some(Some(Ipv6Addr::LOCALHOST.into())),
        _ => {
            let address: IpAddr = text.parse().ok()?;
            Some((!address.is_unspecified()).then_some(address))
        }
    }
}

/// xl.cfg's rules: with a password, `vnc` is on unless it is turned off; without one, `insecure` opens it if it says 1. `vnclisten` may name a display behind its address; `vncunused`, which is on
/// too, goes on to the next display where one is taken.
fn vnc(reader: &mut Reader, insecure: bool, others: &Consoles) -> Result<Option<Vnc>, ConfigError> {
    let flag = |key: &str, otherwise| match reader.get(key) {
        Some(setting) => setting.flag(),
        None => Ok(otherwise),
    };
    let (wanted, unused) = (flag("vnc", true)?, flag("vncunused", true)?);
    let is_asked_for = flag("vnc", false)?;
    let mut display = match reader.get("vncdisplay") {
        Some(setting) => Some(setting.number(0..=MAX_DISPLAY.into())? as u16),
        None => None,
    };
    let mut address = None;
    let listen = reader.get("vnclisten").cloned();
    if let Some(setting) = &listen {
        let expected = || setting.error("expected an address of the host, or ADDRESS:DISPLAY");
        let text = setting.any_text()?;
        // More than one colon outside brackets: an IPv6 address alone.
        let is_ipv6 = text.matches(':').count() > 1 && !text.contains(']');
        let (named, number) = match text.rsplit_once(':') {
            Some((named, number)) if !is_ipv6 && !text.ends_with(']') => (named, Some(number)),
            _ => (text, None),
        };
        address = address_of(named).ok_or_else(expected)?;
        if let Some(number) = number {
            let number = number.parse().ok().filter(|it| *it <= MAX_DISPLAY);
            display = Some(number.ok_or_else(expected)?);
        }
    }
    let password = reader.get("vncpasswd").cloned();
    let admission = match &password {
        Some(setting) if !setting.any_text()?.is_empty() => {
            Some(Admission::Password(setting.any_text()?.to_string()))
        }
        _ => (insecure && is_asked_for).then_some(Admission::Anybody),
    };
    if !wanted {
        return Ok(None);
    }
    let Some(admission) = admission else {
        for key in ["vnc", "vnclisten", "vncdisplay"] {
            if let Some(setting) = reader.get(key).cloned() {
                reader.note(&setting, NO_SCREEN_PASSWORD);
                break;
            }
        }
        return Ok(None);
    };
    if let (Admission::Password(text), Some(setting)) = (&admission, &password)
        && text.len() > VNC_PASSWORD_BYTES
    {
        reader.note(
            setting,
            format!("VNC's authentication uses its first {VNC_PASSWORD_BYTES} bytes alone"),
        );
    }
    let mut port = VNC_PORT + display.unwrap_or(0);
    while others.has_port(port) {
        let setting = reader.get("vncdisplay").or(listen.as_ref());
        if let (false, Some(setting)) = (unused, setting) {
            return Err(setting.error("expected another display: a console has its port"));
        }
        port = port.checked_add(1).unwrap_or(VNC_PORT);
    }
    let endpoint = Endpoint { address, port };
    if let Some(setting) = &listen
        && loopback(reader, setting, endpoint)
    {
        return Ok(None);
    }
    Ok(Some(Vnc {
        endpoint,
        admission,
    }))
}

#[cfg(test)]
mod tests {
    use crate::config::{Admission, Config, Dialect, Endpoint, Loaded, Terminal, Vnc};
    use alloc::vec::Vec;
    use std::string::{String, ToString};

    fn load(toml: &str) -> Loaded {
        Config::load(toml, "").unwrap()
    }

    fn notes(toml: &str) -> Vec<String> {
        let notes = load(toml).notes;
        notes.iter().map(|note| note.key.clone()).collect()
    }

    fn endpoint(address: Option<&str>, port: u16) -> Endpoint {
        Endpoint {
            address: address.map(|address| address.parse().unwrap()),
            port,
        }
    }

    #[test]
    fn nothing_listens_without_a_password_or_leave() {
        let toml =
            "serial = 'tcp::4001,server'\nprompt = 'telnet:0.0.0.0:4000,server,nowait'\nvnc = 1\n";
        let consoles = load(toml).config.consoles;
        assert_eq!(consoles, Default::default());
        assert_eq!(notes(toml), ["serial", "prompt", "vnc"]);
        assert_eq!(load("").config.consoles, Default::default());
        assert!(notes("").is_empty());
    }

    #[test]
    fn terminals_are_written_as_qemu_has_them() {
        let toml = "serial = 'tcp:10.0.0.1:4001,server,nowait'\nprompt = 'telnet:[fd00::1]:23,server'\npassword = 'geheim'\n";
        let consoles = load(toml).config.consoles;
        let password = || Admission::Password("geheim".to_string());
        let serial = Terminal {
            endpoint: endpoint(Some("10.0.0.1"), 4001),
            dialect: Dialect::Raw,
            admission: password(),
        };
        assert_eq!(consoles.serial, Some(serial));
        let prompt = Terminal {
            endpoint: endpoint(Some("fd00::1"), 23),
            dialect: Dialect::Telnet,
            admission: password(),
        };
        assert_eq!(consoles.prompt, Some(prompt));
        assert_eq!(consoles.vnc, None, "it has a password of its own");
    }

    #[test]
    fn insecure_opens_what_is_asked_for() {
        for (toml, is_open, noted) in [
            ("insecure = 1", false, &[][..]),
            ("insecure = 1\nvnc = 1", true, &[]),
            ("insecure = 1\nvnc = 0", false, &[]),
            ("insecure = 0\nvnc = 1", false, &["vnc"]),
            ("insecure = 1\nvncdisplay = 3", false, &["vncdisplay"]),
            ("insecure = 1\nvncpasswd = ''\nvnc = 1", true, &[]),
        ] {
            let vnc = load(toml).config.consoles.vnc;
            let admission = vnc.map(|vnc| vnc.admission);
            assert_eq!(admission, is_open.then_some(Admission::Anybody), "{toml}");
            assert_eq!(notes(toml), noted, "{toml}");
        }
        let vnc = load("insecure = 1\nvncpasswd = 'geheim'")
            .config
            .consoles
            .vnc;
        let admission = Admission::Password("geheim".to_string());
        assert_eq!(vnc.unwrap().admission, admission, "a password counts");
    }

    #[test]
    fn the_first_free_display_is_taken() {
        let port = |toml: &str| {
            let toml = std::format!("insecure = 1\nvnc = 1\n{toml}");
            load(&toml).config.consoles.vnc.unwrap().endpoint.port
        };
        let taken = "serial = 'tcp::5900,server'\nprompt = 'tcp::5901,server'\n";
        assert_eq!(port(taken), 5902);
        assert_eq!(port(&std::format!("{taken}vncdisplay = 1")), 5902);
        assert_eq!(
            port(&std::format!("{taken}vncunused = 1\nvncdisplay = 7")),
            5907
        );
        assert_eq!(
            port(&std::format!(
                "{taken}vncunused = 0\nvnclisten = '0.0.0.0:2'"
            )),
            5902
        );
        let toml = std::format!("insecure = 1\nvnc = 1\n{taken}vncunused = 0\nvncdisplay = 1");
        let error = Config::load(&toml, "").unwrap_err().to_string();
        assert!(error.contains("another display"), "{error}");
    }

    #[test]
    fn xls_rules_for_the_screen() {
        let open = |endpoint| {
            Some(Vnc {
                endpoint,
                admission: Admission::Anybody,
            })
        };
        let screen = |toml: &str| {
            load(&std::format!("insecure = 1\nvnc = 1\n{toml}"))
                .config
                .consoles
                .vnc
        };
        assert_eq!(screen(""), open(endpoint(None, 5900)));
        assert_eq!(screen("vncdisplay = 7"), open(endpoint(None, 5907)));
        assert_eq!(
            screen("vnclisten = '0.0.0.0:3'"),
            open(endpoint(None, 5903))
        );
        assert_eq!(
            screen("vnclisten = '10.1.2.3'"),
            open(endpoint(Some("10.1.2.3"), 5900))
        );
        assert_eq!(
            screen("vnclisten = 'fd00::7'"),
            open(endpoint(Some("fd00::7"), 5900))
        );
        assert_eq!(screen("vnclisten = '127.0.0.1'"), None);
        assert_eq!(
            screen("serial = 'tcp::5900,server'"),
            open(endpoint(None, 5901))
        );
        let taken =
            "insecure = 1\nvnc = 1\nserial = 'tcp::5900,server'\nvncdisplay = 0\nvncunused = 0\n";
        assert!(Config::load(taken, "").is_err());
        // With a password it need not be asked for.
        let key = "vncpasswd = 'longer than eight'\n";
        assert_eq!(
            load(&std::format!("{key}vnc = 0")).config.consoles.vnc,
            None
        );
        let vnc = load("vncpasswd = 'longer than eight'").config.consoles.vnc;
        let admission = Admission::Password("longer than eight".to_string());
        assert_eq!(vnc.unwrap().admission, admission);
    }

    #[test]
    fn what_is_wrong_is_an_error() {
        for toml in [
            "serial = 'tcp::4001'",
            "serial = 'tcp:host:4001,server'",
            "serial = 'telnet::0,server'",
            "prompt = 'pty'",
            "prompt = 'tcp::1,server,client'",
            "vnclisten = 'somewhere'",
            "vncdisplay = 60000",
            "insecure = 'perhaps'",
            "password = ''",
            "insecure = 1\nserial = 'tcp::4,server'\nprompt = 'tcp::4,server'",
        ] {
            assert!(Config::load(toml, "").is_err(), "{toml}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let config = load("password = 'geheim'\nserial = 'tcp::1,server'").config;
        assert!(!std::format!("{config:?}").contains("geheim"));
    }
}
