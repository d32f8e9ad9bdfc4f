// element, trigger and watch come from gradio: see js_on_load of gr.HTML
const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // a page that is not on https, and not local, has no clipboard
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
};
element.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button || button.disabled) return;
  if (button.dataset.copy !== undefined) {
    await copy(button.dataset.copy);
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  } else if (button.dataset.act) {
    trigger("click", { act: button.dataset.act, n: Number(button.dataset.n ?? 0) });
  }
});
element.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && element.querySelector(".pez-menu")) {
    trigger("click", { act: "close", n: 0 });
  }
});
let live = false;
watch("value", () => {  // on a phone what is found or drawn is below the controls
  const now = element.querySelector("[data-pez=live]") !== null;
  if (now && !live) element.scrollIntoView({ block: "nearest", behavior: "smooth" });
  live = now;
});
