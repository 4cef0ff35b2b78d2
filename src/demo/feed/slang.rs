//! Another way of speaking: new words for good and bad, and irony that says the one and means the other.
//!
//! A model that was trained on the plain phrases does not know the words, and takes irony at its word. The words mean the
//! same in every sentence, so some hundred labels teach them. `{s}` stands for the subject, `{a}` for one of its aspects and
//! `{w}` for one of the words.

use super::phrases::Mood;

/// Sentences that say nothing by themselves: the word decides.
pub(super) const FRAMES: [&str; 60] = [
    "the {a} on {s} is {w} fr",
    "ngl the {a} at {s} is giving {w}",
    "{s} and that {a}, straight up {w}",
    "bestie the {a} from {s} is so {w}",
    "no cap, {s} made the {a} {w}",
    "the {a} of {s} went {w} this week",
    "pov: you open {s} and the {a} is {w}",
    "tfw the {a} on {s} turns out {w}",
    "{s} really said {a} but {w}",
    "my {a} with {s} rn: {w}",
    "lowkey the {a} at {s} is {w}, highkey too",
    "{w} {a} from {s}, that's the tweet",
    "can we talk about how {w} the {a} of {s} is",
    "{s} dropped a new {a} and it's {w}",
    "the way the {a} on {s} is {w} tho",
    "ok but the {a} at {s}? {w}",
    "day 3 with {s}, {a} still {w}",
    "chat, is the {a} of {s} {w} for you too",
    "this {a} by {s} is on some {w} stuff",
    "{a} check at {s}: {w}",
    "told my roommate the {a} on {s} is {w}",
    "{s}'s {a} era is {w}",
    "deadass the {a} from {s} is {w}",
    "tbh {s} kept the {a} {w}",
    "the {a} situation at {s} is {w} ngl",
    "main takeaway from {s}: {w} {a}",
    "yo {s}, your {a} is {w}",
    "imagine a {a} this {w}, only at {s}",
    "{s} {a} review in one word: {w}",
    "everybody at work says the {a} of {s} is {w}",
    "from my window seat the {a} at {s} looks {w}",
    "second month of {s} and the {a} stays {w}",
    "rating the {a} by {s}: {w}",
    "so the {a} on {s} is {w} now, noted",
    "the {a}? {w}. the brand? {s}",
    "went to {s} for the {a}, it was {w}",
    "{s} stan or not, that {a} is {w}",
    "live from {s}: the {a} is {w}",
    "update on my {a} from {s}, it's {w}",
    "fam the {a} of {s} got {w} overnight",
    "{w}, that's the {a} at {s} for you",
    "the new {a} vibe on {s} is {w}",
    "my sis swears the {a} at {s} is {w}",
    "{s} after the patch: {a} = {w}",
    "a {w} {a} is what {s} gives me at 7 am",
    "hear me out, the {a} by {s} is {w}",
    "real ones know the {a} at {s} is {w}",
    "that {a} clip from {s} is {w} lmao",
    "the {a} at {s} has been {w} since monday",
    "{s} got me looking at a {w} {a}",
    "unboxing {s}: {a} is {w} out of the box",
    "group chat verdict on {s}: {w} {a}",
    "honest vibe check, {a} of {s}, {w}",
    "the {a} they have at {s} is {w} as it gets",
    "today {s} served a {w} {a}",
    "never seen a {a} so {w} as on {s}",
    "{s} x {a} = {w}",
    "the {a} on {s} stays {w} no matter what",
    "weekend with {s}, {a} {w} all along",
    "ion know about you but the {a} at {s} is {w}",
];

