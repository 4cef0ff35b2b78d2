//! A process's standard output, line by line, and the last that it said on standard error.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::child::Running;

/// Something was heard of a process.
pub(super) enum Heard {
    /// A line of its standard output.
    Line(String),
    /// Something on its standard error.
    Murmur,
}

/// Bytes of a line that are kept; the rest of it is passed over.
const LONGEST_LINE: usize = 1 << 16;
/// Lines of standard error that are kept.
const WORDS: usize = 20;
/// Characters of each.
const LONGEST_WORDS: usize = 400;

/// The last lines of standard error, without secrets.
#[derive(Clone)]
pub(super) struct LastWords(Arc<Mutex<Words>>);

struct Words {
    lines: VecDeque<String>,
    /// Names of secrets and their values.
    secrets: Vec<(String, String)>,
    /// Streams that are read still.
    open: usize,
}

impl LastWords {
    pub(super) fn new(secrets: Vec<(String, String)>) -> Self {
        Self(Arc::new(Mutex::new(Words {
            lines: VecDeque::new(),
            secrets,
            open: 2,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Words> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether both streams have come to their end.
    pub(super) fn are_complete(&self) -> bool {
        self.lock().open == 0
    }

    pub(super) fn take(&self) -> Vec<String> {
        self.lock().lines.drain(..).collect()
    }

    pub(super) fn push(&self, line: &str) {
        let mut words = self.lock();
        let mut line = line.trim_end().to_owned();
        for (name, value) in &words.secrets {
            line = line.replace(value, &format!("[{name}]"));
        }
        if line.chars().count() > LONGEST_WORDS {
            line = line.chars().take(LONGEST_WORDS).collect::<String>() + " …";
        }
        if words.lines.len() == WORDS {
            words.lines.pop_front();
        }
        words.lines.push_back(line);
    }
}

/// Reads both streams of a process on threads of their own, which end with the streams.
pub(super) fn listen(running: &mut Running, sender: SyncSender<Heard>, words: LastWords) {
    let (out, err) = running.streams();
    let (other, done) = (sender.clone(), words.clone());
    std::thread::spawn(move || {
        // Where nobody listens any more, it is read on, so that the process does not wait for it.
        each_line(out, |line| drop(sender.send(Heard::Line(line))));
        done.lock().open -= 1;
    });
    std::thread::spawn(move || {
        each_line(err, |line| {
            words.push(&line);
            drop(other.send(Heard::Murmur));
        });
        words.lock().open -= 1;
    });
}

/// Every line of a stream until it ends or fails.
fn each_line(stream: Option<impl Read>, mut tell: impl FnMut(String)) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream);
    let mut lines = Cut::default();
    while let Ok(bytes) = reader.fill_buf() {
        let used = bytes.len();
        if used == 0 {
            break;
        }
        lines.feed(bytes, &mut tell);
        reader.consume(used);
    }
    lines.end(&mut tell);
}

/// Cuts bytes into lines; of a line that is too long the rest is passed over.
#[derive(Default)]
pub(super) struct Cut {
    line: Vec<u8>,
}

impl Cut {
    /// Takes bytes as they come, and tells the lines that end in them.
    pub(super) fn feed(&mut self, bytes: &[u8], tell: &mut impl FnMut(String)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (part, ended) = match part.strip_suffix(b"\n") {
                Some(part) => (part, true),
                None => (part, false),
            };
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if ended {
                tell(String::from_utf8_lossy(&self.line).into_owned());
                self.line.clear();
            }
        }
    }

    /// Tells what stands after the last line, if anything does.
    pub(super) fn end(self, tell: &mut impl FnMut(String)) {
        if !self.line.is_empty() {
            tell(String::from_utf8_lossy(&self.line).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        each_line(Some(text), |line| lines.push(line));
        lines
    }

    #[test]
    fn lines_are_bounded_and_the_last_may_lack_its_end() {
        let long = vec![b'x'; LONGEST_LINE + 5];
        let text = [b"one\n\n", &long[..], b"\ntw\xffo"].concat();
        let read = lines(&text);
        assert_eq!(read[..2], ["one", ""]);
        assert_eq!(read[2].len(), LONGEST_LINE);
        assert_eq!(read[3..], ["tw\u{fffd}o"]);
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn last_words_are_the_last_ones_bounded_and_without_secrets() {
        let words = LastWords::new(vec![("TOKEN".into(), "hunter22".into())]);
        (0..WORDS + 3).for_each(|i| words.push(&format!("line {i}")));
        words.push("it said hunter22 twice: hunter22\n");
        words.push(&"ä".repeat(LONGEST_WORDS + 1));
        let kept = words.take();
        assert_eq!(kept.len(), WORDS);
        assert_eq!(kept[0], "line 5");
        assert_eq!(kept[WORDS - 2], "it said [TOKEN] twice: [TOKEN]");
        assert_eq!(kept[WORDS - 1].chars().count(), LONGEST_WORDS + 2);
    }
}
