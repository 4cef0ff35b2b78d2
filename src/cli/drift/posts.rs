//! Recorded posts from files, for commands that score them without Kafka.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::cli::exit::BadInput;
use crate::replay::{self, Line, ReadOptions};
use crate::train::escape::Escape;

/// Files, and what stands where in them.
#[derive(Debug, Args)]
pub(in crate::cli) struct PostArgs {
    /// Files of posts (.tsv, .csv, .jsonl, .txt); standard input where none is named
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub read: ReadOptions,
    /// Escapes that stand literally in the texts and are to be undone, as they were for training
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    pub unescape: Vec<Unescape>,
}

/// Which escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Unescape {
    /// \u2019
    Unicode,
    /// &amp;
    Html,
}

/// A post, as far as it is scored and compared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct Post {
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
pub(in crate::cli) struct Posts {
    /// In the order of the files, or of their times where all have one.
    pub posts: Vec<Post>,
    /// Lines that gave no post with a text.
    pub malformed: usize,
}

impl PostArgs {
    /// What is read, in words.
    pub fn name(&self) -> String {
        match &*self.files {
            [] => "standard input".to_owned(),
            [one] => one.display().to_string(),
            [first, rest @ ..] => format!("{} and {} more", first.display(), rest.len()),
        }
    }

    /// Reads all of the files. Where every post has a time they are put into its order.
    pub fn load(&self) -> anyhow::Result<Posts> {
        let opened = replay::open(&self.files, &self.read).map_err(BadInput::from)?;
        let mut loaded = Posts::default();
        for line in opened.lines {
            let post = match line.map_err(BadInput::from)? {
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
            for escape in &self.unescape {
                post.text = match escape {
                    Unescape::Unicode => Escape::Unicode.undo(&post.text),
                    Unescape::Html => Escape::Html.undo(&post.text),
                };
            }
            if post.text.trim().is_empty() {
                loaded.malformed += 1;
            } else {
                loaded.posts.push(post);
            }
        }
        if loaded.posts.is_empty() {
            return Err(BadInput::from(format!(
                "the input holds no post with a text ({} lines could not be used); --text-field says where it stands",
                loaded.malformed
            )));
        }
        if loaded.posts.iter().all(|post| post.event_time.is_some()) {
            loaded.posts.sort_by_key(|post| post.event_time);
        }
        Ok(loaded)
    }
}
