//! Figures and texts for a terminal.

/// With a comma between thousands: `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A bar of at most `width` characters for a share between 0 and 1, to an eighth of a character.
pub(super) fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// A text on one line, without what would move the cursor, turn the writing round or ring the bell.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let marks = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = text
        .chars()
        .filter(|c| !marks(*c))
        .map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = shown.by_ref().take(most).collect();
    if shown.next().is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let numbers = [0, 999, 1_000, 50_248, 1_234_567];
        assert_eq!(
            numbers.map(grouped),
            ["0", "999", "1,000", "50,248", "1,234,567"]
        );
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(7.0, 4), "████");
        assert_eq!(bar(0.125, 4), "▌");
    }

    #[test]
    fn a_shown_text_cannot_touch_the_terminal() {
        assert_eq!(one_line("a\u{1b}[31mb\nc\u{202e}d", 80), "a [31mb cd");
        assert_eq!(one_line("abcdef", 3), "abc…");
    }
}
