//! YAML as JSON, for what is shipped as YAML and read by tests: every scalar is a text, as it was written.

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

/// The only document of a text.
pub(crate) fn read(text: &str) -> Value {
    let mut events = Parser::new_from_str(text).map(|event| event.unwrap_or_else(|error| panic!("{error}")).0);
    let whole = node(&mut events).expect("a document");
    assert!(node(&mut events).is_none(), "one document");
    whole
}

/// The next node; none where its collection, or everything, ends.
fn node<'a>(events: &mut impl Iterator<Item = Event<'a>>) -> Option<Value> {
    loop {
        return match events.next()? {
            Event::Scalar(text, ..) => Some(Value::String(text.into_owned())),
            Event::SequenceStart(..) => Some(std::iter::from_fn(|| node(events)).collect()),
            Event::MappingStart(..) => {
                let mut entries = Map::new();
                while let Some(key) = node(events) {
                    let key = key.as_str().expect("a key is a text").to_owned();
                    let value = node(events).expect("a key has a value");
                    assert!(entries.insert(key.clone(), value).is_none(), "{key}: twice");
                }
                Some(Value::Object(entries))
            }
            Event::SequenceEnd | Event::MappingEnd | Event::StreamEnd => None,
            Event::Alias(_) => panic!("an alias"),
            _ => continue,
        };
    }
}

#[test]
fn a_document_is_read_as_it_is_written() {
    let read = read("# why\na: [1, {b: 'x'}]\nc: >-\n  d\n  e\nf: {}\n");
    assert_eq!(read, serde_json::json!({"a": ["1", {"b": "x"}], "c": "d e", "f": {}}));
}