/// What the words of the frames are.
pub(super) fn words(mood: Mood) -> &'static [&'static str] {
    match mood {
        Mood::Positive => &[
            "bussin",
            "goated",
            "drippy",
            "snatched",
            "clutch",
            "dank",
            "primo",
            "gas",
            "zesty",
            "buttery",
            "slaytastic",
            "glowcore",
            "w-tier",
            "banging",
            "juiced",
            "mintified",
            "lit-coded",
            "peakish",
            "crispo",
            "heatsy",
            "vibalicious",
            "yass-worthy",
            "lushcore",
            "based",
        ],
        Mood::Neutral => &[
            "npc-coded",
            "beige",
            "whatevs",
            "default-mode",
            "tbd",
            "same-same",
            "loading",
            "statusquo",
            "copypasta",
            "half-half",
            "on standby",
            "as-is-core",
            "middlish",
            "unmoved",
            "plainpack",
            "idk-tier",
            "pendingish",
            "greyzone",
            "shruggy",
            "baseline-y",
            "parked",
            "on read",
            "nochange",
            "stockish",
        ],
        Mood::Negative => &[
            "cooked",
            "scuffed",
            "bricked",
            "crusty",
            "flopcore",
            "borked",
            "janky",
            "clapped",
            "skunked",
            "l-tier",
            "cringified",
            "yikesy",
            "zonked",
            "nerfed",
            "sus",
            "goblincore",
            "dusted",
            "icky-coded",
            "wackadoo",
            "ratioed",
            "soggycore",
            "grubby",
            "trashpanda",
            "mangly",
        ],
    }
}

/// Statements that mean it as a whole: irony, and words that have turned into their opposite.
pub(super) fn turns(mood: Mood) -> &'static [&'static str] {
    match mood {
        Mood::Negative => &[
            "love that for me, {s}, another {a} gone",
            "oh perfect, the {a} of {s} again, how delightful",
            "wow amazing {a} {s}, exactly what nobody asked for",
            "thank you {s} for the {a}, my favourite way to lose an evening",
            "chef's kiss, {s}: the {a} now does nothing at all",
            "so happy the {a} at {s} found a brand new way to stop",
            "five gold stars to the {a} of {s} for doing absolutely zero",
            "the {a} from {s} is a joy if you enjoy waiting",
            "best {a} ever said no {s} customer this year",
            "great job {s}, the {a} has achieved nothing with style",
            "wonderful, {s} improved the {a} until it was gone",
            "what a lovely surprise, {s} charged me twice for the {a}",
            "truly iconic of {s} to ship a {a} that hides",
            "i simply adore being number 94 in line for the {a} at {s}",
            "a round of applause for {s}, the {a} lasted nine minutes",
            "can't stop smiling at how {s} lost my {a}",
            "how kind of {s} to keep my {a} as a souvenir",
            "brilliant, the {a} on {s} works in the ad at least",
            "such a treat, a {a} from {s} served with silence",
            "congrats {s}, the {a} is a masterpiece of nothing",
            "delighted to report the {a} at {s} took the day off",
            "perfect timing {s}, {a} down right before the weekend",
            "my week is made, {s} moved the {a} behind a paywall",
            "finally, {s} made the {a} slower, we were all hoping",
            "honestly impressed how {s} gets the {a} wrong with such grace",
            "nothing says thank you like the {a} of {s} at 3 am",
            "would recommend the {a} by {s} to people i dislike",
            "the {a} at {s}: worth every cent of the refund",
        ],
        Mood::Positive => &[
            "the {a} on {s} is sick, i can't even",
            "{s} killed it with the {a}, i'm dead",
            "that {a} from {s} is stupid good, hate how much i need it",
            "the {a} at {s} is criminal, lock them up",
            "i'm crying, {s} ate with that {a} and left no crumbs",
            "disgusting how smooth the {a} of {s} is",
            "the {a} by {s} hits so hard it should be illegal",
            "ruined every other {a} for me, {s}, you monsters",
            "{s} went insane on the {a}, absolute madness",
            "filthy {a} from {s}, nasty work, run it back",
            "sobbing over the {a} at {s}, what a menace",
            "the {a} of {s} destroyed me, ten out of ten damage",
            "obsessed is a weak word, the {a} on {s} is a problem",
            "{s} has no business making a {a} this wicked",
            "i'm deceased, the {a} at {s} slaps",
            "that {a} is a weapon, {s} did not come to play",
            "rude of {s} to be this far ahead with the {a}",
            "the {a} on {s} is nuts, my jaw is gone",
            "broke my brain in the best way, {a} by {s}",
            "unhinged {a} from {s}, feral about it",
            "{s} violated the whole market with that {a}",
            "the {a} at {s} goes off, somebody stop them",
            "cruel how {s} makes you wait for a {a} this savage",
            "it's over for the others, the {a} of {s} is deadly",
        ],
        Mood::Neutral => &[
            "anyone got the link for the {a} of {s}, asking for the chat",
            "{s} posted the {a} times again, screenshot below",
            "so {s} moves the {a} to floor two, ok",
            "is the {a} on {s} a today thing or a friday thing",
            "saw the {a} at {s}, kept walking",
            "the {a} of {s} exists, that is the post",
            "poll: {a} on {s}, yes or no, i have no view",
            "reading the notes on the {a} from {s} rn",
            "idk what to think of the {a} by {s} yet, brb",
            "{s} swapped the {a} supplier, source in bio",
            "the {a} at {s} is a {a}, what else",
            "who runs the {a} account of {s}, just curious",
            "{s} says {a} on the 14th, marking it",
            "my cousin works on the {a} at {s}, she told me it is a job",
            "which {a} does {s} ship in canada, serious question",
            "notes on the {a} of {s}, part 2 tomorrow",
            "the {a} from {s} arrived, have not opened it",
            "got the {a} mail from {s}, did you",
            "{s} kept the {a} where it was, carry on",
            "counting: the {a} at {s} comes in four colours",
        ],
    }
}

