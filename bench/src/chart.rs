//! The chart of a run as SVG: bars for the rate and for the CPU time of each server. It has no scripts and no fonts of its
//! own, so that it can be shown anywhere.

use crate::plan::USUAL;
use crate::results::{Entry, Results};
use crate::sample::Metric;
use std::fmt::Write;

/// Servers that do the same work, and what that is.
const GROUPS: [(&str, &[&str]); 3] = [
    (
        "Counts every visit, durably",
        &[
            "visits",
            "native-visits",
            "native-fsync",
            "wasmtime-visits",
            "python-fsync",
            "redis",
        ],
    ),
    (
        "Counts, but not durably",
        &["naive", "wasmtime-naive", "python"],
    ),
    (
        "Only says hello",
        &["hello", "wasmtime-hello", "native-hello"],
    ),
];

/// The servers whose bars stand out.
const OURS: [&str; 2] = ["visits", "hello"];

/// The colours of one variant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    text: &'static str,
    quiet: &'static str,
    ours: &'static str,
    peers: &'static str,
}

/// For light pages.
pub(crate) const LIGHT: Theme = Theme {
    text: "#1f2328",
    quiet: "#59636e",
    ours: "#0969da",
    peers: "#afb8c1",
};

/// For dark pages.
pub(crate) const DARK: Theme = Theme {
    text: "#f0f6fc",
    quiet: "#9198a1",
    ours: "#4493f8",
    peers: "#3d444d",
};

const WIDTH: f64 = 840.0;
/// The height of a server's line.
const LINE: f64 = 22.0;
/// The height of a bar.
const BAR: f64 = 14.0;
/// Where a line's text stands, below the line's top.
const BASELINE: f64 = 15.0;

/// A figure that has bars.
struct Column {
    metric: Metric,
    title: &'static str,
    left: f64,
    /// The length of the longest bar. Its value stands to the right of it.
    longest: f64,
}

const COLUMNS: [Column; 2] = [
    Column {
        metric: Metric::Rate,
        title: "requests per second",
        left: 250.0,
        longest: 220.0,
    },
    Column {
        metric: Metric::Cpu,
        title: "microseconds of CPU per request",
        left: 560.0,
        longest: 210.0,
    },
];

/// A chart that is drawn from its top to its bottom.
struct Drawing<'a> {
    theme: &'a Theme,
    shapes: String,
    top: f64,
}

/// Returns the chart of a run, or nothing if it has no rows with the usual number of connections.
pub(crate) fn draw(results: &Results, theme: &Theme) -> Option<String> {
    let find = |id: &&str| {
        let mut rows = results.rows.iter();
        rows.find(|row| row.server == **id && row.connections == USUAL)
    };
    let groups: Vec<(&str, Vec<&Entry>)> = GROUPS
        .iter()
        .map(|(title, ids)| (*title, ids.iter().filter_map(find).collect()))
        .filter(|(_, rows): &(_, Vec<_>)| !rows.is_empty())
        .collect();
    let shown = groups.iter().flat_map(|(_, rows)| rows);
    let largest = COLUMNS.map(|column| {
        let values = shown.clone().filter_map(|row| row.figure(column.metric));
        values.fold(0.0, f64::max)
    });
    if largest[0] <= 0.0 {
        return None;
    }
    let mut drawing = Drawing {
        theme,
        shapes: String::new(),
        top: 0.0,
    };
    drawing.header();
    for (title, rows) in &groups {
        drawing.heading(title);
        for row in rows {
            drawing.row(row, &largest);
        }
    }
    drawing.footer(results);
    Some(drawing.finish())
}

