//! `--check`: what would be injected, by name and length.

use std::fmt::Write;

use akv2k8s_shared::secret::SecretBytes;

use crate::environment::Variable;
use crate::plan::Plan;

/// A line for each variable that holds a reference: its name, the reference, and the length of its value, which is there by now.
pub(crate) fn report(variables: &[Variable], plan: &Plan) -> String {
    let mut report = String::new();
    for (text, wanted) in &plan.wanted {
        for variable in wanted.at.iter().map(|at| &variables[*at]) {
            // Writing to a String cannot fail.
            let length = variable.value.as_ref().map_or(0, SecretBytes::len);
            let _ = writeln!(report, "{}\t{text}\t{length} bytes", variable.shown());
        }
    }
    report
}
