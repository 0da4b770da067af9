// Runs in a thread of its own, so that the page stays alive while the network thinks.
"use strict";

let network, about;

onmessage = async ({ data }) => {
  try {
    if (data.about) {
      about = data.about;
      const options = { plain: data.plain, logitWeight: about.rejection?.logit_weight };
      network = new Network(about.layers, await unpacked(data.weights), about.transform.size, about.views.length, options);
      postMessage({ ready: network.kernels.name });
    } else {
      const start = performance.now();
      const square = toSquare(data.photo, about.square);
      const views = about.views.map((view) => cutView(square, about.square, view, about.transform));
      const { logits, nearness } = network.answer(views, (share) => postMessage({ id: data.id, progress: share }));
      const answer = probabilities(logits, about.temperature);
      postMessage({ id: data.id, ...answer, nearness, seconds: (performance.now() - start) / 1000 });
    }
  } catch (error) {
    postMessage({ id: data.id, error: String(error?.message ?? error) });
  }
};

// Base64 of a zlib stream to bytes.
async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
