//! Windows over time as a picture for a page: one file without scripts, fonts or links, readable on light and dark ground.

use std::fmt::Write as _;

use super::axis::{self, moment};
use super::{Column, Legend, Point, Verdict, columns, digits, thousands, top};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 884.0;
/// Upper and lower edge of the track of p-values, and of the track of shares.
const P_TRACK: (f64, f64) = (48.0, 172.0);
const SHARE_TRACK: (f64, f64) = (196.0, 312.0);
/// A picture has no more columns; more windows are drawn together.
const COLUMNS: usize = 400;
/// Colours that the colour-blind can tell apart (Okabe and Ito 2008, "Color Universal Design"), one for each label in turn.
const COLOURS: [&str; 7] = [
    "#D55E00", "#999999", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9",
];

const STYLE: &str = "text{font:11px system-ui,sans-serif;fill:#333}.title{font-size:14px;font-weight:600}.frame{fill:none;stroke:#bbb}\
.grid{stroke:#ddd}.line{fill:none;stroke:#333;stroke-width:1.5}.ok{fill:#333}.unknown{fill:#fff;stroke:#999}.drift{fill:#c22}\
.span{fill:#c22;opacity:.14}.limit{stroke:#c22;stroke-dasharray:5 3}.area{opacity:.85}.hit{fill:#000;opacity:0}.hit:hover{opacity:.08}\
@media(prefers-color-scheme:dark){text{fill:#ddd}.frame{stroke:#555}.grid{stroke:#3a3a3a}.line{stroke:#ddd}.ok{fill:#ddd}\
.unknown{fill:#222}.drift{fill:#f66}.span{fill:#f66}.limit{stroke:#f66}.hit{fill:#fff}}";

/// Draws windows over time: above, the p-values as their number of digits with the line of the alarm; below, the shares of the
/// labels; behind both, red while an alarm was open (until a window is found without drift). Each window tells its figures when
/// pointed at.
#[must_use]
pub fn draw(points: &[Point], legend: &Legend) -> String {
    let columns = columns(points, legend.labels.len(), COLUMNS);
    let scale = Scale::of(&columns, legend.alarm);
    let mut out = String::new();
    let title = escape(legend.title);
    push(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             role=\"img\"><title>{title}</title><style>{STYLE}</style>\n<text class=\"title\" x=\"{LEFT}\" y=\"20\">{title}</text>\n"
        ),
    );
    alarm_spans(&mut out, &columns, &scale);
    time_axis(&mut out, &columns, &scale);
    share_track(&mut out, &columns, &scale, legend.labels.len());
    p_track(&mut out, &columns, &scale, legend.alarm);
    key(&mut out, legend);
    for column in &columns {
        hit(&mut out, column, &scale, legend);
    }
    if columns.is_empty() {
        let middle = f64::midpoint(LEFT, RIGHT);
        push(
            &mut out,
            format_args!(
                "<text x=\"{middle}\" y=\"114\" text-anchor=\"middle\">no windows yet</text>\n"
            ),
        );
    }
    out.push_str("</svg>\n");
    out
}

fn push(out: &mut String, text: std::fmt::Arguments) {
    out.write_fmt(text)
        .expect("writing to a string does not fail");
}

/// From times and p-values to places in the picture.
struct Scale {
    start: i64,
    end: i64,
    top: f64,
}

impl Scale {
    fn of(columns: &[Column], alarm: f64) -> Self {
        let start = columns.iter().map(|column| column.start).min();
        let end = columns.iter().map(|column| column.end).max();
        Self {
            start: start.unwrap_or(0),
            end: end.unwrap_or(0),
            top: top(columns, alarm),
        }
    }

    fn x(&self, time: i64) -> f64 {
        let span = (self.end as f64 - self.start as f64).max(1.0);
        LEFT + (RIGHT - LEFT) * ((time as f64 - self.start as f64) / span).clamp(0.0, 1.0)
    }

    /// Left edge and width of a stretch of time, wide enough to be seen and within the picture.
    fn stretch(&self, from: i64, to: i64) -> (f64, f64) {
        let left = self.x(from).min(RIGHT - 1.5);
        (left, (self.x(to) - left).max(1.5))
    }

    fn middle(&self, column: &Column) -> f64 {
        f64::midpoint(self.x(column.from), self.x(column.to))
    }

    fn y(&self, digits: f64) -> f64 {
        let (upper, lower) = P_TRACK;
        lower - (lower - upper) * (digits / self.top).clamp(0.0, 1.0)
    }
}

