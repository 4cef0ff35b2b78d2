//! The part of an address behind the question mark.

/// The value of a name in a query, decoded; bytes that are no UTF-8 are replaced.
pub(super) fn value(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = query?.split('&');
    let found = pairs.find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })?;
    Some(decoded(found))
}

fn decoded(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        match (
            bytes[at],
            digit(bytes.get(at + 1)),
            digit(bytes.get(at + 2)),
        ) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                plain.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_name_and_decoded() {
        let query = Some("limit=5&annotator=J%C3%BCrgen+M%2e&empty&broken=%4");
        assert_eq!(value(query, "limit").as_deref(), Some("5"));
        assert_eq!(value(query, "annotator").as_deref(), Some("Jürgen M."));
        assert_eq!(value(query, "empty").as_deref(), Some(""));
        assert_eq!(value(query, "broken").as_deref(), Some("%4"));
        assert_eq!(value(query, "other"), None);
        assert_eq!(value(None, "limit"), None);
    }
}
