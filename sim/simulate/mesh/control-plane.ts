/** The control plane of the simulation: the product's own loop on virtual time, between nodes and proxies. Answers of proxies come back at once. */
import { type Event, step } from '../../../control-plane/control-loop.ts'
import { isMalformed, parseReport } from '../../../control-plane/fleet/parse-report.ts'
import { initialState } from '../../../control-plane/state.ts'
import { type Millis, unixMillis } from '../../../core/units.ts'
import { ConnectResponse, Hello } from '../../../proto/gen/millrace/mesh/v1/mesh.ts'
import { NodeReport } from '../../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { SimProxy } from './proxy.ts'

export class SimControlPlane {
  readonly #state = initialState(0 as Millis)
  readonly #proxies: readonly SimProxy[]
  /** Whether something at the address takes connections. */
  readonly #answers: (endpoint: string) => boolean

  constructor(proxies: readonly SimProxy[], answers: (endpoint: string) => boolean, now: Millis) {
    this.#proxies = proxies
    this.#answers = answers
    this.#do({ kind: 'link', link: 'up' }, now)
    this.#do({ kind: 'intents-known' }, now)
    for (const stream of proxies.keys()) {
      const hello = Hello.fromPartial({ proxyId: `proxy-${stream + 1}`, zone: 'z1' })
      this.#do({ kind: 'proxy-hello', stream, hello }, now)
    }
  }

  /** Reports come in by the door that those of real agents pass. */
  hear(said: NodeReport, now: Millis): void {
    const report = parseReport(NodeReport.encode(said).finish(), said.nodeId)
    if (isMalformed(report)) throw new Error(`${report.malformed}: ${report.detail}`)
    this.#do({ kind: 'report', report, wall: unixMillis(now) }, now)
  }

  /** What each proxy holds, and how its attempts ended. */
  hearProxies(now: Millis): void {
    for (const [stream, proxy] of this.#proxies.entries())
      this.#do({ kind: 'proxy-report', stream, report: { endpoints: proxy.takeOutcomes() } }, now)
  }

  tick(now: Millis): void {
    for (const effect of step(this.#state, { kind: 'tick' }, now)) {
      if (effect.kind === 'push') this.#push(effect.push.streams, effect.push.bytes, now)
      if (effect.kind !== 'ask') continue
      const { endpoint, address } = effect
      const connection = this.#answers(endpoint) ? ({ open: true } as const) : ({ open: false, reason: 'connection refused' } as const)
      this.#do({ kind: 'asked', endpoint, address, connection }, now)
    }
  }

  #push(streams: readonly number[], bytes: Uint8Array, now: Millis): void {
    const { message } = ConnectResponse.decode(bytes)
    if (message?.$case !== 'endpoints') return
    for (const stream of streams) {
      this.#proxies[stream]?.take(message.value, now)
      if (message.value.nonce !== '') this.#do({ kind: 'proxy-ack', stream, nonce: message.value.nonce }, now)
    }
  }

  #do(event: Event, now: Millis): void {
    step(this.#state, event, now)
  }
}
