//! The room's pages. They need no script and nothing from elsewhere.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::LazyLock;

use base64::Engine as _;
use sha2::{Digest, Sha256};

/// What a page says. Texts are plain; they are escaped here.
pub(super) struct Page<'a> {
    pub title: &'a str,
    /// Read aloud again by screen readers when the page comes back.
    pub status: &'a str,
    pub text: &'a str,
    /// URL and text of the one link.
    pub link: Option<(&'a str, &'a str)>,
    /// Seconds after which the browser asks again.
    pub refresh: Option<u32>,
}

impl Page<'_> {
    pub(super) fn render(&self) -> String {
        let refresh = match self.refresh {
            Some(seconds) => format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n"),
            None => String::new(),
        };
        let link = match self.link {
            Some((url, text)) => format!("<p><a href=\"{}\">{}</a></p>\n", escape(url), escape(text)),
            None => String::new(),
        };
        let pulse = if self.refresh.is_some() { "<div class=\"pulse\" aria-hidden=\"true\"></div>\n" } else { "" };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex\">\n{refresh}<title>{title}</title>\n<style>{STYLE}</style>\n\
             </head>\n<body>\n<main>\n<h1>{title}</h1>\n{pulse}<p class=\"status\" role=\"status\">{status}</p>\n\
             <p>{text}</p>\n{link}</main>\n</body>\n</html>\n",
            title = escape(self.title),
            status = escape(self.status),
            text = escape(self.text),
        )
    }
}

/// What the browser may do with a page: show it in the style it carries, and nothing else.
pub(super) static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// Makes a text harmless in HTML, in and out of quoted attributes.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' | '<' | '>' | '"' | '\'' => write!(escaped, "&#{};", u32::from(character)).unwrap_or_default(),
            _ => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

/// `about 2 minutes`, `less than 10 seconds`.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..10 => "less than 10 seconds".into(),
        10..60 => format!("about {} seconds", seconds.div_ceil(10) * 10),
        60..90 => "about 1 minute".into(),
        90..5_400 => format!("about {} minutes", (seconds + 30) / 60),
        _ => format!("about {} hours", (seconds + 1_800) / 3_600),
    }
}

const STYLE: &str = ":root{color-scheme:light dark}\
body{margin:0;min-height:100vh;display:grid;place-items:center;font:1.125rem/1.5 system-ui,sans-serif;\
background:#f6f2f4;color:#241a20}\
main{max-width:34rem;margin:1rem;padding:2rem 2.5rem;background:#fff;border-radius:.75rem;\
border-top:.4rem solid #7a1f3d;box-shadow:0 1px 12px #0002}\
h1{margin:0 0 1rem;font-size:1.75rem;line-height:1.2}\
.status{font-size:1.3rem;font-weight:600}\
a{color:#7a1f3d}a:focus-visible{outline:3px solid;outline-offset:3px}\
.pulse{height:.4rem;border-radius:.2rem;background:linear-gradient(90deg,#7a1f3d 30%,#e7d5dc 30%);\
background-size:200% 100%;animation:move 3s linear infinite}\
@keyframes move{from{background-position:200% 0}to{background-position:0 0}}\
@media (prefers-reduced-motion:reduce){.pulse{animation:none}}\
@media (prefers-color-scheme:dark){body{background:#181216;color:#f3eaee}main{background:#241b20}a{color:#f0a8c0}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_the_escaping() {
        let page = Page {
            title: "<script>",
            status: "\"'&",
            text: "</p>",
            link: Some(("https://a.example/?a=1&b=\"><script>", "<b>")),
            refresh: None,
        };
        let html = page.render();
        assert!(!html.contains("<script>") && !html.contains("<b>"), "{html}");
        assert!(html.contains("&#60;script&#62;") && html.contains("&#34;&#39;&#38;"));
        assert!(html.contains("href=\"https://a.example/?a=1&#38;b=&#34;&#62;&#60;script&#62;\""));
    }

    #[test]
    fn waits_are_told_roughly() {
        let told: Vec<_> = [0, 11, 59, 60, 90, 3_600, 7_200].into_iter().map(duration).collect();
        let expected = [
            "less than 10 seconds",
            "about 20 seconds",
            "about 60 seconds",
            "about 1 minute",
            "about 2 minutes",
            "about 60 minutes",
            "about 2 hours",
        ];
        assert_eq!(told, expected);
    }
}
