//! The demo, driven in a real Chromium.
