//! Undoing the escapes published data sets come with.

use serde::{Deserialize, Serialize};

/// A kind of escape found literally in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Escape {
    /// `\uXXXX`, surrogate pairs included.
    Unicode,
    /// HTML entities: `&amp;`, `&#39;`, `&#x1F600;`.
    Html,
}

impl Escape {
    /// The text with this kind of escape undone once; what is no valid escape stays as it is.
    pub fn undo(self, text: &str) -> String {
        match self {
            Self::Unicode => unicode(text),
            Self::Html => html(text),
        }
    }
}

fn unicode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\u") {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        match code_point(escape) {
            Some((character, length)) => {
                out.push(character);
                rest = &escape[length..];
            }
            None => {
                out.push_str("\\u");
                rest = &escape[2..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The character at the start of `text`, which begins with `\u`, and the bytes it takes.
fn code_point(text: &str) -> Option<(char, usize)> {
    let first = unit(text)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 6));
    }
    let second = unit(text.get(6..)?)?;
    if !(0xd800..0xdc00).contains(&first) || !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
        .map(|character| (character, 12))
}

fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let entity = &rest[at + 1..];
        // The longest name in the table has 6 letters, the longest number 8 characters.
        let end = entity.bytes().take(10).position(|byte| byte == b';');
        match end.and_then(|end| Some((character(&entity[..end])?, end))) {
            Some((character, end)) => {
                out.push(character);
                rest = &entity[end + 1..];
            }
            None => {
                out.push('&');
                rest = entity;
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(entity: &str) -> Option<char> {
    if let Some(number) = entity.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|character| *character != '\0');
    }
    let named = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("nbsp", '\u{a0}'),
        ("hellip", '…'),
        ("ndash", '–'),
        ("mdash", '—'),
        ("lsquo", '‘'),
        ("rsquo", '’'),
        ("ldquo", '“'),
        ("rdquo", '”'),
        ("bull", '•'),
        ("middot", '·'),
        ("deg", '°'),
        ("cent", '¢'),
        ("pound", '£'),
        ("euro", '€'),
        ("yen", '¥'),
        ("copy", '©'),
        ("reg", '®'),
        ("trade", '™'),
        ("hearts", '♥'),
        ("laquo", '«'),
        ("raquo", '»'),
        ("frac12", '½'),
        ("times", '×'),
        ("eacute", 'é'),
        ("egrave", 'è'),
        ("agrave", 'à'),
        ("aacute", 'á'),
        ("iacute", 'í'),
        ("oacute", 'ó'),
        ("uacute", 'ú'),
        ("ntilde", 'ñ'),
        ("ccedil", 'ç'),
        ("auml", 'ä'),
        ("ouml", 'ö'),
        ("uuml", 'ü'),
        ("szlig", 'ß'),
    ];
    named
        .iter()
        .find(|(name, _)| *name == entity)
        .map(|(_, character)| *character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_become_the_characters_they_stand_for() {
        let unicode = |text| Escape::Unicode.undo(text);
        assert_eq!(unicode(r"I\u2019m here\u002c now"), "I’m here, now");
        assert_eq!(unicode(r"\ud83d\ude00!"), "😀!");
        let html = |text| Escape::Html.undo(text);
        assert_eq!(html("a &lt;3 b &amp; c&#39;s &#x1F600;"), "a <3 b & c's 😀");
        assert_eq!(html("&amp;lt;"), "&lt;", "one level is undone");
    }

    #[test]
    fn what_is_no_escape_stays() {
        for text in [r"\u12", r"\uzzzz", r"\ud83d alone", r"\u", r"\u+123"] {
            assert_eq!(Escape::Unicode.undo(text), text);
        }
        for text in ["AT&T", "&nosuch;", "a & b;", "&#xD800;", "&#0;", "&", "&é;"] {
            assert_eq!(Escape::Html.undo(text), text);
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_decoders(text in "\\PC*([&\\\\]u?[#0-9a-fé;]{0,6}){0,4}\\PC*") {
            Escape::Unicode.undo(&text);
            Escape::Html.undo(&text);
        }
    }
}
