//! Zones, their accounts and the caller's token: by which clients find their way; and a zone's settings (waiting-room API,
//! section 5).

use serde_json::{Map, Value as Json, json};

use super::super::body;
use super::super::failure::Failure;
use super::super::store::zones::Zone;
use super::{Call, Success};
use velvetrope::internal::fields::Fields;

pub(crate) fn list(call: &Call) -> Result<Success, Failure> {
    // A zone and its account have one name, and are in one state.
    let filters = [("name", None), ("account.id", None), ("account.name", None), ("status", Some("active"))];
    let given: Vec<_> = filters.into_iter().filter(|(name, _)| call.query.text(name).is_some()).collect();
    let is_any = call.query.text("match") == Some("any") && !given.is_empty();
    let is_wanted = |zone: &&Zone| {
        let mut fits = given.iter().map(|(name, value)| call.query.is_wanted(name, value.unwrap_or(&zone.id)));
        if is_any { fits.any(|fits| fits) } else { fits.all(|fits| fits) }
    };
    let zones = call.store.zones()?.iter().filter(is_wanted).map(json).collect();
    Ok(Success::page(call, zones))
}

pub(crate) fn get(call: &Call) -> Result<Success, Failure> {
    Ok(Success::new(&json(&call.zone()?)))
}

pub(crate) fn accounts(call: &Call) -> Result<Success, Failure> {
    let zones = call.store.zones()?;
    let is_wanted = |zone: &&Zone| call.query.is_wanted("name", &zone.id);
    Ok(Success::page(call, zones.iter().filter(is_wanted).map(account).collect()))
}

pub(crate) fn verify_token(_: &Call) -> Result<Success, Failure> {
    Ok(Success::new(&json!({ "status": "active" })))
}

pub(crate) fn settings(call: &Call) -> Result<Success, Failure> {
    Ok(Success::new(&options(&call.zone()?)))
}

pub(crate) fn replace_settings(call: &Call) -> Result<Success, Failure> {
    write(call, defaults())
}

pub(crate) fn change_settings(call: &Call) -> Result<Success, Failure> {
    let options = options(&call.zone()?);
    write(call, options)
}

fn write(call: &Call, mut options: Map<String, Json>) -> Result<Success, Failure> {
    let zone = call.zone_to_change()?;
    let (crawlers, mut doubts) = body::read(call.body, "settings", |file, node| {
        let fields = Fields::new(file, node, "the settings of the zone")?;
        let crawlers = fields.flag(CRAWLERS);
        fields.finish();
        Some(crawlers)
    })?;
    if let Some(crawlers) = crawlers {
        options.insert(CRAWLERS.into(), crawlers.into());
    }
    if options[CRAWLERS] == true {
        doubts.push(format!(
            "`{CRAWLERS}` is kept, and nothing acts on it yet; a bypass rule such as `cf.client.bot` on a Worker does"
        ));
    }
    let text = Json::Object(options.clone()).to_string();
    call.store.set_zone_options(&zone, &text)?;
    Ok(Success::new(&options).with_messages(doubts))
}

/// The audit trail of a zone.
pub(crate) fn audit(call: &Call) -> Result<Success, Failure> {
    /// How many entries a page has unless the caller says otherwise.
    const PER_PAGE: u32 = 50;
    let zone = call.zone()?;
    let before = call.query.number("before").map(i64::from);
    let count = call.query.number("per_page").unwrap_or(PER_PAGE);
    Ok(Success::new(&call.store.trail(&zone.id, None, before, count.into())?))
}

const CRAWLERS: &str = "search_engine_crawler_bypass";

fn options(zone: &Zone) -> Map<String, Json> {
    let mut options = defaults();
    options.extend(serde_json::from_str::<Map<String, Json>>(&zone.options).unwrap_or_default());
    options
}

fn defaults() -> Map<String, Json> {
    Map::from_iter([(CRAWLERS.to_owned(), Json::Bool(false))])
}

fn json(zone: &Zone) -> Json {
    let account = account(zone);
    json!({ "id": zone.id, "name": zone.id, "status": "active", "paused": false, "type": "full", "account": account })
}

fn account(zone: &Zone) -> Json {
    json!({ "id": zone.id, "name": zone.id })
}
