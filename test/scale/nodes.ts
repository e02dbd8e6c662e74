/** A process that speaks for many nodes: two reports a second of each over one socket to NATS, most of them heartbeats. */
import { EndpointHealth } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { machineNow, obey } from './helper.ts'
import { NatsPen } from './nats-pen.ts'
import { NodeSpeech, nodeName, REPORT_PERIOD_MS, WATCHED_NODE } from './node-speech.ts'

export type NodesPlan = {
  readonly nats: string
  readonly from: number
  readonly to: number
  /** Of these nodes the first so many tell a load that moves, with GPUs that changed, in each report. */
  readonly moving: number
  /** Changes of state in a second, one node after the other: it fails, and a second later it answers again. */
  readonly flapsPerSecond: number
  /** Where something listens for the first server of the watched node; absent: nowhere, as for all others. */
  readonly watchedPort?: number
}

export type NodesCommand =
  | { readonly kind: 'fail' | 'recover'; readonly at: number }
  | { readonly kind: 'fail-all' }
  /** These say nothing any more. */
  | { readonly kind: 'silence'; readonly from: number; readonly to: number }

export type NodesNotice =
  /** Every node has given its first full report. */
  | { readonly kind: 'speaking' }
  /** When the report went into the socket; of all nodes, when the last did. */
  | { readonly kind: 'told'; readonly node: string; readonly at: number }

const SLOT_MS = 10
const SLOTS = REPORT_PERIOD_MS / SLOT_MS
const REPORTS_PER_FULL = 20
const FLAP_MS = 1_000
/** Deep enough that each step of it passes the deadband. */
const QUEUE_STEP = 5
const QUEUE_STEPS = 12

obey<NodesPlan, NodesCommand, NodesNotice>(async (plan, tell) => {
  const pen = await NatsPen.open(plan.nats)
  const count = plan.to - plan.from
  const speeches = Array.from({ length: count }, (_, at) =>
    plan.from + at === WATCHED_NODE ? new NodeSpeech('default', WATCHED_NODE, plan.watchedPort) : new NodeSpeech('default', plan.from + at),
  )
  const silent = new Set<number>()
  const speechOf = (at: number): NodeSpeech => speeches[at] as NodeSpeech
  const begun = machineNow()
  let slot = 0
  let spoken = false

  const report = (at: number, round: number): Buffer => {
    const speech = speechOf(at)
    const queue = at < plan.moving ? QUEUE_STEP * (1 + ((round + at) % QUEUE_STEPS)) : QUEUE_STEP
    if (round === 0 || (round + at) % REPORTS_PER_FULL === 0) return speech.whole(true, queue)
    return at < plan.moving ? speech.whole(false, queue) : speech.beat()
  }
  const speak = (): void => {
    const due = Math.floor((machineNow() - begun) / SLOT_MS)
    const said: Buffer[] = []
    for (; slot < due; slot++)
      // A node speaks once in a write: its bytes are written over for its next report.
      for (let at = slot % SLOTS; at < count; at += SLOTS) if (!silent.has(at)) said.push(Buffer.from(report(at, Math.floor(slot / SLOTS))))
    if (said.length > 0) pen.write(Buffer.concat(said))
    if (spoken || slot < SLOTS) return
    spoken = true
    tell({ kind: 'speaking' })
  }
  const sayHealth = (at: number, health: EndpointHealth): void => {
    speechOf(at).setHealth(health)
    pen.write(Buffer.from(speechOf(at).whole(false, QUEUE_STEP)))
  }
  setInterval(speak, SLOT_MS)
  if (plan.flapsPerSecond > 0) {
    let flapping = 0
    setInterval(() => {
      const at = plan.moving + (flapping++ % (count - plan.moving))
      sayHealth(at, EndpointHealth.ENDPOINT_HEALTH_FAILED)
      setTimeout(() => sayHealth(at, EndpointHealth.ENDPOINT_HEALTH_READY), FLAP_MS)
    }, 1_000 / plan.flapsPerSecond)
  }
  return (command) => {
    switch (command.kind) {
      case 'fail':
      case 'recover': {
        const at = command.at - plan.from
        const now = machineNow()
        sayHealth(at, command.kind === 'fail' ? EndpointHealth.ENDPOINT_HEALTH_FAILED : EndpointHealth.ENDPOINT_HEALTH_READY)
        tell({ kind: 'told', node: nodeName(command.at), at: now })
        return
      }
      case 'fail-all': {
        for (const speech of speeches) speech.setHealth(EndpointHealth.ENDPOINT_HEALTH_FAILED)
        const now = machineNow()
        pen.write(Buffer.concat(speeches.map((speech) => Buffer.from(speech.whole(false, QUEUE_STEP)))))
        tell({ kind: 'told', node: '*', at: now })
        return
      }
      case 'silence':
        for (let at = command.from; at < command.to; at++) silent.add(at - plan.from)
        return
      default:
        command satisfies never
    }
  }
})
