//! Change marks: the same for GET and LIST of the same state.

use super::model::Fingerprint;

impl Fingerprint {
    /// The mark of an object that is described by several: a certificate and the secret behind it, in this order.
    pub fn combine(marks: &[&Self]) -> Self {
        match marks {
            [one] => (*one).clone(),
            several => Self(several.iter().map(|mark| mark.0.as_str()).collect::<Vec<_>>().join("-")),
        }
    }
}
