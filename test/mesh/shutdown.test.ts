/** A proxy that is asked to stop, and a static file that changes under it: nothing that runs is cut. */
import { afterEach, expect, test } from 'vitest'
import { ask, connectGrpc } from '../tools/grpc-session.ts'
import { startProxy, staticSnapshot } from '../tools/proxy.ts'
import { MODEL_INFER, MODEL_STREAM_INFER, startSim, type TestSim, tokenRequest } from '../tools/sim-server.ts'

const sims: TestSim[] = []
afterEach(async () => {
  for (const sim of sims.splice(0)) await sim.stop()
})
const sim = async (...argv: string[]): Promise<TestSim> => {
  const started = await startSim('--listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0', ...argv)
  sims.push(started)
  return started
}

test('SIGTERM lets a running stream finish, turns new streams away, and ends with 0', async () => {
  const server = await sim('--token-ms', '40', '--prefill-ms', '1')
  const proxy = await startProxy([{ id: 'a/sim', address: server.listen }])
  const session = await connectGrpc(proxy.listen)
  let messages = 0
  const stream = session.open(MODEL_STREAM_INFER, { onMessage: () => void messages++ })
  stream.send(tokenRequest({ tokens: 40 }))
  await expect.poll(() => messages).toBeGreaterThan(2)
  const stopped = proxy.part.stop()
  await expect
    .poll(async () =>
      connectGrpc(proxy.listen).then(
        (late) => late.destroy(),
        () => 'refused',
      ),
    )
    .toBe('refused')
  expect(stream.http.closed, 'the listener closed while the stream was running').toBe(false)
  stream.halfClose()
  expect(await stream.ended).toMatchObject({ status: 0, torn: false })
  expect(messages).toBe(40)
  expect(await stopped).toBe(0)
  session.destroy()
})

test('a static file that changes moves new requests, and one that is wrong keeps the last good one', async () => {
  const [first, second] = [await sim(), await sim()]
  const proxy = await startProxy([{ id: 'first/sim', address: first.listen }])
  const session = await connectGrpc(proxy.listen)
  const servedBy = async (): Promise<unknown> =>
    (await ask(session, MODEL_INFER, tokenRequest({ tokens: 1 }))).headers['x-millrace-endpoint']
  expect(await servedBy()).toBe('first/sim')
  proxy.put(staticSnapshot([{ id: 'second/sim', address: second.listen }]))
  await expect.poll(servedBy).toBe('second/sim')
  proxy.put('{ "endpoints": [ { "id": "third/sim", "adress": "127.0.0.1:1" } ] }')
  await expect.poll(() => proxy.metric('millrace_static_reloads_refused_total')).toBe(1)
  expect(await servedBy()).toBe('second/sim')
  session.destroy()
  await proxy.stop()
})
