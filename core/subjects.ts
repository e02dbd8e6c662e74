/** Every NATS subject and bucket of the mesh, so that permissions can be written from one file. */

export const telemetrySubject = (mesh: string, node: string): string => `millrace.${mesh}.telemetry.${node}`
export const allTelemetry = (mesh: string): string => `millrace.${mesh}.telemetry.*`
/** A control plane that knows nothing yet asks every agent for a full report. The message is empty. */
export const rollCall = (mesh: string): string => `millrace.${mesh}.roll-call`
/** JetStream KV bucket of durable intent; keys are `node.<node id>`. */
export const intentBucket = (mesh: string): string => `millrace-${mesh}-intent`
export const nodeIntentKey = (node: string): string => `node.${node}`
