/** A name server on loopback that answers what a test says, over UDP (RFC 1035): enough for queries of one name's IPv4 addresses. */
import { createSocket } from 'node:dgram'

export type TestNameServer = {
  /** host:port. */
  readonly address: string
  /** What every name stands for from now on; nothing makes it fail. */
  answers: readonly string[]
  readonly asked: () => number
  stop(): void
}

const HEAD_BYTES = 12
const TYPE_A = 1
const CLASS_IN = 1
const RESPONSE = 0x8180
const SERVER_FAILURE = 2
/** The answer's name is the question's. */
const NAME_OF_QUESTION = 0xc00c

export async function startNameServer(ttlS: number, answers: readonly string[]): Promise<TestNameServer> {
  const socket = createSocket('udp4')
  let asked = 0
  const server: { answers: readonly string[] } = { answers }
  socket.on('message', (query, from) => {
    let at = HEAD_BYTES
    while (query[at] !== 0) at += 1 + (query[at] as number)
    const type = query.readUInt16BE(at + 1)
    const question = query.subarray(HEAD_BYTES, at + 5)
    const records = type === TYPE_A ? server.answers.map((address) => recordOf(address, ttlS)) : []
    if (type === TYPE_A) asked++
    const head = Buffer.alloc(HEAD_BYTES)
    query.copy(head, 0, 0, 2)
    head.writeUInt16BE(server.answers.length > 0 ? RESPONSE : RESPONSE | SERVER_FAILURE, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(records.length, 6)
    socket.send(Buffer.concat([head, question, ...records]), from.port, from.address)
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return Object.assign(server, { address: `127.0.0.1:${socket.address().port}`, asked: () => asked, stop: () => socket.close() })
}

function recordOf(address: string, ttlS: number): Buffer {
  const record = Buffer.alloc(16)
  record.writeUInt16BE(NAME_OF_QUESTION, 0)
  record.writeUInt16BE(TYPE_A, 2)
  record.writeUInt16BE(CLASS_IN, 4)
  record.writeUInt32BE(ttlS, 6)
  record.writeUInt16BE(4, 10)
  record.set(address.split('.').map(Number), 12)
  return record
}
