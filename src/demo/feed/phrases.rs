//! English phrases by mood. `{s}` stands for the subject and `{a}` for one of its aspects.

/// What the author of a post feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Negative,
    Neutral,
    Positive,
}

impl Mood {
    /// In the order of the labels.
    pub const ALL: [Self; 3] = [Self::Negative, Self::Neutral, Self::Positive];

    /// The label that a model should give.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Negative => "negative",
            Self::Neutral => "neutral",
            Self::Positive => "positive",
        }
    }
}

/// Whole statements.
pub(super) fn statements(mood: Mood) -> &'static [&'static str] {
    match mood {
        Mood::Positive => &[
            "the {a} on {s} is a joy, honestly did not expect that",
            "I love what {s} did with the {a}",
            "best {a} I have had in years, thank you {s}",
            "{s} just fixed the {a} and it is wonderful now",
            "three months with {s} and the {a} still makes me smile",
            "switched to {s} for the {a} and I am never going back",
            "the {a} from {s} saved my day",
            "whoever designed the {a} at {s} deserves a raise",
            "quick, kind and fair: the {a} at {s} was perfect",
            "so happy with {s}, the {a} alone is worth the price",
            "finally a {a} that simply works. well done {s}",
            "my whole family is delighted with the {a} at {s}",
        ],
        Mood::Neutral => &[
            "does anyone know when the {a} of {s} changes?",
            "{s} says the new {a} arrives on Thursday",
            "comparing the {a} of {s} with two others this week",
            "the {a} at {s} opens at nine, in case somebody asks",
            "just read the notes about the {a}, {s} version 4.2",
            "tried the {a} at {s} today. it is a {a}",
            "is the {a} included, or does {s} charge for it?",
            "{s} moved the {a} to the second floor",
            "my sister has {s} too, hers came with another {a}",
            "looking for a photo of the {a} from {s}, any format",
            "{s} will talk about the {a} at the conference in May",
            "the {a} is the same as last year according to {s}",
        ],
        Mood::Negative => &[
            "the {a} on {s} is broken again and nobody answers",
            "I am done with {s}, the {a} is a disgrace",
            "two hours wasted because of the {a}. never again, {s}",
            "{s} ruined the {a} with the last change",
            "paid extra for the {a} at {s} and got nothing but trouble",
            "worst {a} ever. {s} should be ashamed",
            "why does the {a} from {s} fail every single morning?",
            "the {a} at {s} was cold, late and rude about it",
            "asked {s} for a refund after the {a} failed, still waiting",
            "nothing about the {a} works, and {s} blames me for it",
            "the {a} of {s} gets worse with every update",
            "so disappointed, the {a} at {s} used to be good",
        ],
    }
}

/// What follows a statement.
pub(super) fn reactions(mood: Mood) -> &'static [&'static str] {
    match mood {
        Mood::Positive => &[
            "Would recommend.",
            "Made my week!",
            "Five stars from me.",
            "I keep telling everybody.",
            "Sooo good!!",
            "Great value too.",
            "Keep it up!",
            "Can't stop smiling.",
        ],
        Mood::Neutral => &[
            "That is all.",
            "Will report back.",
            "Asking for a friend.",
            "See the link.",
            "More tomorrow.",
            "No opinion yet.",
            "Bought in March.",
            "Second try.",
        ],
        Mood::Negative => &[
            "Avoid.",
            "I want my money back.",
            "Absolutely useless.",
            "One star is too many.",
            "What a mess!!!",
            "Never been so angry.",
            "Cancelled today.",
            "Such a waste.",
        ],
    }
}

/// Titles of reviews.
pub(super) fn titles(mood: Mood) -> &'static [&'static str] {
    match mood {
        Mood::Positive => &[
            "Love it",
            "Exceeded expectations",
            "Simply great",
            "A keeper",
            "Worth every cent",
        ],
        Mood::Neutral => &[
            "It is okay",
            "First impressions",
            "Some notes",
            "As described",
            "Average",
        ],
        Mood::Negative => &[
            "Do not buy",
            "Broke after a week",
            "Very disappointed",
            "Waste of money",
            "Terrible support",
        ],
    }
}

pub(super) fn emoji(mood: Mood) -> &'static [&'static str] {
    match mood {
        Mood::Positive => &["😍", "🎉", "👍", "❤️", "😊", "🙌", "👩🏽‍🚀"],
        Mood::Neutral => &["🤔", "📷", "🗓️", "👀", "ℹ️"],
        Mood::Negative => &["😡", "👎", "🤦‍♂️", "💔", "😤", "🙄"],
    }
}

/// Openers that say nothing.
pub(super) const OPENERS: [&str; 10] = [
    "ok so", "Well,", "lol", "Update:", "honestly", "Right.", "psa:", "hmm", "Day 12:", "Hey,",
];
