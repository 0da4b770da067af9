// Puts a choice into the address without a step for the Back button: a reload then leads to it. Not where the address
// has become another one since the page was drawn.
export default function ({ data }) {
  const address = new URL(window.location.href);
  if ((address.searchParams.get(data.key) ?? "") !== data.stands) return;
  address.searchParams.set(data.key, data.value);
  window.history.replaceState(window.history.state, "", address);
}
