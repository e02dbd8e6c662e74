/** Names that cross planes, and what they may look like. A node id becomes a NATS subject token, so its letters are few. */

const NODE_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/
const MESH_NAME = /^[a-z][a-z0-9-]{0,30}$/

/** An endpoint's id stands in response headers and metric labels. */
const ENDPOINT_ID = /^[!-~]{1,128}$/

export const isEndpointId = (text: string): boolean => ENDPOINT_ID.test(text)
export const isNodeId = (text: string): boolean => NODE_ID.test(text)
export const isMeshName = (text: string): boolean => MESH_NAME.test(text)

/** `<node>/<name>`: unique in the mesh. */
export const endpointId = (node: string, name: string): string => `${node}/${name}`
