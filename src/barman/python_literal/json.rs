//! Literals out of JSON and into it: sync-info carries some values natively that backup.info has as Python literals.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::Literal;

/// How much may still be read of what an untrusted program tells: what is held of a value is many times its text.
#[derive(Debug)]
pub struct Allowance {
    values: Cell<usize>,
    text: Cell<usize>,
}

impl Allowance {
    /// So many values, keys among them, and so many bytes of text in them.
    pub fn new(values: usize, text: usize) -> Self {
        Self { values: Cell::new(values), text: Cell::new(text) }
    }

    /// Reads a value.
    pub fn literal(&self) -> LiteralSeed<'_> {
        LiteralSeed(self)
    }

    /// Reads a text.
    pub fn text(&self) -> TextSeed<'_> {
        TextSeed(self)
    }

    fn take<E: Error>(&self, text: usize) -> Result<(), E> {
        match (self.values.get().checked_sub(1), self.text.get().checked_sub(text)) {
            (Some(values), Some(text)) => {
                self.values.set(values);
                self.text.set(text);
                Ok(())
            }
            _ => Err(E::custom("it has far more to say than Barman has")),
        }
    }
}

impl<'de> Deserialize<'de> for Literal {
    /// Reads the JSON form of a value, as sync-info has it; the order of an object is kept, as Python keeps it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Allowance::new(usize::MAX, usize::MAX).literal().deserialize(deserializer)
    }
}

/// Reads a value as far as is allowed.
#[derive(Debug, Clone, Copy)]
pub struct LiteralSeed<'a>(&'a Allowance);

/// Reads a text as far as is allowed.
#[derive(Debug, Clone, Copy)]
pub struct TextSeed<'a>(&'a Allowance);

impl<'de> DeserializeSeed<'de> for LiteralSeed<'_> {
    type Value = Literal;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Literal, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> DeserializeSeed<'de> for TextSeed<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for TextSeed<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        self.0.take(text.len())?;
        Ok(text.to_owned())
    }
}

impl<'de> Visitor<'de> for LiteralSeed<'_> {
    type Value = Literal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Literal, E> {
        self.0.take(0).map(|()| Literal::None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Literal, E> {
        self.0.take(0).map(|()| Literal::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Literal, E> {
        self.0.take(0).map(|()| Literal::Int(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Literal, E> {
        self.0.take(0).map(|()| Literal::Int(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Literal, E> {
        self.0.take(0).map(|()| Literal::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Literal, E> {
        TextSeed(self.0).visit_str(text).map(Literal::Str)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Literal, A::Error> {
        self.0.take(0)?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Literal::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Literal, A::Error> {
        self.0.take(0)?;
        let mut pairs = Vec::new();
        while let Some(key) = map.next_key_seed(self.0.text())? {
            pairs.push((Literal::Str(key), map.next_value_seed(self)?));
        }
        Ok(Literal::Dict(pairs))
    }
}

impl Serialize for Literal {
    /// Writes what Python's `json.dumps` makes of the value: tuples are lists, and keys are texts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i128(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Str(text) => serializer.serialize_str(text),
            Self::List(items) | Self::Tuple(items) => serializer.collect_seq(items),
            Self::Dict(pairs) => serializer.collect_map(pairs.iter().map(|(key, value)| (json_key(key), value))),
        }
    }
}

fn json_key(key: &Literal) -> String {
    match key {
        Literal::Str(text) => text.clone(),
        Literal::None => "null".to_owned(),
        Literal::Bool(value) => value.to_string(),
        other => other.to_string(),
    }
}
