//! The state of a training, kept in a file while it goes, so that a run that died goes on to the same result.
//!
//! The file is a line that names the format, a line of JSON ([`Head`]), the values (weights, then moments, in the
//! order of [`Trainer::state`]) as little-endian float32, a byte a word for whether it has had a gradient, and the
//! sha256 of all this. It takes the place of its predecessor only once it is whole and on the disk.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::backbone::Encoder;
use super::error::TrainError;
use super::meter::Meter;
use super::progress::{Event, Progress};
use super::recipe::Recipe;
use super::run::Prepared;
use super::tokens::Encoded;
use super::trainer::Trainer;
use super::weights::Weights;
use crate::durable;
use crate::fault;

/// Name of the file, in the folder of the checkpoint.
pub const FILE: &str = "training.state";
/// Name of the file whose lock says that a process is at work here.
const LOCK: &str = "training.lock";
const FORMAT: &str = "tidewatch training state 1\n";
/// Longest head that is read.
const MOST_HEAD: u64 = 1 << 16;
/// Values that are converted together.
const CHUNK: usize = 1 << 14;
/// How long a process that has been killed may take to let go of its files, and a new one should wait for it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What stands before the values.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    /// What the training depends on, as [`identity`] tells it.
    identity: String,
    /// Steps done.
    step: usize,
    /// The smoothed loss, for those who watch.
    loss: Option<f64>,
}

/// Keeps the state of one training.
pub struct Keeper {
    path: PathBuf,
    identity: String,
    every: Duration,
    kept: Instant,
    /// The step of what the file holds, as far as this process knows.
    step: Option<usize>,
}

impl Keeper {
    /// For a training of this identity, in this folder, which exists. It is due after each time of this length.
    pub fn new(folder: &Path, identity: String, every: Duration) -> Self {
        Self {
            path: folder.join(FILE),
            identity,
            every,
            kept: Instant::now(),
            step: None,
        }
    }

    /// Whether so much time has passed that the state should be kept.
    pub fn is_due(&self) -> bool {
        self.kept.elapsed() >= self.every
    }

    /// Brings the training to where an earlier process has left it. False: nothing was kept.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or belongs to another training.
    pub fn resume(&mut self, trainer: &mut Trainer, meter: &mut Meter) -> Result<bool, TrainError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(TrainError::read(&self.path, error)),
        };
        let damaged = |error: io::Error| {
            let reason = format!("is damaged ({error}); remove it to begin anew");
            TrainError::state(&self.path, reason)
        };
        let mut reader = Summed::new(BufReader::new(file));
        let head = read_head(&mut reader).map_err(damaged)?;
        if head.identity != self.identity {
            let reason = "belongs to a training with another recipe, other data, another backbone or another version \
                of this program; remove it, or name another folder with --out";
            return Err(TrainError::state(&self.path, reason));
        }
        read_values(&mut reader, trainer, head.step).map_err(damaged)?;
        meter.resume(head.step, head.loss);
        self.step = Some(head.step);
        Ok(true)
    }

    /// Keeps the state as it is now, unless it is kept already.
    ///
    /// # Errors
    /// The file cannot be written; then its predecessor stands as it was.
    pub fn keep(
        &mut self,
        trainer: &Trainer,
        meter: &Meter,
        epoch: usize,
        progress: &mut Progress,
    ) -> Result<(), TrainError> {
        if self.step == Some(meter.done()) {
            return Ok(());
        }
        let began = Instant::now();
        let head = Head {
            identity: self.identity.clone(),
            step: meter.done(),
            loss: meter.loss(),
        };
        let partial = self.path.with_added_extension("partial");
        let bytes = write(&partial, &head, trainer).map_err(|error| {
            // It is of no use, and the disk may be full.
            let _ = fs::remove_file(&partial);
            TrainError::write(&partial, error)
        })?;
        fault::point("state-written");
        fs::rename(&partial, &self.path)
            .and_then(|()| self.path.parent().map_or(Ok(()), durable::sync_folder))
            .map_err(|error| TrainError::write(&self.path, error))?;
        fault::point("state-kept");
        self.step = Some(meter.done());
        self.kept = Instant::now();
        progress.tell(&Event::State {
            place: meter.place(epoch),
            bytes,
            took_seconds: began.elapsed().as_secs_f64(),
        });
        Ok(())
    }
}

/// Makes the folder and locks it for this process, as long as what is returned lives.
///
/// # Errors
/// The folder cannot be made, or another process holds it and does not let go for so long.
pub fn lock(folder: &Path, patience: Duration) -> Result<File, TrainError> {
    fs::create_dir_all(folder).map_err(|error| TrainError::write(folder, error))?;
    let path = folder.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| TrainError::write(&path, error))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::Error(error)) => return Err(TrainError::write(&path, error)),
            Err(fs::TryLockError::WouldBlock) if began.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(fs::TryLockError::WouldBlock) => return Err(TrainError::Busy(folder.into())),
        }
    }
}

