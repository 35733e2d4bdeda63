//! One line of JSON at a time, written by hand: keys are ours, values are few kinds.

use crate::paths::to_text;
use std::fmt::Write;

/// A whole number; a million of them are written after a large run, so not by `format!`.
pub struct Number {
    negative: bool,
    size: u64,
}

impl Number {
    fn write(self, out: &mut String) {
        const DIGITS: usize = 20;
        let (mut digits, mut at, mut left) = ([b'0'; DIGITS], DIGITS, self.size);
        // Two digits a division.
        while left >= 10 {
            let pair = (left % 100) as u8;
            left /= 100;
            at -= 2;
            digits[at] += pair / 10;
            digits[at + 1] += pair % 10;
        }
        if left > 0 || at == DIGITS {
            at -= 1;
            digits[at] += left as u8;
        }
        if self.negative {
            out.push('-');
        }
        out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
    }
}

impl From<u64> for Number {
    fn from(size: u64) -> Number {
        Number { negative: false, size }
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Number {
        Number { negative: value < 0, size: value.unsigned_abs() }
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Number {
        u64::from(value).into()
    }
}

impl From<u16> for Number {
    fn from(value: u16) -> Number {
        u64::from(value).into()
    }
}

impl From<i32> for Number {
    fn from(value: i32) -> Number {
        i64::from(value).into()
    }
}

const ROOM: usize = 768;

/// An object under construction.
pub struct Object(String);

impl Object {
    pub fn new() -> Object {
        Object(String::from("{"))
    }

    /// A line of the report; what it is about comes first.
    pub fn of_kind(kind: &str) -> Object {
        // Room for most lines: a run may have a million of them.
        let mut object = Object(String::with_capacity(ROOM));
        object.0.push('{');
        object.text("kind", kind);
        object
    }

    fn key(&mut self, key: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    pub fn text(&mut self, key: &str, value: &str) -> &mut Object {
        self.key(key);
        quote(&mut self.0, value);
        self
    }

    /// A byte string, in the spelling of `paths::to_text`.
    pub fn bytes(&mut self, key: &str, value: &[u8]) -> &mut Object {
        self.text(key, &to_text(value))
    }

    pub fn number(&mut self, key: &str, value: impl Into<Number>) -> &mut Object {
        self.key(key);
        value.into().write(&mut self.0);
        self
    }

    pub fn truth(&mut self, key: &str, value: bool) -> &mut Object {
        self.key(key);
        self.0.push_str(if value { "true" } else { "false" });
        self
    }

    /// Only when true: most flags of most files are not.
    pub fn flag(&mut self, key: &str, value: bool) -> &mut Object {
        if value {
            self.truth(key, true);
        }
        self
    }

    pub fn null(&mut self, key: &str) -> &mut Object {
        self.key(key);
        self.0.push_str("null");
        self
    }

    pub fn all_bytes<'a>(&mut self, key: &str, values: impl Iterator<Item = &'a [u8]>) -> &mut Object {
        self.key(key);
        self.0.push('[');
        for (index, value) in values.enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            quote(&mut self.0, &to_text(value));
        }
        self.0.push(']');
        self
    }

    /// An object inside this one, filled by `fill`.
    pub fn nested(&mut self, key: &str, fill: impl FnOnce(&mut Object)) -> &mut Object {
        self.key(key);
        self.0.push('{');
        fill(self);
        self.0.push('}');
        self
    }

    pub fn objects(&mut self, key: &str, values: impl Iterator<Item = Object>) -> &mut Object {
        self.key(key);
        let all: Vec<String> = values.map(Object::finish).collect();
        let _ = write!(self.0, "[{}]", all.join(","));
        self
    }

    pub fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_every_kind() {
        let mut object = Object::new();
        object.text("a", "x\"\\\n\u{7f}é").number("b", i64::MIN).truth("c", false).flag("d", false).flag("e", true);
        object.null("f").bytes("g", b"/\xff").nested("h", |inner| {
            inner.number("n", 3).number("m", u64::MAX);
        });
        object.all_bytes("i", [&b"p"[..], b"q"].into_iter());
        assert_eq!(
            object.finish(),
            "{\"a\":\"x\\\"\\\\\\u000a\u{7f}é\",\"b\":-9223372036854775808,\"c\":false,\"e\":true,\"f\":null,\
             \"g\":\"//bytes//%FF\",\"h\":{\"n\":3,\"m\":18446744073709551615},\"i\":[\"p\",\"q\"]}"
        );
        assert_eq!(Object::new().finish(), "{}");
    }
}
