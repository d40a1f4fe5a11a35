//! Which of the sources each part comes from.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::pinned::{self, Member, Part, Platform};
use crate::{Models, Natives, NativesError, Progress, install};

const ONNXRUNTIME: &str = "ORT_DYLIB_PATH";
const PDFIUM: &str = "QUIRE_PDFIUM_PATH";
const MODELS: &str = "QUIRE_MODELS_DIR";
const OPENVINO: &str = "QUIRE_OPENVINO_DIR";
/// What OpenVINO calls its C interface where nothing is pinned.
const OPENVINO_LIBRARY: &str = if cfg!(target_os = "macos") { "libopenvino_c.dylib" } else { "libopenvino_c.so" };
const CACHE: &str = "QUIRE_CACHE_DIR";
const PYTHON: &str = "QUIRE_PYTHON";

/// What the environment says, and what is pinned for this machine.
#[derive(Debug)]
pub(crate) struct Sources {
    onnxruntime: Option<PathBuf>,
    pdfium: Option<PathBuf>,
    models: Option<PathBuf>,
    openvino: Option<PathBuf>,
    cache: Option<PathBuf>,
    python: OsString,
    platform: Option<&'static Platform>,
    pinned_models: &'static Part,
}

/// How one file was found by [`crate::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it belongs to, in people's words: `ONNX Runtime`, say.
    pub part: &'static str,
    /// The version that is pinned; of a file by a variable none is known.
    pub version: Option<&'static str>,
    /// The file.
    pub path: PathBuf,
    /// Its condition.
    pub condition: Condition,
    /// The variable that names it or its folder.
    pub variable: Option<&'static str>,
}

/// The condition of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// It has the pinned hash.
    Whole,
    /// It is there by this variable; whoever set it answers for it.
    Override(&'static str),
    /// It is not there; [`crate::locate`] would fetch it, or, where a variable names it, refuse.
    Missing,
    /// It is there with other content. Its folder should be removed; it is then fetched again.
    Damaged,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Override(variable) => write!(f, "given by {variable}"),
            Self::Missing => f.write_str("missing"),
            Self::Damaged => f.write_str("damaged: remove its folder, and it is fetched again"),
        }
    }
}

impl Finding {
    fn given(part: &'static str, variable: &'static str, path: PathBuf) -> Self {
        let condition = if path.is_file() { Condition::Override(variable) } else { Condition::Missing };
        Self { part, version: None, path, condition, variable: Some(variable) }
    }

    fn pinned(part: &'static Part, member: &Member, path: PathBuf) -> Self {
        let condition = install::condition(member, &path);
        Self { part: part.title, version: Some(part.version), path, condition, variable: None }
    }
}

