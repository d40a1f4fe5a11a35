#!/usr/bin/env python3
"""Trains the classifier of scripts in shared/pp-ocr/src/script.rs, and writes its weights:

    python3 tests/bench/train_scripts.py PP-OCRv6_rec_small.onnx shared/pp-ocr/src/script_weights.rs [--lines 400]

Renders lines of words from Unicode's CLDR (names of languages, territories, months and weekdays) and of numbers in
every font of this machine that has the language, with random size, margin, contrast, blur and noise. The features of a
line are the mean over its steps of the 120 features before the last matrix of PP-OCRv6 small's recognizer. A
multinomial logistic regression separates the classes; a fifth of the lines is kept for the printed confusion matrix.

Requires numpy, Pillow with raqm, onnx, onnxruntime, scikit-learn, babel and fontconfig, and Debian's fonts-noto-core
and fonts-noto-cjk.
"""

import argparse
import random
import subprocess
from pathlib import Path

import numpy
import onnx
import onnxruntime
from babel import Locale
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.preprocessing import StandardScaler

LANGUAGES = {
    "Arabic": "ar fa ur ps",
    "Cyrillic": "ru uk bg sr kk mn be mk",
    "Devanagari": "hi mr ne",
    "Greek": "el",
    "Han": "zh zh_Hant",
    "Hangul": "ko",
    "Hebrew": "he yi",
    "Kana": "ja",
    "Latin": "en de fr es pl tr it nl sv cs pt fi hu ro id",
    "Other": "bn ta te ka hy am km my gu kn ml pa si lo or",
    "Thai": "th",
    "Vietnamese": "vi",
}
# Lines of these scripts are also rendered as in a mirror, for a class of its own.
MIRRORED = ("Han", "Kana", "Latin")
# Relative numbers of lines: most pages are in these.
WEIGHTS = {"Latin": 4, "Han": 2, "Kana": 2, "Other": 2}
# Languages whose name in fontconfig is another one.
FONT_LANGUAGES = {"zh": "zh-cn", "zh_Hant": "zh-tw", "mn": "ru", "ps": "ur"}
HEIGHT = 48
STEP = 8
# The width of a line image relative to the line, as line_width.rs has it.
WIDTH_RATIO = 0.92


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--lines", type=int, default=400, help="lines of a rare class; common ones have up to four times")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    features, classes = make_data(Recognizer(arguments.model), arguments.lines, random.Random(arguments.seed))
    weights, biases = train(features, classes)
    arguments.output.write_text(rust_source(weights, biases), encoding="utf-8")


