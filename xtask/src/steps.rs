//! A list of steps run in order: one line of progress each, the first failure stops, a summary table at the end.
//! All of it goes to standard error.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// One named piece of work.
pub(crate) struct Step {
    name: &'static str,
    work: Box<dyn FnOnce() -> Result<Outcome>>,
}

impl Step {
    pub(crate) fn new(name: &'static str, work: impl FnOnce() -> Result<Outcome> + 'static) -> Self {
        Self { name, work: Box::new(work) }
    }
}

/// What a step that did not fail has to say.
pub(crate) enum Outcome {
    /// Nothing beyond "ok".
    Done,
    /// Ok, with a remark for the summary.
    Note(String),
}

/// Runs the steps of `command` in order and prints the summary, also after a failure.
///
/// # Errors
/// The first step's error; later steps are not run.
pub(crate) fn run(command: &str, steps: Vec<Step>) -> Result<()> {
    let started = Instant::now();
    let mut rows: Vec<Row> = steps.iter().map(|step| Row::waiting(step.name)).collect();
    let total = rows.len();
    let mut result = Ok(());
    for ((step, row), number) in steps.into_iter().zip(&mut rows).zip(1..) {
        result = run_one(step, row, &format!("[{number}/{total}]"));
        if result.is_err() {
            break;
        }
    }
    eprint!("\n{}", summary(command, &rows, started.elapsed()));
    result
}

fn run_one(step: Step, row: &mut Row, place: &str) -> Result<()> {
    let name = step.name;
    eprintln!("{place} {name} ...");
    let started = Instant::now();
    let result = (step.work)();
    row.elapsed = Some(started.elapsed());
    row.result = if result.is_ok() { "ok" } else { "FAILED" };
    if let Ok(Outcome::Note(note)) = &result {
        row.note.clone_from(note);
    }
    eprintln!("{place} {name}: {} ({})", row.result, row.time());
    result.map(|_outcome| ()).with_context(|| format!("step `{name}`"))
}

struct Row {
    name: &'static str,
    result: &'static str,
    elapsed: Option<Duration>,
    note: String,
}

impl Row {
    fn waiting(name: &'static str) -> Self {
        Self { name, result: "not run", elapsed: None, note: String::new() }
    }

    fn time(&self) -> String {
        self.elapsed.map_or_else(String::new, seconds)
    }
}

/// Seconds with one decimal, rounded down.
fn seconds(elapsed: Duration) -> String {
    format!("{}.{} s", elapsed.as_secs(), elapsed.subsec_millis() / 100)
}

fn summary(command: &str, rows: &[Row], elapsed: Duration) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max("total".len());
    let mut text = format!("cargo xtask {command}\n");
    for row in rows {
        let line = format!("  {:width$}  {:7}  {:>9}  {}", row.name, row.result, row.time(), row.note);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&format!("  {:width$}  {:7}  {:>9}\n", "total", "", seconds(elapsed)));
    text
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use anyhow::bail;

    use super::{Outcome, Row, Step, run, seconds, summary};

    #[test]
    fn the_first_failure_stops_the_run_and_names_its_step() {
        let later = Rc::new(Cell::new(false));
        let seen = Rc::clone(&later);
        let steps = vec![
            Step::new("first", || Ok(Outcome::Done)),
            Step::new("second", || bail!("broken")),
            Step::new("third", move || {
                seen.set(true);
                Ok(Outcome::Done)
            }),
        ];
        let error = run("test", steps).unwrap_err();
        assert_eq!(format!("{error:#}"), "step `second`: broken");
        assert!(!later.get());
    }

    #[test]
    fn the_summary_shows_every_step_with_its_result_time_and_remark() {
        let done = Row { name: "tidy", result: "ok", elapsed: Some(Duration::from_millis(1_290)), note: "fine".into() };
        let text = summary("ci", &[done, Row::waiting("clippy")], Duration::from_secs(61));
        let expected = "cargo xtask ci\n  tidy    ok           1.2 s  fine\n  clippy  not run\n  \
                        total               61.0 s\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn seconds_are_rounded_down_to_one_decimal() {
        assert_eq!(seconds(Duration::from_millis(999)), "0.9 s");
        assert_eq!(seconds(Duration::from_secs(120)), "120.0 s");
    }
}
