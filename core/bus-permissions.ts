/**
 * What each user of the bus may do, and nothing else: a node speaks as itself only and hears only what is meant for it; durable state belongs to
 * control planes. Proxies do not use the bus.
 */
import {
  allCommands,
  allOutcomes,
  allTelemetry,
  commandSubject,
  controlPlaneInbox,
  intentBucket,
  nodeInbox,
  rollCall,
  telemetrySubject,
} from './subjects.ts'

export type BusPermissions = {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
  /** May answer a request that it was sent, wherever the answer goes. */
  readonly answers: boolean
}

export const nodePermissions = (mesh: string, node: string): BusPermissions => ({
  publish: [telemetrySubject(mesh, node)],
  subscribe: [rollCall(mesh), commandSubject(mesh, node), `${nodeInbox(mesh, node)}.>`],
  answers: true,
})

/** One for all control planes of a mesh: each hears everything, tells the others what its proxies saw, and keeps its intents in the mesh's own bucket, no other's. */
export const controlPlanePermissions = (mesh: string): BusPermissions => ({
  publish: [rollCall(mesh), allCommands(mesh), allOutcomes(mesh), '$JS.API.INFO', ...bucketWrites(intentBucket(mesh))],
  subscribe: [allTelemetry(mesh), allOutcomes(mesh), `${controlPlaneInbox(mesh)}.>`],
  answers: false,
})

/** The subjects by which JetStream serves one key-value bucket: its stream, ordered consumers for watches, direct reads, flow control, puts. */
function bucketWrites(bucket: string): string[] {
  const stream = `KV_${bucket}`
  return [
    ...['STREAM.CREATE', 'STREAM.UPDATE', 'STREAM.INFO', 'STREAM.MSG.GET', 'DIRECT.GET'].map((what) => `$JS.API.${what}.${stream}`),
    ...['DIRECT.GET', 'CONSUMER.CREATE', 'CONSUMER.INFO', 'CONSUMER.DELETE'].map((what) => `$JS.API.${what}.${stream}.>`),
    `$JS.API.CONSUMER.CREATE.${stream}`,
    `$JS.FC.${stream}.>`,
    `$KV.${bucket}.>`,
  ]
}
