//! Putting a text together the way its source would.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;

use super::languages::Language;
use super::phrases::{Mood, OPENERS, emoji, reactions, statements, titles};
use super::slang;
use super::subjects::Subject;

/// Where a post was written, which decides how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Twitter,
    Reddit,
    AppStore,
    Reviews,
    SupportChat,
}

impl Source {
    pub(super) const ALL: [(Self, u32); 5] = [
        (Self::Twitter, 45),
        (Self::Reddit, 20),
        (Self::AppStore, 15),
        (Self::Reviews, 12),
        (Self::SupportChat, 8),
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Twitter => "twitter",
            Self::Reddit => "reddit",
            Self::AppStore => "app-store",
            Self::Reviews => "reviews",
            Self::SupportChat => "support-chat",
        }
    }
}

/// Takes one of a list that is never empty.
pub(super) fn pick<'a, T: ?Sized>(rng: &mut ChaCha8Rng, list: &[&'a T]) -> &'a T {
    list.choose(rng)
        .copied()
        .expect("the feed's word lists are not empty")
}

/// A text in English about the subject.
pub(super) fn english(
    rng: &mut ChaCha8Rng,
    source: Source,
    mood: Mood,
    subject: &Subject,
) -> String {
    match source {
        Source::Twitter => tweet(rng, mood, subject),
        Source::Reddit => paragraphs(rng, mood, subject),
        Source::AppStore => {
            let stars = match mood {
                Mood::Negative => rng.random_range(1..=2),
                Mood::Neutral => 3,
                Mood::Positive => rng.random_range(4..=5),
            };
            let title = pick(rng, titles(mood));
            let body = sentence(rng, mood, subject);
            format!(
                "{}{} {title}\n{body}",
                "★".repeat(stars),
                "☆".repeat(5 - stars)
            )
        }
        Source::Reviews => {
            let title = pick(rng, titles(mood));
            let count = rng.random_range(2..=5);
            let body: Vec<String> = (0..count).map(|_| sentence(rng, mood, subject)).collect();
            format!("{title}. {}", body.join(" "))
        }
        Source::SupportChat => {
            let number = rng.random_range(10_000..99_999);
            format!("{} (ticket {number})", statement(rng, mood, subject))
        }
    }
}

/// A text in another language, with what every tongue shares: names, emoji and tags.
pub(super) fn foreign(
    rng: &mut ChaCha8Rng,
    language: &Language,
    mood: Mood,
    subject: &Subject,
) -> String {
    let mut text = pick(rng, language.statements(mood)).replace("{s}", subject.name);
    if rng.random_bool(0.4) {
        text.push(' ');
        text.push_str(pick(rng, emoji(mood)));
    }
    text
}

/// A text in the new way of speaking, which sounds alike everywhere.
pub(super) fn slang(rng: &mut ChaCha8Rng, mood: Mood, subject: &Subject) -> String {
    let count = if rng.random_bool(0.3) { 2 } else { 1 };
    let mut parts: Vec<String> = (0..count).map(|_| turn(rng, mood, subject)).collect();
    if rng.random_bool(0.4) {
        parts.push(pick(rng, slang::tails(mood)).to_owned());
    }
    if rng.random_bool(0.3) {
        parts.push(pick(rng, slang::symbols(mood)).repeat(rng.random_range(1..=3)));
    }
    parts.join(if rng.random_bool(0.5) { ". " } else { " " })
}

/// A statement in slang: two of three by a word, one by what it says as a whole.
fn turn(rng: &mut ChaCha8Rng, mood: Mood, subject: &Subject) -> String {
    let aspect = pick(rng, subject.aspects);
    let frame = if rng.random_bool(0.35) {
        pick(rng, slang::turns(mood)).to_owned()
    } else {
        pick(rng, &slang::FRAMES).replace("{w}", pick(rng, slang::words(mood)))
    };
    frame.replace("{s}", subject.name).replace("{a}", aspect)
}

fn statement(rng: &mut ChaCha8Rng, mood: Mood, subject: &Subject) -> String {
    let aspect = pick(rng, subject.aspects);
    pick(rng, statements(mood))
        .replace("{s}", subject.name)
        .replace("{a}", aspect)
}

/// A statement with a capital and a full stop, and perhaps a reaction.
fn sentence(rng: &mut ChaCha8Rng, mood: Mood, subject: &Subject) -> String {
    let statement = statement(rng, mood, subject);
    let mut letters = statement.chars();
    let mut text: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    text.push_str(letters.as_str());
    if !text.ends_with(['?', '.', '!']) {
        text.push('.');
    }
    if rng.random_bool(0.4) {
        text.push(' ');
        text.push_str(pick(rng, reactions(mood)));
    }
    text
}

fn tweet(rng: &mut ChaCha8Rng, mood: Mood, subject: &Subject) -> String {
    let mut words = Vec::new();
    let tag: String = subject
        .name
        .chars()
        .filter(|c| c.is_alphanumeric())
        .collect();
    if rng.random_bool(0.25) {
        words.push(format!("@{}", tag.to_lowercase()));
    }
    if rng.random_bool(0.2) {
        words.push(pick(rng, &OPENERS).to_owned());
    }
    words.push(statement(rng, mood, subject));
    if rng.random_bool(0.3) {
        words.push(pick(rng, reactions(mood)).to_owned());
    }
    if rng.random_bool(0.4) {
        let symbol = pick(rng, emoji(mood));
        words.push(symbol.repeat(rng.random_range(1..=3)));
    }
    if rng.random_bool(0.3) {
        words.push(format!("#{tag}"));
    }
    if rng.random_bool(0.2) {
        words.push(format!(
            "https://example.com/p/{:06x}",
            rng.random_range(0..0x0100_0000)
        ));
    }
    let text = words.join(" ");
    match rng.random_range(0..12) {
        0 => text.to_uppercase(),
        1 => text.replace('.', "..."),
        2 => text.replace("so ", "sooooo ").replace("and ", "& "),
        _ => text,
    }
}

fn paragraphs(rng: &mut ChaCha8Rng, mood: Mood, subject: &Subject) -> String {
    let count = rng.random_range(1..=3);
    let mut parts: Vec<String> = Vec::new();
    for _ in 0..count {
        let sentences = rng.random_range(1..=4);
        // A long post is not of one mind in every sentence.
        let mixed: Vec<String> = (0..sentences)
            .map(|_| {
                let mood = if rng.random_bool(0.2) {
                    Mood::Neutral
                } else {
                    mood
                };
                sentence(rng, mood, subject)
            })
            .collect();
        parts.push(mixed.join(" "));
    }
    if rng.random_bool(0.2) {
        parts.insert(0, format!("> {}", sentence(rng, Mood::Neutral, subject)));
    }
    if rng.random_bool(0.1) {
        parts.push(format!(
            "**Edit:** see https://example.com/r/{:x}",
            rng.random_range(0..0xffff)
        ));
    }
    parts.join("\n\n")
}
