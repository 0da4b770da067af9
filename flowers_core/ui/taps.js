// Plotly answers a tap with the point of the tap before, and keeps swipes to itself. Without the touches it is told of
// taps as clicks, which browsers make of them, and the page scrolls.
export default function () {
  const chart = (event) => event.target.closest?.(".js-plotly-plot");
  const keep = (event) => chart(event) && event.stopPropagation();
  document.addEventListener("touchstart", keep, { capture: true, passive: true });
  return () => document.removeEventListener("touchstart", keep, { capture: true });
}
