'use strict';
// Everything from etcd is text: it goes into textContent and nowhere else.

const at = id => document.getElementById(id);
const phases = {
  'connecting': 'Connects to etcd', 'follower': 'Follows', 'verifying': 'Stands first, not confirmed yet', 'leader': 'Leads',
  'stepping-down': 'Steps down', 'ineligible': 'Does not campaign', 'fenced': 'Fenced: etcd went back in time',
};
const causes = {
  '': '', 'registered': 'its key stands in the queue', 'won': 'its key is the oldest', 'lease-expired': 'its lease ran out',
  'key-deleted': 'somebody deleted its key', 'key-overwritten': 'somebody wrote to its key', 'session-lost': 'its session with etcd ended',
  'resigned': 'it was asked to resign', 'transferred': 'the lead was passed on', 'unhealthy': 'a check of its worker failed, or no worker holds',
  'refused': 'etcd refused it', 'not-published': 'it stood first and could not be confirmed in time', 'work-ended': 'its worker ended',
  'eligible': 'it may campaign again', 'vetoed': 'the hook that is asked before a term refused', 'no-lead': 'it only observes',
  'drained': 'it was asked to stay out of the election', 'undrained': 'it was let in again', 'unfenced': 'a person lifted the fence',
  'shutdown': 'its process was stopped', 'token-regression': 'etcd went back in time',
};
const inWords = cause => Object.hasOwn(causes, cause) ? causes[cause] : cause;

// Time is read on both clocks: one of them may stand still while the host sleeps, the other may be set.
const clock = () => ({ steady: performance.now(), wall: Date.now() });
const since = t => Math.max(performance.now() - t.steady, Date.now() - t.wall);

const page = { status: null, told: null, full: 1, queue: [], live: false };
const leads = () => page.status !== null && page.status.leading && left() > 0;
const left = () => page.status === null ? 0 : Math.max(0, page.status.expires_in_ms - since(page.told));

function text(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

function element(name, words, kind) {
  const node = document.createElement(name);
  if (words !== undefined) node.textContent = words;
  if (kind) node.className = kind;
  return node;
}

function facts(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([term, what]) => [element('dt', term), element('dd', what)]));
}

function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (ms < 10000) return (Math.max(0, ms) / 1000).toFixed(1) + ' s';
  if (s < 60) return s + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min ' + s % 60 + ' s';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
}

// A time of today needs no date.
function when(t) {
  if (t === null) return '';
  const at = new Date(t), iso = d => d.getFullYear() + '-' + String(d.getMonth() + 1).padStart(2, '0') + '-' + String(d.getDate()).padStart(2, '0');
  const time = at.toLocaleTimeString([], { hour12: false });
  return iso(at) === iso(new Date()) ? time : iso(at) + ' ' + time;
}

// cells are a row's; those of the columns in long may take several lines.
const cells = (words, ...long) => words.map((w, i) => element('td', w, long.includes(i) ? 'long' : ''));

// The stream.

function listen() {
  const stream = new EventSource('/events?renewals=1');
  stream.onopen = () => link(true);
  stream.onerror = () => link(false);
  stream.onmessage = e => {
    link(true);
    take(JSON.parse(e.data));
  };
  stream.addEventListener('end', () => link(false));
}

function link(live) {
  page.live = live;
  at('link').dataset.tone = live ? 'yes' : 'bad';
  text(at('link'), live ? 'live' : 'no contact with this elector');
}

function take(status) {
  const before = page.status;
  page.status = status;
  page.told = clock();
  if (status.leading && (before === null || before.token !== status.token)) page.full = 1;
  page.full = Math.max(page.full, status.expires_in_ms);
  show();
  if (before !== null && before.seq === status.seq && before.incarnation === status.incarnation && before.leader.token === status.leader.token) return;
  announce(before, status);
  look();
  if (before === null || before.value_revision !== status.value_revision) readValue();
}

function announce(before, status) {
  if (before === null || before.leader.token !== status.leader.token) {
    text(at('news'), status.leader.identity === '' ? 'Nobody is known to lead.' : status.leader.identity + ' leads.');
  }
}

function show() {
  const s = page.status;
  text(at('election'), s.election);
  text(at('self'), s.identity);
  document.title = s.identity + ' · ' + s.election;
  const why = inWords(s.cause);
  text(at('why'), s.ineligible_reason || (why && 'Because ' + why + '.'));
  const lease = s.lease.id === '' ? 'none' : s.lease.ttl_ms / 1000 + ' s without a renewal';
  const rows = [['Fencing token', s.leading ? String(s.token) : 'none'], ['In this state since', when(s.since)], ['Lease', lease],
    ['etcd', s.connected ? 'answers' : 'does not answer'], ['In the queue', s.registered ? 'yes' : 'no']];
  if (s.refusal) rows.push(['Refused', s.refusal]);
  facts(at('facts'), rows);
  text(at('leader-name'), s.leader.identity || (s.connected ? 'Nobody is known to lead' : 'Not known without etcd'));
  facts(at('leader-facts'), s.leader.token === 0 ? [] : [['Fencing token', String(s.leader.token)], ['Seen since', when(s.leader.since)]]);
  offer();
}

