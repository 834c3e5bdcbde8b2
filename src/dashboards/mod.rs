//! The five dashboards, as tables: each panel says what it shows, what to do when that looks bad, and which queries draw it. `dashboards/*.json` is
//! what [`Dashboard::json`] makes of them, for Grafana's classic schema; a test holds the two equal. What is not here: Grafana itself.

mod agents;
mod itself;
mod json;
mod overview;
mod query;
mod tools;
mod upstreams;

use query::Expr;

/// Recording rules and alerts, as Prometheus reads them.
pub const RULES: &str = include_str!("../../dashboards/alerts/pillion.rules.yaml");

/// How wide Grafana's grid is.
pub const GRID: u32 = 24;

/// Who links to whom by it.
const TAG: &str = "pillion";
/// The dashboard of one agent, to which others link.
const AGENTS: &str = "pillion-agents";

/// One dashboard.
#[derive(Debug, Clone)]
pub struct Dashboard {
    /// The file it is written to, without `.json`.
    pub file: &'static str,
    /// Its name in URLs, which never changes.
    pub uid: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

/// Panels under a heading.
#[derive(Debug, Clone)]
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// The variable for each of whose values the row is there once.
    pub repeat: Option<&'static str>,
    /// In reading order; they break into lines by themselves.
    pub panels: Vec<Panel>,
}

/// One panel.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Unlike that of any other panel of its dashboard.
    pub title: &'static str,
    /// What is to be seen.
    pub shows: &'static str,
    /// What to do when that looks bad.
    pub advice: &'static str,
    /// How it is drawn.
    pub kind: Kind,
    /// Of the value, or of all values.
    pub unit: Unit,
    /// In columns of [`GRID`].
    pub width: u32,
    /// In Grafana's rows of 30 pixels.
    pub height: u32,
    /// What is asked; empty for a text.
    pub queries: Vec<Query>,
    /// From which values on it is drawn as worrying, and as bad.
    pub limits: Option<(f64, f64)>,
    /// The label with the name of the agent on whose dashboard a series continues.
    pub agent: Option<&'static str>,
    /// Of a table.
    columns: Vec<Column>,
    is_stacked: bool,
}

/// How a panel is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lines over time.
    Graph,
    /// One number, with its line behind it.
    Number,
    /// Rows, of the time range as a whole.
    Table,
    /// Words.
    Text,
}

/// What a value is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count, shortened.
    Count,
    /// 0 to 1, shown in per cent.
    Share,
    /// Seconds.
    Seconds,
    /// US dollars.
    Dollars,
    /// Bytes, in powers of 1024.
    Bytes,
    /// Requests a second.
    Requests,
    /// Events a second.
    Events,
}

/// One query.
#[derive(Debug, Clone)]
pub struct Query {
    /// An expression of Prometheus, with Grafana's variables.
    pub expr: String,
    /// How its series are called, `{{label}}` being replaced.
    pub legend: &'static str,
}

/// One column of a table.
#[derive(Debug, Clone, Copy)]
struct Column {
    from: Cell,
    title: &'static str,
}

/// What stands in a column.
#[derive(Debug, Clone, Copy)]
enum Cell {
    /// A label's value.
    Label(&'static str),
    /// An agent's name, which leads to its dashboard: the label that holds it.
    Agent(&'static str),
    /// The value of the query at this place.
    Value(usize, Unit),
    /// The same as a share that should be small: from where on it is drawn as worrying, and as bad.
    Limited(usize, f64, f64),
}

/// All of them, in the order in which they are read.
pub fn all() -> Vec<Dashboard> {
    vec![overview::dashboard(), agents::dashboard(), upstreams::dashboard(), tools::dashboard(), itself::dashboard()]
}

fn row(title: &'static str, panels: Vec<Panel>) -> Row {
    Row { title, repeat: None, panels }
}

fn panel(kind: Kind, title: &'static str, unit: Unit, (width, height): (u32, u32)) -> Panel {
    Panel {
        title,
        shows: "",
        advice: "",
        kind,
        unit,
        width,
        height,
        queries: Vec::new(),
        limits: None,
        agent: None,
        columns: Vec::new(),
        is_stacked: false,
    }
}

fn graph(title: &'static str, unit: Unit, width: u32) -> Panel {
    panel(Kind::Graph, title, unit, (width, 8))
}

fn number(title: &'static str, unit: Unit, width: u32) -> Panel {
    panel(Kind::Number, title, unit, (width, 4))
}

fn table(title: &'static str, (width, height): (u32, u32), columns: &[(Cell, &'static str)]) -> Panel {
    let columns = columns.iter().map(|&(from, title)| Column { from, title }).collect();
    Panel { columns, ..panel(Kind::Table, title, Unit::Count, (width, height)) }
}

impl Panel {
    /// What stands above the columns of a table; nothing for another.
    pub fn headings(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.title)
    }

    /// What is to be seen, and what to do when that looks bad.
    fn says(self, shows: &'static str, advice: &'static str) -> Self {
        Self { shows, advice, ..self }
    }

    /// One more query, and how its series are called.
    fn of(mut self, expr: Expr, legend: &'static str) -> Self {
        self.queries.push(Query { expr: expr.text(), legend });
        self
    }

    /// From which values on it is drawn as worrying, and as bad.
    fn limits(self, worrying: f64, bad: f64) -> Self {
        Self { limits: Some((worrying, bad)), ..self }
    }

    /// A series leads to the dashboard of the agent that this label names.
    fn leads_to(self, label: &'static str) -> Self {
        Self { agent: Some(label), ..self }
    }

    /// Lower than others: most of the time there is nothing to be seen, and that is good.
    fn low(self) -> Self {
        Self { height: 6, ..self }
    }

    /// Series stand on each other: their sum is of interest, too.
    fn stacked(self) -> Self {
        Self { is_stacked: true, ..self }
    }
}
