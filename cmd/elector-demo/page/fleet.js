'use strict';
// Lanes of what the electors themselves have told, as it came, over the last minute.

const shown = 60_000; // milliseconds
const at = id => document.getElementById(id);
const fleet = { ttl: 0, replay: false, lanes: new Map(), broken: '', answers: 0, taken: 0, refused: 0, etcd: '' };
const clock = { offset: null }; // of the run's time to this page's

const now = () => clock.offset === null ? 0 : performance.now() + clock.offset;

function element(name, words, kind) {
  const node = document.createElement(name);
  if (words !== undefined) node.textContent = words;
  if (kind) node.className = kind;
  return node;
}

function text(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

// A lane is an elector or a member: stretches of what it said, of what was done to it, and its worker's writes.
class Lane {
  constructor(name, member) {
    Object.assign(this, { name, member, states: [], faults: [], writes: [], token: 0, until: 0, state: '', process: '', cut: false });
    this.node = element('div', undefined, 'lane' + (member ? ' member' : ''));
    const words = element('div');
    this.said = element('p', '');
    words.append(element('h3', name), this.said);
    this.canvas = element('canvas');
    this.canvas.setAttribute('role', 'img');
    this.canvas.setAttribute('aria-label', 'What ' + name + ' was, over the last minute');
    this.buttons = element('div', undefined, 'buttons');
    this.button = {};
    for (const [what, words] of [['stop', 'stop'], ['kill', 'kill -9'], ['freeze', 'freeze'], ...(member ? [] : [['cut', 'cut off']]), ['start', 'start']]) {
      const b = element('button', words);
      b.type = 'button';
      b.setAttribute('aria-label', words + ' ' + name);
      b.addEventListener('click', () => this.act(what));
      this.button[what] = b;
      this.buttons.append(b);
    }
    this.node.append(words, this.canvas, this.buttons);
    at('lanes').append(this.node);
    this.offer();
  }

  act(what) {
    if (what === 'freeze' && this.process === 'frozen') what = 'thaw';
    if (what === 'cut' && this.cut) what = 'heal';
    fetch('/do', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ who: this.name, what }) }).catch(() => {});
  }

  offer() {
    const gone = this.process === 'ended', off = fleet.replay;
    this.button.stop.disabled = this.button.kill.disabled = this.button.freeze.disabled = off || gone;
    this.button.start.disabled = off || !gone;
    const name = (what, words) => {
      text(this.button[what], words);
      this.button[what].setAttribute('aria-label', words + ' ' + this.name);
    };
    name('freeze', this.process === 'frozen' ? 'unfreeze' : 'freeze');
    if (!this.member) {
      this.button.cut.disabled = off;
      name('cut', this.cut ? 'heal' : 'cut off');
    }
  }

  // enters ends the newest stretch and begins another.
  enters(list, at, what) {
    const last = list[list.length - 1];
    if (last && last.to === null) last.to = at;
    if (what !== null) list.push({ from: at, to: null, ...what });
  }

  take(m) {
    switch (m.kind) {
      case 'state':
        this.state = m.text;
        this.token = m.until ? m.token : 0;
        this.until = m.until || 0;
        // A yes lasts to its end at most, whatever comes or does not come after it.
        this.enters(this.states, m.at, { what: m.until ? 'yes' : m.text, token: m.token || 0, end: m.until || Infinity });
        break;
      case 'lost':
        this.state = '';
        this.enters(this.states, m.at, null);
        break;
      case 'process':
        if (m.text === this.process) break;
        this.process = m.text;
        this.enters(this.faults, m.at, { running: null, stopping: { what: 'SIGTERM' }, frozen: { what: 'frozen' }, ended: { what: 'ended' } }[m.text] ?? null);
        if (this.cut && m.text === 'running') this.enters(this.faults, m.at, { what: 'cut off' });
        if (m.text === 'ended') this.enters(this.states, m.at, null);
        if (this.member && m.text === 'running') this.enters(this.states, m.at, { what: 'member', end: Infinity });
        break;
      case 'cut':
        this.cut = m.text === 'cut';
        this.enters(this.faults, m.at, this.cut ? { what: 'cut off' } : null);
        break;
      case 'write':
      case 'refused':
        this.writes.push({ at: m.at, refused: m.kind === 'refused' });
        break;
    }
    this.offer();
  }

  leads(at, is) {
    const last = this.states[this.states.length - 1];
    const led = last !== undefined && last.to === null && last.what === 'leads';
    if (this.process !== 'running' || is === led) return;
    this.enters(this.states, at, { what: is ? 'leads' : 'member', end: Infinity });
  }

  forget(before) {
    const old = s => s.to !== null && s.to < before;
    while (this.states.length > 0 && old(this.states[0])) this.states.shift();
    while (this.faults.length > 0 && old(this.faults[0])) this.faults.shift();
    while (this.writes.length > 0 && this.writes[0].at < before) this.writes.shift();
  }
}

