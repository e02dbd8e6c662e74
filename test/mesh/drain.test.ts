/** How a proxy stops: it says so before it closes its door, lets streams finish up to a limit, and obeys a second signal at once. */
import { afterEach, expect, test } from 'vitest'
import { ask, connectGrpc } from '../tools/grpc-session.ts'
import { startProxy, type TestProxy } from '../tools/proxy.ts'
import { MODEL_INFER, MODEL_STREAM_INFER, startSim, tokenRequest } from '../tools/sim-server.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const one of cleanups.splice(0).reverse()) await one()
})

/** A proxy with a stream of many tokens on it, one each 40 ms, whose client may have more to ask. */
async function busy(tokens: number, ...more: string[]) {
  const sim = await startSim('--listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0', '--token-ms', '40', '--prefill-ms', '1')
  cleanups.push(() => sim.stop())
  const proxy: TestProxy = await startProxy([{ id: 'a/sim', address: sim.listen }], ...more)
  cleanups.push(() => proxy.stop())
  const session = await connectGrpc(proxy.listen)
  cleanups.push(() => session.destroy())
  let messages = 0
  const stream = session.open(MODEL_STREAM_INFER, { onMessage: () => void messages++ })
  stream.send(tokenRequest({ tokens }))
  await expect.poll(() => messages).toBeGreaterThan(2)
  const ready = async (): Promise<number> => (await fetch(`http://${proxy.part.fields.metrics}/readyz`)).status
  return { proxy, stream, ready, messages: () => messages }
}

test('a stopping proxy says so on /readyz, serves until its delay is over, and ends with 0 once its streams have finished', async () => {
  const { proxy, stream, ready, messages } = await busy(100, '--drain-delay', '3')
  expect(await ready()).toBe(200)
  process.kill(proxy.part.pid, 'SIGTERM')
  await expect.poll(ready, { interval: 10 }).toBe(503)
  const late = await connectGrpc(proxy.listen)
  expect(await ask(late, MODEL_INFER, tokenRequest({ tokens: 1 })), 'not everybody has looked at /readyz yet').toMatchObject({ status: 0 })
  late.destroy()
  const refused = (): Promise<string> =>
    connectGrpc(proxy.listen).then(
      (one) => {
        one.destroy()
        return 'open'
      },
      () => 'refused',
    )
  await expect.poll(refused).toBe('refused')
  expect(stream.http.closed, 'the stream still runs').toBe(false)
  expect(await ready(), 'metrics and health are there to the end').toBe(503)
  stream.halfClose()
  expect(await stream.ended).toMatchObject({ status: 0, torn: false })
  expect(messages()).toBe(100)
  expect(await proxy.part.exited).toBe(0)
})

test('streams that take longer than the limit are cut, and the proxy ends with 0', async () => {
  const { proxy, stream, messages } = await busy(10_000, '--drain-timeout', '0.5')
  const begun = performance.now()
  process.kill(proxy.part.pid, 'SIGTERM')
  expect(await proxy.part.exited).toBe(0)
  console.info(`  measured: ended ${Math.round(performance.now() - begun)} ms after the signal, with a limit of 500`)
  expect((await stream.ended).status).not.toBe(0)
  expect(messages()).toBeLessThan(10_000)
})

test('a second signal ends it at once', async () => {
  const { proxy, ready } = await busy(10_000)
  process.kill(proxy.part.pid, 'SIGTERM')
  await expect.poll(ready, { interval: 10 }).toBe(503)
  process.kill(proxy.part.pid, 'SIGINT')
  expect(await proxy.part.exited).toBe(130)
})
