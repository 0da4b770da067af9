// The network: its layers one after the other, on one memory that holds weights and what lies between them.
"use strict";

const COLUMNS = 8; // what a kernel computes at once

class Network {
  // layers: as the exported page lists them; packed: their weights, steps and biases in the order of the list.
  // logitWeight: what a unit of a logit counts where it is asked whether a photo shows one of the kinds at all.
  constructor(layers, packed, side, views, { plain = false, logitWeight = 0 } = {}) {
    this.layers = layers;
    this.side = side;
    this.logitWeight = logitWeight;
    const plan = planned(layers, side, Math.ceil(views / COLUMNS));
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(plan.bytes / 65536) + 1 });
    this.kernels = (!plain && wasmKernels(this.memory)) || plainKernels(this.memory);
    this.floats = new Float32Array(this.memory.buffer);
    this.bytes = new Int8Array(this.memory.buffer);
    this.place = plan;
    this.fill(packed);
    const numbers = ([at, count]) => new Float32Array(packed.slice(at, at + 4 * count).buffer);
    const exact = (op, names) => {
      const layer = layers.find((layer) => layer.op === op);
      return layer && { ...layer, ...Object.fromEntries(names.map((name) => [name, numbers(layer[name])])) };
    };
    this.reader = exact("read", ["weights", "bias"]);
    this.kinds = exact("kinds", ["middle", "directions", "means", "spread"]);
  }

  // Weights go to memory in blocks of four rows; rows that don't exist stay zero.
  fill(packed) {
    for (const layer of this.layers.filter((layer) => layer.rows)) {
      const { rows, depth, codes, steps, bias } = layer, place = this.place.weights.get(layer);
      const source = new Int8Array(packed.buffer, packed.byteOffset + codes, rows * depth);
      const numbers = new DataView(packed.buffer, packed.byteOffset);
      const target = layer.op === "conv" ? this.floats : this.bytes;
      const start = layer.op === "conv" ? place.weights >> 2 : place.weights;
      for (let row = 0; row < rows; row++) {
        const to = start + (row >> 2) * depth * 4 + (row & 3);
        for (let d = 0; d < depth; d++) target[to + 4 * d] = source[row * depth + d];
        this.floats[(place.steps >> 2) + row] = numbers.getFloat32(steps + 4 * row, true);
        this.floats[(place.bias >> 2) + row] = numbers.getFloat32(bias + 4 * row, true);
      }
    }
  }

  // Normalised views, each (3, side, side) as Float32Array, to their logits, and to the score by which a model that
  // knows where its kinds lie says whether they show one; tells `progress` a share from 0 to 1.
  answer(views, progress = () => {}) {
    const split = this.layers.findIndex((layer) => layer.op === "linear");
    const convolutional = this.layers.slice(0, split), full = this.layers.slice(split).filter(({ op }) => op !== "read" && op !== "kinds");
    const seen = views.map(() => []); // of each view, the means and deviations of each convolution's maps
    const steps = views.length * (convolutional.length + 1) + full.length;
    let done = 0;
    const panels = Math.ceil(views.length / COLUMNS);
    this.floats.fill(0, this.place.full[0] >> 2, this.place.end >> 2);
    views.forEach((view, number) => {
      let maps = { at: this.place.maps[0], channels: 3, side: this.side, stride: this.side ** 2 };
      this.floats.set(view, maps.at >> 2);
      convolutional.forEach((layer, index) => {
        const relu = convolutional[index + 1]?.op === "relu";
        maps = this[layer.op](layer, maps, this.other(maps.at), relu);
        if (layer.op === "relu" && (this.reader || this.kinds)) seen[number].push(this.summary(maps));
        progress(++done / steps);
      });
      this.flatten(maps, number);
      progress(++done / steps);
    });
    let at = this.place.full[0];
    full.forEach((layer, index) => {
      if (layer.op === "linear") at = this.linear(layer, at, panels, full[index + 1]?.op === "relu");
      progress(++done / steps);
    });
    const classes = full[full.length - 1].rows, padded = 4 * Math.ceil(classes / 4);
    const logits = views.map((_, number) => {
      const first = (at >> 2) + Math.floor(number / COLUMNS) * padded * COLUMNS + (number % COLUMNS);
      const second = this.reader ? this.read(seen[number]) : new Float64Array(classes);
      return second.map((value, kind) => value + this.floats[first + kind * COLUMNS]);
    });
    return { logits, nearness: this.kinds && this.nearness(seen, logits) };
  }

  summary({ at, channels, side, stride }) {
    const means = [], deviations = [], area = side ** 2;
    for (let channel = 0; channel < channels; channel++) {
      const map = this.floats.subarray((at >> 2) + channel * stride, (at >> 2) + channel * stride + area);
      const mean = map.reduce((sum, value) => sum + value, 0) / area;
      means.push(mean);
      deviations.push(Math.sqrt(map.reduce((sum, value) => sum + (value - mean) ** 2, 0) / area));
    }
    return { means, deviations };
  }

  // The second reader's logits: how much of each thing there is, wherever in the picture it is.
  read(seen) {
    const { convolutions, weights, bias } = this.reader;
    return product(weights, seen.slice(-convolutions).flatMap(({ means, deviations }) => [...means, ...deviations]).map(Math.sqrt), bias);
  }

  // How much nearer a photo is to one of the kinds than to flowers in general, as far as the logits agree.
  nearness(seen, logits) {
    const { convolutions, middle, directions, means, spread } = this.kinds, zeros = new Float64Array(middle.length);
    const views = seen.map((each) => each.slice(-convolutions).flatMap((summary) => summary.means));
    const mean = (column) => views.reduce((sum, view) => sum + view[column], 0) / views.length;
    const place = product(directions, views[0].map((_, column) => Math.sqrt(mean(column)) - middle[column]), zeros);
    const columns = place.length, kinds = means.length / columns;
    const near = Array.from({ length: kinds }, (_, kind) => {
      const logit = logits.reduce((sum, view) => sum + view[kind], 0) / logits.length;
      return this.logitWeight * logit - place.reduce((sum, value, column) => sum + (value - means[kind * columns + column]) ** 2, 0);
    });
    return place.reduce((sum, value, column) => sum + value ** 2 / spread[column], 0) + Math.max(...near);
  }

  other(at) {
    return this.place.maps[at === this.place.maps[0] ? 1 : 0];
  }

  conv(layer, maps, out, relu) {
    const { kernel, stride, padding, groups, rows, depth } = layer, place = this.place.weights.get(layer);
    const wide = maps.side + 2 * padding, side = Math.floor((wide - kernel) / stride) + 1, pixels = side * side;
    const floats = this.floats, padded = this.place.padded >> 2, panel = this.place.panel >> 2;
    floats.fill(0, padded, padded + maps.channels * wide * wide);
    for (let channel = 0; channel < maps.channels; channel++)
      for (let y = 0; y < maps.side; y++) {
        const from = (maps.at >> 2) + channel * maps.stride + y * maps.side;
        floats.copyWithin(padded + (channel * wide + y + padding) * wide + padding, from, from + maps.side);
      }
    const inside = new Int32Array(depth); // where each weight looks, seen from its window's corner
    for (let d = 0; d < depth; d++) {
      const x = d % kernel, y = Math.floor(d / kernel) % kernel, channel = Math.floor(d / kernel ** 2);
      inside[d] = (channel * wide + y) * wide + x;
    }
    const columns = COLUMNS * Math.ceil(pixels / COLUMNS), perGroup = rows / groups;
    const floor = relu ? 0 : -Infinity;
    for (let group = 0; group < groups; group++) {
      const channels = padded + group * (maps.channels / groups) * wide * wide, row = group * perGroup;
      for (let first = 0; first < columns; first += COLUMNS) {
        // Eight windows side by side: small enough to stay in the cache while all filters pass over them.
        for (let j = 0; j < COLUMNS; j++) {
          const pixel = Math.min(first + j, pixels - 1); // past the end: any pixel will do, nobody reads it
          const corner = channels + (Math.floor(pixel / side) * wide + (pixel % side)) * stride;
          for (let d = 0, to = panel + j; d < depth; d++, to += COLUMNS) floats[to] = floats[corner + inside[d]];
        }
        this.kernels.float32(
          place.weights + row * depth * 4, this.place.panel, out + (row * columns + first) * 4, depth, Math.ceil(perGroup / 4),
          columns * 4, place.steps + row * 4, place.bias + row * 4, floor,
        );
      }
    }
    return { at: out, channels: rows, side, stride: columns };
  }

  relu(_, maps) {
    return maps; // the layer before it has done it
  }

  // b = a / (k + alpha * sum of a^2 over n channels)^beta (the 2012 paper, section 3.3)
  lrn({ n, k, alpha, beta }, maps, out) {
    const floats = this.floats, area = maps.side ** 2, from = maps.at >> 2, to = out >> 2, half = Math.floor(n / 2);
    const squares = new Float64Array(area);
    for (let channel = 0; channel < maps.channels; channel++) {
      squares.fill(0);
      for (let c = Math.max(0, channel - half); c <= Math.min(maps.channels - 1, channel - half + n - 1); c++)
        for (let i = 0, at = from + c * maps.stride; i < area; i++, at++) squares[i] += floats[at] * floats[at];
      const shift = channel * maps.stride;
      for (let i = 0; i < area; i++) floats[to + shift + i] = floats[from + shift + i] * (k + alpha * squares[i]) ** -beta;
    }
    return { ...maps, at: out };
  }

  maxpool({ kernel, stride }, maps, out) {
    const floats = this.floats, side = Math.floor((maps.side - kernel) / stride) + 1, from = maps.at >> 2;
    for (let channel = 0, to = out >> 2; channel < maps.channels; channel++)
      for (let y = 0; y < side; y++)
        for (let x = 0; x < side; x++, to++) {
          let best = -Infinity;
          for (let v = 0, at = from + channel * maps.stride + y * stride * maps.side + x * stride; v < kernel; v++, at += maps.side)
            for (let u = 0; u < kernel; u++) if (floats[at + u] > best) best = floats[at + u];
          floats[to] = best;
        }
    return { at: out, channels: maps.channels, side, stride: side ** 2 };
  }

  avgpool({ side }, maps, out) {
    if (side === maps.side) return maps;
    const floats = this.floats, start = (i) => Math.floor((i * maps.side) / side);
    const end = (i) => Math.ceil(((i + 1) * maps.side) / side);
    for (let channel = 0, to = out >> 2; channel < maps.channels; channel++)
      for (let y = 0; y < side; y++)
        for (let x = 0; x < side; x++, to++) {
          let sum = 0;
          for (let v = start(y); v < end(y); v++)
            for (let u = start(x); u < end(x); u++) sum += floats[(maps.at >> 2) + channel * maps.stride + v * maps.side + u];
          floats[to] = sum / ((end(y) - start(y)) * (end(x) - start(x)));
        }
    return { at: out, channels: maps.channels, side, stride: side ** 2 };
  }

  // Each view becomes one column, so that the large matrices are read once for all of them.
  flatten(maps, number) {
    const area = maps.side ** 2, length = maps.channels * area, panel = Math.floor(number / COLUMNS);
    let to = (this.place.full[0] >> 2) + panel * length * COLUMNS + (number % COLUMNS);
    for (let channel = 0; channel < maps.channels; channel++)
      for (let i = 0, at = (maps.at >> 2) + channel * maps.stride; i < area; i++, at++, to += COLUMNS)
        this.floats[to] = this.floats[at];
    return length;
  }

  linear(layer, at, panels, relu) {
    const { rows, depth } = layer, place = this.place.weights.get(layer), blocks = Math.ceil(rows / 4);
    const out = this.place.full[at === this.place.full[0] ? 1 : 0];
    const inner = this.place.depths.get(layer); // rows of the layer before, with those that fill its last block
    for (let panel = 0; panel < panels; panel++)
      this.kernels.int8(
        place.weights, at + panel * inner * COLUMNS * 4, out + panel * blocks * 4 * COLUMNS * 4, depth, blocks,
        COLUMNS * 4, place.steps, place.bias, relu ? 0 : -Infinity,
      );
    return out;
  }
}

