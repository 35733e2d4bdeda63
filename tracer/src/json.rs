//! One line of JSON at a time, written by hand: keys are ours, values are few kinds.

use crate::paths::to_text;
use std::fmt::Write;

/// An object under construction.
pub struct Object(String);

impl Object {
    pub fn new() -> Object {
        Object(String::from("{"))
    }

    /// A line of the report; what it is about comes first.
    pub fn of_kind(kind: &str) -> Object {
        let mut object = Object::new();
        object.text("kind", kind);
        object
    }

    fn key(&mut self, key: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        let _ = write!(self.0, "\"{key}\":");
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

    pub fn number(&mut self, key: &str, value: impl Into<i128>) -> &mut Object {
        self.key(key);
        let _ = write!(self.0, "{}", value.into());
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

    pub fn object(&mut self, key: &str, value: Object) -> &mut Object {
        self.key(key);
        self.0.push_str(&value.finish());
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
        let mut inner = Object::new();
        inner.number("n", 3);
        let mut object = Object::new();
        object.text("a", "x\"\\\n\u{7f}é").number("b", -1).truth("c", false).flag("d", false).flag("e", true);
        object.null("f").bytes("g", b"/\xff").object("h", inner);
        object.all_bytes("i", [&b"p"[..], b"q"].into_iter());
        assert_eq!(
            object.finish(),
            "{\"a\":\"x\\\"\\\\\\u000a\u{7f}é\",\"b\":-1,\"c\":false,\"e\":true,\"f\":null,\
             \"g\":\"//bytes//%FF\",\"h\":{\"n\":3},\"i\":[\"p\",\"q\"]}"
        );
        assert_eq!(Object::new().finish(), "{}");
    }
}
