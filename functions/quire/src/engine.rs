//! Makes the local engines, by the command's arguments and this machine.

use std::{num::NonZero, path::PathBuf};

use anyhow::{Context, bail, ensure};
use quire_hunyuan_ocr::{HunyuanFiles, HunyuanOcr, HunyuanOptions};
use quire_native_libs::Progress;
use quire_pp_ocr::{BatchPolicy, Device, Engine, GpuOptions, GpuPpOcr, PpOcr, Provider};
use quire_routes::{Config, EngineEntry, EngineKind, HunyuanEntry, PpOcrEntry, Tier};
use quire_tasks::EngineName;
use quire_telemetry::{
    env::{self, Misconfigured},
    processors,
};
use quire_worker::LocalEngine;

use crate::{
    cli::EngineArgs,
    model_choice::ModelChoice,
    provider::{self, RequestedProvider},
};

/// Makes an engine that runs in this process, on the thread that will own it.
pub type MakeEngine = fn(&EngineEntry, EngineResources) -> anyhow::Result<LocalEngine>;

/// The resources of this machine that one worker's engines may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineResources {
    /// The device that runs the models.
    pub device: Device,
    /// The library that runs PP-OCR's models.
    pub provider: RequestedProvider,
    /// The number of CPUs that a run may use, if it runs on CPUs.
    pub threads: usize,
    /// The models of PP-OCR engines that name none.
    pub tier: Tier,
}

impl EngineResources {
    /// Returns one worker's share of this machine.
    pub(crate) fn share_of(engine: &EngineArgs, workers: usize) -> Self {
        let threads = (processors() / workers.max(1)).max(1);
        Self { device: engine.device, provider: engine.provider, threads, tier: engine.routes.tier }
    }
}

impl EngineArgs {
    /// Returns the arguments with the device that the requested provider implies.
    ///
    /// # Errors
    /// When another device is requested as well.
    pub(crate) fn validate(self) -> anyhow::Result<Self> {
        let Some(device) = self.provider.device() else { return Ok(self) };
        let provider = self.provider.as_str();
        ensure!(device == Device::Cuda || self.device == Device::Cpu, "{provider} runs on the CPU, not on a GPU");
        Ok(Self { device, ..self })
    }
}

/// Returns the number of workers, unless it is given. PP-OCR on CPUs uses one thread per worker, since more threads in
/// one run slow each other down, so there is one worker per CPU. A GPU, `HunyuanOCR` or a server gets one worker, which
/// keeps many pages in flight.
pub(crate) fn worker_count(given: Option<u16>, device: Device, config: &Config) -> usize {
    if let Some(given) = given {
        return usize::from(given);
    }
    let has_pp_ocr = config.engines.values().any(|entry| matches!(entry.kind, EngineKind::PpOcr(_)));
    let has_hunyuan = config.engines.values().any(|entry| matches!(entry.kind, EngineKind::HunyuanOcr(_)));
    if device == Device::Cpu && has_pp_ocr && !has_hunyuan { processors() } else { 1 }
}

/// Downloads the libraries and models that the engines need and that are missing, and returns the path of pdfium, which
/// every engine needs. If the library selected for PP-OCR is not available, sets its replacement in `engine`.
///
/// # Errors
/// When a library or model is missing; the error names the variable to set.
pub(crate) fn fetch_natives(config: &Config, engine: &mut EngineArgs, progress: &Progress) -> anyhow::Result<PathBuf> {
    let models: Vec<ModelChoice<'_>> = config
        .engines
        .values()
        .filter_map(|entry| match &entry.kind {
            EngineKind::PpOcr(pp_ocr) => Some(ModelChoice::new(pp_ocr, engine.routes.tier)),
            _ => None,
        })
        .collect();
    if !models.is_empty() {
        engine.provider = provider::fetch(&models, engine.provider, engine.device, progress)?;
    }
    if config.engines.values().any(|entry| matches!(entry.kind, EngineKind::HunyuanOcr(_))) {
        quire_native_libs::onnxruntime(progress)?;
    }
    Ok(quire_native_libs::pdfium(progress)?)
}

