//! What an image starts, asked of a real registry over TLS.

mod bed;
mod credentials;
mod denials;
mod finding;
mod keeping;
