//! The graphs in ONNX Runtime.

use std::{ops::Range, path::Path, sync::Arc};

use quire_inference::{
    Binding, Device, LoadError, Memory, ModelError, Session, SessionError, TensorElementType, check_cuda, environment,
    session,
};

use crate::{
    graph_contract::{cache_parts, check_decoder, check_vision},
    manifest::Manifest,
    network::{Choice, Network},
    options::HunyuanOptions,
    positions::{AXES, Grid},
    prompt::Prompt,
    resize::Size,
    slots::Row,
};

/// Two sessions, and the memory that the decoder's slots live in. All of it stays on the device: a step brings back one
/// token and its probability for each slot.
#[derive(Debug)]
pub(crate) struct Onnx {
    vision: Session,
    decoder: Session,
    slots: SlotMemory,
    device: Device,
    element: TensorElementType,
    cell: usize,
    hidden: usize,
    penalty: f32,
    /// One row of features, for runs without a picture.
    no_features: Memory,
}

/// Caches `[slots, kv_heads, capacity, head_dim]`, two a layer, and which tokens each slot has seen, `[slots, vocabulary]`.
/// The slots are outermost, so that one slot's part of each is contiguous.
#[derive(Debug)]
struct SlotMemory {
    caches: Vec<Cache>,
    cache_shape: [usize; 3],
    seen: Memory,
    vocabulary: usize,
}

#[derive(Debug)]
struct Cache {
    past: String,
    present: String,
    memory: Memory,
}

/// A picture's rows within the answer for the pictures that it was looked at with.
#[derive(Debug)]
pub(crate) struct Features {
    memory: Arc<Memory>,
    numbers: Range<usize>,
    rows: usize,
}

/// New tokens for neighboring slots: `[slots, length]`, each after what is cached.
struct Tokens<'a> {
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
            let memory = Memory::zeroed(options.device, manifest.element(), len)?;
            Ok(Cache { past: format!("past_key_values.{part}"), present: format!("present.{part}"), memory })
        };
        Ok(Self {
            caches: cache_parts(decoder.layers).map(cache).collect::<Result<_, SessionError>>()?,
            cache_shape,
            seen: Memory::zeroed(options.device, TensorElementType::Bool, options.slots * decoder.vocabulary)?,
            vocabulary: decoder.vocabulary,
        })
    }

    fn bytes(&self) -> usize {
        self.caches.iter().map(|cache| cache.memory.bytes()).sum::<usize>() + self.seen.bytes()
    }

    /// Binds the part of some slots, to be updated in place.
    fn bind<'a>(&'a mut self, binding: &mut Binding<'a>, slots: &Range<usize>) -> Result<(), SessionError> {
        let part = |each: usize| slots.start * each..slots.end * each;
        let [heads, capacity, dim] = self.cache_shape;
        for Cache { past, present, memory } in &mut self.caches {
            let shape = [slots.len(), heads, capacity, dim];
            binding.update((past, present), memory, &part(heads * capacity * dim), &shape)?;
        }
        let shape = [slots.len(), self.vocabulary];
        binding.update(("seen", "seen_out"), &mut self.seen, &part(self.vocabulary), &shape)
    }
}

