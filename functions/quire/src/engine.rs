//! The engines that `quire` reads with, and what they run on.

use std::{num::NonZero, path::PathBuf};

use anyhow::{Context, bail, ensure};
use quire_hunyuan_ocr::{HunyuanFiles, HunyuanOcr, HunyuanOptions};
use quire_native_libs::Progress;
use quire_pp_ocr::{BatchPolicy, Engine, GpuOptions, GpuPpOcr, PpOcr, Provider};
use quire_routes::{Config, EngineEntry, HunyuanEntry, Kind};
use quire_telemetry::{
    env::{self, Misconfigured},
    processors,
};
use quire_worker::LocalEngine;

use crate::{
    Device, cli,
    provider::{self, Wish},
};

/// What an engine may have of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// What runs its models.
    pub device: Device,
    /// Which library runs PP-OCR's.
    pub provider: Wish,
    /// How many processors a run may keep busy, where it is those that run it.
    pub threads: usize,
}

impl Machine {
    /// The share of one of so many workers.
    pub(crate) fn shared(engine: &cli::Engine, workers: usize) -> Self {
        Self { device: engine.device, provider: engine.provider, threads: (processors() / workers.max(1)).max(1) }
    }
}

impl cli::Engine {
    /// The same, with the device that the provider is about.
    ///
    /// # Errors
    /// When that is another one than was asked for.
    pub(crate) fn checked(self) -> anyhow::Result<Self> {
        let Some(device) = self.provider.device() else { return Ok(self) };
        let provider = self.provider.as_str();
        ensure!(device == Device::Cuda || self.device == Device::Cpu, "{provider} runs on the processor, not on a GPU");
        Ok(Self { device, ..self })
    }
}

/// How many workers there are to be, unless a number is given. PP-OCR on a processor has one thread, since several in one
/// run only get into each other's way, so there is a worker for each processor. Where a GPU, HunyuanOCR or a server reads,
/// one worker holds as many pages as keep it busy.
pub(crate) fn workers(given: Option<u16>, device: Device, config: &Config) -> usize {
    let (mut pp_ocr, mut hunyuan) = (false, false);
    for entry in config.engines.values() {
        pp_ocr |= matches!(entry.kind, Kind::PpOcr {});
        hunyuan |= matches!(entry.kind, Kind::HunyuanOcr(_));
    }
    let one_each = device == Device::Cpu && pp_ocr && !hunyuan;
    given.map_or_else(|| if one_each { processors() } else { 1 }, usize::from)
}

/// Has what these engines need fetched where it is not here yet, and says where pdfium is, which everybody needs. Where
/// what would run PP-OCR cannot be had, what does is set.
///
/// # Errors
/// What is missing, and what to set.
pub(crate) fn fetch_natives(config: &Config, engine: &mut cli::Engine, progress: &Progress) -> anyhow::Result<PathBuf> {
    let engines = || config.engines.values();
    if engines().any(|entry| matches!(entry.kind, Kind::PpOcr {})) {
        engine.provider = provider::fetch(engine.provider, engine.device, progress)?;
    }
    if engines().any(|entry| matches!(entry.kind, Kind::HunyuanOcr(_))) {
        quire_native_libs::onnxruntime(progress)?;
    }
    Ok(quire_native_libs::pdfium(progress)?)
}

/// An engine of the configuration that runs in this process.
///
/// # Errors
/// What is missing, and what to set; and for one that runs elsewhere.
pub fn local_engine(entry: &EngineEntry, machine: Machine) -> anyhow::Result<LocalEngine> {
    match &entry.kind {
        Kind::PpOcr {} => Ok(LocalEngine::Batches(pp_ocr(machine)?.0)),
        Kind::HunyuanOcr(hunyuan) => Ok(LocalEngine::Stream(Box::new(hunyuan_ocr(hunyuan, machine)?))),
        Kind::Openai(_) => bail!("{} is a server: it is not made here", entry.engine),
    }
}

/// PP-OCRv6, and what runs it. On a GPU it has several readers.
///
/// # Errors
/// What is missing, and what to set.
pub(crate) fn pp_ocr(machine: Machine) -> anyhow::Result<(Engine, Provider)> {
    let provider = machine.provider.choice(machine.device).provider;
    if matches!(provider, Provider::Cuda | Provider::TensorRt) {
        let engine_cache = quire_native_libs::cache_folder()?.join("tensorrt");
        let options = GpuOptions { provider, memory_bytes: gpu_memory_each()?, engine_cache };
        let engine = GpuPpOcr::load_engine(provider::files(provider)?, &policy(provider)?, options);
        return engine.context("PP-OCR could not be loaded").map(|engine| (engine, provider));
    }
    let model = pp_ocr_model(machine)?;
    let provider = model.provider();
    Ok((Engine::new(Box::new(model), policy(provider)?), provider))
}

/// Bytes of a GPU's memory for each of the two models: half of `QUIRE_GPU_MEMORY_MB`; 0 is as much as there is.
fn gpu_memory_each() -> Result<Option<NonZero<usize>>, Misconfigured> {
    let megabytes = env::within("QUIRE_GPU_MEMORY_MB", 0_usize, 0..=1_000_000)?;
    Ok(NonZero::new((megabytes << 20) / 2))
}

