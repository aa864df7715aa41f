//! Rules by themselves: from text to a verdict. `cargo run --example eval`

use std::error::Error;

use velvetrope::{Field, Request, Rules};

fn main() -> Result<(), Box<dyn Error>> {
    let rules = Rules::builder()
        .list("admins", ["192.0.2.0/24", "2001:db8::/32"])
        .rule("admins", "ip.src in $admins")
        .rule("assets", r#"starts_with(http.request.uri.path, "/assets/")"#)
        .rule("islands", r#"ip.src.country in {"FO" "GL"} and http.host eq "tickets.example""#)
        .compile()?;

    let shop = || Request::get("https://tickets.example/shop");
    for (who, request) in [
        ("a visitor", shop().client_ip("203.0.113.1".parse()?)),
        ("an admin", shop().client_ip("192.0.2.7".parse()?)),
        ("a browser", Request::get("https://tickets.example/assets/logo.svg")),
        // What only a host knows of a request, such as the country of an address, is said as facts.
        ("an islander", shop().fact(Field::IpSrcCountry, "FO")),
    ] {
        println!("{who}: {}", rules.first_match(&request)?.unwrap_or("no rule"));
    }

    // Mistakes are told with their place, and with what to write instead.
    if let Err(mistakes) = "ends_with(http.request.uri.pth, \"/\")".parse::<Rules>() {
        println!("\n{mistakes}");
    }
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("what is shown here works");
}
