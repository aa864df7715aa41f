//! Where the connector serves: the reverse proxy and the ext_proc callout, and what they need of the operating system.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`files`] | policies from folders |
//! | [`geo`] | countries and networks from MMDB files |
//! | [`store`] | the managing store in SQLite |
//! | [`serving`] | what hosts that serve have in common |
//! | [`proxy`] | the reverse proxy |
//! | [`ext_proc`] | the callout of Google Cloud Service Extensions and of Envoy |

mod clock;
pub mod ext_proc;
pub mod files;
pub mod geo;
pub mod proxy;
pub mod serving;
pub mod store;
