//! The integration JSON as Queue-it publishes it (docs/protocol/queue-it.md#integration-configuration).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config_error::ConfigError;
use super::document::{self, Node, SyntaxError, Value, number_text};
use super::{place, trigger};
use crate::language::Expression;
use crate::language::expression::Condition;

/// The published configuration, and what was placed beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Integrations {
    /// `Version` as it is printed in URLs (`cver`); empty while the configuration has yet to be delivered.
    pub version: String,
    /// In order of evaluation.
    pub all: Vec<Integration>,
}

/// A configuration as it was read.
#[derive(Clone, Debug)]
pub struct Published {
    /// As [`Integrations::version`].
    pub version: String,
    /// In order of evaluation: what each integration does, and when.
    pub all: Vec<Placed>,
}

/// An integration and when it applies: its triggers, lowered, or the place of its room.
pub type Placed = (Integration, Arc<Expression>);

/// A number that may be missing or null, where the protocol tells these apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Number {
    /// The key is absent.
    Missing,
    /// The key is null.
    Null,
    /// A number.
    Is(f64),
}

/// What an integration does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Visitors need a session.
    Queue,
    /// The visitor's session ends.
    Cancel,
    /// Nothing.
    Ignore,
}

impl Action {
    /// As the integration JSON writes it.
    pub fn name(self) -> &'static str {
        match self {
            Action::Queue => "Queue",
            Action::Cancel => "Cancel",
            Action::Ignore => "Ignore",
        }
    }
}

/// Where the visitor goes after the waiting room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedirectLogic {
    /// Back to the page asked for.
    AllowTParameter,
    /// Where the room itself says.
    EventTargetUrl,
    /// To `forced_target_url`.
    ForcedTargetUrl,
}

/// One integration. Text that is null or missing is `None`, except where it says otherwise.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Integration {
    /// `Name`; `unspecified` where it is missing (but in an Ignore, which then has none, like one whose name is null).
    pub name: Option<String>,
    /// `ActionType`.
    pub action: Action,
    /// `EventId`, the room's id.
    pub event_id: Option<String>,
    /// `InvolvedWaitingRoomIds`.
    pub involved_rooms: Vec<String>,
    /// `CookieDomain`.
    pub cookie_domain: Option<String>,
    /// `IsCookieHttpOnly`.
    pub cookie_http_only: bool,
    /// `IsCookieSecure`.
    pub cookie_secure: bool,
    /// `LayoutName`.
    pub layout: Option<String>,
    /// `Culture`.
    pub culture: Option<String>,
    /// `ExtendCookieValidity`.
    pub extend_cookie_validity: bool,
    /// `CookieValidityMinute`.
    pub cookie_validity_minute: Number,
    /// `QueueDomain`.
    pub queue_domain: Option<String>,
    /// `QueuePathPrefix`.
    pub queue_path_prefix: Option<String>,
    /// `RedirectLogic`.
    pub redirect_logic: RedirectLogic,
    /// `ForcedTargetUrl`.
    pub forced_target_url: Option<String>,
    /// `VerifyQueueIdEnabled`.
    pub verify_queue_id: bool,
    /// `QueueIdUsageLimit`.
    pub queue_id_usage_limit: Number,
    /// `IsNormalizationEnabled`.
    pub normalization: bool,
    /// Why it fails for every visitor, if it does. Only a configuration that was delivered can have such integrations,
    /// among others that work; the failure policy decides about their visitors.
    pub broken: Option<String>,
}

impl Integration {
    /// What to call it in front of people.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or("without a name")
    }

    /// One that hardly anything is known of, and so not for whom it is: it never applies.
    fn unreadable(node: &Node, error: &ConfigError) -> Placed {
        let integration = Integration {
            name: node.get("Name").and_then(Node::as_text).map(str::to_owned),
            action: Action::Ignore,
            event_id: None,
            involved_rooms: Vec::new(),
            cookie_domain: None,
            cookie_http_only: false,
            cookie_secure: false,
            layout: None,
            culture: None,
            extend_cookie_validity: false,
            cookie_validity_minute: Number::Missing,
            queue_domain: None,
            queue_path_prefix: None,
            redirect_logic: RedirectLogic::AllowTParameter,
            forced_target_url: None,
            verify_queue_id: false,
            queue_id_usage_limit: Number::Missing,
            normalization: false,
            broken: Some(error.to_string()),
        };
        (integration, Arc::new(Expression { root: Condition::Constant(false) }))
    }
}

