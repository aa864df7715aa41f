//! From what KV holds to the texts of a policy.

use super::outcome::{Refused, Texts};
use velvetrope::internal::edge::FailureClass;
use velvetrope::internal::policy::bundle::unbundle;
use velvetrope::internal::policy::{DELIVERED, SETTINGS_FILE, STORED, Sources};

/// All texts; where there is no bundle, the customer is all that is set.
pub(super) fn sources(texts: Texts<'_>, customer_id: &str) -> Result<Sources, Refused> {
    let mut sources = match texts.policy {
        Some(bundle) => read("policy", "`velvetrope publish`", bundle)?,
        None => {
            let settings = format!("customer_id = {}\n", toml::Value::from(customer_id));
            Sources::from([(SETTINGS_FILE.to_owned(), settings.into_bytes())])
        }
    };
    if let Some(managed) = texts.managed {
        let managed = read("managed", "the Worker that manages them", managed)?;
        sources.extend(managed.into_iter().filter(|(name, _)| name.starts_with(STORED)));
    }
    if let Some(info) = texts.info {
        sources.insert(DELIVERED.to_owned(), info.as_bytes().to_vec());
    }
    Ok(sources)
}

fn read(key: &str, writer: &str, bundle: &str) -> Result<Sources, Refused> {
    unbundle(bundle).map_err(|error| {
        let why = format!("`{key}` in KV is not what {writer} writes: {error}");
        Refused::new(FailureClass::InvalidConfiguration, why)
    })
}
