//! Recognizes the lines of many pages in shared batches: draws them, sorts them by width, runs the batches and restores
//! the order.

use ndarray::{Array3, s};
use quire_document::PageImage;
use quire_inference::{ModelError, ProcessingPool, run_with_bisection};

use crate::{
    cost_counters::MeteredModel,
    ctc::{LineReading, decode_ctc},
    geometry::Quad,
    line_image::{LINE_IMAGE_HEIGHT, draw_line, line_image_width, piece_ranges},
    line_width::{DEFAULT_WIDTH_RATIO, SpacedReading, line_width_ratio},
    model::CtcStep,
    policy::BatchPolicy,
    policy_runs::RecognitionRun,
    script::ScriptScores,
};

/// A line and its page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineSource<'a> {
    pub(crate) page: &'a PageImage,
    pub(crate) quad: Quad,
    /// Width of the line image relative to the width on the page.
    pub(crate) width_ratio: f32,
}

/// An input of the recognizer: a line, or a piece of a long line.
#[derive(Debug, Clone, Copy)]
struct LineImage<'a> {
    line: usize,
    image: LineSource<'a>,
    width: usize,
}

/// Reads all lines. Returns one result per line, in order. A line fails if one of its pieces fails.
pub(crate) fn read_lines(
    model: &mut MeteredModel,
    policy: &BatchPolicy,
    pool: &ProcessingPool,
    lines: &[LineSource<'_>],
) -> Vec<Result<SpacedReading, ModelError>> {
    let usual = |line: &LineSource<'_>| line_image_width(&line.quad, DEFAULT_WIDTH_RATIO, policy.piece_max_width);
    let width = |line: &LineSource<'_>| line_width_ratio(line.width_ratio, usual(line));
    let lines: Vec<_> = lines.iter().map(|line| LineSource { width_ratio: width(line), ..*line }).collect();
    let mut readings = read_at_width(model, policy, pool, &lines);
    // Read lines again whose image was too narrow.
    let again = |line: usize| Some((line, readings[line].as_ref().ok()?.reread_width(lines[line].width_ratio)?));
    let (again, wider): (Vec<usize>, Vec<LineSource<'_>>) = (0..lines.len())
        .filter_map(again)
        .map(|(line, drawn)| (line, LineSource { width_ratio: drawn, ..lines[line] }))
        .unzip();
    for (line, reading) in again.into_iter().zip(read_at_width(model, policy, pool, &wider)) {
        readings[line] = reading;
    }
    readings
}

fn read_at_width(
    model: &mut MeteredModel,
    policy: &BatchPolicy,
    pool: &ProcessingPool,
    lines: &[LineSource<'_>],
) -> Vec<Result<SpacedReading, ModelError>> {
    let numbered: Vec<(usize, LineSource<'_>)> = lines.iter().copied().enumerate().collect();
    let factor = model.model().width_factor();
    let strips = pool.map(&numbered, |&(line, image)| cut_line(line, image, factor, policy.piece_max_width));
    let mut strips: Vec<LineImage<'_>> = strips.into_iter().flatten().collect();
    for strip in &mut strips {
        strip.width = policy.snapped_width(strip.width);
    }
    let widths: Vec<usize> = strips.iter().map(|strip| strip.width).collect();
    let mut answers: Vec<Result<SpacedReading, ModelError>> =
        strips.iter().map(|_| Ok(SpacedReading::default())).collect();
    for RecognitionRun { members, width, .. } in policy.pack_lines(&widths) {
        let mut left = &members[..];
        while !left.is_empty() {
            // At most as many as fit into memory, which is known after the first out-of-memory error.
            let (members, rest) = left.split_at(model.max_lines(width).min(left.len()));
            left = rest;
            let readings = run_with_bisection(members, &mut |members| {
                let strips: Vec<&LineImage<'_>> = members.iter().map(|&strip| &strips[strip]).collect();
                run_recognition(model, pool, &strips, [policy.batch(strips.len()), width])
            });
            for (&strip, reading) in members.iter().zip(readings) {
                answers[strip] = reading;
            }
        }
    }
    let mut readings: Vec<Result<SpacedReading, ModelError>> =
        lines.iter().map(|_| Ok(SpacedReading::default())).collect();
    for (strip, answer) in strips.iter().zip(answers) {
        match (&mut readings[strip.line], answer) {
            (Ok(reading), Ok(piece)) => reading.append(&piece),
            (failed @ Ok(_), Err(error)) => *failed = Err(error),
            (Err(_), _) => {}
        }
    }
    readings
}

/// Returns the line as one image, or as several if it would be wider than `max`.
fn cut_line(line: usize, image: LineSource<'_>, factor: f32, max: usize) -> Vec<LineImage<'_>> {
    let width = line_image_width(&image.quad, factor * image.width_ratio, max);
    if width <= max {
        return vec![LineImage { line, image, width }];
    }
    let mut whole = Array3::zeros((PageImage::CHANNELS, LINE_IMAGE_HEIGHT, width));
    draw_line(image.page, &image.quad, whole.view_mut());
    let fraction = |column: usize| column as f32 / width as f32;
    let piece = |piece: std::ops::Range<usize>| {
        let quad = image.quad.section(fraction(piece.start), fraction(piece.end));
        LineImage { line, image: LineSource { quad, ..image }, width: piece.len() }
    };
    piece_ranges(&whole.view(), max).into_iter().map(piece).collect()
}

/// Runs recognition once for a batch, with every image padded to `width`. Unused places of the batch are blank.
fn run_recognition(
    model: &mut MeteredModel,
    pool: &ProcessingPool,
    strips: &[&LineImage<'_>],
    [batch, width]: [usize; 2],
) -> Result<Vec<SpacedReading>, ModelError> {
    let mut run = model.recognition_buffer([batch, PageImage::CHANNELS, LINE_IMAGE_HEIGHT, width]);
    pool.draw(strips, run.input_mut(), |strip, mut place| {
        place.slice_mut(s![.., .., strip.width..]).fill(0.0);
        draw_line(strip.image.page, &strip.image.quad, place.slice_mut(s![.., .., ..strip.width]));
    });
    let drawn = strips.iter().map(|strip| strip.width).sum();
    let answers = model.recognize(&mut run, drawn);
    let scripts: Vec<ScriptScores> = strips
        .iter()
        .enumerate()
        .map(|(index, strip)| ScriptScores::of_run(&run.output(), index, strip.width))
        .collect();
    model.return_recognition_buffer(run);
    let mut answers = answers?;
    if answers.len() != batch {
        let expected = format!("[{batch}, …]");
        return Err(ModelError::Shape { expected, found: format!("[{}, …]", answers.len()) });
    }
    answers.truncate(strips.len());
    if answers.iter().flatten().any(|step: &CtcStep| !step.probability.is_finite()) {
        return Err(ModelError::NotANumber);
    }
    let factor = model.model().width_factor();
    let alphabet = model.model().alphabet();
    let read: Vec<_> = answers.iter().zip(strips.iter().copied()).zip(scripts).collect();
    Ok(pool.map(&read, |((steps, strip), scripts)| {
        let mut reading = LineReading { scripts: scripts.clone(), ..decode_ctc(steps, strip.width, alphabet) };
        reading.words.iter_mut().for_each(|word| word.place(&strip.image.quad, strip.width));
        SpacedReading::new(reading, steps, strip.width, factor * strip.image.width_ratio)
    }))
}
