//! What a program is made of, as `CycloneDX` 1.6 in JSON: each crate that is compiled into it, with licence, checksum and what it depends on.
//!
//! cargo says which crates those are, for just this program, features and target: macros, build scripts and tests are not among them. There is
//! no time and no random number in it, so the same tree gives the same bytes. Format: <https://cyclonedx.org/docs/1.6/json/>.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::statics::{self, Architecture, Program};

const LOCK_FILE: &str = include_str!("../../../Cargo.lock");
/// Stands between what cargo says of a crate.
const SEPARATOR: char = '|';

/// A crate of a certain version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Crate {
    name: String,
    version: String,
}

impl Crate {
    /// Package URL, which other documents and scanners know it by: <https://github.com/package-url/purl-spec>.
    fn url(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// Crates by what they need, and their licences. The first line's crate is the program's own.
#[derive(Debug, PartialEq, Eq)]
struct Tree {
    root: Crate,
    needs: BTreeMap<Crate, BTreeSet<Crate>>,
    licenses: HashMap<Crate, String>,
}

/// The bill of materials of `program` for `architecture`.
///
/// # Errors
/// cargo cannot be run, or says something else than it used to.
pub(super) fn of(program: Program, architecture: Architecture) -> anyhow::Result<Value> {
    let target = statics::target(architecture, program);
    let mut command = crate::cargo::command();
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command.args(["tree", "--locked", "--target", &target]);
    for (package, _) in [program].into_iter().chain(statics::beside(program)) {
        command.args(["--package", package]);
    }
    command.args([
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "depth",
        "--format",
        " {p}|{l}",
    ]);
    let output = command.output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree: {said}");
    let tree = read(&String::from_utf8_lossy(&output.stdout), program.0)?;
    Ok(document(&tree, program.1, &checksums(LOCK_FILE)))
}

/// Reads lines like `2 serde v1.0.1|MIT/Apache-2.0 (*)`: how deep, the crate, perhaps where it is, its licence. Of several trees, whose branches
/// are said once, that of `package` is kept.
fn read(text: &str, package: &str) -> anyhow::Result<Tree> {
    let (mut path, mut needs, mut licenses) = (Vec::<Crate>::new(), BTreeMap::new(), HashMap::new());
    let mut root = None;
    // Between trees there is an empty line.
    for line in text.lines().filter(|it| !it.is_empty()) {
        let (depth, name, version, license) = parts(line).with_context(|| format!("cargo tree said: {line}"))?;
        let found = Crate {
            name: name.to_owned(),
            version: version.to_owned(),
        };
        path.truncate(depth);
        ensure!(path.len() == depth, "cargo tree leaves a level out: {line}");
        if let Some(parent) = path.last() {
            let needed: &mut BTreeSet<_> = needs.entry(parent.clone()).or_default();
            needed.insert(found.clone());
        } else if name == package {
            root = Some(found.clone());
        }
        needs.entry(found.clone()).or_default();
        licenses.insert(found.clone(), license.replace('/', " OR "));
        path.push(found);
    }
    let root = root.with_context(|| format!("cargo tree said nothing of {package}"))?;
    let below = below(&root, &needs);
    needs.retain(|it, _| below.contains(it));
    Ok(Tree { root, needs, licenses })
}

/// `root` and all that it needs, directly or not.
fn below(root: &Crate, needs: &BTreeMap<Crate, BTreeSet<Crate>>) -> BTreeSet<Crate> {
    let (mut found, mut open) = (BTreeSet::new(), vec![root]);
    while let Some(next) = open.pop() {
        if found.insert(next.clone()) {
            open.extend(needs.get(next).into_iter().flatten());
        }
    }
    found
}

fn parts(line: &str) -> Option<(usize, &str, &str, &str)> {
    let (depth, rest) = line.split_once(' ')?;
    let (package, license) = rest.split_once(SEPARATOR)?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    Some((depth.parse().ok()?, name, version, license.trim_end_matches(" (*)")))
}

/// SHA-256 of each crate's archive; our own have none.
fn checksums(lock: &str) -> HashMap<Crate, String> {
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            let value = |key: &str| {
                let line = package.lines().find_map(|line| line.strip_prefix(key))?;
                Some(line.trim_start_matches(" = ").trim_matches('"').to_owned())
            };
            let (name, version) = (value("name")?, value("version")?);
            Some((Crate { name, version }, value("checksum")?))
        })
        .collect()
}

