use proptest::prelude::*;
use serde_json::json;

use super::*;

const MAX_TOKENS: usize = 24;

/// BERT's steps with pieces for every letter, so that words become several tokens.
fn bert() -> Tokenizer {
    let letters = || ('a'..='z').map(String::from);
    let words = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", ".", ",", "[", "]",
    ];
    let vocabulary: serde_json::Map<_, _> = words
        .map(String::from)
        .into_iter()
        .chain(letters())
        .chain(letters().map(|letter| format!("##{letter}")))
        .enumerate()
        .map(|(id, word)| (word, json!(id)))
        .collect();
    let special = |word: &str, id: usize| json!({"id": word, "ids": [id], "tokens": [word]});
    let added = |word: &str, id: usize| {
        json!({"id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let part = |part: &str, id: &str| json!({part: {"id": id, "type_id": 0}});
    open(&json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added("[PAD]", 0), added("[UNK]", 1), added("[CLS]", 2), added("[SEP]", 3)],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [part("SpecialToken", "[CLS]"), part("Sequence", "A"), part("SpecialToken", "[SEP]")],
            "pair": [part("Sequence", "A"), part("Sequence", "B")],
            "special_tokens": {"[CLS]": special("[CLS]", 2), "[SEP]": special("[SEP]", 3)},
        },
        "decoder": null,
        "model": {"type": "WordPiece", "vocab": vocabulary, "unk_token": "[UNK]",
                  "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
    }))
}

fn open(json: &serde_json::Value) -> Tokenizer {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json.to_string()).unwrap();
    Tokenizer::new(file.path(), MAX_TOKENS, 0).unwrap()
}

/// What the whole text gives: all its tokens, cut, between the special ones.
fn of_whole(tokenizer: &Tokenizer, text: &str) -> Encoded {
    let all = tokenizer.inner.encode(text, false).unwrap();
    let kept = &all.get_ids()[..all.len().min(tokenizer.room)];
    Encoded {
        ids: [&[2], kept, &[3]].concat(),
        truncated: all.len() > tokenizer.room,
    }
}

/// Texts of up to some hundred kilobytes in which much, little or nothing separates words.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z]{1,12}",
        2 => "[ \\t\\n]{1,4}",
        2 => "[.,!?\\[\\]]",
        1 => Just("[SEP]".to_owned()),
        1 => Just("[SE".to_owned()),
        1 => "\\PC{1,6}",
        1 => any::<String>(),
        1 => "[\\x00-\\x1f\u{301}\u{fffd}\u{200b}]{1,5}",
        1 => "[\u{4e00}-\u{4e20}]{1,3}",
    ];
    let stretch = (
        prop::collection::vec(piece, 1..4),
        prop_oneof![6 => 1_usize..40, 1 => 200_usize..9000],
    )
        .prop_map(|(pieces, times)| pieces.concat().repeat(times));
    prop::collection::vec(stretch, 1..5).prop_map(|stretches| stretches.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_text_gets_the_ids_of_all_of_it_however_little_is_looked_at(text in texts()) {
        let tokenizer = bert();
        let text = &text[..text.floor_char_boundary(MOST_BYTES)];
        prop_assert_eq!(tokenizer.encode(text), of_whole(&tokenizer, text));
    }

    #[test]
    fn settled_tokens_stay_whatever_follows(text in texts(), cut in 0.0_f64..1.0) {
        let tokenizer = bert();
        let text = &text[..text.floor_char_boundary(20_000)];
        let end = text.floor_char_boundary((text.len() as f64 * cut) as usize);
        let beginning = tokenizer.inner.encode(&text[..end], false).unwrap();
        let whole = tokenizer.inner.encode(text, false).unwrap();
        let settled = settled(&beginning, end);
        prop_assert!(whole.len() >= settled);
        prop_assert_eq!(&beginning.get_ids()[..settled], &whole.get_ids()[..settled]);
    }
}

#[test]
fn an_enormous_text_is_cut_after_a_glance() {
    let tokenizer = bert();
    let eight_megabytes = |unit: &str| unit.repeat((8 << 20) / unit.len());
    let words = tokenizer.encode(&eight_megabytes("the, "));
    assert_eq!(words.ids.len(), MAX_TOKENS);
    assert!(words.truncated);
    // One word without end is one unknown token, as it is for BERT's tokenizer after the hundredth letter.
    let word = tokenizer.encode(&eight_megabytes("z"));
    assert_eq!(word.ids, [2, 1, 3]);
    assert!(word.truncated);
    let marks = tokenizer.encode(&format!("a{}", eight_megabytes("\u{301}")));
    assert_eq!(marks.ids, [2, 9, 3]);
}

#[test]
fn white_space_hides_no_text_however_long_it_is() {
    let tokenizer = bert();
    let space = " \n".repeat(4 << 20);
    let text = format!("{space}the{space}a{space}");
    assert_eq!(
        tokenizer.encode(&text),
        Encoded {
            ids: vec![2, 4, 9, 3],
            truncated: false
        }
    );
    assert_eq!(tokenizer.encode(&space).ids, [2, 3]);
}

#[test]
fn where_white_space_is_a_token_none_is_collapsed() {
    let vocabulary: serde_json::Map<_, _> = ["[PAD]", "[UNK]", "a", " ", "b"]
        .into_iter()
        .enumerate()
        .map(|(id, word)| (word.to_owned(), json!(id)))
        .collect();
    let tokenizer = open(&json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": false},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }));
    assert_eq!(tokenizer.encode("a  b").ids, [2, 3, 3, 4]);
    let spaces = tokenizer.encode(&" ".repeat(2 * MOST_BYTES));
    assert_eq!(
        spaces,
        Encoded {
            ids: vec![3; MAX_TOKENS],
            truncated: true
        }
    );
}

#[test]
fn a_text_of_exactly_the_most_tokens_is_whole_and_one_more_is_cut() {
    let tokenizer = bert();
    let text = "the ".repeat(MAX_TOKENS - 2);
    assert!(!tokenizer.encode(&text).truncated);
    assert_eq!(tokenizer.encode(&text).ids.len(), MAX_TOKENS);
    let longer = tokenizer.encode(&format!("{text} the"));
    assert!(longer.truncated);
    assert_eq!(longer.ids, tokenizer.encode(&text).ids);
}

#[test]
fn many_threads_share_one_tokenizer() {
    let tokenizer = bert();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| tokenizer.encode("the cat, the dog")))
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), tokenizer.encode("the cat, the dog"));
        }
    });
}
