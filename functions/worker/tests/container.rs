//! Properties of the worker's container image, checked in its sources.

use std::{collections::BTreeMap, fs, path::Path};

/// Reads a file of the repository.
fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the instructions of each build stage, by its name, without comments and with continued lines joined.
fn stages() -> BTreeMap<String, Vec<(String, String)>> {
    let dockerfile = read("functions/worker/Dockerfile");
    let lines: Vec<&str> = dockerfile.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let mut stages: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut stage = String::new();
    for line in joined.lines().filter(|line| !line.trim().is_empty()) {
        let (instruction, rest) = line.split_once(char::is_whitespace).expect("an instruction has arguments");
        if instruction == "FROM" {
            rest.rsplit_once(" AS ").expect("a stage has a name").1.clone_into(&mut stage);
        }
        stages.entry(stage.clone()).or_default().push((instruction.to_owned(), rest.trim().to_owned()));
    }
    stages
}

/// Returns the arguments of an instruction that the last stage has exactly once.
fn single_argument(instruction: &str) -> String {
    let stages = stages();
    let found: Vec<_> = stages["runtime"].iter().filter(|(name, _)| name == instruction).collect();
    assert_eq!(found.len(), 1, "{instruction}: {found:?}");
    found[0].1.clone()
}

fn environment() -> BTreeMap<String, String> {
    let pairs = single_argument("ENV");
    let pairs = pairs.split_whitespace().map(|pair| pair.split_once('=').expect("NAME=VALUE"));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

/// Returns the hashes of the native files in the image, by their paths below `/opt/quire`.
fn parts() -> BTreeMap<String, String> {
    let sums = read("functions/worker/parts/SHA256SUMS");
    let pairs = sums.lines().map(|line| line.split_once("  ").expect("a hash and a path"));
    pairs.map(|(digest, path)| (path.to_owned(), digest.to_owned())).collect()
}

#[test]
fn it_runs_as_an_unprivileged_numeric_user() {
    let user = single_argument("USER");
    let (uid, gid) = user.split_once(':').expect("a user and a group");
    for id in [uid, gid] {
        assert!(id.parse::<u32>().is_ok_and(|id| id >= 10_000), "{user}: a numeric id that no host uses");
    }
    assert_eq!(single_argument("VOLUME"), r#"["/tmp"]"#, "the only writable folder");
}

#[test]
fn signals_reach_the_program() {
    // The exec form starts no shell, which would not forward SIGTERM.
    assert_eq!(
        (single_argument("ENTRYPOINT").as_str(), single_argument("CMD").as_str()),
        (r#"["quire"]"#, r#"["worker"]"#)
    );
    assert_eq!(single_argument("STOPSIGNAL"), "SIGTERM");
    assert!(single_argument("HEALTHCHECK").ends_with(r#"CMD ["quire", "alive"]"#));
}

#[test]
fn the_environment_names_files_of_the_image() {
    let environment = environment();
    let parts = parts();
    for variable in ["ORT_DYLIB_PATH", "QUIRE_PDFIUM_PATH"] {
        let path = environment[variable].strip_prefix("/opt/quire/").expect("a path below /opt/quire");
        assert!(parts.contains_key(path), "{variable}={path}");
    }
    let models = environment["QUIRE_MODELS_DIR"].strip_prefix("/opt/quire/").expect("a path below /opt/quire");
    assert_eq!(parts.keys().filter(|path| path.starts_with(models)).count(), 2);
    assert_eq!(environment["LD_LIBRARY_PATH"], "/opt/quire/lib");
    assert!(environment["QUIRE_HEARTBEAT_FILE"].starts_with("/tmp/"), "other folders are read-only");
    let is = |name: &str| environment[name].as_str();
    assert_eq!((is("QUIRE_PLATFORM"), is("QUIRE_DEVICE"), is("ORT_DISABLE_TELEMETRY")), ("aws", "cuda", "1"));
}

/// Returns whether only packages of fonts are installed, each in an exact version.
fn are_pinned(command: &str) -> bool {
    let arguments =
        command.split("apt-get install").nth(1).and_then(|rest| rest.split("&&").next()).unwrap_or_default();
    let mut packages = arguments.split_whitespace().filter(|word| !word.starts_with("--")).peekable();
    packages.peek().is_some() && packages.all(|package| package.starts_with("fonts-") && package.contains('='))
}

#[test]
fn nothing_is_downloaded_without_a_hash() {
    for (stage, instructions) in stages() {
        for (instruction, rest) in instructions {
            assert_ne!(instruction, "ADD", "{stage}: ADD downloads without a hash");
            let fetches = ["curl", "wget", "http:", "https:", "pip install"];
            assert!(!fetches.iter().any(|word| rest.contains(word)), "{stage}: {instruction} {rest}");
            // Debian's packages are verified by the hashes of its signed index.
            let installs = rest.contains("apt-get");
            assert!(!installs || stage == "fonts" && are_pinned(&rest), "{stage}: {instruction} {rest}");
            assert!(!rest.contains(":latest"), "{stage}: {rest}");
        }
    }
    let requirements = read("functions/worker/parts/requirements.txt").replace("\\\n", " ");
    for line in requirements.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        assert!(line.contains("==") && line.contains("--hash=sha256:"), "{line}");
    }
}

#[test]
fn pdfium_and_the_models_are_the_pinned_ones() {
    let pinned = read("shared/native-libs/src/pinned.rs");
    for (path, digest) in parts().iter().filter(|(path, _)| path.starts_with("models/") || path.contains("pdfium")) {
        assert!(pinned.contains(digest), "{path} differs from the one in shared/native-libs");
    }
    let requirements = read("functions/worker/parts/requirements.txt").replace("\\\n", " ");
    for package in ["pypdfium2", "rapidocr"] {
        let line = requirements.lines().find(|line| line.starts_with(package)).expect("the package is required");
        let (_, rest) = line.split_once("==").expect("a pinned version");
        let (version, digest) = rest.split_once("--hash=sha256:").expect("a pinned hash");
        let version = format!("version: \"{}\"", version.trim());
        assert!(pinned.contains(&version) && pinned.contains(digest.trim()), "{line}");
    }
}

#[test]
fn every_library_that_cuda_needs_is_there() {
    let sources = read("shared/inference/src/cuda.rs");
    let named: Vec<&str> = sources.split('"').filter(|text| text.starts_with("lib") && text.contains(".so")).collect();
    assert!(named.len() >= 9, "the list has moved: {named:?}");
    let parts = parts();
    // Except for the driver's library, which comes with the GPU, and TensorRT, which is optional.
    let tensorrt = |name: &str| name.contains("tensorrt") || name.starts_with("libnv");
    let brought = |name: &&str| !name.starts_with("libcuda.so") && !name.contains(' ') && !tensorrt(name);
    for name in named.into_iter().filter(brought) {
        assert!(parts.contains_key(&format!("lib/{name}")), "{name}");
    }
}

#[test]
fn it_is_built_with_the_compiler_of_the_workspace() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    let image = format!("RUST=rust:{}.", version.trim_matches('"'));
    assert!(stages()[""].iter().any(|(_, argument)| argument.starts_with(&image)), "{image}");
}

#[test]
fn the_build_context_is_the_workspace_only() {
    let ignored = read(".dockerignore");
    let lines: Vec<&str> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[0], "*", "everything else stays out: data, build output, secrets");
    // Cargo reads the manifests of all members.
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).expect("members");
    for member in members.split('"').skip(1).step_by(2) {
        // A pattern for a folder includes everything below it.
        let is_included = |folder: &Path| lines.contains(&format!("!{}", folder.display()).as_str());
        let folder = Path::new(member.trim_end_matches("/*"));
        assert!(folder.ancestors().any(is_included), "{member} is a member of the workspace");
    }
}
