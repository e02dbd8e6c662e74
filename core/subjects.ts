/** Every NATS subject and bucket of the mesh, so that permissions can be written from one file. */

export const telemetrySubject = (mesh: string, node: string): string => `millrace.${mesh}.telemetry.${node}`
export const allTelemetry = (mesh: string): string => telemetrySubject(mesh, '*')
/** What an agent is asked to do now, by request and reply. */
export const commandSubject = (mesh: string, node: string): string => `millrace.${mesh}.command.${node}`
export const allCommands = (mesh: string): string => commandSubject(mesh, '*')
/** A control plane asks every agent for a full report, or only tells how large the fleet is. */
export const rollCall = (mesh: string): string => `millrace.${mesh}.roll-call`
/** JetStream KV bucket of durable intent; keys are `node.<node id>`. */
export const intentBucket = (mesh: string): string => `millrace-${mesh}-intent`
export const nodeIntentKey = (node: string): string => `node.${node}`
/** Where answers to a node's own requests come in; nobody else may listen there. */
export const nodeInbox = (mesh: string, node: string): string => `_INBOX_millrace.${mesh}.node.${node}`
export const controlPlaneInbox = (mesh: string): string => `_INBOX_millrace.${mesh}.control-plane`
