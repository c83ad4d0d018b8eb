// Middleware: requests that are denied, and responses that are cut.
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { Presented, Verdict } from "./guard.ts";
import type { LiveGuard } from "./live.ts";

type Incoming = IncomingMessage | Http2ServerRequest;
type Outgoing = ServerResponse | Http2ServerResponse;

/** What a request presents, after its signature was verified; null: no credential. */
export type Presents<Request> = (
  request: Request,
) => Presented | null | Promise<Presented | null>;
export type HttpOptions<Request> = {
  /** The scope that a request asks for. */
  scope?: (request: Request) => string | null;
  /** Responses that take longer than a lease go on after a revocation. */
  checkOnly?: boolean;
};

/** The reason of the signal of a request whose credential died. */
export class DeniedError extends Error {
  readonly verdict: Verdict;
  constructor(verdict: Verdict) {
    super(`denied: ${verdict.reason}`);
    this.verdict = verdict;
  }
}

const signals = new WeakMap<object, AbortSignal>();

/** The signal that is aborted when the credential of a watched request dies. */
export const signalOf = (request: object): AbortSignal | undefined => signals.get(request);

/** Middleware for Express, and for `node:http` with a function in place of `next`. */
export function protect<Request extends Incoming = IncomingMessage>(
  guard: LiveGuard, presents: Presents<Request>, options: HttpOptions<Request> = {},
) {
  return async (request: Request, response: Outgoing, next: (error?: unknown) => void) => {
    let refused: Refusal | null;
    try {
      refused = await admit(guard, presents, options, request, response);
    } catch (error) {
      return next(error);
    }
    if (refused === null) return next();
    response.writeHead(refused.status, refused.headers);
    response.end(refused.body);
  };
}

// What is used of Fastify's own types.
type FastifyReply = {
  raw: Outgoing;
  code(status: number): any; headers(values: Record<string, string>): any; send(body: string): any;
};

/** A hook for Fastify: `app.addHook("onRequest", protectFastify(guard, presents))`. */
export function protectFastify<Request extends object>(
  guard: LiveGuard, presents: Presents<Request>, options: HttpOptions<Request> = {},
) {
  return async (request: Request, reply: FastifyReply): Promise<unknown> => {
    const refused = await admit(guard, presents, options, request, reply.raw);
    if (refused === null) return;
    reply.code(refused.status);
    reply.headers(refused.headers);
    return reply.send(refused.body);
  };
}

async function admit<Request extends object>(
  guard: LiveGuard, presents: Presents<Request>, options: HttpOptions<Request>,
  request: Request, response: Outgoing,
): Promise<Refusal | null> {
  const presented = await presents(request);
  if (presented === null) return refusal(null);
  const scope = options.scope?.(request) ?? null;
  const verdict = guard.check(presented, scope);
  if (!verdict.allowed) return refusal(verdict);
  if (options.checkOnly) return null;
  const dying = new AbortController();
  signals.set(request, dying.signal);
  const over = guard.onDeny(presented, (denial) => {
    dying.abort(new DeniedError(denial));
    cut(response);
  }, scope);
  response.once("close", over);
  if (gone(response)) over(); // while the credential was verified
  return null;
}

const gone = (response: Outgoing): boolean =>
  "stream" in response ? response.stream.destroyed : response.closed || response.destroyed;

// Cut and not finished: a client could take a part of the data for all of it.
function cut(response: Outgoing): void {
  if ("stream" in response) response.stream.close(constants.NGHTTP2_CANCEL);
  else response.destroy();
}

type Refusal = { status: number; headers: Record<string, string>; body: string };

// 403 where the credential is good but does not reach far enough, or the guard cannot prove
// anything now; 401 otherwise, so that its holder fetches another (RFC 9110 section 15.5).
const FORBIDDEN = new Set(["narrowed", "scope", "no_lease", "not_caught_up"]);

/** The answer to a request that is not served: a problem document (RFC 9457). */
function refusal(verdict: Verdict | null): Refusal {
  const reason = verdict?.reason ?? "no_credential";
  const status = FORBIDDEN.has(reason) ? 403 : 401;
  const headers: Record<string, string> = {
    "content-type": "application/problem+json", "cache-control": "no-store" };
  if (status === 401)
    headers["www-authenticate"] = verdict ? 'Bearer error="invalid_token"' : "Bearer";
  const body = { type: "about:blank", title: STATUS_CODES[status], status, reason };
  return { status, headers, body: JSON.stringify(body) };
}
