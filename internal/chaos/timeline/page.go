package timeline

// pageHTML is the whole file around the pictures. It asks for nothing from anywhere.
const pageHTML = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
:root {
  color-scheme: light dark;
  --back: #ffffff; --ink: #1d2430; --soft: #667085; --line: #d7dce4; --lane: #f5f7fa; --panel: #f5f7fa;
  --e0: #2563a8; --e1: #0f766e; --e2: #7c3aed; --e3: #a21caf; --e4: #7c4a21; --e5: #4d7c0f;
  --follower: #e4e9f0; --connecting: #f3e9cf; --other: #e9e4f4; --fenced: #f3cfe3;
  --fault: #b45309; --red: #d0021b; --good: #15803d; --stall: #8a93a3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #12161c; --ink: #e6eaf0; --soft: #97a1b2; --line: #2c3542; --lane: #171c24; --panel: #1a2029;
    --e0: #3f7fc9; --e1: #168a80; --e2: #8b5cf6; --e3: #c026d3; --e4: #a0673a; --e5: #5f9318;
    --follower: #242c38; --connecting: #3a3321; --other: #2f2a40; --fenced: #4a2440;
    --fault: #f0a04b; --red: #ff4d5e; --good: #4ade80; --stall: #6b7586;
  }
}
body { margin: 0; padding: 18px 20px 40px; background: var(--back); color: var(--ink); font: 14px/1.45 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 20px; margin: 0 0 2px; }
h2 { font-size: 17px; margin: 26px 0 2px; }
section + section { margin-top: 34px; border-top: 2px solid var(--line); padding-top: 6px; }
h3 { font-size: 14px; margin: 22px 0 6px; }
p { margin: 2px 0; }
.what { color: var(--soft); }
.verdict { font-weight: 700; color: var(--good); }
.verdict.bad { color: var(--red); }
.figures { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 10px 0 12px; }
.figures div { min-width: 96px; }
.figures b { display: block; font-size: 15px; font-variant-numeric: tabular-nums; }
.figures span { color: var(--soft); font-size: 12px; }
.tools { float: right; }
.tools button { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line); border-radius: 5px; padding: 2px 11px; cursor: pointer; }
.picture { display: flex; border: 1px solid var(--line); border-radius: 6px; overflow: hidden; clear: both; }
.names { flex: none; width: 108px; border-right: 1px solid var(--line); background: var(--panel); }
.scroll { overflow-x: auto; flex: 1; }
.scroll svg.run { display: block; overflow: visible; }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); }
.names text.name { font-weight: 600; font-size: 12.5px; }
.names text.note { fill: var(--soft); font-size: 10.5px; }
.names .broken { fill: var(--red); }
svg.clip { overflow: hidden; pointer-events: none; }
svg.free { overflow: visible; }
text.sec { fill: var(--soft); text-anchor: start; }
line.tick { stroke: var(--soft); }
text.red { fill: var(--red); font-weight: 600; paint-order: stroke; stroke: var(--back); stroke-width: 4px; }
text.token { fill: #fff; font-weight: 600; }
text.gap { fill: var(--soft); font-style: italic; }
text.what { pointer-events: none; paint-order: stroke; stroke: var(--back); stroke-width: 3px; font-size: 10.5px; }
text.calm { fill: var(--good); }
line.calm { stroke: var(--good); stroke-dasharray: 4 3; }
rect.lane { fill: var(--line); }
rect.nobody { fill: var(--lane); stroke: var(--line); }
rect.etcd { fill: var(--soft); opacity: .5; }
rect.state { fill: var(--other); }
rect.s-follower { fill: var(--follower); }
rect.s-connecting { fill: var(--connecting); }
rect.s-fenced { fill: var(--fenced); }
rect.unheard { opacity: .45; }
rect.promise { opacity: .55; }
rect.key { stroke: var(--back); stroke-width: 1; }
rect.twice { stroke: var(--red); stroke-width: 3; }
rect.tint { fill: var(--fault); opacity: .08; }
rect.fault { fill: url(#hatch); stroke: var(--fault); stroke-width: 1; }
rect.idle { stroke-dasharray: 2 2; opacity: .6; }
rect.stall { fill: var(--stall); opacity: .35; }
rect.wrong { fill: var(--red); opacity: .2; }
line.wrong { stroke: var(--red); stroke-width: 1.5; }
path.begin { fill: var(--ink); }
path.over { stroke: var(--ink); stroke-width: 2; fill: none; }
line.asked { stroke: var(--ink); stroke-width: 2; stroke-dasharray: 2 2; }
.e0 { fill: var(--e0); } .e1 { fill: var(--e1); } .e2 { fill: var(--e2); } .e3 { fill: var(--e3); } .e4 { fill: var(--e4); } .e5 { fill: var(--e5); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--soft); font-size: 12px; margin: 8px 0 0; align-items: center; }
.legend svg { vertical-align: -4px; margin-right: 5px; }
table { border-collapse: collapse; font-size: 12.5px; }
td, th { text-align: left; vertical-align: top; padding: 3px 14px 3px 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; }
td.n { white-space: nowrap; font-variant-numeric: tabular-nums; }
tr.idle td { color: var(--soft); }
.breaches td:nth-child(2) { color: var(--red); font-weight: 600; }
ul { margin: 2px 0; padding-left: 20px; }
</style>
</head>
<body>
<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>
<pattern id="hatch" patternUnits="userSpaceOnUse" width="6" height="6" patternTransform="rotate(45)"><rect width="6" height="6" style="fill:var(--back)"/><rect width="2.4" height="6" style="fill:var(--fault);opacity:.55"/></pattern>
</defs></svg>
<p class="tools">zoom <button onclick="zoom(1/1.6)">−</button> <button onclick="zoom(1.6)">+</button> <button onclick="fit()">fit</button></p>
{{range .Sections}}
<section>
{{if .Title}}<h2>{{.Title}}</h2>{{else}}<h1>Who led, and what was done to it</h1>{{end}}
<p><span class="verdict{{if .Broken}} bad{{end}}">{{.Verdict}}</span> <span class="what">· {{.What}}</span></p>
<div class="figures">{{range .Figures}}<div><b>{{.Value}}</b><span>{{.Name}}</span></div>{{end}}</div>
<div class="picture">
<svg class="names" width="108" height="{{.Height}}">{{range .Labels}}{{if .Name}}<text class="name {{.Class}}" x="10" y="{{.Y}}" dy="17">{{.Name}}</text>{{end}}{{if .Note}}<text class="note" x="98" text-anchor="end" y="{{.Y}}" dy="17">{{.Note}}</text>{{end}}{{end}}</svg>
<div class="scroll"><svg class="run" data-width="{{.Width}}" width="{{.Width}}" height="{{.Height}}" role="img" aria-label="timeline">
{{.Picture}}</svg></div>
</div>
<p class="legend">
<span><svg width="34" height="16"><rect class="e0" width="20" height="16"/><rect class="e0 promise" x="20" y="5" width="14" height="6"/></svg>says yes (with its token), then what is left of the last promise</span>
<span><svg width="26" height="16"><rect class="e0 unheard" width="26" height="16"/></svg>the same term, while nobody heard it</span>
<span><svg width="26" height="16"><rect class="e0" y="7" width="26" height="3"/></svg>its key in etcd</span>
<span><svg width="26" height="16"><rect class="state s-follower" width="26" height="16"/></svg>follower</span>
<span><svg width="26" height="16"><rect class="state s-connecting" width="26" height="16"/></svg>connecting</span>
<span><svg width="26" height="16"><rect class="state s-fenced" width="26" height="16"/></svg>fenced</span>
<span><svg width="26" height="16"><rect class="state" width="26" height="16"/></svg>on its way</span>
<span><svg width="26" height="16"><rect class="fault" x="1" y="1" width="24" height="13"/></svg>fault</span>
<span><svg width="12" height="16"><path class="begin" d="M1,2 L9,8 L1,14 Z"/></svg>process started</span>
<span><svg width="6" height="16"><line class="asked" x1="3" x2="3" y1="0" y2="16"/></svg>asked to stop</span>
<span><svg width="12" height="16"><path class="over" d="M2,4 L10,12 M10,4 L2,12"/></svg>ended</span>
<span><svg width="26" height="16"><rect class="stall" width="26" height="16"/></svg>harness stood still: unknown</span>
<span><svg width="26" height="16"><rect class="wrong" width="26" height="16"/><line class="wrong" x1="1" x2="1" y1="0" y2="16"/></svg>a rule was broken</span>
</p>
{{if .Breaches}}<h3>What was broken</h3>
<table class="breaches"><tr><th></th><th>rule</th><th>from</th><th>to</th><th>electors</th><th>tokens</th><th>what happened</th></tr>
{{range .Breaches}}<tr>{{range $i, $c := .Cells}}<td{{if lt $i 6}} class="n"{{end}}>{{$c}}</td>{{end}}</tr>
{{end}}</table>{{end}}
{{if .Unknown}}<h3>What could not be judged</h3><ul>{{range .Unknown}}<li>{{.}}</li>{{end}}</ul>{{end}}
{{if .Vacuous}}<h3>What was not seen</h3><p class="what">{{range $i, $v := .Vacuous}}{{if $i}} · {{end}}{{$v}}{{end}}</p>{{end}}
{{if .Faults}}<h3>What was done</h3>
<p class="what">took effect: {{.Kinds}}</p>
<table><tr><th>from</th><th>for</th><th>fault</th><th>of</th><th>took keys</th><th></th></tr>
{{range .Faults}}<tr{{if .Class}} class="{{.Class}}"{{end}}>{{range $i, $c := .Cells}}<td{{if lt $i 4}} class="n"{{end}}>{{$c}}</td>{{end}}</tr>
{{end}}</table>{{end}}
</section>
{{end}}
<script>
// All pictures are zoomed together, about the middle of what is seen.
function each(f) { document.querySelectorAll("svg.run").forEach(function (s) { f(s, s.parentNode); }); }
function size(s, box, w) {
  var middle = (box.scrollLeft + box.clientWidth / 2) / s.getAttribute("width");
  s.setAttribute("width", Math.max(box.clientWidth, Math.min(200000, w)));
  box.scrollLeft = middle * s.getAttribute("width") - box.clientWidth / 2;
}
function zoom(by) { each(function (s, box) { size(s, box, s.getAttribute("width") * by); }); }
function fit() { each(function (s, box) { size(s, box, box.clientWidth * s.dataset.width / widest()); }); }
// A run that is shorter than the window fills it.
each(function (s, box) { if (widest() < box.clientWidth) { box.dataset.small = 1; } });
if (document.querySelector("[data-small]")) { fit(); }
function widest() { var w = 1; each(function (s) { w = Math.max(w, s.dataset.width); }); return w; }
</script>
</body>
</html>
`
