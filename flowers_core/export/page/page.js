// The page: a photo goes in, the answer comes out. Text from outside reaches the page as text only, never as HTML.
"use strict";

const TILE = 2048; // pixels; phones refuse canvases of the size of their own photos
const $ = (id) => document.getElementById(id);
const about = JSON.parse($("about").textContent);
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const percent = (share) => (share >= 0.0995 ? Math.round(share * 100) : (share * 100).toFixed(1)) + "%";
// Of an answer's probability: no network is ever wholly sure, whatever the last digit rounds to.
const sureness = (p) => (p > 0.999 ? "over 99.9" : p < 0.001 ? "under 0.1" : (p * 100).toFixed(1)) + "%";
let asked = 0, ready = false, waiting = null;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// A worker from a text: a page opened from disk may not load a second file.
function started() {
  const source = $("engine").textContent;
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  worker.onmessage = ({ data }) => {
    if (data.error) fail(`This browser could not run the model (${data.error}). Try a newer one.`);
    else if (data.ready) {
      ready = true;
      document.documentElement.dataset.engine = data.ready;
      $("state").textContent = "Ready. Nothing you show leaves this device.";
      if (waiting) waiting();
    } else if (data.id !== asked) return; // an answer to a photo that was replaced meanwhile
    else if (data.progress !== undefined) $("progress").value = data.progress;
    else answer(data);
  };
  worker.onerror = (event) => fail(`This browser could not run the model (${event.message}). Try a newer one.`);
  const { layers, transform, views, square, temperature, rejection } = about;
  const plain = location.hash === "#plain"; // for trying the engine without WebAssembly
  worker.postMessage({ about: { layers, transform, views, square, temperature, rejection }, weights: $("weights").textContent.trim(), plain });
  $("weights").remove();
  return worker;
}

function fail(text) {
  $("progress").hidden = true;
  $("state").textContent = "";
  $("error").textContent = text;
  $("error").hidden = false;
}

async function show(file) {
  const id = ++asked;
  $("error").hidden = $("answer").hidden = $("shown").hidden = true;
  $("progress").hidden = false;
  $("progress").removeAttribute("value");
  $("state").textContent = "Looking…";
  try {
    const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" }); // upright, as its EXIF mark says
    const photo = pixels(bitmap, about.square, file.type === "image/jpeg");
    bitmap.close();
    if (id !== asked) return;
    URL.revokeObjectURL($("photo").src);
    $("photo").src = URL.createObjectURL(file);
    $("shown").hidden = false;
    const ask = () => id === asked && worker.postMessage({ id, photo }, [photo.data.buffer]);
    if (ready) ask();
    else waiting = ask;
  } catch {
    if (id === asked) fail("This browser can't read that file as a picture. Try a JPEG, PNG or WebP photo.");
  }
}

// The photo's pixels on white, read tile by tile and shrunk on the way.
function pixels(bitmap, side, isJpeg) {
  const [factor = 1, ...more] = reductions(bitmap.width, bitmap.height, side, isJpeg);
  const { width, height } = bitmap, out = { width: Math.ceil(width / factor), height: Math.ceil(height / factor) };
  out.data = new Uint8ClampedArray(out.width * out.height * 3);
  const step = factor * Math.floor(TILE / factor), canvas = element("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < height; top += step)
    for (let left = 0; left < width; left += step) {
      const w = (canvas.width = Math.min(step, width - left)), h = (canvas.height = Math.min(step, height - top));
      context.fillStyle = "white";
      context.fillRect(0, 0, w, h);
      context.drawImage(bitmap, -left, -top);
      const rgba = context.getImageData(0, 0, w, h).data, rgb = new Uint8ClampedArray(w * h * 3);
      for (let from = 0, to = 0; to < rgb.length; from += 4) {
        rgb[to++] = rgba[from]; rgb[to++] = rgba[from + 1]; rgb[to++] = rgba[from + 2];
      }
      const tile = reduced({ width: w, height: h, data: rgb }, factor);
      for (let y = 0; y < tile.height; y++)
        out.data.set(
          tile.data.subarray(y * tile.width * 3, (y + 1) * tile.width * 3),
          ((top / factor + y) * out.width + left / factor) * 3,
        );
    }
  return more.reduce((photo, again) => reduced(photo, again), out);
}

function answer({ probabilities, energy, nearness, seconds }) {
  const order = probabilities.map((_, kind) => kind).sort((a, b) => probabilities[b] - probabilities[a]);
  const best = order[0], score = { kinds: nearness, energy }[about.rejection?.score];
  const unknown = score !== undefined && score < about.rejection.threshold;
  const kinds = about.classes.length;
  $("name").textContent = unknown ? `Not one of the ${kinds} kinds` : capital(about.classes[best]);
  $("latin").textContent = unknown ? "" : about.latin[best] ?? "";
  $("note").textContent = unknown
    ? "It looks like nothing this model knows. The nearest guesses:"
    : about.notes[best] ?? "";
  $("guesses").replaceChildren(...order.slice(0, 5).map((kind) => {
    const row = element("li");
    row.dataset.kind = about.classes[kind];
    row.dataset.probability = probabilities[kind];
    const bar = element("span", "bar");
    bar.style.setProperty("--share", probabilities[kind]);
    row.append(element("span", "kind", about.classes[kind]), element("span", "share", sureness(probabilities[kind])), bar);
    return row;
  }));
  $("progress").hidden = true;
  $("answer").hidden = false;
  $("answer").dataset.unknown = unknown;
  $("answer").dataset.seconds = seconds;
  const views = about.views.length;
  $("state").textContent = `Looked ${views === 1 ? "once" : `${views} times`} in ${seconds.toFixed(1)} s, on this device.`;
}

function describe() {
  const { card } = about, { results, data } = card;
  const facts = [
    ["Network", `AlexNet ${card.variant}`],
    ["Learned from", [data.counts?.train && `${data.counts.train} photos`, data.data].filter(Boolean).join(" of ") || "not recorded"],
    ["Right on", results.valid_accuracy === undefined || results.valid_accuracy === null
      ? "not measured" : `${percent(results.valid_accuracy)} of ${results.valid_n ?? "its"} ${results.folds ? "photos in cross-validation" : "validation photos"}`],
    ["This file", about.shrunk],
    ["Photos", about.input],
    ["Made with", about.program],
  ];
  $("facts").replaceChildren(...facts.flatMap(([term, text]) => [element("dt", "", term), element("dd", "", text)]));
  $("kinds").replaceChildren(...about.classes.map((kind, i) => {
    const item = element("li", "", capital(kind));
    if (about.latin[i]) item.append(" ", element("i", "", about.latin[i]));
    return item;
  }));
  $("count").textContent = `The ${about.classes.length} kinds it knows`;
  $("all").textContent = JSON.stringify(card, null, 1);
}

for (const input of [$("file"), $("camera")])
  input.addEventListener("change", () => {
    if (input.files[0]) show(input.files[0]);
    input.value = ""; // the same photo again is a change, too
  });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) show(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => event.clipboardData.files[0] && show(event.clipboardData.files[0]));

describe();
const worker = started();
