//! Nothing of the wrapper is left of the program's process.

use akv2k8s_testbed::node::guest;
use serde_json::{Value, json};

use crate::bed::{Team, db, in_world, pod};

fn running(command: &[&str]) -> Value {
    json!([{"name": "app", "image": guest::IMAGE, "command": command, "env": db()}])
}

#[test]
fn the_exit_code_is_the_programs() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "exit", "s3cret").await?;
        team.create(&pod("exit", &running(&[guest::PATH, "exit", "42"])))
            .await?;
        assert_eq!(world.node.ended(team.namespace.name(), "exit").await?, "Failed");
        let pod = team.get("pod/exit").await?;
        assert_eq!(
            pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"],
            42
        );
        Ok(())
    })
}

#[test]
fn a_program_that_is_not_there_is_127_and_named() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "absent", "s3cret").await?;
        team.create(&pod("absent", &running(&["/no/such/program"]))).await?;
        assert_eq!(world.node.ended(team.namespace.name(), "absent").await?, "Failed");
        let pod = team.get("pod/absent").await?;
        assert_eq!(
            pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"],
            127
        );
        let log = world.node.log_now(team.namespace.name(), "absent").await?;
        assert!(log.contains("/no/such/program"), "{log}");
        Ok(())
    })
}

#[test]
fn sigterm_reaches_the_program_which_is_process_1() -> anyhow::Result<()> {
    in_world(async |world| {
        let (node, team) = (world.node, Team::new(world, "term", "s3cret").await?);
        let namespace = team.namespace.name();
        let mut pod = pod("term", &running(&[guest::PATH, "wait", "3"]));
        // Kept after its end, so that its last words can be read.
        pod["metadata"]["finalizers"] = json!(["akv2k8s.test/keep"]);
        team.create(&pod).await?;
        let log = async || {
            node.log_now(namespace, "term")
                .await
                .ok()
                .filter(|log| log.contains("ready"))
        };
        akv2k8s_testbed::wait::until("the program to start", crate::bed::PATIENCE, log).await?;
        let own = node
            .exec(namespace, "term", &[guest::PATH, "cat", "/proc/1/comm"])
            .await?;
        assert_eq!(own, "guest\n");
        team.kubectl(&["delete", "pod", "term", "--wait=false"]).await?;
        assert_eq!(node.ended(namespace, "term").await?, "Failed", "code 3, not killed");
        assert_eq!(node.log_now(namespace, "term").await?, "ready\nSIGTERM\n");
        let ended = team.get("pod/term").await?;
        assert_eq!(
            ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"],
            3
        );
        let patch = r#"[{"op": "remove", "path": "/metadata/finalizers"}]"#;
        team.kubectl(&["patch", "pod", "term", "--type=json", "--patch", patch])
            .await?;
        Ok(())
    })
}