/// Red behind both tracks while an alarm was open, and a triangle where it was opened.
fn alarm_spans(out: &mut String, columns: &[Column], scale: &Scale) {
    let height = SHARE_TRACK.1 - P_TRACK.0;
    for span in columns.chunk_by(|a, b| a.alarm_open == b.alarm_open) {
        let (Some(first), Some(last)) = (span.first(), span.last()) else {
            continue;
        };
        if first.alarm_open {
            let (x, width) = scale.stretch(first.from, last.to);
            push(
                out,
                format_args!(
                    "<rect class=\"span\" x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"{height}\"/>\n",
                    P_TRACK.0
                ),
            );
        }
    }
    for column in columns.iter().filter(|column| column.alarm_opened) {
        let x = scale.middle(column);
        let (left, right, y) = (x - 5.0, x + 5.0, P_TRACK.0 - 9.0);
        push(
            out,
            format_args!(
                "<path class=\"drift\" d=\"M{left:.1} {y}H{right:.1}L{x:.1} {}Z\"/>\n",
                P_TRACK.0 - 1.0
            ),
        );
    }
}

fn time_axis(out: &mut String, columns: &[Column], scale: &Scale) {
    for (upper, lower) in [P_TRACK, SHARE_TRACK] {
        let (width, height) = (RIGHT - LEFT, lower - upper);
        push(
            out,
            format_args!(
                "<rect class=\"frame\" x=\"{LEFT}\" y=\"{upper}\" width=\"{width}\" height=\"{height}\"/>\n"
            ),
        );
    }
    if columns.is_empty() {
        return;
    }
    for (time, text) in axis::ticks(scale.start, scale.end, 9) {
        let (x, y) = (scale.x(time), SHARE_TRACK.1);
        // A text in the middle of its tick would be cut off at either end of the axis.
        let anchor = if x < LEFT + 40.0 {
            "start"
        } else if x > RIGHT - 40.0 {
            "end"
        } else {
            "middle"
        };
        push(
            out,
            format_args!(
                "<path class=\"grid\" d=\"M{x:.1} {}V{}M{x:.1} {}V{}\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>\n",
                P_TRACK.0,
                P_TRACK.1,
                SHARE_TRACK.0,
                y + 4.0,
                y + 17.0,
                escape(&text)
            ),
        );
    }
    let (x, y) = (LEFT - 8.0, SHARE_TRACK.1 + 17.0);
    push(
        out,
        format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">UTC</text>\n"),
    );
}

fn p_track(out: &mut String, columns: &[Column], scale: &Scale, alarm: f64) {
    let x = LEFT - 8.0;
    for (value, y) in [(0.0, P_TRACK.1), (scale.top, P_TRACK.0 + 10.0)] {
        push(
            out,
            format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{value:.0}</text>\n"),
        );
    }
    push(
        out,
        format_args!(
            "<text x=\"14\" y=\"110\" text-anchor=\"middle\" transform=\"rotate(-90 14 110)\">−log10 p</text>\n"
        ),
    );
    if let Some(line) = digits(alarm) {
        let y = scale.y(line);
        push(
            out,
            format_args!("<path class=\"limit\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>\n"),
        );
    }
    // A window that was not tested breaks the line.
    for run in columns.chunk_by(|a, b| a.digits.is_some() == b.digits.is_some()) {
        let mut path = String::new();
        for column in run {
            if let Some(value) = column.digits {
                let verb = if path.is_empty() { 'M' } else { 'L' };
                push(
                    &mut path,
                    format_args!("{verb}{:.1} {:.1}", scale.middle(column), scale.y(value)),
                );
            }
        }
        if !path.is_empty() {
            push(out, format_args!("<path class=\"line\" d=\"{path}\"/>\n"));
        }
    }
    // Beyond this many columns dots would run into each other: only those that say something are drawn.
    let sparse = columns.len() <= 150;
    for column in columns
        .iter()
        .filter(|column| sparse || column.verdict != Verdict::Ok)
    {
        let class = column.verdict.as_str();
        let (x, y) = (scale.middle(column), scale.y(column.digits.unwrap_or(0.0)));
        push(
            out,
            format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>\n"),
        );
    }
}

