//! Where an address is, from MMDB files (`geoip` in `velvetrope.toml`), for hosts whose platform does not tell.
//!
//! Whatever a database does not know stays missing. A file is read into memory whole: mapping a file that somebody
//! replaces in place would be undefined behaviour.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bumpalo::Bump;
use maxminddb::{Reader, geoip2};

use velvetrope::internal::policy::GeoIp;
use velvetrope::internal::request::{Facts, Field, Value};

/// The databases that were configured, open.
#[derive(Default)]
pub struct GeoDatabases {
    /// The city database, or else the country database: what is asked of the latter is in the former, too.
    places: Option<Reader<Vec<u8>>>,
    /// The country database, where there is a city database besides.
    countries: Option<Reader<Vec<u8>>>,
    networks: Option<Reader<Vec<u8>>>,
    /// What was opened, and how it looked from outside then.
    opened: Vec<(Option<Version>, PathBuf)>,
}

/// When a file was written, and how long it is.
type Version = (SystemTime, u64);

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}; name an MMDB file under `geoip` in velvetrope.toml, or leave the entry out", path.display())]
pub struct GeoError {
    path: PathBuf,
    #[source]
    reason: Unusable,
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error("not a usable MMDB file: {0}")]
    Format(#[from] maxminddb::MaxMindDbError),
}

impl GeoDatabases {
    /// Opens what `settings` name; relative names are relative to `folder`.
    pub fn open(settings: &GeoIp, folder: &Path) -> Result<GeoDatabases, GeoError> {
        let opened = Self::files(settings, folder).into_iter().map(|file| (version(&file), file)).collect();
        let open = |name: &Option<String>| name.as_ref().map(|name| read(&folder.join(name))).transpose();
        let (city, country) = (open(&settings.city)?, open(&settings.country)?);
        let (places, countries) = if city.is_some() { (city, country) } else { (country, None) };
        Ok(GeoDatabases { places, countries, networks: open(&settings.asn)?, opened })
    }

    /// Whether the files are still the ones that were opened.
    pub fn is_current(&self) -> bool {
        self.opened.iter().all(|(opened, file)| version(file) == *opened)
    }

    /// The files that `settings` name, for watching them.
    pub fn files(settings: &GeoIp, folder: &Path) -> Vec<PathBuf> {
        [&settings.country, &settings.city, &settings.asn].into_iter().flatten().map(|name| folder.join(name)).collect()
    }

    /// What is known of an address.
    pub fn of(&self, address: Option<IpAddr>) -> GeoFacts<'_> {
        GeoFacts { databases: self, address }
    }
}

fn read(path: &Path) -> Result<Reader<Vec<u8>>, GeoError> {
    let opened = std::fs::read(path).map_err(Unusable::from).and_then(|bytes| Ok(Reader::from_source(bytes)?));
    opened.map_err(|reason| GeoError { path: path.to_owned(), reason })
}

fn version(path: &Path) -> Option<Version> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// What is known of one address. Nothing is looked up before a field asks.
#[derive(Clone, Copy)]
pub struct GeoFacts<'d> {
    databases: &'d GeoDatabases,
    address: Option<IpAddr>,
}

impl<'d> GeoFacts<'d> {
    /// The city record; a country database's records are read as city records that lack most.
    fn place(&self) -> Option<geoip2::City<'d>> {
        lookup(self.databases.places.as_ref()?, self.address?)
    }

    /// The record to ask for country and continent.
    fn country(&self) -> Option<geoip2::City<'d>> {
        let reader = self.databases.countries.as_ref().or(self.databases.places.as_ref())?;
        lookup(reader, self.address?)
    }

    fn asn(&self) -> Option<i64> {
        let record: geoip2::Asn<'d> = lookup(self.databases.networks.as_ref()?, self.address?)?;
        record.autonomous_system_number.map(i64::from)
    }

    fn text(&self, field: Field, arena: &'d Bump) -> Option<&'d str> {
        // The databases have the part behind the country.
        let subdivision = |index: usize| {
            let place = self.place()?;
            let (country, code) = (place.country.iso_code?, place.subdivisions.get(index)?.iso_code?);
            Some(bumpalo::format!(in arena, "{}-{}", country, code).into_bump_str())
        };
        match field {
            Field::IpSrcCountry => self.country()?.country.iso_code,
            Field::IpSrcContinent => self.country()?.continent.code,
            Field::IpSrcCity => self.place()?.city.names.english,
            Field::IpSrcRegion => self.place()?.subdivisions.first()?.names.english,
            Field::IpSrcRegionCode => self.place()?.subdivisions.first()?.iso_code,
            Field::IpSrcSubdivision1 => subdivision(0),
            Field::IpSrcSubdivision2 => subdivision(1),
            Field::IpSrcPostalCode => self.place()?.postal.code,
            Field::IpSrcMetroCode => {
                Some(bumpalo::format!(in arena, "{}", self.place()?.location.metro_code?).into_bump_str())
            }
            Field::IpSrcLat => Some(bumpalo::format!(in arena, "{}", self.place()?.location.latitude?).into_bump_str()),
            Field::IpSrcLon => {
                Some(bumpalo::format!(in arena, "{}", self.place()?.location.longitude?).into_bump_str())
            }
            Field::IpSrcTimezoneName => self.place()?.location.time_zone,
            _ => None,
        }
    }
}

