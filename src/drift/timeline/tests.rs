//! Tests of both pictures on few, many and broken windows.

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000;
const MARCH: i64 = 1_772_323_200_000;

fn labels() -> Vec<String> {
    ["negative", "neutral", "positive"]
        .map(String::from)
        .to_vec()
}

fn legend(labels: &[String]) -> Legend<'_> {
    Legend {
        title: "Drift of the feed",
        labels,
        alarm: 1e-4,
    }
}

fn point(index: i64, p: f64, verdict: Verdict, alarm_opened: bool) -> Point {
    Point {
        start: MARCH + index * HOUR,
        end: MARCH + (index + 1) * HOUR,
        messages: 1000,
        p: Some(p),
        verdict,
        shares: vec![0.5, 0.3, 0.2],
        alarm_opened,
    }
}

/// Quiet windows with one alarm over three of them.
fn quiet(count: i64, alarm_at: i64) -> Vec<Point> {
    (0..count)
        .map(|index| {
            if (alarm_at..alarm_at + 3).contains(&index) {
                point(index, 1e-9, Verdict::Drift, index == alarm_at)
            } else {
                point(index, 0.4, Verdict::Ok, false)
            }
        })
        .collect()
}

/// Checks that tags are balanced, attributes quoted and nothing is left unescaped; gives the texts between tags.
fn texts(xml: &str) -> Vec<String> {
    let (mut open, mut texts, mut rest) = (Vec::new(), Vec::new(), xml);
    while let Some(at) = rest.find('<') {
        texts.push(rest[..at].to_owned());
        let end = rest.find('>').unwrap();
        let tag = &rest[at + 1..end];
        assert!(
            !tag.contains('<') && tag.matches('"').count().is_multiple_of(2),
            "{tag}"
        );
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.to_owned()));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap().to_owned());
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    for text in texts.iter().filter(|text| !text.contains('{')) {
        for entity in text.split('&').skip(1) {
            let name = entity.split(';').next().unwrap();
            assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "{text}");
        }
        assert!(!text.contains('>'), "{text}");
    }
    assert!(!xml.contains("NaN") && !xml.contains("inf"), "{xml}");
    texts
}

/// Characters that are seen: those of colour codes are not.
fn seen(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut out = parts.next().unwrap().to_owned();
    out.extend(parts.map(|part| part.split_once('m').unwrap().1));
    out
}

#[test]
fn no_windows_one_window_and_ten_thousand_are_drawn() {
    let labels = labels();
    for count in [0, 1, 2, 10_000] {
        let points = quiet(count, count / 2);
        let picture = svg::draw(&points, &legend(&labels));
        texts(&picture);
        assert!(picture.len() < 300_000, "{}", picture.len());
        // The sample in the key, and behind the tracks the one alarm, if there are windows.
        let spans = picture.matches("class=\"span\"").count();
        assert_eq!(spans, if count == 0 { 1 } else { 2 });
        let lines = terminal::draw(&points, &legend(&labels), 100, false);
        assert_eq!(lines.len(), if count == 0 { 2 } else { 7 });
        assert!(
            lines.iter().all(|line| line.chars().count() <= 100),
            "{lines:#?}"
        );
    }
}

#[test]
fn one_alarm_among_ten_thousand_windows_is_still_seen() {
    let labels = labels();
    let points = quiet(10_000, 7_000);
    let columns = columns(&points, 3, 400);
    assert!(columns.len() <= 400);
    assert_eq!(
        columns.iter().filter(|column| column.alarm_opened).count(),
        1
    );
    assert_eq!(
        columns.iter().map(|column| column.messages).sum::<u64>(),
        10_000_000
    );
    assert!(columns.iter().any(|column| column.digits == Some(9.0)));
    let picture = svg::draw(&points, &legend(&labels));
    // The triangle, the span behind it, and the span's sample in the key.
    assert_eq!(picture.matches("<path class=\"drift\"").count(), 1);
    assert_eq!(picture.matches("<rect class=\"span\"").count(), 2);
    let lines = terminal::draw(&points, &legend(&labels), 80, false);
    assert_eq!(lines[3].matches('▲').count(), 1, "{lines:#?}");
}

#[test]
fn an_alarm_stays_open_over_windows_with_too_little_to_say_until_one_without_drift() {
    let marks = [
        Verdict::Ok,
        Verdict::Drift,
        Verdict::Drift,
        Verdict::Unknown,
        Verdict::Ok,
        Verdict::Drift,
    ];
    let points: Vec<Point> = (0..)
        .zip(marks)
        .map(|(i, mark)| point(i, 0.01, mark, i == 2))
        .collect();
    let open: Vec<bool> = columns(&points, 3, 50)
        .iter()
        .map(|column| column.alarm_open)
        .collect();
    assert_eq!(open, [false, false, true, true, false, false]);
    let labels = labels();
    let line = terminal::draw(&points, &legend(&labels), 40, false).swap_remove(3);
    assert_eq!(line, "alarms         !!▲───  !! ");
}

