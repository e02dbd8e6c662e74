import { expect, test } from 'vitest'
import { type Binding, type Evidence, type GpuProcesses, NOT_ASKED, type ProcessFacts, stepBinding } from './bind.ts'
import { listeningSockets, parentOf, socketOf } from './process-tables.ts'

const apps = (...rows: [string, number][]): GpuProcesses => ({ kind: 'apps', apps: rows.map(([gpuUuid, pid]) => ({ gpuUuid, pid })) })
const SILENT: GpuProcesses = { kind: 'nothing', reason: 'nvidia-smi does not answer now' }

/** Of each process its parent and its sockets. 10 is the server on the port, 11 its worker, 12 a worker of that, 20 a stranger; 1 began them. */
const HOST: Record<number, [number, string[] | undefined]> = {
  1: [0, []],
  10: [1, ['77', '5']],
  11: [10, []],
  12: [11, ['9']],
  20: [1, ['8']],
}

function evidence(told: GpuProcesses, host = HOST, listening = ['77']): Evidence {
  const processes = new Map<number, ProcessFacts>(
    Object.entries(host).map(([pid, [parent, sockets]]) => [Number(pid), { parent, sockets: sockets && new Set(sockets) }]),
  )
  return { port: 8001, told, listening, processes }
}
const shown = (binding: Binding): string => (binding.by === 'process' ? binding.gpuUuids.join() : binding.reason)
const play = (...steps: Evidence[]): string => shown(steps.reduce(stepBinding, NOT_ASKED))

test.each<[string, Evidence, string]>([
  ['the process that listens', evidence(apps(['GPU-1', 10])), 'GPU-1'],
  ['its workers', evidence(apps(['GPU-2', 12], ['GPU-1', 11], ['GPU-1', 12])), 'GPU-1,GPU-2'],
  ['a stranger is none of it', evidence(apps(['GPU-1', 11], ['GPU-3', 20])), 'GPU-1'],
  ['a second socket of the port', evidence(apps(['GPU-1', 12]), HOST, ['66', '9']), 'GPU-1'],
  ['silence', evidence(SILENT), 'nvidia-smi does not answer now'],
  ['nobody', evidence(apps()), 'nvidia-smi names no process on any GPU'],
  ['strangers only', evidence(apps(['GPU-3', 20])), 'none of the processes that nvidia-smi names belongs to the server on port 8001'],
  [
    'another network',
    evidence(apps(['GPU-1', 10]), HOST, []),
    'no process that the agent can see listens on port 8001; in a container, share the network of the host',
  ],
  [
    'other pids',
    evidence(apps(['GPU-1', 4_711])),
    'nvidia-smi names process 4711, which the agent cannot see; in a container, share the pids of the host',
  ],
  [
    'no rights',
    evidence(apps(['GPU-1', 10]), { 10: [1, undefined] }),
    'the agent may not look into process 10; run it as the same user or grant CAP_SYS_PTRACE',
  ],
  [
    'parents that go in a circle',
    evidence(apps(['GPU-1', 2]), { 2: [3, []], 3: [2, []] }),
    'none of the processes that nvidia-smi names belongs to the server on port 8001',
  ],
])('%s', (_, one, expected) => {
  expect(play(one)).toBe(expected)
})

test('a server does not lose a GPU by losing its process there', () => {
  const both = evidence(apps(['GPU-1', 11], ['GPU-2', 12]))
  expect(play(both, evidence(apps(['GPU-1', 11])))).toBe('GPU-1,GPU-2')
  expect(play(both, evidence(apps()))).toBe('GPU-1,GPU-2')
  expect(play(both, evidence(SILENT))).toBe('GPU-1,GPU-2')
  expect(play(both, evidence(apps(['GPU-3', 12])))).toBe('GPU-1,GPU-2,GPU-3')
})

test('while it is down it keeps them, and one that was started anew is looked at anew', () => {
  const before = evidence(apps(['GPU-1', 11]))
  expect(play(before, evidence(apps(), {}, []))).toBe('GPU-1')
  const again = { ...HOST, 10: [1, ['78']] as [number, string[]] }
  expect(play(before, evidence(apps(['GPU-2', 11]), again, ['78']))).toBe('GPU-2')
  expect(play(before, evidence(apps(['GPU-3', 20]), again, ['78']))).toContain('none of the processes')
})

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 128375 2 0000000000000000 100 0 0 10 0
   1: 0100007F:1F41 0100007F:9851 01 00000000:00000000 00:00000000 00000000     0        0 128387 1 0000000000000000 20 4 30 10 -1
   2: 00000000:1F42 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1554 1 0000000000000000 100 0 0 10 0
   3: 00000000000000000000000000000000:1F41 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 99 1 0
garbage
`

test('of a table of sockets those that listen on the port count', () => {
  expect(listeningSockets(TCP, 8001)).toEqual(['128375', '99'])
  expect(listeningSockets(TCP, 8003)).toEqual([])
})

test.each([
  ['4711 (tritonserver) S 42 1 1 0 -1', 42],
  ['4711 (a) S 9 (b) R 43 1', 43],
  ['4711 (x', undefined],
  ['', undefined],
])('the parent in %j is %j', (stat, parent) => {
  expect(parentOf(stat)).toBe(parent)
})

test('a link is a socket or something else', () => {
  expect(['socket:[128375]', 'pipe:[12]', '/dev/null', 'socket:[x]'].map(socketOf)).toEqual(['128375', undefined, undefined, undefined])
})
