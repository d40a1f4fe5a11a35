//! Command line options.

use std::{num::NonZero, path::PathBuf, time::Duration};

use quire_pp_ocr::{BatchPolicy, Provider};

use crate::{PageFiles, PipelineError};

pub(crate) struct PipelineOptions {
    pub(crate) device: String,
    pub(crate) pages: usize,
    pub(crate) batch: usize,
    pub(crate) readers: usize,
    pub(crate) hands: usize,
    pub(crate) one_at_a_time: bool,
    pub(crate) every: Option<Duration>,
    /// Maximum columns of a recognition run.
    columns: Option<usize>,
    pub(crate) memory_bytes: Option<NonZero<usize>>,
    pub(crate) run_ms: f64,
    pub(crate) mpixel_ms: f64,
    pub(crate) kcolumn_ms: f64,
    pub(crate) slower: f64,
    pub(crate) files: PageFiles,
}

impl PipelineOptions {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, PipelineError> {
        let mut options = Self {
            device: "stub".to_owned(),
            pages: 64,
            batch: 16,
            readers: 4,
            hands: 0,
            one_at_a_time: false,
            every: None,
            columns: None,
            memory_bytes: None,
            run_ms: 2.0,
            // With 2 ms per run, about 2.7 ms per A4 page: 300 pages per second with a device that is busy 80 % of the
            // time.
            mpixel_ms: 1.2,
            kcolumn_ms: 0.04,
            slower: 1.0,
            files: PageFiles::default(),
        };
        let mut files: Vec<PathBuf> = Vec::new();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} requires a value"));
            match argument.as_str() {
                "--device" => options.device = value()?,
                "--pages" => options.pages = value()?.parse()?,
                "--batch" => options.batch = value()?.parse()?,
                "--readers" => options.readers = value()?.parse()?,
                "--hands" => options.hands = value()?.parse()?,
                "--one-at-a-time" => options.one_at_a_time = true,
                "--every-ms" => options.every = Some(Duration::from_millis(value()?.parse()?)),
                "--columns" => options.columns = Some(value()?.parse()?),
                "--memory-mb" => options.memory_bytes = NonZero::new(value()?.parse::<usize>()? << 20),
                "--run-ms" => options.run_ms = value()?.parse()?,
                "--mpixel-ms" => options.mpixel_ms = value()?.parse()?,
                "--kcolumn-ms" => options.kcolumn_ms = value()?.parse()?,
                "--slower" => options.slower = value()?.parse()?,
                file => files.push(file.into()),
            }
        }
        if files.is_empty() {
            return Err("expected at least one FILE".into());
        }
        if options.one_at_a_time {
            (options.batch, options.readers, options.hands) = (1, 1, 1);
        }
        options.files = files.into();
        Ok(options)
    }

    /// Returns the policy of the device, or the default policy of a CPU to read pages one at a time.
    pub(crate) fn policy(&self) -> BatchPolicy {
        let device = if self.device == "tensorrt" { Provider::TensorRt } else { Provider::Cuda };
        let policy = BatchPolicy::for_provider(if self.one_at_a_time { Provider::OnnxRuntime } else { device });
        if self.one_at_a_time {
            return policy;
        }
        let recognition_max_width = self.columns.unwrap_or(policy.recognition_max_width);
        BatchPolicy { processing_threads: self.hands, recognition_max_width, ..policy }
    }
}
