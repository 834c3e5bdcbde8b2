//! A dashboard as Grafana imports it: the classic schema, version 41. Keys come in alphabetical order, so that a change is a small one in review.

use serde_json::{Value, json};

use super::{AGENTS, Cell, Column, Dashboard, GRID, Kind, Panel, Row, TAG, Unit};
use crate::telemetry::names::{AttemptResult, Outcome, metrics};

/// Of Grafana 11.6 and 12.
const SCHEMA: u32 = 41;
/// Height of a row's heading.
const HEADING: u32 = 1;

impl Dashboard {
    /// The whole file, with a line break at its end.
    pub fn json(&self) -> String {
        let tree = json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG, "llm"],
            "schemaVersion": SCHEMA,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "links": [{
                "type": "dashboards", "title": "Pillion", "tags": [TAG], "icon": "external link", "tooltip": "The other dashboards, for the same choice and time",
                "asDropdown": false, "includeVars": true, "keepTime": true, "targetBlank": false, "url": "",
            }],
            "templating": {"list": self.variables()},
            "annotations": {"list": []},
            "panels": self.panels(),
        });
        let mut text = serde_json::to_string_pretty(&tree).expect("a tree without odd keys is always JSON");
        text.push('\n');
        text
    }

    fn variables(&self) -> Vec<Value> {
        let exchanges = metrics::EXCHANGES.name;
        let datasource = json!({
            "type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "refresh": 1, "regex": "",
            "description": "The Prometheus that scrapes Pillion", "hide": 0, "includeAll": false, "multi": false, "skipUrlSync": false,
        });
        let mut chosen = String::new();
        let mut variables = vec![datasource];
        for (name, label, description) in [
            ("namespace", "Namespace", "Of Kubernetes; empty elsewhere"),
            ("pod", "Pod", "Of Kubernetes; empty elsewhere"),
            ("upstream", "Upstream", "As the config calls it"),
            ("agent", "Agent", "By its own word, or as Pillion found out"),
            ("model", "Model", "As it was asked for"),
        ] {
            let series = if chosen.is_empty() { exchanges.to_owned() } else { format!("{exchanges}{{{chosen}}}") };
            variables.push(choice((name, label, description), &series, self.uses(name)));
            chosen = format!("{chosen}{}{name}=~\"${name}\"", if chosen.is_empty() { "" } else { "," });
        }
        variables
    }

    /// Whether any query asks for it. What none asks for is hidden and still there, so that links hand it on.
    fn uses(&self, variable: &str) -> bool {
        let name = format!("\"${variable}\"");
        self.rows.iter().flat_map(|row| &row.panels).flat_map(|panel| &panel.queries).any(|query| query.expr.contains(&name))
    }

    fn panels(&self) -> Vec<Value> {
        let mut made = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            made.push(heading(row, y, made.len() + 1));
            y += HEADING;
            let (mut x, mut height) = (0, 0);
            for panel in &row.panels {
                if x + panel.width > GRID {
                    (x, y, height) = (0, y + height, 0);
                }
                made.push(panel.json((x, y), made.len() + 1));
                (x, height) = (x + panel.width, height.max(panel.height));
            }
            y += height;
        }
        made
    }
}

