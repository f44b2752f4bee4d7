//! `cargo testbed images`: the images that users get, made from the Dockerfiles of this repository without a container engine, and what is in
//! them, in `target/images`.
//!
//! An image here is what a builder makes of the same Dockerfile but for the order of members and the time of its making: there is none, so the
//! same programs make the same bytes.

mod dockerfile;
mod sbom;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use anyhow::{Context, ensure};

use self::dockerfile::Recipe;
use crate::image::{self, File, Format, Image, Platform};
use crate::statics::{self, Architecture, Elsewhere, Program, workspace};

/// What all of them are named after.
const REPOSITORY: &str = "ghcr.io/akv2k8s-rs";
/// No compressed layer may be larger: 10 MiB.
const LIMIT: usize = 10 * 1024 * 1024;

/// One of our images.
#[derive(Debug, Clone, Copy)]
pub struct OurImage {
    /// Below the repository.
    pub name: &'static str,
    dockerfile: &'static str,
    program: Program,
}

/// Of the controller.
pub const CONTROLLER: OurImage = OurImage {
    name: "controller",
    dockerfile: include_str!("../../../controller/Dockerfile"),
    program: statics::CONTROLLER,
};
/// Of webhook and broker.
pub const INJECTOR: OurImage = OurImage {
    name: "envinjector",
    dockerfile: include_str!("../../../env-injector/webhook/Dockerfile"),
    program: statics::INJECTOR,
};
/// Of the exec wrapper.
pub const WRAPPER: OurImage = OurImage {
    name: "env",
    dockerfile: include_str!("../../../env-injector/exec/Dockerfile"),
    program: statics::WRAPPER,
};
/// All of them.
pub const ALL: [OurImage; 3] = [CONTROLLER, INJECTOR, WRAPPER];

/// What to make.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// For this machine's architecture alone, instead of amd64 and arm64
    #[arg(long)]
    here: bool,
    /// Builds each program again, in another folder, and fails unless the bytes are the same
    #[arg(long)]
    twice: bool,
}

impl OurImage {
    /// Its name with the tag of this version.
    pub fn reference(&self) -> String {
        format!("{REPOSITORY}/{}:{}", self.name, env!("CARGO_PKG_VERSION"))
    }

    /// The image; its program is built when it is not up to date.
    ///
    /// # Errors
    /// The program cannot be built, or the Dockerfile asks for what cannot be done here.
    pub fn build(&self, architecture: Architecture) -> anyhow::Result<Image> {
        statics::program(architecture, self.program)?;
        let recipe = self.recipe(architecture)?;
        let files = recipe.copies.iter().map(|copy| {
            let path = workspace().join(&copy.from);
            let content = fs::read(&path).with_context(|| path.display().to_string())?;
            Ok(File::program(&copy.to, content).mode(copy.mode))
        });
        let files: Vec<_> = files.collect::<anyhow::Result<_>>()?;
        let mut image = Image::scratch(files)
            .platform(Platform::linux(architecture.of_images()))
            .labels(&recipe.labels)
            .env(recipe.env.iter().map(String::as_str))
            .entrypoint(recipe.entrypoint.iter().map(String::as_str))
            .cmd(recipe.cmd.iter().map(String::as_str));
        if let Some(user) = &recipe.user {
            image = image.user(user);
        }
        if let Some(path) = &recipe.working_dir {
            image = image.working_dir(path);
        }
        Ok(image)
    }

    /// What its Dockerfile says.
    fn recipe(&self, architecture: Architecture) -> anyhow::Result<Recipe> {
        let arguments = [
            ("TARGETARCH", architecture.of_images()),
            ("VERSION", env!("CARGO_PKG_VERSION")),
        ];
        dockerfile::read(self.dockerfile, &BTreeMap::from(arguments))
            .with_context(|| format!("the Dockerfile of {}", self.name))
    }
}

/// Makes all images, each as one OCI layout for all architectures, and a bill of materials for each architecture; prints their sizes.
///
/// # Errors
/// As [`OurImage::build`], a compressed layer is larger than 10 MiB, or, with `twice`, a program differs.
pub fn make(options: &Options, out: &mut dyn Write) -> anyhow::Result<()> {
    let architectures = if options.here {
        vec![Architecture::here()]
    } else {
        Architecture::ALL.to_vec()
    };
    let folder = workspace().join("target/images");
    fs::create_dir_all(&folder)?;
    let elsewhere = options.twice.then(Elsewhere::new).transpose()?;
    for ours in ALL {
        let mut images = Vec::new();
        for &architecture in &architectures {
            if let Some(elsewhere) = &elsewhere {
                let size = elsewhere.same(architecture, ours.program)?.len();
                let (name, architecture) = (ours.program.1, architecture.of_images());
                writeln!(
                    out,
                    "{name} for {architecture}: {size} bytes, the same from another folder"
                )?;
            }
            let image = ours.build(architecture)?.compressed();
            let [_, _, layer] = image.blobs(Format::Oci)?;
            let size = layer.bytes.len();
            let name = format!("{} {}", ours.reference(), architecture.of_images());
            writeln!(out, "{name}: {size} bytes compressed, {} KiB", size.div_ceil(1024))?;
            ensure!(
                size <= LIMIT,
                "{name} has {} bytes more than its limit of {LIMIT}",
                size - LIMIT
            );
            let bill = sbom::of(ours.program, architecture)?;
            let file = folder.join(format!("{}-{}.cdx.json", ours.name, architecture.of_images()));
            fs::write(&file, serde_json::to_string_pretty(&bill)?).with_context(|| file.display().to_string())?;
            images.push(image);
        }
        let file = folder.join(format!("{}.tar", ours.name));
        let archive = image::archive(&images, &ours.reference())?;
        fs::write(&file, archive).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whom all of them run as: the chart says the same of its pods, but an image is also run without it.
    const NOBODY: &str = "65532:65532";

    #[test]
    fn an_image_is_one_static_program_that_runs_as_nobody() -> anyhow::Result<()> {
        for ours in ALL {
            for architecture in Architecture::ALL {
                let recipe = ours.recipe(architecture)?;
                let [copy] = &recipe.copies[..] else {
                    panic!("{}: {:?}", ours.name, recipe.copies);
                };
                let (name, folder) = (ours.program.1, architecture.of_images());
                assert_eq!(copy.from, format!("target/static/{folder}/{name}"), "{}", ours.name);
                assert_eq!(copy.mode, 0o755, "{}", ours.name);
                assert_eq!(recipe.entrypoint, [copy.to.as_str()], "{}", ours.name);
                assert_eq!(recipe.cmd, [""; 0], "{}", ours.name);
                assert_eq!(recipe.user.as_deref(), Some(NOBODY), "{}", ours.name);
            }
        }
        Ok(())
    }

    #[test]
    fn an_image_says_what_it_is_and_where_it_comes_from() -> anyhow::Result<()> {
        for ours in ALL {
            let labels = ours.recipe(Architecture::here())?.labels;
            for about in ["title", "description", "source", "licenses", "version"] {
                let label = format!("org.opencontainers.image.{about}");
                let value = labels.get(&label).map_or("", String::as_str);
                assert!(!value.is_empty(), "{} has no {label}", ours.name);
            }
            assert_eq!(labels["org.opencontainers.image.title"], ours.program.1);
            assert_eq!(labels["org.opencontainers.image.licenses"], env!("CARGO_PKG_LICENSE"));
            assert_eq!(labels["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
        }
        Ok(())
    }
}
