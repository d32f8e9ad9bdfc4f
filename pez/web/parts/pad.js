// painting with a pointer or the keyboard; element, trigger and watch come from gradio
const strokes = [];  // lists of points with the brush's width
let open = null;
let at = null;  // where the keyboard's brush is
const sheet = () => element.querySelector("canvas");
const mask = () => element.querySelector(".pez-pad")?.dataset.kind === "mask";
const line = (pen, stroke, colour) => {
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = stroke.width;
  pen.lineCap = pen.lineJoin = "round";
  const [first, ...rest] = stroke.points;
  pen.beginPath();
  pen.arc(first[0], first[1], stroke.width / 2, 0, 2 * Math.PI);
  pen.fill();
  pen.beginPath();
  pen.moveTo(...first);
  for (const point of rest) pen.lineTo(...point);
  pen.stroke();
};
const paint = (canvas, colour, ground) => {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (ground) {
    pen.fillStyle = ground;
    pen.fillRect(0, 0, canvas.width, canvas.height);
  }
  for (const stroke of strokes) line(pen, stroke, colour);
};
const show = () => {
  const canvas = sheet();
  if (!canvas) return;
  paint(canvas, mask() ? "#4f46e5" : "#111", mask() ? "" : "#fff");
  if (at && document.activeElement === canvas) {
    const pen = canvas.getContext("2d");
    pen.strokeStyle = "#d97706";
    pen.lineWidth = 3;
    pen.beginPath();
    pen.arc(at[0], at[1], Math.max(width() / 2, 4), 0, 2 * Math.PI);
    pen.stroke();
  }
};
const send = () => {  // white on black, as masks and sketches are read
  const canvas = sheet();
  if (!canvas) return;
  const out = document.createElement("canvas");
  out.width = canvas.width;
  out.height = canvas.height;
  paint(out, "#fff", "#000");
  trigger("input", { painted: strokes.length ? out.toDataURL("image/png") : "" });
};
const width = () => Number(element.querySelector("[data-pad=brush]").value);
const place = (event) => {
  const box = sheet().getBoundingClientRect();
  return [
    (event.clientX - box.left) * sheet().width / box.width,
    (event.clientY - box.top) * sheet().height / box.height,
  ];
};
element.addEventListener("pointerdown", (event) => {
  if (event.target !== sheet()) return;
  event.target.setPointerCapture(event.pointerId);
  open = { width: width(), points: [place(event)] };
  strokes.push(open);
  show();
});
element.addEventListener("pointermove", (event) => {
  if (!open) return;
  open.points.push(place(event));
  show();
});
for (const name of ["pointerup", "pointercancel"]) {
  element.addEventListener(name, () => {
    if (!open) return;
    open = null;
    send();
  });
}
element.addEventListener("keydown", (event) => {
  const canvas = sheet();
  if (event.target !== canvas) return;
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  at ??= [canvas.width / 2, canvas.height / 2];
  if (step[event.key]) {
    const far = Math.max(width() / 2, 4);
    at = [
      Math.min(canvas.width, Math.max(0, at[0] + step[event.key][0] * far)),
      Math.min(canvas.height, Math.max(0, at[1] + step[event.key][1] * far)),
    ];
  } else if (event.key === " ") {
    strokes.push({ width: width(), points: [at] });
    send();
  } else return;
  event.preventDefault();
  show();
});
element.addEventListener("click", (event) => {
  const act = event.target.closest("button")?.dataset.pad;
  if (act === "undo") strokes.pop();
  else if (act === "clear") strokes.length = 0;
  else return;
  show();
  send();
});
watch("value", () => {  // another picture or another use of it
  strokes.length = 0;
  at = null;
  show();
  send();
});
