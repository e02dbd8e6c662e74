/** The Python programs of the tests: the tritonclient probe and NVIDIA's perf_analyzer, both as setup-triton.sh put them into the cache. */
import { globSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { lastLines, startChild } from '../../cli/child.ts'
import { cacheFolder } from '../../cli/nats-server.ts'
import { setUpTriton, tritonFolder } from './triton.ts'

const PATIENCE_MS = 180_000

/** Scenario → what a tritonclient caller of `address` saw. Without names all scenarios are played. */
export async function probe(address: string, ...names: readonly string[]): Promise<Record<string, unknown>> {
  await setUpTriton()
  const python = join(cacheFolder(), 'triton', 'bin', 'python')
  const printed = await run('probe', python, [join(tritonFolder, 'probe'), address, ...names], { PYTHONDONTWRITEBYTECODE: '1' })
  return JSON.parse(printed) as Record<string, unknown>
}

export type PerfResult = { readonly requests: number; readonly text: string }

/** One measurement of at least `requests` calls a window; rejects when perf_analyzer fails, as it does when a request failed. */
export async function perfAnalyzer(address: string, model: string, requests: number, ...more: readonly string[]): Promise<PerfResult> {
  await setUpTriton()
  const home = join(cacheFolder(), 'perf')
  const libraries = [...globSync(join(home, 'lib', 'python*', 'site-packages', 'nvidia', 'cuda_runtime', 'lib')), join(home, 'lib64')]
  const windows = ['--measurement-mode', 'count_windows', '--measurement-request-count', String(requests), '-p', '1000']
  // How fast it goes is not what is asked here: any spread between the windows is taken as stable.
  const argv = ['-i', 'grpc', '-u', address, '-m', model, ...windows, '-s', '999', ...more]
  const text = await run('perf_analyzer', join(home, 'bin', 'perf_analyzer'), argv, { LD_LIBRARY_PATH: libraries.join(delimiter) })
  return { requests: Number(/Request count: (\d+)/.exec(text)?.[1] ?? 0), text }
}

async function run(name: string, command: string, argv: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const child = await startChild(name, command, argv, { env })
  const impatience = setTimeout(() => child.kill(), PATIENCE_MS)
  const code = await child.exited
  clearTimeout(impatience)
  const printed = child.stdout.join('\n')
  if (code !== 0)
    throw new Error(`${name} ended with ${code ?? 'a signal'}; it said last:\n${lastLines([...child.stdout, ...child.stderr], 25)}`)
  return printed
}
