//! What was measured, as a table and as JSON.

use std::fmt;

use serde::Serialize;

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// At least this.
    AtLeast(f64),
    /// Less than this.
    Below(f64),
    /// Whatever it is: it explains another figure.
    None,
}

/// One figure, measured several times.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The unit; `of raw` is a share of the raw replay's rate.
    pub unit: &'static str,
    /// What it should be.
    pub aim: Aim,
    /// Each run's value, in their order.
    pub runs: Vec<f64>,
}

/// All of them, in the order in which they were first noted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    figures: Vec<Figure>,
}

impl Figure {
    /// The middle one of the runs.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut runs = self.runs.clone();
        runs.sort_by(f64::total_cmp);
        runs.get(runs.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Whether the median is what it should be.
    #[must_use]
    pub fn is_met(&self) -> bool {
        match self.aim {
            Aim::AtLeast(least) => self.median() >= least,
            Aim::Below(limit) => self.median() < limit,
            Aim::None => true,
        }
    }
}

impl Figures {
    /// Adds a run's value.
    pub fn note(&mut self, name: &str, unit: &'static str, aim: Aim, value: f64) {
        match self.figures.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.runs.push(value),
            None => self.figures.push(Figure { name: name.to_owned(), unit, aim, runs: vec![value] }),
        }
    }

    /// Whether every aim is met.
    #[must_use]
    pub fn all_met(&self) -> bool {
        self.figures.iter().all(Figure::is_met)
    }

    /// The figures with their medians, for programs.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let figure = |figure: &Figure| {
            let mut value = serde_json::to_value(figure)?;
            value["median"] = figure.median().into();
            value["met"] = figure.is_met().into();
            Ok(value)
        };
        let figures = self.figures.iter().map(figure).collect::<serde_json::Result<Vec<_>>>()?;
        serde_json::to_string_pretty(&figures)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<42} {:>10} {:<9} {:>10}  {:<6}  runs", "median of the runs", "", "unit", "aim", "")?;
        for figure in &self.figures {
            let aim = match figure.aim {
                Aim::AtLeast(least) => format!(">= {}", short(least)),
                Aim::Below(limit) => format!("< {}", short(limit)),
                Aim::None => String::new(),
            };
            let verdict = match figure.aim {
                Aim::None => "",
                _ if figure.is_met() => "met",
                _ => "missed",
            };
            let runs: Vec<String> = figure.runs.iter().map(|run| short(*run)).collect();
            let (name, median, unit) = (&figure.name, short(figure.median()), figure.unit);
            writeln!(f, "{name:<42} {median:>10} {unit:<9} {aim:>10}  {verdict:<6}  {}", runs.join(" "))?;
        }
        Ok(())
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides_whether_an_aim_is_met() {
        let mut figures = Figures::default();
        for value in [0.9, 0.5, 0.85] {
            figures.note("drain", "of raw", Aim::AtLeast(0.8), value);
        }
        figures.note("start", "s", Aim::Below(1.0), 1.0);
        let [drain, start] = &figures.figures[..] else { panic!("{figures:?}") };
        assert!(drain.is_met() && !start.is_met() && !figures.all_met());
        let page = figures.to_string();
        assert!(page.lines().any(|line| line.contains("0.85 of raw") && line.contains("met")), "{page}");
        assert!(page.lines().any(|line| line.contains("1.00 s") && line.contains("missed")), "{page}");
    }
}