impl Facts for GeoFacts<'_> {
    fn fact<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        let facts: GeoFacts<'a> = *self;
        match field {
            Field::IpSrcAsnum => facts.asn().map(Value::Int),
            Field::IpSrcIsInEuropeanUnion => {
                // The databases write it down for members only.
                let country = facts.country()?.country;
                country.iso_code.map(|_| Value::Bool(country.is_in_european_union.unwrap_or(false)))
            }
            _ => facts.text(field, arena).map(|text| Value::Bytes(text.as_bytes())),
        }
    }
}

/// A record, if the database has one that can be read. A broken record is as good as none: the visitor cannot help it.
fn lookup<'d, T: serde::Deserialize<'d>>(reader: &'d Reader<Vec<u8>>, address: IpAddr) -> Option<T> {
    reader.lookup(address).ok()?.decode().ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(country: Option<&str>, city: Option<&str>, asn: Option<&str>) -> GeoIp {
        let [country, city, asn] = [country, city, asn].map(|name| name.map(str::to_owned));
        GeoIp { country, city, asn }
    }

    fn databases(settings: &GeoIp) -> GeoDatabases {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/data/mmdb");
        GeoDatabases::open(settings, &folder).expect("test databases")
    }

    const CITY: Option<&str> = Some("GeoIP2-City-Test.mmdb");
    const COUNTRY: Option<&str> = Some("GeoIP2-Country-Test.mmdb");
    const ASN: Option<&str> = Some("GeoLite2-ASN-Test.mmdb");

    fn show(databases: &GeoDatabases, address: &str, field: Field) -> String {
        let arena = Bump::new();
        let facts = databases.of(Some(address.parse().expect("an address")));
        match facts.fact(field, &arena) {
            None => "missing".into(),
            Some(Value::Bytes(text)) => String::from_utf8_lossy(text).into_owned(),
            Some(value) => format!("{value:?}"),
        }
    }

    #[test]
    fn a_city_database_tells_everything_but_the_network() {
        let databases = databases(&settings(None, CITY, None));
        let sweden = "89.160.20.112";
        for (field, expected) in [
            (Field::IpSrcCountry, "SE"),
            (Field::IpSrcContinent, "EU"),
            (Field::IpSrcIsInEuropeanUnion, "Bool(true)"),
            (Field::IpSrcCity, "Linköping"),
            (Field::IpSrcRegion, "Östergötland County"),
            (Field::IpSrcRegionCode, "E"),
            (Field::IpSrcSubdivision1, "SE-E"),
            (Field::IpSrcSubdivision2, "missing"),
            (Field::IpSrcLat, "58.4167"),
            (Field::IpSrcTimezoneName, "Europe/Stockholm"),
            (Field::IpSrcAsnum, "missing"),
            (Field::Ssl, "missing"),
        ] {
            assert_eq!(show(&databases, sweden, field), expected, "{field:?}");
        }
        assert_eq!(show(&databases, "2.125.160.216", Field::IpSrcSubdivision2), "GB-WBK");
        assert_eq!(show(&databases, "216.160.83.56", Field::IpSrcMetroCode), "819");
        assert_eq!(show(&databases, "216.160.83.56", Field::IpSrcIsInEuropeanUnion), "Bool(false)");
    }

    #[test]
    fn country_and_network_come_from_their_own_databases() {
        let databases = databases(&settings(COUNTRY, None, ASN));
        assert_eq!(show(&databases, "89.160.20.112", Field::IpSrcCountry), "SE");
        assert_eq!(show(&databases, "89.160.20.112", Field::IpSrcCity), "missing");
        assert_eq!(show(&databases, "1.128.0.0", Field::IpSrcAsnum), "Int(1221)");
        assert_eq!(show(&databases, "127.0.0.1", Field::IpSrcCountry), "missing");
        assert_eq!(show(&databases, "127.0.0.1", Field::IpSrcIsInEuropeanUnion), "missing");
    }

    #[test]
    fn what_is_no_database_is_refused_by_name() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        for name in ["Cargo.toml", "none.mmdb"] {
            let error = GeoDatabases::open(&settings(Some(name), None, None), folder).err().expect("an error");
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(GeoDatabases::default().of(None).fact(Field::IpSrcCountry, &Bump::new()).is_none());
    }
}
