// Puts a choice into the address without a step for the Back button: a reload then leads to it.
export default function ({ data }) {
  const address = new URL(window.location.href);
  if (address.searchParams.has(data.key)) return;
  address.searchParams.set(data.key, data.value);
  window.history.replaceState(window.history.state, "", address);
}
