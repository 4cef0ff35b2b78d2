//! Recorded posts from files on the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::exit::BadInput;
use crate::posts::{self, Posts};
use crate::replay::ReadOptions;
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

impl From<Unescape> for Escape {
    fn from(unescape: Unescape) -> Self {
        match unescape {
            Unescape::Unicode => Self::Unicode,
            Unescape::Html => Self::Html,
        }
    }
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

    /// Reads all of the files, as [`posts::load`] does.
    pub fn load(&self) -> anyhow::Result<Posts> {
        let escapes: Vec<Escape> = self.unescape.iter().map(|&kind| kind.into()).collect();
        posts::load(&self.files, &self.read, &escapes).map_err(BadInput::from)
    }
}
