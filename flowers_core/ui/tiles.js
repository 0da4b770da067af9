// A grid of pictures, each one a button that tells its id.

function line(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function button(tile) {
  const element = document.createElement("button");
  element.type = "button";
  element.value = tile.id;
  if (tile.name) element.setAttribute("aria-label", tile.name);
  if (tile.picture) {
    const image = new Image();
    image.alt = "";
    image.src = tile.picture;
    image.style.aspectRatio = tile.aspect;
    element.append(image);
  }
  if (tile.title) element.append(line("strong", tile.title));
  if (tile.latin) element.append(line("em", tile.latin));
  if (tile.note) element.append(line("small", tile.note));
  return element;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".grid");
  grid.style.setProperty("--side", `${data.side}px`);
  grid.onclick = (event) => {
    const clicked = event.target.closest("button");
    if (clicked) setTriggerValue("clicked", clicked.value);
  };
  const told = JSON.stringify(data.tiles);
  if (grid.told === told) return; // drawn already: another part of the page has changed
  grid.told = told;
  grid.replaceChildren(...data.tiles.map(button));
}
