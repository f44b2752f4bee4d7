//! The environment of the wrapper: whatever it holds, nothing panics, and all that is not the wrapper's own is handed on as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|block: &[u8]| akv2k8s_exec::fuzzing::environment(block));
