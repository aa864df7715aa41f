"""The sites of tests/end_to_end/rope/policy as applications behind gunicorn, each reading the path in its own way."""

import posixpath
import re
from urllib.parse import unquote_to_bytes


def unquote(text):
    """Takes the escapes out, as WSGI does: one character for each byte."""
    return unquote_to_bytes(text.encode("latin-1")).decode("latin-1")


def normal(path):
    return "/" + posixpath.normpath(path).lstrip("/")


def without_parameters(path):
    return "/".join(segment.split(";")[0] for segment in path.split("/"))


def of_windows(path):
    """As file systems of Windows find files: `\\` separates, and dots and spaces at the end of a name are nothing."""
    path = normal(path.replace("\\", "/"))
    return "/".join(segment.rstrip(". ") for segment in path.split("/"))


def shop(path):
    if path == "/shop/assets" or path.startswith("/shop/assets/"):
        return "assets"
    return "shop" if "/shop" in path.lower() else "public"


def tickets(path):
    return "presale" if path == "/presale" or path.startswith("/presale/") else "public"


def page(path):
    return "buy" if path.lower().startswith("/buy") else "public"


def named(path):
    """What the policy names by escapes: as it does, and as it is."""
    text = path.encode("latin-1", "replace").decode("utf-8", "replace")
    return "named" if NAMED.search(text) else "public"


NAMED = re.compile(
    r"/(@|%40)artist(?!/help)|/(~|%7e)user|/last(%20| )night|/vip(;|%3B)gold|^/live(\+|%2B)2026(/|$)|^/box(/|%2f)office(/|$)"
    r"|^/(?i:caf(é|%c3%a9))|/(?i:münchen)|^/open(/.*)?/(~|%7E)owner|^/open/café$"
)


def event(path, pairs):
    return "named" if "event=buy" in pairs else named(path)


def staff(path):
    return "staff"


SITES = {
    "shop.example": shop,
    "tickets.example": tickets,
    "page.example": page,
    "named.example": named,
    "staff.example": staff,
}

EXACT = {
    shop: {"/shop": "shop", "/shop/tickets": "shop", "/shop/tickets/1": "shop"},
    tickets: {"/presale": "presale", "/presale/x": "presale"},
    page: {"/buy": "buy", "/buy/x": "buy"},
    named: {"/@artist": "named", "/live+2026": "named", "/box/office": "named", "/caf\u00c3\u00a9": "named"},
    staff: {},
}

PATTERNS = {
    shop: [(r"^/shop/assets(/|$)", "assets"), (r"(?i)/shop", "shop")],
    tickets: [(r"^/presale(/.*)?$", "presale")],
    page: [(r"(?i)^/buy", "buy")],
    named: [(NAMED.pattern, "named")],
    staff: [(r"^", "staff")],
}


def exact(site, path):
    return EXACT[site].get(path, "none")


def by_pattern(site, path):
    """As routers with patterns: of text, in which `$` also stands before a last line break."""
    text = path.encode("latin-1").decode("utf-8", "replace")
    return next((place for pattern, place in PATTERNS[site] if re.search(pattern, text)), "public")


def site_of(host):
    name = re.sub(r":\d*$", "", host.strip().lower()).rstrip(".")
    # The first site is the one of hosts that nobody knows, as it often is.
    return SITES.get(name, shop)


def app(environ, start_response):
    site = site_of(environ.get("HTTP_HOST", ""))
    path = environ["PATH_INFO"]
    # As it came, without what an absolute one begins with.
    raw = re.sub(r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#]*", "", environ["RAW_URI"]).split("?")[0].split("#")[0]
    served = {
        "raw": site(raw),
        "prefix": site(path),
        "exact": exact(site, path),
        "pattern": by_pattern(site, path),
        "segments": site("/" + "/".join(segment for segment in path.split("/") if segment)),
        "normal": site(normal(path)),
        "backslash": site(normal(path.replace("\\", "/"))),
        "servlet": site(normal(unquote(without_parameters(raw)))),
        "parameters-late": site(normal(without_parameters(path))),
        "twice": site(normal(unquote(path))),
        "twice-parameters": site(normal(without_parameters(unquote(path)))),
        "twice-backslash": site(normal(unquote(path).replace("\\", "/"))),
        "c-string": site(normal(path.split("\0")[0])),
        "stripped": site(normal(path.strip())),
        "windows": site(of_windows(path)),
    }
    if site is named:
        query = environ["QUERY_STRING"]
        served["query"] = event(path, query.split("&"))
        served["query-semicolons"] = event(path, re.split("[&;]", query))
    headers = [
        ("x-served", ", ".join("=".join(pair) for pair in served.items())),
        ("x-saw", environ.get("HTTP_X_VELVETROPE_VERDICT", "")),
        ("content-length", "0"),
    ]
    start_response("200 OK", headers)
    return []
