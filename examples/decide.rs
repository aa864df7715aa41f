//! From a policy to what becomes of requests: the one in `examples/ticketing`. `cargo run --example decide`

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use velvetrope::{Next, Policy, Request, Secrets};

/// What the policy is made of. Where they are kept is up to whoever compiles it.
const FILES: [&str; 6] = [
    "velvetrope.toml",
    "integration.json",
    "rooms.json",
    "rules/ticketshop.json",
    "rules/everywhere.json",
    "lists/admins.txt",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ticketing");
    let texts = FILES.map(|file| fs::read(folder.join(file)).map(|text| (file, text)));
    let policy = Policy::from_texts(texts.into_iter().collect::<Result<Vec<_>, _>>()?)?;
    // In earnest it comes from where secrets are kept, and the time from the clock.
    let secrets = Secrets::new("an example, which guards nothing", None);
    let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);

    for request in [
        Request::get("https://tickets.example/"),
        Request::get("https://tickets.example/shop"),
        Request::get("https://tickets.example/shop").client_ip("192.0.2.10".parse()?),
        Request::get("https://tickets.example/shop?queueittoken=e_ticketshop~h_forged"),
        Request::get("https://tickets.example/%"),
    ] {
        let decided = policy.decide(&request, &secrets, now);
        print!("{:<62} {}: ", request.url, decided.label);
        match &decided.next {
            Next::Pass { response_headers, .. } => {
                let rule = decided.rule.as_deref().map(|rule| format!(", by rule {rule}")).unwrap_or_default();
                println!("goes on to the site{rule}; {} headers are added to its response", response_headers.len());
            }
            Next::Redirect { location, .. } => println!("goes to {}", location.split('?').next().unwrap_or_default()),
            Next::Answer { status, body, .. } => println!("is answered {status}: {body}"),
            _ => println!("is for a later version to say"),
        }
    }
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("what is shown here works");
}
