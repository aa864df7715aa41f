//! Requests as somebody might write who wants to get past: from pieces, by numbers.

use crate::rope::request::{Request, Version};

impl Request {
    /// The request of a number; the same for the same seed.
    pub fn generated(seed: u64, number: u64) -> Request {
        let mut dice = Dice::new(seed, number);
        let version = match dice.below(8) {
            0 => Version::Http10,
            1..=2 => Version::Http2,
            _ => Version::Http11,
        };
        let site = dice.pick(SITES);
        let mut target = path(&mut dice, site);
        let mut authority = Some(authority(&mut dice, site));
        if dice.one_in(8) {
            let (scheme, named) = (dice.pick(SCHEMES), self::authority(&mut dice, site));
            target = format!("{scheme}{named}{target}");
            authority = Some(dice.pick(SITES).host.to_owned());
        }
        if dice.one_in(60) {
            authority = None;
        }
        let method = if dice.one_in(4) { dice.pick(METHODS) } else { "GET" };
        let headers = headers(&mut dice);
        Request { version, method: method.to_owned(), target, authority, headers }
    }

    /// Each way of leaving something out, the most first.
    pub fn simpler(&self) -> Vec<Request> {
        let mut all = Vec::new();
        let mut add = |change: &dyn Fn(&mut Request)| {
            let mut simpler = self.clone();
            change(&mut simpler);
            if simpler != *self && !all.contains(&simpler) {
                all.push(simpler);
            }
        };
        add(&|request| request.version = Version::Http11);
        add(&|request| request.method = "GET".to_owned());
        add(&|request| request.headers.clear());
        for index in 0..self.headers.len() {
            add(&|request| drop(request.headers.remove(index)));
        }
        for site in SITES {
            add(&|request| {
                let host = request.authority.take().unwrap_or_default();
                let is_same = host.eq_ignore_ascii_case(site.host) || host.to_ascii_lowercase().contains(site.host);
                request.authority = Some(if is_same { site.host.to_owned() } else { host });
            });
        }
        for length in [32, 16, 8, 4, 3, 2, 1] {
            for from in 0..self.target.chars().count() {
                add(&|request| {
                    let kept = request.target.chars().enumerate().filter(|(at, _)| !(from..from + length).contains(at));
                    request.target = kept.map(|(_, char)| char).collect();
                });
            }
        }
        all
    }
}

/// A host and what it has.
struct Site {
    host: &'static str,
    /// Of the protected place, which `folds` if cases do not count there.
    paths: &'static [&'static str],
    folds: bool,
}

#[rustfmt::skip]
const SITES: &[Site] = &[
    Site { host: "shop.example", paths: &["/shop", "/shop/tickets/1", "/shop/", "/shop/assets/app.js", "/shop/assets/../tickets/1"], folds: true },
    Site { host: "tickets.example", paths: &["/presale", "/presale/x", "/presale/"], folds: false },
    Site { host: "page.example", paths: &["/buy", "/buy/x", "/buy/"], folds: true },
    Site {
        host: "named.example",
        paths: &[
            "/@artist", "/%40artist/x", "/@artist/fans/", "/@artist/help", "/live+2026", "/live%2B2026/x", "/box/office", "/box%2Foffice/x",
            "/caf%C3%A9", "/caf\u{c3}\u{a9}/menu", "/CAF%c3%89/menu", "/~user", "/%7Euser", "/last%20night", "/vip;gold", "/vip%3bgold/x",
            "/m%C3%BCnchen", "/M\u{c3}\u{9c}nchen", "/open/~owner", "/open/x/%7Eowner", "/open/caf%C3%A9", "/open/x", "/about?event=buy",
            "/about?queueittoken=z;event=buy", "/about?a=1&queueittoken=;event=buy&b",
        ],
        folds: false,
    },
    Site { host: "staff.example", paths: &["/shop", "/presale", "/buy", "/"], folds: false },
];

const SCHEMES: &[&str] = &["http://", "http://", "https://", "HTTP://", "ws://", "http:/", "http:", "//", "ftp://"];

