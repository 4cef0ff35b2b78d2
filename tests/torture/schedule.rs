//! The schedule of a run: a pure function of its seed, and a file that can be played again.

use std::fmt;
use std::io::{BufRead, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The instance that runs the real model; those of the small one are numbered from 1.
pub const REAL: usize = 0;
/// Most instances of the small model.
pub const MOST: usize = 4;
/// Most partitions of the input.
pub const MOST_PARTITIONS: i32 = 12;

/// How an instance is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    pub instance: usize,
    /// Which of the two small bundles.
    pub bundle: usize,
    pub max_messages: u32,
    pub max_delay_ms: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed: Option<Armed>,
}

/// What an instance does to itself when it passes a point of `src/fault.rs` for the `count`th time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    pub point: String,
    pub count: u32,
    /// Microseconds after the point.
    pub delay_us: u32,
    /// It stops, and goes on after so long; without it, it kills itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_ms: Option<u64>,
}

impl Armed {
    /// The value of `TIDEWATCH_FAULT`.
    pub fn variable(&self) -> String {
        let action = if self.stop_ms.is_some() {
            "stop"
        } else {
            "kill"
        };
        format!("{}@{}={action}+{}", self.point, self.count, self.delay_us)
    }
}

/// As `src/fault.rs` names them: first those of each chunk, then those of a beginning with partitions.
pub const CHUNK_POINTS: [&str; 9] = [
    "chunk-formed",
    "inferred",
    "rows-written",
    "rows-committed",
    "transaction-begun",
    "records-sent",
    "offsets-sent",
    "commit-asked",
    "committed",
];
pub const CLAIM_POINTS: [&str; 2] = ["claimed", "offsets-read"];

/// How an instance is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    Kill,
    Terminate,
}

/// Something that happens to a run. Whatever has a length is healed after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// SIGKILL to each of these, and a start of each after a while.
    Kill {
        starts: Vec<Start>,
        down_ms: u64,
    },
    /// SIGTERM, its end awaited, and a start after a while.
    Terminate {
        start: Start,
        down_ms: u64,
    },
    /// SIGSTOP, then SIGCONT.
    Pause {
        instance: usize,
        for_ms: u64,
    },
    /// One instance more.
    Add {
        start: Start,
    },
    /// One instance less.
    Remove {
        instance: usize,
        by: End,
    },
    /// SIGKILL to a broker, and a start after a while.
    BrokerKill {
        node: u32,
        down_ms: u64,
    },
    BrokerPause {
        node: u32,
        for_ms: u64,
    },
    /// Immediate shutdown of Postgres, and a start after a while.
    PostgresCrash {
        down_ms: u64,
    },
    /// All its processes.
    PostgresPause {
        for_ms: u64,
    },
    /// Every connection of the service is cut.
    PostgresCut,
    /// As after a fail-over to a standby.
    PostgresReadOnly {
        for_ms: u64,
    },
    /// Somebody holds the rows of `partition_epochs`.
    EpochLock {
        for_ms: u64,
    },
    /// Somebody takes those rows one by one in the other order, again and again.
    EpochDeadlock {
        for_ms: u64,
    },
    /// The inputs get more partitions.
    AddPartitions {
        to: i32,
    },
    /// One of the two small models becomes champion.
    Promote {
        bundle: usize,
    },
    /// No fault: all is healed, everything is committed, and the checker runs.
    Quiet,
}