// The answer and its bar go by the clock, whatever the stream does.
function tick() {
  const s = page.status;
  if (s !== null) {
    const yes = leads(), over = s.leading && !yes;
    at('now').dataset.tone = yes ? 'yes' : over || s.state === 'fenced' ? 'bad' : s.state === 'follower' ? 'no' : 'wait';
    text(at('answer'), over ? 'Not known: its yes has ended' : Object.hasOwn(phases, s.state) ? phases[s.state] : s.state);
    const part = yes ? left() / page.full : 0;
    at('left').style.transform = 'scaleX(' + part.toFixed(4) + ')';
    const percent = String(Math.round(part * 20) * 5);
    if (at('bar').getAttribute('aria-valuenow') !== percent) at('bar').setAttribute('aria-valuenow', percent);
    at('certain').style.visibility = s.leading ? 'visible' : 'hidden';
    text(at('left-text'), yes ? 'certain for ' + (left() / 1000).toFixed(1) + ' s' : '');
  }
  requestAnimationFrame(tick);
}

// What has to be asked for: on news, and now and then while somebody looks.

async function read(path) {
  const answer = await fetch(path, { cache: 'no-store' });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer;
}

let looking = null;
function look() {
  if (looking === null) looking = setTimeout(async () => {
    looking = null;
    await Promise.allSettled([readQueue(), readTerms(), readWork()]);
  }, 100);
}

async function readQueue() {
  if (page.status.lease.id === '' && page.status.state === 'connecting') return; // there is nobody to ask yet
  try {
    const queue = await (await read('/candidates')).json();
    page.queue = queue.candidates;
    at('queue-rows').replaceChildren(...queue.candidates.map(c => {
      const row = element('tr', undefined, c.self ? 'self' : '');
      const name = c.identity + (c.self ? ' (this one)' : '') + (c.duplicate ? ' — another process has the same name' : '') + (c.incarnation === '' ? ' — no elector' : '');
      row.append(...cells([String(c.position), name, String(c.token), when(c.since), c.version], 1));
      return row;
    }));
    const more = queue.total - queue.candidates.length;
    text(at('queue-note'), more > 0 ? 'and ' + more + ' more' : queue.total === 0 ? 'Nobody stands in the queue.' : '');
  } catch {
    text(at('queue-note'), 'The queue cannot be read from etcd now; what is shown may be old.');
  }
  offer();
}

const shownTerms = 12;

async function readTerms() {
  try {
    const terms = (await (await read('/history')).json()).terms;
    const latest = terms.slice(0, shownTerms);
    drawLanes(latest);
    at('term-rows').replaceChildren(...latest.map(t => {
      const row = element('tr');
      const end = t.to === null ? Date.now() : Date.parse(t.to);
      const length = span(end - Date.parse(t.from)) + (t.to === null ? ' so far' : '');
      row.append(...cells([t.identity, String(t.token), when(t.from), length, t.to === null ? '' : inWords(t.cause) || 'not known here'], 0, 4));
      return row;
    }));
    text(at('terms-note'), terms.length === 0 ? 'No term has been seen yet.' : terms.length > shownTerms ? 'The latest ' + shownTerms + ' of ' + terms.length + '.' : '');
  } catch {
    text(at('terms-note'), 'The terms cannot be read now; what is shown may be old.');
  }
}

function drawLanes(terms) {
  const now = Date.now();
  const start = Math.min(now - 10000, ...terms.map(t => Date.parse(t.from)));
  const names = [...new Set(terms.map(t => t.identity))].sort();
  at('lanes').replaceChildren(...names.map((name, i) => {
    const lane = element('div', undefined, 'lane'), strip = element('div');
    lane.append(element('span', name), strip);
    for (const t of terms) {
      if (t.identity !== name) continue;
      const from = Date.parse(t.from), to = t.to === null ? now : Date.parse(t.to), bar = element('i');
      bar.style.left = 100 * (from - start) / (now - start) + '%';
      bar.style.width = 100 * Math.max(0, to - from) / (now - start) + '%';
      bar.style.background = 'var(--lane-' + i % 6 + ')';
      strip.append(bar);
    }
    return lane;
  }));
}

