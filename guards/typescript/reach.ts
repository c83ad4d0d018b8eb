// How a feed reaches its server. An attempt at an address whose host is gone is never
// answered, and the next one may reach the new host; TLS with a busy server takes seconds.
// So an attempt is given up soon for another, and a patient one stands beside those.

const FIRST = 500, NEXT = 1000; // ms of the first attempt, and of each that follows
const PATIENT = 10_000; // ms of the attempt beside these

// The WebSocket of Node does not say which.
const UNSAID = "no answer at the address, or the server refused the credential";

/** An attempt was not answered in time. */
export class LateError extends Error {}

export type Closable = { close(): void };
/** Makes a connection; gives it up when the signal says so, with the signal's reason. */
export type Dial<Socket> = (signal: AbortSignal) => Promise<Socket>;

/**
 * Give the connection of the first attempt that is answered.
 *
 * It throws what the first attempt that failed otherwise threw, a `LateError` where none was
 * answered for as long as the patient one may take, and the reason of `over` after it.
 */
export async function reach<Socket extends Closable>(
  dial: Dial<Socket>, over: AbortSignal,
): Promise<Socket> {
  try {
    return await within(FIRST, dial, over);
  } catch (error) {
    if (!(error instanceof LateError)) throw error;
  }
  const others = new AbortController();
  const stop = () => others.abort(over.reason);
  over.addEventListener("abort", stop);
  if (over.aborted) stop();
  const attempt = async (length: number) => {
    const socket = await within(length, dial, others.signal);
    if (others.signal.aborted) { // another one was answered at the same moment
      socket.close();
      throw others.signal.reason;
    }
    others.abort(new Error("another attempt was answered"));
    return socket;
  };
  const quick = async (): Promise<Socket> => {
    for (;;)
      try {
        return await attempt(NEXT);
      } catch (error) {
        if (!(error instanceof LateError) || others.signal.aborted) throw error;
      }
  };
  const first = (attempted: Promise<Socket>) =>
    attempted.finally(() => others.abort(new Error("another attempt failed")));
  try {
    return await Promise.race([first(attempt(PATIENT)), first(quick())]);
  } finally {
    over.removeEventListener("abort", stop);
  }
}

async function within<Socket>(
  length: number, dial: Dial<Socket>, over: AbortSignal,
): Promise<Socket> {
  over.throwIfAborted();
  const attempt = new AbortController();
  const late = setTimeout(() => attempt.abort(new LateError("not answered")), length);
  const stop = () => attempt.abort(over.reason);
  over.addEventListener("abort", stop);
  try {
    return await dial(attempt.signal);
  } finally {
    clearTimeout(late);
    over.removeEventListener("abort", stop);
  }
}

/** Make what dials a server's feed, over the WebSocket of Node. */
export function dialling(url: string, credential: string): Dial<WebSocket> {
  const feed = `${url.replace(/^http/, "ws").replace(/\/$/, "")}/v1/feed`;
  // Node takes headers here, browsers do not.
  const options: any = { headers: { Authorization: `Bearer ${credential}` } };
  return (signal) => new Promise((take, fail) => {
    const socket = new WebSocket(feed, options);
    socket.binaryType = "arraybuffer";
    const end = (act: () => void) => {
      socket.onopen = socket.onerror = socket.onclose = null;
      signal.removeEventListener("abort", stop);
      act();
    };
    const stop = () => end(() => {
      socket.onerror = () => {}; // that it was given up
      socket.close();
      fail(signal.reason);
    });
    signal.addEventListener("abort", stop);
    socket.onopen = () => end(() => take(socket));
    socket.onerror = (event: any) => end(() => fail(new Error(event.message || UNSAID)));
    socket.onclose = ({ code }) => end(() => fail(new Error(`closed with ${code}`)));
  });
}