impl Published {
    /// Reads a published configuration; `normalizer` says whether the host offers URL normalisation to integrations
    /// that ask for it.
    pub fn parse(text: &str, normalizer: bool) -> Result<Published, ConfigError> {
        let root = document::parse_json(text).map_err(|error| syntax(text, error))?;
        Published::of(&root, normalizer, |_, error| Err(error))
    }

    /// The same of a configuration that was delivered: integrations that cannot be read are there, and broken.
    pub fn parse_delivered(text: &str, normalizer: bool) -> Result<Published, ConfigError> {
        let root = document::parse_json(text).map_err(|error| syntax(text, error))?;
        Published::of(&root, normalizer, |node, error| Ok(Integration::unreadable(node, &error)))
    }

    fn of(
        root: &Node,
        normalizer: bool,
        or_else: impl Fn(&Node, ConfigError) -> Result<Placed, ConfigError>,
    ) -> Result<Published, ConfigError> {
        let version = root.get("Version").filter(|version| version.is_truthy()).ok_or(ConfigError::Empty)?;
        let version = scalar(version, "Version")?.unwrap_or_default();
        let nodes = array(root.get("Integrations"), "Integrations")?.iter().enumerate();
        let all = nodes.map(|(index, node)| {
            let read = Reader::new(node, index).and_then(|reader| reader.integration(normalizer));
            read.or_else(|error| or_else(node, error))
        });
        let all = all.collect::<Result<_, _>>()?;
        Ok(Published { version, all })
    }
}

/// Whether a configuration's `Version` is lower than that of another one, or no number where the other one is.
pub fn is_older(version: &str, than: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| !number.is_nan());
    match (number(version), number(than)) {
        (Some(version), Some(than)) => version < than,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

/// The `Version` of a published configuration, if it is a number or a text.
pub fn version_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(rename = "Version")]
        version: serde_json::Value,
    }
    let Head { version } = serde_json::from_str(text).ok()?;
    version.as_f64().map(number_text).or_else(|| version.as_str().map(str::to_owned))
}

fn syntax(text: &str, SyntaxError { at, message }: SyntaxError) -> ConfigError {
    let (line, column) = place::position(text, at);
    ConfigError::Syntax { line, column, message }
}

/// One integration of the configuration, read key by key.
struct Reader<'n, 't> {
    node: &'n Node<'t>,
    place: String,
}

impl<'n, 't> Reader<'n, 't> {
    fn new(node: &'n Node<'t>, index: usize) -> Result<Self, ConfigError> {
        let place = format!("Integrations[{index}]");
        match node.value {
            Value::Object(_) => Ok(Reader { node, place }),
            _ => Err(ConfigError::shape(node, &place, "an object")),
        }
    }

    fn integration(&self, normalizer: bool) -> Result<Placed, ConfigError> {
        let normalization = self.flag("IsNormalizationEnabled");
        let place = self.place_of("Triggers");
        let triggers = self.node.get("Triggers").ok_or_else(|| ConfigError::missing(self.node, &place))?;
        let integration = Integration {
            name: self.name()?,
            action: self.action(),
            event_id: self.text("EventId")?,
            involved_rooms: self.rooms()?,
            cookie_domain: self.text("CookieDomain")?,
            cookie_http_only: self.flag("IsCookieHttpOnly"),
            cookie_secure: self.flag("IsCookieSecure"),
            layout: self.text("LayoutName")?,
            culture: self.text("Culture")?,
            extend_cookie_validity: self.flag("ExtendCookieValidity"),
            cookie_validity_minute: self.number("CookieValidityMinute")?,
            queue_domain: self.text("QueueDomain")?,
            queue_path_prefix: self.text("QueuePathPrefix")?,
            redirect_logic: self.redirect_logic(),
            forced_target_url: self.text("ForcedTargetUrl")?,
            verify_queue_id: self.flag("VerifyQueueIdEnabled"),
            queue_id_usage_limit: self.number("QueueIdUsageLimit")?,
            normalization,
            broken: None,
        };
        let when = trigger::lower(triggers, &place, normalization && normalizer)?;
        Ok((integration, Arc::new(when)))
    }

