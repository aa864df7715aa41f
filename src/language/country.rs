//! Country codes (ISO 3166-1 alpha-2), for warnings only.

/// The officially assigned codes, two letters each, in order.
const ASSIGNED: &str = "\
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD \
CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF \
GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN \
KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA \
NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI \
SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI \
VN VU WF WS YE YT ZA ZM ZW";

/// What geography services say besides: Tor, unknown, and Kosovo's user-assigned code.
const BESIDES: [&[u8; 2]; 3] = [b"T1", b"XX", b"XK"];

/// Whether a country field can have this value.
pub fn is_country(code: &[u8]) -> bool {
    let assigned = ASSIGNED.as_bytes().chunks(3).filter_map(<[u8]>::first_chunk::<2>);
    <[u8; 2]>::try_from(code).is_ok_and(|code| assigned.chain(BESIDES).any(|known| *known == code))
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