/// The shares on top of each other, the first label at the bottom.
fn share_track(out: &mut String, columns: &[Column], scale: &Scale, labels: usize) {
    let (upper, lower) = SHARE_TRACK;
    let y = |share: f64| lower - (lower - upper) * share.clamp(0.0, 1.0);
    for run in columns.chunk_by(|a, b| a.shares.is_some() == b.shares.is_some()) {
        let filled: Vec<(&Column, &Vec<f64>)> = run
            .iter()
            .filter_map(|column| column.shares.as_ref().map(|shares| (column, shares)))
            .collect();
        for label in 0..labels {
            let (mut over, mut under) = (String::new(), Vec::new());
            for (column, shares) in &filled {
                let below: f64 = shares[..label].iter().sum();
                let (x, width) = scale.stretch(column.from, column.to);
                let (bottom, edge) = (y(below), y(below + shares[label]));
                let right = x + width;
                push(&mut over, format_args!("L{x:.1} {edge:.1}H{right:.1}"));
                under.push(format!("L{right:.1} {bottom:.1}H{x:.1}"));
            }
            if let Some(start) = over.strip_prefix('L') {
                let back: String = under.iter().rev().map(String::as_str).collect();
                push(
                    out,
                    format_args!(
                        "<path class=\"area\" fill=\"{}\" d=\"M{start}{back}Z\"/>\n",
                        COLOURS[label % COLOURS.len()]
                    ),
                );
            }
        }
    }
    let x = LEFT - 8.0;
    for (text, y) in [("100 %", upper + 10.0), ("0 %", lower)] {
        push(
            out,
            format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{text}</text>\n"),
        );
    }
}

/// What the colours mean, as far as there is room.
fn key(out: &mut String, legend: &Legend) {
    let y = HEIGHT - 8.0;
    let mut x = LEFT;
    let alarm = if legend.alarm < 1e-3 {
        format!("alarm at p < {:e}", legend.alarm)
    } else {
        format!("alarm at p < {}", legend.alarm)
    };
    let lines = [("limit", alarm), ("span", "alarm open".to_owned())];
    for (class, text) in lines {
        let sample = match class {
            "limit" => format!("<path class=\"limit\" d=\"M{x} {}h12\"/>", y - 4.0),
            _ => format!(
                "<rect class=\"span\" x=\"{x}\" y=\"{}\" width=\"12\" height=\"10\"/>",
                y - 9.0
            ),
        };
        push(
            out,
            format_args!(
                "{sample}<text x=\"{}\" y=\"{y}\">{}</text>\n",
                x + 16.0,
                escape(&text)
            ),
        );
        x += 32.0 + 6.5 * text.chars().count() as f64;
    }
    for (index, label) in legend.labels.iter().enumerate() {
        let name: String = label.chars().take(24).collect();
        let width = 32.0 + 6.5 * name.chars().count() as f64;
        if x + width > WIDTH {
            push(out, format_args!("<text x=\"{x}\" y=\"{y}\">…</text>\n"));
            break;
        }
        push(
            out,
            format_args!(
                "<rect class=\"area\" fill=\"{}\" x=\"{x}\" y=\"{}\" width=\"12\" height=\"10\"/><text x=\"{}\" y=\"{y}\">{}</text>\n",
                COLOURS[index % COLOURS.len()],
                y - 9.0,
                x + 16.0,
                escape(&name)
            ),
        );
        x += width;
    }
}

/// An unseen area over a column that tells its figures.
fn hit(out: &mut String, column: &Column, scale: &Scale, legend: &Legend) {
    let (x, width) = scale.stretch(column.from, column.to);
    let mut text = format!(
        "{} to {} UTC\n{} messages\n",
        moment(column.start),
        moment(column.end),
        thousands(column.messages)
    );
    text.push_str(match column.verdict {
        Verdict::Ok => "no drift",
        Verdict::Unknown => "too little to say",
        Verdict::Drift => "drift",
    });
    if let Some(value) = column.digits {
        push(&mut text, format_args!(", −log10 p = {value:.2}"));
    }
    for (label, share) in legend.labels.iter().zip(column.shares.iter().flatten()) {
        push(&mut text, format_args!("\n{label}: {:.1} %", 100.0 * share));
    }
    push(
        out,
        format_args!(
            "<rect class=\"hit\" x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\"><title>{}</title></rect>\n",
            P_TRACK.0,
            SHARE_TRACK.1 - P_TRACK.0,
            escape(&text)
        ),
    );
}

/// Text as it may stand in XML, between tags or in an attribute. Characters that XML 1.0 has no place for are left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => {}
            _ if c.is_control() => {}
            _ => out.push(c),
        }
    }
    out
}
