use super::*;
use bumpalo::Bump;

/// What `request` says of the field `name`, as text.
fn ask(request: &OwnedRequest, name: &str) -> String {
    let arena = Bump::new();
    let field = Field::by_name(name).unwrap_or_else(|| panic!("{name}"));
    request.with_view(|view| show(view.field(field.into(), &arena)))
}

fn entry(request: &OwnedRequest, name: &str, key: &str) -> String {
    let arena = Bump::new();
    let field = Field::by_name(name).unwrap_or_else(|| panic!("{name}"));
    request.with_view(|view| {
        let entry = view.entry(field.into(), key.as_bytes(), &arena);
        let whole = view.field(field.into(), &arena).and_then(|map| map.get(key.as_bytes()));
        assert_eq!(entry, whole, "{name}[{key}]");
        show(entry)
    })
}

fn show(value: Option<Value<'_>>) -> String {
    match value {
        None => "missing".to_owned(),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Int(value)) => value.to_string(),
        Some(Value::Ip(value)) => value.to_string(),
        Some(Value::Bytes(value)) => String::from_utf8_lossy(value).into_owned(),
        Some(Value::Array(values)) => {
            format!("[{}]", values.iter().map(|&value| show(Some(value))).collect::<Vec<_>>().join("|"))
        }
        Some(Value::Map(entries)) => {
            let entry =
                |(key, value): &(&[u8], Value<'_>)| format!("{}={}", String::from_utf8_lossy(key), show(Some(*value)));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join("|"))
        }
    }
}

#[test]
fn the_url_fields() {
    let request = OwnedRequest::new("https://u@Shop.example:8443//a/./Img.PNG?x=1&y&x=%20&&=z#frag");
    for (field, expected) in [
        ("http.host", "Shop.example:8443"),
        ("http.request.uri", "/a/Img.PNG?x=1&y&x=%20&&=z"),
        ("http.request.uri.path", "/a/Img.PNG"),
        ("http.request.uri.path.extension", "png"),
        ("http.request.uri.query", "x=1&y&x=%20&&=z"),
        ("http.request.uri.args", "{=[z]|x=[1|%20]|y=[]}"),
        ("http.request.uri.args.names", "[x|y|x|]"),
        ("http.request.uri.args.values", "[1||%20|z]"),
        ("http.request.full_uri", "https://u@Shop.example:8443/a/Img.PNG?x=1&y&x=%20&&=z"),
        ("raw.http.request.uri", "//a/./Img.PNG?x=1&y&x=%20&&=z"),
        ("raw.http.request.uri.path", "//a/./Img.PNG"),
        ("raw.http.request.full_uri", "https://u@Shop.example:8443//a/./Img.PNG?x=1&y&x=%20&&=z"),
        ("ssl", "true"),
        ("cf.edge.server_port", "8443"),
        ("tcp.dstport", "8443"),
    ] {
        assert_eq!(ask(&request, field), expected, "{field}");
    }
    assert_eq!(entry(&request, "http.request.uri.args", "x"), "[1|%20]");
    assert_eq!(entry(&request, "http.request.uri.args", "X"), "missing");
}

#[test]
fn a_url_without_a_path() {
    let request = OwnedRequest::new("http://shop.example?q");
    for (field, expected) in [
        ("http.request.uri", "/?q"),
        ("raw.http.request.uri", "/?q"),
        ("http.request.uri.path", "/"),
        ("http.request.full_uri", "http://shop.example/?q"),
        ("http.request.uri.path.extension", ""),
        ("ssl", "false"),
        ("tcp.dstport", "80"),
    ] {
        assert_eq!(ask(&request, field), expected, "{field}");
    }
}

#[test]
fn extensions() {
    for (path, expected) in
        [("/a.tar.GZ", "gz"), ("/.mp3", ""), ("/a.", ""), ("/a", ""), ("/a.b/c", ""), ("/a%2Ejs", "js"), ("/a.js/", "")]
    {
        assert_eq!(ask(&OwnedRequest::new(format!("http://h{path}")), "http.request.uri.path.extension"), expected);
    }
}

