//! Which fields an expression may name.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::request::{Field, FieldId, Type};

/// The fields that expressions may use: the standard ones, and any that were registered in addition.
#[derive(Clone, Debug)]
pub struct Scheme {
    /// Name and type by id.
    fields: Vec<(String, Type)>,
    /// Names, aliases included, of the fields that may be used.
    ids: HashMap<String, FieldId>,
    triggers: bool,
}

/// Deprecated spellings, `ip.geoip.REST` for `ip.src.REST`.
const ALIASED: [&str; 6] =
    ["asnum", "continent", "country", "is_in_european_union", "subdivision_1_iso_code", "subdivision_2_iso_code"];

impl Scheme {
    /// The fields of the rules language (docs/protocol/rules-language.md#fields), deprecated aliases included.
    pub fn standard() -> &'static Scheme {
        static STANDARD: LazyLock<Scheme> = LazyLock::new(|| Scheme::new(false));
        &STANDARD
    }

    /// The standard scheme, the `trigger.*` fields and the function `upper_unicode`.
    pub fn triggers() -> &'static Scheme {
        static TRIGGERS: LazyLock<Scheme> = LazyLock::new(|| Scheme::new(true));
        &TRIGGERS
    }

    /// Registers a further field; an existing name keeps its id and takes the new type.
    pub fn register(&mut self, name: &str, value_type: Type) -> FieldId {
        if let Some(&id) = self.ids.get(name) {
            self.fields[usize::from(id.0)].1 = value_type;
            return id;
        }
        let id = FieldId(u16::try_from(self.fields.len()).expect("a scheme holds fewer than 65,536 fields"));
        self.fields.push((name.to_owned(), value_type));
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// The field of this name (or alias).
    pub fn field(&self, name: &str) -> Option<(FieldId, &Type)> {
        self.ids.get(name).map(|&id| (id, self.value_type(id)))
    }

    /// The canonical name of a field.
    pub fn name(&self, field: FieldId) -> &str {
        &self.fields[usize::from(field.0)].0
    }

    /// The type of a field.
    pub fn value_type(&self, field: FieldId) -> &Type {
        &self.fields[usize::from(field.0)].1
    }

    /// Whether the fields and the function of triggers may be used.
    pub(super) fn is_of_triggers(&self) -> bool {
        self.triggers
    }

    /// Every name that may be used, aliases included, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.ids.keys().map(String::as_str)
    }

    fn new(triggers: bool) -> Scheme {
        let named = |field: &Field| (field.info().name.to_owned(), field.info().value_type());
        let usable = Field::ALL.iter().filter(|field| triggers || !field.is_of_triggers());
        let mut ids: HashMap<String, FieldId> =
            usable.map(|&field| (field.info().name.to_owned(), field.into())).collect();
        for rest in ALIASED {
            if let Some(&id) = ids.get(&format!("ip.src.{rest}")) {
                ids.insert(format!("ip.geoip.{rest}"), id);
            }
        }
        Scheme { fields: Field::ALL.iter().map(named).collect(), ids, triggers }
    }
}
