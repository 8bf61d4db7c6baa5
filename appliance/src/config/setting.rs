//! A setting between syntax and meaning: a key and a plain value, with its place and its text for messages.

use super::error::{ConfigError, Place};
use super::key::Shape;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// A value as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// `None`: beyond 128 bits.
    Number(Option<i128>),
    Flag(bool),
    List(Vec<Setting>),
    Table(Vec<Setting>),
    /// TOML's floats and dates, which xl.cfg has not.
    Other,
}

/// `key = value`. Members of a list carry the list's key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    pub key: String,
    pub value: Value,
    /// The value's text, shortened.
    pub shown: String,
    pub place: Place,
}

/// Longest value that a message repeats, in characters.
const SHOWN_CHARS: usize = 60;

pub(super) fn shorten(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
    .replace(['\n', '\r'], " ")
}

impl Setting {
    /// The error that `expected` something else here.
    pub fn error(&self, expected: impl Into<String>) -> ConfigError {
        ConfigError {
            place: self.place,
            key: self.key.clone(),
            value: self.shown.clone(),
            expected: expected.into(),
        }
    }

    /// A text that is not empty.
    pub fn text(&self) -> Result<&str, ConfigError> {
        match &self.value {
            Value::Text(text) if text.is_empty() => {
                Err(self.error("expected a text that is not empty"))
            }
            Value::Text(text) => Ok(text),
            _ => Err(self.error("expected a text in quotes")),
        }
    }

    /// A text, possibly empty.
    pub fn any_text(&self) -> Result<&str, ConfigError> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.error("expected a text in quotes")),
        }
    }

    /// A whole number in `range`, quoted or not.
    pub fn number(&self, range: RangeInclusive<u64>) -> Result<u64, ConfigError> {
        self.integer()
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                self.error(format!(
                    "expected a whole number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })
    }

    /// A boolean: 0, 1, true or false, quoted or not.
    pub fn flag(&self) -> Result<bool, ConfigError> {
        match &self.value {
            Value::Flag(flag) => Ok(*flag),
            Value::Text(text) if text == "true" => Ok(true),
            Value::Text(text) if text == "false" => Ok(false),
            _ => match self.integer() {
                Some(0) => Ok(false),
                Some(1) => Ok(true),
                _ => Err(self.error("expected 0 or 1")),
            },
        }
    }

    /// A list; as in xl, a lone value is a list of one.
    pub fn list(&self) -> Result<&[Setting], ConfigError> {
        match &self.value {
            Value::List(items) => Ok(items),
            Value::Text(_) => Ok(core::slice::from_ref(self)),
            _ => Err(self.error("expected a list: [ \"…\", \"…\" ]")),
        }
    }

    /// Checks the mere form.
    pub fn check(&self, shape: Shape) -> Result<(), ConfigError> {
        match shape {
            Shape::Text => self.any_text().map(drop),
            Shape::Number => match self.integer() {
                Some(_) => Ok(()),
                None => Err(self.error("expected a whole number")),
            },
            Shape::Flag => self.flag().map(drop),
            Shape::Any => match self.value {
                Value::Other | Value::Table(_) => Err(self.error("expected a value of xl.cfg(5)")),
                _ => Ok(()),
            },
        }
    }

    fn integer(&self) -> Option<i128> {
        match &self.value {
            Value::Number(number) => *number,
            Value::Text(text) => match text.strip_prefix("0x") {
                Some(digits) => i128::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            },
            _ => None,
        }
    }
}
