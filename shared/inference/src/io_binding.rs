//! Binds slices of host and device memory to the inputs and outputs of a session: the only unsafe code of this crate.
//!
//! `ort`'s own `IoBinding` copies borrowed inputs and accepts only whole tensors as outputs. A page's key/value cache
//! is a slice of a larger tensor that one run reads and updates in place on the GPU. So this module creates values over
//! slices and binds them through ONNX Runtime's C API.
#![expect(
    unsafe_code,
    reason = "ONNX Runtime's C interface is the only way to bind a slice, and one slice as input and output"
)]

use std::{
    ffi::{CString, c_void},
    marker::PhantomData,
    ops::Range,
    ptr::{self, NonNull},
};

use ort::{
    AsPointer, Error,
    memory::{AllocationDevice, Allocator, MemoryInfo},
    ortsys,
    session::Session,
    sys::{OrtIoBinding, OrtValue},
    value::{DynTensor, PrimitiveTensorElementType, TensorElementType},
};

use crate::device::Device;

/// A buffer in device memory, initialized to zero.
#[derive(Debug)]
pub struct DeviceMemory {
    tensor: DynTensor,
    element: TensorElementType,
    len: usize,
}

impl DeviceMemory {
    /// Allocates `len` zeros. Note: the memory must be initialized, because attention multiplies the entries after a
    /// page's tokens by a probability of 0, and 0 × NaN is NaN.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn zeroed(device: Device, element: TensorElementType, len: usize) -> ort::Result<Self> {
        let host = DynTensor::new(&Allocator::default(), element, [len])?;
        let tensor = match device {
            Device::Cpu => host,
            Device::Cuda => host.to(AllocationDevice::CUDA, 0)?,
        };
        Ok(Self { tensor, element, len })
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.element.byte_size(self.len).unwrap_or(0)
    }

    /// Returns a value over a slice of the buffer. The value must not outlive the buffer; the lifetime of [`IoBinding`]
    /// ensures that.
    fn value(&self, part: &Range<usize>, shape: &[usize]) -> ort::Result<BoundValue> {
        if part.end > self.len || part.len() != shape.iter().product::<usize>() {
            return Err(Error::new(format!("{part:?} of {} values does not have the shape {shape:?}", self.len)));
        }
        let size = |count| self.element.byte_size(count).unwrap_or(0);
        // SAFETY: the check above ensures that the offset is inside the tensor's only allocation.
        let start = unsafe { self.tensor.data_ptr().byte_add(size(part.start)) };
        // SAFETY: the slice is inside the allocation, too, on the device that the memory info names.
        unsafe { BoundValue::from_raw(self.tensor.memory_info(), start, size(part.len()), self.element, shape) }
    }
}

/// A value of ONNX Runtime over memory that it does not own.
#[derive(Debug)]
struct BoundValue(NonNull<OrtValue>);

impl BoundValue {
    /// # Safety
    /// `data` must point to `bytes` bytes of memory on the device of `info` that outlive the value. During a run that
    /// reads the value, no other code may write them; during a run that writes it, no other code may access them.
    unsafe fn from_raw(
        info: &MemoryInfo<'_>,
        data: *const c_void,
        bytes: usize,
        element: TensorElementType,
        shape: &[usize],
    ) -> ort::Result<Self> {
        let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        let mut value = ptr::null_mut();
        // SAFETY: the caller guarantees `data`; info and shape live through the call, which copies them.
        ortsys![unsafe CreateTensorWithDataAsOrtValue(
            info.ptr(), data.cast_mut(), bytes, shape.as_ptr(), shape.len(), element.into(), &raw mut value
        )?];
        NonNull::new(value).map(Self).ok_or_else(|| Error::new("ONNX Runtime returned no value"))
    }
}

impl Drop for BoundValue {
    fn drop(&mut self) {
        // SAFETY: created by ONNX Runtime and released once; the value does not own the memory.
        ortsys![unsafe ReleaseValue(self.0.as_ptr())];
    }
}

