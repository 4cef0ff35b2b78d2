//! Processor time, of this process and of the whole machine.

use std::ops::Sub;

/// The kernel counts in hundredths of a second, whatever its own clock.
const TICKS: f64 = 100.0;

/// Processor time since some moment; a difference of two says what was used between them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuTime {
    /// Seconds of this process.
    pub process: f64,
    /// Seconds of everything on this machine.
    pub machine: f64,
}

impl CpuTime {
    /// The time so far; zero where the kernel does not tell.
    #[must_use]
    pub fn now() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            process: of_process(&read("/proc/self/stat")).unwrap_or_default(),
            machine: of_machine(&read("/proc/stat")).unwrap_or_default(),
        }
    }

    /// Seconds of everything but this process: the broker and the database, where they run here, and whoever else.
    #[must_use]
    pub fn others(self) -> f64 {
        (self.machine - self.process).max(0.0)
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            process: self.process - earlier.process,
            machine: self.machine - earlier.machine,
        }
    }
}

/// `utime` and `stime` of /proc/self/stat.
fn of_process(stat: &str) -> Option<f64> {
    // The program's name may hold blanks and parentheses; the numbers follow the last one.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// All but `idle`, `iowait` and what guests used (it is in `user` already) in the first line of /proc/stat.
fn of_machine(stat: &str) -> Option<f64> {
    let fields: Vec<f64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    let busy = fields
        .iter()
        .enumerate()
        .filter(|(index, _)| ![3, 4].contains(index))
        .map(|(_, ticks)| ticks);
    (fields.len() >= 5).then(|| busy.sum::<f64>() / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read_by_their_columns() {
        let process = "7 (a (b) c) S 1 7 7 0 -1 4194304 1 2 3 4 150 50 0 0 20 0";
        assert_eq!(of_process(process), Some(2.0));
        let machine = "cpu  100 10 40 5000 60 5 5 40 0 0\ncpu0 1 1 1 1\n";
        assert_eq!(of_machine(machine), Some(2.0));
        assert_eq!((of_process(""), of_machine("")), (None, None));
    }

    #[test]
    fn work_takes_time() {
        let before = CpuTime::now();
        let mut sum = 0_u64;
        while (CpuTime::now() - before).process < 0.05 {
            sum = (0..100_000).fold(sum, |sum, n| sum.wrapping_add(n * n));
        }
        std::hint::black_box(sum);
        let used = CpuTime::now() - before;
        assert!(used.machine >= used.process * 0.5, "{used:?}");
    }
}