// A matrix, row by row, times a vector, plus a bias.
function product(matrix, vector, bias) {
  const columns = vector.length;
  return Float64Array.from(bias, (start, row) => vector.reduce((sum, value, column) => sum + value * matrix[row * columns + column], start));
}

// Where everything lies in memory, in bytes. Maps and fully connected outputs each need two places, used in turn.
function planned(layers, side, panels) {
  let bytes = 0;
  const take = (length) => { const at = bytes; bytes += 16 * Math.ceil(length / 16); return at; };
  const weights = new Map(), depths = new Map();
  let maps = 3 * side * side, padded = 0, panel = 0, full = 0, channels = 3, inner = 0;
  for (const layer of layers) {
    if (layer.rows) {
      const rows = 4 * Math.ceil(layer.rows / 4), width = layer.op === "conv" ? 4 : 1;
      weights.set(layer, { weights: take(rows * layer.depth * width), steps: take(rows * 4), bias: take(rows * 4) });
    }
    if (layer.op === "conv") {
      const wide = side + 2 * layer.padding;
      padded = Math.max(padded, channels * wide * wide);
      panel = Math.max(panel, layer.depth * COLUMNS);
      side = Math.floor((wide - layer.kernel) / layer.stride) + 1;
      channels = layer.rows;
      maps = Math.max(maps, (channels + 3) * (side * side + COLUMNS)); // + 3: rows that fill the last block
    } else if (layer.op === "maxpool") side = Math.floor((side - layer.kernel) / layer.stride) + 1;
    else if (layer.op === "avgpool") {
      side = layer.side;
      maps = Math.max(maps, channels * side * side);
    } else if (layer.op === "linear") {
      depths.set(layer, inner || layer.depth);
      inner = 4 * Math.ceil(layer.rows / 4);
      full = Math.max(full, layer.depth, inner);
    }
  }
  const place = { weights, depths, maps: [take(4 * maps), take(4 * maps)], padded: take(4 * padded), panel: take(4 * panel) };
  place.full = [take(4 * full * COLUMNS * panels), take(4 * full * COLUMNS * panels)];
  return Object.assign(place, { end: bytes, bytes });
}

// The mean over the views of softmax(logits / temperature), and the mean energy for models that reject by it.
function probabilities(logits, temperature) {
  const mean = new Float64Array(logits[0].length);
  let energy = 0;
  for (const row of logits) {
    const scaled = row.map((value) => value / temperature), top = Math.max(...scaled);
    const exponentials = scaled.map((value) => Math.exp(value - top)), sum = exponentials.reduce((a, b) => a + b);
    exponentials.forEach((value, kind) => { mean[kind] += value / sum / logits.length; });
    energy += (temperature * (top + Math.log(sum))) / logits.length;
  }
  return { probabilities: [...mean], energy };
}
