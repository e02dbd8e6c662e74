import { expect, test } from 'vitest'
import { leanCommand } from './agent.ts'

const started = {
  execPath: '/usr/bin/node',
  execArgv: ['--enable-source-maps'],
  argv: ['/usr/bin/node', '/lib/millrace.js', 'agent', '--check'],
  file: '/lib/agent.js',
}

test('the agent of the package becomes lean once, with all that it was started with', () => {
  const command = leanCommand(started)
  expect(command).toEqual(['/usr/bin/node', '--lite-mode', '--enable-source-maps', '/lib/millrace.js', 'agent', '--check'])
  expect(leanCommand({ ...started, execArgv: ['--lite-mode', '--enable-source-maps'] })).toBeUndefined()
})

test('as TypeScript it runs as it is', () => {
  expect(leanCommand({ ...started, file: '/clone/cli/agent.ts' })).toBeUndefined()
})
