/** A load that does not move is told once; a proxy goes by it for as long as its control plane says that it holds, and no longer. */
import { afterEach, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { tell, until } from '../tools/fleet.ts'
import { ask, connectGrpc } from '../tools/grpc-session.ts'
import { meshEndpoint, startMeshSource } from '../tools/mesh-source.ts'
import { MODEL_INFER, startSim, tokenRequest } from '../tools/sim-server.ts'
import { spawnPart } from '../tools/spawn-part.ts'

const FREE = '127.0.0.1:0'
const PATIENCE = { timeout: 30_000, interval: 20 }
const ROUND = 12

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

test('a load holds while the control plane says so; when that hangs, or is gone, it grows old', async () => {
  const mesh = await startMeshSource()
  closers.push(() => mesh.stop())
  const argv = ['--listen', FREE, '--metrics-listen', FREE, '--control-plane', mesh.address, '--workers', '1', '--name-endpoints']
  const proxy = await spawnPart('data-plane', argv)
  closers.push(() => proxy.stop())
  const [deep, idle] = await Promise.all([
    startSim('--listen', FREE, '--http-listen', FREE),
    startSim('--listen', FREE, '--http-listen', FREE),
  ])
  closers.push(() => Promise.all([deep.stop(), idle.stop()]))
  await until('the proxy is there', () => mesh.hellos.length === 1, PATIENCE.timeout)
  await mesh.push([meshEndpoint('deep/sim', deep.listen), meshEndpoint('idle/sim', idle.listen)])
  const session = await connectGrpc(proxy.fields.listen ?? '')
  closers.push(() => session.destroy())
  /** Whom a round of requests, one after the other, went to. */
  const served = async (): Promise<string> => {
    const by = new Set<string>()
    for (let at = 0; at < ROUND; at++)
      by.add(String((await ask(session, MODEL_INFER, tokenRequest({ tokens: 1 }))).headers['x-millrace-endpoint']))
    return [...by].toSorted().join(' ')
  }
  const load = (endpointId: string, queueDepth: number) => ({ endpointId, load: { queueDepth }, ageMs: 0, ages: false })
  const vouch = (): NodeJS.Timeout => {
    const timer = setInterval(() => mesh.pushHold(), limits.loadHoldPeriod)
    closers.push(() => clearInterval(timer))
    return timer
  }

  await expect.poll(served, PATIENCE).toBe('deep/sim idle/sim')
  mesh.pushLoads([load('deep/sim', 500), load('idle/sim', 0)])
  const told = performance.now()
  let vouching = vouch()
  await expect.poll(served, PATIENCE).toBe('idle/sim')
  while (performance.now() < told + 2 * limits.loadAgeMax) expect(await served()).toBe('idle/sim')

  clearInterval(vouching)
  const hung = performance.now()
  await expect.poll(served, PATIENCE).toBe('deep/sim idle/sim')
  tell(`the loads were old ${Math.round(performance.now() - hung)} ms after the control plane hung`)

  vouching = vouch()
  await expect.poll(served, PATIENCE).toBe('idle/sim')
  clearInterval(vouching)
  mesh.stop()
  await expect.poll(served, PATIENCE).toBe('deep/sim idle/sim')
})
