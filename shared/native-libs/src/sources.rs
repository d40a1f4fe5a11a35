//! The source of each library and model: an environment variable, or a pinned wheel.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::pinned::{self, PinnedPlatform, PinnedWheel, WheelMember};
use crate::{
    FileCheck, FileCondition, Models, NativeLibraries, NativeLibsError, Progress, TinyModels, install, ownership,
};

const ONNXRUNTIME: &str = "ORT_DYLIB_PATH";
const PDFIUM: &str = "QUIRE_PDFIUM_PATH";
const MODELS: &str = "QUIRE_MODELS_DIR";
const OPENVINO: &str = "QUIRE_OPENVINO_DIR";
/// The name of OpenVINO's C library on platforms without a pinned wheel.
const OPENVINO_LIBRARY: &str = if cfg!(target_os = "macos") { "libopenvino_c.dylib" } else { "libopenvino_c.so" };
const CACHE: &str = "QUIRE_CACHE_DIR";
const PYTHON: &str = "QUIRE_PYTHON";

/// The environment variables, and the pinned wheels of this platform.
#[derive(Debug)]
pub(crate) struct Sources {
    onnxruntime: Option<PathBuf>,
    pdfium: Option<PathBuf>,
    models: Option<PathBuf>,
    openvino: Option<PathBuf>,
    cache: Option<PathBuf>,
    python: OsString,
    platform: Option<&'static PinnedPlatform>,
    pinned_models: &'static PinnedWheel,
}