/// One run of a session: binds its inputs and outputs, then runs. Borrows all of them until the run is over.
#[derive(Debug)]
pub struct IoBinding<'a> {
    session: &'a mut Session,
    raw: NonNull<OrtIoBinding>,
    host: MemoryInfo<'static>,
    values: Vec<BoundValue>,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<'a> IoBinding<'a> {
    /// Creates an empty binding for one run.
    ///
    /// # Errors
    /// If ONNX Runtime cannot allocate it.
    pub fn new(session: &'a mut Session) -> ort::Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: the binding borrows the session, so the session lives longer.
        ortsys![unsafe CreateIoBinding(session.ptr().cast_mut(), &raw mut raw)?];
        let raw = NonNull::new(raw).ok_or_else(|| Error::new("ONNX Runtime returned no binding"))?;
        Ok(Self { session, raw, host: MemoryInfo::default(), values: Vec::new(), borrowed: PhantomData })
    }

    /// Binds an input in host memory, which ONNX Runtime copies to the device if needed.
    ///
    /// # Errors
    /// If `data` does not have as many elements as `shape`.
    pub fn bind_input<T>(&mut self, name: &str, data: &'a [T], shape: &[usize]) -> ort::Result<()>
    where
        T: PrimitiveTensorElementType,
    {
        let value =
            self.host_value(data.as_ptr().cast(), size_of_val(data), data.len(), T::into_tensor_element_type(), shape)?;
        self.register_input(name, &value)?;
        self.values.push(value);
        Ok(())
    }

    /// Binds an output in host memory.
    ///
    /// # Errors
    /// If `data` does not have as many elements as `shape`.
    pub fn bind_output<T>(&mut self, name: &str, data: &'a mut [T], shape: &[usize]) -> ort::Result<()>
    where
        T: PrimitiveTensorElementType,
    {
        let start = data.as_mut_ptr().cast_const().cast();
        let element = T::into_tensor_element_type();
        let value = self.host_value(start, size_of_val(data), data.len(), element, shape)?;
        self.register_output(name, &value)?;
        self.values.push(value);
        Ok(())
    }

    /// Binds an input in device memory.
    ///
    /// # Errors
    /// If `part` is outside of `memory` or has another size than `shape`.
    pub fn bind_device_input(
        &mut self,
        name: &str,
        memory: &'a DeviceMemory,
        part: &Range<usize>,
        shape: &[usize],
    ) -> ort::Result<()> {
        let value = memory.value(part, shape)?;
        self.register_input(name, &value)?;
        self.values.push(value);
        Ok(())
    }

    /// Binds an output that stays in device memory.
    ///
    /// # Errors
    /// If `memory` is too small for `shape`.
    pub fn bind_device_output(&mut self, name: &str, memory: &'a mut DeviceMemory, shape: &[usize]) -> ort::Result<()> {
        let value = memory.value(&(0..shape.iter().product()), shape)?;
        self.register_output(name, &value)?;
        self.values.push(value);
        Ok(())
    }

    /// Binds one slice of device memory as input and output, so that the operator updates it in place.
    ///
    /// # Errors
    /// If `part` is outside of `memory` or has another size than `shape`.
    pub fn bind_in_place(
        &mut self,
        (input, output): (&str, &str),
        memory: &'a mut DeviceMemory,
        part: &Range<usize>,
        shape: &[usize],
    ) -> ort::Result<()> {
        let value = memory.value(part, shape)?;
        self.register_input(input, &value)?;
        self.register_output(output, &value)?;
        self.values.push(value);
        Ok(())
    }

    /// Runs the session. Returns after all outputs are written.
    ///
    /// # Errors
    /// If the run fails.
    pub fn run(self) -> ort::Result<()> {
        // SAFETY: the binding belongs to this session; everything that it names is borrowed for 'a, and this program
        // does not access it before the call returns. The session is mutably borrowed, so no other run uses it.
        ortsys![unsafe RunWithBinding(self.session.ptr().cast_mut(), ptr::null(), self.raw.as_ptr())?];
        // SAFETY: as above. On a GPU the run may return before its outputs are written, so wait for them.
        ortsys![unsafe SynchronizeBoundOutputs(self.raw.as_ptr())?];
        Ok(())
    }

    fn host_value(
        &self,
        data: *const c_void,
        bytes: usize,
        len: usize,
        element: TensorElementType,
        shape: &[usize],
    ) -> ort::Result<BoundValue> {
        if len != shape.iter().product::<usize>() {
            return Err(Error::new(format!("{len} values do not have the shape {shape:?}")));
        }
        // SAFETY: the caller has borrowed the slice for 'a, mutably if the run writes it.
        unsafe { BoundValue::from_raw(&self.host, data, bytes, element, shape) }
    }

    fn register_input(&mut self, name: &str, value: &BoundValue) -> ort::Result<()> {
        let name = CString::new(name).map_err(|error| Error::new(error.to_string()))?;
        // SAFETY: the name is copied; `values` keeps the value alive until the run is over.
        ortsys![unsafe BindInput(self.raw.as_ptr(), name.as_ptr(), value.0.as_ptr())?];
        Ok(())
    }

    fn register_output(&mut self, name: &str, value: &BoundValue) -> ort::Result<()> {
        let name = CString::new(name).map_err(|error| Error::new(error.to_string()))?;
        // SAFETY: same as for inputs.
        ortsys![unsafe BindOutput(self.raw.as_ptr(), name.as_ptr(), value.0.as_ptr())?];
        Ok(())
    }
}

impl Drop for IoBinding<'_> {
    fn drop(&mut self) {
        // SAFETY: created by ONNX Runtime and released once, before the values that it names.
        ortsys![unsafe ReleaseIoBinding(self.raw.as_ptr())];
    }
}
