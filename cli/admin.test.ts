import { expect, test } from 'vitest'
import { startVerb } from './child.ts'

test('--help shows each verb by example', async () => {
  const child = await startVerb('admin', 'admin', ['--help'])
  expect(await child.exited).toBe(0)
  const examples = child.stdout.slice(child.stdout.indexOf('Example:')).join('\n')
  for (const verb of ['drain', 'node', 'watch', 'weights', 'probe', 'clear-fault', 'explain', 'nats-config'])
    expect(examples).toContain(`millrace admin ${verb} `)
})

test.each([
  ['no action', [], 64, 'wants one of nodes, node, watch, weights, drain, undrain'],
  ['an action that there is not', ['fly'], 64, 'no action "fly"'],
  ['a drain of nobody', ['drain'], 64, 'drain wants a node, for example millrace admin drain gpu-a'],
  ['a look at nobody', ['node'], 64, 'node wants a node, for example millrace admin node gpu-a'],
  ['two nodes to watch', ['watch', 'gpu-a', 'gpu-b'], 64, 'watch does not know what to do with "gpu-b"'],
  ['nobody at the address of a watch of changes', ['watch', '--to', '127.0.0.1:1'], 1, 'nothing answers at 127.0.0.1:1'],
  ['a word too many', ['nodes', 'gpu-a'], 64, 'nodes does not know what to do with "gpu-a"'],
  ['an address that is none', ['nodes', '--to', 'here'], 64, 'wants host:port'],
  ['an explanation of nothing', ['explain'], 64, 'wants --model NAME, --trace ID, or both'],
  ['an explanation by one proxy of another', ['explain', '--model', 'm', '--at', '127.0.0.1:1', '--proxy', 'p'], 64, 'leave --proxy out'],
  ['nobody at the address of a proxy', ['explain', '--model', 'm', '--at', '127.0.0.1:1'], 1, 'nothing answers at 127.0.0.1:1; --at wants'],
  ['a trace that is none', ['explain', '--trace', 'FF'], 64, 'wants 32 hexadecimal digits'],
  ['nobody at the address', ['nodes', '--to', '127.0.0.1:1'], 1, 'nothing answers at 127.0.0.1:1; start a control plane there'],
  ['nobody at the address of a watch', ['weights', '--watch', '--to', '127.0.0.1:1'], 1, 'nothing answers at 127.0.0.1:1'],
])('%s is one line that names the cause', async (_what, argv, exitCode, words) => {
  const child = await startVerb('admin', 'admin', argv)
  expect(await child.exited).toBe(exitCode)
  expect(child.stderr).toHaveLength(1)
  expect(child.stderr[0]).toContain(words)
})