const colours = {};
function colour(name) {
  return colours[name] ??= getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { for (const name of Object.keys(colours)) delete colours[name]; });

function paint(lane, time) {
  const canvas = lane.canvas, scale = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const c = canvas.getContext('2d');
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.clearRect(0, 0, width, height);
  const x = t => width * (1 - (time - t) / shown);
  const strip = lane.member ? height : height * 0.6;
  c.font = '600 12px system-ui, sans-serif';
  c.textBaseline = 'middle';
  let token = 0;
  for (const s of lane.states) {
    const from = Math.max(0, x(s.from)), to = x(Math.min(s.to ?? time, s.end, time));
    if (to < 0 || to <= from) continue;
    c.fillStyle = colour(s.what === 'yes' ? lane.name : s.what === 'leads' ? 'member-leads' : s.what === 'member' ? 'member' : s.what === 'follower' ? 'follower' : 'other');
    c.fillRect(from, 0, to - from + 0.5, strip);
  }
  // The token of each term stands where it began, above all stretches of it.
  c.fillStyle = colour('card');
  for (const s of lane.states) {
    if (s.what === 'yes' && s.token !== token) {
      token = s.token;
      if (x(s.from) > -40) c.fillText(String(token), Math.max(0, x(s.from)) + 5, strip / 2);
    }
  }
  c.strokeStyle = c.fillStyle = colour('fault');
  for (const s of lane.faults) {
    const from = Math.max(-2, x(s.from)), to = Math.min(width + 2, x(s.to ?? time));
    if (to < 0) continue;
    c.save();
    c.beginPath();
    c.rect(from, 0, Math.max(2, to - from), strip);
    c.clip();
    c.lineWidth = 1;
    c.beginPath();
    for (let d = Math.floor((from - strip) / 7) * 7; d < to; d += 7) {
      c.moveTo(d, strip);
      c.lineTo(d + strip, 0);
    }
    c.stroke();
    c.lineWidth = 2;
    c.strokeRect(from, 0, Math.max(2, to - from), strip);
    const wide = c.measureText(s.what).width + 8;
    if (to - from > wide + 4) {
      c.fillStyle = colour('card');
      c.fillRect(from + 3, strip / 2 - 9, wide, 18);
      c.fillStyle = colour('fault');
      c.fillText(s.what, from + 7, strip / 2);
    }
    c.restore();
  }
  for (const w of lane.writes) {
    const at = x(w.at);
    if (!w.refused) {
      c.fillStyle = colour('ink');
      c.fillRect(at, strip + 5, 1.2, height - strip - 9);
      continue;
    }
    c.strokeStyle = colour('fault');
    c.lineWidth = 3;
    c.beginPath();
    const mid = (strip + height) / 2, arm = 5;
    c.moveTo(at - arm, mid - arm); c.lineTo(at + arm, mid + arm);
    c.moveTo(at + arm, mid - arm); c.lineTo(at - arm, mid + arm);
    c.stroke();
  }
}

const plainly = { connecting: 'connects', follower: 'follows', verifying: 'stands first', leader: 'led', 'stepping-down': 'steps down', ineligible: 'does not campaign', fenced: 'fenced' };

