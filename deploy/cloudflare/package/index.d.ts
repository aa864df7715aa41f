/**
 * A waiting-room connector for Cloudflare Workers.
 *
 * Types of the platform (`Request`, `Response`) are those of your project, whichever it has: `wrangler types`,
 * `@cloudflare/workers-types`, or TypeScript's own.
 */

/** What is bound to the Worker. Everything may be missing: what then becomes of requests, `VELVETROPE_ON_FAILURE` says. */
export interface Env {
  /** The namespace with the configuration: Queue-it's integrations, and what `velvetrope publish` writes. */
  IntegrationConfigKV?: ConfigurationStore | undefined;
  /** Where decisions are counted, and how often each bypass rule let a request pass; the class is `DecisionCounter`. */
  DECISIONS?: CounterNamespace | undefined;
  /** Your account at Queue-it. This and both keys may be entries of the namespace instead. */
  QUEUEIT_CUSTOMERID?: string | undefined;
  /** What tokens and sessions are signed with. A secret. */
  QUEUEIT_SECRETKEY?: string | undefined;
  /** Another key that is accepted, while keys are changed. A secret. */
  QUEUEIT_SECRETKEY_PREVIOUS?: string | undefined;
  /** `open` (default) lets visitors pass while no configuration can be read, `closed` answers 503. */
  VELVETROPE_ON_FAILURE?: string | undefined;
  /** `true` accepts sessions that another connector has written. */
  VELVETROPE_SHARED_SESSIONS?: string | undefined;
  /** How old the configuration may get before it is read again, in seconds from 1 to 86,400; 60 by default. */
  VELVETROPE_REFRESH_SECONDS?: string | undefined;
  /** For how many seconds counts are collected before they are sent. Without it nothing is counted. */
  VELVETROPE_COUNT_SECONDS?: string | undefined;
  /** By which name counts are kept; `site` by default. */
  VELVETROPE_ZONE?: string | undefined;
  /** Opens `/__velvetrope/decisions`. A secret. Without it that address belongs to your site. */
  VELVETROPE_ADMIN_TOKEN?: string | undefined;
}

/** What is asked of the namespace; a `KVNamespace` does it. */
export interface ConfigurationStore {
  get(key: string): Promise<string | null>;
  get(key: string, type: "arrayBuffer"): Promise<ArrayBuffer | null>;
  put(key: string, value: string | ArrayBuffer | ArrayBufferView, options?: { expirationTtl?: number }): Promise<void>;
}

/** What is asked of the counter's namespace; a `DurableObjectNamespace` does it. */
export interface CounterNamespace {
  idFromName(name: string): object;
  get(id: never): object;
}

/** What is asked of the platform while a request is answered; an `ExecutionContext` does it, and what Pages gives. */
export interface Context {
  waitUntil(promise: Promise<unknown>): void;
}

/**
 * What was decided, in a word for logs and metrics.
 *
 * Goes on: `pass` (nothing is waited for there), `bypass` (a rule let it pass), `ignore`, `session`, `token` (a new
 * session), `direct-pass`, `failed-open`, `preflight`. Is answered: `queue`, `cancel`, `error` (a token or session that is refused),
 * `debug`, `no-cookie` (the page for whose browser keeps none), `refused` (malformed), `loop` (it came back to the Worker),
 * `failed-closed`, `push` (a configuration), `decisions` (what was counted). `preflight` may be either. Later versions may have more.
 */
export type Decision =
  | "pass" | "bypass" | "ignore" | "session" | "token" | "direct-pass" | "failed-open" | "preflight"
  | "queue" | "cancel" | "error" | "debug" | "no-cookie" | "refused" | "loop" | "failed-closed" | "push" | "decisions"
  | (string & {});

/** The visitor has an answer already. Nobody else is to be asked, and nothing else is to be sent. */
export interface Answered {
  readonly decision: Decision;
  /** To the waiting room, or whatever else the visitor gets in place of the site. */
  readonly answer: Response;
  readonly request?: undefined;
  readonly finish?: undefined;
}

/** The visitor may pass. */
export interface Admitted {
  readonly decision: Decision;
  readonly answer?: undefined;
  /**
   * What to ask whatever stands behind the rope, in place of the request that came in: headers that a visitor could have
   * forged are gone, `x-velvetrope-verdict` is set, and redirects are not followed.
   */
  readonly request: Request;
  /**
   * What the visitor gets: the site's response with the session's cookies, and not to be cached where it is this
   * visitor's alone. Once, and for every response: without it the visitor would wait again.
   */
  finish(response: Response): Response;
}

/**
 * Decides about one request, and asks nobody else.
 *
 * ```js
 * const visit = await admit(request, env, ctx);
 * if (visit.answer) return visit.answer;
 * return visit.finish(await fetch(visit.request));
 * ```
 */
export function admit(request: Request, env: Env, ctx: Context): Admitted | Answered | Promise<Admitted | Answered>;

/** Answers one request, or passes it on to where its URL leads: `admit`, `fetch` and `finish` in one. */
export function handle(request: Request, env: Env, ctx: Context): Promise<Response>;

/** The Durable Object that counts. Export it from your Worker if `DECISIONS` is bound. */
export class DecisionCounter {
  /** By which the platform's types know a Durable Object. */
  readonly __DURABLE_OBJECT_BRAND: never;
  constructor(state: object, env: object);
  fetch(request: Request): Promise<Response>;
}

/** The Worker as it is, for whom it is enough. */
declare const worker: { fetch: typeof handle };
export default worker;
