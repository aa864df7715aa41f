//! Zones: one for each policy, with what its files say of it.

use std::cell::OnceCell;

use super::audit::About;
use super::{DatabaseError, Row, Store};
use velvetrope::internal::policy::{Published, SETTINGS_FILE, Settings, Sources, settings_of};

/// A policy whose rooms, rules and lists are managed here.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The policy's name.
    pub id: String,
    /// The text of its `velvetrope.toml`.
    pub settings_text: String,
    /// The integration JSON, if it has one.
    pub integration: Option<String>,
    /// The zone's settings in the API, as JSON.
    pub options: String,
    /// Counts the changes that concern decisions.
    pub revision: i64,
    /// What the text of the settings says, once somebody has asked.
    settings: OnceCell<Settings>,
}

const COLUMNS: &str = "id, settings, integration, options, revision";

impl Zone {
    /// What the policy's files say, as far as they can be read. The text is parsed at the first call only.
    pub fn settings(&self) -> &Settings {
        self.settings.get_or_init(|| {
            let text = self.settings_text.clone().into_bytes();
            let sources = Sources::from([(SETTINGS_FILE.to_owned(), text)]);
            settings_of(&sources, None).unwrap_or_else(|| Settings::new(""))
        })
    }
}

impl Store<'_> {
    /// All zones.
    pub fn zones(&self) -> Result<Vec<Zone>, DatabaseError> {
        self.query(&format!("SELECT {COLUMNS} FROM zones ORDER BY id"), &[])?.iter().map(zone).collect()
    }

    /// One zone.
    pub fn zone(&self, id: &str) -> Result<Option<Zone>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM zones WHERE id = ?1");
        self.first(&sql, &[id.into()])?.as_ref().map(zone).transpose()
    }

    /// Takes over what the files of a policy say of its settings and its integration; whether the zone is new. The
    /// rooms that the integration names come and go with it, those with rules stay.
    pub fn register_zone(&self, id: &str, files: &Sources) -> Result<bool, DatabaseError> {
        let settings = text(files, SETTINGS_FILE).unwrap_or_default();
        let parsed = settings_of(files, None);
        let integration = parsed.as_ref().and_then(|settings| text(files, settings.integration.as_ref()?));
        let known = self.zone(id)?;
        let is_same = |zone: &Zone| zone.settings_text == settings && zone.integration == integration;
        if !known.as_ref().is_some_and(is_same) {
            self.query(
                "INSERT INTO zones (id, settings, integration) VALUES (?1, ?2, ?3)
                 ON CONFLICT (id) DO UPDATE SET settings = ?2, integration = ?3, revision = revision + 1",
                &[id.into(), (&settings).into(), integration.as_ref().into()],
            )?;
        }
        let published = integration.zip(parsed).map(|(text, settings)| published_rooms(&text, &settings));
        self.sync_published_rooms(id, &published.unwrap_or_default())?;
        Ok(known.is_none())
    }

    /// Sets what the API calls the settings of a zone: JSON.
    pub fn set_zone_options(&self, zone: &Zone, options: &str) -> Result<(), DatabaseError> {
        self.query("UPDATE zones SET options = ?2 WHERE id = ?1", &[(&zone.id).into(), options.into()])?;
        self.raise_revision(&zone.id)?;
        let about = About { zone: Some(&zone.id), subject: &zone.id, ..About::default() };
        self.note("zone.settings", about, Some(zone.options.clone()), Some(options.to_owned())).map(drop)
    }

    /// Something that decisions depend on has changed.
    pub(super) fn raise_revision(&self, zone: &str) -> Result<(), DatabaseError> {
        self.query("UPDATE zones SET revision = revision + 1 WHERE id = ?1", &[zone.into()]).map(drop)
    }
}

fn text(files: &Sources, name: &str) -> Option<String> {
    files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// The ids of the rooms that an integration JSON names, as far as it can be read.
fn published_rooms(integration: &str, settings: &Settings) -> Vec<String> {
    let Ok(published) = Published::parse_delivered(integration, settings.normalize_urls) else { return Vec::new() };
    published.all.into_iter().filter_map(|(integration, _)| integration.event_id).collect()
}

fn zone(row: &Row) -> Result<Zone, DatabaseError> {
    Ok(Zone {
        id: row.text(0)?.to_owned(),
        settings_text: row.text(1)?.to_owned(),
        integration: row.maybe_text(2)?.map(str::to_owned),
        options: row.text(3)?.to_owned(),
        revision: row.integer(4)?,
        settings: OnceCell::new(),
    })
}
