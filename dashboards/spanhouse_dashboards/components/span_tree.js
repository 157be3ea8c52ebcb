// The span tree. Only the rows in view exist in the document, so five thousand spans scroll like fifty.
// Every text goes in through textContent: what a model wrote is shown, never interpreted.
const ROW = 28
const OVERSCAN = 12
const LETTERS = { agent: "A", workflow: "W", model: "M", tool: "T", retrieval: "R", embedding: "E", guardrail: "G",
  evaluator: "V", step: "S", other: "·" }
const memory = new WeakMap()

function element(tag, className, text) {
  const node = document.createElement(tag)
  if (className) node.className = className
  if (text !== undefined) node.textContent = text
  return node
}

// A row leaves the view when a row above it is folded; while a search is on, matches and what leads to them show.
function shown(state) {
  const { rows, folded, query } = state
  const wanted = query.toLowerCase()
  let keep = null
  if (wanted || state.failuresOnly) {
    keep = new Set()
    rows.forEach((row, index) => {
      const matches = (!wanted || row.search.includes(wanted)) && (!state.failuresOnly || row.error)
      if (!matches) return
      for (let at = index; at !== null && !keep.has(at); at = rows[at].parent) keep.add(at)
    })
  }
  const out = []
  let hiddenBelow = Infinity
  rows.forEach((row, index) => {
    if (row.depth > hiddenBelow) return
    hiddenBelow = Infinity
    if (keep) {
      if (keep.has(index)) out.push(index)
      return
    }
    out.push(index)
    if (folded.has(row.id)) hiddenBelow = row.depth
  })
  return out
}

function label(row, query) {
  const node = element("span", "label")
  node.title = row.name
  const at = query ? row.name.toLowerCase().indexOf(query.toLowerCase()) : -1
  if (at < 0) {
    node.textContent = row.name
    return node
  }
  node.append(row.name.slice(0, at), element("mark", "", row.name.slice(at, at + query.length)),
    row.name.slice(at + query.length))
  return node
}

function draw(state, row, top) {
  const node = element("div", "row" + (row.id === state.selected ? " selected" : ""))
  node.style.top = `${top}px`
  node.setAttribute("role", "treeitem")
  node.setAttribute("aria-level", String(row.depth + 1))
  node.setAttribute("aria-selected", String(row.id === state.selected))
  if (row.children) node.setAttribute("aria-expanded", String(!state.folded.has(row.id)))
  node.dataset.id = row.id
  const name = element("div", "name")
  name.style.paddingLeft = `${4 + Math.min(row.depth, 16) * 14}px`
  const fold = element("span", "fold", row.children ? (state.folded.has(row.id) ? "▶" : "▼") : "")
  if (row.children) fold.dataset.fold = row.id
  const kind = element("span", "kind", LETTERS[row.kind] ?? "·")
  kind.style.background = state.colors[row.kind] ?? "#7F8B9A"
  kind.title = row.kind
  name.append(fold, kind, label(row, state.query))
  if (row.error) name.append(element("span", "failed", "✕ failed"))
  else if (row.errorsBelow) name.append(element("span", "below", `${row.errorsBelow} ✕`))
  const track = element("div", "track wide")
  const mark = element("i")
  mark.style.left = `${row.left * 100}%`
  mark.style.width = `${Math.max(row.width * 100, 1)}%`
  mark.style.background = state.colors[row.kind] ?? "#7F8B9A"
  track.append(mark)
  node.append(name, track, element("div", "number", row.duration), element("div", "number", row.tokens),
    element("div", "number wide", row.cost))
  return node
}

function paint(state) {
  const { rowsNode, space } = state
  const first = Math.max(0, Math.floor(rowsNode.scrollTop / ROW) - OVERSCAN)
  const last = Math.min(state.view.length, first + Math.ceil(rowsNode.clientHeight / ROW) + 2 * OVERSCAN)
  space.style.height = `${state.view.length * ROW}px`
  space.replaceChildren(...state.view.slice(first, last).map((index, at) =>
    draw(state, state.rows[index], (first + at) * ROW)))
  if (!state.view.length) space.append(element("div", "none", "No span matches."))
  state.count.textContent = state.view.length === state.rows.length
    ? `${state.rows.length} spans` : `${state.view.length} of ${state.rows.length}`
}

function refresh(state) {
  state.view = shown(state)
  paint(state)
}

function reveal(state) {
  const at = state.view.findIndex((index) => state.rows[index].id === state.selected)
  if (at < 0) return
  const top = at * ROW
  const node = state.rowsNode
  if (top < node.scrollTop) node.scrollTop = top
  else if (top + ROW > node.scrollTop + node.clientHeight) node.scrollTop = top + ROW - node.clientHeight
}

