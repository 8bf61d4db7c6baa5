//! From text to settings: TOML, with two liberties for xl's own syntax.
//!
//! What xl.cfg(5) allows and TOML does not, and what becomes of it:
//! - `;` between statements ends a statement;
//! - statements on one line with only a space between them (as in the seed text's example) are taken as two;
//! - everything else is left to TOML: a value without quotes, octal numbers, `+=`, two settings of one key and Python
//!   are errors that name the line. A backslash in single quotes is itself, as TOML has it.
//!
//! Both liberties change one byte into a line feed, so that offsets, and with them line numbers, stay those of the file.

use super::error::{ConfigError, Place};
use super::setting::{Setting, Value, shorten};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// All settings of a file in the order of their keys.
pub(super) fn settings(text: &str) -> Result<Vec<Setting>, ConfigError> {
    let syntax_error = |offset, message: &str| ConfigError {
        place: place(text, offset),
        key: String::new(),
        value: shorten(line_at(text, offset)),
        expected: format!(
            "not TOML: {message} (values are numbers, texts in quotes and lists of these; \
             Python is not understood)"
        ),
    };
    let toml = split_statements(text)
        .map_err(|offset| syntax_error(offset, "lists are nested too deeply"))?;
    let table = DeTable::parse(&toml).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        syntax_error(offset, error.message())
    })?;
    Ok(from_table(table.get_ref(), text))
}

fn from_table(table: &DeTable<'_>, text: &str) -> Vec<Setting> {
    table
        .iter()
        .map(|(key, value)| setting(key.get_ref(), value, text))
        .collect()
}

fn setting(key: &str, value: &Spanned<DeValue<'_>>, text: &str) -> Setting {
    let span = value.span();
    Setting {
        key: key.to_string(),
        shown: shorten(text.get(span.clone()).unwrap_or("")),
        place: place(text, span.start),
        value: match value.get_ref() {
            DeValue::String(string) => Value::Text(string.to_string()),
            DeValue::Integer(integer) => {
                Value::Number(i128::from_str_radix(integer.as_str(), integer.radix()).ok())
            }
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Array(items) => {
                Value::List(items.iter().map(|item| setting(key, item, text)).collect())
            }
            DeValue::Table(table) => Value::Table(from_table(table, text)),
            DeValue::Float(_) | DeValue::Datetime(_) => Value::Other,
        },
    }
}

fn place(text: &str, offset: usize) -> Place {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let feeds = before.iter().filter(|&&byte| byte == b'\n').count();
    Place::Line(u32::try_from(feeds).map_or(u32::MAX, |feeds| feeds.saturating_add(1)))
}

fn line_at(text: &str, offset: usize) -> &str {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |feed| feed + 1);
    text[start..].lines().next().unwrap_or("")
}

/// Deepest nesting of lists and tables. xl.cfg's lists have two levels; TOML's parser recurses, and the hypervisor's stack
/// is small.
const MAX_NESTING: usize = 8;

/// Replaces what separates statements on one line by line feeds. The error is the offset of a bracket beyond
/// [`MAX_NESTING`].
fn split_statements(text: &str) -> Result<String, usize> {
    let bytes = text.as_bytes();
    let mut cuts = Vec::new();
    let mut depth = 0_usize;
    let mut has_value = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let mut next = at + 1;
        match byte {
            b'#' => next = end_of_line(bytes, at),
            b'"' | b'\'' => next = end_of_string(bytes, at),
            b'[' | b'{' if depth == MAX_NESTING => return Err(at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'\n' if depth == 0 => has_value = false,
            b'=' if depth == 0 => has_value = true,
            b';' if depth == 0 => {
                cuts.push(at);
                has_value = false;
            }
            b' ' | b'\t' if depth == 0 && has_value && starts_statement(&bytes[next..]) => {
                cuts.push(at);
                has_value = false;
            }
            _ => {}
        }
        at = next;
    }
    let mut pieces = String::with_capacity(text.len());
    let mut from = 0;
    for cut in cuts {
        // A cut byte is ASCII, so both sides are whole characters.
        pieces.push_str(text.get(from..cut).unwrap_or(""));
        pieces.push('\n');
        from = cut + 1;
    }
    pieces.push_str(text.get(from..).unwrap_or(""));
    Ok(pieces)
}

/// True if `key =` is next.
fn starts_statement(rest: &[u8]) -> bool {
    let key = rest
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    let mut after = rest[key..]
        .iter()
        .skip_while(|byte| matches!(byte, b' ' | b'\t'));
    rest.first().is_some_and(u8::is_ascii_alphabetic) && after.next() == Some(&b'=')
}

fn end_of_line(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    at + rest.iter().take_while(|&&byte| byte != b'\n').count()
}

/// The offset after the string that opens at `at`; unclosed ones end with their line, or the text if they open with
/// three quotes, and are TOML's to complain about.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let triple = [quote; 3];
    let rest = &bytes[at..];
    let (close, mut end): (&[u8], _) = if rest.starts_with(&triple) {
        (&triple, at + 3)
    } else {
        (&triple[..1], at + 1)
    };
    while let Some(&byte) = bytes.get(end) {
        if bytes[end..].starts_with(close) {
            return end + close.len();
        }
        if byte == b'\n' && close.len() == 1 {
            return end;
        }
        end += if byte == b'\\' && quote == b'"' { 2 } else { 1 };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn statements_on_one_line_are_split_without_moving_lines() {
        let text = "kernel = \"a b=c\" builder='hvm'; vcpus=2 # x = 1; y\ndisk = [ 'a b = c',\n 'd;e' ]\nname='n'";
        let split = split_statements(text).unwrap();
        assert_eq!(split.len(), text.len());
        let settings = settings(text).unwrap();
        let line = |key: &str| {
            let setting = settings.iter().find(|setting| setting.key == key);
            setting.unwrap().place
        };
        assert_eq!(settings.len(), 5);
        assert_eq!(line("builder"), Place::Line(1));
        assert_eq!(line("vcpus"), Place::Line(1));
        assert_eq!(line("disk"), Place::Line(2));
        assert_eq!(line("name"), Place::Line(4));
    }

    #[test]
    fn syntax_errors_name_line_and_text() {
        let error = settings("name = 'a'\nmemory = lots\n").unwrap_err();
        assert_eq!(error.place, Place::Line(2));
        assert_eq!(error.value, "memory = lots");
        let error = settings("vcpus = 1\n\nvcpus = 2\n").unwrap_err();
        assert_eq!(error.place, Place::Line(3));
    }

    #[test]
    fn deep_nesting_is_refused_before_it_costs_stack() {
        let nested = |depth| format!("\ndisk = {}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(settings(&nested(8)).is_ok());
        let error = settings(&nested(100_000)).unwrap_err();
        assert_eq!(error.place, Place::Line(2));
        assert!(error.expected.contains("nested too deeply"));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text: String) {
            if let Ok(split) = split_statements(&text) {
                prop_assert_eq!(split.len(), text.len());
            }
            let _ = settings(&text);
        }

        #[test]
        fn near_toml_is_answered(text in "([a-z]{1,3}|[ =;\n'\"#\\\\\\[\\]{},0-9é]){0,60}") {
            let _ = settings(&text);
        }
    }
}
