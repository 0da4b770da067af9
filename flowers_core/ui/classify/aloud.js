// Says a flower's name, in browsers that can speak; elsewhere there is no button.
export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  button.hidden = !("speechSynthesis" in window);
  button.setAttribute("aria-label", `Hear it: ${data.name}`);
  button.onclick = () => {
    const words = new SpeechSynthesisUtterance(data.name);
    words.lang = "en";
    window.speechSynthesis.cancel();
    window.speechSynthesis.speak(words);
  };
}