fn document(tree: &Tree, program: &str, checksums: &HashMap<Crate, String>) -> Value {
    let others = tree.needs.keys().filter(|it| **it != tree.root);
    let components: Vec<_> = others
        .map(|it| {
            let mut component = component("library", it, &it.name, &tree.licenses[it]);
            if let Some(checksum) = checksums.get(it) {
                component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
            }
            component
        })
        .collect();
    let dependencies = tree.needs.iter().map(|(it, needs)| {
        let needs: Vec<_> = needs.iter().map(Crate::url).collect();
        json!({"ref": it.url(), "dependsOn": needs})
    });
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component("application", &tree.root, program, &tree.licenses[&tree.root])},
        "components": components,
        "dependencies": dependencies.collect::<Vec<_>>(),
    })
}

fn component(kind: &str, of: &Crate, name: &str, license: &str) -> Value {
    let mut component =
        json!({"type": kind, "bom-ref": of.url(), "name": name, "version": of.version, "purl": of.url()});
    if !license.is_empty() {
        component["licenses"] = json!([{"expression": license}]);
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, version: &str) -> Crate {
        Crate {
            name: name.to_owned(),
            version: version.to_owned(),
        }
    }

    #[test]
    fn each_crate_is_listed_once_with_what_it_needs() {
        let text = "0 other v0.1.0|Apache-2.0\n1 d v1.0.0|MIT\n\n0 app v0.1.0 (/home/x/app)|Apache-2.0\n1 a v1.0.0|MIT/Apache-2.0\n2 b v2.0.0|MIT\n1 c v3.0.0|\n2 a v1.0.0|MIT/Apache-2.0 (*)\n";
        let tree = read(text, "app").unwrap();
        let lock = "version = 4\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"aa11\"\n";
        let bill = document(&tree, "the-app", &checksums(lock));
        assert_eq!(bill["metadata"]["component"]["name"], "the-app");
        let names: Vec<_> = bill["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["name"])
            .collect();
        assert_eq!(names, ["a", "b", "c"]);
        let a = &bill["components"][0];
        assert_eq!(a["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(a["hashes"][0]["content"], "aa11");
        assert_eq!(bill["components"][2].get("licenses"), None);
        assert_eq!(tree.needs[&one("c", "3.0.0")], [one("a", "1.0.0")].into());
        assert_eq!(
            tree.needs[&one("app", "0.1.0")],
            [one("a", "1.0.0"), one("c", "3.0.0")].into()
        );
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for text in [
            "",
            "nothing",
            "0 other v1.0.0|MIT",
            "0 app|MIT",
            "0 app 1.0|MIT",
            "0 a v1|MIT\n2 b v1|MIT",
        ] {
            assert!(read(text, "app").is_err(), "{text}");
        }
    }

    #[test]
    fn programs_that_are_built_together_have_a_bill_each() {
        let [controller, injector] = [statics::CONTROLLER, statics::INJECTOR].map(|program| {
            let bill = of(program, Architecture::X86_64).unwrap();
            let components = bill["components"].as_array().unwrap().iter();
            components
                .map(|it| it["name"].as_str().unwrap().to_owned())
                .collect::<BTreeSet<_>>()
        });
        assert!(controller.contains("kube") && injector.contains("kube"));
        assert!(injector.contains("rcgen") && !controller.contains("rcgen"));
        assert!(!injector.contains("akv2k8s-controller") && !controller.contains("akv2k8s-envinjector"));
    }

    #[test]
    fn the_wrapper_holds_what_it_is_linked_with_and_no_client_of_kubernetes() {
        let bill = of(statics::WRAPPER, Architecture::X86_64).unwrap();
        let components = bill["components"].as_array().unwrap();
        let has = |name: &str| components.iter().any(|it| it["name"] == name);
        assert!(has("rustls") && has("ring") && has("akv2k8s-shared"));
        assert!(!has("kube") && !has("proptest") && !has("clap_derive"));
        let ours = |it: &Value| it["name"].as_str().unwrap().starts_with("akv2k8s");
        for component in components.iter().filter(|it| !ours(it)) {
            assert!(
                component["licenses"][0]["expression"].is_string() && component["hashes"][0]["content"].is_string(),
                "{component}"
            );
        }
    }
}
