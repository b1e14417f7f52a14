//! The JSON Schema of a site file: for editors, and for our own reader.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::raw::Whole;

/// The schema of a site file as text, as `antipode schema` prints it and `schemas/site.schema.json` has it.
pub fn schema() -> String {
    // A JSON value made of maps and texts always has a text form.
    let mut text = serde_json::to_string_pretty(&tree()).unwrap_or_default();
    text.push('\n');
    text
}

/// The schema that the reader follows: without references, so that each place in it is a place in the file.
pub(super) fn tree() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(RecursiveTransform(refuse_null))
        .into_generator();
    generator.root_schema_for::<Whole>().to_value()
}

/// A key that may be left out is an `Option` to Rust; written with nothing after it, it is a mistake.
fn refuse_null(schema: &mut Schema) {
    let Some(map) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(mut choices)) = map.remove("anyOf") else { return };
    choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
    match choices.as_mut_slice() {
        [Value::Object(only)] => {
            for (key, value) in std::mem::take(only) {
                map.entry(key).or_insert(value);
            }
        }
        _ => {
            map.insert("anyOf".to_owned(), Value::Array(choices));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the reader looks at, and what is only for people and editors.
    const UNDERSTOOD: [&str; 18] = [
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maximum",
        "minItems",
        "minProperties",
        "minimum",
        "oneOf",
        "pattern",
        "properties",
        "propertyNames",
        "required",
    ];

    fn visit(schema: &Value, check: &impl Fn(&str, &Value)) {
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            check(keyword, value);
            match keyword.as_str() {
                "properties" => value.as_object().into_iter().flatten().for_each(|(_, schema)| visit(schema, check)),
                "anyOf" | "oneOf" => value.as_array().into_iter().flatten().for_each(|schema| visit(schema, check)),
                "items" | "additionalProperties" | "propertyNames" => visit(value, check),
                _ => {}
            }
        }
    }

    #[test]
    fn the_reader_understands_every_keyword_and_every_format() {
        visit(&tree(), &|keyword, value| {
            assert!(UNDERSTOOD.contains(&keyword) || ["title", "type"].contains(&keyword), "{keyword}");
            let format = value.as_str().filter(|_| keyword == "format").unwrap_or("uint32");
            let known = ["uint16", "uint32"].contains(&format) || super::super::scalars::check(format, "").is_some();
            assert!(known, "{format}");
        });
    }

    #[test]
    fn every_key_is_described_and_a_pattern_has_its_parser() {
        fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
            for (key, value) in schema["properties"].as_object().into_iter().flatten() {
                if value["description"].as_str().is_none_or(str::is_empty) {
                    found.push(format!("{path}.{key}"));
                }
                undescribed(value, &format!("{path}.{key}"), found);
            }
        }
        let mut found = Vec::new();
        undescribed(&tree(), "", &mut found);
        assert_eq!(found, Vec::<String>::new());
        visit(&tree(), &|keyword, value| assert!(keyword != "propertyNames" || value["format"].is_string()));
    }
}
