//! Runs over memory that stays where it is: the only unsafe code of this crate.
//!
//! `ort`'s own binding copies borrowed inputs and takes only whole tensors as outputs. A page's cache is a slice of a
//! larger tensor, read and written by the same run, on a device whose memory this program cannot touch; so values are
//! made over slices here and bound through ONNX Runtime's C interface.
#![expect(
    unsafe_code,
    reason = "ONNX Runtime's C interface is the only way to bind a slice of memory, and one memory twice"
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

/// Numbers on a device, zero at first.
#[derive(Debug)]
pub struct DeviceMemory {
    tensor: DynTensor,
    element: TensorElementType,
    len: usize,
}

impl DeviceMemory {
    /// So many numbers. Zeros, because what lies beyond a page's tokens is multiplied by a probability of zero, which
    /// leftovers that are no numbers would survive.
    pub fn zeroed(device: Device, element: TensorElementType, len: usize) -> ort::Result<Self> {
        let host = DynTensor::new(&Allocator::default(), element, [len])?;
        let tensor = match device {
            Device::Cpu => host,
            Device::Cuda => host.to(AllocationDevice::CUDA, 0)?,
        };
        Ok(Self { tensor, element, len })
    }

    /// How many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.element.byte_size(self.len).unwrap_or(0)
    }

    /// A value over a part of the memory. It must not outlive the memory, which [`IoBinding`]'s lifetime sees to.
    fn value(&self, part: &Range<usize>, shape: &[usize]) -> ort::Result<BoundValue> {
        if part.end > self.len || part.len() != shape.iter().product::<usize>() {
            return Err(Error::new(format!("{part:?} of {} numbers is no tensor {shape:?}", self.len)));
        }
        let size = |count| self.element.byte_size(count).unwrap_or(0);
        // SAFETY: the offset is within the tensor's one allocation, as was just checked.
        let start = unsafe { self.tensor.data_ptr().byte_add(size(part.start)) };
        // SAFETY: so many bytes from there are within it too, on the device that the memory info names.
        unsafe { BoundValue::from_raw(self.tensor.memory_info(), start, size(part.len()), self.element, shape) }
    }
}

/// A value of ONNX Runtime over memory of somebody else.
#[derive(Debug)]
struct BoundValue(NonNull<OrtValue>);

impl BoundValue {
    /// # Safety
    /// `bytes` bytes from `data` must be memory on the device of `info` for as long as the value is used, and nobody
    /// else may write there during a run that reads it, or read or write there during a run that writes it.
    unsafe fn from_raw(
        info: &MemoryInfo<'_>,
        data: *const c_void,
        bytes: usize,
        element: TensorElementType,
        shape: &[usize],
    ) -> ort::Result<Self> {
        let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        let mut value = ptr::null_mut();
        // SAFETY: the caller vouches for the data; info and shape live through the call, which copies what it needs.
        ortsys![unsafe CreateTensorWithDataAsOrtValue(
            info.ptr(), data.cast_mut(), bytes, shape.as_ptr(), shape.len(), element.into(), &raw mut value
        )?];
        NonNull::new(value).map(Self).ok_or_else(|| Error::new("ONNX Runtime made no value"))
    }
}

impl Drop for BoundValue {
    fn drop(&mut self) {
        // SAFETY: made by ONNX Runtime, released once; the memory under it is not its own.
        ortsys![unsafe ReleaseValue(self.0.as_ptr())];
    }
}

/// One run: what it reads, writes and updates is named, then it runs. Borrows all of it until then.
#[derive(Debug)]
pub struct IoBinding<'a> {
    session: &'a mut Session,
    raw: NonNull<OrtIoBinding>,
    host: MemoryInfo<'static>,
    values: Vec<BoundValue>,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<'a> IoBinding<'a> {
    /// A run of a session.
    ///
    /// # Errors
    /// When ONNX Runtime has no memory for it.
    pub fn new(session: &'a mut Session) -> ort::Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: the session lives longer than the binding, which borrows it.
        ortsys![unsafe CreateIoBinding(session.ptr().cast_mut(), &raw mut raw)?];
        let raw = NonNull::new(raw).ok_or_else(|| Error::new("ONNX Runtime made no binding"))?;
        Ok(Self { session, raw, host: MemoryInfo::default(), values: Vec::new(), borrowed: PhantomData })
    }

    /// An input of this program's own memory; ONNX Runtime takes it to the device.
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

    /// An output into this program's own memory.
    pub fn bind_output<T>(&mut self, name: &str, data: &'a mut [T], shape: &[usize]) -> ort::Result<()>
    where
        T: PrimitiveTensorElementType,
    {
        let (start, element) = (data.as_mut_ptr().cast_const().cast(), T::into_tensor_element_type());
        let value = self.host_value(start, size_of_val(data), data.len(), element, shape)?;
        self.register_output(name, &value)?;
        self.values.push(value);
        Ok(())
    }

    /// An input that is on the device already.
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

    /// An output that stays on the device.
    pub fn bind_device_output(&mut self, name: &str, memory: &'a mut DeviceMemory, shape: &[usize]) -> ort::Result<()> {
        let value = memory.value(&(0..shape.iter().product()), shape)?;
        self.register_output(name, &value)?;
        self.values.push(value);
        Ok(())
    }

    /// An input and an output that are one memory: the operator updates it in place.
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

    /// Runs, and returns when everything is written.
    pub fn run(self) -> ort::Result<()> {
        // SAFETY: the binding is of this session; all that it names is borrowed for 'a, and this program touches none of it
        // before the call returns. The session is borrowed mutably, so that nothing else runs in it.
        ortsys![unsafe RunWithBinding(self.session.ptr().cast_mut(), ptr::null(), self.raw.as_ptr())?];
        // SAFETY: as above. On a device, the run may return before its results are there.
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
            return Err(Error::new(format!("{len} numbers are no tensor {shape:?}")));
        }
        // SAFETY: a slice that the caller has borrowed for 'a, mutably if it is to be written.
        unsafe { BoundValue::from_raw(&self.host, data, bytes, element, shape) }
    }

    fn register_input(&mut self, name: &str, value: &BoundValue) -> ort::Result<()> {
        let name = CString::new(name).map_err(|error| Error::new(error.to_string()))?;
        // SAFETY: the name is copied; the value lives in `values` until the run is over.
        ortsys![unsafe BindInput(self.raw.as_ptr(), name.as_ptr(), value.0.as_ptr())?];
        Ok(())
    }

    fn register_output(&mut self, name: &str, value: &BoundValue) -> ort::Result<()> {
        let name = CString::new(name).map_err(|error| Error::new(error.to_string()))?;
        // SAFETY: as for inputs.
        ortsys![unsafe BindOutput(self.raw.as_ptr(), name.as_ptr(), value.0.as_ptr())?];
        Ok(())
    }
}

impl Drop for IoBinding<'_> {
    fn drop(&mut self) {
        // SAFETY: made by ONNX Runtime and released once, before the values that it names.
        ortsys![unsafe ReleaseIoBinding(self.raw.as_ptr())];
    }
}