function choose(state, id) {
  state.selected = id
  paint(state)
  reveal(state)
  clearTimeout(state.pending)
  // Holding an arrow key passes over many rows; only where it rests is worth a round trip.
  state.pending = setTimeout(() => state.send("selected", id), 120)
}

function unfold(state, id) {
  const index = state.rows.findIndex((row) => row.id === id)
  for (let at = index < 0 ? null : state.rows[index].parent; at !== null; at = state.rows[at].parent) {
    state.folded.delete(state.rows[at].id)
  }
}

function onKey(state, event) {
  const at = state.view.findIndex((index) => state.rows[index].id === state.selected)
  const row = at < 0 ? null : state.rows[state.view[at]]
  const go = (to) => state.view.length &&
    choose(state, state.rows[state.view[Math.max(0, Math.min(state.view.length - 1, to))]].id)
  const page = Math.max(1, Math.floor(state.rowsNode.clientHeight / ROW) - 1)
  const moves = { ArrowDown: () => go(at + 1), ArrowUp: () => go(at - 1), Home: () => go(0),
    End: () => go(state.view.length - 1), PageDown: () => go(at + page), PageUp: () => go(at - page) }
  if (event.key in moves) moves[event.key]()
  else if (event.key === "ArrowLeft" && row) {
    if (row.children && !state.folded.has(row.id)) { state.folded.add(row.id); refresh(state) }
    else if (row.parent !== null) choose(state, state.rows[row.parent].id)
  } else if (event.key === "ArrowRight" && row?.children) {
    if (state.folded.delete(row.id)) refresh(state)
    else go(at + 1)
  } else return
  event.preventDefault()
}

function build(parent) {
  const root = parent.querySelector(".tree")
  const state = { folded: new Set(), query: "", failuresOnly: false, rows: [], view: [], selected: null,
    rowsNode: root.querySelector(".rows"), space: root.querySelector(".space"), count: root.querySelector(".count"),
    pending: 0 }
  const search = root.querySelector("input")
  search.oninput = () => { state.query = search.value; state.rowsNode.scrollTop = 0; refresh(state) }
  search.onkeydown = (event) => {
    if (event.key === "Escape") { search.value = ""; state.query = ""; refresh(state); state.rowsNode.focus() }
    if (event.key === "ArrowDown") { event.preventDefault(); state.rowsNode.focus(); onKey(state, event) }
  }
  const failures = root.querySelector("[data-do=failures]")
  failures.onclick = () => {
    state.failuresOnly = !state.failuresOnly
    failures.setAttribute("aria-pressed", String(state.failuresOnly))
    refresh(state)
  }
  root.querySelector("[data-do=fold]").onclick = () => {
    const parents = state.rows.filter((row) => row.children && row.depth > 0).map((row) => row.id)
    state.folded = state.folded.size ? new Set() : new Set(parents)
    refresh(state)
  }
  state.rowsNode.onscroll = () => paint(state)
  state.rowsNode.onkeydown = (event) => onKey(state, event)
  state.rowsNode.onclick = (event) => {
    const fold = event.target.closest("[data-fold]")
    if (fold) {
      const id = fold.dataset.fold
      if (!state.folded.delete(id)) state.folded.add(id)
      refresh(state)
      return
    }
    const row = event.target.closest("[data-id]")
    if (row) choose(state, row.dataset.id)
  }
  state.onSlash = (event) => {
    const typing = event.composedPath()[0]
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA)$/.test(typing.tagName)) return
    event.preventDefault()
    search.focus()
  }
  document.addEventListener("keydown", state.onSlash)
  state.resized = new ResizeObserver(() => {
    root.classList.toggle("narrow", root.clientWidth < 520)
    paint(state)
  })
  state.resized.observe(root)
  return state
}

export default function (component) {
  const { parentElement, data, setTriggerValue } = component
  let state = memory.get(parentElement)
  if (!state) {
    state = build(parentElement)
    memory.set(parentElement, state)
  }
  state.send = setTriggerValue
  state.colors = data.colors
  // Rows outside the window are not drawn, so the window needs a height of its own.
  parentElement.querySelector(".tree").style.maxHeight = `${data.height}px`
  state.rows = data.rows.map(([id, parent, depth, children, name, kind, left, width, duration, tokens, cost, error,
    errorsBelow]) => ({ id, parent, depth, children, name, kind, left, width, duration, tokens, cost, error, errorsBelow,
    search: `${name} ${kind} ${id}`.toLowerCase() }))
  if (data.selected !== state.selected) {
    state.selected = data.selected
    unfold(state, data.selected)
  }
  refresh(state)
  reveal(state)
  return () => {
    document.removeEventListener("keydown", state.onSlash)
    state.resized.disconnect()
    clearTimeout(state.pending)
    memory.delete(parentElement)
  }
}
