//! Measures the alerts: false alerts, delays, memory and time on made-up series, and what they say of the airline tweets.
//!
//! `cargo bench --bench alerts -- [series for each volume] [lines of a rule's TOML]`; with `TIDEWATCH_DATA`, the folder of
//! data sets, the airline tweets as well. It takes minutes: nothing runs it by itself.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tidewatch::alerts::{AlertsConfig, Book, Cell, Count, SeriesKey, Status, rfc3339};

#[path = "../src/alerts/airline.rs"]
mod airline;
#[path = "../src/alerts/synthetic.rs"]
mod synthetic;

use synthetic::{HOUR, MONDAY, Maker, Step};

const DAYS_PER_FALSE_ALERT: u32 = 100;
const HISTORY_DAYS: i64 = 14;
const LIVE_DAYS: i64 = 30;
const VOLUMES: [f64; 3] = [5.0, 50.0, 500.0];

/// Counts the bytes that are allocated.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: every call goes to the system's allocator as it is; only a number is kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn book(rule: &str) -> Book {
    let config: AlertsConfig = toml::from_str(&format!(
        "enabled = true\ntopic = ''\nstep_minutes = 10\nutc_offset_hours = 0\ndays_per_false_alert = {DAYS_PER_FALSE_ALERT}\n\
         max_series = 50000\nretention_days = 90\n[[rule]]\nname = 'measured'\n{rule}"
    ))
    .expect("is a section with one rule");
    Book::new(&config, &airline::LABELS.map(Into::into)).expect("the rule fits the labels")
}

fn main() {
    // Cargo adds an argument of its own.
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench");
    let series = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(200);
    let rule = arguments.next().unwrap_or_default();
    if let Some(folder) = std::env::var_os("TIDEWATCH_DATA") {
        tweets(&Path::new(&folder).join("airline-tweets/tweets.csv"), &rule);
    }
    for days_stray in [0.1, 0.2, 0.35] {
        for minutes in [10, 60] {
            for volume in VOLUMES {
                false_alerts(series, volume, days_stray, minutes, &rule);
            }
        }
    }
    for volume in VOLUMES {
        for points in [0.10, 0.15, 0.20, 0.30] {
            delay(series, volume, points, &rule);
        }
    }
    footprint(&rule);
}

/// What is told of the airlines.
fn tweets(file: &Path, rule: &str) {
    let mut book = book(rule);
    let mut most = std::collections::BTreeMap::<SeriesKey, f64>::new();
    for cell in airline::cells(file, 600_000) {
        for event in book.observe(&cell) {
            let alert = &event.alert;
            let subject = alert.key.subject.as_deref().unwrap_or_default();
            println!(
                "{subject}: {:?} at {}, began {}, normal {:.3}, share {:.3} ({:.3} to {:.3}), {} texts, {:?}",
                event.status,
                rfc3339(event.at),
                rfc3339(alert.started),
                alert.normal,
                alert.share,
                alert.interval[0],
                alert.interval[1],
                alert.texts,
                alert.resolution
            );
        }
        for standing in book.standing(&cell.key) {
            let most = most.entry(cell.key.clone()).or_default();
            *most = most.max(standing.evidence);
        }
    }
    for (key, most) in most {
        let history = book.standing(&key)[0].history_days;
        println!(
            "{}: at most {most:.2} of the evidence needed, history {history:.1} days",
            key.subject.unwrap_or_default()
        );
    }
}

/// Alerts where nothing changes.
fn false_alerts(series: u64, volume: f64, days_stray: f64, minutes: i64, rule: &str) {
    let mut opened = 0_usize;
    for seed in 0..series {
        let mut maker = Maker::flat(volume, seed);
        (maker.days_stray, maker.minutes) = (days_stray, minutes);
        let mut book = book(rule);
        for cell in maker.cells((HISTORY_DAYS + LIVE_DAYS) * 24) {
            if cell.start < (MONDAY + HISTORY_DAYS * 24) * HOUR {
                book.learn(&cell);
            } else {
                opened += book
                    .observe(&cell)
                    .iter()
                    .filter(|event| event.status == Status::Opened)
                    .count();
            }
        }
    }
    let days = series as f64 * LIVE_DAYS as f64;
    let (low, high) = poisson_interval(opened as f64);
    println!(
        "{volume} messages an hour, days straying by {days_stray} logits, cells of {minutes} min: {opened} false alerts in {days} \
         series-days, one in {:.0} ({:.0} to {:.0})",
        days / opened as f64,
        days / high,
        days / low
    );
}

/// The 95 % interval of a Poisson mean (Garwood 1936), quantiles of chi-square by Wilson and Hilferty 1931.
fn poisson_interval(count: f64) -> (f64, f64) {
    let quantile =
        |shape: f64, z: f64| shape * (1.0 - 1.0 / (9.0 * shape) + z / (3.0 * shape.sqrt())).powi(3);
    (
        if count > 0.0 {
            quantile(count, -1.96)
        } else {
            0.0
        },
        quantile(count + 1.0, 1.96),
    )
}

/// How long it takes to find a change that lasts two days.
fn delay(series: u64, volume: f64, points: f64, rule: &str) {
    let mut delays = Vec::new();
    for seed in 0..series {
        let mut maker = Maker::flat(volume, 1_000_000 + seed);
        let from_hour = (HISTORY_DAYS + 7) * 24 + (seed as i64 * 7) % 24;
        let until_hour = from_hour + 48;
        maker.minutes = 10;
        maker.change = Some(Step {
            from_hour,
            until_hour,
            points,
        });
        let mut book = book(rule);
        let at = (MONDAY + from_hour) * HOUR;
        let found = maker
            .cells(until_hour)
            .iter()
            .flat_map(|cell| book.observe(cell))
            .find(|event| event.status == Status::Opened && event.at >= at);
        delays.extend(found.map(|event| (event.at - at) as f64 / HOUR as f64));
    }
    delays.sort_by(f64::total_cmp);
    let quantile = |part: f64| {
        delays
            .get((series as f64 * part) as usize)
            .map_or("-".to_owned(), |delay| format!("{delay:.1} h"))
    };
    println!(
        "{volume} messages an hour, {:+.0} points: found {} of {series}, after {} in half of the cases, {} in nine of ten",
        100.0 * points,
        delays.len(),
        quantile(0.5),
        quantile(0.9)
    );
}

/// Memory and time.
fn footprint(rule: &str) {
    let series = 1_000;
    let mut cells: Vec<Cell> = Vec::new();
    for index in 0..series {
        let mut maker = Maker::flat(50.0, index);
        maker.key = SeriesKey::new(None, Some(&format!("subject {index}")));
        maker.minutes = 10;
        cells.extend(maker.cells(6 * 24));
    }
    cells.sort_by_key(|cell| cell.start);
    let before = BYTES.load(Ordering::Relaxed);
    let mut book = book(rule);
    let start = Instant::now();
    for cell in &cells {
        std::hint::black_box(book.observe(cell));
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / cells.len() as f64;
    let memory = (BYTES.load(Ordering::Relaxed) - before) / series as usize;
    let stored: usize = (0..series)
        .filter_map(|index| {
            book.series_state(&SeriesKey::new(None, Some(&format!("subject {index}"))))
        })
        .map(|state| state.len())
        .sum();
    println!(
        "{memory} bytes of memory and {} bytes stored for a series, {each:.2} µs for a cell",
        stored / series as usize
    );
}
