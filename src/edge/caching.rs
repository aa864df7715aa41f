//! What caches may keep of an origin's response that belongs to one visitor (RFC 9111; RFC 9213).

/// What has to be changed in the headers of such a response.
#[derive(Debug, PartialEq, Eq)]
pub struct Private<'h> {
    /// The value of the one Cache-Control that it gets in place of all it has.
    pub cache_control: String,
    /// Headers that it must not keep: shared caches heed them before Cache-Control.
    pub unfit: Vec<&'h str>,
}

/// What makes a response with these headers (names in lower case) private. No shared cache keeps it then; what else the
/// origin said of caching stays, and where it did not say for how long, the visitor's own cache asks each time.
pub fn private<'h>(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Private<'h> {
    let (mut lines, mut expires, mut unfit) = (Vec::new(), false, Vec::new());
    for (name, value) in headers {
        match name {
            "cache-control" => lines.push(value),
            "expires" => expires = true,
            _ if is_heeded_first(name) && !unfit.contains(&name) => unfit.push(name),
            _ => {}
        }
    }
    // Several lines are one list (RFC 9110, section 5.3).
    let list = String::from_utf8(lines.join(&b", "[..])).ok();
    let directives = list.as_deref().and_then(directives);
    let cache_control = directives.map_or_else(|| "private, no-store".to_owned(), |said| merged(&said, expires));
    Private { cache_control, unfit }
}

/// Whether shared caches of some kind or vendor take this header for Cache-Control's better.
fn is_heeded_first(name: &str) -> bool {
    name.ends_with("cdn-cache-control")
        || matches!(name, "surrogate-control" | "edge-control" | "x-accel-expires" | "x-litespeed-cache-control")
}

fn merged(said: &[&str], expires: bool) -> String {
    let kept = said.iter().filter(|directive| !matches!(&*name(directive), "public" | "private" | "s-maxage"));
    let mut all: Vec<&str> = std::iter::once("private").chain(kept.copied()).collect();
    if !says_how_long(said, expires) {
        all.push("no-cache");
    }
    all.join(", ")
}

/// Whether nothing is left to a cache's guess (RFC 9111, section 4.2.2). With field names, `no-cache` is about those.
fn says_how_long(said: &[&str], expires: bool) -> bool {
    let ages: Vec<&str> = said.iter().filter(|directive| name(directive) == "max-age").copied().collect();
    let is_number = |directive: &&str| {
        let value = directive.split_once('=').map_or("", |(_, value)| value.trim().trim_matches('"'));
        !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
    };
    let by_age = if ages.is_empty() { expires } else { ages.iter().all(is_number) };
    by_age || said.iter().any(|directive| matches!(&*directive.to_ascii_lowercase(), "no-store" | "no-cache"))
}

fn name(directive: &str) -> String {
    directive.split('=').next().unwrap_or_default().trim_end().to_ascii_lowercase()
}

/// The members of the list; `None` where a quoted text does not end.
fn directives(list: &str) -> Option<Vec<&str>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let separates = |character: char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            '"' if !was_escaped => is_quoted = !is_quoted,
            '\\' if is_quoted && !was_escaped => is_escaped = true,
            _ => {}
        }
        character == ',' && !is_quoted
    };
    let parts: Vec<&str> = list.split(separates).map(str::trim).filter(|part| !part.is_empty()).collect();
    (!is_quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_control(headers: &[(&str, &str)]) -> String {
        private(headers.iter().map(|(name, value)| (*name, value.as_bytes()))).cache_control
    }

    #[test]
    fn what_else_the_origin_said_stays() {
        for (said, becomes) in [
            ("max-age=60", "private, max-age=60"),
            ("public, max-age=60", "private, max-age=60"),
            ("Public, Max-Age = 60", "private, Max-Age = 60"),
            ("s-maxage=600, max-age=60, stale-while-revalidate=30", "private, max-age=60, stale-while-revalidate=30"),
            ("no-store", "private, no-store"),
            ("private", "private, no-cache"),
            ("private, max-age=0", "private, max-age=0"),
            ("max-age=60, private=\"set-cookie, x-a\", must-revalidate", "private, max-age=60, must-revalidate"),
            ("no-cache", "private, no-cache"),
            ("NO-CACHE", "private, NO-CACHE"),
            ("no-cache=\"set-cookie\"", "private, no-cache=\"set-cookie\", no-cache"),
            ("a=\"x\\\", public, y\", public, max-age=1", "private, a=\"x\\\", public, y\", max-age=1"),
            (" ,, max-age=\"60\" ,", "private, max-age=\"60\""),
        ] {
            assert_eq!(cache_control(&[("cache-control", said)]), becomes, "{said}");
        }
    }

    #[test]
    fn nothing_is_left_to_guess() {
        for said in
            ["", "public", "immutable", "s-maxage=600", "must-revalidate", "max-age=soon", "max-age", "max-age=-1"]
        {
            let told = cache_control(&[("cache-control", said)]);
            assert!(told.starts_with("private, ") && told.ends_with(", no-cache"), "{said}: {told}");
        }
        assert_eq!(cache_control(&[]), "private, no-cache");
        assert_eq!(cache_control(&[("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")]), "private, no-cache");
        let expires = ("expires", "Fri, 01 Jan 2100 00:00:00 GMT");
        assert_eq!(cache_control(&[expires]), "private");
        assert_eq!(cache_control(&[expires, ("cache-control", "public")]), "private");
        assert_eq!(cache_control(&[expires, ("cache-control", "max-age=x")]), "private, max-age=x, no-cache");
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = [("cache-control", "public"), ("cache-control", "max-age=60"), ("cache-control", "s-maxage=9")];
        assert_eq!(cache_control(&lines), "private, max-age=60");
    }

    #[test]
    fn what_cannot_be_read_is_not_stored() {
        assert_eq!(cache_control(&[("cache-control", "a=\"b, max-age=60")]), "private, no-store");
        assert_eq!(private([("cache-control", &b"max-age=60, \xff"[..])]).cache_control, "private, no-store");
    }

    #[test]
    fn no_other_header_speaks_to_shared_caches() {
        let names = [
            "cdn-cache-control",
            "cloudflare-cdn-cache-control",
            "surrogate-control",
            "edge-control",
            "x-accel-expires",
            "x-litespeed-cache-control",
        ];
        let all = names.into_iter().chain(["age", "surrogate-control", "vary", "etag"]);
        assert_eq!(private(all.map(|name| (name, &b"max-age=60"[..]))).unfit, names);
    }
}