/// Removes what was kept of a training that has its result.
pub fn forget(folder: &Path) {
    // Where that fails it costs space and nothing else: a state is taken up only on request.
    let _ = fs::remove_file(folder.join(FILE));
}

/// A hash of everything that the result of a training depends on: of the recipe what concerns the training, the
/// tokenised examples, the weights it begins with, and the version of the program.
pub fn identity(recipe: &Recipe, encoder: &Encoder, data: &Prepared, weights: &Weights) -> String {
    let mut sum = Summed::new(io::sink());
    hash(&mut sum, recipe, encoder, data, weights).expect("writing to nowhere does not fail");
    hex::encode(sum.digest())
}

fn hash(
    sum: &mut Summed<io::Sink>,
    recipe: &Recipe,
    encoder: &Encoder,
    data: &Prepared,
    weights: &Weights,
) -> io::Result<()> {
    let settings = (
        env!("CARGO_PKG_VERSION"),
        recipe.seed,
        &recipe.labels.names,
        &recipe.training,
        &encoder.raw_config,
    );
    serde_json::to_writer(&mut *sum, &settings)?;
    for (part, examples) in [&data.train, &data.validation, &data.test]
        .iter()
        .enumerate()
    {
        write!(sum, "\n{part} {}\n", examples.len())?;
        for Encoded { tokens, label } in *examples {
            sum.write_all(&label.to_le_bytes())?;
            sum.write_all(&(tokens.len() as u64).to_le_bytes())?;
            for token in tokens {
                sum.write_all(&token.to_le_bytes())?;
            }
        }
    }
    for example in &data.parts.train {
        sum.write_all(&(data.files[example.file].repeat as u64).to_le_bytes())?;
    }
    write_floats(sum, &weights.dense)?;
    write_floats(sum, &weights.words)
}

fn write(path: &Path, head: &Head, trainer: &Trainer) -> io::Result<u64> {
    let mut out = Summed::new(File::create(path)?);
    out.write_all(FORMAT.as_bytes())?;
    let mut line = serde_json::to_vec(head)?;
    line.push(b'\n');
    out.write_all(&line)?;
    let (values, seen) = trainer.state();
    for values in values {
        write_floats(&mut out, values)?;
    }
    let seen: Vec<u8> = seen.iter().map(|seen| u8::from(*seen)).collect();
    out.write_all(&seen)?;
    let (mut file, digest) = out.end();
    file.write_all(&digest)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

fn write_floats(out: &mut impl Write, values: &[f32]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4 * CHUNK.min(values.len()));
    for values in values.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        out.write_all(&bytes)?;
    }
    Ok(())
}

fn read_head(reader: &mut Summed<BufReader<File>>) -> io::Result<Head> {
    let mut format = vec![0; FORMAT.len()];
    reader.read_exact(&mut format)?;
    if format != FORMAT.as_bytes() {
        return Err(io::Error::other(
            "it does not begin as a training state does",
        ));
    }
    let mut line = Vec::new();
    (&mut reader.inner)
        .take(MOST_HEAD)
        .read_until(b'\n', &mut line)?;
    reader.sum.update(&line);
    Ok(serde_json::from_slice(&line)?)
}

fn read_values(
    reader: &mut Summed<BufReader<File>>,
    trainer: &mut Trainer,
    step: usize,
) -> io::Result<()> {
    let (values, seen) = trainer.state_mut(step);
    let mut bytes = vec![0; 4 * CHUNK];
    for values in values {
        for values in values.chunks_mut(CHUNK) {
            let bytes = &mut bytes[..4 * values.len()];
            reader.read_exact(bytes)?;
            for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
    }
    let mut flags = vec![0; seen.len()];
    reader.read_exact(&mut flags)?;
    for (seen, flag) in seen.iter_mut().zip(flags) {
        *seen = flag != 0;
    }
    let digest = reader.digest();
    let mut rest = Vec::new();
    // One byte more than there should be, to see whether there are more.
    (&mut reader.inner).take(33).read_to_end(&mut rest)?;
    match rest == digest {
        true => Ok(()),
        false => Err(io::Error::other("its checksum does not agree")),
    }
}

/// Something read or written, and the sha256 of all of it.
struct Summed<T> {
    inner: T,
    sum: Sha256,
}

impl<T> Summed<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            sum: Sha256::new(),
        }
    }

    fn digest(&self) -> [u8; 32] {
        self.sum.clone().finalize().into()
    }

    fn end(self) -> (T, [u8; 32]) {
        let digest = self.digest();
        (self.inner, digest)
    }
}

impl<T: Write> Write for Summed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Summed<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.sum.update(&bytes[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_for_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        let first = lock(&folder, Duration::ZERO).unwrap();
        let second = lock(&folder, Duration::ZERO);
        assert!(matches!(second, Err(TrainError::Busy(_))));
        drop(first);
        lock(&folder, Duration::ZERO).unwrap();
    }
}