// The metrics have the checks and the holds. A label's value is quoted as Go quotes.
async function readWork() {
  let lines;
  try {
    lines = (await (await read('/metrics')).text()).split('\n');
  } catch {
    return;
  }
  const items = [];
  for (const line of lines) {
    const check = /^elector_check_up\{(?:.*,)?check="((?:[^"\\]|\\.)*)".*\} (\S+)$/.exec(line);
    if (check) items.push([check[1].replace(/\\(.)/g, (_, c) => c === 'n' ? '\n' : c), check[2] === '1']);
    const holds = /^elector_holds\{.*\} (\S+)$/.exec(line);
    if (holds) items.push([holds[1] === '1' ? '1 worker holds' : holds[1] + ' workers hold', null]);
  }
  at('checks').replaceChildren(...items.map(([name, up]) => {
    const item = element('li');
    if (up === null) {
      item.textContent = name;
      return item;
    }
    item.dataset.tone = up ? 'yes' : 'bad';
    item.append(element('b', up ? 'passes ' : 'fails '), document.createTextNode(name));
    return item;
  }));
}

async function readValue() {
  const box = at('value-text');
  if (page.status.value_revision === 0) {
    box.textContent = '';
    text(at('value-note'), 'Nothing is shared.');
    return;
  }
  try {
    const answer = await read('/value'), bytes = new Uint8Array(await answer.arrayBuffer());
    const shown = new TextDecoder().decode(bytes.subarray(0, 4096));
    box.textContent = shown + (bytes.length > 4096 ? '…' : '');
    text(at('value-note'), bytes.length + ' bytes, ' + answer.headers.get('Content-Type') + ', revision ' + page.status.value_revision);
  } catch {
    box.textContent = '';
    text(at('value-note'), 'Nothing is shared, or it is not known who leads.');
  }
}

// The changes.

const mayWrite = document.body.dataset.writes !== 'no';
const others = () => page.queue.filter(c => !c.self && c.incarnation !== '');

function offer() {
  const s = page.status;
  if (s === null) return;
  const out = s.cause === 'drained' || /^drained/.test(s.ineligible_reason);
  at('resign').disabled = !mayWrite || !s.leading;
  at('transfer').disabled = !mayWrite || !s.leading || others().length === 0;
  at('drain').disabled = !mayWrite || out;
  at('undrain').disabled = !mayWrite || !out;
  let why = '';
  if (!mayWrite) why = 'Nothing can be changed from here: ' + document.body.dataset.why + '.';
  else if (!s.leading) why = 'Only the leader can resign or transfer.';
  else if (others().length === 0) why = 'There is no other elector to transfer to.';
  text(at('acts-why'), why);
}

const acts = {
  resign: { title: 'Resign?', yes: 'Resign', text: () => page.status.identity + ' gives the lead up when its promises have run out, and stands at the end of the queue again.', body: () => ({}) },
  transfer: { title: 'Transfer the lead?', yes: 'Transfer', text: () => page.status.identity + ' passes the lead on when its promises have run out.', body: () => ({ to: at('ask-choice').value }) },
  drain: { title: 'Drain?', yes: 'Drain', text: () => page.status.identity + ' gives the lead up if it has it, and stays out of the election until it is undrained.', body: () => ({ reason: at('ask-reason-text').value }) },
  undrain: { title: 'Undrain?', yes: 'Undrain', text: () => page.status.identity + ' campaigns again.', body: () => ({}) },
};
let asked = null;

function ask(verb) {
  asked = verb;
  const act = acts[verb];
  text(at('ask-title'), act.title);
  text(at('ask-text'), act.text());
  text(at('ask-yes'), act.yes);
  at('ask-to').hidden = verb !== 'transfer';
  at('ask-reason').hidden = verb !== 'drain';
  at('ask-token').hidden = document.body.dataset.writes !== 'token';
  at('ask-choice').replaceChildren(...others().map(c => {
    const option = element('option', c.identity);
    option.value = c.identity;
    return option;
  }));
  at('ask').showModal();
}

async function act() {
  const verb = asked;
  at('ask').close();
  const headers = { 'Content-Type': 'application/json' };
  if (document.body.dataset.writes === 'token') headers.Authorization = 'Bearer ' + at('ask-bearer').value;
  text(at('acted'), acts[verb].yes + ': asked.');
  try {
    const answer = await fetch('/' + verb, { method: 'POST', headers, body: JSON.stringify(acts[verb].body()) });
    const said = await answer.json();
    text(at('acted'), answer.ok ? acts[verb].yes + ': done.' : 'Refused: ' + said.error + '. ' + said.hint + '.');
  } catch {
    text(at('acted'), acts[verb].yes + ': no answer; see what the state says.');
  }
  look();
}

for (const verb of Object.keys(acts)) at(verb).addEventListener('click', () => ask(verb));
at('ask-no').addEventListener('click', () => at('ask').close());
at('ask-form').addEventListener('submit', e => {
  e.preventDefault();
  act();
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
setInterval(() => { if (!document.hidden && page.live) look(); }, 5000);
listen();
requestAnimationFrame(tick);
