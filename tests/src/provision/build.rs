//! Building the programs from their Go modules.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::{HELM_3_KUBERNETES_MINOR, HELM_3_VERSION, HELM_4_VERSION, KUBERNETES_VERSION, Locations, Program};

/// How often a running build says that it still runs.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How many of the last lines of a failed build are shown.
const TAIL: usize = 20;

/// Why the programs could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no Go.
    #[error(
        "building {0} needs Go 1.26 or later, and `go` is not in PATH. Two ways out: install Go (https://go.dev/dl/), \
         or set KUBEBUILDER_ASSETS to a folder that holds them"
    )]
    NoGo(String),
    /// The compiler, or the download of a module, failed.
    #[error("building {program} failed ({status}); the last lines of `go build`:\n{tail}")]
    Failed {
        /// What was built.
        program: &'static str,
        /// How `go build` ended.
        status: String,
        /// The last lines it wrote.
        tail: String,
    },
    /// A file could not be written or a process not be started.
    #[error("building {program}: could not {what}")]
    Io {
        /// What was built.
        program: &'static str,
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

/// Builds those of `programs` that `locations` lacks into its cache, and tells `progress` about it in lines of text.
/// A program appears in the cache complete or not at all. What is there already costs nothing.
pub fn provision(locations: &Locations, programs: &[Program], progress: &mut dyn Write) -> Result<(), BuildError> {
    let missing: Vec<Program> = programs
        .iter()
        .copied()
        .filter(|program| locations.find(*program).is_err())
        .collect();
    if missing.is_empty() {
        say(progress, &format!("Kubernetes {KUBERNETES_VERSION}: complete"));
        return Ok(());
    }
    let names = missing
        .iter()
        .map(|program| program.name())
        .collect::<Vec<_>>()
        .join(", ");
    say(
        progress,
        &format!(
            "building {names} into {} (once; about 13 minutes on 2 cores)",
            locations.cache().display()
        ),
    );
    if let Err(error) = Command::new("go").arg("version").output()
        && error.kind() == io::ErrorKind::NotFound
    {
        return Err(BuildError::NoGo(names));
    }
    for module in Module::ALL {
        let of_it: Vec<_> = missing.iter().copied().filter(|it| Module::of(*it) == module).collect();
        if !of_it.is_empty() {
            build(module, &of_it, locations.cache(), progress)?;
        }
    }
    Ok(())
}

/// Builds programs of one module, all at once, in a temporary folder beside their place and renames them into place. While one is linked, which
/// takes one processor, others are compiled.
fn build(module: Module, programs: &[Program], cache: &Path, progress: &mut dyn Write) -> Result<(), BuildError> {
    let io_error = |what: String| {
        move |source| BuildError::Io {
            program: module.name(),
            what,
            source,
        }
    };
    let create = |path: &Path| fs::create_dir_all(path).map_err(io_error(format!("create {}", path.display())));

    create(cache)?;
    let work = tempfile::Builder::new()
        .prefix(".build-")
        .tempdir_in(cache)
        .map_err(io_error(format!("create a folder in {}", cache.display())))?;
    for (name, text) in module.files() {
        let path = work.path().join(name);
        fs::write(&path, text).map_err(io_error(format!("write {}", path.display())))?;
    }
    let built = work.path().join("bin");
    create(&built)?;
    let mut command = Command::new("go");
    command
        .args(["build", "-v", "-mod=readonly", "-trimpath", "-ldflags"])
        .arg(module.linker_flags())
        .arg("-o")
        .arg(&built)
        .args(programs.iter().copied().map(package))
        .current_dir(work.path())
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off");
    run(module.name(), &mut command, progress)?;
    for program in programs {
        // The linker names a program after the last word of its package.
        let name = package(*program).rsplit('/').next().unwrap_or_default();
        let place = cache.join(program.name());
        fs::rename(built.join(name), &place).map_err(io_error(format!("move {name} to {}", place.display())))?;
    }
    Ok(())
}

/// What programs are built from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Module {
    Etcd,
    Kubernetes,
    Helm3,
    Helm4,
}

impl Module {
    const ALL: [Self; 4] = [Self::Etcd, Self::Kubernetes, Self::Helm3, Self::Helm4];

    fn of(program: Program) -> Self {
        match program {
            Program::Etcd => Self::Etcd,
            Program::Helm3 => Self::Helm3,
            Program::Helm4 => Self::Helm4,
            Program::ApiServer
            | Program::ControllerManager
            | Program::Kubectl
            | Program::Scheduler
            | Program::Kubelet
            | Program::Proxy => Self::Kubernetes,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Kubernetes => "Kubernetes",
            Self::Helm3 => "Helm 3",
            Self::Helm4 => "Helm 4",
        }
    }