/// Makes an engine of the configuration that runs in this process.
///
/// # Errors
/// When a library or model is missing; the error names the variable to set. When the engine is a server.
pub fn local_engine(entry: &EngineEntry, resources: EngineResources) -> anyhow::Result<LocalEngine> {
    match &entry.kind {
        EngineKind::PpOcr(pp_ocr) => Ok(LocalEngine::Batches(self::pp_ocr(pp_ocr, resources)?.0)),
        EngineKind::HunyuanOcr(hunyuan) => Ok(LocalEngine::Stream(Box::new(hunyuan_ocr(hunyuan, resources)?))),
        EngineKind::Openai(_) => bail!("{} is a server, not a local engine", entry.engine),
        EngineKind::Tesseract(_) => bail!("{} is a program, not a local engine", entry.engine),
    }
}

/// Makes PP-OCR, and returns what runs it. On a GPU it has several readers.
///
/// # Errors
/// When a library or model is missing; the error names the variable to set. When the tier `auto` is to run on a GPU.
pub(crate) fn pp_ocr(entry: &PpOcrEntry, resources: EngineResources) -> anyhow::Result<(Engine, Provider)> {
    let choice = ModelChoice::new(entry, resources.tier);
    let provider = resources.provider.select(resources.device).provider;
    if matches!(provider, Provider::Cuda | Provider::TensorRt) {
        let engine_cache = quire_native_libs::cache_folder()?.join("tensorrt");
        let options = GpuOptions { provider, memory_bytes: gpu_memory_per_model()?, engine_cache };
        let files = match &choice.files(provider, &Progress::Silent)?[..] {
            [files] => files.clone(),
            _ => bail!("the tier auto runs on a CPU only: use --tier small or tiny on a GPU"),
        };
        let engine = GpuPpOcr::load_engine(files, &policy(provider)?, options);
        return Ok((engine.context("cannot load PP-OCR")?, provider));
    }
    let mut models = provider::load(&choice, resources.provider, resources.device)?;
    let first = models.remove(0);
    let provider = first.provider();
    let policy = policy(provider)?;
    let engine = match models.pop() {
        Some(precise) => Engine::tiered(auto_name()?, Box::new(first), Box::new(precise), policy),
        None => Engine::new(Box::new(first), policy),
    };
    Ok((engine, provider))
}

/// Returns the name in results of the tier `auto`.
fn auto_name() -> anyhow::Result<EngineName> {
    Ok(format!("pp-ocr@v6-{}", Tier::Auto).parse()?)
}

/// Returns the bytes of GPU memory for each of the two models: half of `QUIRE_GPU_MEMORY_MB`. Default: `None`, no
/// limit.
fn gpu_memory_per_model() -> Result<Option<NonZero<usize>>, Misconfigured> {
    let megabytes = env::within("QUIRE_GPU_MEMORY_MB", 0_usize, 0..=1_000_000)?;
    Ok(NonZero::new((megabytes << 20) / 2))
}

/// Makes the model of PP-OCRv6 small without the engine around it.
///
/// # Errors
/// When a library or model is missing; the error names the variable to set.
pub fn pp_ocr_model(resources: EngineResources) -> anyhow::Result<PpOcr> {
    let small = ModelChoice::Tier(Tier::Small);
    let mut models = provider::load(&small, resources.provider, resources.device)?;
    Ok(models.remove(0))
}

/// Returns the provider's batching policy, with the changes of `QUIRE_POLICY`.
///
/// # Errors
/// Which field of the changes is invalid, and why.
pub fn policy(provider: Provider) -> anyhow::Result<BatchPolicy> {
    quire_worker::policy_from_env(provider)
}

fn hunyuan_ocr(entry: &HunyuanEntry, resources: EngineResources) -> anyhow::Result<HunyuanOcr> {
    let onnxruntime = quire_native_libs::onnxruntime(&Progress::Silent)?;
    let files = HunyuanFiles { onnxruntime, folder: entry.folder.clone() };
    HunyuanOcr::load(&files, &hunyuan_options(entry, resources))
        .with_context(|| format!("cannot load HunyuanOCR from {}", entry.folder.display()))
}

