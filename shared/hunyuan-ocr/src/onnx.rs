//! The graphs as sessions of ONNX Runtime.

use std::{ops::Range, path::Path, sync::Arc};

use quire_inference::{
    Device, DeviceMemory, IoBinding, LoadError, ModelError, Session, SessionError, TensorElementType, check_cuda,
    load_environment, load_session,
};

use crate::{
    graph_contract::{cache_parts, check_decoder, check_vision},
    manifest::Manifest,
    network::{HunyuanNetwork, TokenChoice},
    options::HunyuanOptions,
    positions::{AXES, TokenGrid},
    prompt::Prompt,
    resize::ImageSize,
    slots::DecodeRow,
};

/// Two sessions and the memory of the slots, which stays on the device: a step copies only one token and its
/// probability per slot.
#[derive(Debug)]
pub(crate) struct OnnxNetwork {
    vision: Session,
    decoder: Session,
    slots: SlotMemory,
    device: Device,
    element: TensorElementType,
    cell: usize,
    hidden: usize,
    penalty: f32,
    /// One row of features, for runs without an image.
    no_features: DeviceMemory,
}

/// Key/value caches `[slots, kv_heads, capacity, head_dim]`, two per layer, and a mask of the tokens that each slot has
/// seen, `[slots, vocabulary]`. Slots are the outermost dimension, so that the part of one slot is contiguous.
#[derive(Debug)]
struct SlotMemory {
    caches: Vec<LayerCache>,
    cache_shape: [usize; 3],
    seen: DeviceMemory,
    vocabulary: usize,
}

#[derive(Debug)]
struct LayerCache {
    past: String,
    present: String,
    memory: DeviceMemory,
}

/// Features of one image: rows of the output for all images of its run.
#[derive(Debug)]
pub(crate) struct OnnxImageFeatures {
    memory: Arc<DeviceMemory>,
    numbers: Range<usize>,
    rows: usize,
}

/// New tokens of adjacent slots, `[slots, length]`, which follow the cached ones.
struct TokenBatch<'a> {
    ids: &'a [i64],
    image_index: &'a [i64],
    /// `[4, slots, length]`
    positions: &'a [i64],
    cached: Vec<usize>,
    length: usize,
}

impl SlotMemory {
    fn new(manifest: &Manifest, options: &HunyuanOptions, capacity: usize) -> Result<Self, SessionError> {
        let decoder = &manifest.decoder;
        let cache_shape = [decoder.kv_heads, capacity, decoder.head_dim];
        let len = options.slots * cache_shape.iter().product::<usize>();
        let cache = |part: String| {
            let memory = DeviceMemory::zeroed(options.device, manifest.element(), len)?;
            Ok(LayerCache { past: format!("past_key_values.{part}"), present: format!("present.{part}"), memory })
        };
        Ok(Self {
            caches: cache_parts(decoder.layers).map(cache).collect::<Result<_, SessionError>>()?,
            cache_shape,
            seen: DeviceMemory::zeroed(options.device, TensorElementType::Bool, options.slots * decoder.vocabulary)?,
            vocabulary: decoder.vocabulary,
        })
    }

    fn bytes(&self) -> usize {
        self.caches.iter().map(|cache| cache.memory.bytes()).sum::<usize>() + self.seen.bytes()
    }

    /// Binds the caches of a range of slots, to be updated in place.
    fn bind<'a>(&'a mut self, binding: &mut IoBinding<'a>, slots: &Range<usize>) -> Result<(), SessionError> {
        let part = |each: usize| slots.start * each..slots.end * each;
        let [heads, capacity, dim] = self.cache_shape;
        for LayerCache { past, present, memory } in &mut self.caches {
            let shape = [slots.len(), heads, capacity, dim];
            binding.bind_in_place((past, present), memory, &part(heads * capacity * dim), &shape)?;
        }
        let shape = [slots.len(), self.vocabulary];
        binding.bind_in_place(("seen", "seen_out"), &mut self.seen, &part(self.vocabulary), &shape)
    }
}

impl OnnxNetwork {
    /// Loads the graphs of a manifest, with slots of `capacity` tokens.
    pub(crate) fn load(
        onnxruntime: &Path,
        manifest: &Manifest,
        options: &HunyuanOptions,
        capacity: usize,
    ) -> Result<Self, LoadError> {
        if options.device == Device::Cuda {
            check_cuda(onnxruntime)?;
        }
        let environment = load_environment(onnxruntime)?;
        let vision = load_session(&environment, &manifest.vision(), options.device, options.threads)?;
        check_vision(manifest, &vision)?;
        let decoder = load_session(&environment, &manifest.decoder_graph(), options.device, options.threads)?;
        check_decoder(manifest, &decoder)?;
        let no_memory = |error: SessionError| LoadError::Memory {
            slots: options.slots,
            tokens: capacity,
            reason: error.to_string(),
        };
        Ok(Self {
            vision,
            decoder,
            slots: SlotMemory::new(manifest, options, capacity).map_err(no_memory)?,
            device: options.device,
            element: manifest.element(),
            cell: manifest.picture.cell(),
            hidden: manifest.decoder.hidden,
            penalty: manifest.generation.repetition_penalty,
            no_features: DeviceMemory::zeroed(options.device, manifest.element(), manifest.decoder.hidden)
                .map_err(no_memory)?,
        })
    }

