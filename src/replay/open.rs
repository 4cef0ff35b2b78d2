//! Opening files and standard input, one after the other.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::ReplayError;
use super::fields::{Format, ReadOptions};
use super::records::{Line, Records};

/// The lines of one or several files.
pub type Lines = Box<dyn Iterator<Item = Result<Line, ReplayError>> + Send>;

/// What messages call standard input; its path is `-`.
const STANDARD_INPUT: &str = "standard input";

/// Files that were found and can be read, with how far they have been.
pub struct Opened {
    pub lines: Lines,
    /// Bytes in all of them; none where one has no known end.
    pub bytes: Option<u64>,
    pub read: Arc<AtomicU64>,
}

/// Opens all files, so that a fault in the last one's name or columns shows before the first one is sent. No path, or
/// `-`, is standard input.
///
/// # Errors
///
/// A file is missing, its layout is not clear, or a column named by the options is not in it.
pub fn open(paths: &[PathBuf], options: &ReadOptions) -> Result<Opened, ReplayError> {
    let standard_input = [PathBuf::from("-")];
    let paths = if paths.is_empty() {
        &standard_input
    } else {
        paths
    };
    let read = Arc::new(AtomicU64::new(0));
    let mut files = Vec::with_capacity(paths.len());
    let mut bytes = Some(0);
    for path in paths {
        let (input, size): (Box<dyn Read + Send>, _) = if is_standard_input(path) {
            (Box::new(io::stdin()), None)
        } else {
            let fault = |source| ReplayError::Open {
                path: path.clone(),
                source,
            };
            let file = File::open(path).map_err(fault)?;
            let metadata = file.metadata().map_err(fault)?;
            (Box::new(file), metadata.is_file().then_some(metadata.len()))
        };
        bytes = bytes.zip(size).map(|(sum, size)| sum + size);
        let counting = Counting {
            input,
            read: Arc::clone(&read),
        };
        let format = match options.format {
            Some(format) => format,
            None => Format::of(path)?,
        };
        files.push(Records::new(
            Box::new(counting),
            &name(path),
            format,
            options,
        )?);
    }
    Ok(Opened {
        lines: Box::new(files.into_iter().flatten()),
        bytes,
        read,
    })
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn name(path: &Path) -> String {
    if is_standard_input(path) {
        STANDARD_INPUT.to_owned()
    } else {
        path.display().to_string()
    }
}

/// Counts what is read through it.
struct Counting<R> {
    input: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn files_are_read_one_after_the_other_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            write(folder.path(), "a.txt", "one\ntwo\n"),
            write(folder.path(), "b.jsonl", "{\"text\":\"three\"}\nnonsense\n"),
        ];
        let opened = open(&files, &ReadOptions::default()).unwrap();
        let lines: Vec<Line> = opened.lines.map(Result::unwrap).collect();
        assert_eq!(lines.len(), 4);
        let Line::Malformed(fault) = &lines[3] else {
            panic!("{:?}", lines[3]);
        };
        assert_eq!((fault.file.ends_with("b.jsonl"), fault.line), (true, 2));
        assert_eq!(opened.bytes, Some(8 + 17 + 9));
        assert_eq!(Some(opened.read.load(Ordering::Relaxed)), opened.bytes);
    }

    #[test]
    fn a_fault_in_the_last_file_shows_before_the_first_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let sound = write(folder.path(), "a.txt", "one\n");
        let no_text = write(folder.path(), "b.csv", "id,body\n1,x\n");
        let missing = folder.path().join("c.txt");
        for (files, words) in [
            (vec![sound.clone(), missing], "cannot read"),
            (vec![sound.clone(), no_text], "no column named 'text'"),
            (vec![sound, folder.path().join("-")], "cannot read"),
            (vec![PathBuf::from("-")], "not clear from its name"),
        ] {
            let error = open(&files, &ReadOptions::default()).err().unwrap();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