#[test]
fn names_and_titles_are_escaped_and_cannot_command_a_terminal() {
    let labels = vec![
        "<b>\"a\" & 'b'\u{1}".to_owned(),
        "\u{1b}[31mred\n".to_owned(),
        "c".to_owned(),
    ];
    let legend = Legend {
        title: "</title><script>alert(1)</script>\u{0}",
        labels: &labels,
        alarm: 0.01,
    };
    let picture = svg::draw(&quiet(5, 2), &legend);
    let texts = texts(&picture);
    assert!(
        texts
            .iter()
            .any(|text| text == "&lt;b&gt;&quot;a&quot; &amp; &#39;b&#39;")
    );
    assert!(!picture.contains("<script") && !picture.contains(['\u{0}', '\u{1}', '\u{1b}']));
    let lines = terminal::draw(&quiet(5, 2), &legend, 80, false);
    assert!(
        lines
            .iter()
            .flat_map(|line| line.chars())
            .all(|c| !c.is_control()),
        "{lines:?}"
    );
}

#[test]
fn numbers_that_are_none_leave_gaps_and_break_nothing() {
    let labels = labels();
    let broken = |p, shares: Vec<f64>| Point {
        p,
        shares,
        ..point(3, 0.5, Verdict::Unknown, false)
    };
    let points = [
        point(0, f64::NAN, Verdict::Ok, false),
        point(1, 0.0, Verdict::Drift, true),
        point(2, -1.0, Verdict::Ok, false),
        broken(None, vec![f64::NAN, 1.0, f64::INFINITY]),
        broken(Some(2.0), vec![0.0; 3]),
        broken(Some(1.0), vec![]),
        broken(Some(0.1), vec![0.2; 9]),
        Point {
            start: i64::MIN,
            end: i64::MAX,
            messages: u64::MAX,
            ..point(0, 0.5, Verdict::Ok, false)
        },
        Point {
            start: 5,
            end: -5,
            ..point(0, 0.5, Verdict::Ok, false)
        },
    ];
    for alarm in [1e-4, 0.0, f64::NAN] {
        let legend = Legend {
            alarm,
            title: "",
            labels: &labels,
        };
        let picture = svg::draw(&points, &legend).replace("p &lt; NaN", "");
        texts(&picture);
        assert_eq!(terminal::draw(&points, &legend, 0, true).len(), 7);
    }
    let gaps: Vec<bool> = points
        .iter()
        .map(|point| column(point, 3, false).digits.is_none())
        .collect();
    assert_eq!(
        gaps,
        [true, false, true, true, true, false, false, false, false]
    );
}

#[test]
fn the_terminal_shows_height_marks_and_change_of_shares() {
    let labels = labels();
    let mut points = quiet(4, 2);
    points[3].shares = vec![0.0, 0.0, 1.0];
    let lines = terminal::draw(&points, &legend(&labels), 40, false);
    assert_eq!(lines[1], "2026-03-01 00:00 to 2026-03-01 04:00 UT…");
    assert_eq!(lines[2], "−log10 p     ▁▁▁▁▁▁▇▇▇▇▇▇ alarm at 4.0");
    assert_eq!(lines[3], "alarms             ▲───── ");
    assert_eq!(lines[4], "negative     █████████▁▁▁ 0–50 %");
    assert_eq!(lines[6], "positive     ▁▁▁▁▁▁▁▁▁███ 20–100 %");
}

/// Windows of three hours, one begun every hour.
#[test]
fn windows_that_overlap_each_have_their_own_stretch_of_the_axis() {
    let points: Vec<Point> = (0..10)
        .map(|index| Point {
            end: MARCH + (index + 3) * HOUR,
            ..point(index, 0.5, Verdict::Ok, index == 4)
        })
        .collect();
    let columns = columns(&points, 3, 100);
    assert!(
        columns
            .windows(2)
            .all(|pair| pair[0].to == pair[1].from && pair[1].from < pair[1].to)
    );
    assert_eq!(
        (columns[4].start, columns[4].from),
        (MARCH + 4 * HOUR, MARCH + 6 * HOUR)
    );
}

#[test]
fn without_colour_no_line_has_a_colour_code_and_with_it_the_same_is_seen() {
    let labels = labels();
    let plain = terminal::draw(&quiet(30, 9), &legend(&labels), 90, false);
    let coloured = terminal::draw(&quiet(30, 9), &legend(&labels), 90, true);
    assert!(plain.iter().all(|line| !line.contains('\u{1b}')));
    assert!(coloured[2].contains("\u{1b}[31m▇"));
    assert_eq!(
        coloured.iter().map(|line| seen(line)).collect::<Vec<_>>(),
        plain
    );
}

#[test]
fn thousands_are_set_apart() {
    assert_eq!(
        [0, 999, 1000, 1_234_567].map(thousands),
        ["0", "999", "1 000", "1 234 567"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_windows_both_pictures_are_sound_and_keep_their_size(
        raw in prop::collection::vec((0_i64..400, 0_i64..5, prop::option::of(-0.1_f64..1.1), 0_usize..3, any::<bool>()), 0..120),
        width in 0_usize..140,
    ) {
        let points: Vec<Point> = raw
            .iter()
            .map(|&(start, hours, p, mark, alarm)| Point {
                end: MARCH + (start + hours) * HOUR,
                p,
                ..point(start, 0.0, [Verdict::Ok, Verdict::Unknown, Verdict::Drift][mark], alarm)
            })
            .collect();
        let labels = labels();
        texts(&svg::draw(&points, &legend(&labels)));
        let lines = terminal::draw(&points, &legend(&labels), width, true);
        prop_assert!(lines.iter().all(|line| seen(line).chars().count() <= width.max(40)));
        let alarms = points.iter().any(|point| point.alarm_opened);
        prop_assert_eq!(lines.iter().any(|line| line.contains('▲')), alarms);
    }
}