    /// Returns the size of all slots, in bytes.
    pub(crate) fn slot_bytes(&self) -> usize {
        self.slots.bytes()
    }

    /// Runs new tokens for a range of slots. Returns the next token of each.
    fn run(
        &mut self,
        slots: &Range<usize>,
        tokens: &TokenBatch<'_>,
        picture: Option<&OnnxImageFeatures>,
    ) -> Result<Vec<TokenChoice>, ModelError> {
        let count = slots.len();
        let length = tokens.length;
        let ends: Vec<i32> = tokens.cached.iter().map(|&cached| (cached + length) as i32 - 1).collect();
        let longest = [ends.iter().max().map_or(0, |end| end + 1)];
        let penalty = [self.penalty];
        let mut next = vec![0_i64; count];
        let mut probability = vec![0_f32; count];
        let mut binding = IoBinding::new(&mut self.decoder)?;
        binding.bind_input("input_ids", tokens.ids, &[count, length])?;
        binding.bind_input("image_index", tokens.image_index, &[count, length])?;
        binding.bind_input("position_ids", tokens.positions, &[AXES, count, length])?;
        binding.bind_input("seqlens_k", &ends, &[count])?;
        binding.bind_input("total_sequence_length", &longest, &[])?;
        binding.bind_input("penalty", &penalty, &[])?;
        match picture {
            Some(OnnxImageFeatures { memory, numbers, rows }) => {
                binding.bind_device_input("image_features", memory, numbers, &[*rows, self.hidden])?;
            }
            None => {
                binding.bind_device_input("image_features", &self.no_features, &(0..self.hidden), &[1, self.hidden])?;
            }
        }
        self.slots.bind(&mut binding, slots)?;
        binding.bind_output("next_token", &mut next, &[count, 1])?;
        binding.bind_output("probability", &mut probability, &[count, 1])?;
        binding.run()?;
        let choices = next.into_iter().zip(probability);
        Ok(choices.map(|(token, probability)| TokenChoice { token: token as u32, probability }).collect())
    }
}

impl HunyuanNetwork for OnnxNetwork {
    type ImageFeatures = OnnxImageFeatures;

    fn encode(&mut self, pixels: &[f32], size: ImageSize) -> Result<Vec<OnnxImageFeatures>, ModelError> {
        let count = pixels.len() / (3 * size.width * size.height);
        let rows = TokenGrid::new(size, self.cell).tokens();
        let each = rows * self.hidden;
        let mut memory = DeviceMemory::zeroed(self.device, self.element, count * each)?;
        let mut binding = IoBinding::new(&mut self.vision)?;
        binding.bind_input("pixel_values", pixels, &[count, 3, size.height, size.width])?;
        binding.bind_device_output("image_features", &mut memory, &[count, rows, self.hidden])?;
        binding.run()?;
        let memory = Arc::new(memory);
        let features =
            |index| OnnxImageFeatures { memory: Arc::clone(&memory), numbers: index * each..(index + 1) * each, rows };
        Ok((0..count).map(features).collect())
    }

    fn prefill(
        &mut self,
        slot: usize,
        prompt: &Prompt,
        picture: &OnnxImageFeatures,
    ) -> Result<TokenChoice, ModelError> {
        let tokens = TokenBatch {
            ids: &prompt.ids,
            image_index: &prompt.image_index,
            positions: &prompt.positions,
            cached: vec![0],
            length: prompt.len(),
        };
        let choices = self.run(&(slot..slot + 1), &tokens, Some(picture))?;
        Ok(choices[0])
    }

    fn decode(&mut self, first: usize, rows: &[DecodeRow]) -> Result<Vec<TokenChoice>, ModelError> {
        let ids: Vec<i64> = rows.iter().map(|row| row.token.into()).collect();
        let cached: Vec<usize> = rows.iter().map(|row| row.cached).collect();
        let places = |_| cached.iter().map(|&cached| cached as i64);
        let positions: Vec<i64> = (0..AXES).flat_map(places).collect();
        let image_index = vec![-1; rows.len()];
        let tokens = TokenBatch {
            ids: &ids,
            image_index: &image_index,
            positions: &positions,
            cached: cached.clone(),
            length: 1,
        };
        self.run(&(first..first + rows.len()), &tokens, None)
    }
}