    fn name(&self) -> Result<Option<String>, ConfigError> {
        match self.node.get("Name") {
            None if self.action() == Action::Ignore => Ok(None),
            None => Ok(Some("unspecified".to_owned())),
            Some(_) => self.text("Name"),
        }
    }

    fn action(&self) -> Action {
        match self.node.get("ActionType").and_then(Node::as_text) {
            Some("Queue") => Action::Queue,
            Some("Cancel") => Action::Cancel,
            _ => Action::Ignore,
        }
    }

    fn redirect_logic(&self) -> RedirectLogic {
        match self.node.get("RedirectLogic").and_then(Node::as_text) {
            Some("EventTargetUrl") => RedirectLogic::EventTargetUrl,
            Some("ForcedTargetUrl") => RedirectLogic::ForcedTargetUrl,
            _ => RedirectLogic::AllowTParameter,
        }
    }

    fn rooms(&self) -> Result<Vec<String>, ConfigError> {
        let place = self.place_of("InvolvedWaitingRoomIds");
        let rooms = array(self.node.get("InvolvedWaitingRoomIds"), &place)?.iter().enumerate();
        rooms
            .map(|(index, room)| {
                let place = format!("{place}[{index}]");
                scalar(room, &place)?.ok_or_else(|| ConfigError::shape(room, &place, "a text"))
            })
            .collect()
    }

    fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        self.node.get(key).map_or(Ok(None), |node| scalar(node, &self.place_of(key)))
    }

    fn flag(&self, key: &str) -> bool {
        self.node.get(key).is_some_and(Node::is_truthy)
    }

    fn number(&self, key: &str) -> Result<Number, ConfigError> {
        let Some(node) = self.node.get(key) else { return Ok(Number::Missing) };
        let number = match &node.value {
            Value::Null => return Ok(Number::Null),
            Value::Number(digits) => Some(document::number(digits)),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map(Number::Is).ok_or_else(|| ConfigError::shape(node, &self.place_of(key), "a number"))
    }

    fn place_of(&self, key: &str) -> String {
        format!("{}.{key}", self.place)
    }
}

/// The elements of an array that may be missing or null.
fn array<'n, 't>(node: Option<&'n Node<'t>>, place: &str) -> Result<&'n [Node<'t>], ConfigError> {
    match node {
        None | Some(Node { value: Value::Null, .. }) => Ok(&[]),
        Some(node) => node.as_array().ok_or_else(|| ConfigError::shape(node, place, "an array")),
    }
}

/// The text of a text, number or truth value as JavaScript prints it; `None` for null.
fn scalar(node: &Node, place: &str) -> Result<Option<String>, ConfigError> {
    match &node.value {
        Value::Null => Ok(None),
        Value::Text(text) => Ok(Some(text.clone().into_owned())),
        Value::Number(digits) => Ok(Some(number_text(document::number(digits)))),
        Value::Bool(value) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(ConfigError::shape(node, place, "a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, than, expected) in [
            ("9", "10", true),
            ("10", "9", false),
            ("10", "10", false),
            ("1e+21", "2", false),
            ("abc", "1", true),
            ("NaN", "1", true),
            ("1", "abc", false),
            ("1", "", false),
        ] {
            assert_eq!(is_older(version, than), expected, "{version} and {than}");
        }
        assert_eq!(version_of(r#"{"Integrations": null, "Version": 7.0}"#).as_deref(), Some("7"));
        assert_eq!(version_of(r#"{"Version": "8"}"#).as_deref(), Some("8"));
        for text in ["", "{", "null", "{}", r#"{"Version": null}"#, r#"{"Version": 7} x"#] {
            assert_eq!(version_of(text), None, "{text}");
        }
    }
}
