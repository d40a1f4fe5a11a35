//! OpenVINO on a CPU, with the floats that suit the processor.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ndarray::{ArrayViewD, ArrayViewMutD};
use openvino::{
    CompiledModel, Core, DeviceType, Dimension, ElementType, InferRequest, Node, RwPropertyKey, Shape, Tensor,
};

use crate::{
    LoadError, ModelError, Precision,
    network::{Network, Read},
    onnx_file::Outlet,
};

/// The process's one OpenVINO. It stays for good, so that networks never outlive it.
pub(crate) struct OpenVino(Core);

static LOADED: Mutex<Option<(PathBuf, OpenVino)>> = Mutex::new(None);

impl OpenVino {
    /// Does something with the OpenVINO of this library; one thread at a time does.
    ///
    /// # Errors
    /// [`LoadError::Runtime`] when it cannot be loaded, [`LoadError::OtherRuntime`] when the process has another one.
    pub(crate) fn with<T>(
        library: &Path,
        make: impl FnOnce(&mut Self) -> Result<T, LoadError>,
    ) -> Result<T, LoadError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((loaded, _)) = loaded.as_ref()
            && loaded != library
        {
            return Err(LoadError::OtherRuntime { loaded: loaded.clone(), asked: library.to_owned() });
        }
        match loaded.as_mut() {
            Some((_, openvino)) => make(openvino),
            None => make(&mut loaded.insert((library.to_owned(), Self::load(library)?)).1),
        }
    }

    fn load(library: &Path) -> Result<Self, LoadError> {
        let refused = |reason: String| LoadError::OpenVino { reason };
        // Its plug-ins are looked for beside it, by a path that must not depend on the working directory.
        let absolute = std::path::absolute(library).map_err(|error| refused(error.to_string()))?;
        openvino_sys::library::load_from(absolute).map_err(refused)?;
        let mut core = Core::new().map_err(|error| refused(error.to_string()))?;
        core.set_properties(&DeviceType::CPU, settings()).map_err(|error| refused(error.to_string()))?;
        Ok(Self(core))
    }

    /// The network of a model, whose bytes are of the file at `path`. It runs on the thread that asks it to, computes with
    /// these floats, and keeps so many kernels for the next run of their shape; beyond that the one that was not used for
    /// longest goes.
    pub(crate) fn network(
        &mut self,
        path: &Path,
        model: &[u8],
        precision: Precision,
        kernels: u32,
    ) -> Result<Compiled, LoadError> {
        let refused =
            |error: openvino::InferenceError| LoadError::Model { path: path.to_owned(), reason: error.to_string() };
        let kernels = kernels.to_string();
        let settings = [
            (RwPropertyKey::HintInferencePrecision, precision.as_str()),
            (RwPropertyKey::Other(KERNELS.into()), kernels.as_str()),
        ];
        self.0.set_properties(&DeviceType::CPU, settings).map_err(refused)?;
        // In an ONNX model the weights are in it.
        let model = self.0.read_model_from_buffer(model, None).map_err(refused)?;
        Compiled::new(&mut self.0, &model).map_err(refused)
    }
}

/// What every network is compiled with, whatever it is for.
fn settings() -> [(RwPropertyKey, &'static str); 3] {
    [
        (RwPropertyKey::NumStreams, "1"),
        (RwPropertyKey::InferenceNumThreads, "1"),
        // Two processes would otherwise pin their only thread to the same first core.
        (RwPropertyKey::HintEnableCpuPinning, "NO"),
    ]
}

/// How many kernels that were made for a shape are kept, of each network.
const KERNELS: &str = "CPU_RUNTIME_CACHE_CAPACITY";

/// A network that is ready to run.
pub(crate) struct Compiled {
    request: InferRequest,
    /// Kept from run to run, so that its memory is.
    input: Tensor,
    outputs: Vec<Outlet>,
    /// What the request runs.
    _model: CompiledModel,
}

impl Compiled {
    fn new(core: &mut Core, model: &openvino::Model) -> Result<Self, openvino::InferenceError> {
        let outputs = (0..model.get_outputs_len()?).map(|index| outlet(&model.get_output_by_index(index)?));
        let outputs = outputs.collect::<Result<_, _>>()?;
        let mut model = core.compile_model(model, DeviceType::CPU)?;
        let request = model.create_infer_request()?;
        let input = Tensor::new(ElementType::F32, &Shape::new(&[1, 1, 1, 1])?)?;
        Ok(Self { request, input, outputs, _model: model })
    }

    fn infer(&mut self, input: &ArrayViewD<'_, f32>) -> Result<Tensor, openvino::InferenceError> {
        let shape: Vec<i64> = input.shape().iter().map(|&side| side as i64).collect();
        // What this returns is a second owner of the same tensor, which must not free it.
        std::mem::forget(self.input.set_shape(&Shape::new(&shape)?)?);
        let data = self.input.get_data_mut::<f32>()?;
        ArrayViewMutD::from_shape(input.raw_dim(), data).expect("the tensor has just got this shape").assign(input);
        self.request.set_input_tensor(&self.input)?;
        self.request.infer()?;
        self.request.get_output_tensor()
    }
}

fn outlet(node: &Node) -> Result<Outlet, openvino::InferenceError> {
    let shape = node.get_partial_shape()?;
    let free_or_size = |side: &Dimension| if side.is_dynamic() { -1 } else { side.get_max() };
    let shape = shape.get_dimensions().iter().map(free_or_size).collect();
    Ok(Outlet { name: node.get_name()?, is_f32: node.get_element_type()? == ElementType::F32, shape })
}

impl Network for Compiled {
    fn outputs(&self) -> Vec<Outlet> {
        self.outputs.clone()
    }

    fn run(&mut self, input: ArrayViewD<'_, f32>, read: &mut Read<'_>) -> Result<(), ModelError> {
        let failed = |error: openvino::InferenceError| ModelError::Run(error.to_string());
        let output = self.infer(&input).map_err(failed)?;
        let shape = output.get_shape().map_err(failed)?;
        read(shape.get_dimensions(), output.get_data().map_err(failed)?)
    }
}
