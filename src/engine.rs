//! Rules without the heap: expressions, the program that they become, and requests that borrow everything.
//!
//! ```
//! use velvetrope::bumpalo::Bump;
//! use velvetrope::engine::{Lists, NoFacts, Program, RequestParts, RequestView, Scheme, parse};
//!
//! let expression = parse(r#"ends_with(http.request.uri.path, ".css")"#, Scheme::standard()).expect("it is well formed");
//! let program = Program::single(&expression, &Lists::new());
//! // Requests reuse it, one after the other.
//! let mut arena = Bump::new();
//! for (url, is_style) in [("https://tickets.example/a.css", true), ("https://tickets.example/", false)] {
//!     arena.reset();
//!     let parts = RequestParts {
//!         method: "GET",
//!         url,
//!         version: "HTTP/1.1",
//!         headers: &[("accept", b"text/css")],
//!         client_ip: None,
//!         body: "",
//!         received_ms: 0,
//!         facts: &NoFacts,
//!     };
//!     assert_eq!(program.matches(&RequestView::new(parts, &arena), &arena), is_style);
//! }
//! ```
//!
//! Whatever is not a request can be asked, too: it implements [`Subject`].

pub use crate::language::{Code, Diagnostic, Expression, Scheme, Severity, lint, parse};
pub use crate::policy::list_of;
pub use crate::program::{Entry, Hostname, List, Lists, Needs, Program, Scratch, Site, Verdict};
pub use crate::request::{Facts, FieldId, NoFacts, OwnedValue, RequestParts, RequestView, Subject, Type, Value};
