//! Reads objects from kubectl's JSON one at a time, so that a large list needs no more memory than its largest object. Text in,
//! one value per object out.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Passes on each object: those of a list, or of several lists and objects in a row.
pub(crate) fn each_object(input: impl Read, pass_on: &mut dyn FnMut(Value)) -> Result<(), String> {
    let mut input = BufReader::new(input.take(MOST));
    loop {
        match next_byte(&mut input).map_err(|error| error.to_string())? {
            None => return Ok(()),
            Some(b'{' | b'[') => {}
            Some(_) => return Err("it is not JSON; `kubectl get pods -o json` writes it".to_owned()),
        }
        let mut json = serde_json::Deserializer::from_reader(&mut input);
        Objects(pass_on).deserialize(&mut json).map_err(|error| match error.is_eof() {
            true => format!("the JSON is not complete: {error}"),
            false => error.to_string(),
        })?;
    }
}

/// The next byte that is not a blank; it is not taken.
fn next_byte(input: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let buffer = input.fill_buf()?;
        let blanks = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if let Some(byte) = buffer.get(blanks) {
            return Ok(Some(*byte));
        }
        if buffer.is_empty() {
            return Ok(None);
        }
        input.consume(blanks);
    }
}

/// An object, a list of Kubernetes, or an array.
struct Objects<'a>(&'a mut dyn FnMut(Value));

impl<'de> DeserializeSeed<'de> for Objects<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Objects<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of objects")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut fields = Map::new();
        let mut is_list = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == "items" {
                is_list = true;
                map.next_value_seed(Objects(self.0))?;
            } else {
                fields.insert(name, map.next_value()?);
            }
        }
        if !is_list {
            (self.0)(Value::Object(fields));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Objects(self.0))?.is_some() {}
        Ok(())
    }
}

/// The most bytes that are read: all pods of a large cluster.
const MOST: u64 = 512_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        each_object(text.as_bytes(), &mut |object| names.push(object["n"].as_str().unwrap_or("?").to_owned()))?;
        Ok(names)
    }

    #[test]
    fn objects_lists_and_arrays_are_read_in_a_row() {
        let text = "{\"kind\":\"List\",\"items\":[{\"n\":\"a\"},{\"items\":[{\"n\":\"b\"}],\"kind\":\"PodList\"}]}\n{\"n\":\"c\"} [{\"n\":\"d\"}]\n";
        assert_eq!(names(text).unwrap(), ["a", "b", "c", "d"]);
        assert_eq!(names("").unwrap(), [""; 0]);
        assert_eq!(names(r#"{"items":null}"#).unwrap(), [""; 0]);
        assert_eq!(names(r#"{"items":[{}]}"#).unwrap(), ["?"]);
    }

    #[test]
    fn text_that_is_not_json_is_an_error_with_a_reason() {
        assert!(names("apiVersion: v1\n").unwrap_err().contains("kubectl get pods -o json"));
        assert!(names("{\"items\":[{\"n\":\"a\"},").unwrap_err().starts_with("the JSON is not complete"));
        assert!(names("{\"items\":[1]}").unwrap_err().contains("expected an object"));
        assert!(names(&"[".repeat(100_000)).is_err(), "nesting is limited");
        assert!(names(r#"{"items":"x"}"#).is_err());
    }
}
