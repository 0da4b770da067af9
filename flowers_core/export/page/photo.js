// From a photo's pixels to the network's views, with the same filters as the app's: what a canvas does when it
// shrinks a picture differs from browser to browser, and would change answers.
"use strict";

// Averages blocks of fx x fy pixels; the last ones may be narrower, as Pillow's reduce has them.
function reduced({ width, height, data }, fx, fy = fx) {
  if (fx <= 1 && fy <= 1) return { width, height, data };
  const w = Math.ceil(width / fx), h = Math.ceil(height / fy), out = new Uint8ClampedArray(w * h * 3);
  for (let y = 0, to = 0; y < h; y++)
    for (let x = 0; x < w; x++, to += 3) {
      const right = Math.min(width, (x + 1) * fx), bottom = Math.min(height, (y + 1) * fy);
      let r = 0, g = 0, b = 0;
      for (let v = y * fy; v < bottom; v++)
        for (let u = x * fx, at = (v * width + u) * 3; u < right; u++, at += 3) {
          r += data[at]; g += data[at + 1]; b += data[at + 2];
        }
      const count = (right - x * fx) * (bottom - y * fy);
      out[to] = r / count; out[to + 1] = g / count; out[to + 2] = b / count;
    }
  return { width: w, height: h, data: out };
}

// By how much a large photo may be averaged before it is resampled: the decoder of the app does the same.
function reductions(width, height, side, isJpeg) {
  const factors = [];
  let shorter = Math.min(width, height);
  const jpeg = [8, 4, 2].find((scale) => isJpeg && Math.floor(width / scale) >= side && Math.floor(height / scale) >= side);
  if (jpeg) {
    factors.push(jpeg);
    shorter = Math.ceil(shorter / jpeg);
  }
  const rest = Math.floor(shorter / (2 * side));
  return rest > 1 ? [...factors, rest] : factors;
}

// Squeezes a photo to side x side: Pillow's antialiased bicubic filter (a = -0.5), rows first, rounded in between.
function toSquare(photo, side) {
  const gap = (length) => Math.max(1, Math.floor(length / side / 2)); // resize's reducing_gap of 2
  const fx = gap(photo.width), fy = gap(photo.height);
  const small = reduced(photo, fx, fy);
  const across = taps(small.width, photo.width / fx, side), down = taps(small.height, photo.height / fy, side);
  const rows = new Uint8ClampedArray(side * small.height * 3), out = new Uint8ClampedArray(side * side * 3);
  for (let y = 0, to = 0; y < small.height; y++)
    for (let x = 0; x < side; x++, to += 3)
      for (let c = 0; c < 3; c++) {
        const { first, weights } = across[x];
        let sum = 0;
        for (let i = 0, at = (y * small.width + first) * 3 + c; i < weights.length; i++, at += 3) sum += weights[i] * small.data[at];
        rows[to + c] = sum; // clamped and rounded by the array
      }
  for (let y = 0, to = 0; y < side; y++)
    for (let x = 0; x < side; x++, to += 3)
      for (let c = 0; c < 3; c++) {
        const { first, weights } = down[y];
        let sum = 0;
        for (let i = 0, at = (first * side + x) * 3 + c; i < weights.length; i++, at += side * 3) sum += weights[i] * rows[at];
        out[to + c] = sum;
      }
  return { data: out, aspect: photo.width / photo.height };
}

// The pixels that each of `side` results is made of, out of `length` pixels of which `extent` are to be shown.
function taps(length, extent, side) {
  const scale = extent / side, stretch = Math.max(1, scale), support = 2 * stretch;
  return Array.from({ length: side }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support + 0.5)), last = Math.min(length, Math.floor(centre + support + 0.5));
    const weights = Float64Array.from({ length: last - first }, (_, k) => bicubic((first + k - centre + 0.5) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

// One square window of the undistorted photo as (3, size, size), normalised. Bilinear; edges are mirrored outward.
function cutView({ data, aspect }, side, [window, x, y, mirror], { size, mean, std }) {
  const places = (reach, place, turn) => {
    const share = (window * turn) / reach, centre = place * Math.max(0, 1 - window / reach);
    return Array.from({ length: size }, (_, i) => {
      const at = (((((2 * i + 1) / size - 1) * share + centre + 1) * side) / 2);
      const turned = ((at % (2 * side)) + 2 * side) % (2 * side);
      const inside = Math.min(side - 1, Math.max(0, side - Math.abs(side - turned) - 0.5));
      const low = Math.floor(inside);
      return { low, high: Math.min(side - 1, low + 1), part: inside - low };
    });
  };
  const across = places(Math.max(1, aspect), x, mirror), down = places(Math.max(1, 1 / aspect), y, 1);
  const out = new Float32Array(3 * size * size);
  for (let c = 0, to = 0; c < 3; c++)
    for (const v of down)
      for (let i = 0; i < size; i++, to++) {
        const u = across[i], value = (row, column) => data[(row * side + column) * 3 + c];
        const top = value(v.low, u.low) * (1 - u.part) + value(v.low, u.high) * u.part;
        const bottom = value(v.high, u.low) * (1 - u.part) + value(v.high, u.high) * u.part;
        out[to] = ((top * (1 - v.part) + bottom * v.part) / 255 - mean[c]) / std[c];
      }
  return out;
}