/// PP-OCRv6's model alone.
///
/// # Errors
/// What is missing, and what to set.
pub fn pp_ocr_model(machine: Machine) -> anyhow::Result<PpOcr> {
    provider::load(machine.provider, machine.device)
}

/// How what runs the models batches, with what `QUIRE_POLICY` changes.
///
/// # Errors
/// Which field of a changed policy is wrong, and why.
pub fn policy(provider: Provider) -> anyhow::Result<BatchPolicy> {
    quire_worker::policy_from_env(provider)
}

fn hunyuan_ocr(entry: &HunyuanEntry, machine: Machine) -> anyhow::Result<HunyuanOcr> {
    let onnxruntime = quire_native_libs::onnxruntime(&Progress::Silent)?;
    let files = HunyuanFiles { onnxruntime, folder: entry.folder.clone() };
    HunyuanOcr::load(&files, &options(entry, machine))
        .with_context(|| format!("HunyuanOCR could not be loaded from {}", entry.folder.display()))
}

fn options(entry: &HunyuanEntry, machine: Machine) -> HunyuanOptions {
    let default = match machine.device {
        Device::Cpu => HunyuanOptions::cpu(machine.threads),
        Device::Cuda => HunyuanOptions::cuda(),
    };
    HunyuanOptions {
        slots: entry.slots.unwrap_or(default.slots),
        slot_tokens: entry.slot_tokens.unwrap_or(default.slot_tokens),
        max_pixels: entry.max_pixels.or(default.max_pixels),
        ..default
    }
}

impl From<Device> for quire_pp_ocr::Device {
    fn from(device: Device) -> Self {
        match device {
            Device::Cpu => Self::Cpu,
            Device::Cuda => Self::Cuda,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PP_OCR: &str = r#""pp-ocr@v6-small": {"kind": "pp-ocr"}"#;
    const SERVER: &str = r#""a@1": {"kind": "openai", "url": "http://127.0.0.1:1/v1", "model": "m"}"#;
    const HUNYUAN: &str = r#""b@1": {"kind": "hunyuan-ocr", "folder": "f", "slots": 3}"#;

    fn config(engines: &[&str], primary: &str) -> Config {
        let engines = engines.join(", ");
        let routes = format!(r#"[{{"modes": ["text"], "primary": "{primary}"}}]"#);
        Config::parse(&format!(r#"{{"engines": {{{engines}}}, "routes": {routes}}}"#)).expect("it is right")
    }

    #[test]
    fn there_is_a_worker_a_processor_only_where_each_of_them_reads_by_itself() {
        let pp_ocr = Config::default();
        assert_eq!(workers(None, Device::Cpu, &pp_ocr), processors());
        assert_eq!(workers(None, Device::Cpu, &config(&[PP_OCR, SERVER], "a@1")), processors());
        assert_eq!(workers(None, Device::Cuda, &pp_ocr), 1);
        assert_eq!(workers(None, Device::Cpu, &config(&[SERVER], "a@1")), 1);
        assert_eq!(workers(None, Device::Cpu, &config(&[PP_OCR, HUNYUAN], "b@1")), 1);
        assert_eq!(workers(Some(7), Device::Cuda, &pp_ocr), 7);
    }

    fn engine(device: Device, provider: Wish) -> cli::Engine {
        cli::Engine { device, provider, routes: cli::Routes { said: None } }
    }

    #[test]
    fn a_provider_brings_its_device_and_no_other() {
        let device = |device, provider| engine(device, provider).checked().map(|engine| engine.device).ok();
        assert_eq!(device(Device::Cpu, Wish::Cuda), Some(Device::Cuda));
        assert_eq!(device(Device::Cuda, Wish::Auto), Some(Device::Cuda));
        assert_eq!(device(Device::Cpu, Wish::Openvino), Some(Device::Cpu));
        assert_eq!(device(Device::Cuda, Wish::Openvino), None);
    }

    #[test]
    fn workers_share_the_processors_and_each_has_one_at_least() {
        let engine = engine(Device::Cpu, Wish::Auto);
        assert_eq!(Machine::shared(&engine, 1).threads, processors());
        assert_eq!(Machine::shared(&engine, 10_000).threads, 1);
    }

    #[test]
    fn what_is_said_of_slots_goes_before_what_the_device_would_have() {
        let config = config(&[HUNYUAN], "b@1");
        let Some(Kind::HunyuanOcr(entry)) = config.engines.values().next().map(|entry| &entry.kind) else {
            panic!("{config:?}")
        };
        let options = options(entry, Machine { device: Device::Cpu, provider: Wish::Auto, threads: 5 });
        assert_eq!(options, HunyuanOptions { slots: 3, ..HunyuanOptions::cpu(5) });
    }

    #[test]
    fn a_server_is_not_made_here() {
        let config = config(&[SERVER], "a@1");
        let entry = config.engines.values().next().expect("an engine");
        let made = local_engine(entry, Machine { device: Device::Cpu, provider: Wish::Auto, threads: 1 });
        assert!(made.is_err_and(|error| error.to_string().contains("a@1 is a server")));
    }
}
