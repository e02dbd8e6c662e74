/** Every NATS subject and bucket of the mesh, so that permissions can be written from one file. */

export const telemetrySubject = (mesh: string, node: string): string => `millrace.${mesh}.telemetry.${node}`
export const allTelemetry = (mesh: string): string => telemetrySubject(mesh, '*')
/** What an agent is asked to do now, by request and reply. */
export const commandSubject = (mesh: string, node: string): string => `millrace.${mesh}.command.${node}`
export const allCommands = (mesh: string): string => commandSubject(mesh, '*')
/** A control plane asks every agent for a full report, or only tells how large the fleet is. */
export const rollCall = (mesh: string): string => `millrace.${mesh}.roll-call`
/** What a proxy told its control plane, for the others. A proxy's name may have letters that a subject may not: the message says who it is. */
export const outcomesSubject = (mesh: string, proxyId: string): string =>
  `millrace.${mesh}.outcomes.${proxyId.replace(/[^A-Za-z0-9_-]/g, '_')}`
export const allOutcomes = (mesh: string): string => `millrace.${mesh}.outcomes.*`
/** JetStream KV bucket of durable intent; keys are `node.<node id>`. */
export const intentBucket = (mesh: string): string => `millrace-${mesh}-intent`
export const nodeIntentKey = (node: string): string => `node.${node}`
/** Where answers to a node's own requests come in; nobody else may listen there. */
export const nodeInbox = (mesh: string, node: string): string => `_INBOX_millrace.${mesh}.node.${node}`
export const controlPlaneInbox = (mesh: string): string => `_INBOX_millrace.${mesh}.control-plane`