    /// The files of the main module.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Etcd => ETCD_MODULE,
            Self::Kubernetes => KUBERNETES_MODULE,
            Self::Helm3 => HELM_3_MODULE,
            Self::Helm4 => HELM_4_MODULE,
        }
    }

    fn linker_flags(self) -> String {
        match self {
            Self::Etcd => "-s -w".to_owned(),
            Self::Kubernetes => kubernetes_linker_flags(),
            Self::Helm3 => helm_3_linker_flags(),
            // It finds out by itself which Kubernetes it was built for.
            Self::Helm4 => format!("-s -w -X helm.sh/helm/v4/internal/version.version=v{HELM_4_VERSION}"),
        }
    }
}

/// The package that is the program.
fn package(program: Program) -> &'static str {
    match program {
        Program::Etcd => "akv2k8s.spv.no/testbed/etcd",
        Program::ApiServer => "k8s.io/kubernetes/cmd/kube-apiserver",
        Program::ControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
        Program::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
        Program::Scheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
        Program::Kubelet => "k8s.io/kubernetes/cmd/kubelet",
        Program::Proxy => "k8s.io/kubernetes/cmd/kube-proxy",
        Program::Helm3 => "helm.sh/helm/v3/cmd/helm",
        Program::Helm4 => "helm.sh/helm/v4/cmd/helm",
    }
}

const KUBERNETES_MODULE: &[(&str, &str)] = &[
    ("go.mod", include_str!("../../kube/kubernetes/go.mod")),
    ("go.sum", include_str!("../../kube/kubernetes/go.sum")),
];

const ETCD_MODULE: &[(&str, &str)] = &[
    ("go.mod", include_str!("../../kube/etcd/go.mod")),
    ("go.sum", include_str!("../../kube/etcd/go.sum")),
    ("main.go", include_str!("../../kube/etcd/main.go")),
];

const HELM_3_MODULE: &[(&str, &str)] = &[
    ("go.mod", include_str!("../../kube/helm3/go.mod")),
    ("go.sum", include_str!("../../kube/helm3/go.sum")),
];

const HELM_4_MODULE: &[(&str, &str)] = &[
    ("go.mod", include_str!("../../kube/helm4/go.mod")),
    ("go.sum", include_str!("../../kube/helm4/go.sum")),
];

/// As Helm's own releases: `helm template` takes the cluster for the version that it was built for.
fn helm_3_linker_flags() -> String {
    let minor = HELM_3_KUBERNETES_MINOR;
    let package = "helm.sh/helm/v3";
    format!(
        "-s -w -X {package}/internal/version.version=v{HELM_3_VERSION} -X {package}/pkg/chartutil.k8sVersionMajor=1 \
         -X {package}/pkg/chartutil.k8sVersionMinor={minor} -X {package}/pkg/lint/rules.k8sVersionMajor=1 \
         -X {package}/pkg/lint/rules.k8sVersionMinor={minor}"
    )
}

/// Programs built from a module do not know their version unless the linker writes it in.
fn kubernetes_linker_flags() -> String {
    let package = "k8s.io/component-base/version";
    let minor = KUBERNETES_VERSION
        .split('.')
        .nth(1)
        .expect("the constant has three parts");
    format!(
        "-s -w -X {package}.gitVersion=v{KUBERNETES_VERSION} -X {package}.gitMajor=1 -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=archive -X {package}.gitCommit=module"
    )
}

/// Runs `go build`, counting the packages it reports, with a line every [`HEARTBEAT`].
fn run(name: &'static str, command: &mut Command, progress: &mut dyn Write) -> Result<(), BuildError> {
    let start = Instant::now();
    let io_error = |what: &str| {
        let what = what.to_owned();
        move |source| BuildError::Io {
            program: name,
            what,
            source,
        }
    };
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io_error("start `go build`"))?;
    let packages = AtomicUsize::new(0);
    let tail = thread::scope(|scope| {
        let (done, finished) = mpsc::channel::<()>();
        let reader = scope.spawn(|| {
            let tail = read_tail(&mut child, &packages);
            drop(done);
            tail
        });
        while finished.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
            let (count, seconds) = (packages.load(Ordering::Relaxed), start.elapsed().as_secs());
            say(progress, &format!("  {name}: {count} packages compiled, {seconds} s"));
        }
        reader.join().unwrap_or_default()
    });
    let status = child.wait().map_err(io_error("wait for `go build`"))?;
    if !status.success() {
        return Err(BuildError::Failed {
            program: name,
            status: status.to_string(),
            tail: tail.join("\n"),
        });
    }
    say(
        progress,
        &format!("  {name}: built in {:.1} s", start.elapsed().as_secs_f32()),
    );
    Ok(())
}

/// Reads what `child` writes to its standard error until the end: every line but `go: downloading …` counts as a package,
/// the last ones are given back.
fn read_tail(child: &mut Child, packages: &AtomicUsize) -> Vec<String> {
    let mut tail = Vec::new();
    let stderr = child.stderr.take().expect("the caller made it a pipe");
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        packages.fetch_add(usize::from(!line.starts_with("go: ")), Ordering::Relaxed);
        if tail.len() == TAIL {
            tail.remove(0);
        }
        tail.push(line);
    }
    tail
}

/// Progress is for people; that nobody reads it any more is no reason to stop.
fn say(progress: &mut dyn Write, line: &str) {
    let _ = writeln!(progress, "{line}");
}
