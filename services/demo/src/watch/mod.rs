//! The live view of the demonstration: what each layer does, and which dishes lead.
//!
//! Where the numbers come from is the caller's affair: it supplies a [`Snapshot`] whenever the view asks.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::Duration;

mod metrics;

pub use metrics::{Histogram, total};

const REDRAW_EVERY: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(2);
/// Longer names are cut, so that a line fits into a terminal of 80 columns.
const LONGEST_NAME: usize = 40;

/// The state of the pipeline at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Time since the beginning.
    pub elapsed: Duration,
    /// What is going on at present, in a few words.
    pub phase: String,
    /// The layers in the order in which records pass them.
    pub layers: Vec<Layer>,
    /// The dishes ordered most, with their orders, most first.
    pub top_dishes: Vec<(String, i64)>,
    /// What to show below, such as addresses to open.
    pub notes: Vec<String>,
}

/// The state of one layer.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// Its short name.
    pub name: String,
    /// What it says of itself in a word: `ready`, `starting`, `paused`.
    pub state: String,
    /// Records that it finishes each second.
    pub records_per_second: f64,
    /// Records that wait for it, if that is known.
    pub lag: Option<u64>,
    /// Seconds from the source record's entry into Kafka until this layer was done with it; half are quicker.
    pub latency_p50: Option<f64>,
    /// The same; one in a hundred is slower.
    pub latency_p99: Option<f64>,
}

/// The view as a page of several lines, each ended by a newline.
#[must_use]
pub fn render(snapshot: &Snapshot) -> String {
    let mut page = String::new();
    // Writing into a string cannot fail.
    let _ = writeln!(page, "{:>6.1} s  {}", snapshot.elapsed.as_secs_f64(), clean(&snapshot.phase));
    let _ = writeln!(page);
    let _ = writeln!(
        page,
        "{:<6} {:<10} {:>10} {:>10} {:>12} {:>12}",
        "layer", "state", "records/s", "lag", "latency p50", "p99"
    );
    for layer in &snapshot.layers {
        let _ = writeln!(
            page,
            "{:<6} {:<10} {:>10.0} {:>10} {:>12} {:>12}",
            clean(&layer.name),
            clean(&layer.state),
            layer.records_per_second,
            number(layer.lag),
            seconds(layer.latency_p50),
            seconds(layer.latency_p99),
        );
    }
    if !snapshot.top_dishes.is_empty() {
        let _ = writeln!(page, "\n  orders  top dishes");
    }
    for (name, orders) in &snapshot.top_dishes {
        let _ = writeln!(page, "{orders:>8}  {}", clean(name));
    }
    if !snapshot.notes.is_empty() {
        page.push('\n');
    }
    for note in &snapshot.notes {
        let _ = writeln!(page, "{}", without_controls(note));
    }
    page
}

/// The view as a single line without its newline, for logs and pipes.
#[must_use]
pub fn render_line(snapshot: &Snapshot) -> String {
    let mut line = format!("{:.1} s {}", snapshot.elapsed.as_secs_f64(), clean(&snapshot.phase));
    for layer in &snapshot.layers {
        let _ = write!(
            line,
            " | {} {} {:.0}/s lag {} p99 {}",
            clean(&layer.name),
            clean(&layer.state),
            layer.records_per_second,
            number(layer.lag),
            seconds(layer.latency_p99)
        );
    }
    line
}

/// A place on the terminal that is drawn over and over.
#[derive(Debug, Default)]
pub struct Screen {
    lines: usize,
}

impl Screen {
    /// What to print so that `page` takes the place of the page before. Long lines are cut by the terminal: a line
    /// that wrapped would put the next page a line too low.
    pub fn redraw(&mut self, page: &str) -> String {
        let back = if self.lines > 0 { format!("\x1b[{}F", self.lines) } else { String::new() };
        self.lines = page.lines().count();
        format!("{back}\x1b[J\x1b[?7l{page}\x1b[?7h")
    }
}

/// Shows what `supply` gives until the future is dropped: drawn in place on a terminal, a line at a time elsewhere.
/// Returns only when nothing can be printed any more.
///
/// # Errors
///
/// When the standard output is closed.
pub async fn watch(mut supply: impl AsyncFnMut() -> Snapshot) -> std::io::Result<()> {
    let in_place = std::io::stdout().is_terminal();
    let mut screen = Screen::default();
    let mut ticks = tokio::time::interval(if in_place { REDRAW_EVERY } else { LINE_EVERY });
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let snapshot = supply().await;
        let text = if in_place { screen.redraw(&render(&snapshot)) } else { format!("{}\n", render_line(&snapshot)) };
        let mut output = std::io::stdout().lock();
        output.write_all(text.as_bytes())?;
        output.flush()?;
    }
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn seconds(value: Option<f64>) -> String {
    match value {
        Some(value) if value < 1.0 => format!("{:.0} ms", value * 1_000.0),
        Some(value) => format!("{value:.1} s"),
        None => "-".to_owned(),
    }
}

fn clean(text: &str) -> String {
    let mut text = without_controls(text);
    if let Some((end, _)) = text.char_indices().nth(LONGEST_NAME) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Names come from outside: a tab or an escape sequence in one must not upset the terminal.
fn without_controls(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let layer = |name: &str, lag, latency| Layer {
            name: name.to_owned(),
            state: "ready".to_owned(),
            records_per_second: 1234.4,
            lag,
            latency_p50: latency,
            latency_p99: latency.map(|seconds| seconds * 100.0),
        };
        Snapshot {
            elapsed: Duration::from_millis(12_340),
            phase: "backlog".to_owned(),
            layers: vec![layer("STG", Some(5_000), Some(0.0123)), layer("CDM", None, None)],
            top_dishes: vec![("Плов\t🍚".to_owned(), 42)],
            notes: vec!["http://127.0.0.1:5000/docs".to_owned()],
        }
    }

    #[test]
    fn a_page_shows_layers_dishes_and_notes() {
        let expected = "  12.3 s  backlog

layer  state       records/s        lag  latency p50          p99
STG    ready            1234       5000        12 ms        1.2 s
CDM    ready            1234          -            -            -

  orders  top dishes
      42  Плов 🍚

http://127.0.0.1:5000/docs
";
        assert_eq!(render(&snapshot()), expected);
    }

    #[test]
    fn a_line_says_the_same_in_short() {
        let expected = "12.3 s backlog | STG ready 1234/s lag 5000 p99 1.2 s | CDM ready 1234/s lag - p99 -";
        assert_eq!(render_line(&snapshot()), expected);
    }

    #[test]
    fn a_page_is_drawn_over_the_one_before() {
        let mut screen = Screen::default();
        assert_eq!(screen.redraw("one\ntwo\n"), "\x1b[J\x1b[?7lone\ntwo\n\x1b[?7h");
        assert_eq!(screen.redraw("three\n"), "\x1b[2F\x1b[J\x1b[?7lthree\n\x1b[?7h");
    }

    #[test]
    fn names_cannot_upset_the_terminal() {
        let mut snapshot = snapshot();
        snapshot.top_dishes = vec![("\x1b[2J".to_owned() + &"ы".repeat(100), 1)];
        let page = render(&snapshot);
        assert!(!page.contains('\x1b') && page.contains('…'));
    }
}
