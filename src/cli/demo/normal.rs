//! What is normal in the built-in feed: the model's own baseline is of real tweets, from which generated posts are far.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use chrono::Utc;
use tempfile::NamedTempFile;

use crate::cli::drift::scored::Opened;
use crate::demo::{Feed, Scene};
use crate::drift::null::NullSettings;
use crate::model::config::ModelConfig;
use crate::posts::Post;

/// Posts that it is made of: scored in a few seconds, and enough for windows of a fifth as many.
const POSTS: usize = 1_500;
/// Windows drawn for each size; the smallest budget needs some hundred.
const RESAMPLES: usize = 1_000;
/// Added to the feed's seed, so that the posts are others than those that follow.
const OTHER_SEED: u64 = 0x5eed;

/// A baseline of calm posts, in a file.
pub(super) fn baseline(
    folder: &Path,
    model: &ModelConfig,
    seed: u64,
) -> anyhow::Result<NamedTempFile> {
    eprintln!("learning what is normal from {POSTS} generated posts");
    let opened = Opened::open(folder)?;
    let mut feed = Feed::new(seed.wrapping_add(OTHER_SEED));
    feed.set_scene(Scene::Calm);
    let now = Utc::now();
    let posts: Vec<Post> = std::iter::repeat_with(|| feed.next_post(now))
        .filter_map(|post| serde_json::from_slice(&post.value?).ok())
        .filter(|post: &Post| !post.text.trim().is_empty())
        .take(POSTS)
        .map(|post| Post {
            event_time: None,
            ..post
        })
        .collect();
    let readings = opened.score(posts, model)?;
    let settings = NullSettings {
        resamples: RESAMPLES,
        seed,
        ..NullSettings::default()
    };
    let baseline = opened.baseline(readings, &settings)?;
    let mut file = NamedTempFile::new().context("there is no room for a temporary file")?;
    file.write_all(&baseline.to_json()?)
        .context("the baseline cannot be written to a temporary file")?;
    Ok(file)
}
