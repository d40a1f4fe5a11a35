"""Simulates how a sheet becomes an image: rotated, skewed, or photographed."""

import math

import numpy
from PIL import Image, ImageFilter

from .sheet import PAPER


def turned(image, degrees):
    """Rotates clockwise by 90, 180 or 270 degrees, without loss."""
    turns = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
    return image.transpose(turns[degrees])


def slanted(image, degrees):
    """Rotates counterclockwise by a few degrees; the sheet grows, so that nothing is cut off."""
    return image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=PAPER)


def photographed(image, random, worse=0):
    """Simulates a handheld photo: perspective, dark table, uneven light, a shadow, blur and noise.

    `worse` above 0 adds blur and noise.
    """
    width, height = image.size
    frame = (round(width * 1.12), round(height * 1.1))
    # Each corner of the sheet is a little inside the frame: `1 - 2 * x` points inwards.
    corners = [
        (
            frame[0] * (x + random.uniform(0.02, 0.07) * (1 - 2 * x)),
            frame[1] * (y + random.uniform(0.015, 0.06) * (1 - 2 * y)),
        )
        for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]
    source = [(0, 0), (width, 0), (width, height), (0, height)]
    back = perspective(corners, source)
    sheet = image.transform(frame, Image.Transform.PERSPECTIVE, back, Image.Resampling.BICUBIC)
    white = Image.new("L", image.size, 255)
    covered = white.transform(frame, Image.Transform.PERSPECTIVE, back, Image.Resampling.BILINEAR)
    noise = numpy.random.default_rng(random.getrandbits(64))
    table = 70 + 10 * noise.standard_normal((frame[1], frame[0]))
    weight = numpy.asarray(covered, dtype=numpy.float64) / 255
    lit = (numpy.asarray(sheet, dtype=numpy.float64) * weight + table * (1 - weight)) * light(frame, random)
    blur = ImageFilter.GaussianBlur(random.uniform(0.6, 1.0) + 0.7 * worse)
    soft = Image.fromarray(lit.clip(0, 255).astype(numpy.uint8)).filter(blur)
    # Warm light, and noise in each color channel.
    tinted = numpy.asarray(soft, dtype=numpy.float64)[:, :, None] * numpy.array([1.0, 0.97, 0.9])
    grained = tinted + (random.uniform(3, 7) + 6 * worse) * noise.standard_normal(tinted.shape)
    return Image.fromarray(grained.clip(0, 255).astype(numpy.uint8), "RGB")


def light(frame, random):
    """Returns the brightness of each pixel: a gradient with a soft-edged shadow."""
    x, y = numpy.meshgrid(numpy.linspace(-1, 1, frame[0]), numpy.linspace(-1, 1, frame[1]))
    fall = random.uniform(0, 2 * math.pi)
    even = 0.86 + 0.1 * (x * math.cos(fall) + y * math.sin(fall))
    edge = random.uniform(0, 2 * math.pi)
    distance = x * math.cos(edge) + y * math.sin(edge) - random.uniform(-0.4, 0.4)
    shadow = random.uniform(0.25, 0.42) / (1 + numpy.exp(-distance / random.uniform(0.03, 0.12)))
    return even * (1 - shadow)


def perspective(corners, source):
    """Returns the eight coefficients of Pillow's perspective transform from the image to the sheet.

    They solve u = (a·x + b·y + c) / (g·x + h·y + 1) and v = (d·x + e·y + f) / (g·x + h·y + 1) for the four corners.
    """
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return numpy.linalg.solve(numpy.array(rows, dtype=float), numpy.array(values, dtype=float)).tolist()
