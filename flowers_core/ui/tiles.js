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
  if (tile.title) {
    element.append(line("strong", tile.title));
    element.title = tile.title; // whole, where two lines are too few
  }
  if (tile.latin) element.append(line("em", tile.latin));
  if (tile.note) element.append(line("small", tile.note));
  return element;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".grid");
  const page = document.querySelector('[data-testid="stMain"]');
  grid.style.setProperty("--side", `${data.side}px`);
  grid.onclick = (event) => {
    const clicked = event.target.closest("button");
    if (!clicked) return;
    (window.leftGrids ??= {})[data.key] = page.scrollTop;
    setTimeout(() => grid.isConnected && delete window.leftGrids[data.key], 3000); // nobody left
    setTriggerValue("clicked", clicked.value);
  };
  const told = JSON.stringify(data.tiles);
  if (grid.told === told) return; // drawn already: another part of the page has changed
  grid.told = told;
  grid.replaceChildren(...data.tiles.map(button));
  const left = window.leftGrids?.[data.key];
  if (left === undefined) return;
  page.scrollTop = left; // one comes back to where one left
  delete window.leftGrids[data.key];
}