/// The source of a library or of the models.
enum Origin {
    /// Files named by an environment variable.
    Given { variable: &'static str, files: Vec<PathBuf> },
    /// The cache folder, filled from a wheel.
    Pinned(&'static PinnedWheel),
}

impl Sources {
    pub(crate) fn from_env() -> Result<Self, NativeLibsError> {
        Self::new(|name| env::var_os(name), pinned::this_platform(), &pinned::MODELS)
    }

    /// Creates sources from any environment and any pinned wheels, for tests.
    pub(crate) fn new(
        variable: impl Fn(&str) -> Option<OsString>,
        platform: Option<&'static PinnedPlatform>,
        pinned_models: &'static PinnedWheel,
    ) -> Result<Self, NativeLibsError> {
        // An empty variable counts as unset, as is common in containers.
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Ok(Self {
            onnxruntime: path(ONNXRUNTIME),
            pdfium: path(PDFIUM),
            models: path(MODELS),
            openvino: path(OPENVINO),
            cache: cache_folder(&path).map(|folder| absolute(&folder)).transpose()?,
            python: match path(PYTHON) {
                // Absolute, because pip runs in another folder. A bare name is looked up in PATH.
                Some(python) if python.components().count() > 1 => absolute(&python)?.into(),
                Some(python) => python.into(),
                None => "python3".into(),
            },
            platform,
            pinned_models,
        })
    }

    pub(crate) fn native_libraries(&self, progress: &Progress) -> Result<NativeLibraries, NativeLibsError> {
        let Models { detection, recognition } = self.models(progress)?;
        Ok(NativeLibraries {
            onnxruntime: self.onnxruntime(progress)?,
            pdfium: self.pdfium(progress)?,
            detection,
            recognition,
        })
    }

    pub(crate) fn onnxruntime(&self, progress: &Progress) -> Result<PathBuf, NativeLibsError> {
        self.files(self.origin_of_onnxruntime()?, progress).map(first)
    }

    pub(crate) fn pdfium(&self, progress: &Progress) -> Result<PathBuf, NativeLibsError> {
        self.files(self.origin_of_pdfium()?, progress).map(first)
    }

    pub(crate) fn models(&self, progress: &Progress) -> Result<Models, NativeLibsError> {
        let files = self.files(self.origin_of_models(self.pinned_models), progress)?;
        let [detection, recognition] = <[PathBuf; 2]>::try_from(files).expect("two models are pinned");
        Ok(Models { detection, recognition })
    }

    pub(crate) fn tiny_models(&self, progress: &Progress) -> Result<TinyModels, NativeLibsError> {
        let files = self.files(self.origin_of_models(&pinned::TINY_MODELS), progress)?;
        let [detection, recognition, dictionary] =
            <[PathBuf; 3]>::try_from(files).expect("two models and a dictionary are pinned");
        Ok(TinyModels { detection, recognition, dictionary })
    }

    pub(crate) fn verify_tiny_models(&self) -> Result<Vec<FileCheck>, NativeLibsError> {
        self.checks(self.origin_of_models(&pinned::TINY_MODELS), pinned::TINY_MODELS.title)
    }

    pub(crate) fn openvino(&self, progress: &Progress) -> Result<PathBuf, NativeLibsError> {
        self.files(self.origin_of_openvino()?, progress).map(first)
    }

    pub(crate) fn has_openvino(&self) -> bool {
        self.origin_of_openvino().is_ok()
    }

    pub(crate) fn verify(&self) -> Result<Vec<FileCheck>, NativeLibsError> {
        let origins = [
            (self.origin_of_onnxruntime()?, "ONNX Runtime"),
            (self.origin_of_pdfium()?, "pdfium"),
            (self.origin_of_models(self.pinned_models), self.pinned_models.title),
        ];
        let openvino = self.origin_of_openvino().ok().map(|origin| (origin, "OpenVINO"));
        let all = origins.into_iter().chain(openvino);
        let checks = all.map(|(origin, part)| self.checks(origin, part)).collect::<Result<Vec<_>, _>>()?;
        Ok(checks.into_iter().flatten().collect())
    }

    fn origin_of_onnxruntime(&self) -> Result<Origin, NativeLibsError> {
        Ok(match &self.onnxruntime {
            Some(path) => Origin::Given { variable: ONNXRUNTIME, files: vec![path.clone()] },
            None => Origin::Pinned(&self.platform()?.onnxruntime),
        })
    }

    fn origin_of_pdfium(&self) -> Result<Origin, NativeLibsError> {
        Ok(match &self.pdfium {
            Some(path) => Origin::Given { variable: PDFIUM, files: vec![path.clone()] },
            None => Origin::Pinned(&self.platform()?.pdfium),
        })
    }

    fn origin_of_openvino(&self) -> Result<Origin, NativeLibsError> {
        let pinned = self.platform.and_then(|platform| platform.openvino.as_ref());
        match &self.openvino {
            // Without a pinned wheel, only the name of the C library is known.
            Some(folder) => {
                let files = pinned.map_or_else(|| vec![folder.join(OPENVINO_LIBRARY)], |part| members(part, folder));
                Ok(Origin::Given { variable: OPENVINO, files })
            }
            None => pinned.map(Origin::Pinned).ok_or(NativeLibsError::NoOpenVino),
        }
    }

    fn origin_of_models(&self, pinned: &'static PinnedWheel) -> Origin {
        match &self.models {
            Some(folder) => Origin::Given { variable: MODELS, files: members(pinned, folder) },
            None => Origin::Pinned(pinned),
        }
    }

    fn files(&self, origin: Origin, progress: &Progress) -> Result<Vec<PathBuf>, NativeLibsError> {
        match origin {
            Origin::Given { variable, files } => match files.iter().find(|path| !path.is_file()) {
                Some(path) => Err(NativeLibsError::Override { variable, path: path.clone() }),
                None => files.into_iter().map(owned).collect(),
            },
            Origin::Pinned(part) => {
                let folder = install::ensure(part, self.cache()?, &self.python, progress)?;
                ownership::close(self.cache()?);
                ownership::close(&folder);
                // Whoever can write the cache folder can replace the folders in it.
                let folder = owned(folder)?;
                part.members.iter().map(|member| verified(part, member, &folder)).collect()
            }
        }
    }

    fn checks(&self, origin: Origin, title: &'static str) -> Result<Vec<FileCheck>, NativeLibsError> {
        Ok(match origin {
            Origin::Given { variable, files } => {
                files.into_iter().map(|path| FileCheck::given(title, variable, path)).collect()
            }
            Origin::Pinned(part) => {
                let files = members(part, &self.cache()?.join(part.folder_name()));
                part.members.iter().zip(files).map(|(member, path)| FileCheck::pinned(part, member, path)).collect()
            }
        })
    }

    pub(crate) fn cache(&self) -> Result<&Path, NativeLibsError> {
        self.cache.as_deref().ok_or(NativeLibsError::NoCacheFolder)
    }

    fn platform(&self) -> Result<&'static PinnedPlatform, NativeLibsError> {
        self.platform.ok_or(NativeLibsError::UnsupportedPlatform { os: env::consts::OS, arch: env::consts::ARCH })
    }
}

/// Returns `QUIRE_CACHE_DIR`, or the default: a folder in the user's cache folder.
fn cache_folder(path: &impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let in_home = if cfg!(target_os = "macos") { "Library/Caches/quire" } else { ".cache/quire" };
    path(CACHE)
        // The XDG Base Directory Specification requires that relative paths are ignored.
        .or_else(|| path("XDG_CACHE_HOME").filter(|folder| folder.is_absolute()).map(|folder| folder.join("quire")))
        .or_else(|| path("HOME").map(|home| home.join(in_home)))
}

fn absolute(path: &Path) -> Result<PathBuf, NativeLibsError> {
    std::path::absolute(path).map_err(crate::error::at(path))
}

fn members(part: &PinnedWheel, folder: &Path) -> Vec<PathBuf> {
    part.members.iter().map(|member| folder.join(member.name)).collect()
}

/// Returns the path of a file that no other user can change.
fn owned(file: PathBuf) -> Result<PathBuf, NativeLibsError> {
    match ownership::check(&file).map_err(crate::error::at(&file))? {
        Ok(()) => Ok(file),
        Err(ownership::Changeable { path, why }) => Err(NativeLibsError::Changeable { file, path, why }),
    }
}

/// Returns the path of an installed file that no other user can change and that has its pinned hash. Files that this
/// process has verified already are not read again: hashing OpenVINO's 90 MB takes 0.1 s with SHA instructions.
fn verified(part: &'static PinnedWheel, member: &WheelMember, folder: &Path) -> Result<PathBuf, NativeLibsError> {
    static VERIFIED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let path = owned(folder.join(member.name))?;
    let mut verified = VERIFIED.lock().unwrap_or_else(PoisonError::into_inner);
    if !verified.contains(&path) {
        if FileCheck::pinned(part, member, path.clone()).condition != FileCondition::Valid {
            return Err(NativeLibsError::Changed { path });
        }
        verified.insert(path.clone());
    }
    Ok(path)
}

fn first(mut files: Vec<PathBuf>) -> PathBuf {
    files.swap_remove(0)
}
