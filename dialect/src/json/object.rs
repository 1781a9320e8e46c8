//! Writing an object straight into a buffer, member by member: what is carried goes in between as it was written.

use serde::Serialize;

/// An object that is being written; [`ObjectWriter::end`] closes it.
#[derive(Debug)]
pub struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> ObjectWriter<'o> {
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    pub fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> &mut Self {
        write(value, self.begin(name));
        self
    }

    pub fn optional<T: Serialize>(&mut self, name: &str, value: Option<T>) -> &mut Self {
        match value {
            Some(value) => self.member(name, &value),
            None => self,
        }
    }

    /// A member whose value is written already.
    pub fn json(&mut self, name: &str, json: &str) -> &mut Self {
        self.begin(name).extend_from_slice(json.as_bytes());
        self
    }

    /// A member whose value the caller appends to the buffer.
    pub fn begin(&mut self, name: &str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        write(name, self.out);
        self.out.push(b':');
        self.out
    }

    /// A member that is an object of its own.
    pub fn object(&mut self, name: &str) -> ObjectWriter<'_> {
        ObjectWriter::new(self.begin(name))
    }

    pub fn end(self) {
        self.out.push(b'}');
    }
}

/// Appends a value. A buffer takes everything, and the types written here have no way of not being written.
pub fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}

/// Appends an array, each item written by `item`.
pub fn write_array<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (number, value) in items.into_iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        item(value, out);
    }
    out.push(b']');
}
