//! What stands behind the `?` of a request.

use super::super::failure::{Code, Failure};

/// A parameter that an operation knows.
pub(in crate::manage) struct Parameter {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: ParameterKind,
}

/// What a parameter holds.
#[derive(Clone, Copy)]
pub(in crate::manage) enum ParameterKind {
    Text,
    Flag,
    /// A whole number, at least the first and at most the second.
    Number(u32, u32),
}

/// The parameters of a request. Those that nobody knows are ignored, as the API does it.
#[derive(Default)]
pub(in crate::manage) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the parameters, and refuses values that are none.
    pub fn parse(text: &str, known: &[Parameter]) -> Result<Query, Failure> {
        let query = Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect());
        for parameter in known {
            match parameter.kind {
                ParameterKind::Text => {}
                ParameterKind::Flag => drop(query.flag(parameter.name)?),
                ParameterKind::Number(least, most) => {
                    let Some(value) = query.text(parameter.name) else { continue };
                    if !value.parse().is_ok_and(|number| (least..=most).contains(&number)) {
                        let name = parameter.name;
                        let message = format!("`{name}` must be a whole number from {least} to {most}");
                        return Err(Failure::new(400, Code::Invalid, message));
                    }
                }
            }
        }
        Ok(query)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn number(&self, name: &str) -> Option<u32> {
        self.text(name)?.parse().ok()
    }

    pub fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Failure::new(400, Code::Invalid, format!("`{name}` must be true or false"))),
        }
    }
}
