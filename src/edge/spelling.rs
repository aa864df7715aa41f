//! Names of headers that an origin may take for others.
//!
//! CGI and its heirs (WSGI, Rack, PHP) tell origins of headers in variables, in whose names every character that is no
//! letter and no digit has become `_` (RFC 3875, section 4.1.18): `X_Velvetrope_Verdict` is `X-Velvetrope-Verdict` to them.

/// Tells the origin what was decided: `pass`, `bypass;rule=ID`, `session;room=ID`, `token;room=ID`,
/// `direct-pass;room=ID`, `preflight`, `cancel`, `ignore` or `failed-open`. The client's own header of this name is removed.
pub const VERDICT_HEADER: &str = "x-velvetrope-verdict";

/// See [`is_target_header`].
const TARGET_HEADERS: [&str; 6] =
    ["x-original-url", "x-original-uri", "x-rewrite-url", "x-original-host", "x-host", "x-http-host-override"];

/// Whether an origin may take a header or trailer of this name for the one that tells the verdict.
pub fn is_verdict_header(name: &str) -> bool {
    is_taken_for(name, VERDICT_HEADER)
}

/// Whether an origin may take a header or trailer of this name for one in which proxies say who asked for what:
/// `Forwarded` (RFC 7239), `X-Forwarded-…`, `X-Real-IP`, and those of [`is_target_header`].
pub fn is_forwarding_header(name: &str) -> bool {
    const X_FORWARDED: &str = "x-forwarded-";
    let start = name.get(..X_FORWARDED.len());
    start.is_some_and(|start| is_taken_for(start, X_FORWARDED))
        || is_taken_for(name, "forwarded")
        || is_taken_for(name, "x-real-ip")
        || is_target_header(name)
}

/// Names under which a visitor can tell an origin what no visitor may, for hosts that must name what they remove without
/// having seen it: those of [`is_verdict_header`] and [`is_forwarding_header`] in the spellings that servers are known to
/// fold, but for what proxies write themselves in front of a host (`x-forwarded-for` and its kin, spelt as usual). They are
/// few enough for one message: Envoy refuses a change that removes more than 100 headers.
pub fn nameable_forgeries() -> Vec<String> {
    const WRITTEN_BY_PROXIES: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-real-ip"];
    let told_by_nobody = [VERDICT_HEADER, "forwarded", "x-forwarded-host"].iter().chain(&TARGET_HEADERS);
    let all = told_by_nobody.flat_map(|name| spellings(name));
    let odd = WRITTEN_BY_PROXIES.iter().flat_map(|name| spellings(name)).filter(|name| is_oddly_spelt(name));
    all.chain(odd).collect()
}

/// A name with `-` and `_` in each of its places.
fn spellings(name: &str) -> Vec<String> {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(vec![first], |starts, word| {
        starts.iter().flat_map(|start| ['-', '_'].map(|between| format!("{start}{between}{word}"))).collect()
    })
}

/// Whether a name has anything but letters, digits and `-`, as no proxy writes the headers of this kind.
pub fn is_oddly_spelt(name: &str) -> bool {
    name.bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-')
}

/// Whether a line of `Forwarded` names a host (RFC 7239, section 5.3), or could be read so.
pub fn names_host(line: &[u8]) -> bool {
    line.to_ascii_lowercase().windows(b"host".len()).any(|part| part == b"host")
}

/// Whether an origin may take what a header of this name holds for the host or the target that is asked for, instead of those
/// of the request: what rewriting servers and frameworks leave there for what stands behind them.
pub fn is_target_header(name: &str) -> bool {
    TARGET_HEADERS.iter().any(|known| is_taken_for(name, known))
}

/// Whether a name is another one but for letter case and for which characters stand between letters and digits.
/// `known` is in lower case, with `-`.
pub fn is_taken_for(name: &str, known: &str) -> bool {
    let folded = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == known.len() && name.bytes().map(folded).eq(known.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_named_unseen_is_named() {
        let named = nameable_forgeries();
        assert!((40..=100).contains(&named.len()), "{}", named.len());
        for name in ["x-velvetrope-verdict", "x_velvetrope-verdict", "x_forwarded_host", "forwarded", "x_forwarded_for"]
        {
            assert!(named.iter().any(|known| known == name), "{name}");
        }
        for name in &named {
            assert!(is_verdict_header(name) || is_forwarding_header(name), "{name}");
        }
        for kept in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-real-ip"] {
            assert!(!named.iter().any(|known| known == kept), "{kept} is the word of who asks");
        }
    }

    #[test]
    fn every_spelling_is_found_and_nothing_else() {
        for name in ["x-velvetrope-verdict", "X_Velvetrope_Verdict", "X-VELVETROPE_verdict", "x.velvetrope-verdict"] {
            assert!(is_verdict_header(name), "{name}");
        }
        for name in ["x-velvetrope-verdicts", "xx-velvetrope-verdict", "x--velvetrope-verdict", "", "verdict"] {
            assert!(!is_verdict_header(name), "{name}");
        }
        for name in [
            "Forwarded",
            "x-forwarded-for",
            "X_Forwarded_Host",
            "x-forwarded-",
            "X-Real_IP",
            "X_Original-URL",
            "X-Host",
        ] {
            assert!(is_forwarding_header(name), "{name}");
        }
        for name in ["x-forwarded", "forwarded-for", "x-real-ips", "é-forwarded-for", "x-forwarde\u{e9}-"] {
            assert!(!is_forwarding_header(name), "{name}");
        }
    }
}
