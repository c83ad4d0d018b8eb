// The connection: keep a guard fed by a Rescind server, over the WebSocket of Node.
import { readFileSync } from "node:fs";
import { Guard } from "./guard.ts";

const TICK = 10_000_000n; // the resolution of /proc/uptime, ns
const LONGEST_PAUSE = 2000; // ms
const SILENCE = 5000; // ms; a connection without a frame for so long is dead

// Linux counts sleep there, which process.hrtime does not: a machine that wakes up has no
// lease. Elsewhere take a clock that goes on in sleep, and that nobody can set.
const uptime = () => {
  const [seconds] = readFileSync("/proc/uptime", "utf8").split(" ");
  return BigInt(Math.round(Number(seconds) * 100)) * TICK;
};
const wall = () => BigInt(Date.now()) * 1_000_000n;

/** Give a guard that feeds itself until the program ends; lease in ms. */
export function guardOf(url: string, credential: string, lease = 1000): Guard {
  // A lease shorter by a tick, since a clock reading may be so much too low.
  const guard = new Guard(BigInt(lease) * 1_000_000n - TICK, uptime, wall);
  let failures = 0;

  function connect(): void {
    // Node takes headers here, browsers do not.
    const options: any = { headers: { Authorization: `Bearer ${credential}` } };
    const socket = new WebSocket(`${url.replace(/^http/, "ws").replace(/\/$/, "")}/v1/feed`, options);
    socket.binaryType = "arraybuffer";
    let heard = performance.now();
    const ping = () => socket.send(JSON.stringify(guard.ping()));
    const timer = setInterval(() => {
      if (performance.now() - heard > SILENCE) lost();
      else if (socket.readyState === WebSocket.OPEN) ping();
    }, lease / 4);
    function lost(): void {
      clearInterval(timer);
      socket.onmessage = socket.onclose = null; // what is still under way comes too late
      socket.close();
      // A random pause, so that a thousand guards do not come back at the same moment.
      setTimeout(connect, Math.random() * Math.min(LONGEST_PAUSE, 50 * 2 ** failures++));
    }
    socket.onopen = () => {
      socket.send(JSON.stringify(guard.hello()));
      ping();
    };
    socket.onmessage = ({ data }) => {
      heard = performance.now();
      try {
        guard.receive(typeof data === "string" ? data : new Uint8Array(data));
        failures = 0;
      } catch (error) {
        console.error(`feed: ${error}`);
        lost();
      }
    };
    socket.onclose = lost;
  }
  connect();
  return guard;
}
