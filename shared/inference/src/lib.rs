//! Runs models with ONNX Runtime, OpenVINO or CUDA: sessions, buffers, IO binding, and the choice of a provider.
//!
//! * [`InferenceSession`] is a loaded model with one input; `ort`'s `Session` and [`OpenVinoSession`] implement it.
//! * [`RunBuffer`] keeps the input and output buffers of a run for reuse.
//! * [`DeviceThread`] owns a model and runs requests of several threads in order.
//! * [`IoBinding`] binds slices of device memory, e.g. a key/value cache that stays on the GPU.
//! * [`run_with_bisection`] isolates the item that makes a batch fail.
//! * [`Processor`] detects CPU features; its `fastest_provider` returns the best [`Provider`].
//!
//! This is the only crate that depends on ONNX Runtime and OpenVINO.
#![warn(missing_docs)]

mod bisect;
mod bound_session;
#[cfg_attr(not(feature = "cuda"), path = "without_cuda.rs")]
mod cuda;
mod device;
mod device_thread;
mod gpu_options;
mod io_binding;
mod load_error;
mod model_error;
mod onnx_argmax;
mod onnx_file;
mod onnx_split;
mod onnxruntime;
mod openvino;
mod openvino_tensor;
mod processor;
mod protobuf;
mod provider;
mod run_buffer;
mod session;
mod thread_pool;

pub use bisect::run_with_bisection;
pub use bound_session::{BoundSession, PinnedMemory};
pub use cuda::{check_cuda, check_tensorrt};
pub use device::Device;
pub use device_thread::DeviceThread;
pub use gpu_options::{GpuOptions, ShapeProfile};
pub use io_binding::{DeviceMemory, IoBinding};
pub use load_error::LoadError;
pub use model_error::ModelError;
pub use onnx_argmax::{CLASS_OUTPUT, PROBABILITY_OUTPUT, append_argmax};
pub use onnx_file::{OnnxFile, TensorInfo};
pub use onnx_split::{SplitModel, split_head};
pub use onnxruntime::{load_environment, load_session, load_session_from_memory};
pub use openvino::{OpenVino, OpenVinoSession};
/// Types of ONNX Runtime in this crate's API.
pub use ort::{
    Error as SessionError,
    environment::Environment,
    session::Session,
    value::{Outlet as SessionOutlet, TensorElementType, ValueType},
};
pub use processor::{Precision, Processor};
pub use protobuf::OnnxParseError;
pub use provider::{Provider, UnknownProvider};
pub use run_buffer::{HostBuffer, RunBuffer};
pub use session::{InferenceSession, ReadOutput};
pub use thread_pool::ProcessingPool;