fn hunyuan_options(entry: &HunyuanEntry, resources: EngineResources) -> HunyuanOptions {
    let default = match resources.device {
        Device::Cpu => HunyuanOptions::cpu(resources.threads),
        Device::Cuda => HunyuanOptions::cuda(),
    };
    HunyuanOptions {
        slots: entry.slots.unwrap_or(default.slots),
        slot_tokens: entry.slot_tokens.unwrap_or(default.slot_tokens),
        max_pixels: entry.max_pixels.or(default.max_pixels),
        ..default
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::RoutesArgs;

    const PP_OCR: &str = r#""pp-ocr@v6-small": {"kind": "pp-ocr"}"#;
    const SERVER: &str = r#""a@1": {"kind": "openai", "url": "http://127.0.0.1:1/v1", "model": "m"}"#;
    const HUNYUAN: &str = r#""b@1": {"kind": "hunyuan-ocr", "folder": "f", "slots": 3}"#;
    const AUTO_ON_CPU: EngineResources =
        EngineResources { device: Device::Cpu, provider: RequestedProvider::Auto, threads: 5, tier: Tier::Small };

    fn config(engines: &[&str], primary: &str) -> Config {
        let engines = engines.join(", ");
        let routes = format!(r#"[{{"modes": ["text"], "primary": "{primary}"}}]"#);
        Config::parse(&format!(r#"{{"engines": {{{engines}}}, "routes": {routes}}}"#)).expect("a valid configuration")
    }

    #[test]
    fn there_is_one_worker_per_cpu_only_for_pp_ocr_on_cpus() {
        let pp_ocr = Config::default();
        assert_eq!(worker_count(None, Device::Cpu, &pp_ocr), processors());
        assert_eq!(worker_count(None, Device::Cpu, &config(&[PP_OCR, SERVER], "a@1")), processors());
        assert_eq!(worker_count(None, Device::Cuda, &pp_ocr), 1);
        assert_eq!(worker_count(None, Device::Cpu, &config(&[SERVER], "a@1")), 1);
        assert_eq!(worker_count(None, Device::Cpu, &config(&[PP_OCR, HUNYUAN], "b@1")), 1);
        assert_eq!(worker_count(Some(7), Device::Cuda, &pp_ocr), 7);
    }

    fn engine_args(device: Device, provider: RequestedProvider) -> EngineArgs {
        EngineArgs { device, provider, routes: RoutesArgs { engines: None, tier: Tier::Small } }
    }

    #[test]
    fn a_provider_implies_its_device() {
        let validated = |device, provider| engine_args(device, provider).validate().map(|args| args.device).ok();
        let openvino = RequestedProvider::Only(Provider::OpenVino);
        assert_eq!(validated(Device::Cpu, RequestedProvider::Only(Provider::Cuda)), Some(Device::Cuda));
        assert_eq!(validated(Device::Cuda, RequestedProvider::Auto), Some(Device::Cuda));
        assert_eq!(validated(Device::Cpu, openvino), Some(Device::Cpu));
        assert_eq!(validated(Device::Cuda, openvino), None);
    }

    #[test]
    fn workers_share_the_cpus_and_each_has_at_least_one() {
        let args = engine_args(Device::Cpu, RequestedProvider::Auto);
        assert_eq!(EngineResources::share_of(&args, 1).threads, processors());
        assert_eq!(EngineResources::share_of(&args, 10_000).threads, 1);
    }

    #[test]
    fn configured_slots_override_the_defaults_of_the_device() {
        let config = config(&[HUNYUAN], "b@1");
        let Some(EngineKind::HunyuanOcr(entry)) = config.engines.values().next().map(|entry| &entry.kind) else {
            panic!("{config:?}")
        };
        let options = hunyuan_options(entry, AUTO_ON_CPU);
        assert_eq!(options, HunyuanOptions { slots: 3, ..HunyuanOptions::cpu(5) });
    }

    #[test]
    fn a_server_is_not_a_local_engine() {
        let config = config(&[SERVER], "a@1");
        let entry = config.engines.values().next().expect("an engine");
        let made = local_engine(entry, AUTO_ON_CPU);
        assert!(made.is_err_and(|error| error.to_string().contains("a@1 is a server")));
    }
}