function frame() {
  const time = now();
  let leader = null;
  for (const lane of fleet.lanes.values()) {
    lane.forget(time - shown);
    paint(lane, time);
    const yes = !lane.member && lane.token > 0 && lane.until > time;
    if (yes) leader = lane;
    let said = lane.process;
    if (lane.process === 'running') said = lane.member ? (fleet.etcd === lane.name ? 'leads etcd' : 'serves') : yes ? 'leads, token ' + lane.token : plainly[lane.state] ?? 'no answer';
    text(lane.said, said + (lane.cut ? ', cut off' : ''));
  }
  if (clock.offset !== null) {
    const full = leader === null ? 1 : Math.max(leader.until - time, Math.min(2000, fleet.ttl / 2));
    const left = leader === null ? 0 : leader.until - time;
    text(at('leader'), leader === null ? 'Nobody leads' : leader.name + ' leads with token ' + leader.token);
    at('leader').style.color = leader === null ? '' : 'var(--' + leader.name + ')';
    at('left').style.background = leader === null ? '' : 'var(--' + leader.name + ')';
    at('left').style.transform = 'scaleX(' + (left / full).toFixed(4) + ')';
    const percent = String(Math.round(20 * left / full) * 5);
    if (at('bar').getAttribute('aria-valuenow') !== percent) at('bar').setAttribute('aria-valuenow', percent);
    text(at('certain'), leader === null ? '' : 'and that is certain for ' + (left / 1000).toFixed(1) + ' s');
    text(at('verdict'), fleet.broken !== '' ? 'BROKEN: ' + fleet.broken : 'two yes at once: never, in ' + fleet.answers.toLocaleString('en') + ' answers · counter ' + fleet.taken.toLocaleString('en') + ', late writes refused: ' + fleet.refused);
    at('verdict').dataset.tone = fleet.broken !== '' ? 'bad' : 'good';
  }
  requestAnimationFrame(frame);
}

function take(m) {
  switch (m.kind) {
    case 'setup':
      at('lanes').replaceChildren();
      fleet.lanes.clear();
      Object.assign(fleet, { ttl: m.setup.ttl_ms, replay: m.setup.replay === true, broken: '', answers: 0, taken: 0, refused: 0, etcd: '' });
      for (const name of m.setup.electors) fleet.lanes.set(name, new Lane(name, false));
      for (const name of m.setup.members) fleet.lanes.set(name, new Lane(name, true));
      at('log').replaceChildren();
      text(at('about'), m.setup.electors.length + ' electors, each with a worker; etcd with ' + m.setup.members.length + (m.setup.members.length === 1 ? ' member' : ' members') +
        '; lease time ' + m.setup.ttl_ms / 1000 + ' s' + (fleet.replay ? '. This is a recorded run.' : '. Break something: nobody else is using it.'));
      return;
    case 'verdict':
      fleet.broken = m.text ?? '';
      fleet.answers = m.count ?? 0;
      return;
    case 'leads':
      fleet.etcd = m.who ?? '';
      for (const lane of fleet.lanes.values()) if (lane.member) lane.leads(m.at, lane.name === fleet.etcd);
      return;
    case 'line':
      say(m);
      return;
    case 'write':
    case 'refused':
      fleet.taken = m.count ?? 0;
      if (m.kind === 'refused') fleet.refused++;
  }
  fleet.lanes.get(m.who)?.take(m);
}

function say(m) {
  const item = element('li', undefined, m.strong ? 'strong' : ''), log = at('log');
  item.append(element('span', (m.at / 1000).toFixed(1) + ' s'), document.createTextNode(m.text));
  log.prepend(item);
  while (log.children.length > 200) log.lastChild.remove();
}

const stream = new EventSource('/moments');
stream.addEventListener('moments', e => JSON.parse(e.data).forEach(take));
stream.addEventListener('now', e => {
  const offset = JSON.parse(e.data) - performance.now();
  // The message that was fastest is the truest; a run that began anew is another one.
  if (clock.offset === null || offset > clock.offset || offset < clock.offset - 2000) clock.offset = offset;
});
stream.onerror = () => {
  at('verdict').dataset.tone = 'wait';
  if (stream.readyState === EventSource.CLOSED) text(at('about'), 'The demo has ended.');
};
requestAnimationFrame(frame);
