//! Which fields an expression may name.

use crate::request::{FieldId, Type};

/// The fields that expressions may use: the standard ones, and any that were registered in addition.
#[derive(Clone, Debug)]
pub struct Scheme {}

impl Scheme {
    /// The fields of the rules language (section 9), deprecated aliases included.
    pub fn standard() -> &'static Scheme {
        todo!()
    }

    /// The standard scheme and the `trigger.*` fields.
    pub fn triggers() -> &'static Scheme {
        todo!()
    }

    /// Registers a further field; an existing name keeps its id and takes the new type.
    pub fn register(&mut self, _name: &str, _value_type: Type) -> FieldId {
        todo!()
    }

    /// The field of this name (or alias).
    pub fn field(&self, _name: &str) -> Option<(FieldId, &Type)> {
        todo!()
    }

    /// The canonical name of a field.
    pub fn name(&self, _field: FieldId) -> &str {
        todo!()
    }

    /// The type of a field.
    pub fn value_type(&self, _field: FieldId) -> &Type {
        todo!()
    }
}