/// Where one part comes from.
enum Origin {
    /// From whoever set the variable.
    Given { variable: &'static str, files: Vec<PathBuf> },
    /// From the cache folder, and before that from a wheel.
    Pinned(&'static Part),
}

impl Sources {
    pub(crate) fn from_env() -> Result<Self, NativesError> {
        Self::new(|name| env::var_os(name), pinned::this_platform(), &pinned::MODELS)
    }

    /// From any environment and any pinned list, for tests' sake.
    pub(crate) fn new(
        variable: impl Fn(&str) -> Option<OsString>,
        platform: Option<&'static Platform>,
        pinned_models: &'static Part,
    ) -> Result<Self, NativesError> {
        // Containers often clear a variable by setting it to nothing.
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Ok(Self {
            onnxruntime: path(ONNXRUNTIME),
            pdfium: path(PDFIUM),
            models: path(MODELS),
            openvino: path(OPENVINO),
            cache: cache_folder(&path).map(|folder| absolute(&folder)).transpose()?,
            python: match path(PYTHON) {
                // pip runs in another folder than ours; a bare name is looked up in PATH all the same.
                Some(python) if python.components().count() > 1 => absolute(&python)?.into(),
                Some(python) => python.into(),
                None => "python3".into(),
            },
            platform,
            pinned_models,
        })
    }

    pub(crate) fn natives(&self, progress: &Progress) -> Result<Natives, NativesError> {
        let Models { detection, recognition } = self.models(progress)?;
        Ok(Natives { onnxruntime: self.onnxruntime(progress)?, pdfium: self.pdfium(progress)?, detection, recognition })
    }

    pub(crate) fn onnxruntime(&self, progress: &Progress) -> Result<PathBuf, NativesError> {
        self.files(self.origin_of_onnxruntime()?, progress).map(only)
    }

    pub(crate) fn pdfium(&self, progress: &Progress) -> Result<PathBuf, NativesError> {
        self.files(self.origin_of_pdfium()?, progress).map(only)
    }

    pub(crate) fn models(&self, progress: &Progress) -> Result<Models, NativesError> {
        let files = self.files(self.origin_of_models(), progress)?;
        let [detection, recognition] = <[PathBuf; 2]>::try_from(files).expect("two models are pinned");
        Ok(Models { detection, recognition })
    }

    pub(crate) fn openvino(&self, progress: &Progress) -> Result<PathBuf, NativesError> {
        self.files(self.origin_of_openvino()?, progress).map(only)
    }

    pub(crate) fn has_openvino(&self) -> bool {
        self.origin_of_openvino().is_ok()
    }

    pub(crate) fn verify(&self) -> Result<Vec<Finding>, NativesError> {
        let origins = [
            (self.origin_of_onnxruntime()?, "ONNX Runtime"),
            (self.origin_of_pdfium()?, "pdfium"),
            (self.origin_of_models(), self.pinned_models.title),
        ];
        let openvino = self.origin_of_openvino().ok().map(|origin| (origin, "OpenVINO"));
        let all = origins.into_iter().chain(openvino);
        let findings = all.map(|(origin, part)| self.findings(origin, part)).collect::<Result<Vec<_>, _>>()?;
        Ok(findings.into_iter().flatten().collect())
    }

    fn origin_of_onnxruntime(&self) -> Result<Origin, NativesError> {
        Ok(match &self.onnxruntime {
            Some(path) => Origin::Given { variable: ONNXRUNTIME, files: vec![path.clone()] },
            None => Origin::Pinned(&self.platform()?.onnxruntime),
        })
    }

    fn origin_of_pdfium(&self) -> Result<Origin, NativesError> {
        Ok(match &self.pdfium {
            Some(path) => Origin::Given { variable: PDFIUM, files: vec![path.clone()] },
            None => Origin::Pinned(&self.platform()?.pdfium),
        })
    }

    fn origin_of_openvino(&self) -> Result<Origin, NativesError> {
        let pinned = self.platform.and_then(|platform| platform.openvino.as_ref());
        match &self.openvino {
            // Where nothing is pinned, its library alone is known by name.
            Some(folder) => {
                let files = pinned.map_or_else(|| vec![folder.join(OPENVINO_LIBRARY)], |part| members(part, folder));
                Ok(Origin::Given { variable: OPENVINO, files })
            }
            None => pinned.map(Origin::Pinned).ok_or(NativesError::NoOpenVino),
        }
    }

    fn origin_of_models(&self) -> Origin {
        match &self.models {
            Some(folder) => Origin::Given { variable: MODELS, files: members(self.pinned_models, folder) },
            None => Origin::Pinned(self.pinned_models),
        }
    }

    fn files(&self, origin: Origin, progress: &Progress) -> Result<Vec<PathBuf>, NativesError> {
        match origin {
            Origin::Given { variable, files } => match files.iter().find(|path| !path.is_file()) {
                Some(path) => Err(NativesError::Override { variable, path: path.clone() }),
                None => Ok(files),
            },
            Origin::Pinned(part) => Ok(members(part, &install::ensure(part, self.cache()?, &self.python, progress)?)),
        }
    }

    fn findings(&self, origin: Origin, title: &'static str) -> Result<Vec<Finding>, NativesError> {
        Ok(match origin {
            Origin::Given { variable, files } => {
                files.into_iter().map(|path| Finding::given(title, variable, path)).collect()
            }
            Origin::Pinned(part) => {
                let files = members(part, &self.cache()?.join(part.folder_name()));
                part.members.iter().zip(files).map(|(member, path)| Finding::pinned(part, member, path)).collect()
            }
        })
    }

    pub(crate) fn cache(&self) -> Result<&Path, NativesError> {
        self.cache.as_deref().ok_or(NativesError::NoCacheFolder)
    }

    fn platform(&self) -> Result<&'static Platform, NativesError> {
        self.platform.ok_or(NativesError::UnsupportedPlatform { os: env::consts::OS, arch: env::consts::ARCH })
    }
}

/// `QUIRE_CACHE_DIR`, or the folder that the user's system keeps for such things.
fn cache_folder(path: &impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let in_home = if cfg!(target_os = "macos") { "Library/Caches/quire" } else { ".cache/quire" };
    path(CACHE)
        // The base directory specification says to ignore a relative one.
        .or_else(|| path("XDG_CACHE_HOME").filter(|folder| folder.is_absolute()).map(|folder| folder.join("quire")))
        .or_else(|| path("HOME").map(|home| home.join(in_home)))
}

fn absolute(path: &Path) -> Result<PathBuf, NativesError> {
    std::path::absolute(path).map_err(crate::error::at(path))
}

fn members(part: &Part, folder: &Path) -> Vec<PathBuf> {
    part.members.iter().map(|member| folder.join(member.name)).collect()
}

fn only(mut files: Vec<PathBuf>) -> PathBuf {
    files.swap_remove(0)
}
