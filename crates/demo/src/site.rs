//! A ticket site that knows nothing of waiting rooms, but shows what the rope tells it.

use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::http::Answered;
use velvetrope::internal::edge::VERDICT_HEADER;
use velvetrope::internal::room::escape_html;

pub(super) fn answer<B>(request: &Request<B>) -> Answered {
    let path = request.uri().path();
    if path.ends_with("/style.css") {
        return response(StatusCode::OK, "text/css; charset=utf-8", STYLE.to_owned());
    }
    let verdict = request.headers().get(VERDICT_HEADER).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let (status, title, text) = match path {
        "/" => (StatusCode::OK, "The Velvet Hall", "Tonight: The Ropes, live. Doors open at seven."),
        "/shop" | "/shop/" => (StatusCode::OK, "Ticket shop", "You are in. Choose your seats before they are gone."),
        "/shop/seats" => (StatusCode::OK, "Choose your seats", "Row 7, seats 11 and 12 are still free."),
        "/logout" | "/cancel" => (StatusCode::OK, "Goodbye", "You have left the shop, and somebody else may come in."),
        _ if path.starts_with("/presale") => (StatusCode::OK, "Fan club presale", "Front row, for members only."),
        _ if path.ends_with("/userverified") => (StatusCode::OK, "Your ticket", "This ticket is valid. See you there!"),
        _ => (StatusCode::NOT_FOUND, "Not found", "There is no such page on this site."),
    };
    response(status, "text/html; charset=utf-8", page(title, text, verdict))
}

fn page(title: &str, text: &str, verdict: &str) -> String {
    let links = LINKS.map(|(path, name)| format!("<a href=\"{path}\">{name}</a>")).join("\n");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<link rel=\"stylesheet\" href=\"/assets/style.css\">\n</head>\n<body>\n\
         <nav>\n{links}\n</nav>\n<main>\n<h1>{title}</h1>\n<p>{text}</p>\n\
         <p class=\"verdict\">What the rope told the site: <code id=\"verdict\">{verdict}</code></p>\n\
         </main>\n</body>\n</html>\n",
        verdict = escape_html(verdict),
    )
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Answered {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const LINKS: [(&str, &str); 6] = [
    ("/", "Home"),
    ("/shop", "Shop"),
    ("/shop/seats", "Seats"),
    ("/shop/tickets/4711/userverified", "Ticket 4711"),
    ("/presale", "Presale"),
    ("/logout", "Leave"),
];

const STYLE: &str = ":root{color-scheme:light dark}
body{margin:0;font:1.125rem/1.5 system-ui,sans-serif;background:#fbf7f2;color:#241a20}
nav{display:flex;flex-wrap:wrap;gap:1.25rem;padding:1rem 2rem;background:#7a1f3d}
nav a{color:#fff}
a:focus-visible{outline:3px solid;outline-offset:3px}
main{max-width:40rem;margin:2rem auto;padding:0 1rem}
.verdict{border-left:.3rem solid #7a1f3d;padding-left:1rem}
@media (prefers-color-scheme:dark){body{background:#181216;color:#f3eaee}}
";