impl Drawing<'_> {
    fn header(&mut self) {
        for column in &COLUMNS {
            self.text(column.left, column.title, self.theme.quiet, "");
        }
        self.top += LINE;
    }

    fn heading(&mut self, title: &str) {
        self.text(0.0, title, self.theme.text, " font-weight=\"600\"");
        self.top += LINE;
    }

    fn row(&mut self, row: &Entry, largest: &[f64; 2]) {
        let ours = OURS.contains(&row.server.as_str());
        let (fill, weight) = match ours {
            true => (self.theme.ours, " font-weight=\"600\""),
            false => (self.theme.peers, ""),
        };
        self.text(12.0, &row.title, self.theme.text, weight);
        for (column, largest) in COLUMNS.iter().zip(largest) {
            let Some(value) = row.figure(column.metric) else {
                continue;
            };
            let length = (column.longest * value / largest).max(1.0);
            let _ = write!(
                self.shapes,
                "<rect x=\"{}\" y=\"{}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{fill}\"/>",
                column.left,
                self.top + (LINE - BAR) / 2.0
            );
            let mut label = number(value);
            if let Some(lost) = row
                .lost
                .filter(|lost| *lost > 0 && column.metric == Metric::Rate)
            {
                let share = lost as f64 / row.answered as f64 * 100.0;
                label += &format!(", loses {share:.0} %");
            }
            self.text(column.left + length + 6.0, &label, self.theme.text, weight);
        }
        self.top += LINE;
    }

    fn footer(&mut self, results: &Results) {
        let machine = &results.machine;
        let text = format!(
            "{USUAL} connections, median of {} rounds of {} s in turn; {}, {} cores, {}; {}",
            results.rounds,
            results.seconds,
            machine.cpu,
            machine.cores,
            machine.file_system,
            results.date
        );
        self.top += LINE / 2.0;
        self.text(0.0, &text, self.theme.quiet, "");
        self.top += LINE;
    }

    fn text(&mut self, left: f64, text: &str, fill: &str, attributes: &str) {
        let _ = write!(
            self.shapes,
            "<text x=\"{left:.1}\" y=\"{}\" fill=\"{fill}\"{attributes}>{}</text>",
            self.top + BASELINE,
            escape(text)
        );
    }

    fn finish(self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {WIDTH} {top}\" \
             width=\"{WIDTH}\" height=\"{top}\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\
             <title>Requests per second and CPU time of the counter and its peers</title>{}</svg>\n",
            self.shapes.replace("><", ">\n<"),
            top = self.top
        )
    }
}

/// Returns a number with separators of thousands, or with one digit after the point if it is small.
pub(crate) fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Row, Rows};
    use crate::running::Account;
    use crate::sample::Sample;

    fn row(id: &str, rate: f64, account: Account) -> Row {
        Row {
            id: id.into(),
            title: format!("<{id}>"),
            connections: USUAL,
            samples: vec![Sample {
                rate,
                cpu_us: Some(70.0),
                ..Sample::default()
            }],
            account,
        }
    }

    fn results(rows: Vec<Row>) -> Results {
        Results::new((1, 1), &Rows(rows), vec![], vec![], vec![]).expect("results")
    }

    #[test]
    fn bars_are_proportional_and_lost_visits_are_named() {
        let lossy = Account {
            answered: 100,
            counted: Some(10),
            errors: 0,
        };
        let rows = vec![
            row("visits", 14_000.0, Account::default()),
            row("naive", 7_000.0, lossy),
            row("hello", 28_000.0, Account::default()),
        ];
        let chart = draw(&results(rows), &LIGHT).expect("a chart");
        for shape in ["width=\"220.0\"", "width=\"110.0\"", "width=\"55.0\""] {
            assert_eq!(chart.matches(shape).count(), 1, "{shape} in {chart}");
        }
        assert!(chart.contains(">7,000, loses 90 %<"), "{chart}");
        assert!(
            chart.contains("&lt;visits>") && !chart.contains("<visits>"),
            "{chart}"
        );
        assert_eq!(chart.matches(LIGHT.ours).count(), 4);
    }

    #[test]
    fn a_run_without_usual_rows_has_no_chart() {
        assert_eq!(draw(&results(vec![]), &DARK), None);
        let other = Row {
            connections: 1,
            ..row("visits", 1.0, Account::default())
        };
        assert_eq!(draw(&results(vec![other]), &DARK), None);
    }

    #[test]
    fn numbers_have_separators() {
        assert_eq!(number(1_234_567.4), "1,234,567");
        assert_eq!(number(999.6), "1,000");
        assert_eq!(number(12.34), "12.3");
    }
}
