//! Windows over time as lines of text.

use super::axis::moment;
use super::{Column, Legend, Point, Verdict, columns, digits, thousands, top};

/// Eighths of a character's height.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Characters of a name before the track, at most.
const NAME: usize = 12;
/// Characters after the track.
const FIGURE: usize = 14;
/// The least range of a share that fills a character: a smaller movement should not look like a large one.
const LEAST_RANGE: f64 = 0.2;
/// The least width that can be drawn in.
const LEAST: usize = 40;

/// A character and the code of its colour; cells are drawn from a column and whether it is the column's first place.
type Cell = (char, Option<&'static str>);

const RED: &str = "\u{1b}[31m";
const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// Draws windows over time as lines of at most `width` characters (at least 40), with ANSI colours if `colour` is set: the title
/// and the span of time, the p-values as their number of digits, a line of marks, and the share of each label.
///
/// In the line of marks `▲` is a window on which an alarm was opened, `─` one while it was open, `!` other drift and `?` one with
/// too little to say. A share is drawn from the least to the largest that it had, which stand at the end of its line, or over 20
/// points where it moved by less. A place in time without a window is blank.
#[must_use]
pub fn draw(points: &[Point], legend: &Legend, width: usize, colour: bool) -> Vec<String> {
    let width = width.max(LEAST);
    let track = width - NAME - FIGURE - 2;
    let columns = columns(points, legend.labels.len(), track);
    let mut lines = vec![cut(&clean(legend.title), width)];
    let (Some(start), Some(end)) = (
        columns.iter().map(|column| column.start).min(),
        columns.iter().map(|column| column.end).max(),
    ) else {
        lines.push("no windows yet".to_owned());
        return lines;
    };
    let messages = points
        .iter()
        .fold(0_u64, |sum, point| sum.saturating_add(point.messages));
    let span = format!(
        "{} to {} UTC, windows: {}, messages: {}",
        moment(start),
        moment(end),
        points.len(),
        thousands(messages)
    );
    lines.push(cut(&span, width));
    let places = places(&columns, start, end, track);
    let top = top(&columns, legend.alarm);
    let line = |name: &str, figure: &str, cell: &dyn Fn(&Column, bool) -> Cell| {
        let mut out = format!("{:NAME$} ", cut(&clean(name), NAME));
        for place in &places {
            let (shape, paint) = place.map_or((' ', None), |(index, is_first)| {
                cell(&columns[index], is_first)
            });
            match paint.filter(|_| colour) {
                Some(code) => out.extend([code, shape.encode_utf8(&mut [0; 4]), PLAIN]),
                None => out.push(shape),
            }
        }
        out.push(' ');
        out.push_str(&cut(figure, FIGURE));
        out
    };
    let alarm = digits(legend.alarm).map_or_else(String::new, |line| format!("alarm at {line:.1}"));
    lines.push(line("−log10 p", &alarm, &|column, _| {
        let paint = match column.verdict {
            Verdict::Ok => None,
            Verdict::Unknown => Some(DIM),
            Verdict::Drift => Some(RED),
        };
        (column.digits.map_or(' ', |value| block(value / top)), paint)
    }));
    lines.push(line("alarms", "", &mark));
    for (label, name) in legend.labels.iter().enumerate() {
        let share = |column: &Column| column.shares.as_ref().map(|shares| shares[label]);
        let known = columns.iter().filter_map(share);
        let low = known.clone().fold(1.0, f64::min);
        let high = known.fold(0.0, f64::max);
        let figure = if low <= high {
            format!("{:.0}–{:.0} %", 100.0 * low, 100.0 * high)
        } else {
            String::new()
        };
        let range = (high - low).max(LEAST_RANGE);
        lines.push(line(name, &figure, &|column, _| {
            let height = |share| block((share - low) / range);
            (share(column).map_or(' ', height), None)
        }));
    }
    lines
}

/// Which column each place of the track shows, and whether it is the column's first place.
fn places(columns: &[Column], start: i64, end: i64, track: usize) -> Vec<Option<(usize, bool)>> {
    let span = (end as f64 - start as f64).max(1.0);
    let at = |time: i64| (time as f64 - start as f64) / span * track as f64;
    let mut places = vec![None; track];
    for (index, column) in columns.iter().enumerate() {
        let first = (at(column.from) as usize).min(track - 1);
        let after = (at(column.to) as usize).clamp(first + 1, track);
        for (step, place) in places[first..after].iter_mut().enumerate() {
            // Of two in one place, that of the worse verdict shows.
            let worse = |held: &(usize, bool)| columns[held.0].rank() > column.rank();
            if !place.as_ref().is_some_and(worse) {
                *place = Some((index, step == 0));
            }
        }
    }
    places
}

impl Column {
    fn rank(&self) -> (bool, Verdict) {
        (self.alarm_opened, self.verdict)
    }
}

fn mark(column: &Column, is_first: bool) -> Cell {
    if column.alarm_opened && is_first {
        ('▲', Some(RED))
    } else if column.alarm_open {
        ('─', Some(RED))
    } else {
        match column.verdict {
            Verdict::Drift => ('!', Some(RED)),
            Verdict::Unknown => ('?', Some(DIM)),
            Verdict::Ok => (' ', None),
        }
    }
}

/// A block as high as the share of one.
fn block(share: f64) -> char {
    let eighth = (share.clamp(0.0, 1.0) * BLOCKS.len() as f64) as usize;
    BLOCKS[eighth.min(BLOCKS.len() - 1)]
}

/// Text without what would move a terminal's cursor or change its colours.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// The first characters of a text, an ellipsis in place of the last where some are left out.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(most.saturating_sub(1)).collect();
    out.push('…');
    out
}