fn choice((name, label, description): (&str, &str, &str), series: &str, shown: bool) -> Value {
    let query = format!("label_values({series}, {name})");
    json!({
        "type": "query", "name": name, "label": label, "description": description, "datasource": datasource(),
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "multi": true, "includeAll": true, "allValue": ".*", "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
        "refresh": 2, "regex": "", "sort": 1, "skipUrlSync": false, "hide": if shown { 0 } else { 2 },
    })
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn heading(row: &Row, y: u32, id: usize) -> Value {
    let mut heading = json!({
        "type": "row", "id": id, "title": row.title, "collapsed": false, "panels": [], "gridPos": {"x": 0, "y": y, "w": GRID, "h": HEADING},
    });
    if let Some(variable) = row.repeat {
        heading["repeat"] = json!(variable);
    }
    heading
}

impl Panel {
    fn json(&self, (x, y): (u32, u32), id: usize) -> Value {
        let mut panel = json!({
            "id": id, "title": self.title, "type": self.kind.plugin(), "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "description": self.advice, "options": self.options(),
        });
        if self.kind == Kind::Text {
            return panel;
        }
        panel["description"] = json!(format!("{}\n\n**When it looks bad:** {}", self.shows, self.advice));
        panel["datasource"] = datasource();
        panel["targets"] = self.targets();
        panel["fieldConfig"] = json!({"defaults": self.field(), "overrides": self.overrides()});
        if self.kind == Kind::Table {
            panel["transformations"] = self.arrangement();
        }
        panel
    }

    fn targets(&self) -> Value {
        let targets = self.queries.iter().zip('A'..).enumerate().map(|(place, (query, letter))| {
            let table = self.kind == Kind::Table;
            // One of several quantiles of the same histogram has all its exemplars.
            let exemplar = self.kind == Kind::Graph && place == 0 && query.expr.starts_with("histogram_quantile(");
            json!({
                "refId": letter, "expr": query.expr, "legendFormat": query.legend, "editorMode": "code", "datasource": datasource(),
                "format": if table { "table" } else { "time_series" }, "instant": table, "range": !table, "exemplar": exemplar,
            })
        });
        targets.collect()
    }

    fn options(&self) -> Value {
        match self.kind {
            Kind::Graph => json!({
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": ["lastNotNull"]},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Kind::Number => json!({
                "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
            }),
            Kind::Table => json!({"showHeader": true, "cellHeight": "sm", "sortBy": self.order()}),
            Kind::Text => json!({"mode": "markdown", "content": self.shows}),
        }
    }

    /// A table begins with what is worst, or else with its greatest first value.
    fn order(&self) -> Value {
        let worst = self.columns.iter().find(|column| matches!(column.from, Cell::Limited(..)));
        let first = worst.or_else(|| self.columns.iter().find(|column| matches!(column.from, Cell::Value(..))));
        first.map(|column| json!({"displayName": column.title, "desc": true})).into_iter().collect()
    }

    fn field(&self) -> Value {
        let mut field = json!({
            "unit": self.unit.grafana(), "min": 0, "thresholds": thresholds(self.limits), "links": [],
            "color": {"mode": if self.kind == Kind::Graph { "palette-classic" } else { "thresholds" }},
        });
        match self.kind {
            Kind::Graph => {
                field["custom"] = json!({
                    "drawStyle": "line", "lineWidth": 1, "fillOpacity": if self.is_stacked { 25 } else { 8 }, "showPoints": "auto", "spanNulls": false,
                    "stacking": {"mode": if self.is_stacked { "normal" } else { "none" }, "group": "A"},
                    "thresholdsStyle": {"mode": if self.limits.is_some() { "dashed" } else { "off" }},
                });
                if let Some(least) = self.unit.least_range() {
                    field["custom"]["axisSoftMax"] = json!(least);
                }
            }
            Kind::Table => field["custom"] = json!({"align": "auto", "cellOptions": {"type": "auto"}, "inspect": false, "minWidth": 60}),
            Kind::Number => field["noValue"] = json!("none"),
            Kind::Text => {}
        }
        if let Some(label) = self.agent {
            field["links"] = json!([to_agent(&format!("${{__field.labels.{label}}}"))]);
        }
        field
    }

    fn overrides(&self) -> Value {
        let ends_with = |label: &str| self.queries.iter().any(|query| query.legend.ends_with(label));
        if ends_with("{{outcome}}") {
            return Outcome::ALL.iter().map(|outcome| coloured(outcome.as_str(), colour(*outcome))).collect();
        }
        if ends_with("{{result}}") {
            return AttemptResult::ALL.iter().map(|result| coloured(result.as_str(), colour_of_attempt(*result))).collect();
        }
        self.columns.iter().map(|column| by_name(column.title, &column.properties())).collect()
    }

    /// The queries' rows become one table, its columns named and in order; what is not one of them is left out.
    fn arrangement(&self) -> Value {
        let names: Vec<(String, &str)> = self.columns.iter().map(|column| (self.source(column.from), column.title)).collect();
        let order: serde_json::Map<String, Value> = names.iter().enumerate().map(|(place, (name, _))| (name.clone(), json!(place))).collect();
        let titles: serde_json::Map<String, Value> = names.iter().map(|(name, title)| (name.clone(), json!(title))).collect();
        json!([
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": true}, "includeByName": {}, "indexByName": order, "renameByName": titles}},
        ])
    }

    /// What Grafana calls it.
    fn source(&self, from: Cell) -> String {
        match from {
            Cell::Label(label) | Cell::Agent(label) => label.to_owned(),
            Cell::Value(..) | Cell::Limited(..) if self.queries.len() == 1 => "Value".to_owned(),
            Cell::Value(query, _) | Cell::Limited(query, ..) => format!("Value #{}", ('A'..).nth(query).unwrap_or('A')),
        }
    }
}

impl Column {
    fn properties(&self) -> Value {
        match self.from {
            Cell::Label(_) => json!([]),
            Cell::Agent(_) => json!([{"id": "links", "value": [to_agent("${__value.raw}")]}]),
            Cell::Value(_, unit) => {
                let decimals = if unit == Unit::Count { json!(0) } else { json!(2) };
                json!([{"id": "unit", "value": unit.grafana()}, {"id": "decimals", "value": decimals}])
            }
            Cell::Limited(_, worrying, bad) => json!([
                {"id": "unit", "value": Unit::Share.grafana()},
                {"id": "decimals", "value": 1},
                {"id": "thresholds", "value": thresholds(Some((worrying, bad)))},
                {"id": "custom.cellOptions", "value": {"type": "color-text"}},
            ]),
        }
    }
}

/// A link to the dashboard of an agent, with everything else as it is chosen here.
fn to_agent(name: &str) -> Value {
    let kept = ["datasource", "namespace", "pod", "upstream", "model"].map(|variable| format!("${{{variable}:queryparam}}")).join("&");
    json!({"title": format!("Dashboard of {name}"), "url": format!("/d/{AGENTS}?{kept}&var-agent={name}&${{__url_time_range}}"), "targetBlank": false})
}

fn by_name(name: &str, properties: &Value) -> Value {
    json!({"matcher": {"id": "byName", "options": name}, "properties": properties})
}

/// Series whose names end with this word.
fn coloured(word: &str, colour: &str) -> Value {
    let properties = json!([{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}]);
    json!({"matcher": {"id": "byRegexp", "options": format!("/(^| ){word}$/")}, "properties": properties})
}

fn thresholds(limits: Option<(f64, f64)>) -> Value {
    let mut steps = vec![json!({"color": "green", "value": null})];
    if let Some((worrying, bad)) = limits {
        steps.push(json!({"color": "orange", "value": worrying}));
        steps.push(json!({"color": "red", "value": bad}));
    }
    json!({"mode": "absolute", "steps": steps})
}

/// The same everywhere, so that it is known at a glance: red is the upstream's fault, orange a clock's, purple Pillion's word.
fn colour(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "green",
        Outcome::Cancelled => "blue",
        Outcome::ClientError => "yellow",
        Outcome::RateLimited => "super-light-orange",
        Outcome::Timeout => "orange",
        Outcome::UpstreamError => "red",
        Outcome::Cut => "dark-red",
        Outcome::Refused => "purple",
    }
}

