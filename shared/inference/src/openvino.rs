//! OpenVINO on a CPU, with the precision that is fastest on the processor.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ndarray::{ArrayViewD, ArrayViewMutD};
use openvino::{
    CompiledModel, Core, DeviceType, Dimension, ElementType, InferRequest, InferenceError, Node, RwPropertyKey, Tensor,
};

use crate::{
    load_error::LoadError,
    model_error::ModelError,
    onnx_file::TensorInfo,
    openvino_tensor::OpenVinoTensor,
    processor::Precision,
    run_buffer::{HostBuffer, RunBuffer},
    session::{InferenceSession, ReadOutput},
};

/// The process-wide OpenVINO core. Never released, so sessions cannot outlive it.
#[expect(missing_debug_implementations, reason = "the fields are opaque handles")]
pub struct OpenVino(Core);

static LOADED: Mutex<Option<(PathBuf, OpenVino)>> = Mutex::new(None);

impl OpenVino {
    /// Calls `make` with the process-wide core, and loads the library on the first call. A lock serializes the calls.
    ///
    /// # Errors
    /// [`LoadError::OpenVino`], if the library cannot be loaded; [`LoadError::OtherRuntime`], if another one is loaded.
    pub fn with_runtime<T>(
        library: &Path,
        make: impl FnOnce(&mut Self) -> Result<T, LoadError>,
    ) -> Result<T, LoadError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((loaded, _)) = loaded.as_ref()
            && loaded != library
        {
            return Err(LoadError::OtherRuntime { loaded: loaded.clone(), requested: library.to_owned() });
        }
        match loaded.as_mut() {
            Some((_, openvino)) => make(openvino),
            None => make(&mut loaded.insert((library.to_owned(), Self::load(library)?)).1),
        }
    }

    fn load(library: &Path) -> Result<Self, LoadError> {
        let refused = |reason: String| LoadError::OpenVino { reason };
        // OpenVINO looks for its plug-ins next to the library, so the path must not depend on the working directory.
        let absolute = std::path::absolute(library).map_err(|error| refused(error.to_string()))?;
        openvino_sys::library::load_from(absolute).map_err(refused)?;
        let mut core = Core::new().map_err(|error| refused(error.to_string()))?;
        core.set_properties(&DeviceType::CPU, settings()).map_err(|error| refused(error.to_string()))?;
        Ok(Self(core))
    }

    /// Compiles the model of the file at `path`. Runs execute on the calling thread with this precision. `kernels` is
    /// the capacity of the LRU cache of compiled kernels, which depend on the input's shape.
    ///
    /// # Errors
    /// [`LoadError::Model`], if the model cannot be loaded.
    pub fn compile(
        &mut self,
        path: &Path,
        model: &[u8],
        precision: Precision,
        kernels: u32,
    ) -> Result<OpenVinoSession, LoadError> {
        let kernels = kernels.to_string();
        let settings = [
            (RwPropertyKey::HintInferencePrecision, precision.as_str()),
            (RwPropertyKey::Other(KERNELS.into()), kernels.as_str()),
        ];
        self.0.set_properties(&DeviceType::CPU, settings).map_err(|error| LoadError::model(path, &error))?;
        // ONNX models contain their weights.
        let model = self.0.read_model_from_buffer(model, None).map_err(|error| LoadError::model(path, &error))?;
        OpenVinoSession::new(&mut self.0, &model).map_err(|error| LoadError::model(path, &error))
    }
}

/// Settings of every session.
fn settings() -> [(RwPropertyKey, &'static str); 3] {
    [
        (RwPropertyKey::NumStreams, "1"),
        (RwPropertyKey::InferenceNumThreads, "1"),
        // With pinning, the single threads of two processes would be pinned to the same first core.
        (RwPropertyKey::HintEnableCpuPinning, "NO"),
    ]
}

/// Capacity of the kernel cache of each session.
const KERNELS: &str = "CPU_RUNTIME_CACHE_CAPACITY";

/// A compiled model that is ready to run.
#[expect(missing_debug_implementations, reason = "the fields are opaque handles")]
pub struct OpenVinoSession {
    request: InferRequest,
    /// Copy of inputs that are not in OpenVINO's memory. Kept, to avoid an allocation per run.
    copy: OpenVinoTensor,
    outputs: Vec<TensorInfo>,
    /// Keeps the model alive, which the request runs.
    _model: CompiledModel,
}

impl OpenVinoSession {
    fn new(core: &mut Core, model: &openvino::Model) -> Result<Self, InferenceError> {
        let outputs = (0..model.get_outputs_len()?).map(|index| tensor_info(&model.get_output_by_index(index)?));
        let outputs = outputs.collect::<Result<_, _>>()?;
        let mut model = core.compile_model(model, DeviceType::CPU)?;
        let request = model.create_infer_request()?;
        Ok(Self { request, copy: OpenVinoTensor::new(1)?, outputs, _model: model })
    }

    fn infer_copy(&mut self, input: &ArrayViewD<'_, f32>) -> Result<Tensor, InferenceError> {
        if self.copy.len() < input.len() {
            self.copy = OpenVinoTensor::new(input.len())?;
        }
        let numbers = &mut self.copy.values_mut()[..input.len()];
        ArrayViewMutD::from_shape(input.raw_dim(), numbers)
            .expect("the buffer has the size of the shape")
            .assign(input);
        self.copy.infer(&mut self.request, input.shape())
    }
}

fn run_error(error: &InferenceError) -> ModelError {
    ModelError::Run(error.to_string())
}

/// Passes the output of a run to `read`.
fn read_output(output: Result<Tensor, InferenceError>, read: &mut ReadOutput<'_>) -> Result<(), ModelError> {
    let output = output.map_err(|error| run_error(&error))?;
    let shape = output.get_shape().map_err(|error| run_error(&error))?;
    read(shape.get_dimensions(), output.get_data().map_err(|error| run_error(&error))?)
}

/// Returns the size of a dimension; -1 if it is dynamic.
fn size_or_dynamic(dimension: &Dimension) -> i64 {
    if dimension.is_dynamic() { -1 } else { dimension.get_max() }
}

/// Describes an output of a model.
fn tensor_info(node: &Node) -> Result<TensorInfo, InferenceError> {
    let shape = node.get_partial_shape()?;
    let shape = shape.get_dimensions().iter().map(size_or_dynamic).collect();
    Ok(TensorInfo { name: node.get_name()?, is_f32: node.get_element_type()? == ElementType::F32, shape })
}

impl InferenceSession for OpenVinoSession {
    fn outputs(&self) -> Vec<TensorInfo> {
        self.outputs.clone()
    }

    fn run(&mut self, input: ArrayViewD<'_, f32>, read: &mut ReadOutput<'_>) -> Result<(), ModelError> {
        read_output(self.infer_copy(&input), read)
    }

    fn allocate(&self, len: usize) -> HostBuffer {
        OpenVinoTensor::new(len).map_or_else(|_| HostBuffer::heap(len), HostBuffer::openvino)
    }

    fn run_buffered(&mut self, run: &mut RunBuffer, read: &mut ReadOutput<'_>) -> Result<(), ModelError> {
        let shape = run.input_shape();
        match run.openvino_input() {
            Some(input) => read_output(input.infer(&mut self.request, &shape), read),
            None => self.run(run.input().into_dyn(), read),
        }
    }
}
