//! Countries (ISO 3166-1 alpha-2): their codes, their continents, and which of them are in the European Union.

/// The officially assigned codes and Kosovo's user-assigned one, by continent. Continents are those of GeoNames
/// (countryInfo.txt, 2026), as geography services have them.
const BY_CONTINENT: [(&str, &str); 7] = [
    (
        "AF",
        "\
     AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE \
     NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
    ),
    (
        "AN",
        "\
     AQ BV GS HM TF",
    ),
    (
        "AS",
        "\
     AE AF AM AZ BD BH BN BT CC CN GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH \
     PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE",
    ),
    (
        "EU",
        "\
     AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK \
     MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
    ),
    (
        "NA",
        "\
     AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT \
     US VC VG VI",
    ),
    (
        "OC",
        "\
     AS AU CK CX FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS",
    ),
    (
        "SA",
        "\
     AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
    ),
];

/// Where Cloudflare documents that `ip.src.is_in_european_union` is true.
const EUROPEAN_UNION: &str = "\
     AT AX BE BG CY CZ DE DK EE ES FI FR GF GP GR HR HU IE IT LT LU LV MF MQ MT NL PL PT RE RO SE SI SK YT";

/// What geography services say besides, and no continent has: unknown.
const UNKNOWN: &str = "XX";

/// What Cloudflare calls the Tor network, as a country and as a continent.
const TOR: &str = "T1";

/// Whether a country field can have this value.
pub fn is_country(code: &[u8]) -> bool {
    code == UNKNOWN.as_bytes() || continent(code).is_some()
}

/// The code of the continent that a country is on.
pub fn continent(code: &[u8]) -> Option<&'static str> {
    if code == TOR.as_bytes() {
        return Some(TOR);
    }
    BY_CONTINENT.iter().find(|(_, countries)| is_among(code, countries)).map(|(continent, _)| *continent)
}

/// Whether a country counts as one of the European Union.
pub fn is_in_european_union(code: &[u8]) -> bool {
    is_among(code, EUROPEAN_UNION)
}

fn is_among(code: &[u8], countries: &str) -> bool {
    countries.split(' ').any(|country| country.as_bytes() == code)
}

/// The code that was probably meant.
pub fn meant_country(code: &[u8]) -> Option<String> {
    let upper = String::from_utf8(code.to_ascii_uppercase()).ok()?;
    let meant = match upper.as_str() {
        "UK" => "GB".to_owned(),
        "EL" => "GR".to_owned(),
        _ => upper,
    };
    is_country(meant.as_bytes()).then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_on_one_continent() {
        let mut codes: Vec<&str> = BY_CONTINENT.iter().flat_map(|(_, countries)| countries.split(' ')).collect();
        assert_eq!(codes.len(), 250, "249 of ISO 3166-1, and Kosovo");
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 250);
        assert!(EUROPEAN_UNION.split(' ').all(|code| is_country(code.as_bytes())));
    }

    #[test]
    fn what_follows_from_a_country() {
        for (code, expected, is_in_union) in [
            ("DE", Some("EU"), true),
            ("CH", Some("EU"), false),
            ("CY", Some("EU"), true),
            ("GF", Some("SA"), true),
            ("US", Some("NA"), false),
            ("T1", Some("T1"), false),
            ("XX", None, false),
            ("de", None, false),
            ("D", None, false),
            ("", None, false),
        ] {
            let code = code.as_bytes();
            assert_eq!((continent(code), is_in_european_union(code)), (expected, is_in_union), "{code:?}");
        }
        assert!(is_country(b"XK") && is_country(b"XX") && is_country(b"T1") && !is_country(b"UK"));
    }
}
