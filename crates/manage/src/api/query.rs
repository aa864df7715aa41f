//! What stands behind the `?` of a request.

use super::super::failure::{Code, Failure};

/// A parameter that an operation knows.
pub(crate) struct Parameter {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: ParameterKind,
}

/// What a parameter holds.
#[derive(Clone, Copy)]
pub(crate) enum ParameterKind {
    Text,
    Flag,
    /// A whole number, at least the first and at most the second.
    Number(u32, u32),
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// The parameters of a request. Those that nobody knows are refused: whoever asks for some of the zones and gets all of
/// them changes the wrong one, and a misspelt `dry_run` would be no dry run.
#[derive(Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the parameters, and refuses values that are none.
    pub fn parse(text: &str, known: &[Parameter]) -> Result<Query, Failure> {
        let query = Query(form_urlencoded::parse(text.as_bytes()).into_owned().collect());
        query.refuse_unknown(known)?;
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
                ParameterKind::Choice(words) => {
                    let Some(value) = query.text(parameter.name) else { continue };
                    if !words.contains(&value) {
                        let message = format!("`{}` must be one of {}", parameter.name, words.join(", "));
                        return Err(Failure::new(400, Code::Invalid, message));
                    }
                }
            }
        }
        Ok(query)
    }

    fn refuse_unknown(&self, known: &[Parameter]) -> Result<(), Failure> {
        let names = known.iter().map(|parameter| parameter.name);
        for (index, (name, _)) in self.0.iter().enumerate() {
            if !names.clone().any(|known| known == name) {
                let help = match known.is_empty() {
                    true => "it takes none".to_owned(),
                    false => {
                        format!("it takes {}", names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
                    }
                };
                let message = format!("there is no parameter `{name}` of this operation: {help}");
                return Err(Failure::new(400, Code::Invalid, message));
            }
            if self.0[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Failure::new(400, Code::Invalid, format!("the parameter `{name}` is given twice")));
            }
        }
        Ok(())
    }

    /// Whether a text passes the filter of this name, which may begin with an operator: `contains:shop`.
    pub fn is_wanted(&self, name: &str, text: &str) -> bool {
        let Some(filter) = self.text(name) else { return true };
        let (operator, value) = filter.split_once(':').unwrap_or(("equal", filter));
        let folded = || (text.to_lowercase(), value.to_lowercase());
        match operator {
            "equal" => text == value,
            "not_equal" => text != value,
            "starts_with" => folded().0.starts_with(&folded().1),
            "ends_with" => folded().0.ends_with(&folded().1),
            "contains" => folded().0.contains(&folded().1),
            "starts_with_case_sensitive" => text.starts_with(value),
            "ends_with_case_sensitive" => text.ends_with(value),
            "contains_case_sensitive" => text.contains(value),
            // A colon of a name.
            _ => text == filter,
        }
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
