//! The table: for each case and measure the median of the rounds of each contender, and how Pillion compares with two of them; of CPU, how all do.

use std::{collections::BTreeMap, io};

/// What is measured of one case.
#[derive(Debug, Default)]
struct Row {
    case: String,
    measure: &'static str,
    /// By contender and round.
    values: BTreeMap<(&'static str, u32), f64>,
}

/// All that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    /// The contender that the others are measured against.
    base: &'static str,
    rows: Vec<Row>,
}

impl Report {
    /// Of nothing yet.
    pub(crate) fn new(base: &'static str) -> Self {
        Self { base, rows: Vec::new() }
    }

    /// Notes a value; none still keeps the measure's place in the table.
    pub(crate) fn note(&mut self, case: &str, measure: &'static str, (contender, round): (&'static str, u32), value: impl Into<Option<f64>>) {
        let found = self.rows.iter().position(|row| row.case == case && row.measure == measure);
        let at = found.unwrap_or_else(|| {
            self.rows.push(Row { case: case.to_owned(), measure, values: BTreeMap::new() });
            self.rows.len() - 1
        });
        if let Some(value) = value.into() {
            self.rows[at].values.insert((contender, round), value);
        }
    }

    /// Notes a value, and how much it is over that of the base in the same round.
    pub(crate) fn note_added(&mut self, case: &str, (measure, added): (&'static str, &'static str), at: (&'static str, u32), value: f64) {
        self.note(case, measure, at, value);
        let based = self.rows.iter().find(|row| row.case == case && row.measure == measure).and_then(|row| row.of(self.base, at.1));
        self.note(case, added, at, based.filter(|_| at.0 != self.base).map(|based| value - based));
    }

    /// Writes it as a table for each case. The ratios to each of `bases` are medians over the rounds, with their range for the `subject`.
    pub(crate) fn write(&self, out: &mut impl io::Write, contenders: &[&'static str], bases: [&'static str; 2], subject: &str) -> io::Result<()> {
        let bases: Vec<_> = bases.into_iter().filter(|base| contenders.contains(base)).collect();
        let mut case = "";
        for row in &self.rows {
            if row.case != case {
                case = &row.case;
                write!(out, "\n{case}\n{:<24}", "")?;
                contenders.iter().try_for_each(|name| write!(out, "{name:>13}"))?;
                if contenders.contains(&subject) {
                    bases.iter().try_for_each(|base| write!(out, "{:>24}", format!("{subject} / {base}")))?;
                }
                writeln!(out)?;
            }
            write!(out, "  {:<22}", row.measure)?;
            for contender in contenders {
                match median(row.values_of(contender)) {
                    Some(value) => write!(out, "{value:>13.*}", digits(value))?,
                    None => write!(out, "{:>13}", "-")?,
                }
            }
            bases.iter().try_for_each(|base| write!(out, "{:>24}", range(&row.ratios(base, subject))))?;
            writeln!(out)?;
            if row.measure.starts_with("CPU") {
                row.write_ratios(out, contenders, &bases)?;
            }
        }
        Ok(())
    }
}

impl Row {
    fn of(&self, contender: &str, round: u32) -> Option<f64> {
        self.values.iter().find(|((name, of), _)| *name == contender && *of == round).map(|(_, value)| *value)
    }

    fn values_of(&self, contender: &str) -> Vec<f64> {
        self.values.iter().filter(|((name, _), _)| *name == contender).map(|(_, value)| *value).collect()
    }

    /// The ratio of each round, whose runs were neighbours in time.
    fn ratios(&self, base: &str, subject: &str) -> Vec<f64> {
        let rounds = self.values.keys().filter(|(name, _)| *name == subject).map(|(_, round)| *round);
        rounds.filter_map(|round| Some(self.of(subject, round)? / self.of(base, round).filter(|base| *base > 0.0)?)).collect()
    }

    /// How each contender compares with each base.
    fn write_ratios(&self, out: &mut impl io::Write, contenders: &[&'static str], bases: &[&'static str]) -> io::Result<()> {
        for base in bases {
            write!(out, "  {:<22}", format!("  times {base}"))?;
            for contender in contenders {
                match median(self.ratios(base, contender)) {
                    Some(ratio) => write!(out, "{ratio:>13.2}")?,
                    None => write!(out, "{:>13}", "-")?,
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

fn range(ratios: &[f64]) -> String {
    let (least, most) = ratios.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), ratio| (least.min(*ratio), most.max(*ratio)));
    median(ratios.to_vec()).map(|middle| format!("{middle:.2} ({least:.2} to {most:.2})")).unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied()?;
    let lower = values.get((values.len() - 1) / 2).copied()?;
    Some(f64::midpoint(lower, upper))
}

fn digits(value: f64) -> usize {
    match value.abs() {
        large if large >= 1000.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    }
}