impl Fault {
    /// Its kind, as it is counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill { starts, .. } if starts.len() > 1 => "kill_two",
            Self::Kill { .. } => "kill",
            Self::Terminate { .. } => "terminate",
            Self::Pause { .. } => "pause",
            Self::Add { .. } => "add",
            Self::Remove { .. } => "remove",
            Self::BrokerKill { .. } => "broker_kill",
            Self::BrokerPause { .. } => "broker_pause",
            Self::PostgresCrash { .. } => "postgres_crash",
            Self::PostgresPause { .. } => "postgres_pause",
            Self::PostgresCut => "postgres_cut",
            Self::PostgresReadOnly { .. } => "postgres_read_only",
            Self::EpochLock { .. } => "epoch_lock",
            Self::EpochDeadlock { .. } => "epoch_deadlock",
            Self::AddPartitions { .. } => "add_partitions",
            Self::Promote { .. } => "promote",
            Self::Quiet => "quiet",
        }
    }

    /// How long it lasts by its parameters.
    pub fn length(&self) -> Duration {
        Duration::from_millis(match *self {
            Self::Kill { down_ms, .. }
            | Self::Terminate { down_ms, .. }
            | Self::BrokerKill { down_ms, .. }
            | Self::PostgresCrash { down_ms } => down_ms,
            Self::Pause { for_ms, .. }
            | Self::BrokerPause { for_ms, .. }
            | Self::PostgresPause { for_ms }
            | Self::PostgresReadOnly { for_ms }
            | Self::EpochLock { for_ms }
            | Self::EpochDeadlock { for_ms } => for_ms,
            _ => 0,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.length().as_secs_f64();
        match self {
            Self::Kill { starts, .. } => {
                let names: Vec<_> = starts.iter().map(|start| name(start.instance)).collect();
                write!(f, "kill {}, down for {seconds:.1} s", names.join(" and "))
            }
            Self::Terminate { start, .. } => {
                let name = name(start.instance);
                write!(f, "terminate {name}, down for {seconds:.1} s")
            }
            Self::Pause { instance, .. } => {
                write!(f, "pause {} for {seconds:.1} s", name(*instance))
            }
            Self::Add { start } => write!(f, "add {}", name(start.instance)),
            Self::Remove { instance, by } => {
                let how = match by {
                    End::Kill => "killed",
                    End::Terminate => "terminated",
                };
                write!(f, "remove {} ({how})", name(*instance))
            }
            Self::BrokerKill { node, .. } => {
                write!(f, "kill broker {node}, down for {seconds:.1} s")
            }
            Self::BrokerPause { node, .. } => write!(f, "pause broker {node} for {seconds:.1} s"),
            Self::PostgresCrash { .. } => write!(f, "crash Postgres, down for {seconds:.1} s"),
            Self::PostgresPause { .. } => write!(f, "pause Postgres for {seconds:.1} s"),
            Self::PostgresCut => write!(f, "cut every connection to Postgres"),
            Self::PostgresReadOnly { .. } => {
                write!(f, "make Postgres read-only for {seconds:.1} s")
            }
            Self::EpochLock { .. } => write!(f, "lock partition_epochs for {seconds:.1} s"),
            Self::EpochDeadlock { .. } => {
                write!(f, "deadlock on partition_epochs for {seconds:.1} s")
            }
            Self::AddPartitions { to } => write!(f, "bring the inputs to {to} partitions"),
            Self::Promote { bundle } => write!(f, "promote bundle {}", bundle + 1),
            Self::Quiet => write!(f, "quiet point"),
        }
    }
}

/// The name an instance runs under.
pub fn name(instance: usize) -> String {
    match instance {
        REAL => "real".to_owned(),
        number => format!("small-{number}"),
    }
}

/// A fault and its time, in milliseconds of load since the start: the clock stands still at quiet points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at_ms: u64,
    #[serde(flatten)]
    pub fault: Fault,
}

/// What a run is like, before anything happens to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub seed: u64,
    pub minutes: f64,
    pub every: f64,
    pub quiet: f64,
    pub brokers: u32,
    pub partitions: i32,
    /// `partition.assignment.strategy` of the group.
    pub strategy: String,
    pub static_membership: bool,
    /// Whether instances follow a registry.
    #[serde(default)]
    pub swaps: bool,
    pub starts: Vec<Start>,
}

/// A header, then the events in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub header: Header,
    pub events: Vec<Event>,
}

impl Schedule {
    /// A line for the header, then a line for each event.
    pub fn write(&self, mut to: impl Write) -> std::io::Result<()> {
        serde_json::to_writer(&mut to, &self.header)?;
        for event in &self.events {
            writeln!(to)?;
            serde_json::to_writer(&mut to, event)?;
        }
        writeln!(to)
    }

    /// What [`Schedule::write`] has written.
    pub fn read(from: impl BufRead) -> Result<Self, String> {
        let mut lines = from.lines().enumerate().map(|(index, line)| {
            let line = line.map_err(|error| error.to_string())?;
            Ok::<_, String>((index + 1, line))
        });
        let parse = |(number, error): (usize, serde_json::Error)| format!("line {number}: {error}");
        let (_, first) = lines.next().ok_or("the file is empty")??;
        let header = serde_json::from_str(&first).map_err(|error| parse((1, error)))?;
        let mut events = Vec::new();
        for line in lines {
            let (number, line) = line?;
            events.push(serde_json::from_str(&line).map_err(|error| parse((number, error)))?);
        }
        Ok(Self { header, events })
    }
}
