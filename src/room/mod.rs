//! The embedded waiting room: first in, first out, with an admission rate and a cap on active sessions.
//!
//! Its state is in memory and is gone with the process. It knows nothing of hosts: a host hands it a request's URL,
//! cookies and time, and sends what it answers.
