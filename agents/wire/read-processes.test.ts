import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { NOT_ASKED, stepBinding } from '../gpu/bind.ts'
import { readProcesses, socketsListeningOn } from './read-processes.ts'

/** A process that listens and, as inference servers do, leaves the work to a child of its child. Prints its port and the worker's id. */
const SERVER = `
const { spawn } = require('node:child_process')
const worker = spawn(process.execPath, ['-e', \`
  const { spawn } = require('node:child_process')
  const one = spawn('sleep', ['60'], { stdio: 'ignore' })
  console.log(one.pid)
\` + 'setInterval(() => {}, 1000); process.stdin.on("end", () => { one.kill(); process.exit() }).resume()'], { stdio: ['pipe', 'pipe', 'inherit'] })
worker.stdout.once('data', (pid) => {
  const server = require('node:net').createServer().listen(0, '127.0.0.1', () => console.log(server.address().port, Number(pid)))
})
process.stdin.on('end', () => process.exit()).resume()
`

async function startServer(): Promise<{ readonly port: number; readonly worker: number }> {
  const child = spawn(process.execPath, ['-e', SERVER], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.stdin.end())
  const line = await new Promise<string>((resolve) => child.stdout.once('data', (text: Buffer) => resolve(text.toString())))
  const [port = 0, worker = 0] = line.trim().split(' ').map(Number)
  return { port, worker }
}

test.skipIf(process.platform !== 'linux')(
  'a worker of a real server is known as its own, and another process of this host is not',
  async () => {
    const { port, worker } = await startServer()
    const listening = await socketsListeningOn(port)
    expect(listening).toHaveLength(1)
    const binding = async (pid: number) => {
      const told = { kind: 'apps', apps: [{ gpuUuid: 'GPU-1', pid }] } as const
      return stepBinding(NOT_ASKED, { port, told, listening, processes: await readProcesses([pid]) })
    }
    expect(await binding(worker)).toMatchObject({ by: 'process', gpuUuids: ['GPU-1'] })
    expect(await binding(process.pid)).toMatchObject({ by: 'nothing', cause: 'others-only' })
    // Above what a process may have for an id.
    expect(await binding(2 ** 22 + 1)).toMatchObject({ by: 'nothing', cause: 'not-visible' })
  },
)

test.skipIf(process.platform !== 'linux')('a port that nobody listens on has no socket', async () => {
  const server = createServer()
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  )
  expect(await socketsListeningOn(port)).toHaveLength(1)
  await new Promise((resolve) => server.close(resolve))
  expect(await socketsListeningOn(port)).toEqual([])
})
