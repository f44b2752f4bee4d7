//! The body of an `AdmissionReview`: nothing panics, and whatever pod is in it, the patch applies to that pod.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| akv2k8s_envinjector::fuzzing::review(body));
