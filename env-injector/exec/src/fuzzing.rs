//! What the wrapper decides about an environment, for the fuzz target of that name (`tests/fuzz`).

use std::ffi::CString;

use crate::environment::{Variable, read};
use crate::plan::{own_environment, plan};
use crate::settings::{Mode, Patience};
use crate::{check, exec};

/// Plans for any block of entries, as the kernel shows it, and hands it on.
///
/// # Panics
/// Something was lost, changed or moved that is not the wrapper's own.
pub fn environment(block: &[u8]) {
    let variables = read(block);
    let Ok(plan) = plan(&variables) else { return };
    let own = own_environment(&variables, &plan);
    // Whatever they say; an error is an answer.
    let _ = (Patience::of(&own), Mode::of(&own));
    check::report(&variables, &plan);
    for at in plan.wanted.values().flat_map(|wanted| &wanted.at) {
        let name = &variables[*at].name;
        let is_alone = variables.iter().filter(|it| it.name.eq_ignore_ascii_case(name)).count() == 1;
        let is_seen = str::from_utf8(name).is_ok_and(|name| own.is_set(name));
        assert!(!is_alone || !is_seen, "a reference is a setting");
    }
    let Ok(made) = exec::environment(&variables) else {
        return;
    };
    let entries = block.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    let expected = entries.zip(&variables).filter(|(_, it)| !Variable::is_own(it));
    assert!(made.iter().map(CString::as_bytes).eq(expected.map(|(entry, _)| entry)));
}
