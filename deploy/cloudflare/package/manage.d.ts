/** The Worker that manages rooms, bypass rules and lists, with an API and a dashboard. It stands beside the one that decides. */

/** What is bound to it. */
export interface Env {
  /** All that is managed; the class is `PolicyStore`. */
  STORE: StoreNamespace;
  /** The namespace of the Worker that decides. */
  IntegrationConfigKV: ManagedStore;
  /** The counter of the Worker that decides: how often each bypass rule let a request pass. */
  DECISIONS?: StoreNamespace | undefined;
  /** Your account at Queue-it, where the namespace holds no policy that names it. */
  QUEUEIT_CUSTOMERID?: string | undefined;
  /** What the policy is called in the API; `site` by default. */
  VELVETROPE_ZONE?: string | undefined;
  /** Opens everything. A secret. Without it nobody may do anything. */
  VELVETROPE_ADMIN_TOKEN?: string | undefined;
}

/** What is asked of the namespace; a `KVNamespace` does it. */
export interface ManagedStore {
  get(key: string): Promise<string | null>;
  put(
    key: string,
    value: string | ArrayBuffer | ArrayBufferView,
    options?: { expirationTtl?: number; metadata?: unknown },
  ): Promise<void>;
}

/** What is asked of a Durable Object's namespace; a `DurableObjectNamespace` does it. */
export interface StoreNamespace {
  idFromName(name: string): object;
  get(id: never): object;
}

/** The Durable Object that is managed in. Export it from your Worker. */
export class PolicyStore {
  /** By which the platform's types know a Durable Object. */
  readonly __DURABLE_OBJECT_BRAND: never;
  constructor(state: object, env: object);
  fetch(request: Request): Promise<Response>;
}

declare const worker: { fetch(request: Request, env: Env): Promise<Response> };
export default worker;
