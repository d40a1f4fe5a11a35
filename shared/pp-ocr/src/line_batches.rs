//! Lines of any pages to readings: drawn, sorted by width, recognized in runs, put back.

use ndarray::{Array3, s};
use quire_document::PageImage;
use quire_inference::{Hands, ModelError, run_isolating};

use crate::{
    cost_counters::Metered,
    ctc::decode,
    geometry::Quad,
    line_image::{STRIP_HEIGHT, draw, pieces, strip_width},
    line_width::{Spaced, USUAL, width_of_line},
    model::Step,
    policy::Policy,
    policy_runs::StripRun,
};

/// A line and the page that it stands on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineImage<'a> {
    pub(crate) page: &'a PageImage,
    pub(crate) quad: Quad,
    /// How wide it is drawn, to its width on the page.
    pub(crate) drawn: f32,
}

/// What goes through the recognizer as one: a line, or a piece of a wide one.
#[derive(Debug, Clone, Copy)]
struct Strip<'a> {
    line: usize,
    image: LineImage<'a>,
    width: usize,
}

/// Reads all lines, one result each, in order. Pieces of a line that fail fail the line.
pub(crate) fn read_lines(
    model: &mut Metered,
    policy: &Policy,
    hands: &Hands,
    lines: &[LineImage<'_>],
) -> Vec<Result<Spaced, ModelError>> {
    let usual = |line: &LineImage<'_>| strip_width(&line.quad, USUAL, policy.piece_max_width);
    let width = |line: &LineImage<'_>| width_of_line(line.drawn, usual(line));
    let lines: Vec<_> = lines.iter().map(|line| LineImage { drawn: width(line), ..*line }).collect();
    let mut readings = read_as_drawn(model, policy, hands, &lines);
    // What was drawn too narrow is read again.
    let again = |line: usize| Some((line, readings[line].as_ref().ok()?.again(lines[line].drawn)?));
    let (again, wider): (Vec<usize>, Vec<LineImage<'_>>) =
        (0..lines.len()).filter_map(again).map(|(line, drawn)| (line, LineImage { drawn, ..lines[line] })).unzip();
    for (line, reading) in again.into_iter().zip(read_as_drawn(model, policy, hands, &wider)) {
        readings[line] = reading;
    }
    readings
}

fn read_as_drawn(
    model: &mut Metered,
    policy: &Policy,
    hands: &Hands,
    lines: &[LineImage<'_>],
) -> Vec<Result<Spaced, ModelError>> {
    let numbered: Vec<(usize, LineImage<'_>)> = lines.iter().copied().enumerate().collect();
    let strips = hands.map(&numbered, |&(line, image)| cut(line, image, policy.piece_max_width));
    let mut strips: Vec<Strip<'_>> = strips.into_iter().flatten().collect();
    for strip in &mut strips {
        strip.width = policy.drawn_width(strip.width);
    }
    let widths: Vec<usize> = strips.iter().map(|strip| strip.width).collect();
    let mut answers: Vec<Result<Spaced, ModelError>> = strips.iter().map(|_| Ok(Spaced::default())).collect();
    for StripRun { members, width, .. } in policy.strip_runs(&widths) {
        let mut left = &members[..];
        while !left.is_empty() {
            // Fewer than were planned, once there was no memory for as many.
            let (members, rest) = left.split_at(model.fitting_strips(width).min(left.len()));
            left = rest;
            let readings = run_isolating(members, &mut |members| {
                let strips: Vec<&Strip<'_>> = members.iter().map(|&strip| &strips[strip]).collect();
                recognize_run(model, hands, &strips, [policy.batch(strips.len()), width])
            });
            for (&strip, reading) in members.iter().zip(readings) {
                answers[strip] = reading;
            }
        }
    }
    let mut readings: Vec<Result<Spaced, ModelError>> = lines.iter().map(|_| Ok(Spaced::default())).collect();
    for (strip, answer) in strips.iter().zip(answers) {
        match (&mut readings[strip.line], answer) {
            (Ok(reading), Ok(piece)) => reading.append(&piece),
            (failed @ Ok(_), Err(error)) => *failed = Err(error),
            (Err(_), _) => {}
        }
    }
    readings
}

/// The line as one strip, or, where that would be wider than `max`, as several.
fn cut(line: usize, image: LineImage<'_>, max: usize) -> Vec<Strip<'_>> {
    let width = strip_width(&image.quad, image.drawn, max);
    if width <= max {
        return vec![Strip { line, image, width }];
    }
    let mut whole = Array3::zeros((PageImage::CHANNELS, STRIP_HEIGHT, width));
    draw(image.page, &image.quad, whole.view_mut());
    let fraction = |column: usize| column as f32 / width as f32;
    let piece = |piece: std::ops::Range<usize>| {
        let quad = image.quad.part(fraction(piece.start), fraction(piece.end));
        Strip { line, image: LineImage { quad, ..image }, width: piece.len() }
    };
    pieces(&whole.view(), max).into_iter().map(piece).collect()
}

/// One recognition run of so many strips, each padded to `width`; those that there are not are empty.
fn recognize_run(
    model: &mut Metered,
    hands: &Hands,
    strips: &[&Strip<'_>],
    [batch, width]: [usize; 2],
) -> Result<Vec<Spaced>, ModelError> {
    let mut run = model.recognition_run([batch, PageImage::CHANNELS, STRIP_HEIGHT, width]);
    hands.draw(strips, run.input_mut(), |strip, mut place| {
        place.slice_mut(s![.., .., strip.width..]).fill(0.0);
        draw(strip.image.page, &strip.image.quad, place.slice_mut(s![.., .., ..strip.width]));
    });
    let drawn = strips.iter().map(|strip| strip.width).sum();
    let answers = model.recognize(&mut run, drawn);
    model.keep_recognition(run);
    let mut answers = answers?;
    if answers.len() != batch {
        let expected = format!("[{batch}, …]");
        return Err(ModelError::Shape { expected, found: format!("[{}, …]", answers.len()) });
    }
    answers.truncate(strips.len());
    if answers.iter().flatten().any(|step: &Step| !step.probability.is_finite()) {
        return Err(ModelError::NotANumber);
    }
    let alphabet = model.model().alphabet();
    let read: Vec<(&Vec<Step>, &Strip<'_>)> = answers.iter().zip(strips.iter().copied()).collect();
    Ok(hands.map(&read, |(steps, strip)| {
        let reading = decode(steps, strip.width, alphabet);
        Spaced::of(reading, steps, strip.width, strip.image.drawn)
    }))
}