/// That of the outcome that it leads to.
fn colour_of_attempt(result: AttemptResult) -> &'static str {
    match result {
        AttemptResult::Success => colour(Outcome::Ok),
        AttemptResult::ClientError => colour(Outcome::ClientError),
        AttemptResult::RateLimited => colour(Outcome::RateLimited),
        AttemptResult::ServerError => colour(Outcome::UpstreamError),
        AttemptResult::Timeout => colour(Outcome::Timeout),
        AttemptResult::Cancelled => colour(Outcome::Cancelled),
        AttemptResult::StreamError => colour(Outcome::Cut),
        AttemptResult::Reset => "purple",
        AttemptResult::Connect => "dark-purple",
    }
}

impl Kind {
    /// What Grafana calls it.
    fn plugin(self) -> &'static str {
        match self {
            Self::Graph => "timeseries",
            Self::Number => "stat",
            Self::Table => "table",
            Self::Text => "text",
        }
    }
}

impl Unit {
    /// How far an axis reaches at least, so that a little noise above nothing does not look like a mountain.
    fn least_range(self) -> Option<f64> {
        match self {
            Self::Share | Self::Events => Some(0.1),
            Self::Count | Self::Seconds | Self::Dollars | Self::Bytes | Self::Requests => None,
        }
    }

    /// What Grafana calls it.
    fn grafana(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::Share => "percentunit",
            Self::Seconds => "s",
            Self::Dollars => "currencyUSD",
            Self::Bytes => "bytes",
            Self::Requests => "reqps",
            Self::Events => "cps",
        }
    }
}
