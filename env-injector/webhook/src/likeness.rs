//! Which name is probably meant.

/// How alike a name has to be to be suggested: 1.0 is equal.
const ALIKE: f64 = 0.8;

/// Of what is `known`, what looks most like `name`, if anything looks like it.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let likeness = |candidate| (strsim::jaro_winkler(name, candidate), candidate);
    let nearest = known
        .into_iter()
        .map(likeness)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    nearest
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .map(|(_, nearest)| nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_has_a_nearest_name_and_something_else_has_none() {
        let known = ["db-password", "tls", "session-key"];
        assert_eq!(nearest("db-pasword", known), Some("db-password"));
        assert_eq!(nearest("sesion-key", known), Some("session-key"));
        assert_eq!(nearest("mail", known), None);
        assert_eq!(nearest("db", []), None);
    }
}