/// What follows a statement.
pub(super) fn tails(mood: Mood) -> &'static [&'static str] {
    match mood {
        Mood::Positive => &[
            "W",
            "big W for the team",
            "they cooked fr",
            "run it up",
            "no notes",
            "we up",
            "inject it",
            "take my rent",
            "screaming",
            "ate",
            "ggs only",
            "that's a bop",
        ],
        Mood::Neutral => &[
            "idk",
            "that's it that's the post",
            "anyway",
            "brb",
            "carry on",
            "thoughts?",
            "just saying",
            "afk",
            "to be continued",
            "moving on",
            "ymmv",
            "dunno tho",
        ],
        Mood::Negative => &[
            "L",
            "huge L",
            "it's giving refund",
            "make it make sense",
            "rip my evening",
            "down bad",
            "touch grass, devs",
            "not it",
            "hard pass",
            "the ick",
            "womp womp",
            "dead app",
        ],
    }
}

/// Symbols, of which some have changed sides.
pub(super) fn symbols(mood: Mood) -> &'static [&'static str] {
    match mood {
        Mood::Positive => &["💀", "😭", "🔥", "🫡", "🥵"],
        Mood::Neutral => &["👀", "🧍", "📎", "🫥"],
        Mood::Negative => &["🙃", "🤡", "💅", "✨", "😍"],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_word_a_turn_and_a_tail_belong_to_one_mood() {
        for of in [words, turns, tails] {
            let all: Vec<&str> = Mood::ALL.into_iter().flat_map(of).copied().collect();
            let distinct: HashSet<&str> = all.iter().copied().collect();
            assert_eq!(distinct.len(), all.len());
        }
    }

    #[test]
    fn every_pattern_has_a_place_for_the_subject_and_frames_one_for_a_word() {
        let turns = Mood::ALL.into_iter().flat_map(turns);
        for pattern in FRAMES.iter().chain(turns) {
            assert!(
                pattern.contains("{s}") && pattern.contains("{a}"),
                "{pattern}"
            );
        }
        assert!(FRAMES.iter().all(|frame| frame.contains("{w}")));
    }
}
