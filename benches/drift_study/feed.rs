//! False alarms on generated posts, of which there are as many as wanted.

use chrono::DateTime;
use serde_json::{Value, json};
use tidewatch::demo::Feed;

use super::MeasureArgs;
use super::data::Text;
use super::null::{Order, Setting, rates};
use super::prepared::{Prepared, apart};

/// The rates on generated posts that are independent of each other.
pub fn study(prepared: &mut Prepared, args: &MeasureArgs) -> anyhow::Result<Value> {
    let wanted = if args.quick { 2_000 } else { 28_000 };
    let read = |prepared: &mut Prepared, texts| anyhow::Ok(apart(prepared.reader.read(texts)?));
    // The first post of a feed of its own each, because within a feed everybody talks about the same thing for a while.
    let independent = (0..wanted)
        .filter_map(|seed| texts(seed, 1).pop())
        .collect();
    let independent = read(prepared, independent)?;
    let setting = Setting {
        name: "generated posts, independent",
        orders: (Order::Shuffled, Order::Shuffled),
        baseline: 11_000.min(independent.len() / 2),
        splits: args.splits,
    };
    let shuffled = rates(&independent, &prepared.model, &setting, args)?;
    Ok(json!([shuffled]))
}

/// The texts of some posts of a feed; broken ones are left out.
fn texts(seed: u64, posts: usize) -> Vec<Text> {
    let mut feed = Feed::new(seed);
    let text = |place: usize| {
        let now = DateTime::from_timestamp(1_700_000_000 + place as i64, 0)?;
        let post = feed.next_post(now);
        let fields: Value = serde_json::from_slice(&post.value?).ok()?;
        let text = fields["text"].as_str()?;
        (!text.trim().is_empty()).then(|| Text {
            text: text.to_owned(),
            truth: None,
            time: now.timestamp_millis(),
            id: String::new(),
        })
    };
    (0..posts).filter_map(text).collect()
}
