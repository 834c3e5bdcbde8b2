//! A list of attributes in the making. What is absent stays absent.

use std::time::Duration;

use opentelemetry::{Array, Key, KeyValue, StringValue, Value};

/// Attributes of one span or event. Each name must be added at most once: twice would be exported twice.
#[derive(Debug)]
pub(super) struct Attributes(Vec<KeyValue>);

impl Attributes {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(super) fn text(&mut self, name: &'static str, value: Option<impl Into<StringValue>>) -> &mut Self {
        self.push(name, value.map(|value| Value::String(value.into())))
    }

    pub(super) fn texts(&mut self, name: &'static str, values: &[String]) -> &mut Self {
        let strings = || Value::Array(Array::String(values.iter().map(|value| value.clone().into()).collect()));
        self.push(name, (!values.is_empty()).then(strings))
    }

    pub(super) fn names<'a>(&mut self, name: &'static str, values: impl Iterator<Item = &'a str>) -> &mut Self {
        let strings: Vec<StringValue> = values.map(|value| value.to_owned().into()).collect();
        self.push(name, (!strings.is_empty()).then_some(Value::Array(Array::String(strings))))
    }

    /// Beyond what OTLP can say, the largest it can.
    pub(super) fn int(&mut self, name: &'static str, value: Option<impl TryInto<i64>>) -> &mut Self {
        self.push(name, value.map(|value| Value::I64(value.try_into().unwrap_or(i64::MAX))))
    }

    pub(super) fn float(&mut self, name: &'static str, value: Option<f64>) -> &mut Self {
        self.push(name, value.map(Value::F64))
    }

    pub(super) fn seconds(&mut self, name: &'static str, value: Option<Duration>) -> &mut Self {
        self.float(name, value.map(|value| value.as_secs_f64()))
    }

    pub(super) fn flag(&mut self, name: &'static str, value: Option<bool>) -> &mut Self {
        self.push(name, value.map(Value::Bool))
    }

    pub(super) fn into_vec(self) -> Vec<KeyValue> {
        self.0
    }

    fn push(&mut self, name: &'static str, value: Option<Value>) -> &mut Self {
        if let Some(value) = value {
            self.0.push(KeyValue::new(Key::from_static_str(name), value));
        }
        self
    }
}
