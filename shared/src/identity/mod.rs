//! How to become somebody at Entra, and which cloud that somebody lives in.