#[test]
fn headers_and_what_is_made_of_them() {
    let request = OwnedRequest::new("http://h/")
        .method("get")
        .header("Host", "Given.example")
        .header("X-A", "1")
        .header("x-a", "2")
        .header("User-Agent", "UA")
        .header("Cookie", "a=1; b%20c=%zz")
        .header("cookie", "a=2=3")
        .header("X-Forwarded-For", "192.0.2.1")
        .header("X-Forwarded-For", "192.0.2.2")
        .header("Accept-Language", "fr-CH, fr;q=0.8, en; q=0.9, xx;q=0, de;q=0.7, *;q=0.5");
    for (field, expected) in [
        ("http.host", "given.example"),
        ("http.request.method", "GET"),
        ("http.user_agent", "UA"),
        ("http.referer", ""),
        ("http.x_forwarded_for", "192.0.2.1, 192.0.2.2"),
        ("http.cookie", "a=1; b%20c=%zz; a=2=3"),
        ("http.request.cookies", "{a=[1|2=3]|b c=[%zz]}"),
        ("http.request.accepted_languages", "[fr-CH|en|fr|de|*]"),
        ("http.request.headers.truncated", "false"),
    ] {
        assert_eq!(ask(&request, field), expected, "{field}");
    }
    assert_eq!(
        ask(&request, "http.request.headers.names"),
        "[accept-language|cookie|cookie|host|user-agent|x-a|x-a|x-forwarded-for|x-forwarded-for]"
    );
    assert!(ask(&request, "http.request.headers.values").ends_with("|UA|1|2|192.0.2.1|192.0.2.2]"));
    assert_eq!(entry(&request, "http.request.headers", "x-a"), "[1|2]");
    assert_eq!(entry(&request, "http.request.headers", "X-A"), "missing");
    assert_eq!(entry(&request, "http.request.headers", "none"), "missing");
    assert_eq!(entry(&request, "http.request.cookies", "b c"), "[%zz]");
}

#[test]
fn time_address_and_facts() {
    let address = "192.0.2.7".parse().expect("an address");
    let request = OwnedRequest::new("http://h/")
        .received_ms(1_700_000_000_123)
        .client_ip(address)
        .fact(Field::IpSrcCountry, "DK")
        .fact(Field::IpSrcAsnum, 64500);
    for (field, expected) in [
        ("http.request.timestamp.sec", "1700000000"),
        ("http.request.timestamp.msec", "123"),
        ("ip.src", "192.0.2.7"),
        ("ip.src.country", "DK"),
        ("ip.src.asnum", "64500"),
        ("ip.src.city", "missing"),
        ("http.request.version", "HTTP/1.1"),
    ] {
        assert_eq!(ask(&request, field), expected, "{field}");
    }
    assert_eq!(ask(&OwnedRequest::new("http://h/"), "ip.src"), "missing");
}

#[test]
fn large_and_odd_requests_have_answers() {
    let cookies: Vec<String> = (0..10_000).map(|number| format!("c{}=%{number}", number % 5_000)).collect();
    let arguments: Vec<String> = (0..10_000).map(|number| format!("a{number}")).collect();
    let request = OwnedRequest::new(format!("http://h/%?{}", arguments.join("&")))
        .header("cookie", cookies.join("; "))
        .header("x-big", vec![b'x'; 1 << 20])
        .header("x-odd", b"\xff\0\xfe".to_vec())
        .header("", "");
    let arena = Bump::new();
    request.with_view(|view| {
        for &field in Field::ALL {
            view.field(field.into(), &arena);
            view.entry(field.into(), b"c4999", &arena);
        }
        let Some(Value::Map(cookies)) = view.field(Field::HttpRequestCookies.into(), &arena) else { panic!() };
        assert_eq!(cookies.len(), 5_000);
    });
    for odd in ["", "?", "#", "://", "http://", "%", "http://[", "http://h:99999999/", "http://h/\0é%"] {
        let request = OwnedRequest::new(odd);
        request.with_view(|view| {
            Field::ALL.iter().for_each(|&field| {
                view.field(field.into(), &arena);
            })
        });
    }
}
