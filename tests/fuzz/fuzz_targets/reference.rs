//! The grammar of references: nothing panics, and what was read is read again from its canonical text.
#![no_main]

use akv2k8s_shared::injection::reference::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &str| {
    let Some(Ok(reference)) = Reference::parse(value) else {
        return;
    };
    let canonical = reference.to_string();
    assert_eq!(Reference::parse(&canonical), Some(Ok(reference)), "{value:?}");
});