class Recognizer:
    """PP-OCRv6's recognizer, which returns the features before its last matrix."""

    def __init__(self, path):
        model = onnx.load(path)
        products = [node for node in model.graph.node if node.op_type == "MatMul"]
        self.output = products[-1].input[0]
        model.graph.output.append(onnx.helper.make_tensor_value_info(self.output, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        self.input = self.session.get_inputs()[0].name

    def features(self, image):
        """Returns the mean of the features of a line image."""
        width = min(1200, max(HEIGHT, round(HEIGHT * image.width / image.height * WIDTH_RATIO)))
        pixels = numpy.asarray(image.resize((width, HEIGHT), Image.Resampling.BILINEAR), numpy.float32)
        padded = numpy.zeros((1, 3, HEIGHT, -(-width // 32) * 32), numpy.float32)
        padded[0, :, :, :width] = (pixels / 255 - 0.5) / 0.5
        features = self.session.run([self.output], {self.input: padded})[0][0]
        return features[: -(-width // STEP)].mean(0)


def make_data(recognizer, lines, rng):
    fonts = installed_fonts()
    features, classes = [], []
    for script, languages in LANGUAGES.items():
        for number in range(lines * WEIGHTS.get(script, 1)):
            language = rng.choice(languages.split())
            image = render(make_text(script, language, rng), rng.choice(fonts[language]), rng)
            is_mirrored = script in MIRRORED and number % 6 == 0
            if is_mirrored:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            features.append(recognizer.features(image))
            classes.append("Mirrored" if is_mirrored else script)
    return numpy.array(features), numpy.array(classes)


def installed_fonts():
    """Returns the fonts (path, index) of each language."""
    listed = subprocess.run(
        ["fc-list", "-f", "%{file}|%{index}|%{lang}\n"], capture_output=True, text=True, check=True
    ).stdout
    by_language = {}
    for line in sorted(listed.splitlines()):
        path, index, languages = line.split("|", 2)
        if not any(word in path for word in ("Emoji", "Symbol", "Math")):
            for language in languages.split("|"):
                by_language.setdefault(language, []).append((path, int(index) & 0xFFFF))
    wanted = [language for languages in LANGUAGES.values() for language in languages.split()]
    return {language: by_language[FONT_LANGUAGES.get(language, language)] for language in wanted}


def make_text(script, language, rng):
    if script in ("Latin", "Han") and rng.random() < 0.15:
        return "".join(rng.choice("0123456789.,-/:€$%") for _ in range(rng.randrange(2, 14)))
    locale = Locale.parse(language)
    names = [locale.languages, locale.territories, locale.months["format"]["wide"], locale.days["format"]["wide"]]
    words = [str(word) for group in names for word in group.values()]
    text = " ".join(rng.choice(words) for _ in range(rng.randrange(1, 7)))
    if script in ("Han", "Kana", "Thai") and rng.random() < 0.7:
        text = text.replace(" ", "")
    if rng.random() < 0.25:
        text += f" {rng.randrange(100_000)}"
    return (text.upper() if rng.random() < 0.1 else text)[:60]


def render(text, font, rng):
    font = ImageFont.truetype(font[0], rng.choice([14, 16, 18, 20, 24, 28, 36, 48]), index=font[1])
    left, top, right, bottom = font.getbbox(text)
    width, height = max(1, right - left), max(1, bottom - top)
    beside, above = int(height * rng.uniform(0.1, 0.5)), int(height * rng.uniform(0.12, 0.4))
    image = Image.new("L", (int(width + 2 * beside), int(height + 2 * above)), rng.randrange(200, 256))
    ImageDraw.Draw(image).text((beside - left, above - top), text, font=font, fill=rng.randrange(110))
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.4:
        generator = numpy.random.default_rng(rng.randrange(1 << 30))
        noise = generator.normal(0, rng.uniform(2, 14), (image.height, image.width))
        image = Image.fromarray(numpy.clip(numpy.asarray(image) + noise, 0, 255).astype(numpy.uint8))
    return image


def train(features, classes):
    """Returns the weights and biases of the classes in alphabetical order."""
    order = numpy.random.default_rng(0).permutation(len(classes))
    test, training = order[: len(order) // 5], order[len(order) // 5 :]
    scaler = StandardScaler().fit(features[training])
    model = LogisticRegression(max_iter=1500, C=0.3).fit(scaler.transform(features[training]), classes[training])
    predicted = model.predict(scaler.transform(features[test]))
    print(f"{len(training)} lines to train, {len(test)} to test: {(predicted == classes[test]).mean():.4f} right")
    print(list(model.classes_))
    print(confusion_matrix(classes[test], predicted, labels=model.classes_))
    weights = model.coef_ / scaler.scale_
    return weights, model.intercept_ - weights @ scaler.mean_


def rust_source(weights, biases):
    rows = "".join(f"    [\n{wrapped(row)}    ],\n" for row in weights)
    return f"""//! Weights of the classifier of scripts, for PP-OCRv6 small.
//!
//! Generated by `tests/bench/train_scripts.py`.
#![expect(clippy::approx_constant, clippy::unreadable_literal, reason = "generated numbers")]

/// Number of features of a step.
pub(crate) const FEATURES: usize = {weights.shape[1]};
/// Number of classes.
pub(crate) const SCRIPTS: usize = {weights.shape[0]};

/// The intercept of each class.
#[rustfmt::skip]
pub(crate) const BIASES: [f32; SCRIPTS] = [
{wrapped(biases)}];

/// The weights of each class.
#[rustfmt::skip]
pub(crate) const WEIGHTS: [[f32; FEATURES]; SCRIPTS] = [
{rows}];
"""


def wrapped(values, columns=10):
    numbers = [f"{value:.4}" for value in values]
    lines = [numbers[start : start + columns] for start in range(0, len(numbers), columns)]
    return "".join(f"        {', '.join(line)},\n" for line in lines)


if __name__ == "__main__":
    main()