impl Onnx {
    /// Loads the graphs of a manifest, with slots for so many tokens each.
    pub(crate) fn load(
        onnxruntime: &Path,
        manifest: &Manifest,
        options: &HunyuanOptions,
        capacity: usize,
    ) -> Result<Self, LoadError> {
        if options.device == Device::Cuda {
            check_cuda(onnxruntime)?;
        }
        let environment = environment(onnxruntime)?;
        let vision = session(&environment, &manifest.vision(), options.device, options.threads)?;
        check_vision(manifest, &vision)?;
        let decoder = session(&environment, &manifest.decoder_graph(), options.device, options.threads)?;
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
            no_features: Memory::zeroed(options.device, manifest.element(), manifest.decoder.hidden)
                .map_err(no_memory)?,
        })
    }

    /// Bytes of all slots.
    pub(crate) fn slot_bytes(&self) -> usize {
        self.slots.bytes()
    }

    /// Runs new tokens for a range of slots. The next token of each.
    fn run(
        &mut self,
        slots: &Range<usize>,
        tokens: &Tokens<'_>,
        picture: Option<&Features>,
    ) -> Result<Vec<Choice>, ModelError> {
        let (count, length) = (slots.len(), tokens.length);
        let ends: Vec<i32> = tokens.cached.iter().map(|&cached| (cached + length) as i32 - 1).collect();
        let longest = [ends.iter().max().map_or(0, |end| end + 1)];
        let penalty = [self.penalty];
        let (mut next, mut probability) = (vec![0_i64; count], vec![0_f32; count]);
        let mut binding = Binding::new(&mut self.decoder)?;
        binding.read("input_ids", tokens.ids, &[count, length])?;
        binding.read("image_index", tokens.image_index, &[count, length])?;
        binding.read("position_ids", tokens.positions, &[AXES, count, length])?;
        binding.read("seqlens_k", &ends, &[count])?;
        binding.read("total_sequence_length", &longest, &[])?;
        binding.read("penalty", &penalty, &[])?;
        match picture {
            Some(Features { memory, numbers, rows }) => {
                binding.read_memory("image_features", memory, numbers, &[*rows, self.hidden])?;
            }
            None => binding.read_memory("image_features", &self.no_features, &(0..self.hidden), &[1, self.hidden])?,
        }
        self.slots.bind(&mut binding, slots)?;
        binding.write("next_token", &mut next, &[count, 1])?;
        binding.write("probability", &mut probability, &[count, 1])?;
        binding.run()?;
        let choices = next.into_iter().zip(probability);
        Ok(choices.map(|(token, probability)| Choice { token: token as u32, probability }).collect())
    }
}

impl Network for Onnx {
    type Features = Features;

    fn encode(&mut self, pixels: &[f32], size: Size) -> Result<Vec<Features>, ModelError> {
        let count = pixels.len() / (3 * size.width * size.height);
        let rows = Grid::of(size, self.cell).tokens();
        let each = rows * self.hidden;
        let mut memory = Memory::zeroed(self.device, self.element, count * each)?;
        let mut binding = Binding::new(&mut self.vision)?;
        binding.read("pixel_values", pixels, &[count, 3, size.height, size.width])?;
        binding.write_memory("image_features", &mut memory, &[count, rows, self.hidden])?;
        binding.run()?;
        let memory = Arc::new(memory);
        let features =
            |index| Features { memory: Arc::clone(&memory), numbers: index * each..(index + 1) * each, rows };
        Ok((0..count).map(features).collect())
    }

    fn prefill(&mut self, slot: usize, prompt: &Prompt, picture: &Features) -> Result<Choice, ModelError> {
        let tokens = Tokens {
            ids: &prompt.ids,
            image_index: &prompt.image_index,
            positions: &prompt.positions,
            cached: vec![0],
            length: prompt.len(),
        };
        let choices = self.run(&(slot..slot + 1), &tokens, Some(picture))?;
        Ok(choices[0])
    }

    fn decode(&mut self, first: usize, rows: &[Row]) -> Result<Vec<Choice>, ModelError> {
        let ids: Vec<i64> = rows.iter().map(|row| row.token.into()).collect();
        let cached: Vec<usize> = rows.iter().map(|row| row.cached).collect();
        let places = |_| cached.iter().map(|&cached| cached as i64);
        let positions: Vec<i64> = (0..AXES).flat_map(places).collect();
        let image_index = vec![-1; rows.len()];
        let tokens =
            Tokens { ids: &ids, image_index: &image_index, positions: &positions, cached: cached.clone(), length: 1 };
        self.run(&(first..first + rows.len()), &tokens, None)
    }
}