const METHODS: &[&str] =
    &["POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "OPTIONS", "TRACE", "PROPFIND", "get", "X-GET"];

/// What may take the place of a slash, or stand beside one.
#[rustfmt::skip]
const SLASHES: &[&str] = &[
    "//", "///", "/./", "/x/../", "/x/..//", "/.//", "%2f", "%2F", "/%2f", "%2f/", "%5c", "%5C", "\\", "/\\", "\\/", "\\\\",
    "/%2e/", "/x/%2e%2e/", "/x/.%2e/", "/x/%2E./", "/;/", "/;x/", "/x/..;/", "/..;/", "/.;/", "/.;x/", "/x/..;x=1/", "/x;y/../",
    "/x/..%2f", "/x%2f..%2f", "/x%2f../", "/x/..%5c", "/x\\..\\", "/x/..\\", "%252f", "%255c", "/x/%252e%252e/", "/x/..%252f",
    "/%2e%2e;/", "/x/%2e%2e;/", "/x/..%3b/", "/%3b/", "%c0%af", "%e0%80%af", "%ef%bc%8f", "%e2%88%95", "/x/..%00/", "/%00/", "/../",
    "/../../", "/x/y/../../", "/\u{f0}\u{9f}\u{98}\u{80}/../", "/%f0%9f%98%80/../", "/&queueittoken=/../", "/&queueittoken=x/../",
    "/%09/", "/%20/", "/ /", "/%20/../", "/.%20/", "/..%20/", "/%0a/", "/?/../", "/%3f/../", "/#/../", "/%23/../", "/%/../", "/%zz/../",
    "/%u002e%u002e/", "/x/%ff/../../", "/\u{ff}/../", "/...;/", "/....//", "/.../", "/~/", "/%7e/../", "/:/", "/@/",
];

/// What may stand in a path, or behind it.
#[rustfmt::skip]
const ADDITIONS: &[&str] = &[
    ";", ";x", ";x=1", ";x/y", ";/", ";/x/..", ";x/..", "%3b", "%3bx", "%3B/", ";jsessionid=1/..", ";.js", ";/assets/..", "%00", "%00.js",
    "%0a", "%0d%0a", "%09", "%20", "+", " ", ".", "..", "%2e", "%2e%2e", "%252e", "/.", "/..", "/%2e", "/%2e%2e", "/..;", "/../", "%2f..",
    "%2f..%2f..", "%5c..%5c..", "\\..\\..", "%2f", "%5c", "\\", "%25", "%", "%2", "%zz", "%u0073", "%ff", "%c0%80", "\u{ff}", "\t",
    "\u{f0}\u{9f}\u{98}\u{80}", "%f0%9f%98%80", "\u{c5}\u{bf}", "%c5%bf", "%c2%a0", "%e2%80%8b", "%ef%bb%bf", "%cc%81", "%c2%85", "#", "#/../..",
    "%23", "?", "??", "%3f", "?x", "?/../..", "?\u{f0}\u{9f}\u{98}\u{80}", "?%f0%9f%98%80", "?queueittoken=x", "?queueittoken=z;event=buy", "?a;event=buy", "&queueittoken=%;event=buy", ";queueittoken=z&event=buy", "&queueittoken=", "&queueittoken=x",
    "&queueittoken=/../..", "&queueittoken=/x", "?&queueittoken=#", "&", "=", ":", ":80", "@", "*", "|", "^", "\"", "<", ">", "`", "{", "}", "~", "!",
    "'", "(", ")", ",", "$", "[", "]", "/x/..", "/x/../..", "/../../about", "/../about", "%2f..%2f..%2fabout", "\\..\\..\\about",
    ";/../../about", "/..;/..;/about", "/..%2f..%2fabout", "//..//..//about", "/./././", "//", "/shop/assets/", "/../shop/assets/", "/x?/shop/assets/",
];

/// What may stand before a path.
#[rustfmt::skip]
const BEFORE: &[&str] = &[
    "/x/..", "/.", "/..", "/../..", "//x", "//x/..", "/\\x", "/\\", "\\", "\\\\", "/", "//", "/shop/assets/..", "/shop/assets/../..", "/shop/assets/..;/..",
    "/shop/assets/..%2f..", "/shop/assets/..%5c..", "/shop/assets/\\..\\..", "/shop/assets/%2e%2e/..", "/shop/assets/.%2e/%2e.", "/shop/assets/;/../..",
    "/shop/assets/x//../../..", "/shop/assets/%252e%252e/%252e%252e", "/shop/assets/..%00/..", "/shop/assets%2f..%2f..", "/shop%2fassets/../..",
    "/shop/assets", "/shop/assets/x;/../../..", "/shop/assets//../..", "/shop/assets/..\\..", "/about/..", "/about%2f..", "/about;x", "/;", "/;x", "/;/", "/%3b",
    "/about&queueittoken=/..", "/&queueittoken=/..", "/&queueittoken=x/..", "/%00", "/\t", "/%20", "/%0a", "/%09", "/#", "/?", "/*", "*", "", "x", "x:", "/http://shop.example",
    "/x:80", "//shop.example", "//staff.example", "//tickets.example/x/..", "/%2f", "/%5c", "%2f", "%5c", "/.;", "/..;", "/%2e", "/%2e%2e", "/%252e%252e", "/staff/..",
    "/\u{f0}\u{9f}\u{98}\u{80}/..", "/%f0%9f%98%80/..", "/%c0%ae%c0%ae", "/%", "/%%", "/%2", "/presale/..", "/x/./..", "/x//..", "/x//../..", "/:/..", "/@/..", "/~/..",
];

const HOSTS: &[&str] =
    &["other.example", "203.0.113.9", "[::1]", "127.0.0.1", "localhost", "shop.example.evil.example", "xshop.example"];

/// A path that an origin may read as one of the protected place.
fn path(dice: &mut Dice, site: &Site) -> String {
    let mut path = if dice.one_in(10) { "/about" } else { dice.pick_of(site.paths) }.to_owned();
    if dice.one_in(12) {
        return anything(dice);
    }
    for _ in 0..dice.below(4) {
        match dice.below(9) {
            8 => path = respelled(dice, &path),
            0 => path = format!("{}{path}", dice.pick_of(BEFORE)),
            1 => path += dice.pick_of(ADDITIONS),
            2..=3 => path = spelled(dice, &path, site.folds),
            4 => insert(dice, &mut path),
            _ => path = separated(dice, &path),
        }
    }
    path
}

/// Pieces in any order.
fn anything(dice: &mut Dice) -> String {
    let mut path = String::new();
    for _ in 0..1 + dice.below(5) {
        path += match dice.below(4) {
            0 => dice.pick_of(SLASHES),
            1 => dice.pick_of(ADDITIONS),
            2 => dice.pick_of(BEFORE),
            _ => dice.pick_of(&[
                "/shop",
                "shop",
                "/presale",
                "presale",
                "/buy",
                "buy",
                "/@artist",
                "%40artist",
                "/~user",
                "/box",
                "office",
                "/assets/",
                "/x",
                "..",
            ]),
        };
    }
    path
}

/// One letter is written in another way.
fn spelled(dice: &mut Dice, path: &str, folds: bool) -> String {
    let letters: Vec<_> = path.char_indices().filter(|(_, char)| char.is_ascii_alphabetic()).collect();
    if letters.is_empty() {
        return path.to_owned();
    }
    let (at, letter) = letters[dice.below(letters.len())];
    let code = u32::from(letter);
    let other = match dice.below(7) {
        0 => format!("%{code:02x}"),
        1 => format!("%{code:02X}"),
        2 => format!("%25{code:02x}"),
        3 => format!("%u00{code:02x}"),
        4 => format!("%2525{code:02x}"),
        // A letter that is the same where cases do not count, by Unicode's rules.
        5 if folds && letter == 's' => dice.pick_of(&["%c5%bf", "\u{c5}\u{bf}"]).to_owned(),
        _ if folds => letter.to_ascii_uppercase().to_string(),
        _ => letter.to_string(),
    };
    format!("{}{other}{}", &path[..at], &path[at + 1..])
}

/// One escape is taken out or written in the other case, or one delimiter is escaped.
fn respelled(dice: &mut Dice, path: &str) -> String {
    let is_odd = |char: char| !char.is_ascii_alphanumeric() && !matches!(char, '.' | '?');
    let places: Vec<_> = path.char_indices().filter(|(at, char)| *at > 0 && is_odd(*char)).collect();
    if places.is_empty() {
        return path.to_owned();
    }
    let (at, char) = places[dice.below(places.len())];
    let digits = path.get(at + 1..at + 3).filter(|_| char == '%');
    let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let (code, length) = escaped.map_or((u32::from(char), char.len_utf8()), |byte| (byte.into(), 3));
    let plain = char::from_u32(code).filter(|plain| *plain > ' ' && *plain != '#').map(String::from);
    let other = match dice.below(5) {
        0 => format!("%{code:02x}"),
        1 => format!("%{code:02X}"),
        2 => format!("%25{code:02X}"),
        _ => plain.unwrap_or_else(|| format!("%{code:02X}")),
    };
    format!("{}{other}{}", &path[..at], &path[at + length..])
}

fn insert(dice: &mut Dice, path: &mut String) {
    let places: Vec<_> = path.char_indices().map(|(at, _)| at).collect();
    if !places.is_empty() {
        path.insert_str(places[dice.below(places.len())], dice.pick_of(ADDITIONS));
    }
}

/// One slash is something else.
fn separated(dice: &mut Dice, path: &str) -> String {
    let slashes: Vec<_> = path.match_indices('/').map(|(at, _)| at).collect();
    if slashes.is_empty() {
        return path.to_owned();
    }
    let at = slashes[dice.below(slashes.len())];
    format!("{}{}{}", &path[..at], dice.pick_of(SLASHES), &path[at + 1..])
}

fn authority(dice: &mut Dice, site: &Site) -> String {
    let host = site.host;
    if dice.below(3) > 0 {
        return host.to_owned();
    }
    match dice.below(24) {
        0 => host.to_ascii_uppercase(),
        1 => format!("{host}."),
        2 => format!("{host}:80"),
        3 => format!("{host}:"),
        4 => format!("{host}.:80"),
        5 => format!("{host}:8080"),
        6 => format!("{host}:443"),
        7 => format!("a@{host}"),
        8 => format!("staff.example@{host}"),
        9 => format!("{host}, staff.example"),
        10 => format!("staff.example, {host}"),
        11 => format!("{host}:080"),
        12 => format!("{host}.."),
        13 => format!("{host} "),
        14 => format!("{host}\t"),
        15 => format!("{host}/"),
        16 => format!("{host}%2e"),
        17 => format!("{host}%00"),
        18 => format!("{host}:80:80"),
        19 => format!("{host}#staff.example"),
        20 => format!("{}{}", host.replace('s', "S"), dice.pick_of(&["", ".", ":00080", ":65536"])),
        21 => host.replace('.', "%2e"),
        22 => format!("{host}\\"),
        _ => dice.pick_of(HOSTS).to_owned(),
    }
}

fn headers(dice: &mut Dice) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    while dice.one_in(4) {
        let host = dice.pick(SITES).host;
        let (name, value) = match dice.below(24) {
            0 => ("X_Velvetrope_Verdict", "session;room=shop"),
            1 => ("X-Velvetrope-Verdict", "session;room=shop"),
            2 => ("x-velvetrope_verdict", "bypass;rule=x"),
            3 => ("X-Forwarded-Host", host),
            4 => ("x_forwarded_host", host),
            5 => ("Forwarded", "for=192.0.2.1;host=shop.example;proto=https"),
            6 => ("Forwarded", "host=tickets.example"),
            7 => ("Sec-Fetch-Mode", "cors"),
            8 => ("Sec-Fetch-Mode", "navigate"),
            9 => ("Origin", "https://www.example"),
            10 => ("Access-Control-Request-Method", "POST"),
            11 => ("X-Queueit-Ajaxpageurl", "http%3A%2F%2Fshop.example%2Fabout"),
            12 => ("Connection", "X-Velvetrope-Verdict"),
            13 => ("Connection", "Host"),
            14 => ("Connection", "X-Forwarded-Host"),
            15 => (
                "Cookie",
                "QueueITAccepted-SDFrts345E-V3_shop=EventId%3Dshop%26QueueId%3Dx%26RedirectType%3Dqueue%26IssueTime%3D1%26Hash%3Dx",
            ),
            16 => ("X-Queueittoken", "e_shop~q_x~ts_1~rt_queue~h_x"),
            17 => ("X-Forwarded-Proto", "https"),
            18 => ("X-Forwarded-For", "127.0.0.1"),
            19 => ("Host", host),
            20 => ("Content-Length", "0"),
            21 => ("X-Forwarded-Host", "other.example, shop.example"),
            22 => ("X-Forwarded-Port", "80"),
            _ => ("Upgrade-Insecure-Requests", "1"),
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    headers
}

/// Numbers that are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn new(seed: u64, number: u64) -> Dice {
        let mut dice = Dice(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn pick_of(&mut self, all: &[&'static str]) -> &'static str {
        all[self.below(all.len())]
    }
}
