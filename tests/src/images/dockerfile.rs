//! The Dockerfiles of our images, read as a builder reads them. They copy static programs and set the configuration, so this is all of the
//! language that is known here: `FROM scratch`, `ARG`, `LABEL`, `ENV`, `COPY --chmod`, `USER`, `WORKDIR`, `ENTRYPOINT` and `CMD` as JSON.
//!
//! Reference: <https://docs.docker.com/reference/dockerfile/>.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};

/// What a Dockerfile makes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recipe {
    /// What is copied, in this order.
    pub copies: Vec<Copy>,
    /// Name → value.
    pub labels: BTreeMap<String, String>,
    /// Each as `NAME=value`.
    pub env: Vec<String>,
    /// What starts.
    pub entrypoint: Vec<String>,
    /// Its arguments.
    pub cmd: Vec<String>,
    /// Whom it runs as.
    pub user: Option<String>,
    /// Where it starts.
    pub working_dir: Option<String>,
}

/// A file that is copied.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Copy {
    /// Below the root of the repository.
    pub from: String,
    /// In the image.
    pub to: String,
    /// Permissions.
    pub mode: u32,
}

/// What `text` makes of build arguments. Whatever this reader does not know is an error, never skipped.
pub(super) fn read(text: &str, arguments: &BTreeMap<&str, &str>) -> anyhow::Result<Recipe> {
    let mut recipe = Recipe::default();
    let mut known = BTreeMap::new();
    let instructions = instructions(text);
    let is_scratch = instructions.first().is_some_and(|it| it == "FROM scratch");
    ensure!(is_scratch, "it does not begin with `FROM scratch`");
    for instruction in instructions.iter().skip(1) {
        take(&mut recipe, &mut known, instruction, arguments).with_context(|| instruction.clone())?;
    }
    Ok(recipe)
}

fn take(
    recipe: &mut Recipe,
    known: &mut BTreeMap<String, String>,
    instruction: &str,
    arguments: &BTreeMap<&str, &str>,
) -> anyhow::Result<()> {
    let (word, rest) = instruction.split_once(' ').context("nothing follows")?;
    if word == "ARG" {
        let (name, default) = rest.split_once('=').map_or((rest, None), |(name, it)| (name, Some(it)));
        let value = arguments.get(name).copied().or(default);
        known.insert(
            name.to_owned(),
            value.with_context(|| format!("no value for {name}"))?.to_owned(),
        );
        return Ok(());
    }
    let rest = expand(rest, known)?;
    match word {
        "COPY" => recipe.copies.push(copy(&rest)?),
        "LABEL" => recipe.labels.extend(pairs(&rest)?),
        "ENV" => recipe
            .env
            .extend(pairs(&rest)?.map(|(name, value)| format!("{name}={value}"))),
        "USER" => recipe.user = Some(rest),
        "WORKDIR" => recipe.working_dir = Some(rest),
        "ENTRYPOINT" => recipe.entrypoint = words(&rest)?,
        "CMD" => recipe.cmd = words(&rest)?,
        _ => bail!("this instruction is not known here"),
    }
    Ok(())
}

/// One a line, with its words one blank apart outside of quotes.
fn instructions(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| match line.split_once(char::is_whitespace) {
            Some((word, rest)) => format!("{} {}", word.to_ascii_uppercase(), rest.trim_start()),
            None => line.to_owned(),
        })
        .collect()
}

/// Puts build arguments in place of `${NAME}`.
fn expand(text: &str, known: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}').context("a `${` has no end")?;
        let value = known.get(name).with_context(|| format!("{name} is no argument"))?;
        done += before;
        done += value;
        rest = behind;
    }
    Ok(done + rest)
}

fn copy(text: &str) -> anyhow::Result<Copy> {
    let words: Vec<_> = text.split_whitespace().collect();
    let [mode, from, to] = words[..] else {
        bail!("not `--chmod=MODE FROM TO`");
    };
    let mode = mode.strip_prefix("--chmod=").context("it says no permissions")?;
    let is_below = !from.starts_with('/') && from.split('/').all(|part| part != "..");
    ensure!(
        is_below && to.starts_with('/'),
        "from the repository, to an absolute path"
    );
    Ok(Copy {
        from: from.to_owned(),
        to: to.to_owned(),
        mode: u32::from_str_radix(mode, 8)?,
    })
}

/// `NAME="value"`, separated by blanks.
fn pairs(text: &str) -> anyhow::Result<impl Iterator<Item = (String, String)>> {
    let (mut pairs, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let (name, behind) = rest.split_once("=\"").context("not NAME=\"value\"")?;
        let (value, behind) = behind.split_once('"').context("a quote has no end")?;
        pairs.push((name.to_owned(), value.to_owned()));
        rest = behind.trim_start();
    }
    Ok(pairs.into_iter())
}

fn words(text: &str) -> anyhow::Result<Vec<String>> {
    serde_json::from_str(text).context("not a list in JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments() -> BTreeMap<&'static str, &'static str> {
        [("TARGETARCH", "arm64"), ("VERSION", "1.2")].into()
    }

    #[test]
    fn everything_an_image_of_ours_has_is_read() {
        let text = r#"
            # Comment
            FROM scratch
            ARG TARGETARCH
            ARG VERSION
            ARG MODE=0755
            LABEL a.b="one two" \
            # a comment between
                  version="${VERSION}"
            COPY --chmod=${MODE} out/${TARGETARCH}/app /app
            ENV A="1"
            USER 1:1
            WORKDIR /w
            entrypoint ["/app", "x"]
            CMD ["y"]
        "#;
        let owned = str::to_owned;
        let labels = [("a.b", "one two"), ("version", "1.2")];
        let expected = Recipe {
            copies: vec![Copy {
                from: owned("out/arm64/app"),
                to: owned("/app"),
                mode: 0o755,
            }],
            labels: labels.map(|(name, value)| (owned(name), owned(value))).into(),
            env: vec![owned("A=1")],
            entrypoint: vec![owned("/app"), owned("x")],
            cmd: vec![owned("y")],
            user: Some(owned("1:1")),
            working_dir: Some(owned("/w")),
        };
        assert_eq!(read(text, &arguments()).unwrap(), expected);
    }

    #[test]
    fn what_is_not_known_is_an_error_and_never_left_out() {
        for (instruction, cause) in [
            ("RUN apt-get install curl", "not known here"),
            ("EXPOSE 80", "not known here"),
            ("ARG NONE", "no value for NONE"),
            ("USER ${NONE}", "NONE is no argument"),
            ("USER ${NONE", "has no end"),
            ("COPY a /a", "not `--chmod"),
            ("COPY --chown=1 a /a", "no permissions"),
            ("COPY --chmod=0755 ../a /a", "from the repository"),
            ("COPY --chmod=0755 a a", "absolute path"),
            ("LABEL a=b", "not NAME=\"value\""),
            ("LABEL a=\"b", "has no end"),
            ("ENTRYPOINT /app", "not a list"),
            ("FROM debian", "not known here"),
        ] {
            let error = read(&format!("FROM scratch\n{instruction}"), &arguments()).unwrap_err();
            assert!(format!("{error:#}").contains(cause), "{instruction}: {error:#}");
        }
        assert!(read("FROM debian", &arguments()).is_err());
        assert!(read("", &arguments()).is_err());
    }
}
