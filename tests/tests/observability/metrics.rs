//! What the programs show is what `docs/metrics.md` says.

use akv2k8s_testbed::prometheus::get;

use crate::bed::{CANARY, in_world, read};
use crate::page::{documented, shown};

#[test]
fn each_program_shows_what_the_page_says_and_nothing_else() -> anyhow::Result<()> {
    in_world(async |world| {
        let page = read("docs/metrics.md")?;
        let injector = world.injector.http();
        for (url, section) in [(world.controller.http(), "Controller"), (&*injector, "Env injector")] {
            let text = get(&format!("{url}/metrics")).await?;
            let (found, expected) = (shown(&text), documented(&page, &["Both programs", section]));
            let missing: Vec<_> = expected.keys().filter(|name| !found.contains_key(*name)).collect();
            assert!(
                missing.is_empty(),
                "{section}: documented and not shown: {missing:?}\n{text}"
            );
            assert_eq!(found, expected, "{section}");
            assert!(!text.contains(CANARY), "a value is in {text}");
        }
        Ok(())
    })
}

#[test]
fn no_label_holds_the_name_of_an_object() -> anyhow::Result<()> {
    in_world(async |world| {
        let injector = world.injector.http();
        for url in [world.controller.http(), &*injector] {
            let text = get(&format!("{url}/metrics")).await?;
            for name in ["missing", "barred", "denied", "metrics-"] {
                assert!(!text.contains(&format!("\"{name}")), "{name} is in {text}");
            }
        }
        Ok(())
    })
}
