//! Containers without `command`: what their image starts is looked up in its registry.

use akv2k8s_testbed::image::{File, Image, Platform};
use akv2k8s_testbed::statics;
use serde_json::{Value, json};

use crate::bed::{Team, db, in_world, pod};

fn image() -> anyhow::Result<Image> {
    let program = std::fs::read(statics::guest()?)?;
    let image = Image::scratch([File::program("/opt/$(app)", program)]);
    Ok(image
        .entrypoint(["/opt/$(app)"])
        .cmd(["env", "from the $(image)"])
        .user("65532:65532"))
}

#[test]
fn what_an_image_starts_is_looked_up_and_started_literally() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "entrypoint", "s3cret").await?;
        let name = world.add_image("team/app", &image()?).await?;
        let app = json!({"name": "app", "image": name, "env": db()});
        for (pod_name, args, expected) in [
            ("image", None, json!(["/opt/$(app)", "env", "from the $(image)"])),
            (
                "args",
                Some(json!(["env", "$(DB)"])),
                json!(["/opt/$(app)", "env", "db@azurekeyvault"]),
            ),
        ] {
            let mut app = app.clone();
            if let Some(args) = args {
                app["args"] = args;
            }
            assert_eq!(team.variables_of(&pod(pod_name, &json!([app]))).await?["DB"], "s3cret");
            let log = world.node.log_now(team.namespace.name(), pod_name).await?;
            let printed: Value = serde_json::from_str(&log)?;
            assert_eq!(
                (&printed["args"], &printed["pid"]),
                (&expected, &json!(1)),
                "{pod_name}"
            );
        }
        Ok(())
    })
}

#[test]
fn of_an_index_the_image_for_the_pods_node_counts_even_when_it_is_for_arm64_alone() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "index", "s3cret").await?;
        let arm = Image::scratch([])
            .entrypoint(["/arm"])
            .platform(Platform::linux("arm64"));
        let list = akv2k8s_testbed::image::Format::Oci;
        world
            .registry
            .push_index("team/both", "1", &[image()?, arm.clone()], list)?;
        world.registry.push_index("team/arm", "1", &[arm], list)?;
        let create = async |name: &str, repository: &str, architecture: &str| {
            let image = format!("{}/{repository}:1", world.registry.address());
            let mut pod = pod(name, &json!([{"name": "app", "image": image, "env": db()}]));
            // Nothing here runs it: this node is what it is.
            pod["spec"]["schedulerName"] = "nobody".into();
            pod["spec"]["nodeSelector"] = json!({"kubernetes.io/arch": architecture});
            anyhow::Ok(team.create(&pod).await?["spec"]["containers"][0]["args"].clone())
        };
        assert_eq!(create("amd", "team/both", "amd64").await?[0], "/opt/$$(app)");
        assert_eq!(create("arm", "team/both", "arm64").await?, json!(["/arm"]));
        assert_eq!(create("alone", "team/arm", "arm64").await?, json!(["/arm"]));
        Ok(())
    })
}

#[test]
fn an_image_that_cannot_be_found_is_a_denial_that_says_what_to_write() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "noimage", "s3cret").await?;
        let image = format!("{}/team/nothing:1", world.registry.address());
        let refused = team
            .create(&pod("app", &json!([{"name": "app", "image": image, "env": db()}])))
            .await;
        let text = format!("{:#}", refused.expect_err("nobody knows what it starts"));
        assert!(text.contains("team/nothing") && text.contains("command"), "{text}");
        Ok(())
    })
}
