//! Collects the operations of a JSON Patch (RFC 6902).

use json_patch::jsonptr::{PointerBuf, Token};
use json_patch::{AddOperation, MoveOperation, Patch, PatchOperation, ReplaceOperation};
use serde_json::Value;

use super::pod::{items, text};

/// A patch that is being written. `add` is nearly all it takes: it replaces a member of an object that is there, and inserts into arrays.
#[derive(Default)]
pub(super) struct Edit(Vec<PatchOperation>);

impl Edit {
    /// Sets a member of the object at `path`.
    pub(super) fn set(&mut self, path: &PointerBuf, field: &str, value: impl Into<Value>) {
        self.add(path.with_trailing_token(Token::new(field)), value.into());
    }

    /// Puts `values` before the members of the list `field` of `object`, which is at `path`.
    pub(super) fn prepend(&mut self, object: &Value, path: &PointerBuf, field: &str, value: Value) {
        let list = path.with_trailing_token(Token::new(field));
        if object[field].is_array() {
            self.add(list.with_trailing_token(0), value);
        } else {
            self.add(list, vec![value].into());
        }
    }

    /// Puts `values` behind the members of the list `field` of `object`, which is at `path`; one takes the place of a member that has
    /// its name.
    pub(super) fn append(&mut self, object: &Value, path: &PointerBuf, field: &str, mut values: Vec<Value>) {
        let list = path.with_trailing_token(Token::new(field));
        let members = items(object, field);
        values.retain(|value| {
            let same = |member: &Value| text(member, "name") == text(value, "name");
            let place = members.iter().rposition(same);
            if let Some(place) = place {
                let (path, value) = (list.with_trailing_token(place), value.clone());
                self.0.push(PatchOperation::Replace(ReplaceOperation { path, value }));
            }
            place.is_none()
        });
        self.append_all(object, path, field, values);
    }

    /// Puts `values` behind the members of the list, whatever their names are.
    pub(super) fn append_all(&mut self, object: &Value, path: &PointerBuf, field: &str, values: Vec<Value>) {
        let list = path.with_trailing_token(Token::new(field));
        if values.is_empty() {
        } else if object[field].is_array() {
            for value in values {
                self.add(list.with_trailing_token(Token::new("-")), value);
            }
        } else {
            self.add(list, values.into());
        }
    }

    /// Makes the member number `at` of the list `field` of the object at `path` the first.
    pub(super) fn move_first(&mut self, path: &PointerBuf, field: &str, at: usize) {
        let list = path.with_trailing_token(Token::new(field));
        let (from, path) = (list.with_trailing_token(at), list.with_trailing_token(0));
        self.0.push(PatchOperation::Move(MoveOperation { from, path }));
    }

    /// The patch.
    pub(super) fn finish(self) -> Patch {
        Patch(self.0)
    }

    fn add(&mut self, path: PointerBuf, value: Value) {
        self.0.push(PatchOperation::Add(AddOperation { path, value }));
    }
}
