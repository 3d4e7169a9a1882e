#!/usr/bin/env node
// A worker in Node: it acts only while the elector beside it leads, and sends the token with every effect.
//
//   worker.mjs http://127.0.0.1:4040 journal
import { appendFileSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const [elector, journal] = process.argv.slice(2);

// Node's clocks stand still while the host is suspended. The time since boot does not; the kernel cuts it to
// hundredths of a second, so it may be that much later than it says.
const CUT = 10;
const bootClock = () => Math.round(parseFloat(readFileSync("/proc/uptime", "utf8")) * 1000);

// act does a piece of work that ends before until. Whoever stores its effect refuses smaller tokens.
function act(token, until) {
  const now = bootClock();
  if (now + CUT < until) appendFileSync(journal, `${now} ${token} node\n`);
}

for (;;) {
  const asked = bootClock(); // the yes counts from before the request
  try {
    const reply = await fetch(elector + "/leader", { signal: AbortSignal.timeout(1000) });
    const yes = await reply.json();
    if (reply.status === 200) act(yes.token, asked + yes.expires_in_ms);
  } catch {
    // no answer is a no
  }
  await sleep(20);
}
