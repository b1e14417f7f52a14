//! What a schema expects at one place, as questions to ask and as words for a person.

use serde_json::{Map, Value as Json};

use super::suggest::{all_of, one_of};
use super::tree::Value;

/// Whether a schema's type is that of a value.
pub(super) fn admits(schema: &Json, value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) => is_type(schema, "boolean"),
        Value::Integer(_) => is_type(schema, "integer"),
        Value::Float => is_type(schema, "number"),
        Value::Text(_) => is_type(schema, "string"),
        Value::List(_) => is_type(schema, "array"),
        Value::Map(_) => is_type(schema, "object"),
    }
}

/// Whether a schema takes values of a type of JSON.
pub(super) fn is_type(schema: &Json, name: &str) -> bool {
    schema["type"] == name || texts(&schema["type"]).contains(&name)
}

/// What a person calls the values that a schema takes.
pub(super) fn expected(schema: &Json) -> String {
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().map(expected).collect::<Vec<_>>().join(" or ");
    }
    if !schema["enum"].is_null() {
        return one_of(&texts(&schema["enum"]));
    }
    let name = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match name {
        Some("object") => "a map",
        Some("array") => "a list",
        Some("integer") => "an integer",
        Some("boolean") => "`true` or `false`",
        _ => "a text",
    }
    .to_owned()
}

/// Whether a value is a text where a schema wants one of a few words, and it is none of them.
pub(super) fn is_another_word(value: &Value, schema: &Json) -> bool {
    let words = texts(&schema["enum"]);
    matches!(value, Value::Text(text) if !words.is_empty() && !words.contains(&text.as_str()))
}

/// Where a key belongs that was written one level too high, as advice.
pub(super) fn place_of(key: &str, schema: &Json) -> Option<String> {
    let properties = || schema["properties"].as_object().into_iter().flatten();
    let below = properties().find(|(_, below)| keys(below).contains(&key));
    let listed = || {
        let items = |below: &Json| forms(below).any(|form| keys(&form["items"]).contains(&key));
        properties().find(|(_, below)| items(below))
    };
    match below {
        Some((parent, _)) => Some(format!("write it below `{parent}`")),
        None => listed().map(|(parent, _)| format!("write it in a list: `{parent}: [{{{key}: ...}}]`")),
    }
}

/// A schema, or those of its alternatives.
fn forms(schema: &Json) -> impl Iterator<Item = &Json> {
    std::iter::once(schema).chain(schema["anyOf"].as_array().into_iter().flatten())
}

/// What could be written for a schema, in a sentence.
pub(super) fn example(schema: &Json) -> String {
    if let Some(list) = schema["anyOf"].as_array().and_then(|choices| choices.iter().find(|it| is_type(it, "array"))) {
        return example(list);
    }
    let keys = keys(schema);
    match schema["type"].as_str() {
        Some("object") if !keys.is_empty() => format!("its keys are {}", all_of(&keys)),
        Some("object") => "write `name: ...` below it".to_owned(),
        Some("array") => "write each item in a line of its own with `- ` before it".to_owned(),
        _ => schema["description"]
            .as_str()
            .map_or_else(|| format!("write {}", expected(schema)), |text| text.replace('\n', " ")),
    }
}

/// The keys that a schema of a map knows.
pub(super) fn keys(schema: &Json) -> Vec<&str> {
    schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect()
}

/// The texts of a list in a schema, such as `required`; none for what is not there.
pub(super) fn texts(list: &Json) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}
