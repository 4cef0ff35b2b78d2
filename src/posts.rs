//! Recorded posts read from files, for whoever scores them without Kafka.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::replay::{self, Line, ReadOptions, ReplayError};
use crate::train::escape::Escape;

/// A post, as far as it is scored and compared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Post {
    pub text: String,
    pub event_time: Option<DateTime<Utc>>,
    pub author: Option<String>,
    pub source: Option<String>,
    pub subject: Option<String>,
    /// Given by a person.
    pub label: Option<String>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Posts {
    /// In the order of the files, or of their times where all have one.
    pub posts: Vec<Post>,
    /// Lines that gave no post with a text.
    pub malformed: usize,
}

/// Why there are no posts.
#[derive(Debug, thiserror::Error)]
pub enum PostsError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReplayError),
    /// No line has a text.
    #[error(
        "the input holds no post with a text ({0} lines could not be used); --text-field says where it stands"
    )]
    NoText(usize),
}

/// Reads all of the files and undoes escapes, in their order. Where every post has a time they are put into its order.
///
/// # Errors
/// [`PostsError`]. A line that gives no post is counted and told to the log.
pub fn load(
    files: &[PathBuf],
    options: &ReadOptions,
    escapes: &[Escape],
) -> Result<Posts, PostsError> {
    let mut loaded = Posts::default();
    for line in replay::open(files, options)?.lines {
        let post = match line? {
            Line::Post(post) => post,
            Line::Malformed(fault) => {
                tracing::warn!("{fault}");
                loaded.malformed += 1;
                continue;
            }
        };
        let parsed = serde_json::from_slice::<Post>(&post.value.unwrap_or_default());
        let Ok(mut post) = parsed else {
            loaded.malformed += 1;
            continue;
        };
        for escape in escapes {
            post.text = escape.undo(&post.text);
        }
        if post.text.trim().is_empty() {
            loaded.malformed += 1;
        } else {
            loaded.posts.push(post);
        }
    }
    if loaded.posts.is_empty() {
        return Err(PostsError::NoText(loaded.malformed));
    }
    if loaded.posts.iter().all(|post| post.event_time.is_some()) {
        loaded.posts.sort_by_key(|post| post.event_time);
    }
    Ok(loaded)
}
