// Matrix products, the only heavy work of the network: one panel of 8 columns times all rows of a weight matrix.
//
// Browsers run WebAssembly's 128-bit instructions several times faster than the same loop in JavaScript. A compiler
// for two loops would be a burden on everybody who installs this program, so the few instructions are written down
// here as bytes. Where a browser has no such instructions, the loop in JavaScript below answers the same, slower.
//
// kernel(weights, panel, out, depth, blocks, stride, steps, bias, floor): all but floor are bytes in one memory.
//   weights  rows in blocks of 4: [block][depth][4], float32 or int8
//   panel    [depth][8] float32
//   out      first of 4 * blocks rows of 8 float32, `stride` bytes apart
//   steps, bias  one float32 per row: out = max(floor, sum * step + bias); floor 0 is a ReLU, -Infinity none
"use strict";

function plainKernels(memory) {
  const floats = new Float32Array(memory.buffer), bytes = new Int8Array(memory.buffer);
  const kernel = (values, size) => (weights, panel, out, depth, blocks, stride, steps, bias, floor) => {
    const sums = new Float64Array(8);
    for (let row = 0; row < 4 * blocks; row++) {
      sums.fill(0);
      let w = weights / size + (row >> 2) * depth * 4 + (row & 3), p = panel >> 2;
      for (let d = 0; d < depth; d++, w += 4, p += 8) {
        const weight = values[w];
        for (let j = 0; j < 8; j++) sums[j] += weight * floats[p + j];
      }
      const step = floats[(steps >> 2) + row], offset = floats[(bias >> 2) + row], to = (out + row * stride) >> 2;
      for (let j = 0; j < 8; j++) floats[to + j] = Math.max(floor, sums[j] * step + offset);
    }
  };
  return { float32: kernel(floats, 4), int8: kernel(bytes, 1), name: "JavaScript" };
}

function wasmKernels(memory) {
  const bytes = kernelModule();
  if (!WebAssembly.validate(bytes)) return null; // no 128-bit instructions here
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { page: { memory } });
  return { float32: instance.exports.float32, int8: instance.exports.int8, name: "WebAssembly" };
}

// The module's bytes, section by section (WebAssembly Core Specification 2.0, chapter 5).
function kernelModule() {
  const I32 = 0x7f, F32 = 0x7d, V128 = 0x7b;
  const leb = (value) => value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
  const vector = (items) => [...leb(items.length), ...items.flat()];
  const section = (id, items) => { const body = vector(items); return [id, ...leb(body.length), ...body]; };
  const name = (text) => vector([...text].map((c) => [c.charCodeAt(0)]));
  const named = (body) => [...leb(body.length), ...body];
  const code = (weightBytes) => named([...vector([[2, I32], [11, V128]]), ...kernelBody(weightBytes, leb), 0x0b]);
  return new Uint8Array([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [[0x60, ...vector([I32, I32, I32, I32, I32, I32, I32, I32, F32].map((t) => [t])), 0]]),
    ...section(2, [[...name("page"), ...name("memory"), 0x02, 0x00, 1]]),
    ...section(3, [[0], [0]]),
    ...section(7, [[...name("float32"), 0x00, 0], [...name("int8"), 0x00, 1]]),
    ...section(10, [code(4), code(1)]),
  ]);
}

function kernelBody(weightBytes, leb) {
  // Parameters and locals by number; 4 rows x 2 vectors of sums stay in registers while depth is walked.
  const weights = 0, panel = 1, out = 2, depth = 3, blocks = 4, stride = 5, steps = 6, bias = 7, floor = 8;
  const at = 9, end = 10, left = 19, right = 20, weight = 21, sum = (row, half) => 11 + 2 * row + half;
  const get = (local) => [0x20, local], set = (local) => [0x21, local];
  const i32 = (value) => [0x41, ...leb(value)]; // below 64: signed and unsigned look the same
  const simd = (op, ...rest) => [0xfd, ...leb(op), ...rest];
  const add = simd(0xe4), multiply = simd(0xe6), max = simd(0xe9), splat = simd(0x13);
  const load = (offset) => simd(0x00, 4, offset), store = simd(0x0b, 4, 0), loadSplat = (offset) => simd(0x09, 2, offset);
  const advance = (local, amount) => [...get(local), ...amount, 0x6a, ...set(local)];
  const rows = [0, 1, 2, 3], halves = [0, 1];
  const loadWeight = (row) => weightBytes === 4
    ? loadSplat(4 * row)
    : [0x2c, 0, row, 0xb2, ...splat]; // i32.load8_s, f32.convert_i32_s

  const zero = rows.flatMap((r) => halves.flatMap((h) => [...simd(0x0c), ...Array(16).fill(0), ...set(sum(r, h))]));
  const accumulate = rows.flatMap((r) => [
    ...get(weights), ...loadWeight(r), ...set(weight),
    ...halves.flatMap((h) => [
      ...get(weight), ...get(h ? right : left), ...multiply, ...get(sum(r, h)), ...add, ...set(sum(r, h)),
    ]),
  ]);
  const finish = rows.flatMap((r) => [
    ...halves.flatMap((h) => [
      ...get(out), ...i32(16 * h), 0x6a,
      ...get(sum(r, h)), ...get(steps), ...loadSplat(4 * r), ...multiply, ...get(bias), ...loadSplat(4 * r), ...add,
      ...get(floor), ...splat, ...max, ...store,
    ]),
    ...advance(out, get(stride)),
  ]);
  return [
    ...get(panel), ...get(depth), ...i32(5), 0x74, 0x6a, ...set(end), // panel + 32 * depth
    0x03, 0x40, // loop over blocks
    ...zero, ...get(panel), ...set(at),
    0x03, 0x40, // loop over depth
    ...get(at), ...load(0), ...set(left), ...get(at), ...load(16), ...set(right),
    ...accumulate,
    ...advance(weights, i32(4 * weightBytes)), ...advance(at, i32(32)),
    ...get(at), ...get(end), 0x49, 0x0d, 0, 0x0b, // while at < end
    ...finish, ...advance(steps, i32(16)), ...advance(bias, i32(16)),
    ...get(blocks), ...i32(1), 0x6b, ...set(blocks), ...get(blocks), 0x0d, 0, 0x0b, // while blocks are left
  ];
}
