//! The tools that were declared of late, with what is needed to check their arguments: each schema is read once and then known again by a hash.

use std::error::Error;

use boon::{Compiler, Draft, Format, SchemaIndex, UrlLoader};
use hashlink::LruCache;
use serde_json::{Map, Value};

use super::prepare::{Cost, prepare};
use crate::wire::Tools;

/// Tools that are remembered.
const TOOLS_MAX: usize = 64;
/// Bytes of schemas that are remembered: compiled, they take some ten times that.
const BYTES_MAX: usize = 512 << 10;
/// Most steps of one check: schemas and arguments are as large as their sender likes.
const STEPS_MAX: u64 = 10_000_000;
/// A place that schemas lie at, so that their references can be followed. Nothing is ever fetched.
const PLACE: &str = "http://tool.invalid/schema";

/// Whether arguments fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They fit, or nothing is said of what would.
    Fits,
    /// They do not, or are no JSON.
    Mismatch,
    /// It cannot be said: they or the schema are beyond the bounds, or the schema is none.
    Unchecked,
}

/// Tools by the list that declares them and their name.
pub(super) struct Declared {
    tools: LruCache<(u64, String), Tool>,
    /// Of their schemas.
    bytes: usize,
}

/// What is known of a tool.
struct Tool {
    kind: Kind,
    bytes: usize,
}

enum Kind {
    /// The request declares none of this name: what it calls is no question of a schema.
    Unknown,
    /// It has no schema.
    Free,
    /// It has one that cannot be used.
    Unusable,
    /// It has one.
    Schema(Box<Schema>),
}

struct Schema {
    ready: boon::Schemas,
    index: SchemaIndex,
    cost: Cost,
}

impl Default for Declared {
    fn default() -> Self {
        Self { tools: LruCache::new(TOOLS_MAX), bytes: 0 }
    }
}

impl Declared {
    /// Checks the arguments of one call. `tools` is the list of a request, as written; `None` where it was not kept.
    pub(super) fn check(&mut self, tools: Option<&[u8]>, name: &str, arguments: Option<&str>) -> Verdict {
        let (Some(tools), Some(arguments)) = (tools, arguments) else { return Verdict::Unchecked };
        let tools = Tools::new(tools);
        match &self.tool(tools, name).kind {
            Kind::Unknown => Verdict::Fits,
            Kind::Free => parse(arguments).map_or(Verdict::Mismatch, |_| Verdict::Fits),
            Kind::Unusable => parse(arguments).map_or(Verdict::Mismatch, |_| Verdict::Unchecked),
            Kind::Schema(schema) => parse(arguments).map_or(Verdict::Mismatch, |arguments| schema.check(&arguments)),
        }
    }

    /// Tools that are remembered, and bytes of their schemas.
    #[cfg(test)]
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.tools.len(), self.bytes)
    }

    fn tool(&mut self, tools: Tools<'_>, name: &str) -> &Tool {
        let key = (tools.fingerprint(), name.to_owned());
        if self.tools.get(&key).is_none() {
            let tool = Tool::read(tools, name);
            self.bytes += tool.bytes;
            // The cache pushes out by itself what is one too many.
            if self.tools.len() >= TOOLS_MAX
                && let Some((_, oldest)) = self.tools.remove_lru()
            {
                self.bytes -= oldest.bytes;
            }
            while self.bytes > BYTES_MAX
                && let Some((_, oldest)) = self.tools.remove_lru()
            {
                self.bytes -= oldest.bytes;
            }
            self.tools.insert(key.clone(), tool);
        }
        self.tools.get(&key).expect("it was there, or has just been put there")
    }
}

/// The arguments as a value. Models leave them out where a tool takes none.
fn parse(arguments: &str) -> Option<Value> {
    if arguments.trim_ascii().is_empty() {
        return Some(Value::Object(Map::new()));
    }
    serde_json::from_str(arguments).ok()
}

impl Tool {
    fn read(tools: Tools<'_>, name: &str) -> Self {
        let declared = tools.declared();
        let Some(tool) = declared.iter().find(|tool| tool.name == name) else {
            return Self { kind: Kind::Unknown, bytes: 0 };
        };
        let Some(raw) = tool.schema else {
            return Self { kind: Kind::Free, bytes: 0 };
        };
        let kind = Schema::compile(raw).map_or(Kind::Unusable, |schema| Kind::Schema(Box::new(schema)));
        Self { bytes: if matches!(kind, Kind::Schema(_)) { raw.len() } else { 0 }, kind }
    }
}

impl Schema {
    fn compile(raw: &[u8]) -> Option<Self> {
        let (schema, cost) = prepare(serde_json::from_slice(raw).ok()?)?;
        // Most say no draft. What is not valid as the latest may be as an older one: they differ in how a list of items is described.
        [Draft::V2020_12, Draft::V7, Draft::V4].into_iter().find_map(|draft| {
            let mut compiler = Compiler::new();
            compiler.set_default_draft(draft);
            compiler.use_loader(Box::new(Nothing));
            for name in ["idn-email", "idn-hostname"] {
                // Not checked: the tables for it are left out of the tree.
                compiler.register_format(Format { name, func: |_| Ok(()) });
            }
            compiler.add_resource(PLACE, schema.clone()).ok()?;
            let mut ready = boon::Schemas::new();
            let index = compiler.compile(PLACE, &mut ready).ok()?;
            Some(Self { ready, index, cost })
        })
    }

    fn check(&self, arguments: &Value) -> Verdict {
        if self.cost.nodes.saturating_mul(nodes(arguments)) > STEPS_MAX {
            return Verdict::Unchecked;
        }
        match self.ready.validate(arguments, self.index) {
            Ok(()) => Verdict::Fits,
            Err(_) => Verdict::Mismatch,
        }
    }
}

/// Values within a value, itself included.
fn nodes(value: &Value) -> u64 {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(fields) => fields.values().map(nodes).sum(),
        _ => 0,
    }
}

/// Loads nothing, from nowhere: a schema that refers to another document cannot be used.
struct Nothing;

impl UrlLoader for Nothing {
    fn load(&self, _url: &str) -> Result<Value, Box<dyn Error>> {
        Err("schemas are not fetched".into())
    }
}
