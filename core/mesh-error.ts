/**
 * Every reason for which Millrace refuses or fails a request, once. A decision answers a reason; the door that the request came
 * in by turns it into a status, once. `retry` tells the caller's side: `elsewhere` means that this very request may be tried on another endpoint now.
 */

export type Refusal = { readonly grpc: number; readonly retry: 'never' | 'later' | 'elsewhere' }

export const REFUSALS = {
  'unknown-method': { grpc: 12, retry: 'never' },
  'method-off': { grpc: 7, retry: 'never' },
  'not-grpc': { grpc: 3, retry: 'never' },
  'illegal-timeout': { grpc: 13, retry: 'never' },
  'illegal-message': { grpc: 3, retry: 'never' },
  'model-changed': { grpc: 3, retry: 'never' },
  'model-missing': { grpc: 3, retry: 'never' },
  /** Open at once on one client stream. */
  'too-many-requests': { grpc: 8, retry: 'later' },
  /** It would have to go on under another name, and is too large to be held for that. */
  'compressed-alias': { grpc: 8, retry: 'never' },
  'encoding-unknown': { grpc: 12, retry: 'never' },
  'scan-budget': { grpc: 8, retry: 'never' },
  'first-message-timeout': { grpc: 4, retry: 'later' },
  'head-too-large': { grpc: 8, retry: 'never' },
  /** As many calls to the proxy's own services as one worker holds. */
  'own-calls-full': { grpc: 8, retry: 'later' },
  'unknown-model': { grpc: 5, retry: 'never' },
  /** All who serve the model speak something else than what was asked. */
  'other-protocol': { grpc: 12, retry: 'never' },
  'no-ready-endpoint': { grpc: 14, retry: 'later' },
  /** The one endpoint that its session or sequence is pinned to is there and did not take it. */
  'owner-unavailable': { grpc: 14, retry: 'later' },
  /** As many requests of a model wait as may. */
  'queue-full': { grpc: 8, retry: 'later' },
  /** The same, and its tenant has more waiting than others. */
  'over-share': { grpc: 8, retry: 'later' },
  /** It waited, and gave way to one of a higher priority. */
  shed: { grpc: 8, retry: 'later' },
  /** It waited for as long as its model lets requests wait. */
  'queue-timeout': { grpc: 8, retry: 'later' },
  /** It could not be answered before its deadline any more, and was not tried. */
  'deadline-unmeetable': { grpc: 4, retry: 'never' },
  'upstream-unreachable': { grpc: 14, retry: 'elsewhere' },
  'upstream-lost': { grpc: 14, retry: 'elsewhere' },
  'upstream-refused': { grpc: 14, retry: 'elsewhere' },
  /** Reset, or against the protocol, before an answer began. */
  'upstream-broken': { grpc: 14, retry: 'elsewhere' },
  /** A live server that is full. */
  'upstream-overloaded': { grpc: 14, retry: 'elsewhere' },
  /** Longer than the model's row allows. The caller's own deadline is another reason. */
  'upstream-slow': { grpc: 14, retry: 'elsewhere' },
  /** An answer that is not gRPC; its HTTP status, when it tells more, decides the code. */
  'upstream-no-status': { grpc: 2, retry: 'later' },
  deadline: { grpc: 4, retry: 'never' },
} as const satisfies Record<string, Refusal>

export type Reason = keyof typeof REFUSALS
